"""Payloads: Python objects to JSON and back.

The form on the wire is shared with the workers and clients that are out there, and with histories that they wrote:

- Plain JSON values are plain JSON, ASCII only; NaN and the infinities are written as Python writes them.
- Dataclasses and SimpleNamespaces, wherever they are, and a namedtuple that is the whole payload become objects with
  the marker `AUTO_SERIALIZED` as their last key, and come back as SimpleNamespaces. What a dataclass holds
  (dataclasses, too) becomes plain objects. A namedtuple inside something else is a list, like every tuple.
- Models, that is anything whose class has `model_dump` and `model_validate` as pydantic's have, become what
  `model_dump` gives for JSON, without a marker. They come back as models where the function that is given them says so
  in its annotation (`decode_input`), else as dicts.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import types
import typing
from collections.abc import Callable
from json.encoder import encode_basestring_ascii
from types import SimpleNamespace
from typing import Any, Final
from weakref import WeakKeyDictionary

AUTO_SERIALIZED: Final = '__durabletask_autoobject__'
"""The key that marks a JSON object as one to become a SimpleNamespace."""


class InternalJSONEncoder(json.JSONEncoder):
    """The encoder of payloads; takes the arguments of `json.JSONEncoder`."""

    def encode(self, obj: Any) -> str:
        """The object as JSON.

        Raises:
            TypeError: Something in it cannot be encoded; the message names its type and says what to do.
            ValueError: It contains itself.
        """
        # Only here can a namedtuple be told from other tuples: the encoder never asks `default` about one.
        if isinstance(obj, tuple) and hasattr(obj, '_asdict'):
            obj = {**obj._asdict(), AUTO_SERIALIZED: True}
        return super().encode(obj)

    def default(self, obj: Any) -> Any:
        """What stands for an object that JSON does not know.

        Raises:
            TypeError: Nothing does; the message names its type and says what to do.
        """
        if is_model(obj):
            return _dump_model(obj)
        if dataclasses.is_dataclass(obj) and not isinstance(obj, type):
            return {**dataclasses.asdict(obj), AUTO_SERIALIZED: True}
        if isinstance(obj, SimpleNamespace):
            return {**vars(obj), AUTO_SERIALIZED: True}
        raise TypeError(
            f'Object of type {type(obj).__name__} is not JSON serializable. Inputs, results, event data and custom '
            'states of workflows and activities travel as JSON: give a str, number, bool, None, list or dict of them, '
            'a dataclass, a namedtuple, a SimpleNamespace, or a model with model_dump and model_validate; convert '
            'anything else first (as in sorted(a_set), a_datetime.isoformat(), str(a_uuid)).'
        )


class InternalJSONDecoder(json.JSONDecoder):
    """The decoder of payloads; takes the arguments of `json.JSONDecoder` but `object_hook`, which is its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs['object_hook'] = self.dict_to_object
        super().__init__(*args, **kwargs)

    def dict_to_object(self, d: dict[str, Any]) -> Any:
        """The SimpleNamespace that a marked object stands for; an object without the marker as it is."""
        if d.pop(AUTO_SERIALIZED, False):
            return SimpleNamespace(**d)
        return d


# One of each for all payloads: making one costs more than most payloads do.
_encode = InternalJSONEncoder().encode
_decoder = InternalJSONDecoder()
_plain_decoder = json.JSONDecoder()
_scan_plain: Callable[[str, int], tuple[Any, int]] = _plain_decoder.scan_once  # type: ignore[attr-defined]


def to_json(obj: Any) -> str:
    """The object as JSON. None is 'null': whether None means no payload at all is the caller's to decide.

    Raises:
        TypeError: Something in it cannot be encoded; the message names its type and says what to do.
        ValueError: It contains itself.
    """
    # What most payloads are, past the encoder's set-up. Exact types only: a subclass may be an enum.
    kind = type(obj)
    if kind is str:
        return encode_basestring_ascii(obj)
    if kind is int:
        return int.__repr__(obj)
    if obj is None:
        return 'null'
    if kind is bool:
        return 'true' if obj else 'false'
    return _encode(obj)


def from_json(json_str: str | bytes | bytearray) -> Any:
    """The object that the JSON stands for.

    Raises:
        ValueError: It is not JSON (`json.JSONDecodeError`).
        TypeError: It is not text at all.
    """
    if type(json_str) is str:
        if AUTO_SERIALIZED in json_str:
            return _decoder.decode(json_str)
        try:
            value, end = _scan_plain(json_str, 0)
        except StopIteration:
            pass
        else:
            if end == len(json_str):
                return value
        # White space around it, or no JSON: the decoder knows what to make of it, or what to say.
        return _plain_decoder.decode(json_str)
    return json.loads(json_str, cls=InternalJSONDecoder)


