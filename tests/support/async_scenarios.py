"""The workflows of `scenarios`, written in `async def`: under the same names, with the same histories."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.aio.context import AsyncWorkflowContext
from tests.support.scenarios import echo, flaky


async def chain(ctx: AsyncWorkflowContext, n: int) -> list[Any]:
    return [await ctx.call_activity(echo, input=i) for i in range(n)]


async def fan(ctx: AsyncWorkflowContext, n: int) -> list[Any]:
    return await asyncio.gather(*(ctx.call_activity(echo, input=i) for i in range(n)))


async def timer(ctx: AsyncWorkflowContext, _: None) -> Any:
    await asyncio.sleep(1)
    return await ctx.call_activity(echo, input='after')


async def approval(ctx: AsyncWorkflowContext, seconds: float) -> Any:
    try:
        answer = await ctx.wait_for_external_event('Approval', timeout=seconds)
    except TimeoutError:
        return 'timed out'
    return await ctx.call_activity(echo, input=answer)


async def forever(ctx: AsyncWorkflowContext, _: None) -> list[Any]:
    first = await ctx.wait_for_external_event('go')
    second = await ctx.wait_for_external_event('go')
    return [first, second]


async def parent(ctx: AsyncWorkflowContext, n: int) -> Any:
    return await ctx.call_child_workflow('chain', input=n)


async def failing(ctx: AsyncWorkflowContext, _: None) -> None:
    await ctx.call_activity(echo, input=1)
    raise RuntimeError('on purpose')


async def parent_of_failing(ctx: AsyncWorkflowContext, _: None) -> str | None:
    try:
        await ctx.call_child_workflow('failing')
    except task.TaskFailedError as error:
        return error.details.error_type
    return None


async def parent_of_forever(ctx: AsyncWorkflowContext, _: None) -> None:
    await ctx.call_child_workflow('forever', instance_id=ctx.instance_id + '-child')


async def retried(ctx: AsyncWorkflowContext, n: int) -> Any:
    policy = task.RetryPolicy(
        first_retry_interval=timedelta(milliseconds=300), max_number_of_attempts=4, backoff_coefficient=1
    )
    return await ctx.call_activity(flaky, input=n, retry_policy=policy)


async def counter(ctx: AsyncWorkflowContext, n: int) -> list[Any]:
    event = await ctx.wait_for_external_event('tick')
    if n < 3:
        ctx.continue_as_new(n + 1, save_events=True)
    return [n, event]


async def race(ctx: AsyncWorkflowContext, _: None) -> list[Any]:
    late = ctx.create_timer(timedelta(seconds=20))
    first = ctx.call_activity(echo, input='first')
    winner = await ctx.when_any([first, late])
    return [winner is first, first.get_result()]


async def patched(ctx: AsyncWorkflowContext, _: None) -> list[Any]:
    is_new = ctx.is_patched('new-path')
    result = await ctx.call_activity(echo, input=is_new)
    ctx.set_custom_status('"half way"')
    return [result, await ctx.call_activity(echo, input=ctx.is_patched('new-path'))]


WORKFLOWS: list[Callable[..., Any]] = [
    approval,
    chain,
    counter,
    failing,
    fan,
    forever,
    parent,
    parent_of_failing,
    parent_of_forever,
    patched,
    race,
    retried,
    timer,
]
