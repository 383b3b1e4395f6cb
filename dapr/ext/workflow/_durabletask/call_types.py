"""The types of what can be called, by which type checkers tell its result and whether an input fits it.

They are made for messages that speak of the input: mypy says `Argument "input" ... has incompatible type "int";
expected "str | ..."`, and not that the function should have been another one. mypy infers types from plain arguments
first, and only then from callables: a function that is given as a `Callable` would have to fit the input, so it is
given as a protocol; and the input, which is to fit the function, has a callable in its type (`InputOf`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar, Generic, Protocol, TypeAlias, TypeVar, cast

from typing_extensions import final

TContext = TypeVar('TContext')
TInput = TypeVar('TInput')
TOutput = TypeVar('TOutput')
TReturned = TypeVar('TReturned')
_Context = TypeVar('_Context', contravariant=True)
_Input = TypeVar('_Input', contravariant=True)
_Output = TypeVar('_Output', covariant=True)
_Invariant = TypeVar('_Invariant')


class TakesInput(Protocol[_Context, _Input, _Output]):
    """A function of a context and an input."""

    def __call__(self, ctx: _Context, input: _Input, /) -> _Output: ...


class TakesNoInput(Protocol[_Context, _Output]):
    """A function of a context alone."""

    def __call__(self, ctx: _Context, /) -> _Output: ...


@final
class _InputOf(Generic[_Invariant]):
    """Nothing is one."""

    _unused: _Invariant


# Where no overload fits, mypy tells of the first one that takes a `Callable` for the function: so one does. No function
# is of this type.
_AnyFunction: TypeAlias = Callable[[_InputOf[None], _InputOf[None], _InputOf[None]], None]

# The input that a function takes.
InputOf: TypeAlias = TInput | _InputOf[Callable[[TInput], None]]

# What is called with an input; and what can be called without one: a function of the context alone, or one whose input
# may be None. Functions with a result of a kind of their own (coroutines, generators) come before, as protocols.
WithInput: TypeAlias = TakesInput[TContext, TInput, TOutput] | _AnyFunction
WithoutInput: TypeAlias = Callable[[TContext], TOutput] | Callable[[TContext, None], TOutput]


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


class _Model(Protocol):
    def model_dump(self) -> Any: ...


# What a workflow that is no generator may return: what JSON can carry. A generator is none of it, and so the two are
# told apart.
Encodable: TypeAlias = float | str | Sequence[Any] | Mapping[Any, Any] | SimpleNamespace | _Dataclass | _Model | None
TResult = TypeVar('TResult', bound=Encodable)

F = TypeVar('F', bound=Callable[..., Any])


def typed_as(method: F) -> Callable[[Callable[..., Any]], F]:
    """Gives an implementation the type of the method that it implements, overloads and all."""
    return lambda implementation: cast('F', implementation)
