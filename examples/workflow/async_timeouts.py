"""A workflow in `async def` whose parts have limits of time, and whose first answer wins."""

from __future__ import annotations

import asyncio
import time

from dapr.ext.workflow import DaprWorkflowClient, WorkflowActivityContext, WorkflowRuntime
from dapr.ext.workflow.aio import AsyncWorkflowContext, WorkflowTimeoutError
from local_sidecar import use_sidecar

use_sidecar()
runtime = WorkflowRuntime()


@runtime.workflow
async def ask_around(ctx: AsyncWorkflowContext, _: None) -> list[str]:
    said = []
    try:
        await ctx.with_timeout(ctx.call_activity(answer_after, input=2.0), 0.3)
    except WorkflowTimeoutError:
        said.append('the slow one did not answer in time')  # it goes on all the same, and nobody waits for it
    first, _left = await asyncio.wait(
        [asyncio.ensure_future(ctx.call_activity(answer_after, input=seconds)) for seconds in (1.0, 0.1)],
        return_when=asyncio.FIRST_COMPLETED,
    )
    said.append(f'the first answer: {first.pop().result()}')
    return said


@runtime.activity
def answer_after(ctx: WorkflowActivityContext, seconds: float) -> str:
    time.sleep(seconds)
    return f'after {seconds} s'


def main() -> None:
    with runtime, DaprWorkflowClient() as client:
        instance_id = client.schedule_new_workflow(ask_around)
        state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=30)
        assert state is not None
        print(state.serialized_output)


if __name__ == '__main__':
    main()
