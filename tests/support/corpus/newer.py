"""What this worker alone has, for the histories in tests/data/histories: workflows in `async def`, and newer calls.

Those in `TWINS` are workflows of `workflows`, in `async def`: a history of the one is replayed by the other, too.
What a workflow does is never changed; see there.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

from dapr.ext.workflow import DaprWorkflowContext, RetryPolicy, TaskFailedError, WorkflowRuntime, when_any
from dapr.ext.workflow.aio import AsyncWorkflowContext
from tests.support.corpus.workflows import Workflow, broken, echo, flaky

# Twins


async def chain(ctx: AsyncWorkflowContext, n: int) -> list[Any]:
    return [await ctx.call_activity(echo, input=i) for i in range(n)]


async def fan(ctx: AsyncWorkflowContext, n: int) -> list[Any]:
    return await asyncio.gather(*(ctx.call_activity(echo, input=i) for i in range(n)))


async def waves(ctx: AsyncWorkflowContext, n: int) -> Any:
    first = await asyncio.gather(*(ctx.call_activity(echo, input=i) for i in range(n)))
    second = await asyncio.gather(*(ctx.call_child_workflow('chain', input=i) for i in first))
    return await ctx.call_activity(echo, input=second)


async def approval(ctx: AsyncWorkflowContext, seconds: float) -> Any:
    try:
        answer = await ctx.wait_for_external_event('Approval', timeout=seconds)
    except TimeoutError:
        return 'timed out'
    return await ctx.call_activity(echo, input=answer)


async def two_events(ctx: AsyncWorkflowContext, _: None) -> list[Any]:
    return [await ctx.wait_for_external_event('go'), await ctx.wait_for_external_event('Go')]


async def parent_of_failing(ctx: AsyncWorkflowContext, _: None) -> str | None:
    try:
        await ctx.call_child_workflow('failing')
    except TaskFailedError as error:
        return error.details.error_type
    return None


async def retried(ctx: AsyncWorkflowContext, n: int) -> Any:
    policy = RetryPolicy(
        first_retry_interval=timedelta(milliseconds=100), max_number_of_attempts=4, backoff_coefficient=2
    )
    return await ctx.call_activity(flaky, input=n, retry_policy=policy)


async def saga(ctx: AsyncWorkflowContext, _: None) -> str:
    done: list[Any] = []
    try:
        for step in ('flight', 'car'):
            done.append(await ctx.call_activity(echo, input=step))
        await ctx.call_activity(broken, input='hotel')
    except TaskFailedError as error:
        for step in reversed(done):
            await ctx.call_activity(echo, input=f'not the {step}')
        return error.details.message
    finally:
        ctx.set_custom_status('settled')
        await ctx.call_activity(echo, input='told')
    return ''


async def counter(ctx: AsyncWorkflowContext, n: int) -> list[Any]:
    event = await ctx.wait_for_external_event('tick')
    if n < 3:
        ctx.continue_as_new(n + 1, save_events=True)
    return [n, event]


async def poll(ctx: AsyncWorkflowContext, n: int) -> int | None:
    for attempt in range(n):
        ctx.set_custom_status(f'attempt {attempt}')
        if await ctx.call_activity(echo, input=attempt == n - 1):
            return attempt
        await asyncio.sleep(0.05)
    return None


# Coroutines alone


async def timed(ctx: AsyncWorkflowContext, _: None) -> list[Any]:
    """Time limits of asyncio, used up and not, on calls and on sleeps."""
    told: list[Any] = [await asyncio.wait_for(ctx.call_activity(echo, input='in time'), 3600)]
    try:
        await asyncio.wait_for(ctx.wait_for_external_event('never'), 0.1)
    except asyncio.TimeoutError:
        told.append('too late')
    try:
        await asyncio.wait_for(asyncio.sleep(3600), 0.1)
    except asyncio.TimeoutError:
        told.append(await ctx.call_activity(echo, input='woken'))
    return told


async def producers(ctx: AsyncWorkflowContext, n: int) -> list[Any]:
    """Tasks of its own, a queue, a lock, an async generator, and one task that is cancelled and cleans up."""
    queue: asyncio.Queue[Any] = asyncio.Queue(maxsize=2)
    lock = asyncio.Lock()
    told = []

    async def produce() -> None:
        for i in range(n):
            async with lock:
                await queue.put(await ctx.call_activity(echo, input=i))
        await queue.put(None)

    async def produced() -> AsyncIterator[Any]:
        while (value := await queue.get()) is not None:
            yield value

    async def idle() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            told.append(await ctx.call_activity(echo, input='cleaned up'))

    producing, idling = asyncio.ensure_future(produce()), asyncio.ensure_future(idle())
    async for value in produced():
        told.append(value)
    await producing
    idling.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await idling
    return told


async def first_of(ctx: AsyncWorkflowContext, _: None) -> list[Any]:
    done, pending = await asyncio.wait(
        [
            asyncio.ensure_future(ctx.call_activity(echo, input='quick')),
            asyncio.ensure_future(asyncio.sleep(3600)),
            asyncio.ensure_future(ctx.wait_for_external_event('never')),
        ],
        return_when=asyncio.FIRST_COMPLETED,
    )
    for each in pending:
        each.cancel()
    (winner,) = done
    return [winner.result(), len(pending), await ctx.call_activity(echo, input='after')]


async def chances(ctx: AsyncWorkflowContext, _: None) -> Any:
    """What is random, and yet the same in each replay: inputs of calls."""
    drawn = [ctx.random().randint(0, 1_000_000), str(ctx.new_guid()), ctx.current_utc_datetime.isoformat()]
    return await ctx.call_activity(echo, input=drawn)


# Newer calls


def chances_of_generators(ctx: DaprWorkflowContext, _: None) -> Workflow:
    drawn = [ctx.random().randint(0, 1_000_000), str(ctx.new_guid()), ctx.current_utc_datetime.isoformat()]
    return (yield ctx.call_activity(echo, input=drawn))


def limited(ctx: DaprWorkflowContext, _: None) -> Workflow:
    """Calls with a time limit, kept and not."""
    kept = yield ctx.call_activity(echo, input='in time', timeout=timedelta(hours=1))
    try:
        yield ctx.call_child_workflow('two_events', timeout=timedelta(milliseconds=200))
    except TimeoutError:
        return [kept, (yield ctx.call_activity(echo, input='too late'))]


def taken_back(ctx: DaprWorkflowContext, _: None) -> Workflow:
    """A wait that is taken back takes no event from a later one."""
    early = ctx.wait_for_external_event('go')
    yield when_any([early, ctx.create_timer(timedelta(milliseconds=100))])
    early.cancel()
    return (yield ctx.wait_for_external_event('go'))


def sending_metadata(ctx: DaprWorkflowContext, _: None) -> Workflow:
    ctx.set_metadata({'tenant': 'a'})
    yield ctx.call_activity(echo, input=1, metadata={'tenant': 'b'})
    return (yield ctx.call_child_workflow('told_metadata'))


def told_metadata(ctx: DaprWorkflowContext, _: None) -> Workflow:
    yield ctx.call_activity(echo, input=2)
    info = ctx.execution_info
    return None if info is None else dict(info.inbound_metadata)


def detaching(ctx: DaprWorkflowContext, _: None) -> Workflow:
    """Starts a workflow of its own and raises an event on it; a sidecar that cannot fails the workflow."""
    started = ctx.schedule_new_workflow('two_events', instance_id=ctx.instance_id + '-detached')
    yield ctx.create_timer(timedelta(milliseconds=200))
    ctx.send_event(started, 'go', 1)
    ctx.send_event(started, 'go', 2)
    return (yield ctx.call_activity(echo, input=started))


TWINS: list[Callable[..., Any]] = [
    approval,
    chain,
    counter,
    fan,
    parent_of_failing,
    poll,
    retried,
    saga,
    two_events,
    waves,
]
WORKFLOWS: list[Callable[..., Any]] = [
    chances,
    chances_of_generators,
    detaching,
    first_of,
    limited,
    producers,
    sending_metadata,
    taken_back,
    timed,
    told_metadata,
]


def register(runtime: WorkflowRuntime) -> None:
    """Registers what the worker has beside `workflows`."""
    for workflow in WORKFLOWS:
        runtime.register_workflow(workflow)
