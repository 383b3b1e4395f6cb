"""What type checkers make of `call_activity`: the result of the function that is called, and inputs that fit it.

Checked, never run: see tests/unit/test_typing.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from typing_extensions import assert_type

from dapr.ext.workflow import (
    DaprWorkflowContext,
    PropagationScope,
    RetryPolicy,
    Task,
    WorkflowActivityContext,
    WorkflowRuntime,
    alternate_name,
)
from dapr.ext.workflow.workflow_context import WorkflowContext

runtime = WorkflowRuntime()


@dataclass
class Order:
    item: str


@dataclass
class RushOrder(Order):
    hours: int


def length(ctx: WorkflowActivityContext, text: str) -> int:
    return len(text)


async def length_async(ctx: WorkflowActivityContext, text: str) -> int:
    return len(text)


def tick(ctx: WorkflowActivityContext) -> bytes:
    return b''


async def tick_async(ctx: WorkflowActivityContext) -> bytes:
    return b''


def maybe(ctx: WorkflowActivityContext, text: str | None) -> float:
    return 0.0


async def maybe_async(ctx: WorkflowActivityContext, text: str | None) -> float:
    return 0.0


def by_default(ctx: WorkflowActivityContext, text: str = '') -> float:
    return 0.0


def forget(ctx: WorkflowActivityContext, text: str) -> None: ...


def price(ctx: WorkflowActivityContext, order: Order) -> list[Order]:
    return [order]


def either(ctx: WorkflowActivityContext, key: int | str) -> Order | None:
    return None


def table(ctx: WorkflowActivityContext, rows: dict[str, Any]) -> dict[str, int]:
    return {}


def anything(ctx: Any, value: Any) -> Any:
    return value


@runtime.activity
def bare(ctx: WorkflowActivityContext, text: str) -> int:
    return 0


@runtime.activity(name='called')
async def called(ctx: WorkflowActivityContext, text: str) -> int:
    return 0


@alternate_name('other')
def renamed(ctx: WorkflowActivityContext, text: str) -> int:
    return 0


class Shop:
    def sell(self, ctx: WorkflowActivityContext, order: Order) -> int:
        return 0

    async def __call__(self, ctx: WorkflowActivityContext, order: Order) -> str:
        return ''


def results(ctx: DaprWorkflowContext) -> None:
    assert_type(ctx.call_activity(length, input='x'), Task[int])
    assert_type(ctx.call_activity(length_async, input='x'), Task[int])
    assert_type(ctx.call_activity(tick), Task[bytes])
    assert_type(ctx.call_activity(tick_async), Task[bytes])
    assert_type(ctx.call_activity(maybe), Task[float])
    assert_type(ctx.call_activity(maybe, input=None), Task[float])
    assert_type(ctx.call_activity(maybe, input='x'), Task[float])
    assert_type(ctx.call_activity(maybe_async), Task[float])
    assert_type(ctx.call_activity(maybe_async, input='x'), Task[float])
    assert_type(ctx.call_activity(by_default), Task[float])
    assert_type(ctx.call_activity(by_default, input='x'), Task[float])
    assert_type(ctx.call_activity(forget, input='x'), Task[None])
    assert_type(ctx.call_activity(price, input=Order('x')), Task[list[Order]])
    assert_type(ctx.call_activity(price, input=RushOrder('x', 1)), Task[list[Order]])
    assert_type(ctx.call_activity(either, input=1), Task[Order | None])
    assert_type(ctx.call_activity(either, input='x'), Task[Order | None])
    assert_type(ctx.call_activity(table, input={'a': 1, 'b': 'x'}), Task[dict[str, int]])
    assert_type(ctx.call_activity(anything, input=1), Task[Any])
    assert_type(ctx.call_activity(anything), Task[Any])
    assert_type(ctx.call_activity(bare, input='x'), Task[int])
    assert_type(ctx.call_activity(called, input='x'), Task[int])
    assert_type(ctx.call_activity(renamed, input='x'), Task[int])
    assert_type(ctx.call_activity(Shop().sell, input=Order('x')), Task[int])
    assert_type(ctx.call_activity(Shop(), input=Order('x')), Task[str])
    assert_type(ctx.call_activity('by name'), Task[Any])
    assert_type(ctx.call_activity('by name', input=1), Task[Any])


def whatever_it_is(
    ctx: DaprWorkflowContext, function: Callable[..., Any], either_way: Callable[..., Any] | str
) -> None:
    assert_type(ctx.call_activity(function, input=1), Task[Any])
    assert_type(ctx.call_activity(function), Task[Any])
    assert_type(ctx.call_activity(either_way, input=1), Task[Any])


def options(ctx: WorkflowContext, policy: RetryPolicy) -> None:
    lineage = PropagationScope.LINEAGE
    assert_type(ctx.call_activity(length, input='x', retry_policy=policy, app_id='a', propagation=lineage), Task[int])
    assert_type(ctx.call_activity(tick_async, retry_policy=None, app_id=None, propagation=None), Task[bytes])
    assert_type(ctx.call_activity('by name', retry_policy=policy, app_id='a'), Task[Any])
    assert_type(ctx.call_activity(length, input='x', timeout=1.5, retry_policy=policy), Task[int])
    assert_type(ctx.call_activity(tick, timeout=timedelta(seconds=1)), Task[bytes])


def wrong(ctx: DaprWorkflowContext, base: WorkflowContext) -> None:
    ctx.call_activity(length, input=1)  # type: ignore[arg-type]
    ctx.call_activity(length_async, input=1)  # type: ignore[arg-type]
    ctx.call_activity(length)  # type: ignore[arg-type]
    ctx.call_activity(length_async)  # type: ignore[arg-type]
    ctx.call_activity(length, input=None)  # type: ignore[arg-type]
    ctx.call_activity(tick, input='x')  # type: ignore[arg-type]
    ctx.call_activity(tick_async, input='x')  # type: ignore[arg-type]
    ctx.call_activity(maybe, input=1)  # type: ignore[arg-type]
    ctx.call_activity(by_default, input=1)  # type: ignore[arg-type]
    ctx.call_activity(price, input={'item': 'x'})  # type: ignore[arg-type]
    ctx.call_activity(either, input=1.5)  # type: ignore[arg-type]
    ctx.call_activity(bare, input=1)  # type: ignore[arg-type]
    ctx.call_activity(called, input=1)  # type: ignore[arg-type]
    ctx.call_activity(renamed, input=1)  # type: ignore[arg-type]
    ctx.call_activity(Shop().sell, input='x')  # type: ignore[arg-type]
    ctx.call_activity(Shop(), input='x')  # type: ignore[arg-type]
    ctx.call_activity(length, 'x')  # type: ignore[call-overload]
    ctx.call_activity(1)  # type: ignore[call-overload]
    ctx.call_activity(length, input='x', retry_policy=3)  # type: ignore[call-overload]
    ctx.call_activity(length, input='x', timeout='1 s')  # type: ignore[call-overload]
    ctx.call_activity(length, input='x', instance_id='i')  # type: ignore[call-overload]
    base.call_activity(length, input=1)  # type: ignore[arg-type]


def wrong_result(ctx: DaprWorkflowContext) -> str:
    return ctx.call_activity(length, input='x').get_result()  # type: ignore[return-value]
