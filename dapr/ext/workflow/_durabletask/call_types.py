"""The types of what can be called, by which type checkers tell its result and whether an input fits it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar, Protocol, TypeAlias, TypeVar, cast

TContext = TypeVar('TContext')
TInput = TypeVar('TInput')
TOutput = TypeVar('TOutput')

# What is called with an input; and what can be called without one: a function of the context alone, or one whose input
# may be None.
WithInput: TypeAlias = Callable[[TContext, TInput], TOutput]
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
