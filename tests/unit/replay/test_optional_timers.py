"""A wait without a limit makes an optional timer; histories from before it was invented go on without it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
from dapr.ext.workflow._durabletask.task import RetryPolicy
from tests.support.engine import (
    START,
    Driver,
    Event,
    child_completed,
    child_created,
    child_failed,
    event_raised,
    execution_started,
    failure_of,
    kinds,
    output,
    task_completed,
    task_scheduled,
    timer_created,
    timer_fired,
    workflow_started,
)
from tests.support.scenarios import Workflow


def _with_history(driver: Driver, *events: Event) -> Driver:
    driver.committed = [workflow_started(), execution_started(driver.name), *events]
    return driver


def test_a_history_that_has_the_timer_keeps_its_ids() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.wait_for_external_event('go')
        return (yield ctx.call_activity('a'))

    driver = Driver(workflow)
    driver.start()
    assert kinds(driver.turn(event_raised('go'))) == [(2, 'scheduleTask')]
    assert output(driver.turn(task_completed(2, 'x'))) == 'x'


@pytest.mark.parametrize(
    ('recorded', 'resolution', 'expected'),
    [
        (task_scheduled(1, 'next'), task_completed(1, 'x'), 'x'),
        (child_created(1, 'next'), child_completed(1, 'x'), 'x'),
        (timer_created(1, START), timer_fired(1), None),
    ],
    ids=['activity', 'child', 'timer'],
)
def test_what_meets_the_optional_timers_id_in_an_older_history_takes_it(
    recorded: Event, resolution: Event, expected: str | None
) -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.wait_for_external_event('go')
        if recorded.HasField('taskScheduled'):
            result = yield ctx.call_activity('next')
        elif recorded.HasField('timerCreated'):
            result = yield ctx.create_timer(timedelta(seconds=1))
        else:
            result = yield ctx.call_sub_orchestrator('next')
        return [result, (yield ctx.call_sub_orchestrator('last'))]

    driver = _with_history(Driver(workflow), workflow_started(), event_raised('go'), recorded)
    results = driver.turn(resolution)
    assert kinds(results) == [(2, 'createChildWorkflow')]
    assert results.actions[0].createChildWorkflow.instanceId == 'abc:0002'
    assert output(driver.turn(child_completed(2, 'y'))) == [expected, 'y']


def test_all_higher_ids_move_down_over_several_waits() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        before = ctx.call_activity('before')
        yield ctx.wait_for_external_event('one')
        yield ctx.wait_for_external_event('two')
        rest = [ctx.call_activity('a'), ctx.create_timer(timedelta(seconds=1)), ctx.call_sub_orchestrator('c')]
        got = yield task.when_all([before, *rest])
        return [*got, (yield ctx.call_activity('new'))]

    driver = _with_history(
        Driver(workflow),
        task_scheduled(1, 'before'),
        workflow_started(),
        event_raised('one'),
        workflow_started(),
        event_raised('two'),
        task_scheduled(2, 'a'),
        timer_created(3, START),
        child_created(4, 'c'),
    )
    assert kinds(driver.turn(child_completed(4, 'fourth'), task_completed(1, 'first'))) == []
    assert kinds(driver.turn(timer_fired(3), task_completed(2, 'second'))) == [(5, 'scheduleTask')]
    assert output(driver.turn(task_completed(5, 'fifth'))) == ['first', 'second', None, 'fourth', 'fifth']


def test_several_pending_waits_are_dropped_one_after_the_other() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        waits = [ctx.wait_for_external_event('x'), ctx.wait_for_external_event('y')]
        first = yield ctx.call_activity('a')
        return [first, (yield task.when_all(waits)), (yield ctx.call_activity('b'))]

    driver = _with_history(Driver(workflow), task_scheduled(1, 'a'))
    assert kinds(driver.turn(task_completed(1, 1), event_raised('y', '3'))) == []
    assert kinds(driver.turn(event_raised('x', '2'))) == [(2, 'scheduleTask')]
    assert output(driver.turn(task_completed(2, 4))) == [1, [2, 3], 4]


def test_a_wait_after_the_older_part_has_its_timer_again() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.wait_for_external_event('old')
        yield ctx.call_activity('a')
        yield ctx.wait_for_external_event('new')
        return (yield ctx.call_activity('b'))

    driver = _with_history(Driver(workflow), workflow_started(), event_raised('old'), task_scheduled(1, 'a'))
    assert kinds(driver.turn(task_completed(1))) == [(2, 'createTimer')]
    assert kinds(driver.turn(event_raised('new'))) == [(3, 'scheduleTask')]
    assert output(driver.turn(task_completed(3, 'x'))) == 'x'


def test_a_childs_default_id_and_its_retries_follow_the_moved_id() -> None:
    policy = RetryPolicy(first_retry_interval=timedelta(seconds=1), max_number_of_attempts=2)

    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.wait_for_external_event('go')
        return (yield ctx.call_sub_orchestrator('c', retry_policy=policy))

    driver = _with_history(Driver(workflow), workflow_started(), event_raised('go'), child_created(1, 'c', 'abc:0001'))
    waiting = driver.turn(child_failed(1))
    assert kinds(waiting) == [(2, 'createTimer')]
    assert waiting.actions[0].createTimer.childWorkflowRetry.instanceId == 'abc:0001'
    again = driver.turn(timer_fired(2))
    assert kinds(again) == [(3, 'createChildWorkflow')]
    assert again.actions[0].createChildWorkflow.instanceId == 'abc:0001'


def test_a_childs_own_id_does_not_follow() -> None:
    policy = RetryPolicy(first_retry_interval=timedelta(seconds=1), max_number_of_attempts=2)

    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.wait_for_external_event('go')
        return (yield ctx.call_sub_orchestrator('c', instance_id='mine', retry_policy=policy))

    driver = _with_history(Driver(workflow), workflow_started(), event_raised('go'), child_created(1, 'c', 'mine'))
    assert driver.turn(child_failed(1)).actions[0].createTimer.childWorkflowRetry.instanceId == 'mine'


def test_an_older_history_that_differs_otherwise_still_fails() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.wait_for_external_event('go')
        yield ctx.call_activity('here')

    driver = _with_history(Driver(workflow), workflow_started(), event_raised('go'), task_scheduled(1, 'there'))
    details = failure_of(driver.turn())
    assert details.errorType == 'NonDeterminismError'
    assert "call_activity('there')" in details.errorMessage
    assert "call_activity('here')" in details.errorMessage


def test_a_limited_waits_timer_is_not_optional() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.wait_for_external_event('go', timeout=timedelta(seconds=1))
        yield ctx.call_activity('a')

    driver = _with_history(Driver(workflow), workflow_started(), event_raised('go'), task_scheduled(1, 'a'))
    assert failure_of(driver.turn()).errorType == 'NonDeterminismError'


def test_an_optional_timer_whose_wait_is_gone_from_the_code_is_ignored() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        return (yield ctx.call_activity('instead'))

    driver = _with_history(Driver(workflow), timer_created(1))
    assert kinds(driver.turn(event_raised('go'))) == [(1, 'scheduleTask')]
    assert output(driver.turn(task_completed(1, 'x'))) == 'x'


def test_an_optional_timer_at_an_id_that_the_code_does_not_reach_is_ignored() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        return (yield ctx.call_activity('a'))

    driver = _with_history(Driver(workflow), task_scheduled(1, 'a'), timer_created(2))
    assert output(driver.turn(task_completed(1, 'x'))) == 'x'


def test_an_optional_timer_that_was_lost_is_asked_for_again() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.wait_for_external_event('go')
        return (yield ctx.call_activity('a'))

    driver = _with_history(Driver(workflow))
    assert kinds(driver.turn()) == [(1, 'createTimer')]
    assert kinds(driver.turn(event_raised('go'))) == [(2, 'scheduleTask')]


def test_an_optional_timer_that_fires_after_all_ends_the_wait() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        try:
            yield ctx.wait_for_external_event('go')
        except TimeoutError:
            return 'the end of time'

    driver = Driver(workflow)
    driver.start()
    assert output(driver.turn(timer_fired(1))) == 'the end of time'
