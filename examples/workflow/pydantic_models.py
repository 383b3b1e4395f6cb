"""Models in and out: what a function's annotations name is what it is given, checked.

Inputs and results travel as JSON. A workflow or activity whose input is annotated with a pydantic model, or anything
else that has `model_validate` and `model_dump`, gets one; dataclasses go out as well, and arrive as plain namespaces.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from pydantic import BaseModel, Field

from dapr.ext.workflow import (
    DaprWorkflowClient,
    DaprWorkflowContext,
    WorkflowActivityContext,
    WorkflowRuntime,
    WorkflowStatus,
)
from local_sidecar import use_sidecar

use_sidecar()
runtime = WorkflowRuntime()


class Line(BaseModel):
    item: str
    count: int = Field(gt=0)


class Order(BaseModel):
    customer: str
    lines: list[Line]


class Invoice(BaseModel):
    customer: str
    total: float


@runtime.workflow
def invoice_order(ctx: DaprWorkflowContext, order: Order) -> Generator[Any, Any, Invoice]:
    total = yield ctx.call_activity(price, input=order)
    return Invoice(customer=order.customer, total=total)


@runtime.activity
def price(ctx: WorkflowActivityContext, order: Order) -> float:
    return sum(line.count * 9.5 for line in order.lines)


def main() -> None:
    with runtime, DaprWorkflowClient() as client:
        order = Order(customer='Ada', lines=[Line(item='lamp', count=2), Line(item='bulb', count=4)])
        instance_id = client.schedule_new_workflow(invoice_order, input=order)
        state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=30)
        assert state is not None
        assert state.serialized_output is not None
        print(Invoice.model_validate_json(state.serialized_output))

        # By its name, as another app would: given the function, a type checker refuses this input before it runs.
        wrong = {'customer': 'Ada', 'lines': [{'item': 'lamp'}]}
        instance_id = client.schedule_new_workflow('invoice_order', input=wrong)
        state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=30)
        assert state is not None
        assert state.runtime_status is WorkflowStatus.FAILED
        assert state.failure_details is not None
        print(f'refused: {state.failure_details.error_type}')


if __name__ == '__main__':
    main()
