"""A workflow in `async def` that waits for a person, and reminds them meanwhile.

Reminders and the wait run side by side, as asyncio's tasks do; what is left over is cancelled.
"""

from __future__ import annotations

import asyncio

from dapr.ext.workflow import DaprWorkflowClient, WorkflowActivityContext, WorkflowRuntime
from dapr.ext.workflow.aio import AsyncWorkflowContext, WorkflowTimeoutError
from local_sidecar import use_sidecar

use_sidecar()
runtime = WorkflowRuntime()


@runtime.workflow
async def approve(ctx: AsyncWorkflowContext, seconds: float) -> str:
    async def remind() -> None:
        while True:
            await asyncio.sleep(0.2)  # a durable timer: days would do as well
            await ctx.call_activity(send_reminder)

    reminders = asyncio.create_task(remind())
    try:
        decision = await ctx.wait_for_external_event('decision', timeout=seconds)
    except WorkflowTimeoutError:
        return 'handed to the boss: nobody decided'
    finally:
        reminders.cancel()
    return f'{"approved" if decision["approved"] else "refused"} by {decision["by"]}'


@runtime.activity
def send_reminder(ctx: WorkflowActivityContext) -> None:
    pass


def main() -> None:
    with runtime, DaprWorkflowClient() as client:

        def outcome(instance_id: str) -> str:
            state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=30)
            assert state is not None
            return f'{state.serialized_output}'

        decided = client.schedule_new_workflow(approve, input=60)
        client.raise_workflow_event(decided, 'decision', data={'approved': True, 'by': 'Ada'})
        print(f'decided: {outcome(decided)}')
        print(f'forgotten: {outcome(client.schedule_new_workflow(approve, input=0.7))}')


if __name__ == '__main__':
    main()
