"""The types of a class's fields: names resolved, type variables replaced by what they stand for."""

from __future__ import annotations

import inspect
import logging
import types
import typing
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Final

import typing_extensions

__all__ = ['ALIASES', 'UNIONS', 'hints_of', 'substituted']

UNIONS: Final = (typing.Union, types.UnionType)
ALIASES: Final = (
    typing_extensions.TypeAliasType,
    getattr(typing, 'TypeAliasType', typing_extensions.TypeAliasType),
)

_logger = logging.getLogger('dapr.workflow.values')


def hints_of(cls: Any, annotation: Any) -> dict[str, Any]:
    """The types of a class's fields, with the arguments of the class put in; those that cannot be resolved are Any."""
    try:
        hints = typing_extensions.get_type_hints(cls, localns={cls.__name__: cls})
    except Exception:
        hints = _hints_one_by_one(cls)
    parameters = _type_arguments(cls, annotation)
    return {name: substituted(hint, parameters) for name, hint in hints.items()} if parameters else hints


def _hints_one_by_one(cls: Any) -> dict[str, Any]:
    hints: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        module = inspect.getmodule(base)
        for name, annotation in inspect.get_annotations(base).items():
            holder = SimpleNamespace(__annotations__={name: annotation})
            try:
                hints.update(
                    typing_extensions.get_type_hints(
                        holder, vars(module) if module else {}, {**vars(base), base.__name__: base, cls.__name__: cls}
                    )
                )
            except Exception as error:
                hints[name] = Any
                _logger.warning(
                    "The type of '%s.%s', %r, cannot be resolved (%s: %s): its values are left as JSON gives them. "
                    'Import what it names at run time, and define it where its module sees it.',
                    base.__qualname__,
                    name,
                    annotation,
                    type(error).__name__,
                    error,
                )
    return hints


def _type_arguments(cls: Any, annotation: Any) -> dict[Any, Any]:
    """What the type variables of a class, and of its generic bases, stand for."""
    arguments: dict[Any, Any] = dict(zip(getattr(cls, '__parameters__', ()), typing.get_args(annotation), strict=False))
    for base in getattr(cls, '__orig_bases__', ()):
        origin = typing.get_origin(base)
        if origin is None or origin is typing.Generic or not isinstance(origin, type):
            continue
        given = tuple(substituted(argument, arguments) for argument in typing.get_args(base))
        arguments = {**_type_arguments(origin, origin[given] if given else origin), **arguments}  # type: ignore[index]
    return arguments


def substituted(hint: Any, arguments: Mapping[Any, Any]) -> Any:
    """A type with its type variables replaced; one that stands for nothing is anything."""
    if isinstance(hint, typing.TypeVar):
        return arguments.get(hint, Any)
    inner = typing.get_args(hint)
    if not inner or typing.get_origin(hint) in (typing.Literal, typing_extensions.Literal):
        return hint
    replaced = tuple(substituted(argument, arguments) for argument in inner)
    if replaced == inner:
        return hint
    origin = typing.get_origin(hint)
    if origin in UNIONS:
        return typing.Union[replaced]
    if origin in (list, dict, set, frozenset, tuple):
        return types.GenericAlias(typing.cast('type', origin), replaced)
    if isinstance(origin, (type, *ALIASES)):
        return typing.cast('Any', origin)[replaced]
    return replaced[0]
