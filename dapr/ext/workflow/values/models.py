"""Models of pydantic's, and whatever has its `model_dump` and `model_validate`; attrs classes are found here, too.

pydantic's own models are written and read as JSON, both by alias: so whatever pydantic itself takes back comes back,
strict models, too. Histories of `dapr` 1.19.0 have models by the names of their fields, and are still read where
pydantic can (2.11 and later). What a class overrides is heeded. Other classes with these methods are asked as before.

Neither library is imported: a class that is of it has done that.
"""

from __future__ import annotations

import inspect
import json
import sys
import typing
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from weakref import WeakKeyDictionary

from dapr.ext.workflow._durabletask.internal.json_codec import AUTO_SERIALIZED, is_model_class
from dapr.ext.workflow._durabletask.internal.payloads import DataConversionError

__all__ = ['attrs_fields', 'dump', 'is_model_class', 'is_pydantic', 'model_reader', 'text_reader', 'unfit']

Reader = Callable[[Any], Any]


def is_pydantic(cls: Any) -> bool:
    """Whether the class is a model of pydantic 2's."""
    pydantic = sys.modules.get('pydantic')
    base = getattr(pydantic, 'BaseModel', None)
    # Not isinstance: to Python 3.10 `list[int]` is one of type.
    return issubclass(type(cls), type) and isinstance(base, type) and issubclass(cls, base) and is_model_class(cls)


# What each class's `model_dump` is called with.
_dump_options: WeakKeyDictionary[type, dict[str, Any]] = WeakKeyDictionary()


def dump(model: Any) -> Any:
    """What a model becomes: values that JSON has, or that can be encoded in turn."""
    cls = type(model)
    options = _dump_options.get(cls)
    if options is None:
        options = _dump_options[cls] = _options_of(model)
    return model.model_dump(**options)


def _options_of(model: Any) -> dict[str, Any]:
    try:
        parameters = inspect.signature(model.model_dump).parameters
    except (TypeError, ValueError):
        return {'mode': 'json'}
    is_open = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    options: dict[str, Any] = {}
    # A model of another make may not know the words; asked for JSON, pydantic turns dates and the like into text.
    if is_open or 'mode' in parameters:
        options['mode'] = 'json'
    if is_pydantic(type(model)) and (is_open or 'by_alias' in parameters):
        options['by_alias'] = True
    return options


def model_reader(cls: Any) -> Reader:
    """What makes models of a class of what `from_json` has given."""
    if is_pydantic(cls) and not _overrides(cls, 'model_validate'):
        validate = _json_validator(cls)
        return lambda value: value if isinstance(value, cls) else validate(json.dumps(_plain_dicts(value)))
    return lambda value: value if isinstance(value, cls) else cls.model_validate(_plain_dicts(value))


def _json_validator(cls: Any) -> Callable[[str], Any]:
    """What makes models of pydantic's of the text of a payload.

    Raises (when it is called):
        pydantic.ValidationError: The text does not say what the model must be.
    """
    validate = cls.model_validate_json
    options = _by_both(validate)

    def read(text: str) -> Any:
        try:
            return validate(text, **options)
        except ValueError as error:
            # A model that refuses what it does not know refuses its own computed fields, which stand in its dump.
            lighter = _without_computed(cls, text, error)
            if lighter is None:
                raise
            return validate(lighter, **options)

    return read


def text_reader(annotation: Any) -> Callable[[str], Any] | None:
    """What reads the text of a payload at once, where pydantic can: for models, and lists and dicts of them.

    It gives None where a model inside does not fit: whoever asks looks for it by themselves. A model that is the whole
    payload raises its own error.

    Returns:
        It; None: there is none.
    """
    if is_pydantic(annotation) and not _overrides(annotation, 'model_validate'):
        return _json_validator(annotation)
    cls, depth = annotation, 0
    while typing.get_origin(cls) in (list, dict):
        arguments = typing.get_args(cls)
        if typing.get_origin(cls) is dict and arguments[0] is not str:
            return None
        cls, depth = arguments[-1], depth + 1
    if depth == 0 or not is_pydantic(cls) or _overrides(cls, 'model_validate'):
        return None
    validate = sys.modules['pydantic'].TypeAdapter(annotation).validate_json
    options = _by_both(validate)

    def read(text: str) -> Any:
        try:
            return validate(text, **options)
        except ValueError:
            return None

    return read


def _by_both(validate: Callable[..., Any]) -> dict[str, bool]:
    """The options by which fields are found by alias and by name, where this pydantic has them."""
    try:
        takes_names = 'by_name' in inspect.signature(validate).parameters
    except (TypeError, ValueError):
        takes_names = False
    return {'by_alias': True, 'by_name': True} if takes_names else {}


def unfit(error: ValueError, cls: Any) -> DataConversionError:
    """What a model says of a value inside a payload, as the error of the payload."""
    return DataConversionError(f'expected {cls.__name__}: {error}')


def _plain_dicts(value: Any) -> Any:
    """The value with a dict for each SimpleNamespace: the form that a model is made of."""
    if isinstance(value, SimpleNamespace):
        value = vars(value)
    if isinstance(value, dict):
        return {key: _plain_dicts(item) for key, item in value.items() if key != AUTO_SERIALIZED}
    if isinstance(value, list):
        return [_plain_dicts(item) for item in value]
    return value


def attrs_fields(cls: Any) -> tuple[Any, ...] | None:
    """The fields of a class that attrs has made; None: it has not."""
    if 'attr' not in sys.modules or not issubclass(type(cls), type):
        return None
    fields: tuple[Any, ...] | None = getattr(cls, '__attrs_attrs__', None)
    return fields


def _overrides(cls: Any, name: str) -> bool:
    base: Any = sys.modules['pydantic'].BaseModel
    return getattr(getattr(cls, name), '__func__', None) is not getattr(base, name).__func__


def _without_computed(cls: Any, text: str, error: ValueError) -> str | None:
    """The text without the computed fields that a model has complained of; None when it complains of something else."""
    errors = getattr(error, 'errors', None)
    if not callable(errors):
        return None
    computed = {name for model in _models_in(cls, set()) for name in _computed_names(model)}
    complaints = errors()
    if not computed or not all(
        complaint['type'] == 'extra_forbidden' and complaint['loc'][-1] in computed for complaint in complaints
    ):
        return None
    value = json.loads(text)
    for complaint in complaints:
        _drop(value, complaint['loc'])
    return json.dumps(value)


def _drop(value: Any, place: tuple[str | int, ...]) -> None:
    # Between the keys stand words of pydantic's, such as the member of a union: what is not there is passed over.
    for key in place[:-1]:
        if isinstance(value, dict):
            value = value.get(key, value)
        elif isinstance(value, list) and isinstance(key, int):
            value = value[key]
    if isinstance(value, dict):
        value.pop(place[-1], None)


def _computed_names(model: Any) -> Iterator[str]:
    for name, field in getattr(model, 'model_computed_fields', {}).items():
        yield getattr(field, 'alias', None) or name


def _models_in(annotation: Any, seen: set[Any]) -> set[Any]:
    if is_pydantic(annotation):
        if annotation not in seen:
            seen.add(annotation)
            for field in annotation.model_fields.values():
                _models_in(field.annotation, seen)
    else:
        for argument in typing.get_args(annotation):
            _models_in(argument, seen)
    return seen
