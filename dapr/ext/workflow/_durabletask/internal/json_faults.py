"""Which value could not be encoded as JSON, and where in it: for the errors of calls."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from dapr.ext.workflow._durabletask.task import Task

_DEEPEST = 50


def not_encodable(what: str, value: Any, error: Exception, encode: Callable[[Any], object]) -> Exception:
    """An error like the one that encoding raised, of its type, that says which value it was and where in it.

    Args:
        what: The value, as in "input of call_activity('pay')".
        value: The value.
        error: What encoding it raised. One of a type that is not the encoder's own is given back as it is.
        encode: What encodes values, or raises.
    """
    if type(error) not in (TypeError, ValueError, RecursionError):
        return error
    path, fault = _fault(value, encode)
    where = f', at {path},' if path else ''
    if isinstance(fault, Task):
        whole = '' if path else 'is a task, not a result: '
        return TypeError(f"The {what}{where} {whole or 'is a task: '}{fault!r}. Did you forget 'yield'?")
    return type(error)(f'The {what}{where} cannot be encoded as JSON: {error}')


def _fault(value: Any, encode: Callable[[Any], object]) -> tuple[str, Any]:
    path = ''
    for _ in range(_DEEPEST):
        for step, part in _parts(value):
            if not _encodes(part, encode):
                path, value = path + step, part
                break
        else:
            break
    return path, value


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield f'[{key!r}]', part
    elif isinstance(value, (list, tuple)):
        for index, part in enumerate(value):
            yield f'[{index}]', part
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield f'.{field.name}', getattr(value, field.name)


def _encodes(part: Any, encode: Callable[[Any], object]) -> bool:
    try:
        encode(part)
    except Exception:
        return False
    return True
