"""Tables and result files."""

from __future__ import annotations

import json
import platform
import statistics
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks.process import HERE

RESULTS = HERE / 'results'


def spread(values: Sequence[float], digits: int = 0) -> str:
    """The median of some rounds, with the smallest and the largest beside it."""
    return f'{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})'


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table; the first column is text, the others are numbers."""
    widths = [max(len(line[column]) for line in (header, *rows)) for column in range(len(header))]
    print(f'\n{title}')
    for line in (header, ['-' * width for width in widths], *rows):
        cells = [line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]
        print('  '.join(cells), flush=True)


def write_result(name: str, data: Any) -> Path:
    """Writes what a bench measured to `benchmarks/results/NAME.json` (not committed)."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f'{name}.json'
    document = {
        'bench': name,
        'when': datetime.now(timezone.utc).isoformat(timespec='seconds'),
        'machine': platform.platform(),
        'result': data,
    }
    path.write_text(json.dumps(document, indent=2) + '\n')
    return path
