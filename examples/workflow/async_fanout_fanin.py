"""A workflow in `async def`: many activities at once, with plain asyncio.

`asyncio.gather` waits for all of them; a semaphore lets three run at a time.
"""

from __future__ import annotations

import asyncio

from dapr.ext.workflow import DaprWorkflowClient, WorkflowActivityContext, WorkflowRuntime
from dapr.ext.workflow.aio import AsyncWorkflowContext
from local_sidecar import use_sidecar

use_sidecar()
runtime = WorkflowRuntime()


@runtime.workflow
async def count_words(ctx: AsyncWorkflowContext, pages: list[str]) -> int:
    three_at_a_time = asyncio.Semaphore(3)

    async def count(page: str) -> int:
        async with three_at_a_time:
            return await ctx.call_activity(count_page, input=page)

    counts = await asyncio.gather(*(count(page) for page in pages))
    return sum(counts)


@runtime.activity
def count_page(ctx: WorkflowActivityContext, page: str) -> int:
    return len(page.split())


def main() -> None:
    with runtime, DaprWorkflowClient() as client:
        pages = ['to be or not to be', 'that is the question', 'whether tis nobler', 'in the mind to suffer']
        instance_id = client.schedule_new_workflow(count_words, input=pages)
        state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=30)
        assert state is not None
        print(f'words: {state.serialized_output}')


if __name__ == '__main__':
    main()
