"""Random async workflows: what `random_workflows` is for generators, with all that plain asyncio has for tasks.

A `Program` is what a workflow does, as plain data, so that a failing test prints it; `perform` does it. What happens to
it comes from the same `World`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.aio.context import AsyncWorkflowContext as Context
from tests.support.random_workflows import POLICY, RUNS, Leaf, OnPurposeError, leaves

HAS_GROUPS = sys.version_info >= (3, 11)  # and timeouts as blocks
_asyncio: Any = asyncio  # type checkers look at it as 3.10 has it
CAUGHT = (task.TaskFailedError, TimeoutError, asyncio.TimeoutError, asyncio.CancelledError, OnPurposeError)


@dataclass(frozen=True)
class Several:
    """Children that run at the same time, and how they are waited for."""

    how: str
    children: tuple[Node, ...]


@dataclass(frozen=True)
class Around:
    """Something around one child: a time limit, a cancellation, a lock."""

    how: str
    child: Node


Node = Leaf | Several | Around


@dataclass(frozen=True)
class Program:
    """A whole workflow.

    Attributes:
        steps: What is awaited, one after the other; 'later' steps are tasks that are awaited at the end, 'left' steps
            are tasks that nobody awaits.
        ending: How it ends.
    """

    steps: tuple[tuple[str, Node], ...]
    ending: str


@dataclass
class Shared:
    """What the tasks of one run have in common."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    semaphore: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    queue: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)
    log: list[Any] = field(default_factory=list)


SEVERAL = (
    'gather',
    'gather all',
    'group',
    'as_completed',
    'wait first',
    'wait failed',
    'when_all',
    'when_any',
    'when_any_with_result',
    'one by one',
    'through a queue',
)
AROUND = (
    'wait_for',
    'timeout',
    'with_timeout',
    'cancelled',
    'cancelled later',
    'shielded',
    'locked',
    'limited',
    'generated',
    'failing',
    'cleaned up',
)

nodes: st.SearchStrategy[Node] = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(Several, st.sampled_from(SEVERAL), st.lists(inner, max_size=3).map(tuple)),
        st.builds(Around, st.sampled_from(AROUND), inner),
    ),
    max_leaves=6,
)
async_programs = st.builds(
    Program,
    st.lists(
        st.tuples(st.sampled_from(['now', 'now', 'now', 'later', 'left', 'patch', 'draw', 'condition']), nodes),
        min_size=1,
        max_size=6,
    ).map(tuple),
    st.sampled_from(['return', 'return', 'return', 'raise', 'continue', 'continue with events']),
)


async def perform(ctx: Context, program: Program, run: int) -> Any:
    """Does what a program says, in the run of that number (1: the first)."""
    shared = Shared()
    later: list[asyncio.Task[Any]] = []
    for number, (how, node) in enumerate(program.steps):
        if how == 'patch':
            shared.log.append(await ctx.call_activity('new' if ctx.is_patched(f'p{number % 2}') else 'old'))
        elif how == 'draw':
            loop = asyncio.get_running_loop()
            shared.log += [str(ctx.uuid4()), ctx.random_int(), ctx.random().random(), ctx.now().isoformat()]
            shared.log.append(loop.time())
            ctx.set_custom_status(f'{number} of run {run}')
        elif how in ('later', 'left'):
            tasks = later if how == 'later' else []
            tasks.append(asyncio.create_task(_caught(ctx, shared, node)))
        elif how == 'condition':
            before = len(shared.log)
            later.append(asyncio.create_task(_caught(ctx, shared, node)))
            await ctx.wait_condition(lambda before=before: len(shared.log) > before)  # type: ignore[misc]
        else:
            await _caught(ctx, shared, node)
    for waited in later:
        await waited
    if program.ending == 'raise':
        raise OnPurposeError(json.dumps(shared.log))
    if program.ending != 'return' and run < RUNS:
        ctx.continue_as_new(run + 1, save_events=program.ending == 'continue with events')
    return shared.log


async def _caught(ctx: Context, shared: Shared, node: Node) -> None:
    try:
        shared.log.append(await _run(ctx, shared, node))
    except CAUGHT as error:
        shared.log.append(f'{type(error).__name__}: {error}')
    except BaseException as error:
        if not hasattr(error, 'exceptions'):
            raise
        shared.log.append([f'{type(each).__name__}: {each}' for each in error.exceptions])


