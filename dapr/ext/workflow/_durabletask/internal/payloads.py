"""The engine's one seam to how values become payloads and come back.

The engine keeps payloads as text and asks a `Payloads` for everything else: it knows of no types, annotations or
libraries. `PLAIN` is what it uses by itself, and reads and writes what dapr 1.19.0 does (`json_codec`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, NoReturn, Protocol

from dapr.ext.workflow._durabletask.internal.json_codec import (
    coerce_to_annotation,
    decode_input,
    from_json,
    not_json,
    to_json,
)


class Payloads(Protocol):
    """What values go out as, and come back from. Any thread may use it.

    None as a value, and no text or an empty one, are no payload: the engine asks for neither.
    """

    def encode(self, value: Any) -> str | None:
        """The text that stands for a value; None: there is to be no payload.

        Raises:
            TypeError: Something in it cannot be encoded.
        """

    def decode(self, text: str) -> Any:
        """The value of a text of which nothing is known.

        Raises:
            ValueError: It cannot be read.
        """

    def reader(self, target_type: Any) -> Callable[[str], Any]:
        """What makes values of a type, as annotations have them, of texts. It raises ValueError where it cannot."""

    def decode_input(self, fn: Callable[..., Any], text: str) -> Any:
        """The value that a workflow or an activity is given as its input; its function says of which type.

        Raises:
            ValueError: It cannot be read.
        """


class _Plain:
    encode = staticmethod(to_json)
    decode = staticmethod(from_json)
    decode_input = staticmethod(decode_input)

    def reader(self, target_type: Any) -> Callable[[str], Any]:
        return lambda text: coerce_to_annotation(from_json(text), target_type)


PLAIN: Final[Payloads] = _Plain()


class DataConversionError(ValueError):
    """A payload that is not what the code asks for.

    Attributes:
        problem: What was expected and what came.
        path: Where in the payload: keys and indices, outermost first; empty: it as a whole.
        what: Which payload it is, as in "result of call_activity('price')"; '' where that is not known.

    Args:
        problem: See there, as the others.
        path: See there.
        what: See there.
    """

    def __init__(self, problem: str, path: tuple[str | int, ...] = (), what: str = '') -> None:
        super().__init__(problem, path, what)
        self.problem = problem
        self.path = path
        self.what = what

    def __str__(self) -> str:
        place = where(self.path)
        told = f'at {place}: {self.problem}' if place else self.problem
        return f'The {self.what} is not of the type that the code gives for it: {told}' if self.what else told

    def put_under(self, key: str | int) -> None:
        """Takes note of the key or index that what holds the value has it under."""
        self.path = (key, *self.path)
        self.args = (self.problem, self.path, self.what)

    def put_within(self, what: str) -> None:
        """Takes note of the payload that it is about."""
        self.what = what
        self.args = (self.problem, self.path, self.what)


def where(path: tuple[str | int, ...]) -> str:
    """A path as one writes it in Python: `items[2].price`."""
    text = ''
    for key in path:
        if isinstance(key, int):
            text += f'[{key}]'
        elif key.isidentifier():
            text += f'.{key}' if text else key
        else:
            text += f'[{key!r}]'
    return text


def unreadable(what: str, error: Exception) -> Exception:
    """The error to raise for a payload that could not be read: it says which one it was, where it can.

    Args:
        what: The payload, as in "input of 'order'".
        error: What reading it raised.
    """
    if isinstance(error, DataConversionError):
        error.put_within(what)
    elif isinstance(error, json.JSONDecodeError) or type(error) is ValueError:
        told = not_json(what, error)
        told.__cause__ = error
        return told
    return error


def raise_unreadable(what: str, error: Exception) -> NoReturn:
    """Raises what `unreadable` gives."""
    raise unreadable(what, error)


def raise_unencodable(what: str, error: Exception) -> NoReturn:
    """Raises the error for a value that could not be encoded: of the same type, if that can be, and it says which value
    it was, as in "input of call_activity('price')"."""
    if type(error) in (TypeError, ValueError):
        raise type(error)(f'The {what} cannot be encoded as JSON: {error}') from error
    raise error
