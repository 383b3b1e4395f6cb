"""Orders of a shop: large ones wait for an approval, for a month at most, with a reminder each week."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from dapr.ext.workflow import (
    DaprWorkflowContext,
    RetryPolicy,
    WorkflowActivityContext,
    WorkflowRuntime,
    when_any,
)

runtime = WorkflowRuntime()
PATIENT = RetryPolicy(first_retry_interval=timedelta(minutes=1), backoff_coefficient=2, max_number_of_attempts=5)


@dataclass
class Order:
    article: str
    amount: int


@runtime.activity
def charge(ctx: WorkflowActivityContext, order: Order) -> str:
    """Asks the bank; the key keeps it from charging twice when this runs twice."""
    return f'receipt for {order.amount} ({ctx.task_execution_id})'


@runtime.activity
def remind(ctx: WorkflowActivityContext, article: str) -> None:
    print(f'somebody has to approve the order of {article}')


@runtime.workflow
def approval(ctx: DaprWorkflowContext, order: Order) -> Generator[Any, Any, bool]:
    """Waits for four weeks, and reminds after each."""
    approved = ctx.wait_for_external_event('approved', data_type=bool)
    for _ in range(4):
        week = ctx.create_timer(timedelta(weeks=1))
        if (yield when_any([approved, week])) is approved:
            return bool(approved.get_result())
        yield ctx.call_activity(remind, input=order.article)
    return False


@runtime.workflow
def purchase(ctx: DaprWorkflowContext, order: Order) -> Generator[Any, Any, str]:
    if order.amount > 1_000 and not (
        yield ctx.call_child_workflow(approval, input=order, instance_id=f'{ctx.instance_id}-ok')
    ):
        return 'refused'
    receipt = yield ctx.call_activity(charge, input=order, retry_policy=PATIENT)
    return f'sold: {receipt}'
