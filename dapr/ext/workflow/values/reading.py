"""What a payload says, as the type that an annotation asks for.

A reader is made once for each type and kept: a function of what `from_json` gives. What it cannot read is a
`DataConversionError` with the place in the value; nothing is changed that would have to be guessed. The rules:

- Scalars of JSON's must be what they are said to be. An int may stand for a float, and stays one; a whole float (other
  languages write 5.0) is read as the int where that is asked for; bool is none of both.
- null stands for None alone, except as a whole payload: that is no value, whatever the annotation.
- Objects: keys that a class does not have are passed over, so that older code reads what newer code has written;
  missing ones take the field's default, or are an error. What a class sets by itself (`init=False`) is not read.
- Unions: from left to right, the first that fits. A number or a bool goes to the member of exactly its type, and an
  object to a member that has all of its keys, where there is one.
- `Annotated` counts for what it annotates; a `NewType`, an alias, a bound or restricted type likewise.
- Anything else (a class of the app's, `Any`, a type variable) is left as it is without an annotation.
"""

from __future__ import annotations

import collections
import collections.abc
import dataclasses
import enum
import functools
import typing
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, Final

import typing_extensions

from dapr.ext.workflow._durabletask.internal.payloads import DataConversionError
from dapr.ext.workflow.values.hints import ALIASES, UNIONS, substituted
from dapr.ext.workflow.values.models import attrs_fields, is_model_class, is_pydantic, model_reader, unfit
from dapr.ext.workflow.values.objects import NamedTupleReader, RecordReader, TypedDictReader, fields_in
from dapr.ext.workflow.values.scalars import misfit, scalar_reader, shown

__all__ = ['reader_of']

Reader = Callable[[Any], Any]

_NONE: Final = type(None)
_QUALIFIERS: Final = (
    typing_extensions.Annotated,
    typing_extensions.Required,
    typing_extensions.NotRequired,
    typing_extensions.ReadOnly,
    typing.ClassVar,
    typing.Final,
)
_SEQUENCES: Final[Mapping[Any, Callable[[list[Any]], Any]]] = {
    list: list,
    collections.abc.Sequence: list,
    collections.abc.MutableSequence: list,
    collections.abc.Iterable: list,
    collections.abc.Collection: list,
    set: set,
    collections.abc.Set: set,
    collections.abc.MutableSet: set,
    frozenset: frozenset,
    collections.deque: collections.deque,
}
_MAPPINGS: Final[Mapping[Any, Callable[[dict[Any, Any]], Any]]] = {
    dict: dict,
    collections.abc.Mapping: dict,
    collections.abc.MutableMapping: dict,
    collections.OrderedDict: collections.OrderedDict,
    collections.Counter: collections.Counter,
}


def reader_of(annotation: Any) -> Reader | None:
    """What reads values of a type; None: they are left as they are.

    Args:
        annotation: The type, with all its names resolved.
    """
    try:
        return _cached(annotation, repr(annotation))
    except TypeError:  # cannot be hashed
        return _new_reader(annotation)


def _as_it_is(value: Any) -> Any:
    return value


def _or_as_it_is(annotation: Any) -> Reader:
    return reader_of(annotation) or _as_it_is


def _new_reader(annotation: Any) -> Reader | None:
    if annotation is None or annotation is _NONE:
        return _read_none
    if annotation is Any or annotation is object:
        return None
    while hasattr(annotation, '__supertype__'):  # a NewType
        annotation = annotation.__supertype__
    if isinstance(annotation, ALIASES):
        return _later(annotation.__value__)
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin in _QUALIFIERS:
        return reader_of(arguments[0]) if arguments else None
    if isinstance(origin, ALIASES):
        parameters = dict(zip(origin.__type_params__, arguments, strict=False))
        return _later(substituted(origin.__value__, parameters))
    if origin in UNIONS:
        return _union_reader(arguments)
    if origin in (typing.Literal, typing_extensions.Literal):
        return _literal_reader(arguments)
    cls = origin or annotation
    return _class_reader(cls, annotation, arguments) if isinstance(cls, type) else None


@functools.lru_cache(maxsize=2048)
def _cached(annotation: Any, text: str) -> Reader | None:
    # Unions are equal whatever the order of their members, which counts here: hence the text.
    return _new_reader(annotation)


def _later(annotation: Any) -> Reader:
    """A reader that is made when it is first used: types may be made of themselves."""
    reader: Reader | None = None

    def read(value: Any) -> Any:
        nonlocal reader
        if reader is None:
            reader = _or_as_it_is(annotation)
        return reader(value)

    return read


