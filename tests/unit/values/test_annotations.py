# mypy: disable-error-code="empty-body"
"""What annotations say of a function: of its input, of its result, and whether it takes an input at all."""

from __future__ import annotations

import functools
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Optional, TypeVar, Union

import pytest

from dapr.ext.workflow.values.annotations import NOTHING_SAID, layers, result_type, signature_of

if TYPE_CHECKING:
    from somewhere import NotThereAtRunTime  # type: ignore[import-not-found]

T = TypeVar('T')


@dataclass
class M:
    x: int


def of_text(ctx: NotThereAtRunTime, x: 'M') -> 'Optional[M]': ...  # noqa: UP037
def optional(ctx: Any, x: Optional['M']) -> Union['M', None]: ...  # noqa: UP037
def annotated(ctx: Any, x: Annotated[M, 'of a kind']) -> Annotated[Optional[M], 'of a kind']: ...
def generator(ctx: Any, x: M) -> Generator[Any, Any, Optional[M]]: ...
async def coroutine(ctx: Any, x: M) -> Optional[M]: ...
def gives_coroutine(ctx: Any, x: M) -> Coroutine[Any, Any, Optional[M]]: ...
def gives_awaitable(ctx: Any, x: M) -> Awaitable[Optional[M]]: ...


class Holder:
    def method(self, ctx: Any, x: M) -> Optional[M]: ...

    @classmethod
    def of_class(cls, ctx: Any, x: M) -> Optional[M]: ...

    @staticmethod
    def static(ctx: Any, x: M) -> Optional[M]: ...

    def __call__(self, ctx: Any, x: M) -> Optional[M]: ...


def passing_on(fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)
    def wrapper(*args: Any, **options: Any) -> Any:
        return fn(*args, **options)

    return wrapper


def saying_nothing(fn: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(ctx: Any, payload: Any) -> Any:
        return fn(ctx, payload)

    wrapper.__wrapped__ = fn  # type: ignore[attr-defined]
    return wrapper


def with_dependency(dependency: str, ctx: Any, x: M) -> Optional[M]: ...


@pytest.mark.parametrize(
    'fn',
    [of_text, optional, annotated, generator, coroutine, gives_coroutine, gives_awaitable, Holder().method,
     Holder.of_class, Holder.static, Holder(), passing_on(coroutine), passing_on(passing_on(of_text)),
     passing_on(Holder().method), saying_nothing(of_text), functools.partial(with_dependency, 'x'),
     passing_on(functools.partial(with_dependency, 'x')), functools.partial(passing_on(with_dependency), 'x')],
)  # fmt: skip
def test_input_and_result_of_every_kind_of_function(fn: Any) -> None:
    for _ in range(2):  # found out, and remembered
        found = signature_of(fn)
        assert found.input_type in (M, Optional[M])
        assert result_type(fn) == Optional[M]
        assert found.takes_input
        assert found.unresolved == ()


def iterator(ctx: Any, x: Any) -> Iterator[Any]: ...
async def async_iterator(ctx: Any, x: Any) -> AsyncIterator[Any]:
    yield


def variable(ctx: Any, x: T) -> T: ...
def nothing(ctx, x): ...  # type: ignore[no-untyped-def]
def none(ctx: Any, x: None = None) -> None: ...


@pytest.mark.parametrize('fn', [iterator, async_iterator, variable, nothing, none, lambda ctx, x: 5])
def test_what_says_nothing(fn: Any) -> None:
    assert signature_of(fn) == NOTHING_SAID


class TestWhetherItTakesAnInput:
    @pytest.mark.parametrize(
        ('fn', 'takes'),
        [
            (lambda ctx: 1, False),
            (lambda ctx, x: 1, True),
            (lambda ctx, x=5: 1, True),
            (lambda *args: 1, False),
            (lambda *args, **options: 1, True),
            (lambda ctx, *args: 1, True),
            (passing_on(lambda ctx: 1), False),
            (passing_on(lambda ctx, x: 1), True),
            (max, True),
            (math.sqrt, False),
        ],
    )
    def test_by_its_parameters(self, fn: Any, takes: bool) -> None:
        assert signature_of(fn).takes_input is takes

    def test_the_outermost_layer_says(self) -> None:
        def supplies(ctx: Any) -> Any: ...
        def drops(ctx: Any, x: M) -> Any: ...

        supplies.__wrapped__ = of_text  # type: ignore[attr-defined]
        drops.__wrapped__ = lambda ctx: 1  # type: ignore[attr-defined]

        assert not signature_of(supplies).takes_input
        assert signature_of(supplies).input_type is None
        assert signature_of(drops).takes_input
        assert signature_of(drops).input_type is M


def test_names_of_the_closure_are_found() -> None:
    @dataclass
    class Local:
        x: int

    def fn(ctx: Any, x: Local) -> Optional[Local]:
        return Local(x.x)

    assert signature_of(fn)[:2] == (Local, Optional[Local])


def test_what_cannot_be_resolved_is_told() -> None:
    class Local:
        pass

    def fn(ctx: Any, x: Local) -> NotThereAtRunTime: ...

    found = signature_of(fn)
    assert found[:3] == (None, None, True)
    assert len(found.unresolved) == 2
    assert "that of its input, 'Local' (NameError: name 'Local' is not defined)" in found.unresolved[0]
    assert "that of its result, 'NotThereAtRunTime'" in found.unresolved[1]


def test_a_layer_that_wraps_itself_is_looked_at_once() -> None:
    def fn(*args: Any) -> M: ...

    fn.__wrapped__ = fn  # type: ignore[attr-defined]
    assert len(list(layers(fn))) == 1
    assert signature_of(fn).result_type is M

    def endless(*args: Any) -> None: ...

    class Endless:
        def __call__(self, *args: Any) -> None: ...
        def __getattr__(self, name: str) -> Any:
            return Endless()

    assert len(list(layers(Endless()))) <= 100


def test_a_method_and_its_function_are_not_taken_for_each_other() -> None:
    class Shifted:
        def method(self: Any, ctx: M, x: Any = None) -> None: ...

    for _ in range(2):
        assert signature_of(Shifted.method).input_type is M
        assert signature_of(Shifted().method).input_type is None
