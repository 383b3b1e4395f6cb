"""Values to JSON.

The standard library's encoder does the work, and asks only about what it does not know: for plain JSON nothing is added
to it. Only when it refuses is the value walked through by hand, to find out where the fault is, or to write what it
takes for one: keys that are dates and the like, and floats that are no numbers.

What the forms of `dapr` 1.19.0 are, its own encoder says (`InternalJSONEncoder`): this one extends it.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import math
from collections import deque
from collections.abc import Mapping, Set
from enum import Enum
from types import SimpleNamespace
from typing import Any, Final
from weakref import WeakKeyDictionary

from dapr.ext.workflow._durabletask.internal.json_codec import (
    AUTO_SERIALIZED,
    InternalJSONEncoder,
    is_model,
)
from dapr.ext.workflow._durabletask.internal.payloads import where
from dapr.ext.workflow.values.models import attrs_fields, dump
from dapr.ext.workflow.values.scalars import TEXT_OF

__all__ = ['Encoder', 'encode_exactly']

_MISSING: Final = object()
_EXACT: Final = frozenset((str, int, float, bool, type(None)))

_WHAT_TO_DO: Final = (
    'Inputs, results, event data and custom states of workflows and activities travel as JSON: give a str, number, '
    'bool, None, list or dict, a dataclass, a named tuple, an enum, a date or time, a Decimal, UUID, path, bytes, set '
    'or tuple, a pydantic model, an attrs class, or what holds such values; convert anything else first (as in '
    'str(an_address), dict(headers)).'
)

Path = tuple[str | int, ...]


class Encoder(InternalJSONEncoder):
    """The encoder of `dapr` 1.19.0's payloads, which knows more types."""

    def default(self, obj: Any) -> Any:
        value = _stand_in(obj)
        return super().default(obj) if value is _MISSING else value


def encode_exactly(value: Any, *, allow_nan: bool, logger: logging.Logger) -> str:
    """The JSON of a value that the encoder has refused at first.

    Args:
        value: The value.
        allow_nan: Whether NaN and the infinities are written as Python and `dapr` 1.19.0 write them.
        logger: Where that is told, once for each place: it is not JSON to others.

    Raises:
        TypeError: Something in it cannot be encoded; the message says where it is.
        ValueError: It contains itself, or a number that cannot be written; the message says where.
    """
    odd: list[Path] = []
    plain = _Walk(odd).plain(value, (), False)
    if odd and not allow_nan:
        raise ValueError(
            f'NaN and the infinities are not JSON, and this converter refuses them{_at(odd[0])}: send None or a text '
            'in their place, or make it with allow_nan=True.'
        )
    if odd:
        _tell_of_nan(logger, where(odd[0]))
    return json.dumps(plain)


_told: set[str] = set()


def _tell_of_nan(logger: logging.Logger, place: str) -> None:
    if place not in _told and len(_told) < 100:
        _told.add(place)
        logger.warning(
            'A payload has NaN or an infinity%s. It is written as Python writes it, which is not JSON: Python reads '
            'it, other languages and tools may not. Send None or a text in its place; '
            'JsonDataConverter(allow_nan=False) makes it an error.',
            f' at {place}' if place else '',
        )


def _stand_in(obj: Any) -> Any:
    """What goes out in the place of a value of a type that `dapr` 1.19.0 does not know, or knows otherwise."""
    text_of = TEXT_OF.get(type(obj))
    if text_of is not None:
        return text_of(obj)
    if is_model(obj):
        return dump(obj)
    if isinstance(obj, Enum):
        return obj.value
    for cls in type(obj).__mro__:
        text_of = TEXT_OF.get(cls)
        if text_of is not None:
            return text_of(obj)
    if isinstance(obj, Set) and not isinstance(obj, (str, Mapping)):
        return _ordered(obj)
    if isinstance(obj, deque):
        return list(obj)
    if isinstance(obj, Mapping):
        return dict(obj)
    fields = attrs_fields(type(obj))
    if fields is not None:
        return {field.name: getattr(obj, field.name) for field in fields}
    if dataclasses.is_dataclass(obj) and not isinstance(obj, type):
        return {**_fields_of(obj), AUTO_SERIALIZED: True}
    return _MISSING


def _ordered(values: Any) -> list[Any]:
    """A set as a list: in the same order in each process, so that a replay writes what was written."""
    kinds = {type(value) for value in values}
    if len(kinds) == 1 and kinds <= {str, int}:
        return sorted(values)
    return sorted(values, key=lambda value: json.dumps(value, cls=Encoder))


# The names of each dataclass's fields.
_field_names: WeakKeyDictionary[type, tuple[str, ...]] = WeakKeyDictionary()


