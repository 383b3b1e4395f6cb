"""Stand-ins for activities and child workflows: what they do, and what they were called with."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Generic, NoReturn

from typing_extensions import TypeVar

__all__ = ['UNSET', 'Mock', 'MockCall', 'Mocks']

TInput = TypeVar('TInput', default=Any)
TResult = TypeVar('TResult', default=Any)


class _Unset:
    def __repr__(self) -> str:
        return 'UNSET'


UNSET: Final = _Unset()
"""Stands for what was not given, where None is a value."""


@dataclass(frozen=True, slots=True)
class MockCall(Generic[TInput]):
    """A call that a stand-in has answered.

    Attributes:
        input: The input, as the function that it stands in for would have been given it; None: there was none.
        instance_id: The workflow that called an activity; of a child workflow, its own instance id.
        metadata: What came with the input; empty: nothing.
    """

    input: TInput
    instance_id: str
    metadata: Mapping[str, str] = field(default_factory=dict)


class Mock(Generic[TInput, TResult]):
    """A stand-in, and the calls that it has answered. Made by `WorkflowEnvironment.mock_activity` and `mock_workflow`.

    Attributes:
        name: The name that it stands in for.
        calls: What it was called with, in order.
    """

    def __init__(
        self,
        kind: str,
        name: str,
        *,
        returns: Any = UNSET,
        raises: BaseException | type[BaseException] | None = None,
        side_effect: Callable[..., Any] | Iterable[Any] | None = None,
        times: int | None = None,
        takes: timedelta | None = None,
    ) -> None:
        given = [returns is not UNSET, raises is not None, side_effect is not None]
        if sum(given) > 1:
            raise ValueError(f"The stand-in for {kind} '{name}': give one of returns, raises and side_effect.")
        if times is not None and (not isinstance(times, int) or times < 1):
            raise ValueError(f"The stand-in for {kind} '{name}': times is {times!r}, it must be 1 or more.")
        self.name: Final = name
        self.calls: list[MockCall[TInput]] = []
        self.takes: Final = takes
        self._kind = kind
        self._returns = None if returns is UNSET else returns
        self._raises = raises
        self._function: Callable[..., Any] | None = None
        self._values: Iterator[Any] | None = None
        if callable(side_effect):
            self._function = side_effect
        elif side_effect is not None:
            self._values = iter(side_effect)
        self._times = times
        self._left = times
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f'<stand-in for {self._kind} {self.name!r}, {len(self.calls)} calls>'

    @property
    def is_limited(self) -> bool:
        """Whether it answers a number of calls only."""
        return self._times is not None

    @property
    def call_count(self) -> int:
        """How many calls it has answered."""
        return len(self.calls)

    @property
    def called(self) -> bool:
        """Whether it has answered a call."""
        return bool(self.calls)

    def take(self, input: Any, instance_id: str, metadata: Mapping[str, str]) -> bool:
        """Takes a call, if it has any left; for the environment."""
        with self._lock:
            if self._left == 0:
                return False
            if self._left is not None:
                self._left -= 1
            self.calls.append(MockCall(input, instance_id, metadata))
            return True

    def answer(self, ctx: Any, input: Any) -> Any | Awaitable[Any]:
        """What it answers a call that it has taken with: a value, or something to await, or an error; for the
        environment."""
        if self._raises is not None:
            raise self._raises
        if self._values is not None:
            with self._lock:
                try:
                    value = next(self._values)
                except StopIteration:
                    raise AssertionError(f'{self!r}: side_effect has no value left for this call.') from None
            if isinstance(value, BaseException) or (issubclass(type(value), type) and issubclass(value, BaseException)):
                raise value
            return value
        if self._function is not None:
            return _call(self._function, ctx, input)
        return self._returns

    def assert_called(self) -> None:
        """Checks that it was called at all."""
        if not self.calls:
            self._fail('was not called')

    def assert_not_called(self) -> None:
        """Checks that it was not called."""
        if self.calls:
            self._fail('was called')

    def assert_called_once(self) -> None:
        """Checks that it was called once."""
        self.assert_call_count(1)

    def assert_call_count(self, count: int) -> None:
        """Checks how often it was called."""
        if len(self.calls) != count:
            self._fail(f'was called {_times(len(self.calls))}, not {_times(count)}')

    def assert_called_with(self, input: TInput = None) -> None:  # type: ignore[assignment]  # a call without input
        """Checks the input of the latest call."""
        if not self.calls:
            self._fail(f'was not called, with {input!r} or anything else')
        if self.calls[-1].input != input:
            self._fail(f'was called with {self.calls[-1].input!r} at last, not with {input!r}')

    def assert_called_once_with(self, input: TInput = None) -> None:  # type: ignore[assignment]
        """Checks that it was called once, with that input."""
        self.assert_called_once()
        self.assert_called_with(input)

    def assert_any_call(self, input: TInput = None) -> None:  # type: ignore[assignment]
        """Checks that one of its calls had that input."""
        if all(call.input != input for call in self.calls):
            self._fail(f'was not called with {input!r}')

    def _fail(self, what: str) -> NoReturn:
        calls = ''.join(f'\n  {call.input!r} by {call.instance_id}' for call in self.calls)
        raise AssertionError(f"The {self._kind} '{self.name}' {what}." + (f' Its calls:{calls}' if calls else ''))


class Mocks:
    """The stand-ins of an environment, by kind and name. Any thread may use it."""

    def __init__(self) -> None:
        self._mocks: dict[tuple[str, str, str | None], list[Mock[Any, Any]]] = {}

    def add(self, mock: Mock[Any, Any], kind: str, app_id: str | None) -> None:
        """Adds one.

        Args:
            mock: It.
            kind: 'activity' or 'workflow'.
            app_id: The app whose it stands in for; None: any.
        """
        self._mocks.setdefault((kind, mock.name, app_id), []).append(mock)

    def any_for(self, kind: str, name: str, app_id: str) -> bool:
        """Whether there was one ever, used up or not."""
        return (kind, name, app_id) in self._mocks or (kind, name, None) in self._mocks

    def take(
        self, kind: str, name: str, app_id: str, input: Any, instance_id: str, metadata: Mapping[str, str]
    ) -> Mock[Any, Any] | None:
        """The one that answers a call, which it has taken; None: all are used up.

        Those for a number of calls come first, in the order in which they were made; then the latest of the others.
        """
        found = [*self._mocks.get((kind, name, app_id), ()), *self._mocks.get((kind, name, None), ())]
        limited = [mock for mock in found if mock.is_limited]
        others = [mock for mock in found if not mock.is_limited]
        mock: Mock[Any, Any]
        for mock in (*limited, *reversed(others)):
            if mock.take(input, instance_id, metadata):
                return mock
        return None

    def names(self, kind: str, app_id: str) -> list[str]:
        """The names that have one."""
        return sorted({name for of, name, app in self._mocks if of == kind and app in (None, app_id)})


def _call(function: Callable[..., Any], ctx: Any, input: Any) -> Any:
    """Calls a side effect with what it takes: context and input, the input alone, or nothing."""
    try:
        signature = inspect.signature(function)
    except ValueError:  # a builtin that does not say
        return function(input)
    for arguments in ((ctx, input), (input,), ()):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        # `*args` and a second parameter with a default say nothing of a context.
        required = [
            parameter
            for parameter in signature.parameters.values()
            if parameter.default is parameter.empty and parameter.kind in _POSITIONAL
        ]
        if len(arguments) == 2 and len(required) < 2:
            continue
        return function(*arguments)
    return function(ctx, input)


_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _times(count: int) -> str:
    return 'once' if count == 1 else f'{count} times'
