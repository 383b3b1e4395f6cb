"""The client for asyncio: the same calls, awaited. A hundred workflows are started and waited for at once.

The runtime has threads of its own, and stays as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

from dapr.ext.workflow import DaprWorkflowContext, WorkflowActivityContext, WorkflowRuntime
from dapr.ext.workflow.aio import DaprWorkflowClient
from local_sidecar import use_sidecar

use_sidecar()
runtime = WorkflowRuntime()


@runtime.workflow
def greet_when_asked(ctx: DaprWorkflowContext, name: str) -> Generator[Any, Any, str]:
    word: str = yield ctx.wait_for_external_event('greet')
    greeting: str = yield ctx.call_activity(greet, input=f'{word}, {name}')
    return greeting


@runtime.activity
def greet(ctx: WorkflowActivityContext, text: str) -> str:
    return f'{text}!'


async def greet_one(client: DaprWorkflowClient, name: str) -> str:
    instance_id = await client.schedule_new_workflow(greet_when_asked, input=name)
    await client.raise_workflow_event(instance_id, 'greet', data='Hello')
    state = await client.wait_for_workflow_completion(instance_id, timeout_in_seconds=60)
    assert state is not None
    return str(state.serialized_output)


async def greet_all() -> None:
    async with DaprWorkflowClient() as client:
        greetings = await asyncio.gather(*(greet_one(client, f'number {number}') for number in range(100)))
    print(greetings[0])
    print(f'{len(set(greetings))} different greetings')


def main() -> None:
    with runtime:
        asyncio.run(greet_all())


if __name__ == '__main__':
    main()
