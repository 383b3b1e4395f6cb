"""Waits for external events and timers that the workflow takes back, and what becomes of events and timers then."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
from dapr.ext.workflow._durabletask.retry import RetryPolicy
from dapr.ext.workflow._durabletask.task import Task, TaskCancelledError, when_all, when_any
from tests.support.async_engine import running_instance
from tests.support.engine import (
    START,
    Driver,
    event_raised,
    failure_of,
    kinds,
    output,
    task_completed,
    timer_created,
    timer_fired,
)
from tests.support.scenarios import Workflow

HOUR = timedelta(hours=1)
POLICY = RetryPolicy(first_retry_interval=HOUR, max_number_of_attempts=2)


def approval(*, is_cancelled: bool, timeout: timedelta | None = None) -> Driver:
    """A wait that loses a race against a timer, and after an activity a second wait for the same event."""

    def workflow(ctx: Context, _: None) -> Workflow:
        first = ctx.wait_for_external_event('approval', timeout=timeout)
        yield when_any([first, ctx.create_timer(HOUR)])
        if is_cancelled:
            assert first.cancel()
            assert not first.cancel()
        yield ctx.call_activity('remind')
        second = yield ctx.wait_for_external_event('Approval')
        return [second, first.is_complete]

    return Driver(workflow)


@pytest.mark.parametrize('timeout', [None, 2 * HOUR])
@pytest.mark.parametrize('is_early', [False, True], ids=['after the second wait', 'before the second wait'])
def test_a_wait_that_was_cancelled_takes_no_event(timeout: timedelta | None, is_early: bool) -> None:
    driver = approval(is_cancelled=True, timeout=timeout)
    driver.start()
    assert kinds(driver.turn(timer_fired(2))) == [(3, 'scheduleTask')]
    if is_early:
        assert kinds(driver.turn(event_raised('approval', '"yes"'))) == []
        ended = driver.turn(task_completed(3))
    else:
        driver.turn(task_completed(3))
        ended = driver.turn(event_raised('approval', '"yes"'))
    assert output(ended) == ['yes', True]


def test_a_wait_that_was_not_cancelled_takes_the_next_event_as_ever() -> None:
    """As in dapr 1.19.0, whose histories have to replay."""
    driver = approval(is_cancelled=False)
    driver.start()
    driver.turn(timer_fired(2))
    driver.turn(event_raised('approval', '"the first wait takes it"'))
    driver.turn(task_completed(3))
    assert output(driver.turn(event_raised('approval', '"yes"'))) == ['yes', True]


def test_of_several_waits_the_one_that_is_cancelled_leaves_the_queue() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        waits = [ctx.wait_for_external_event('go') for _ in range(3)]
        waits[1].cancel()
        return (yield when_all([waits[0], waits[2]]))

    driver = Driver(workflow)
    assert kinds(driver.start()) == [(number, 'createTimer') for number in (1, 2, 3)]
    assert output(driver.turn(event_raised('go', '1'), event_raised('go', '2'))) == [1, 2]


def test_nothing_goes_to_the_sidecar_for_it() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        timer, wait = ctx.create_timer(HOUR), ctx.wait_for_external_event('go', timeout=HOUR)
        yield ctx.call_activity('a')
        timer.cancel()
        wait.cancel()
        yield ctx.call_activity('b')

    driver = Driver(workflow)
    assert kinds(driver.start()) == [(1, 'createTimer'), (2, 'createTimer'), (3, 'scheduleTask')]
    assert kinds(driver.turn(task_completed(3))) == [(4, 'scheduleTask')]


def test_timers_that_fire_after_they_were_cancelled_mean_nothing_and_are_not_kept() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        ctx.create_timer(HOUR).cancel()
        ctx.wait_for_external_event('go', timeout=HOUR).cancel()
        yield ctx.call_activity('a')
        return 'done'

    driver = Driver(workflow)
    assert kinds(driver.start()) == [(1, 'createTimer'), (2, 'createTimer'), (3, 'scheduleTask')]
    assert list(running_instance(driver).context._unresolved) == [3]
    assert not running_instance(driver).context.waits_for_event
    assert kinds(driver.turn(timer_fired(1), timer_fired(2))) == []
    assert output(driver.turn(task_completed(3))) == 'done'
    assert running_instance(driver).forgotten == []


@pytest.mark.parametrize(
    ('make', 'told'),
    [
        (lambda ctx: ctx.create_timer(HOUR), "create_timer('1:00:00') was cancelled by the workflow."),
        (lambda ctx: ctx.wait_for_external_event('go'), "wait_for_external_event('go') was cancelled by the workflow."),
    ],
)
def test_what_was_cancelled_raises_where_it_is_waited_for(make: Callable[[Context], Task[Any]], told: str) -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        task = make(ctx)
        task.cancel()
        assert task.is_complete
        assert task.is_failed
        with pytest.raises(TaskCancelledError):
            task.get_result()
        yield task

    details = failure_of(Driver(workflow).start())
    assert (details.errorType, details.errorMessage) == ('TaskCancelledError', told)


def test_an_error_of_ones_own_can_be_given() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        for task in (ctx.create_timer(HOUR), ctx.wait_for_external_event('go')):
            assert task.cancel(KeyError('mine'))
            try:
                yield task
            except KeyError:
                continue
        return 'both'

    assert output(Driver(workflow).start()) == 'both'


@pytest.mark.parametrize('make', [lambda ctx: ctx.create_timer(HOUR), lambda ctx: ctx.wait_for_external_event('go')])
def test_what_has_ended_cannot_be_cancelled_any_more(make: Callable[[Context], Task[Any]]) -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        task = make(ctx)
        result = yield task
        return [task.cancel(), task.is_failed, result]

    driver = Driver(workflow)
    driver.start()
    assert output(driver.turn(event_raised('go', '1'), timer_fired(1))) in ([False, False, 1], [False, False, None])


def test_an_event_that_was_there_already_cannot_be_given_back() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.call_activity('a')
        wait = ctx.wait_for_external_event('go')
        return [wait.cancel(), (yield wait)]

    driver = Driver(workflow)
    driver.start()
    driver.turn(event_raised('go', '1'))
    assert output(driver.turn(task_completed(1))) == [False, 1]


# Composites


def test_a_task_that_is_cancelled_has_ended_and_wins() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        wait, timer = ctx.wait_for_external_event('go'), ctx.create_timer(HOUR)
        race = when_any([wait, timer])
        wait.cancel()
        winner = yield race
        return winner is wait

    assert output(Driver(workflow).start()) is True


def test_a_task_that_is_cancelled_fails_the_whole_when_all_others_have_ended() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        wait, call = ctx.wait_for_external_event('go'), ctx.call_activity('a')
        both = when_all([wait, call])
        wait.cancel()
        assert not both.is_complete
        try:
            yield both
        except TaskCancelledError:
            return call.get_result()

    driver = Driver(workflow)
    driver.start()
    assert output(driver.turn(task_completed(2, 'a'))) == 'a'


def test_the_loser_of_a_race_can_be_cancelled_and_the_winner_stays() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        wait, timer = ctx.wait_for_external_event('go'), ctx.create_timer(HOUR)
        race = when_any([wait, timer])
        winner = yield race
        assert timer.cancel()
        return [winner is wait, winner.get_result(), race.get_result() is wait]

    driver = Driver(workflow)
    driver.start()
    assert output(driver.turn(event_raised('go', '1'))) == [True, 1, True]


@pytest.mark.parametrize(
    ('make', 'named'),
    [
        (lambda ctx: ctx.call_activity('a'), "call_activity('a')"),
        (lambda ctx: ctx.call_activity('a', timeout=9), "call_activity('a')"),
        (
            lambda ctx: ctx.call_activity('a', retry_policy=POLICY),
            "call_activity('a')",
        ),
        (lambda ctx: ctx.call_sub_orchestrator('c'), "call_child_workflow('c')"),
        (lambda ctx: when_any([ctx.create_timer(HOUR)]), 'when_any of 1 task'),
        (lambda ctx: when_all([ctx.create_timer(HOUR)]), 'when_all of 1 task'),
    ],
)
def test_calls_and_composites_cannot_be_cancelled_and_the_error_says_so(
    make: Callable[[Context], Task[Any]], named: str
) -> None:
    def workflow(ctx: Context, _: None) -> Any:
        task = make(ctx)
        try:
            task.cancel()
        except TypeError as error:
            return [str(error), task.is_complete]

    message, is_complete = output(Driver(workflow).start())
    assert message.startswith(f'{named} cannot be cancelled: only waits for external events and timers can. ')
    assert not is_complete


# Beside older histories


def test_a_history_without_the_timer_of_a_cancelled_wait_moves_the_ids() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        ctx.wait_for_external_event('go').cancel()
        timer = ctx.create_timer(HOUR)
        yield ctx.call_activity('a')
        timer.cancel()
        return (yield ctx.wait_for_external_event('go'))

    driver = Driver(workflow)
    driver.start()
    old = Driver(workflow)
    old.committed = [*driver.committed[:2], timer_created(1, START + HOUR), driver.committed[-1]]
    driver.close()
    old.committed[-1].eventId = 2
    assert kinds(old.turn(task_completed(2))) == [(3, 'createTimer')]
    assert kinds(old.turn(timer_fired(1))) == []
    assert output(old.turn(event_raised('go', '1'))) == 1
