"""What `AsyncWorkflowContext` has, beside what asyncio has."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from dapr.ext.workflow._durabletask.aio import AsyncWorkflowError, WorkflowTimeoutError, WorkflowValidationError
from dapr.ext.workflow._durabletask.aio.orchestrator import async_orchestrator
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.retry import RetryPolicy
from dapr.ext.workflow._durabletask.task import TaskFailedError
from tests.support.async_engine import Context, after, called, driver, running_instance, seconds, started
from tests.support.engine import (
    START,
    Driver,
    child_completed,
    event_raised,
    execution_started,
    failure_of,
    output,
    task_completed,
    task_failed,
    timer_fired,
)


def test_a_call_is_scheduled_where_it_is_made() -> None:
    async def workflow(ctx: Context, _: None) -> list[Any]:
        first, second = ctx.call_activity('first'), ctx.activity('second', input=2)
        third = ctx.sub_orchestrator('third', instance_id='c')
        return [await third, await second, await first]

    running = driver(workflow)
    assert called(running.start()) == ['first', 'second', 'third']
    running.turn(task_completed(1, 1), task_completed(2, 2))
    assert output(running.turn(child_completed(3, 3))) == [3, 2, 1]


def test_a_call_under_a_retry_policy_is_one_future() -> None:
    async def workflow(ctx: Context, _: None) -> Any:
        policy = RetryPolicy(first_retry_interval=timedelta(seconds=1), max_number_of_attempts=2)
        return await ctx.call_activity('a', retry_policy=policy)

    running = driver(workflow)
    running.start()
    assert called(running.turn(task_failed(1))) == ['timer']
    assert called(running.turn(timer_fired(2))) == ['a']
    assert output(running.turn(task_completed(3, 'at last'))) == 'at last'


@pytest.mark.parametrize(
    ('delay', 'expected'),
    [(2, 2.0), (1.5, 1.5), (timedelta(minutes=1), 60.0), (START + timedelta(seconds=11), 10.0)],
)
@pytest.mark.parametrize('method', ['sleep', 'create_timer'])
def test_timers_take_seconds_durations_and_moments(method: str, delay: Any, expected: float) -> None:
    async def workflow(ctx: Context, _: None) -> str:
        await getattr(ctx, method)(delay)
        return 'awake'

    running = driver(workflow)
    assert seconds(running.start(), running.now) == [expected]
    assert output(running.turn(timer_fired(1))) == 'awake'


def test_a_moment_may_have_a_time_zone() -> None:
    async def workflow(ctx: Context, _: None) -> None:
        moment = (ctx.now() + timedelta(seconds=7)).replace(tzinfo=timezone.utc)
        await asyncio.gather(ctx.sleep(moment), ctx.with_timeout(ctx.call_activity('a'), moment))

    running = driver(workflow)
    assert seconds(running.start(), running.now) == [7.0, 7.0]


# External events


def test_the_wait_for_an_event_ends_with_its_value_or_when_it_takes_too_long() -> None:
    async def workflow(ctx: Context, _: None) -> Any:
        try:
            return await ctx.wait_for_external_event('go', timeout=5)
        except WorkflowTimeoutError as error:
            kinds = (TimeoutError, asyncio.TimeoutError, AsyncWorkflowError)
            return [str(error), *(isinstance(error, kind) for kind in kinds)]

    assert output(after(workflow, (event_raised('GO', '7'),))) == 7
    message, *kinds = output(after(workflow, (timer_fired(1),)))
    assert "waiting for external event 'go'" in message
    assert kinds == [True, True, True]


def test_a_timeout_that_is_not_caught_fails_the_workflow_by_its_name() -> None:
    async def workflow(ctx: Context, _: None) -> Any:
        await ctx.wait_for_external_event('go', timeout=0)

    assert failure_of(started(workflow)).errorType == 'WorkflowTimeoutError'


def test_a_wait_that_is_cancelled_takes_no_event_from_a_later_one() -> None:
    async def workflow(ctx: Context, _: None) -> Any:
        try:
            await ctx.with_timeout(ctx.wait_for_external_event('go'), 5)
        except TimeoutError:
            return await ctx.wait_for_external_event('go')

    running = driver(workflow)
    running.start()
    running.turn(timer_fired(2))
    assert output(running.turn(event_raised('go', '"late"'))) == 'late'


def test_waits_that_are_cancelled_leave_nothing_behind() -> None:
    async def workflow(ctx: Context, _: None) -> Any:
        while True:
            try:
                await asyncio.wait_for(ctx.wait_for_external_event('go'), 5)
            except asyncio.TimeoutError:
                continue

    running = driver(workflow)
    running.start()
    for number in range(20):
        running.turn(timer_fired(2 * number + 2))
    context = running_instance(running).context
    assert len(context._unresolved) == 2
    assert context._mailbox is not None
    assert [len(waiters) for waiters in context._mailbox._waiters.values()] == [1]


# Composites


def test_when_all_waits_for_all_and_then_raises_the_first_failure() -> None:
    async def workflow(ctx: Context, _: None) -> Any:
        try:
            return await ctx.when_all([ctx.call_activity(name) for name in 'abc'])
        except TaskFailedError as error:
            return error.details.message

    assert output(after(workflow, tuple(task_completed(n, n) for n in (3, 1, 2)))) == [1, 2, 3]
    running = driver(workflow)
    running.start()
    failed = pb.TaskFailureDetails(errorType='E', errorMessage='second')
    assert running.turn(task_failed(2, failed)).actions == []
    assert running.turn(task_failed(1)).actions == []
    assert output(running.turn(task_completed(3))) == 'second'


def test_when_all_of_nothing_is_there_at_once() -> None:
    async def workflow(ctx: Context, _: None) -> Any:
        return await ctx.when_all([])

    assert output(started(workflow)) == []


def test_when_any_gives_the_very_future_that_was_first() -> None:
    async def workflow(ctx: Context, _: None) -> Any:
        first, second = ctx.call_activity('a'), ctx.wait_for_external_event('b')
        winner = await ctx.when_any([first, second])
        return [winner == second, winner is second, winner == first, winner.get_result()]

    assert output(after(workflow, (event_raised('b', '9'),))) == [True, True, False, 9]


def test_when_any_of_coroutines_gives_what_compares_equal_to_the_first() -> None:
    async def workflow(ctx: Context, _: None) -> Any:
        async def helper(name: str) -> str:
            result: str = await ctx.call_activity(name)
            return result

        one, other = helper('a'), helper('b')
        winner = await ctx.when_any([one, other])
        return [winner == other, winner == one, winner.get_result(), await winner, winner.done(), winner.exception()]

    assert output(after(workflow, (task_completed(2, 'B'),))) == [True, False, 'B', 'B', True, None]


def test_when_any_with_result_gives_the_place_and_the_result() -> None:
    async def workflow(ctx: Context, _: None) -> Any:
        try:
            return list(await ctx.when_any_with_result([ctx.call_activity('a'), ctx.call_activity('b')]))
        except TaskFailedError:
            return 'failed'

    assert output(after(workflow, (task_completed(2, 'B'),))) == [1, 'B']
    assert output(after(workflow, (task_failed(1),))) == 'failed'


def test_when_any_of_nothing_is_refused() -> None:
    async def workflow(ctx: Context, _: None) -> Any:
        await ctx.when_any([])

    assert failure_of(started(workflow)).errorType == WorkflowValidationError.__name__


def test_gather_may_give_failures_as_results() -> None:
    async def workflow(ctx: Context, _: None) -> Any:
        results = await ctx.gather(ctx.call_activity('a'), ctx.call_activity('b'), return_exceptions=True)
        return [type(result).__name__ for result in results]

    assert output(after(workflow, (task_failed(2), task_completed(1, 'A')))) == ['str', 'TaskFailedError']


def test_with_timeout_gives_the_result_or_cancels() -> None:
    async def workflow(ctx: Context, _: None) -> Any:
        call = ctx.call_activity('slow')
        try:
            return await ctx.with_timeout(call, timedelta(seconds=3))
        except WorkflowTimeoutError:
            return ['too slow', call.cancelled()]

    assert output(after(workflow, (task_completed(1, 'done'), timer_fired(2)))) == 'done'
    assert output(after(workflow, (timer_fired(2),))) == ['too slow', True]


def test_a_condition_is_waited_for_until_other_tasks_bring_it_about() -> None:
    async def workflow(ctx: Context, _: None) -> Any:
        results: list[str] = []

        async def collect() -> None:
            for name in 'abc':
                results.append(await ctx.call_activity(name))

        task = asyncio.create_task(collect())
        await ctx.wait_condition(lambda: len(results) >= 2)
        seen = list(results)
        await ctx.wait_condition(lambda: True)
        await task
        return [seen, results]

    done = after(workflow, *((task_completed(n, n),) for n in (1, 2, 3)))
    assert output(done) == [[1, 2], [1, 2, 3]]


def test_a_condition_may_take_too_long_or_fail() -> None:
    async def workflow(ctx: Context, _: None) -> Any:
        log = []
        try:
            await ctx.wait_condition(lambda: False, timeout=5)
        except WorkflowTimeoutError:
            log.append('too long')
        looked = 0

        def failing() -> bool:
            nonlocal looked
            looked += 1
            return looked > 1 and bool(1 / 0)

        try:
            await ctx.wait_condition(failing)
        except ZeroDivisionError:
            log.append('failed')
        return log

    assert output(after(workflow, (timer_fired(1),))) == ['too long', 'failed']


# What it is


def test_it_knows_where_it_is() -> None:
    async def workflow(ctx: Context, _: None) -> Any:
        await ctx.call_activity('a')
        info = ctx.info
        with pytest.raises(dataclasses.FrozenInstanceError):
            info.is_replaying = False  # type: ignore[misc]
        return [
            ctx.instance_id,
            ctx.workflow_name,
            ctx.parent_instance_id,
            ctx.current_utc_datetime == ctx.now() == info.current_utc_datetime,
            ctx.is_suspended,
            ctx.history_event_sequence,
            info.instance_id,
            info.workflow_name,
            ctx.get_debug_info()['last_action_id'],
        ]

    running = driver(workflow)
    running._started.executionStarted.parentInstance.workflowInstance.instanceId = 'parent'
    running.start()
    assert output(running.turn(task_completed(1))) == [
        'abc', 'workflow', 'parent', True, False, 1, 'abc', 'workflow', 1
    ]  # fmt: skip


def test_randomness_and_identifiers_are_those_of_generators() -> None:
    def draws(ctx: Any) -> list[Any]:
        return [
            ctx.random_int(), ctx.random_string(5), ctx.random_choice([1, 2, 3]), ctx.random().random(),
            str(ctx.uuid4()), str(ctx.new_guid()), ctx.now().isoformat(),
        ]  # fmt: skip

    async def workflow(ctx: Context, _: None) -> Any:
        return draws(ctx)

    expected = Driver(lambda_named(draws)).start()
    assert output(started(workflow)) == output(expected)


def lambda_named(draws: Any) -> Any:
    def workflow(ctx: Any, _: None) -> Any:
        return draws(ctx)

    return workflow


def test_cleanups_run_at_the_end_of_the_block_last_one_first() -> None:
    async def workflow(ctx: Context, _: None) -> Any:
        log: list[str] = []

        async def later(name: str) -> None:
            log.append(await ctx.call_activity(name))

        try:
            async with ctx:
                ctx.add_cleanup(lambda: log.append('sync'))
                ctx.add_cleanup(lambda: later('clean-up'))
                raise ValueError('inside')
        except ValueError:
            log.append('out')
        return log

    assert output(after(workflow, (task_completed(1, 'async'),))) == ['async', 'sync', 'out']


def test_status_patches_and_debug_info() -> None:
    async def workflow(ctx: Context, _: None) -> Any:
        ctx.set_custom_status('busy')
        await ctx.call_activity('new' if ctx.is_patched('p') else 'old')

    running = driver(workflow)
    results = running.start()
    assert (called(results), results.encoded_custom_status, results.patches) == (['new'], 'busy', ['p'])


@pytest.mark.parametrize('mode', ['of', '', None])
def test_a_sandbox_mode_that_is_none_is_refused(mode: Any) -> None:
    with pytest.raises(WorkflowValidationError, match="'best_effort'"):
        async_orchestrator(execution_started, sandbox_mode=mode)


def test_nothing_else_may_be_a_moment() -> None:
    async def workflow(ctx: Context, _: None) -> None:
        await ctx.sleep('soon')  # type: ignore[arg-type]

    assert failure_of(started(workflow)).errorType == 'TypeError'


def test_logical_time_stands_still_within_a_turn() -> None:
    async def workflow(ctx: Context, _: None) -> bool:
        before: datetime = ctx.now()
        await asyncio.sleep(0)
        return before == ctx.now()

    assert output(started(workflow)) is True
