"""What type checkers know of the types that are given for what comes back: results by name, events, outputs.

Checked, never run: see tests/unit/test_typing.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from typing_extensions import assert_type

from dapr.ext.workflow import (
    DaprWorkflowClient,
    DaprWorkflowContext,
    DataConverter,
    JsonDataConverter,
    RetryPolicy,
    Task,
    WorkflowActivityContext,
    WorkflowRuntime,
    WorkflowState,
)
from dapr.ext.workflow._durabletask.replay.futures import WorkflowFuture
from dapr.ext.workflow._durabletask.task import OrchestrationContext
from dapr.ext.workflow.aio import AsyncWorkflowContext
from dapr.ext.workflow.workflow_context import WorkflowContext


@dataclass
class Order:
    item: str


def length(ctx: WorkflowActivityContext, text: str) -> int:
    return len(text)


def by_name(ctx: DaprWorkflowContext, base: WorkflowContext, policy: RetryPolicy) -> None:
    assert_type(ctx.call_activity('x', return_type=Order), Task[Order])
    assert_type(ctx.call_activity('x', input=1, return_type=list[Order]), Task[list[Order]])
    assert_type(base.call_activity('x', return_type=Order, retry_policy=policy, app_id='a'), Task[Order])
    assert_type(ctx.call_activity('x', return_type=None), Task[Any])
    assert_type(ctx.call_child_workflow('x', return_type=dict[str, Order]), Task[dict[str, Order]])
    assert_type(ctx.call_child_workflow('x', return_type=Order, instance_id='i'), Task[Order])
    assert_type(ctx.wait_for_external_event('x'), Task[Any])
    assert_type(ctx.wait_for_external_event('x', data_type=Order), Task[Order])
    assert_type(
        base.wait_for_external_event('x', timeout=timedelta(1), data_type=tuple[int, str]), Task[tuple[int, str]]
    )


def in_async_ones(ctx: AsyncWorkflowContext, policy: RetryPolicy) -> None:
    assert_type(ctx.call_activity('x', return_type=Order, retry_policy=policy), WorkflowFuture[Order])
    assert_type(ctx.call_child_workflow('x', return_type=Order, retry_policy=policy), WorkflowFuture[Order])
    assert_type(ctx.call_activity('x', return_type=Order), WorkflowFuture[Order])
    assert_type(ctx.call_child_workflow('x', return_type=Order), WorkflowFuture[Order])
    assert_type(ctx.wait_for_external_event('x', 5, data_type=Order), WorkflowFuture[Order])
    assert_type(ctx.wait_for_external_event('x', timeout=5), WorkflowFuture[Any])


def in_the_engine(ctx: OrchestrationContext) -> None:
    assert_type(ctx.call_activity('x', return_type=Order), Task[Order])
    assert_type(ctx.call_sub_orchestrator('x', return_type=Order), Task[Order])
    assert_type(ctx.wait_for_external_event('x', data_type=Order), Task[Order])


def in_states(state: WorkflowState) -> None:
    assert_type(state.output(), Any)
    assert_type(state.output(Order), Order)
    assert_type(state.custom_status(Order), Order)
    assert_type(state.custom_status(), Any)
    assert_type(state.input(list[Order]), list[Order])


def converters() -> None:
    converter: DataConverter = JsonDataConverter(allow_nan=False)
    WorkflowRuntime(data_converter=converter)
    DaprWorkflowClient(data_converter=converter)
    assert_type(converter.serialize(Order('x')), str | None)
    assert_type(JsonDataConverter().deserialize('{}', Order), Order)


def wrong(ctx: DaprWorkflowContext, state: WorkflowState) -> None:
    ctx.call_activity(length, input='x', return_type=str)  # type: ignore[call-overload]
    WorkflowRuntime(data_converter=5)  # type: ignore[arg-type]


def wrong_result(ctx: DaprWorkflowContext, state: WorkflowState) -> str:
    state.output(Order).itm  # type: ignore[attr-defined]  # noqa: B018
    return ctx.call_activity('x', return_type=Order).get_result()  # type: ignore[return-value]
