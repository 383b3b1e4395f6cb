"""The names that workflows and activities go by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

__all__ = ['alternate_name', 'function_of', 'given_name', 'mark_registered', 'name_of', 'set_name']

F = TypeVar('F', bound=Callable[..., Any])

# Other packages read and set it.
_ATTRIBUTE: Final = '_dapr_alternate_name'


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
        ValueError: It has no name, as a `functools.partial`.
    """
    if isinstance(target, str):
        return target
    name = given_name(target) or _own_name(target)
    if name is None:
        raise ValueError(
            f'{target!r} has no name: give a function, the name that it is registered by, or register it with name=...'
        )
    return name


def given_name(fn: Callable[..., Any]) -> str | None:
    """The function's alternate name, or None."""
    name: str | None = getattr(fn, _ATTRIBUTE, None)
    return name


def function_of(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The function behind a method, which is another object at each access; anything else as it is."""
    function: Callable[..., Any] = getattr(fn, '__func__', fn)
    return function


def set_name(fn: Callable[..., Any], name: str) -> None:
    """Gives a function, or the one behind a method, its alternate name."""
    setattr(function_of(fn), _ATTRIBUTE, name)


def mark_registered(fn: Callable[..., Any], kind: str) -> None:
    """Notes on a function, or the one behind a method, that it is registered as a 'Workflow' or an 'Activity'. For
    others to read: a function may be registered with several runtimes."""
    setattr(function_of(fn), f'_{kind.lower()}_registered', True)


def _own_name(fn: Callable[..., Any]) -> str | None:
    name: str | None = getattr(fn, '__name__', None)
    return name
