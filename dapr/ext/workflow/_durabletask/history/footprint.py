"""How much memory a parked workflow takes: what its code holds, not what it was given."""

from __future__ import annotations

import gc
import logging
import sys
import types
from collections.abc import Iterable

from google.protobuf.message import Message

# Shared by all who use them: they would be there without the workflow.
_SHARED = (
    type,
    types.ModuleType,
    types.BuiltinFunctionType,
    types.CodeType,
    logging.Logger,
)

# A workflow may hold on to something of the app that is large and not its own; then the account ends here, too low.
_MAX_OBJECTS = 10_000

_POINTER_BYTES = 8
# A message has its fields in an arena, which `sys.getsizeof` does not see: what the smallest one takes, measured.
_ARENA_BYTES = 440
# Objects of such a type have their attributes beside them, not in a dictionary; `sys.getsizeof` leaves them out (3.11).
_HAS_INLINE_ATTRIBUTES = 1 << 4


def footprint(roots: Iterable[object]) -> int:
    """The bytes of these objects and of all that they refer to, each counted once; at least, when it is very much."""
    total = 0
    seen: set[int] = set()
    waiting = list(roots)
    while waiting and len(seen) < _MAX_OBJECTS:
        found = waiting.pop()
        kind = type(found)  # a proxy's `__class__` may do anything
        if id(found) in seen or issubclass(kind, _SHARED):
            continue
        seen.add(id(found))
        if kind is types.FunctionType:
            total += _closure_bytes(found)
            continue
        referents = _referents(found)
        total += sys.getsizeof(found, 0)
        if kind.__flags__ & _HAS_INLINE_ATTRIBUTES and not any(type(referent) is dict for referent in referents):
            total += (len(referents) + 1) * _POINTER_BYTES
        elif issubclass(kind, Message):
            total += _ARENA_BYTES
        waiting.extend(referents)
    return total


def _closure_bytes(function: object) -> int:
    """What a function takes that was made by a call; nothing for one of a module. What it sees is counted elsewhere, or
    is the app's."""
    cells: tuple[object, ...] | None = getattr(function, '__closure__', None)
    return sum(map(sys.getsizeof, (function, cells, *cells))) if cells else 0


def _referents(found: object) -> list[object]:
    referents = gc.get_referents(found)
    if isinstance(found, types.FrameType):  # until Python 3.10, between a generator and what its code holds
        shared = (id(found.f_globals), id(found.f_builtins))
        return [referent for referent in referents if id(referent) not in shared]
    return referents
