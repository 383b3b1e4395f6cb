"""What the engine raises when a name is not registered."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class OrchestratorNotRegisteredError(ValueError):
    """The worker was given a workflow that no one has registered with it."""


class ActivityNotRegisteredError(ValueError):
    """The worker was given an activity that no one has registered with it."""


class VersionNotRegisteredException(Exception):
    """The workflow is registered, but not in the version that its history began with."""


def near_names(name: str, known: Iterable[str]) -> str:
    """What a message about a name that is not registered adds: those that are and look like it, or all of a few."""
    names = sorted(set(known))
    if not names:
        return ' Nothing of the kind is registered.'
    folded = {each.casefold(): each for each in names}
    near = [folded[each] for each in difflib.get_close_matches(name.casefold(), folded, n=3)]
    if near:
        return f' Did you mean {" or ".join(map(repr, near))}?'
    shown = names if len(names) <= _SHOWN_NAMES else [*names[:_SHOWN_NAMES], f'... ({len(names)} in all)']
    return f' Registered are: {", ".join(shown)}.'


_SHOWN_NAMES = 10
