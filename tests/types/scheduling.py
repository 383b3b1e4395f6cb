"""What type checkers make of `schedule_new_workflow`: an input that fits the workflow, and no activity.

Checked, never run: see tests/unit/test_typing.py.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from typing_extensions import assert_type

from dapr.ext.workflow import DaprWorkflowClient, DaprWorkflowContext, Task, WorkflowActivityContext, WorkflowRuntime
from dapr.ext.workflow.aio import AsyncWorkflowContext
from dapr.ext.workflow.aio import DaprWorkflowClient as AsyncClient
from dapr.ext.workflow.workflow_context import WorkflowContext

runtime = WorkflowRuntime()


@dataclass
class Order:
    item: str


def buy(ctx: DaprWorkflowContext, order: Order) -> Generator[Task[Any], Any, int]:
    yield ctx.create_timer(ctx.current_utc_datetime)
    return 1


def alone(ctx: DaprWorkflowContext) -> Generator[Task[Any], Any, bytes]:
    yield ctx.create_timer(ctx.current_utc_datetime)
    return b''


def maybe(ctx: WorkflowContext, text: str | None = None) -> str:
    return ''


async def buy_async(ctx: AsyncWorkflowContext, order: Order) -> int:
    return 1


async def alone_async(ctx: AsyncWorkflowContext) -> int:
    return 1


def untyped(ctx: Any, order: Any) -> Any:
    yield ctx.call_activity('x', input=order)


@runtime.workflow
def registered(ctx: DaprWorkflowContext, count: int) -> None: ...


def ship(ctx: WorkflowActivityContext, order: Order) -> int:
    return 1


def tick(ctx: WorkflowActivityContext) -> int:
    return 1


class Flows:
    def buy(self, ctx: DaprWorkflowContext, order: Order) -> None: ...


def right(client: DaprWorkflowClient, any_workflow: Callable[..., Any]) -> None:
    assert_type(client.schedule_new_workflow(buy, input=Order('x')), str)
    client.schedule_new_workflow(buy, input=Order('x'), instance_id='i', app_id='a')
    client.schedule_new_workflow(alone)
    client.schedule_new_workflow(maybe)
    client.schedule_new_workflow(maybe, input='x')
    client.schedule_new_workflow(buy_async, input=Order('x'))
    client.schedule_new_workflow(alone_async)
    client.schedule_new_workflow(untyped, input=5)
    client.schedule_new_workflow(registered, input=5)
    client.schedule_new_workflow(Flows().buy, input=Order('x'))
    client.schedule_new_workflow(any_workflow, input=5)
    client.schedule_new_workflow(any_workflow)
    client.schedule_new_workflow('by name', input=5)
    client.schedule_new_workflow('by name')


async def right_async(client: AsyncClient) -> None:
    assert_type(await client.schedule_new_workflow(buy, input=Order('x')), str)
    await client.schedule_new_workflow(buy_async, input=Order('x'))
    await client.schedule_new_workflow(alone)


def wrong(client: DaprWorkflowClient) -> None:
    client.schedule_new_workflow(buy, input='x')  # type: ignore[arg-type]
    client.schedule_new_workflow(buy_async, input='x')  # type: ignore[arg-type]
    client.schedule_new_workflow(registered, input='x')  # type: ignore[arg-type]
    client.schedule_new_workflow(buy)  # type: ignore[arg-type]
    client.schedule_new_workflow(alone, input=1)  # type: ignore[arg-type]
    client.schedule_new_workflow(ship, input=Order('x'))  # type: ignore[arg-type]
    client.schedule_new_workflow(tick)  # type: ignore[arg-type]
    client.schedule_new_workflow(5)  # type: ignore[call-overload]


async def wrong_async(client: AsyncClient) -> None:
    await client.schedule_new_workflow(buy, input='x')  # type: ignore[arg-type]
    await client.schedule_new_workflow(ship, input=Order('x'))  # type: ignore[arg-type]