def _class_reader(cls: type, annotation: Any, arguments: tuple[Any, ...]) -> Reader | None:
    scalar = _SCALARS.get(cls)
    if scalar is not None:
        return scalar
    if is_model_class(cls):
        return _inner_model_reader(annotation if is_pydantic(annotation) else cls)
    if issubclass(cls, enum.Enum):
        return _enum_reader(cls)
    if cls is tuple:
        return _tuple_reader(arguments)
    if cls in _SEQUENCES:
        return _sequence_reader(cls, _SEQUENCES[cls], arguments)
    if cls in _MAPPINGS or cls is collections.defaultdict:
        return _mapping_reader(cls, arguments)
    if typing_extensions.is_typeddict(cls):
        return TypedDictReader(cls, annotation, reader_of)
    if issubclass(cls, tuple) and hasattr(cls, '_fields'):
        return NamedTupleReader(cls, annotation, reader_of)
    if dataclasses.is_dataclass(cls) or attrs_fields(cls) is not None:
        return RecordReader(cls, annotation, reader_of)
    return scalar_reader(cls)


# Scalars of JSON's


def _read_none(value: Any) -> None:
    if value is not None:
        raise misfit('null', value)


def _read_str(value: Any) -> str:
    if type(value) is not str:
        raise misfit('str', value)
    return value


def _read_bool(value: Any) -> bool:
    if type(value) is not bool:
        raise misfit('bool', value)
    return value


def _read_int(value: Any) -> int:
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(value)
    raise misfit('int', value)


def _read_float(value: Any) -> float:
    if type(value) is float or type(value) is int:  # an int is a float to type checkers, and it was sent as one
        return value
    raise misfit('float', value)


_SCALARS: Final[Mapping[Any, Reader]] = {str: _read_str, bool: _read_bool, int: _read_int, float: _read_float}


# Containers


def _items(read: Reader, values: list[Any]) -> list[Any]:
    try:
        return [read(value) for value in values]
    except DataConversionError:
        # Once more, to see where: what can be read costs nothing for it.
        for index, value in enumerate(values):
            try:
                read(value)
            except DataConversionError as error:
                error.put_under(index)
                raise
        raise


def _listed(value: Any, expected: str) -> list[Any]:
    if type(value) is not list:
        raise misfit(expected, value)
    return value


def _sequence_reader(cls: type, build: Callable[[list[Any]], Any], arguments: tuple[Any, ...]) -> Reader:
    read = reader_of(arguments[0]) if arguments else None
    expected = f'a list for {cls.__name__}' if build is not list else 'a list'

    def read_sequence(value: Any) -> Any:
        values = _listed(value, expected)
        if read is not None:
            values = _items(read, values)
        elif build is list:
            return values
        try:
            return values if build is list else build(values)
        except TypeError as error:
            raise DataConversionError(f'expected {cls.__name__}, got items that it cannot hold: {error}') from None

    return read_sequence


def _tuple_reader(arguments: tuple[Any, ...]) -> Reader:
    if not arguments or (len(arguments) == 2 and arguments[1] is Ellipsis):
        return _sequence_reader(tuple, tuple, arguments[:1])
    readers = [_or_as_it_is(argument) for argument in arguments if argument != ()]

    def read_tuple(value: Any) -> Any:
        values = _listed(value, f'a list of {len(readers)} for tuple')
        if len(values) != len(readers):
            raise DataConversionError(f'expected a list of {len(readers)} for tuple, got one of {len(values)}')
        return tuple(_under(index, read, item) for index, (read, item) in enumerate(zip(readers, values, strict=True)))

    return read_tuple


def _under(key: str | int, read: Reader, value: Any) -> Any:
    try:
        return read(value)
    except DataConversionError as error:
        error.put_under(key)
        raise


def _mapping_reader(cls: type, arguments: tuple[Any, ...]) -> Reader:
    if cls is collections.Counter:
        arguments = (*arguments[:1], int)
    read_key = _key_reader(arguments[0]) if arguments else None
    read = reader_of(arguments[1]) if len(arguments) > 1 else None
    build: Callable[[dict[Any, Any]], Any]
    if cls is collections.defaultdict:
        factory = typing.get_origin(arguments[1]) or arguments[1] if len(arguments) > 1 else None
        build = functools.partial(collections.defaultdict, factory if callable(factory) else None)
    else:
        build = _MAPPINGS[cls]

    def read_mapping(value: Any) -> Any:
        found = fields_in(value, cls.__name__)
        if read_key is None and read is None:
            return found if build is dict else build(found)
        pairs: dict[Any, Any] = {}
        try:
            for key, item in found.items():
                read_as = key if read_key is None else read_key(key)
                pairs[read_as] = item if read is None else read(item)
        except DataConversionError as error:
            error.put_under(key)
            raise
        return pairs if build is dict else build(pairs)

    return read_mapping


