"""What asyncio has works in a workflow: on durable timers, and only as its history goes on."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone
from typing import Any

import anyio
import pytest

from tests.support.async_engine import Context, after, called, driver, needs_3_11, seconds, started
from tests.support.engine import (
    START,
    event_raised,
    failure_of,
    kinds,
    output,
    task_completed,
    task_failed,
    timer_fired,
)


def test_awaiting_a_call_gives_its_result() -> None:
    async def workflow(ctx: Context, name: str) -> Any:
        return await ctx.call_activity('greet', input=name)

    running = driver(workflow, '"you"')
    assert called(running.start()) == ['greet']
    assert output(running.turn(task_completed(1, 'hello you'))) == 'hello you'


def test_a_workflow_that_awaits_nothing_ends_at_once() -> None:
    async def workflow(ctx: Context, number: int) -> int:
        return number + 1

    assert output(started(workflow, '1')) == 2


def test_sleep_is_a_durable_timer() -> None:
    async def workflow(ctx: Context, _: None) -> str:
        return await asyncio.sleep(1.5, 'awake')

    running = driver(workflow)
    results = running.start()
    assert (called(results), seconds(results, running.now)) == (['timer'], [1.5])
    assert output(running.turn(timer_fired(1))) == 'awake'


def test_sleeping_for_no_time_lets_others_go_on_and_makes_no_timer() -> None:
    async def workflow(ctx: Context, _: None) -> list[str]:
        log = []

        async def other() -> None:
            log.append('other')

        task = asyncio.create_task(other())
        await asyncio.sleep(0)
        log.append('main')
        await ctx.sleep(0)
        await task
        return log

    assert output(started(workflow)) == ['other', 'main']


def test_the_loops_time_is_logical_time() -> None:
    async def workflow(ctx: Context, _: None) -> list[float]:
        before = asyncio.get_running_loop().time()
        await ctx.call_activity('a')
        return [before, asyncio.get_running_loop().time()]

    first = (START + timedelta(seconds=1)).replace(tzinfo=timezone.utc).timestamp()
    assert output(after(workflow, (task_completed(1),))) == [first, first + 1]


def test_gather_schedules_in_order_and_gives_results_in_order() -> None:
    async def workflow(ctx: Context, _: None) -> Any:
        return await asyncio.gather(ctx.call_activity('a'), ctx.call_activity('b'), asyncio.sleep(1, 'c'))

    running = driver(workflow)
    assert called(running.start()) == ['a', 'b', 'timer']
    running.turn(task_completed(2, 'B'))
    running.turn(timer_fired(3))
    assert output(running.turn(task_completed(1, 'A'))) == ['A', 'B', 'c']


def test_wait_for_ends_a_wait_that_takes_too_long() -> None:
    async def workflow(ctx: Context, _: None) -> str:
        try:
            return await asyncio.wait_for(ctx.call_activity('slow'), 10)
        except asyncio.TimeoutError:
            return 'too slow'

    assert output(after(workflow, (timer_fired(2),))) == 'too slow'
    assert output(after(workflow, (task_completed(1, 'done'),))) == 'done'


@needs_3_11
def test_timeout_ends_a_block_that_takes_too_long() -> None:
    async def workflow(ctx: Context, _: None) -> list[Any]:
        log: list[Any] = []
        try:
            async with asyncio.timeout(10):  # type: ignore[attr-defined]
                log.append(await ctx.call_activity('first'))
                log.append(await ctx.call_activity('second'))
        except TimeoutError:
            log.append('too slow')
        # The second is still in the history: what it gives is ignored.
        log.append(await ctx.call_activity('third'))
        return log

    running = driver(workflow)
    assert called(running.start()) == ['timer', 'first']
    running.turn(task_completed(2, 1))
    running.turn(timer_fired(1))
    running.turn(task_completed(3, 2))
    assert output(running.turn(task_completed(4, 3))) == [1, 'too slow', 3]


@needs_3_11
def test_a_task_group_cancels_the_others_when_one_fails() -> None:
    async def workflow(ctx: Context, _: None) -> list[str]:
        log = []

        async def child(name: str) -> None:
            try:
                await ctx.call_activity(name)
            except asyncio.CancelledError:
                log.append(f'{name} cancelled')
                raise

        try:
            async with asyncio.TaskGroup() as group:  # type: ignore[attr-defined]
                for name in 'abcdefgh':
                    group.create_task(child(name))
        except Exception as errors:
            log.append(type(errors.exceptions[0]).__name__)  # type: ignore[attr-defined]
        return log

    cancelled = [f'{name} cancelled' for name in 'abdefgh']
    assert output(after(workflow, (task_failed(3),))) == [*cancelled, 'TaskFailedError']


def test_wait_gives_sets_that_are_in_the_order_of_the_calls() -> None:
    async def workflow(ctx: Context, _: None) -> list[int]:
        calls = [ctx.call_activity(str(number)) for number in range(20)]
        done, pending = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        return [calls.index(call) for call in (*done, *pending)]

    assert output(after(workflow, (task_completed(8, 'x'),))) == [7, *(n for n in range(20) if n != 7)]


def test_as_completed_goes_by_the_history() -> None:
    async def workflow(ctx: Context, _: None) -> list[str]:
        return [await next_one for next_one in asyncio.as_completed([ctx.call_activity(n) for n in 'abc'])]

    done = after(workflow, (task_completed(3, 'C'),), (task_completed(1, 'A'), task_completed(2, 'B')))
    assert output(done) == ['C', 'A', 'B']


def test_as_completed_makes_tasks_of_coroutines_in_the_order_given() -> None:
    """By itself it puts them into a set, whose order is that of addresses."""

    async def workflow(ctx: Context, _: None) -> list[str]:
        async def helper(name: str) -> Any:
            return name + await ctx.call_activity(name)

        return [await next_one for next_one in asyncio.as_completed([helper(name) for name in 'abcdefgh'])]

    running = driver(workflow)
    assert called(running.start()) == list('abcdefgh')
    running.turn(task_completed(3, '!'))
    running.turn(*(task_completed(n, '?') for n in (1, 2, 4, 5, 6, 7, 8)))


def test_as_completed_refuses_coroutines_whose_order_is_not_to_be_had() -> None:
    async def workflow(ctx: Context, _: None) -> None:
        async def helper(name: str) -> None:
            await ctx.call_activity(name)

        helpers = [helper('a'), helper('b')]
        try:
            for next_one in asyncio.as_completed(iter(helpers)):
                await next_one
        finally:
            for unused in helpers:
                unused.close()

    failed = failure_of(started(workflow))
    assert failed.errorType == 'AsyncWorkflowError'
    assert 'asyncio.create_task' in failed.errorMessage


def test_shield_keeps_a_call_from_being_cancelled() -> None:
    async def workflow(ctx: Context, _: None) -> Any:
        call = ctx.call_activity('a')
        try:
            await asyncio.wait_for(asyncio.shield(call), 1)
        except asyncio.TimeoutError:
            return 'then ' + await call
        return 'early'

    assert output(after(workflow, (timer_fired(2),), (task_completed(1, 'done'),))) == 'then done'


def test_queues_locks_events_and_semaphores_work_between_tasks() -> None:
    async def workflow(ctx: Context, _: None) -> list[Any]:
        queue: asyncio.Queue[int] = asyncio.Queue(1)
        lock, event, semaphore = asyncio.Lock(), asyncio.Event(), asyncio.Semaphore(2)
        log: list[Any] = []

        async def produce() -> None:
            for number in range(3):
                async with lock, semaphore:
                    await queue.put(await ctx.call_activity('make', input=number))
            event.set()

        task = asyncio.create_task(produce())
        for _number in range(3):
            log.append(await queue.get())
        await event.wait()
        await task
        return log

    assert output(after(workflow, *((task_completed(n, n),) for n in (1, 2, 3)))) == [1, 2, 3]


def test_async_generators_and_context_managers_work() -> None:
    async def workflow(ctx: Context, _: None) -> list[int]:
        async def results() -> Any:
            for number in range(3):
                yield await ctx.call_activity('a', input=number)

        return [result async for result in results()]

    assert output(after(workflow, *((task_completed(n, n),) for n in (1, 2, 3)))) == [1, 2, 3]


def test_an_abandoned_async_generator_is_finished_when_the_run_is_over_and_without_effect() -> None:
    log: list[str] = []

    async def workflow(ctx: Context, _: None) -> str:
        async def results() -> Any:
            try:
                yield await ctx.call_activity('a')
                yield await ctx.call_activity('b')
            finally:
                log.append('finished')
                await ctx.call_activity('never')

        async for _result in results():
            break
        await ctx.call_activity('c')
        return 'done'

    running = driver(workflow)
    running.start()
    assert called(running.turn(task_completed(1))) == ['c']
    log.clear()  # of the instances that were replayed and closed
    assert output(running.turn(task_completed(2))) == 'done'
    assert running._running is not None
    assert running._running.close() is None
    assert log[-1] == 'finished'


def test_anyio_works() -> None:
    async def workflow(ctx: Context, _: None) -> list[Any]:
        log: list[Any] = []

        async def child(name: str) -> None:
            log.append(await ctx.call_activity(name))

        async with anyio.create_task_group() as group:
            group.start_soon(child, 'a')
            group.start_soon(child, 'b')
        with anyio.move_on_after(5) as scope:
            await ctx.call_activity('slow')
        return [*log, scope.cancelled_caught]

    running = driver(workflow)
    assert called(running.start()) == ['a', 'b']
    results = running.turn(task_completed(1, 'A'), task_completed(2, 'B'))
    timer = next(action.id for action in results.actions if action.HasField('createTimer'))
    assert output(running.turn(timer_fired(timer))) == ['A', 'B', True]


def test_a_timer_that_was_cancelled_means_nothing_when_it_fires() -> None:
    async def workflow(ctx: Context, _: None) -> list[str]:
        handle = asyncio.get_running_loop().call_later(5, print, 'never')
        handle.cancel()
        assert handle.cancelled()
        return [await ctx.call_activity('a'), await ctx.call_activity('b')]

    running = driver(workflow)
    assert called(running.start()) == ['timer', 'a']
    running.turn(timer_fired(1), task_completed(2, 'A'))
    assert output(running.turn(task_completed(3, 'B'))) == ['A', 'B']


@pytest.mark.parametrize('delay', [0, -1, 1e-9])
def test_call_later_without_a_delay_makes_no_timer(delay: float) -> None:
    async def workflow(ctx: Context, _: None) -> str:
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(delay, future.set_result, 'called')
        result: str = await future
        return result

    assert output(started(workflow)) == 'called'


def test_call_at_takes_a_point_in_logical_time() -> None:
    async def workflow(ctx: Context, _: None) -> str:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        handle = loop.call_at(loop.time() + 2.25, future.set_result, 'called')
        assert handle.when() == loop.time() + 2.25
        result: str = await future
        return result

    running = driver(workflow)
    assert seconds(running.start(), running.now) == [2.25]
    assert output(running.turn(timer_fired(1))) == 'called'


def test_a_delay_without_end_is_no_timer_and_one_beyond_dates_fires_at_their_end() -> None:
    async def workflow(ctx: Context, _: None) -> Any:
        loop = asyncio.get_running_loop()
        loop.call_later(float('inf'), print)
        loop.call_later(1e15, print)
        return await ctx.call_activity('a')

    results = started(workflow)
    assert called(results) == ['timer', 'a']
    assert results.actions[0].createTimer.fireAt.ToDatetime() == datetime.max


def test_the_current_task_and_the_running_loop_are_the_workflows() -> None:
    async def workflow(ctx: Context, _: None) -> list[Any]:
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        child = asyncio.create_task(asyncio.sleep(0))
        await child
        return [task.get_name(), child.get_name(), task.get_loop() is loop, loop.is_running(), loop.is_closed()]

    assert output(started(workflow)) == ['main', 'Task-2', True, True, False]


def test_a_call_may_be_awaited_twice_and_in_several_composites() -> None:
    async def workflow(ctx: Context, _: None) -> list[Any]:
        call = ctx.call_activity('a')
        both = await asyncio.gather(call, ctx.when_all([call, call]), ctx.with_timeout(call, 5))
        return [await call, await call, both]

    assert output(after(workflow, (task_completed(1, 'A'),))) == ['A', 'A', ['A', ['A', 'A'], 'A']]


def test_tasks_wait_for_events_that_come_before_and_after() -> None:
    async def workflow(ctx: Context, _: None) -> list[Any]:
        waits = [asyncio.create_task(_wait(ctx, name)) for name in 'xyx']
        return await asyncio.gather(*waits)

    async def _wait(ctx: Context, name: str) -> Any:
        return await ctx.wait_for_external_event(name)

    running = driver(workflow)
    running.start(event_raised('y', '"Y"'))
    running.turn(event_raised('x', '1'))
    assert output(running.turn(event_raised('x', '2'))) == [1, 'Y', 2]


def test_what_is_asked_for_after_each_event_is_in_the_order_in_which_tasks_became_ready() -> None:
    """The frozen order: first in, first out; what is made ready by it comes after."""

    async def workflow(ctx: Context, _: None) -> None:
        async def chain(name: str) -> None:
            await ctx.call_activity(name)
            await ctx.call_activity(name + '1')
            await asyncio.sleep(0)
            await ctx.call_activity(name + '2')

        await asyncio.gather(chain('a'), chain('b'), chain('c'))

    running = driver(workflow)
    assert called(running.start()) == ['a', 'b', 'c']
    assert called(running.turn(task_completed(2), task_completed(3), task_completed(1))) == ['b1', 'c1', 'a1']
    assert kinds(running.turn(task_completed(6), task_completed(4))) == [(7, 'scheduleTask'), (8, 'scheduleTask')]
