"""How values become payloads: what travels between workflows, activities and clients as text."""

from __future__ import annotations

import logging
from collections.abc import Callable
from json.encoder import encode_basestring_ascii
from typing import Any, Final, TypeVar, overload

from dapr.ext.workflow._durabletask.internal.homes import claim
from dapr.ext.workflow._durabletask.internal.json_codec import AUTO_SERIALIZED, from_json
from dapr.ext.workflow._durabletask.internal.payloads import PLAIN, DataConversionError
from dapr.ext.workflow.values.models import text_reader
from dapr.ext.workflow.values.reading import reader_of
from dapr.ext.workflow.values.writing import Encoder, encode_exactly

__all__ = ['DataConversionError', 'DataConverter', 'JsonDataConverter']

claim(__name__, DataConversionError)

T = TypeVar('T')

_logger = logging.getLogger('dapr.workflow.values')


class DataConverter:
    """Turns values into the text that travels, and text into values. Make a class of it for a form of your own.

    One is given to `WorkflowRuntime` and to the clients (`data_converter=`); all apps that call each other need ones
    that understand each other. Inputs, results, the data of events, and outputs go through it. Its methods may be
    called on any thread, and, since workflows are replayed, must always give the same for the same.
    """

    def serialize(self, value: Any) -> str | None:
        """The text of a value.

        Args:
            value: The value. It is never None: that is no payload.

        Returns:
            The text; None: no payload.

        Raises:
            TypeError: It cannot be encoded.
            ValueError: As well.
        """
        raise NotImplementedError

    def deserialize(self, text: str | None, target_type: Any = None) -> Any:
        """The value of a text.

        Args:
            text: The text; None, or an empty one: there is no payload, and the value is None.
            target_type: The type that an annotation, or `return_type` and the like, asks for. None (default): nothing
                is known of it.

        Raises:
            ValueError: It cannot be read.
        """
        raise NotImplementedError


class JsonDataConverter(DataConverter):
    """The converter that is used where none is given: JSON, in the form of `dapr` 1.19.0.

    Values come back as what annotations say: dataclasses, named tuples, TypedDicts, enums, dates and times, Decimal,
    UUID, bytes, sets, tuples, paths, pydantic models, attrs classes, and containers of them. See the guide for the form
    of each.

    Args:
        typed: Whether annotations count. False: as in `dapr` 1.19.0, where they count for the inputs of workflows and
            activities alone, and only where they are pydantic models. Default: True.
        allow_nan: Whether NaN and the infinities are written. They go out as `NaN`, `Infinity` and `-Infinity`, as with
            `dapr` 1.19.0, which Python reads, and others need not; it is told in the log. Default: True. False: they
            raise ValueError.
    """

    def __init__(self, *, typed: bool = True, allow_nan: bool = True) -> None:
        self.typed: Final = typed
        self.allow_nan: Final = allow_nan
        self._readers: dict[Any, Callable[[str], Any]] = {}

    def serialize(self, value: Any) -> str | None:
        """The JSON of a value.

        Raises:
            TypeError: Something in it cannot be encoded; the message says what to do, and where in the value it is.
            ValueError: It contains itself, or a number that has no form.
        """
        # What most payloads are, past the encoder's set-up. Exact types only: a subclass may be an enum.
        kind = type(value)
        if kind is str:
            return encode_basestring_ascii(value)
        try:
            if kind is int:
                return int.__repr__(value)
            if value is None:
                return 'null'
            if kind is bool:
                return 'true' if value else 'false'
            return _encode(value)
        except (TypeError, ValueError):
            return encode_exactly(value, allow_nan=self.allow_nan, logger=_logger)

    @overload
    def deserialize(self, text: str | None, target_type: type[T]) -> T: ...
    @overload
    def deserialize(self, text: str | None, target_type: Any = None) -> Any: ...
    def deserialize(self, text: str | None, target_type: Any = None) -> Any:
        """The value of a text.

        Raises:
            json.JSONDecodeError: It is not JSON.
            DataConversionError: It is not of that type; the message says where in it, what was expected and what came.
            pydantic.ValidationError: It is not the model that it is to be as a whole.
        """
        if not text:
            return None
        if target_type is None:
            return from_json(text)
        return self.reader(target_type)(text)

    def reader(self, target_type: Any) -> Callable[[str], Any]:
        """What `deserialize` does for a type, as a function of the text; made once for each type."""
        # Unions are equal whatever the order of their members, which counts here: hence the text.
        key = target_type if issubclass(type(target_type), type) else (target_type, repr(target_type))
        try:
            reader = self._readers.get(key)
        except TypeError:  # cannot be hashed
            return self._new_reader(target_type)
        if reader is None:
            if len(self._readers) >= _MAX_READERS:
                self._readers.clear()
            reader = self._readers[key] = self._new_reader(target_type)
        return reader

    def _new_reader(self, target_type: Any) -> Callable[[str], Any]:
        if not self.typed:
            return PLAIN.decode
        read = reader_of(target_type)
        if read is None:
            return PLAIN.decode
        at_once = text_reader(target_type)

        def read_value(text: str) -> Any:
            value = from_json(text)
            return None if value is None else read(value)

        if at_once is None:
            return read_value

        def read_text(text: str) -> Any:
            if AUTO_SERIALIZED not in text and text != 'null':
                value = at_once(text)
                if value is not None:
                    return value
            return read_value(text)

        return read_text


_MAX_READERS: Final = 2048

# One for all payloads: making one costs more than most payloads do.
_encode: Final = Encoder(allow_nan=False).encode