def not_json(what: str, error: ValueError) -> ValueError:
    """An error like the one that `from_json` raised, of the same type, that says which payload it was.

    Args:
        what: The payload, as in "input of 'order'".
        error: What `from_json` raised.
    """
    if isinstance(error, json.JSONDecodeError):  # some name the type, in policies of retries say
        message = f'The {what} is not JSON, which payloads must be, whoever sends them: {error.msg}'
        return json.JSONDecodeError(message, error.doc, error.pos)
    return ValueError(f'The {what} is not JSON, which payloads must be, whoever sends them: {error}')


# Models


def is_model(obj: Any) -> bool:
    """Whether the object is an instance of a class that can be dumped and validated as pydantic's models can."""
    return not isinstance(obj, type) and is_model_class(type(obj))


def is_model_class(cls: Any) -> bool:
    """Whether the class can be dumped and validated as pydantic's models can."""
    return (
        isinstance(cls, type)
        and callable(getattr(cls, 'model_dump', None))
        and callable(getattr(cls, 'model_validate', None))
    )


def coerce_to_annotation(value: Any, annotation: Any) -> Any:
    """A decoded value as the model that an annotation asks for.

    Models and optional models are made from what JSON gave. None, and values with any other annotation, stay as they
    are: apps that annotate lists or dicts of models make the models themselves, as they had to in dapr 1.19.0.

    Args:
        value: What `from_json` gave.
        annotation: A type with all its names resolved.

    Raises:
        Exception: Whatever `model_validate` raises about a value that is no such model.
    """
    build = _builder(annotation)
    return value if build is None else build(value)


def decode_input(fn: Callable[..., Any], encoded_input: str | None) -> Any:
    """The input of a workflow or an activity, as its function wants it.

    Args:
        fn: The function that is given a context and the input. When the annotation of its second parameter is a model
            (or an optional one), the input becomes that.
        encoded_input: JSON, or None or '' when there is no input.

    Returns:
        The input, or None when there is none.

    Raises:
        ValueError: It is not JSON. The message says which function was to be given it.
        Exception: Whatever `model_validate` raises about an input that is no such model.
    """
    if not encoded_input:
        return None
    try:
        value = from_json(encoded_input)
    except ValueError as error:
        name = getattr(fn, '__name__', None) or type(fn).__name__
        raise not_json(f"input of '{name}'", error) from error
    if value is None:
        return None
    build = _input_builder(fn)
    return value if build is None else build(value)


_Builder = Callable[[Any], Any]

# By the plain function, so that bound methods, made anew at each access, find theirs: (as it is, bound to an object).
_input_builders: WeakKeyDictionary[Any, dict[bool, _Builder | None]] = WeakKeyDictionary()


def _input_builder(fn: Callable[..., Any]) -> _Builder | None:
    function = getattr(fn, '__func__', fn)
    is_bound = function is not fn
    try:
        known = _input_builders.setdefault(function, {})
    except TypeError:  # cannot be hashed, or cannot be referred to weakly
        return _builder(_input_annotation(fn))
    if is_bound not in known:
        known[is_bound] = _builder(_input_annotation(fn))
    return known[is_bound]


def _input_annotation(fn: Callable[..., Any]) -> Any:
    try:
        parameters = list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):  # a builtin that does not say
        return None
    if len(parameters) < 2:
        return None
    parameter = parameters[1]
    if isinstance(parameter.annotation, type):
        return parameter.annotation
    # Only this one is evaluated: the context's often names what exists for type checkers alone.
    holder = SimpleNamespace(__annotations__={'value': parameter.annotation})
    try:
        return typing.get_type_hints(holder, _globals(fn))['value']
    except Exception:
        return None


def _globals(fn: Any) -> dict[str, Any]:
    fn = inspect.unwrap(fn)
    while isinstance(fn, functools.partial):
        fn = inspect.unwrap(fn.func)
    if not inspect.isroutine(fn):
        fn = inspect.unwrap(type(fn).__call__)
    found: dict[str, Any] = getattr(fn, '__globals__', {})
    return found


def _builder(annotation: Any) -> _Builder | None:
    """What makes the annotation's models of a decoded value; None when it asks for none."""
    if is_model_class(annotation):
        return lambda value: _to_model(annotation, value)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        others = [argument for argument in arguments if argument is not type(None)]
        # Of several types, only the value could tell which one is meant: it is left to the function.
        return _builder(others[0]) if len(others) == 1 else None
    return None


def _to_model(cls: Any, value: Any) -> Any:
    if value is None or isinstance(value, cls):
        return value
    return cls.model_validate(_plain(value))


def _plain(value: Any) -> Any:
    """The value with a dict for each SimpleNamespace: the form that a model is made of."""
    if isinstance(value, SimpleNamespace):
        value = vars(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _dump_model(model: Any) -> Any:
    dump = model.model_dump
    try:
        parameters = inspect.signature(dump).parameters
    except (TypeError, ValueError):
        parameters = None
    # Asked for JSON, pydantic turns dates, UUIDs and the like into text. A model of another make may not know the word.
    if parameters is None or 'mode' in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return dump(mode='json')
    return dump()
