"""How an async workflow ends, what becomes of what it leaves behind, and what is told of it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from typing import Any

import pytest

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.replay.executor import close
from dapr.ext.workflow._durabletask.task import TaskFailedError
from tests.support.async_engine import Context, after, called, driver, running_instance, started
from tests.support.engine import (
    LOGGER,
    completion,
    event_raised,
    failure,
    failure_of,
    output,
    task_completed,
    task_failed,
)


class OwnError(Exception):
    pass


def test_what_the_author_raised_is_what_fails_the_workflow() -> None:
    async def workflow(ctx: Context, _: None) -> None:
        await ctx.call_activity('a')
        raise OwnError('no')

    failed = failure_of(after(workflow, (task_completed(1),)))
    assert (failed.errorType, failed.errorMessage) == ('OwnError', 'no')
    assert "raise OwnError('no')" in failed.stackTrace.value


def test_a_failed_call_raises_where_it_is_awaited() -> None:
    async def workflow(ctx: Context, _: None) -> str:
        try:
            await ctx.call_activity('a')
        except TaskFailedError as error:
            return error.details.error_type
        return 'went well'

    assert output(after(workflow, (task_failed(1, failure(error_type='OddError')),))) == 'OddError'


@pytest.mark.parametrize('error', [SystemExit(3), KeyboardInterrupt()])
def test_what_would_end_the_process_fails_the_workflow(error: BaseException) -> None:
    async def workflow(ctx: Context, _: None) -> None:
        raise error

    assert failure_of(started(workflow)).errorType == type(error).__name__


def test_a_cancellation_never_leaves_the_worker() -> None:
    async def workflow(ctx: Context, _: None) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await ctx.call_activity('a')

    failed = failure_of(started(workflow))
    assert failed.errorType == 'AsyncWorkflowError'
    assert 'cancelled by its own code' in failed.errorMessage


def test_continuing_as_new_ends_the_coroutine_where_it_is_called() -> None:
    async def workflow(ctx: Context, number: int) -> None:
        async def deep() -> None:
            ctx.continue_as_new(number + 1, save_events=True)

        with contextlib.suppress(Exception):
            await asyncio.gather(deep(), ctx.call_activity('dropped'))
        raise OwnError('not reached')

    done = completion(driver(workflow, '1').start(event_raised('x', '5')))
    assert done.workflowStatus == pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW
    assert done.result.value == '2'
    assert [event.eventRaised.name for event in done.carryoverEvents] == ['x']


def test_tasks_that_are_left_behind_are_cancelled_without_effect() -> None:
    log: list[str] = []

    async def workflow(ctx: Context, _: None) -> str:
        async def behind() -> None:
            try:
                await ctx.call_activity('slow')
            finally:
                log.append(f'cancelled, replaying: {ctx.is_replaying}')
                ctx.set_custom_status('late')
                await ctx.call_activity('clean-up')

        asyncio.create_task(behind())
        await asyncio.sleep(0)
        return 'done'

    running = driver(workflow)
    results = running.start()
    assert (output(results), results.encoded_custom_status) == ('done', None)
    assert running_instance(running).close() is None
    assert set(log) == {'cancelled, replaying: True'}


def test_what_the_main_task_left_ready_is_not_run() -> None:
    async def workflow(ctx: Context, _: None) -> str:
        async def forever() -> None:
            while True:
                await asyncio.sleep(0)

        asyncio.create_task(forever())
        await asyncio.sleep(0)
        return 'done'

    assert output(started(workflow)) == 'done'


def test_closing_runs_finally_blocks_without_effect() -> None:
    log: list[Any] = []

    async def workflow(ctx: Context, _: None) -> None:
        try:
            await ctx.call_activity('a')
        finally:
            log.append(ctx.is_replaying)
            await ctx.call_activity('clean-up')

    running = driver(workflow)
    running.start()
    log.clear()
    assert running_instance(running).close() is None
    assert log == [True]


def test_a_coroutine_that_will_not_be_cancelled_is_told_and_dropped(caplog: pytest.LogCaptureFixture) -> None:
    async def workflow(ctx: Context, _: None) -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await ctx.call_activity('a')

    running = driver(workflow)
    running.start()
    caplog.clear()
    close(running_instance(running), LOGGER)
    assert ['main took no notice of being cancelled' in record.getMessage() for record in caplog.records] == [True]


def test_a_task_that_spins_while_it_is_closed_is_dropped() -> None:
    async def workflow(ctx: Context, _: None) -> None:
        try:
            await ctx.call_activity('a')
        finally:
            while True:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(0)

    running = driver(workflow)
    running.start()
    assert 'took no notice' in str(running_instance(running).close())


def test_closing_leaves_nothing_to_the_garbage_collector(recwarn: pytest.WarningsRecorder) -> None:
    async def workflow(ctx: Context, _: None) -> None:
        async def never_run() -> None:
            pass

        asyncio.create_task(never_run())
        tasks = [asyncio.create_task(asyncio.sleep(5)) for _ in range(3)]
        await asyncio.gather(*tasks, ctx.call_activity('a'))

    gc.collect()  # what other tests have left
    recwarn.clear()
    running = driver(workflow)
    running.start()
    running_instance(running).close()
    del running
    gc.collect()
    assert [str(warning.message) for warning in recwarn] == []


# What is told


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_a_call_that_was_waited_for_and_left_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    async def workflow(ctx: Context, _: None) -> str:
        calls = [asyncio.ensure_future(ctx.call_activity(name)) for name in ('slow', 'quick', 'late')]
        first, _pending = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        await ctx.call_activity('more')
        return str(first.pop().result())

    assert output(after(workflow, (task_completed(2, 'quick'),), (task_completed(1), task_completed(4)))) == 'quick'
    assert 'never awaited' not in caplog.text


def test_a_call_that_was_never_awaited_is_told_with_its_name_and_line(caplog: pytest.LogCaptureFixture) -> None:
    async def workflow(ctx: Context, _: None) -> None:
        ctx.call_activity('forgotten')
        ctx.wait_for_external_event('missed')
        await ctx.call_activity('a')

    line = workflow.__code__.co_firstlineno + 1
    after(workflow, (task_completed(1), task_completed(3)))
    messages = told(caplog)
    assert (
        f"abc: the workflow 'workflow': call_activity('forgotten') was never awaited ({__file__}:{line})." in messages
    )
    assert any(
        f"wait_for_external_event('missed') was never awaited ({__file__}:{line + 1})" in text for text in messages
    )
    assert not any("call_activity('a')" in text for text in messages)


def test_calls_whose_results_were_looked_at_are_not_told(caplog: pytest.LogCaptureFixture) -> None:
    async def workflow(ctx: Context, _: None) -> list[Any]:
        early, waited, gathered, asked = (ctx.call_activity(name) for name in ('early', 'waited', 'gathered', 'asked'))
        await ctx.call_activity('last')
        await early
        await asyncio.wait([waited])
        await asyncio.gather(gathered)
        return [asked.result()]

    done = after(workflow, tuple(task_completed(number, number) for number in range(1, 6)))
    assert output(done) == [4]
    assert told(caplog) == []


def test_a_failure_that_nobody_awaits_is_told_and_does_not_fail_the_workflow(caplog: pytest.LogCaptureFixture) -> None:
    async def workflow(ctx: Context, _: None) -> str:
        async def failing() -> None:
            raise OwnError('unseen')

        task = asyncio.create_task(failing())
        ctx.call_activity('a')
        await ctx.call_activity('b')
        assert task.done()
        return 'done'

    assert output(after(workflow, (task_failed(1), task_completed(2)))) == 'done'
    messages = told(caplog)
    assert (
        "abc: the workflow 'workflow': the task 'Task-2' has failed with OwnError: unseen, and nobody has awaited it."
        in messages
    )
    assert any("call_activity('a') was never awaited" in text and 'TaskFailedError' in text for text in messages)


def test_a_callback_that_fails_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def workflow(ctx: Context, _: None) -> str:
        asyncio.get_running_loop().call_soon(int, 'x')
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return 'done'

    assert output(started(workflow)) == 'done'
    assert 'ValueError' in told(caplog)[0]


def test_what_is_told_is_told_once_and_not_in_replay(caplog: pytest.LogCaptureFixture) -> None:
    async def workflow(ctx: Context, _: None) -> None:
        loop = asyncio.get_running_loop()
        loop.call_exception_handler({'message': 'odd'})
        await ctx.call_activity('a')

    running = driver(workflow)
    running.start()
    count = len(told(caplog))
    running.turn(task_completed(1))
    assert len(told(caplog)) == count == 1


def test_nothing_is_called_after_the_end() -> None:
    async def workflow(ctx: Context, _: None) -> None:
        await ctx.call_activity('a')

    running = driver(workflow)
    running.start()
    assert called(running.turn(task_completed(1))) == ['completeWorkflow']
    assert running_instance(running).is_ended
