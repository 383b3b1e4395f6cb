"""Objects with fields: dataclasses, attrs classes, named tuples and TypedDicts, made of what JSON gave."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

from dapr.ext.workflow._durabletask.internal.payloads import DataConversionError
from dapr.ext.workflow.values.hints import hints_of
from dapr.ext.workflow.values.models import attrs_fields
from dapr.ext.workflow.values.scalars import misfit

__all__ = ['NamedTupleReader', 'RecordReader', 'TypedDictReader', 'fields_in']

Reader = Callable[[Any], Any]


def fields_in(value: Any, expected: str) -> dict[str, Any]:
    """The keys and values of an object, marked as one or not."""
    if type(value) is SimpleNamespace:
        return vars(value)
    if type(value) is not dict:
        raise misfit(f'an object for {expected}', value)
    return value


def _as_it_is(value: Any) -> Any:
    return value


class _Field(NamedTuple):
    key: str
    argument: str
    read: Reader
    is_required: bool


class ObjectReader:
    """What reads objects as a class with fields. The fields are looked up when they are first needed.

    Args:
        cls: The class.
        annotation: The class, or it with arguments.
        reader_of: Gives the reader of a type; None: its values stay as they are.
    """

    def __init__(self, cls: Any, annotation: Any, reader_of: Callable[[Any], Reader | None]) -> None:
        self._cls = cls
        self._find_reader = reader_of
        self._annotation = annotation
        self._fields: list[_Field] | None = None

    def __call__(self, value: Any) -> Any:
        raise NotImplementedError

    def fields(self) -> list[_Field]:
        found = self._fields
        if found is None:
            found = self._fields = self._find_fields(hints_of(self._cls, self._annotation))
        return found

    def keys(self) -> frozenset[str]:
        """The keys that it knows."""
        return frozenset(field.key for field in self.fields())

    def _find_fields(self, hints: dict[str, Any]) -> list[_Field]:
        raise NotImplementedError

    def _reader_of(self, annotation: Any) -> Reader:
        return self._find_reader(annotation) or _as_it_is

    def _arguments(self, found: dict[str, Any]) -> dict[str, Any]:
        arguments = {}
        for key, argument, read, is_required in self._fields or self.fields():
            if key in found:
                try:
                    arguments[argument] = read(found[key])
                except DataConversionError as error:
                    error.put_under(key)
                    raise
            elif is_required:
                raise DataConversionError(f'expected {self._cls.__name__}, which needs {key!r}, got {_keys(found)}')
        return arguments

    def _built(self, build: Callable[[], Any]) -> Any:
        try:
            return build()
        except DataConversionError:
            raise
        except Exception as error:  # what its own code says of what it was given
            raise DataConversionError(
                f'expected {self._cls.__name__}, whose constructor raised {type(error).__name__}: {error}'
            ) from error


def _keys(found: dict[str, Any]) -> str:
    return f'an object with {", ".join(map(repr, found))}' if found else 'an object without keys'


class RecordReader(ObjectReader):
    """Dataclasses and attrs classes."""

    def __call__(self, value: Any) -> Any:
        arguments = self._arguments(fields_in(value, self._cls.__name__))
        return self._built(lambda: self._cls(**arguments))

    def _find_fields(self, hints: dict[str, Any]) -> list[_Field]:
        of_attrs = attrs_fields(self._cls)
        if of_attrs is not None and not dataclasses.is_dataclass(self._cls):
            return [
                _Field(
                    field.name,
                    getattr(field, 'alias', None) or field.name.lstrip('_'),
                    self._reader_of(hints.get(field.name, field.type or Any)),
                    field.default is _attrs_nothing(),
                )
                for field in of_attrs
                if field.init
            ]
        return [
            _Field(
                field.name,
                field.name,
                self._reader_of(hints.get(field.name, Any)),
                field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
            )
            for field in dataclasses.fields(self._cls)
            if field.init
        ]


def _attrs_nothing() -> Any:
    import attr  # there already: a class is of it

    return attr.NOTHING


class NamedTupleReader(ObjectReader):
    """Named tuples: an object as a whole payload, a list inside something else."""

    def __call__(self, value: Any) -> Any:
        fields = self.fields()
        if type(value) is list:
            if len(value) > len(fields):
                raise DataConversionError(
                    f'expected a list of {len(fields)} for {self._cls.__name__}, got one of {len(value)}'
                )
            found = {field.key: item for field, item in zip(fields, value, strict=False)}
            try:
                arguments = self._arguments(found)
            except DataConversionError as error:
                keys = [field.key for field in fields]
                key = str(error.path[0]) if error.path else ''
                if key in keys:
                    error.path = error.path[1:]
                    error.put_under(keys.index(key))
                raise
        else:
            arguments = self._arguments(fields_in(value, self._cls.__name__))
        return self._built(lambda: self._cls(**arguments))

    def _find_fields(self, hints: dict[str, Any]) -> list[_Field]:
        defaults = self._cls._field_defaults
        return [
            _Field(name, name, self._reader_of(hints.get(name, Any)), name not in defaults)
            for name in self._cls._fields
        ]


class TypedDictReader(ObjectReader):
    """TypedDicts. Keys that it does not have stay as they are: it is a dict."""

    def __call__(self, value: Any) -> Any:
        found = fields_in(value, self._cls.__name__)
        return {**found, **self._arguments(found)}

    def _find_fields(self, hints: dict[str, Any]) -> list[_Field]:
        required = self._cls.__required_keys__
        fields = []
        for name, hint in hints.items():
            is_required = name in required
            # Where annotations are text, the class itself cannot tell.
            marks = _qualifiers_of(self._cls, name)
            if 'NotRequired[' in marks:
                is_required = False
            elif 'Required[' in marks:
                is_required = True
            fields.append(_Field(name, name, self._reader_of(hint), is_required))
        return fields


def _qualifiers_of(cls: Any, name: str) -> str:
    for base in (cls, *getattr(cls, '__orig_bases__', ())):
        annotation = getattr(base, '__annotations__', {}).get(name)
        if annotation is not None:
            return getattr(annotation, '__forward_arg__', None) or str(annotation)
    return ''
