"""What objects that pass names on to another one say of a name that neither has."""

from __future__ import annotations

import difflib

MISSING = object()
"""Stands for an attribute that is not there."""


def missing_attribute(owner: object, name: str) -> AttributeError:
    """The error of an attribute that is not there: it names the public class and, where there is one, the near name."""
    text = f'{type(owner).__name__!r} object has no attribute {name!r}'
    # Also said where no traceback is printed: in a failure's message. `obj` stays empty, lest Python suggest it again.
    public = [known for known in dir(owner) if not known.startswith('_')]
    near = difflib.get_close_matches(name, public, n=1, cutoff=0.7)
    if near and not name.startswith('_'):
        text += f'. Did you mean: {near[0]!r}?'
    return AttributeError(text, name=name, obj=None)
