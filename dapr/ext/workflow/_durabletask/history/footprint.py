"""How much memory a parked workflow takes: what its code holds, not what it was given."""

from __future__ import annotations

import gc
import logging
import sys
import types
from collections.abc import Iterable

# Shared by all who use them: they would be there without the workflow.
_SHARED = (
    type,
    types.ModuleType,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.CodeType,
    logging.Logger,
)

# A workflow may hold on to something of the app that is large and not its own; then the account ends here, too low.
_MAX_OBJECTS = 10_000


def footprint(roots: Iterable[object]) -> int:
    """The bytes of these objects and of all that they refer to, each counted once; at least, when it is very much."""
    total = 0
    seen: set[int] = set()
    waiting = list(roots)
    while waiting and len(seen) < _MAX_OBJECTS:
        found = waiting.pop()
        if id(found) in seen or issubclass(type(found), _SHARED):  # a proxy's `__class__` may do anything
            continue
        seen.add(id(found))
        total += sys.getsizeof(found, 0)
        waiting.extend(_referents(found))
    return total


def _referents(found: object) -> list[object]:
    referents = gc.get_referents(found)
    if isinstance(found, types.FrameType):  # until Python 3.10, between a generator and what its code holds
        shared = (id(found.f_globals), id(found.f_builtins))
        return [referent for referent in referents if id(referent) not in shared]
    return referents
