"""Models (anything with `model_dump` and `model_validate`) under the names that packages import from here.

The engine does not use them: how it reads and writes models is in `_durabletask.internal.json_codec`.
"""

from __future__ import annotations

import contextlib
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, cast

from dapr.ext.workflow._durabletask.internal.json_codec import is_model, is_model_class

__all__ = ['coerce_to_model', 'dump_model', 'is_model', 'is_model_class', 'resolve_input']


def dump_model(model: Any) -> Any:
    """What a model has to say, as values that JSON has.

    Raises:
        TypeError: It is no model.
    """
    if not is_model(model):
        raise TypeError(f'Expected a model-like object with model_dump/model_validate, got {type(model).__name__}')
    names: Mapping[str, inspect.Parameter] = {}
    with contextlib.suppress(TypeError, ValueError):
        names = inspect.signature(model.model_dump).parameters
    takes_mode = 'mode' in names or any(parameter.kind is parameter.VAR_KEYWORD for parameter in names.values())
    return model.model_dump(mode='json') if takes_mode else model.model_dump()


def coerce_to_model(value: Any, cls: type) -> Any:
    """The model that a decoded payload stands for.

    Args:
        value: A dict, a SimpleNamespace, or a model already.
        cls: The model's class.

    Raises:
        TypeError: The class is no model's, or the value is none of these.
        Exception: Whatever `model_validate` raises about a value that is no such model.
    """
    if not is_model_class(cls):
        raise TypeError(f'{cls!r} is not a model class (no model_dump/model_validate)')
    if isinstance(value, cls):
        return value
    if not isinstance(value, (dict, SimpleNamespace)):
        raise TypeError(
            f'Cannot coerce value of type {type(value).__name__} into {cls.__name__}; expected a dict, '
            'SimpleNamespace, or existing model instance.'
        )
    return cast('Any', cls).model_validate(value if isinstance(value, dict) else vars(value))


def resolve_input(fn: Callable[..., Any]) -> tuple[bool, type | None]:
    """Whether a workflow or an activity takes an input beside its context, and the model that it is annotated with."""
    try:
        parameters = list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):
        return False, None
    if len(parameters) < 2:
        return False, None
    try:
        annotation = typing.get_type_hints(fn).get(parameters[1].name)
    except Exception:  # a name that exists for type checkers alone
        annotation = parameters[1].annotation
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        annotation, *more = [each for each in typing.get_args(annotation) if each is not type(None)] or [None]
        annotation = None if more else annotation
    return True, annotation if is_model_class(annotation) else None
