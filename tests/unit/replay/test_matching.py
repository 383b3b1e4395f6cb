"""What history says was done must be what the code did, by id, kind and name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
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
    task_failed,
    task_scheduled,
    timer_created,
    timer_fired,
    workflow_started,
)
from tests.support.scenarios import Workflow

Call = Callable[[Context], task.Task[Any]]


def _activity(ctx: Context) -> task.Task[Any]:
    return ctx.call_activity('here')


def _child(ctx: Context) -> task.Task[Any]:
    return ctx.call_sub_orchestrator('here')


def _timer(ctx: Context) -> task.Task[Any]:
    return ctx.create_timer(timedelta(seconds=1))


def _limited_wait(ctx: Context) -> task.Task[Any]:
    return ctx.wait_for_external_event('here', timeout=timedelta(seconds=1))


def _driver(call: Call) -> Driver:
    def workflow(ctx: Context, _: None) -> Workflow:
        return (yield call(ctx))

    driver = Driver(workflow)
    driver.start()
    return driver


CALLED: dict[Call, str] = {
    _activity: "call_activity('here')",
    _child: "call_sub_orchestrator('here')",
    _timer: 'create_timer',
    _limited_wait: 'create_timer',
}


@pytest.mark.parametrize(
    ('call', 'recorded', 'said'),
    [
        (_activity, task_scheduled(1, 'there'), "call_activity('there')"),
        (_activity, task_scheduled(1, ''), 'call_activity'),
        (_activity, timer_created(1, START), 'create_timer'),
        (_activity, child_created(1, 'here'), "call_sub_orchestrator('here')"),
        (_child, child_created(1, 'there'), "call_sub_orchestrator('there')"),
        (_child, task_scheduled(1, 'here'), "call_activity('here')"),
        (_child, timer_created(1, START), 'create_timer'),
        (_timer, task_scheduled(1, 'here'), "call_activity('here')"),
        (_timer, child_created(1, 'here'), "call_sub_orchestrator('here')"),
        (_limited_wait, task_scheduled(1, 'here'), "call_activity('here')"),
    ],
)
def test_another_kind_or_name_fails_with_the_id_the_history_and_the_code(
    call: Call, recorded: Event, said: str
) -> None:
    driver = _driver(call)
    driver.committed[-1] = recorded
    failed = driver.turn()
    assert kinds(failed) == [(2, 'completeWorkflow')]
    assert failure_of(failed).errorType == 'NonDeterminismError'
    message = failure_of(failed).errorMessage
    assert 'action 1' in message
    assert f'the history says {said}' in message
    assert f'the code called {CALLED[call]}' in message


@pytest.mark.parametrize('action_id', [0, -1, 2, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize(
    'recorded',
    [lambda i: task_scheduled(i, 'here'), lambda i: child_created(i, 'here'), lambda i: timer_created(i, START)],
    ids=['activity', 'child', 'timer'],
)
def test_an_id_that_the_code_never_reached_fails(recorded: Callable[[int], Event], action_id: int) -> None:
    driver = _driver(_activity)
    driver.committed.append(recorded(action_id))
    details = failure_of(driver.turn(task_completed(1)))
    assert details.errorType == 'NonDeterminismError'
    assert f'At action {action_id} ' in details.errorMessage
    assert 'called nothing' in details.errorMessage


def test_an_action_is_confirmed_once() -> None:
    driver = _driver(_activity)
    driver.committed.append(task_scheduled(1, 'here'))
    assert failure_of(driver.turn()).errorType == 'NonDeterminismError'


@pytest.mark.parametrize(
    ('call', 'resolution'),
    [
        (_activity, timer_fired(1)),
        (_activity, child_completed(1)),
        (_activity, child_failed(1)),
        (_timer, task_completed(1)),
        (_timer, task_failed(1)),
        (_timer, child_completed(1)),
        (_child, task_completed(1)),
        (_child, task_failed(1)),
        (_child, timer_fired(1)),
    ],
    ids=lambda value: value.WhichOneof('eventType') if isinstance(value, Event) else value.__name__,
)
def test_a_resolution_of_another_kind_fails(call: Call, resolution: Event) -> None:
    details = failure_of(_driver(call).turn(resolution))
    assert details.errorType == 'NonDeterminismError'
    assert 'action 1:' in details.errorMessage
    assert str(resolution.WhichOneof('eventType')) in details.errorMessage
    assert CALLED[call] in details.errorMessage


@pytest.mark.parametrize('action_id', [0, -1, 2, 99, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize('resolve', [task_completed, task_failed, timer_fired, child_completed, child_failed])
def test_a_resolution_of_an_id_without_an_action_changes_nothing(
    resolve: Callable[[int], Event], action_id: int
) -> None:
    driver = _driver(_activity)
    assert kinds(driver.turn(resolve(action_id))) == []
    assert output(driver.turn(task_completed(1, 'mine'))) == 'mine'


@pytest.mark.parametrize('again', [task_completed(1, 'late'), task_failed(1), task_completed(1)])
def test_the_first_resolution_of_a_task_counts(again: Event) -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        first = yield ctx.call_activity('a')
        yield ctx.call_activity('b')
        return first

    driver = Driver(workflow)
    driver.start()
    assert kinds(driver.turn(task_completed(1, 'first'), again)) == [(2, 'scheduleTask')]
    assert kinds(driver.turn(again)) == []
    assert output(driver.turn(task_completed(2))) == 'first'


def test_code_that_ends_before_its_history_does_fails() -> None:
    def shortened(ctx: Context, _: None) -> Workflow:
        return (yield ctx.call_activity('a'))

    driver = Driver(shortened)
    driver.committed = [
        workflow_started(),
        execution_started('shortened'),
        task_scheduled(1, 'a'),
        workflow_started(),
        task_completed(1, 'x'),
        task_scheduled(2, 'b'),
    ]
    details = failure_of(driver.turn(task_completed(2, 'y')))
    assert details.errorType == 'NonDeterminismError'
    assert 'At action 2 ' in details.errorMessage
    assert "call_activity('b')" in details.errorMessage


def test_a_mismatch_ends_the_run_and_later_events_do_not_change_that() -> None:
    driver = _driver(_activity)
    driver.committed[-1] = task_scheduled(1, 'there')
    ended = driver.turn(task_completed(1), event_raised('e'), timer_fired(3))
    assert failure_of(ended).errorType == 'NonDeterminismError'


def test_workflow_code_cannot_swallow_a_mismatch() -> None:
    def stubborn(ctx: Context, _: None) -> Workflow:
        while True:
            try:
                yield ctx.call_activity('a')
            except Exception:
                return 'swallowed'

    driver = Driver(stubborn)
    driver.start()
    driver.committed[-1] = task_scheduled(1, 'b')
    assert failure_of(driver.turn(task_completed(1))).errorType == 'NonDeterminismError'
