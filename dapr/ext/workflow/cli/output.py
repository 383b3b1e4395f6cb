"""What commands write: tables for people, JSON and YAML for scripts.

Tables are drawn by rich where the extra `cli` is installed and the output is a terminal; else they are plain text, in
columns, with nothing that a pipe would have to strip.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

FORMATS: Final = ('short', 'wide', 'yaml', 'json')

_COLOURS: Final = {
    'RUNNING': 'cyan',
    'COMPLETED': 'green',
    'FAILED': 'bold red',
    'TERMINATED': 'yellow',
    'CANCELED': 'yellow',
    'PENDING': 'dim',
    'SUSPENDED': 'magenta',
    'STALLED': 'bold yellow',
}


def add_output_option(parser: argparse.ArgumentParser, formats: Sequence[str] = FORMATS) -> None:
    """Adds `-o`."""
    parser.add_argument('-o', '--output', choices=formats, default=formats[0], help='the form (default: %(default)s)')


def write(text: str = '') -> None:
    """Writes a line to stdout."""
    sys.stdout.write(f'{text}\n')
    sys.stdout.flush()


def tell(text: str) -> None:
    """Writes a line to stderr: what is for people, beside what is for pipes."""
    sys.stderr.write(f'{text}\n')
    sys.stderr.flush()


def write_data(data: Any, output: str) -> None:
    """Writes data as JSON or YAML."""
    write(to_yaml(data) if output == 'yaml' else json.dumps(data, indent=2, ensure_ascii=False, default=str))


def write_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Writes a table. A cell that is a status gets that status's colour."""
    rows = [[_one_line(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        try:
            from rich.console import Console
            from rich.table import Table
            from rich.text import Text
        except ImportError:
            pass
        else:
            table = Table(*headings, box=None, header_style='bold', pad_edge=False)
            for row in rows:
                table.add_row(*(Text(cell, style=_COLOURS.get(cell, '')) for cell in row))
            Console().print(table)
            return
    for line in plain_table(headings, rows):
        write(line)


def plain_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table in plain text. The last column takes what room there is."""
    lines = [list(headings), *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    return ['  '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def write_fields(fields: Iterable[tuple[str, str | None]]) -> None:
    """Writes names and values, one pair a line; values of None are left out, and those of many lines are indented."""
    present = [(name, value) for name, value in fields if value is not None]
    width = max((len(name) for name, _ in present), default=0) + 2
    for name, value in present:
        lines = (value or '-').splitlines() or ['-']
        write(f'{name}:'.ljust(width) + lines[0])
        for line in lines[1:]:
            write(' ' * width + line)


def clipped(text: str | None, width: int | None = None) -> str:
    """A payload on one line, cut to a width (default: half of the terminal's)."""
    if not text:
        return ''
    width = width or max(30, shutil.get_terminal_size().columns // 2)
    text = _one_line(text)
    return text if len(text) <= width else f'{text[: width - 1]}…'


def payload(text: str | None) -> Any:
    """A payload as data: what its JSON says; a text that is no JSON as it is; None for none."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


def to_yaml(data: Any, indent: int = 0) -> str:
    """Data as YAML. Scalars are written as JSON writes them, which YAML reads alike: no rules of quoting."""
    pad = '  ' * indent
    if isinstance(data, Mapping) and data:
        return '\n'.join(_yaml_entry(f'{pad}{_yaml_key(key)}:', value, indent) for key, value in data.items())
    if isinstance(data, list | tuple) and data:
        return '\n'.join(_yaml_item(pad, value, indent) for value in data)
    return f'{pad}{json.dumps(data, ensure_ascii=False, default=str)}'


def _yaml_key(key: Any) -> str:
    return str(key) if str(key).isidentifier() else json.dumps(str(key), ensure_ascii=False)


def _yaml_entry(head: str, value: Any, indent: int) -> str:
    if isinstance(value, Mapping | list | tuple) and value:
        return f'{head}\n{to_yaml(value, indent + 1)}'
    return f'{head} {to_yaml(value)}'


def _yaml_item(pad: str, value: Any, indent: int) -> str:
    nested = to_yaml(value, indent + 1)
    return (
        f'{pad}- {nested[len(pad) + 2 :]}'
        if isinstance(value, Mapping | list | tuple) and value
        else f'{pad}- {to_yaml(value)}'
    )


def _one_line(text: str) -> str:
    # Control characters of a payload must not steer the terminal.
    return ''.join(character if character.isprintable() else ' ' for character in text)
