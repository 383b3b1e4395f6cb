"""The whole of it in one workflow: an activity that is tried again, a child workflow, a person's word, and a client.

An order is paid for and packed, and goes out once somebody has said so. Run it: `python examples/workflow/simple.py`.
"""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from typing import Any

from dapr.ext.workflow import (
    DaprWorkflowClient,
    DaprWorkflowContext,
    RetryPolicy,
    WorkflowActivityContext,
    WorkflowRuntime,
)
from local_sidecar import use_sidecar

use_sidecar()
runtime = WorkflowRuntime()
attempts: dict[str, int] = {}


@runtime.workflow
def order(ctx: DaprWorkflowContext, item: str) -> Generator[Any, Any, str]:
    in_a_moment = RetryPolicy(first_retry_interval=timedelta(milliseconds=100), max_number_of_attempts=3)
    receipt: str = yield ctx.call_activity(pay, input=item, retry_policy=in_a_moment)
    parcel: str = yield ctx.call_child_workflow(pack, input=item)
    ctx.set_custom_status('waiting for a go-ahead')
    yield ctx.wait_for_external_event('go ahead')
    return f'{receipt}; sent: {parcel}'


@runtime.workflow
def pack(ctx: DaprWorkflowContext, item: str) -> Generator[Any, Any, str]:
    boxed: str = yield ctx.call_activity(put_in_box, input=item)
    return f'{boxed}, with a ribbon'


@runtime.activity
def pay(ctx: WorkflowActivityContext, item: str) -> str:
    # All attempts of one call have this id in common: a key that a bank can tell repetitions by.
    attempt = attempts[ctx.task_execution_id] = attempts.get(ctx.task_execution_id, 0) + 1
    if attempt == 1:
        raise ConnectionError('the bank does not answer')
    return f'paid for {item} at attempt {attempt}'


@runtime.activity
def put_in_box(ctx: WorkflowActivityContext, item: str) -> str:
    return f'{item} in a box'


def main() -> None:
    with runtime, DaprWorkflowClient() as client:
        instance_id = client.schedule_new_workflow(order, input='a lamp')
        client.pause_workflow(instance_id)
        client.raise_workflow_event(instance_id, 'go ahead')  # kept for it until it goes on
        client.resume_workflow(instance_id)
        state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=30)
        assert state is not None
        print(f'{state.runtime_status.name}: {state.serialized_output}')

        client.purge_workflow(instance_id)
        print(f'purged: {client.get_workflow_state(instance_id) is None}')


if __name__ == '__main__':
    main()
