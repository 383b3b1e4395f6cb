"""A workflow in `async def`: activities one after the other, what each gives going into the next.

When one fails, what was done before it is undone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dapr.ext.workflow import DaprWorkflowClient, TaskFailedError, WorkflowActivityContext, WorkflowRuntime
from dapr.ext.workflow.aio import AsyncWorkflowContext
from local_sidecar import use_sidecar

use_sidecar()
runtime = WorkflowRuntime()


@runtime.workflow
async def order(ctx: AsyncWorkflowContext, item: str) -> str:
    undo: list[tuple[Callable[..., Any], str]] = []
    try:
        reserved = await ctx.call_activity(reserve, input=item)
        undo.append((put_back, reserved))
        paid = await ctx.call_activity(charge, input=reserved)
        return await ctx.call_activity(ship, input=paid)
    except TaskFailedError as error:
        for activity, what in reversed(undo):
            await ctx.call_activity(activity, input=what)
        return f'nothing: {error.details.message}'


@runtime.activity
def reserve(ctx: WorkflowActivityContext, item: str) -> str:
    return f'{item} (reserved)'


@runtime.activity
async def charge(ctx: WorkflowActivityContext, item: str) -> str:
    if item.startswith('a yacht'):
        raise ValueError('the card does not cover a yacht')
    return f'{item} (paid)'


@runtime.activity
def ship(ctx: WorkflowActivityContext, item: str) -> str:
    return f'{item} (sent)'


@runtime.activity
def put_back(ctx: WorkflowActivityContext, item: str) -> None:
    print(f'  put back: {item}')


def main() -> None:
    with runtime, DaprWorkflowClient() as client:
        for item in ('a lamp', 'a yacht'):
            instance_id = client.schedule_new_workflow(order, input=item)
            state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=30)
            assert state is not None
            print(f'{item}: {state.serialized_output}')


if __name__ == '__main__':
    main()