async def _run(ctx: Context, shared: Shared, node: Node) -> Any:
    if isinstance(node, Leaf):
        return await _leaf(ctx, node)
    if isinstance(node, Around):
        return await _around(ctx, shared, node.how, node.child)
    if node.how == 'through a queue':
        tasks = [asyncio.create_task(_put(ctx, shared, child)) for child in node.children]
        return [await shared.queue.get() for _ in tasks]
    return await _several(ctx, node.how, [_run(ctx, shared, child) for child in node.children])


def _leaf(ctx: Context, leaf: Leaf) -> Awaitable[Any]:
    policy = POLICY if leaf.is_retried else None
    if leaf.kind == 'activity':
        return ctx.call_activity(leaf.name, input=0, retry_policy=policy)
    if leaf.kind == 'child':
        return ctx.call_child_workflow(leaf.name, retry_policy=policy)
    if leaf.kind == 'timer':
        return asyncio.sleep(0 if leaf.name == 'y' else 3)
    timeout = {'event': None, 'limited event': 5, 'event at once': 0}[leaf.kind]
    return ctx.wait_for_external_event(leaf.name, timeout=timeout)


async def _around(ctx: Context, shared: Shared, how: str, child: Node) -> Any:
    if how == 'with_timeout':
        return await ctx.with_timeout(_run(ctx, shared, child), 4)
    if how == 'wait_for' or (how == 'timeout' and not HAS_GROUPS):
        return await asyncio.wait_for(_run(ctx, shared, child), 4)
    if how == 'timeout':
        async with _asyncio.timeout(4):
            return await _run(ctx, shared, child)
    if how == 'shielded':
        return await asyncio.wait_for(asyncio.shield(_run(ctx, shared, child)), 2)
    if how in ('cancelled', 'cancelled later'):
        running = asyncio.create_task(_run(ctx, shared, child))
        await asyncio.sleep(0 if how == 'cancelled' else 2)
        running.cancel()
        return await running
    if how == 'failing':
        await _run(ctx, shared, child)
        raise OnPurposeError('on purpose')
    if how == 'generated':
        return [item async for item in _generated(ctx, shared, child)]
    if how == 'cleaned up':
        try:
            return await _run(ctx, shared, child)
        finally:
            await ctx.call_activity('clean up')
    async with shared.lock if how == 'locked' else shared.semaphore:
        return await _run(ctx, shared, child)


async def _generated(ctx: Context, shared: Shared, child: Node) -> Any:
    yield 'first'
    yield await _run(ctx, shared, child)


async def _several(ctx: Context, how: str, children: list[Any]) -> Any:
    if not children:
        return None
    if how == 'gather' or (how == 'group' and not HAS_GROUPS):
        return await asyncio.gather(*children)
    if how == 'gather all':
        return [_told(result) for result in await asyncio.gather(*children, return_exceptions=True)]
    if how == 'group':
        async with _asyncio.TaskGroup() as group:
            members = [group.create_task(child) for child in children]
        return [member.result() for member in members]
    if how == 'as_completed':
        return [await first for first in asyncio.as_completed(children)]
    if how == 'when_all':
        return await ctx.when_all(children)
    if how == 'when_any':
        winner = await ctx.when_any(children)
        return [children.index(winner), winner.get_result()]
    if how == 'when_any_with_result':
        return list(await ctx.when_any_with_result(children))
    if how == 'one by one':
        tasks = [asyncio.ensure_future(child) for child in children]
        return [await each for each in reversed(tasks)]
    tasks = [asyncio.ensure_future(child) for child in children]
    when = asyncio.FIRST_COMPLETED if how == 'wait first' else asyncio.FIRST_EXCEPTION
    done, pending = await asyncio.wait(tasks, return_when=when)
    for left in pending:
        left.cancel()
    # In the order of the sets, which is that of no address.
    return [[_told_task(each) for each in done], [tasks.index(each) for each in pending]]


async def _put(ctx: Context, shared: Shared, child: Node) -> None:
    try:
        await shared.queue.put(await _run(ctx, shared, child))
    except CAUGHT as error:
        await shared.queue.put(_told(error))


def _told(result: Any) -> Any:
    return f'{type(result).__name__}: {result}' if isinstance(result, BaseException) else result


def _told_task(each: asyncio.Task[Any]) -> Any:
    if each.cancelled():
        return 'cancelled'
    return _told(each.exception() or each.result())
