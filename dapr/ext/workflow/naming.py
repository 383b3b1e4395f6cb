"""The names that workflows and activities go by.

A function carries its name as an attribute, which other packages read and set. What can have none (builtins, objects
with slots), and methods, of which each object has its own, have theirs in a table here.
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Callable
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

__all__ = ['alternate_name', 'given_name', 'identity_of', 'mark_registered', 'name_of', 'register_name', 'set_name']

F = TypeVar('F', bound=Callable[..., Any])

# Other packages read and set it.
_ATTRIBUTE: Final = '_dapr_alternate_name'
_FUNCTION: Final = types.FunctionType

# By object, then by the id of the function: an object's method is another one at each access.
_names: WeakKeyDictionary[Any, dict[int, str]] = WeakKeyDictionary()


def alternate_name(name: str | None = None) -> Callable[[F], F]:
    """Decorates a workflow or an activity with the name that it is registered and called by.

    Args:
        name: The name. None (default): the function's own.

    Raises:
        ValueError: When it decorates: the function has such a name already, or none of its own.
    """

    def decorate(fn: F) -> F:
        present = given_name(fn)
        if present is not None:
            raise ValueError(f'Function {_own_name(fn) or repr(fn)} already has an alternate name {present}')
        set_name(fn, name or name_of(fn))
        return fn

    return decorate


def name_of(target: Callable[..., Any] | str) -> str:
    """The name that a workflow or an activity is called by: its alternate name, else the function's own.

    Args:
        target: The function, or the name itself.

    Raises:
        TypeError: It is neither.
        ValueError: It has no name, as a `functools.partial`.
    """
    if type(target) is _FUNCTION:  # with the name that it was registered by: each call of an activity asks
        name = target.__dict__.get(_ATTRIBUTE)
        if name is not None:
            return name  # type: ignore[no-any-return]
    if isinstance(target, str):
        return target
    if not callable(target):
        raise TypeError(f'A workflow or an activity is a function or a name, not {type(target).__name__}: {target!r}.')
    name = given_name(target) or _own_name(target)
    if name is None:
        raise ValueError(
            f'{target!r} has no name: give a function, the name that it is registered by, or register it with name=...'
        )
    return name


def given_name(fn: Callable[..., Any]) -> str | None:
    """The function's alternate name, or None."""
    if type(fn) is not _FUNCTION:
        holder, key = _place(fn)
        with contextlib.suppress(TypeError):  # cannot be hashed, or cannot be referred to weakly
            names = _names.get(holder)
            if names is not None and key in names:
                return names[key]
    name: str | None = getattr(fn, _ATTRIBUTE, None)
    return name


def identity_of(fn: Callable[..., Any]) -> tuple[int, int]:
    """What tells one workflow or activity from another: the function, and for a method its object, too."""
    return (id(fn.__self__), id(fn.__func__)) if isinstance(fn, types.MethodType) else (0, id(fn))


def set_name(fn: Callable[..., Any], name: str) -> None:
    """Gives a function, or the one behind a method, its alternate name; one that can have none goes by it in here."""
    function = fn.__func__ if isinstance(fn, types.MethodType) else fn
    try:
        setattr(function, _ATTRIBUTE, name)
    except (AttributeError, TypeError):
        _note_name(fn, name)


def register_name(fn: Callable[..., Any], name: str) -> None:
    """Takes note of the name that a function is registered by; for a method, that of this object alone."""
    if not isinstance(fn, types.MethodType):
        set_name(fn, name)
    elif getattr(fn, _ATTRIBUTE, fn.__name__) != name:
        _note_name(fn, name)


def mark_registered(fn: Callable[..., Any], kind: str) -> None:
    """Notes on a function, or the one behind a method, that it is registered as a 'Workflow' or an 'Activity'. For
    others to read: a function may be registered with several runtimes."""
    function = fn.__func__ if isinstance(fn, types.MethodType) else fn
    with contextlib.suppress(AttributeError, TypeError):  # it takes no attributes
        setattr(function, f'_{kind.lower()}_registered', True)


def _note_name(fn: Callable[..., Any], name: str) -> None:
    holder, key = _place(fn)
    with contextlib.suppress(TypeError):  # nothing can be kept of it: it is called by its name
        _names.setdefault(holder, {})[key] = name


def _place(fn: Callable[..., Any]) -> tuple[Any, int]:
    return (fn.__self__, id(fn.__func__)) if isinstance(fn, types.MethodType) else (fn, 0)


def _own_name(fn: Callable[..., Any]) -> str | None:
    name: str | None = getattr(fn, '__name__', None)
    return name
