"""How far something is that takes long: a bar by rich where it is installed and someone looks, else nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TypeVar

T = TypeVar('T')

_WORTH_A_BAR = 50


def progress(items: Sequence[T], what: str) -> Iterable[T]:
    """The items, one after the other, with a bar on stderr that moves as they are taken."""
    if len(items) < _WORTH_A_BAR or not sys.stderr.isatty():
        return items
    try:
        from rich.console import Console
        from rich.progress import track
    except ImportError:
        return items
    return track(items, what, console=Console(stderr=True), transient=True)
