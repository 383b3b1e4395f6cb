"""A workflow that asks the machine for chance is another at each replay: without a sandbox, and within one."""

from __future__ import annotations

import os
import random
import time
import warnings

from dapr.ext.workflow import DaprWorkflowClient, WorkflowActivityContext, WorkflowRuntime
from dapr.ext.workflow.aio import AsyncWorkflowContext, NonDeterminismWarning
from local_sidecar import use_sidecar

use_sidecar()
# Each turn is replayed and compared, for development and CI: what a replay does otherwise is found at once, and not
# after a restart in production.
os.environ['DAPR_WF_VERIFY_REPLAY'] = '1'
# The sandbox tells of each kind of call that it answers; here they are made on purpose.
warnings.simplefilter('ignore', NonDeterminismWarning)
runtime = WorkflowRuntime()


async def draws(ctx: AsyncWorkflowContext, _: None) -> bool:
    number = random.randrange(10**9)
    await ctx.call_activity(note, input=[number, time.time()])
    return 0 <= number < 10**9


async def draws_in_a_sandbox(ctx: AsyncWorkflowContext, _: None) -> bool:
    return await draws(ctx, None)  # the same code


async def draws_well(ctx: AsyncWorkflowContext, _: None) -> bool:
    number = ctx.random_int(0, 10**9 - 1)  # the workflow's own chance, the same in each replay
    await ctx.call_activity(note, input=[number, ctx.now().isoformat()])
    return 0 <= number < 10**9


async def reads_a_file(ctx: AsyncWorkflowContext, _: None) -> str:
    with open(__file__) as file:  # another worker may have another one: this belongs into an activity
        return file.readline()


runtime.register_async_workflow(draws, name='without a sandbox')
runtime.register_async_workflow(draws_in_a_sandbox, name='best effort', sandbox_mode='best_effort')
runtime.register_async_workflow(draws_well, name='strict, by the context', sandbox_mode='strict')
runtime.register_async_workflow(reads_a_file, name='strict, with a file', sandbox_mode='strict')


@runtime.activity
def note(ctx: WorkflowActivityContext, what: list[object]) -> None:
    pass


def main() -> None:
    with runtime, DaprWorkflowClient() as client:
        for name in ('without a sandbox', 'best effort', 'strict, by the context', 'strict, with a file'):
            state = client.wait_for_workflow_completion(client.schedule_new_workflow(name), timeout_in_seconds=30)
            assert state is not None
            failure = state.failure_details
            print(f'{name}: {state.serialized_output if failure is None else failure.error_type}')


if __name__ == '__main__':
    main()