def _fields_of(obj: Any) -> dict[str, Any]:
    """The fields of a dataclass: what `dataclasses.asdict` gives, for JSON, without copies of everything."""
    cls = type(obj)
    names = _field_names.get(cls)
    if names is None:
        names = _field_names[cls] = tuple(field.name for field in dataclasses.fields(cls))
    return {name: _without_markers(getattr(obj, name)) for name in names}


def _without_markers(value: Any) -> Any:
    kind = type(value)
    if kind in _EXACT or kind in TEXT_OF:
        return value
    if hasattr(kind, '__dataclass_fields__'):
        return _fields_of(value)
    if isinstance(value, (list, tuple)):
        return [_without_markers(item) for item in value]
    if isinstance(value, dict):
        return {_without_markers(key): _without_markers(item) for key, item in value.items()}
    return value


class _Walk:
    """One walk through a value: it gives what JSON has for it, or says where there is nothing.

    Args:
        odd: Takes the places of numbers that are none.
    """

    def __init__(self, odd: list[Path]) -> None:
        self._odd = odd
        self._open: set[int] = set()

    def plain(self, value: Any, path: Path, in_dataclass: bool) -> Any:
        """The value as dicts with text for keys, lists, texts and numbers. What a dataclass holds has no markers."""
        kind = type(value)
        if kind in _EXACT or isinstance(value, (str, int, float)):
            return self._scalar(value, path)
        if id(value) in self._open:
            raise ValueError(f'Circular reference detected: it contains itself{_at(path)}.')
        self._open.add(id(value))
        try:
            return self._compound(value, path, in_dataclass)
        finally:
            self._open.discard(id(value))

    def _scalar(self, value: Any, path: Path) -> Any:
        if isinstance(value, float) and not math.isfinite(value):
            self._odd.append(path)
        elif isinstance(value, int) and not isinstance(value, bool):
            try:
                int.__repr__(value)
            except ValueError as error:
                raise ValueError(f'{error}{_at(path)}') from None
        return value

    def _compound(self, value: Any, path: Path, in_dataclass: bool) -> Any:
        if isinstance(value, tuple) and hasattr(value, '_asdict') and not path:
            return self._object({**value._asdict(), AUTO_SERIALIZED: True}, path, False)
        if isinstance(value, dict):
            return self._object(value, path, in_dataclass)
        if isinstance(value, (list, tuple)):
            return [self.plain(item, (*path, index), in_dataclass) for index, item in enumerate(value)]
        if isinstance(value, SimpleNamespace):
            return self._object({**vars(value), AUTO_SERIALIZED: True}, path, False)
        if dataclasses.is_dataclass(value) and not isinstance(value, type) and not is_model(value):
            fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
            marker = {} if in_dataclass else {AUTO_SERIALIZED: True}
            return self._object({**fields, **marker}, path, True)
        try:
            stand_in = _stand_in(value)
            if stand_in is _MISSING:
                raise TypeError(f'Object of type {type(value).__name__} is not JSON serializable. {_WHAT_TO_DO}')
        except RecursionError:
            raise
        except (TypeError, ValueError) as error:
            raise TypeError(_located(str(error), path)) from error
        return self.plain(stand_in, path, in_dataclass and not is_model(value))

    def _object(self, value: dict[Any, Any], path: Path, in_dataclass: bool) -> dict[str, Any]:
        plain: dict[str, Any] = {}
        for key, item in value.items():
            text = self._key(key, path)
            plain[text] = self.plain(item, (*path, text), in_dataclass)
        return plain

    def _key(self, key: Any, path: Path) -> str:
        if isinstance(key, Enum):
            key = key.value
        if isinstance(key, str):
            return str.__str__(key)
        if key is None or isinstance(key, (bool, int, float)):
            if isinstance(key, float) and not math.isfinite(key):
                return str(json.dumps(key))
            return json.dumps(key)
        for cls in type(key).__mro__:
            text_of = TEXT_OF.get(cls)
            if text_of is not None:
                return text_of(key)
        raise TypeError(
            f'keys must be str, int, float, bool or None, an enum of them, or of a type that goes out as one text, not '
            f'{type(key).__name__}{_at(path)}'
        )


def _at(path: Path) -> str:
    return f' (at {where(path)})' if path else ''


def _located(message: str, path: Path) -> str:
    """The message, with the place after its first words."""
    if not path:
        return message
    head, stop, rest = message.partition('. ')
    return f'{head}{_at(path)}{stop}{rest}'


def json_of(value: Any) -> str:
    """The JSON of a value, to compare it by."""
    return Encoder(sort_keys=True).encode(value)
