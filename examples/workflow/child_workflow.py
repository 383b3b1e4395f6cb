"""Workflows that call workflows: each child is an instance of its own, with a history of its own.

A report is put together from regions. One region's child fails; its parent sees why, and goes on without it.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from dapr.ext.workflow import (
    DaprWorkflowClient,
    DaprWorkflowContext,
    TaskFailedError,
    WorkflowActivityContext,
    WorkflowRuntime,
    when_all,
)
from local_sidecar import use_sidecar

use_sidecar()
runtime = WorkflowRuntime()
SHOPS = {'north': ['N1', 'N2', 'N3'], 'south': ['S1', 'S2']}
SALES = {'N1': 10, 'N2': 20, 'N3': 70, 'S1': 40, 'S2': 100}


@runtime.workflow
def report(ctx: DaprWorkflowContext, regions: list[str]) -> Generator[Any, Any, dict[str, Any]]:
    # An id of one's own, where the child is to be found by it; else it is made from the parent's.
    children = [
        ctx.call_child_workflow(region_total, input=region, instance_id=f'{ctx.instance_id}-{region}')
        for region in regions
    ]
    totals: dict[str, Any] = {}
    for region, child in zip(regions, children, strict=True):  # they all run already
        try:
            totals[region] = yield child
        except TaskFailedError as error:
            totals[region] = f'not known: {error.details.message}'
    return totals


@runtime.workflow
def region_total(ctx: DaprWorkflowContext, region: str) -> Generator[Any, Any, int]:
    shops: list[str] = yield ctx.call_activity(shops_of, input=region)
    sales: list[int] = yield when_all([ctx.call_activity(sales_of, input=shop) for shop in shops])
    return sum(sales)


@runtime.activity
def shops_of(ctx: WorkflowActivityContext, region: str) -> list[str]:
    return SHOPS[region]


@runtime.activity
def sales_of(ctx: WorkflowActivityContext, shop: str) -> int:
    return SALES[shop]


def main() -> None:
    with runtime, DaprWorkflowClient() as client:
        instance_id = client.schedule_new_workflow(report, input=['north', 'south', 'east'])
        state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=30)
        assert state is not None
        print(state.serialized_output)
        child = client.get_workflow_state(f'{instance_id}-north')
        assert child is not None
        print(f'the child of the north gave {child.serialized_output}')


if __name__ == '__main__':
    main()