def _key_reader(annotation: Any) -> Reader | None:
    """What reads the keys of an object, which are text, as keys of a type; None: they stay text."""
    if annotation is str:
        return None
    read = reader_of(annotation)
    if read is None:
        return None

    def read_key(key: str) -> Any:
        try:
            return read(key)
        except DataConversionError as error:
            # What json writes for keys that are no text: 1, 1.5, true, null.
            for text, value in (('true', True), ('false', False), ('null', None)):
                if key == text:
                    return read(value)
            for number in (int, float):
                try:
                    return read(number(key))
                except (ValueError, ArithmeticError):
                    continue
            raise error

    return read_key


# Enumerations, literals and unions


def _enum_reader(cls: type[enum.Enum]) -> Reader:
    # A value may be of a type that goes out as another: a tuple as a list, a date as text.
    by_json: dict[str, enum.Enum] = {}

    def read_enum(value: Any) -> Any:
        try:
            return cls(value)
        except (ValueError, TypeError):
            pass
        if not by_json:
            from dapr.ext.workflow.values.writing import json_of  # it need not be known to read anything else

            by_json.update({json_of(member.value): member for member in cls})
        from dapr.ext.workflow.values.writing import json_of

        member = by_json.get(json_of(value))
        if member is None:
            raise misfit(f'{cls.__name__} ({_choice(member.value for member in cls)})', value)
        return member

    return read_enum


def _literal_reader(choices: tuple[Any, ...]) -> Reader:
    def read_literal(value: Any) -> Any:
        for choice in choices:
            if isinstance(choice, enum.Enum):
                if value == choice.value:
                    return choice
            elif type(choice) is type(value) and choice == value:
                return choice
        raise misfit(f'one of {_choice(choices)}', value)

    return read_literal


def _choice(values: typing.Iterable[Any]) -> str:
    shown_values = [repr(value) for value in values]
    return ', '.join(shown_values[:10]) + (', ...' if len(shown_values) > 10 else '')


def _union_reader(members: tuple[Any, ...]) -> Reader | None:
    if any(member is Any or member is object for member in members):
        return None
    readers = [reader_of(member) for member in members]
    if None in readers:  # one of them is anything
        return None
    known = [(member, reader) for member, reader in zip(members, readers, strict=True) if reader is not None]
    is_optional = _NONE in members
    known = [(member, reader) for member, reader in known if member is not _NONE]
    if is_optional and len(known) == 1:
        only = known[0][1]
        return lambda value: None if value is None else only(value)
    exact = {member: reader for member, reader in known if member in (int, float, bool)}
    keys = {id(reader): keys for _, reader in known if (keys := _keys_of(reader)) is not None}

    def read_union(value: Any) -> Any:
        if value is None and is_optional:
            return None
        reader = exact.get(type(value))
        if reader is not None:
            return reader(value)
        ordered = known
        if len(keys) > 1 and type(value) in (dict, SimpleNamespace):
            given = (vars(value) if type(value) is SimpleNamespace else value).keys()
            ordered = sorted(known, key=lambda pair: len(given - keys[id(pair[1])]()) if id(pair[1]) in keys else 0)
        faults = []
        for member, reader in ordered:
            try:
                return reader(value)
            except DataConversionError as error:
                faults.append((member, error))
        told = '; '.join(f'{_name(member)}: {error}' for member, error in faults)
        raise DataConversionError(f'expected one of {", ".join(map(_name, members))}, got {shown(value)} ({told})')

    return read_union


def _keys_of(reader: Any) -> Callable[[], frozenset[str]] | None:
    return getattr(reader, 'keys', None)


def _name(annotation: Any) -> str:
    if annotation is _NONE:
        return 'null'
    return annotation.__name__ if issubclass(type(annotation), type) else str(annotation).replace('typing.', '')


# Models


def _inner_model_reader(cls: Any) -> Reader:
    read = model_reader(cls)

    def read_model(value: Any) -> Any:
        if value is None:
            raise misfit(cls.__name__, value)
        try:
            return read(value)
        except DataConversionError:
            raise
        except ValueError as error:
            raise unfit(error, cls) from error

    if is_pydantic(cls):
        names = frozenset(
            key
            for name, field in cls.model_fields.items()
            for key in (name, field.alias, field.validation_alias)
            if isinstance(key, str)
        )
        read_model.keys = lambda: names  # type: ignore[attr-defined]
    return read_model
