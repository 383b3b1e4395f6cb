"""The corpus: histories of everything that workflows do, recorded on each sidecar from each worker.

They stand in tests/data/histories/<sidecar>/<worker>/<name>.json, and are replayed for good, so that no change of the
worker breaks an instance that runs. `workflows` and `newer` are what was recorded, `scenarios` how, and
tools/record_corpus.py adds to it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parents[2] / 'data' / 'histories'
FILES: Final = sorted(FOLDER.glob('*/*/*.json'))


def name_of(path: Path) -> str:
    """What a test of this file is called."""
    return '/'.join(path.with_suffix('').parts[-3:])
