"""How long a wait for an external event lasts, and what its timer looks like."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
from tests.support.engine import (
    START,
    Driver,
    completion,
    event_raised,
    kinds,
    output,
    task_completed,
    timer_fired,
)
from tests.support.scenarios import Workflow


def _waits(timeout: datetime | timedelta | None) -> Driver:
    def workflow(ctx: Context, _: None) -> Workflow:
        try:
            return (yield ctx.wait_for_external_event('Go', timeout=timeout))
        except TimeoutError as error:
            return str(error)

    return Driver(workflow)


PACIFIC = timezone(timedelta(hours=-8))


@pytest.mark.parametrize(
    ('timeout', 'fire_at'),
    [
        (timedelta(microseconds=1), START + timedelta(seconds=1, microseconds=1)),
        (timedelta(seconds=30), START + timedelta(seconds=31)),
        (timedelta(days=4000), START + timedelta(days=4000, seconds=1)),
        (datetime(2024, 3, 1, 12), datetime(2024, 3, 1, 12)),
        (datetime(2024, 3, 1, 12, tzinfo=timezone.utc), datetime(2024, 3, 1, 12)),
        (datetime(2024, 3, 1, 12, tzinfo=PACIFIC), datetime(2024, 3, 1, 20)),
        (datetime(2020, 1, 1), datetime(2020, 1, 1)),  # in the past: the timer fires at once
    ],
)
def test_a_limit_makes_a_timer(timeout: datetime | timedelta, fire_at: datetime) -> None:
    driver = _waits(timeout)
    started = driver.start()
    assert kinds(started) == [(1, 'createTimer')]
    timer = started.actions[0].createTimer
    assert timer.fireAt.ToDatetime() == fire_at
    assert timer.WhichOneof('origin') == 'externalEvent'
    assert timer.externalEvent.name == 'Go'
    assert kinds(driver.turn()) == []
    message = output(driver.turn(timer_fired(1)))
    assert "'Go'" in message
    assert repr(timeout) in message


@pytest.mark.parametrize('timeout', [None, timedelta(microseconds=-1), timedelta(days=-1), timedelta.min])
def test_without_a_limit_the_timer_stands_at_the_end_of_time(timeout: timedelta | None) -> None:
    driver = _waits(timeout)
    started = driver.start()
    assert kinds(started) == [(1, 'createTimer')]
    timer = started.actions[0].createTimer
    assert timer.fireAt == Timestamp(seconds=253402300799, nanos=999999999)  # 9999-12-31T23:59:59.999999999Z
    assert timer.WhichOneof('origin') == 'externalEvent'
    assert timer.externalEvent.name == 'Go'
    assert kinds(driver.turn()) == []
    assert output(driver.turn(event_raised('go', '"came"'))) == 'came'


def test_no_time_at_all_ends_the_wait_at_once_without_a_timer() -> None:
    ended = _waits(timedelta(0)).start()
    assert kinds(ended) == [(1, 'completeWorkflow')]
    assert "'Go'" in output(ended)


def test_a_wait_of_no_time_leaves_no_waiter_behind() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        failed = ctx.wait_for_external_event('go', timeout=timedelta(0))
        assert isinstance(failed.get_exception(), TimeoutError)
        yield ctx.call_activity('a')
        return (yield ctx.wait_for_external_event('go'))

    driver = Driver(workflow)
    driver.start()
    driver.turn(event_raised('go', '1'))
    assert output(driver.turn(task_completed(1))) == 1


def test_an_event_in_time_beats_the_timer_which_means_nothing_later() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        waits = []
        for _number in range(2):
            waits.append(ctx.wait_for_external_event('go', timeout=timedelta(seconds=5)))
            yield waits[-1]
        return [wait.get_result() for wait in waits]

    driver = Driver(workflow)
    driver.start()
    assert kinds(driver.turn(event_raised('go', '1'), timer_fired(1))) == [(2, 'createTimer')]
    assert kinds(driver.turn(timer_fired(1))) == []
    assert output(driver.turn(event_raised('go', '2'))) == [1, 2]


@pytest.mark.parametrize('is_same_batch', [False, True])
def test_a_waiter_whose_time_is_up_is_withdrawn(is_same_batch: bool) -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        try:
            yield ctx.wait_for_external_event('go', timeout=timedelta(seconds=5))
        except TimeoutError:
            yield ctx.call_activity('remind')
        return (yield ctx.wait_for_external_event('go', timeout=timedelta(seconds=5)))

    driver = Driver(workflow)
    driver.start()
    late = event_raised('go', '"late, but not lost"')
    if is_same_batch:
        driver.turn(timer_fired(1), late)
    else:
        driver.turn(timer_fired(1))
        driver.turn(late)
    assert output(driver.turn(task_completed(2))) == 'late, but not lost'


def test_only_the_waiter_whose_time_is_up_is_withdrawn() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        waits = [ctx.wait_for_external_event('go', timeout=timedelta(seconds=seconds)) for seconds in (9, 1, 9)]
        yield waits[0]
        yield waits[2]
        return [waits[0].get_result(), type(waits[1].get_exception()).__name__, waits[2].get_result()]

    driver = Driver(workflow)
    driver.start()
    driver.turn(timer_fired(2))
    driver.turn(event_raised('go', '1'))
    assert output(driver.turn(event_raised('go', '3'))) == [1, 'TimeoutError', 3]


def test_the_limit_is_counted_from_logical_time() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.call_activity('a')
        yield ctx.wait_for_external_event('go', timeout=timedelta(minutes=1))

    driver = Driver(workflow)
    driver.start()
    waiting = driver.turn(task_completed(1), after=timedelta(hours=1))
    fire_at = waiting.actions[0].createTimer.fireAt.ToDatetime()
    assert fire_at == START + timedelta(seconds=1, hours=1, minutes=1)


@pytest.mark.parametrize('is_event_first', [False, True])
def test_a_wait_can_be_raced_against_other_tasks(is_event_first: bool) -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        wait = ctx.wait_for_external_event('go', timeout=timedelta(seconds=5))
        other = ctx.call_activity('a')
        winner = yield task.when_any([other, wait])
        return [winner is wait, wait.is_failed]

    driver = Driver(workflow)
    driver.start()
    first = event_raised('go') if is_event_first else timer_fired(1)
    assert output(driver.turn(first, task_completed(2))) == [True, not is_event_first]


def test_an_uncaught_timeout_fails_the_workflow_as_itself() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.wait_for_external_event('go', timeout=timedelta(seconds=5))

    driver = Driver(workflow)
    driver.start()
    assert completion(driver.turn(timer_fired(1))).failureDetails.errorType == 'TimeoutError'


@pytest.mark.parametrize('timeout', [timedelta(hours=1), None], ids=['limited', 'without a limit'])
def test_the_timer_of_a_wait_whose_event_came_is_not_kept(timeout: timedelta | None) -> None:
    """One for each wait would add up in a workflow that is kept running."""
    contexts: list[Context] = []

    def workflow(ctx: Context, _: None) -> Workflow:
        contexts.append(ctx)
        for _number in range(5):
            yield ctx.wait_for_external_event('go', timeout=timeout)
        yield ctx.call_activity('last')

    driver = Driver(workflow)
    driver.start()
    for _number in range(5):
        results = driver.turn(event_raised('go'))
    assert kinds(results) == [(6, 'scheduleTask')]
    kept = contexts[1]  # the first was thrown away with its replay
    assert list(kept._unresolved) == [6]
    assert not kept.waits_for_event
    assert kinds(driver.turn(timer_fired(1))) == [], 'one that fires late is ignored'
