"""What type checkers make of `call_child_workflow`: the return value of the workflow, and inputs that fit it.

Checked, never run: see tests/unit/test_typing.py.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from typing_extensions import assert_type

from dapr.ext.workflow import DaprWorkflowContext, PropagationScope, RetryPolicy, Task, WorkflowRuntime
from dapr.ext.workflow.workflow_context import WorkflowContext

runtime = WorkflowRuntime()


@dataclass
class Order:
    item: str


def count(ctx: DaprWorkflowContext, text: str) -> Generator[Task[Any], Any, int]:
    yield ctx.create_timer(ctx.current_utc_datetime)
    return 1


def alone(ctx: DaprWorkflowContext) -> Generator[Task[Any], Any, bytes]:
    yield ctx.create_timer(ctx.current_utc_datetime)
    return b''


def maybe(ctx: DaprWorkflowContext, text: str | None = None) -> Generator[Task[None], None, float]:
    yield ctx.create_timer(ctx.current_utc_datetime)
    return 0.0


def of_the_base(ctx: WorkflowContext, text: str) -> Generator[Task[Any], Any, int]:
    yield ctx.create_timer(ctx.current_utc_datetime)
    return 1


def at_once(ctx: DaprWorkflowContext, text: str) -> int:
    return 1


def open_ended(ctx: DaprWorkflowContext, text: str) -> Generator[Any, Any, Any]:
    yield ctx.create_timer(ctx.current_utc_datetime)


def order_at_once(ctx: DaprWorkflowContext) -> Order | None:
    return None


def table_at_once(ctx: DaprWorkflowContext, text: str) -> dict[str, list[Order]]:
    return {}


@runtime.workflow
def bare(ctx: DaprWorkflowContext, text: str) -> Generator[Task[Any], Any, int]:
    yield ctx.create_timer(ctx.current_utc_datetime)
    return 1


@runtime.workflow(name='called')
def called(ctx: DaprWorkflowContext, text: str) -> Generator[Task[Any], Any, int]:
    yield ctx.create_timer(ctx.current_utc_datetime)
    return 1


@runtime.versioned_workflow(name='flow', is_latest=True)
def versioned(ctx: DaprWorkflowContext, text: str) -> Generator[Task[Any], Any, int]:
    yield ctx.create_timer(ctx.current_utc_datetime)
    return 1


def results(ctx: DaprWorkflowContext) -> None:
    assert_type(ctx.call_child_workflow(count, input='x'), Task[int])
    assert_type(ctx.call_child_workflow(alone), Task[bytes])
    assert_type(ctx.call_child_workflow(maybe), Task[float])
    assert_type(ctx.call_child_workflow(maybe, input='x'), Task[float])
    assert_type(ctx.call_child_workflow(of_the_base, input='x'), Task[int])
    assert_type(ctx.call_child_workflow(at_once, input='x'), Task[int])
    assert_type(ctx.call_child_workflow(order_at_once), Task[Order | None])
    assert_type(ctx.call_child_workflow(table_at_once, input='x'), Task[dict[str, list[Order]]])
    assert_type(ctx.call_child_workflow(open_ended, input='x'), Task[Any])
    assert_type(ctx.call_child_workflow(bare, input='x'), Task[int])
    assert_type(ctx.call_child_workflow(called, input='x'), Task[int])
    assert_type(ctx.call_child_workflow(versioned, input='x'), Task[int])
    assert_type(ctx.call_child_workflow('by name'), Task[Any])
    assert_type(ctx.call_child_workflow('by name', input=1), Task[Any])


def whatever_it_is(
    ctx: DaprWorkflowContext, function: Callable[..., Any], either_way: Callable[..., Any] | str
) -> None:
    assert_type(ctx.call_child_workflow(function, input=1), Task[Any])
    assert_type(ctx.call_child_workflow(function), Task[Any])
    assert_type(ctx.call_child_workflow(either_way, input=1), Task[Any])


def options(ctx: WorkflowContext, policy: RetryPolicy) -> None:
    lineage = PropagationScope.LINEAGE
    assert_type(ctx.call_child_workflow(count, input='x', instance_id='i', retry_policy=policy), Task[int])
    assert_type(ctx.call_child_workflow(count, input='x', timeout=5), Task[int])
    assert_type(ctx.call_child_workflow(alone, instance_id=None, app_id='a', propagation=lineage), Task[bytes])
    assert_type(ctx.call_child_workflow('by name', instance_id='i'), Task[Any])


def wrong(ctx: DaprWorkflowContext, base: WorkflowContext) -> None:
    ctx.call_child_workflow(count, input=1)  # type: ignore[arg-type]
    ctx.call_child_workflow(count)  # type: ignore[arg-type]
    ctx.call_child_workflow(alone, input='x')  # type: ignore[arg-type]
    ctx.call_child_workflow(maybe, input=1)  # type: ignore[arg-type]
    ctx.call_child_workflow(at_once, input=1)  # type: ignore[arg-type]
    ctx.call_child_workflow(bare, input=1)  # type: ignore[arg-type]
    ctx.call_child_workflow(called, input=1)  # type: ignore[arg-type]
    ctx.call_child_workflow(versioned, input=1)  # type: ignore[arg-type]
    ctx.call_child_workflow(count, input='x', instance_id=1)  # type: ignore[call-overload]
    base.call_child_workflow(count, input=1)  # type: ignore[arg-type]
