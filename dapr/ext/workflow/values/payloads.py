"""The payloads of a converter, as the engine asks for them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from dapr.ext.workflow._durabletask.internal.payloads import PLAIN, Payloads, raise_unreadable
from dapr.ext.workflow.converter import DataConverter, JsonDataConverter
from dapr.ext.workflow.values.annotations import signature_of

__all__ = ['ConverterPayloads', 'payloads_of']


class ConverterPayloads:
    """See `Payloads`.

    Args:
        converter: What does the work.
    """

    def __init__(self, converter: DataConverter) -> None:
        self.converter = converter
        # No frame between the engine and the converter: each call of an activity goes through here.
        self.encode: Callable[[Any], str | None] = converter.serialize
        self.decode: Callable[[str], Any] = converter.deserialize
        self._inputs: WeakKeyDictionary[Any, Callable[[str], Any]] = WeakKeyDictionary()
        self.reader: Callable[[Any], Callable[[str], Any]] = partial(partial, _deserialize, converter)
        if type(converter) is JsonDataConverter:
            self.decode = PLAIN.decode
            self.reader = converter.reader

    def decode_input(self, fn: Callable[..., Any], text: str | None) -> Any:
        """The value that a workflow or an activity is given as its input."""
        if not text:
            return None
        try:
            read = self._inputs.get(fn)
            if read is None:
                read = self._inputs[fn] = self._input_reader(fn)
        except TypeError:  # cannot be hashed, or cannot be referred to weakly
            read = self._input_reader(fn)
        try:
            return read(text)
        except Exception as error:
            app_fn = getattr(fn, '__wrapped__', fn)  # the engine's may not have its name
            name = getattr(app_fn, '__name__', None) or type(app_fn).__name__
            raise_unreadable(f"input of '{name}'", error)

    def _input_reader(self, fn: Callable[..., Any]) -> Callable[[str], Any]:
        input_type = signature_of(fn).input_type
        if input_type is None:
            return self.decode
        if isinstance(self.converter, JsonDataConverter) and not self.converter.typed:
            return PLAIN.reader(input_type)
        return self.reader(input_type)


def payloads_of(converter: DataConverter | None) -> Payloads:
    """The payloads of a converter.

    Args:
        converter: It; None: the default one.

    Raises:
        TypeError: It is no converter.
    """
    if converter is None:
        return _DEFAULT
    if not (callable(getattr(converter, 'serialize', None)) and callable(getattr(converter, 'deserialize', None))):
        raise TypeError(
            f'data_converter is {converter!r}: it must be a DataConverter, with the methods serialize and deserialize.'
        )
    return ConverterPayloads(converter)


def _deserialize(converter: DataConverter, target_type: Any, text: str) -> Any:
    return converter.deserialize(text, target_type)


_DEFAULT = ConverterPayloads(JsonDataConverter())
