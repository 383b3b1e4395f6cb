"""Activities as coroutines: they all wait on one event loop, where sync ones take a thread each.

Two hundred calls to a slow service are made at once. Workflows stay plain generators: they never wait themselves.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from typing import Any

from dapr.ext.workflow import (
    DaprWorkflowClient,
    DaprWorkflowContext,
    WorkflowActivityContext,
    WorkflowRuntime,
    when_all,
)
from local_sidecar import use_sidecar

use_sidecar()
runtime = WorkflowRuntime(maximum_concurrent_activity_work_items=200)
CALLS = 200
SECONDS = 0.5


@runtime.workflow
def call_all(ctx: DaprWorkflowContext, count: int) -> Generator[Any, Any, int]:
    answers: list[int] = yield when_all([ctx.call_activity(call_service, input=number) for number in range(count)])
    return sum(answers)


@runtime.activity
async def call_service(ctx: WorkflowActivityContext, number: int) -> int:
    await asyncio.sleep(SECONDS)  # stands for a call by an async HTTP client
    return number


def main() -> None:
    with runtime, DaprWorkflowClient() as client:
        begun = time.monotonic()
        instance_id = client.schedule_new_workflow(call_all, input=CALLS)
        state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=60)
        took = time.monotonic() - begun
        assert state is not None
        print(f'{state.runtime_status.name}: {state.serialized_output}')
        print(f'{CALLS} calls of {SECONDS} s one after the other: {CALLS * SECONDS:.0f} s; at once: {took:.1f} s')


if __name__ == '__main__':
    main()
