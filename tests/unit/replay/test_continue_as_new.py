"""Continuing as new ends the run, drops what it had pending, and hands over what no one has waited for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
from dapr.ext.workflow._durabletask.replay.instance import ExecutionResults
from tests.support.engine import (
    Driver,
    Event,
    completion,
    event_raised,
    kinds,
    output,
    resumed,
    suspended,
    task_completed,
    task_failed,
    terminated,
    timer_fired,
)
from tests.support.scenarios import Workflow


def _continues(ctx: Context, save_events: bool) -> Workflow:
    yield ctx.call_activity('before')
    ctx.continue_as_new('next', save_events=save_events)


def _continued(results: ExecutionResults) -> pb.CompleteWorkflowAction:
    completed = completion(results)
    assert completed.workflowStatus == pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW
    return completed


def _carried_over(results: ExecutionResults) -> list[tuple[str, str | None]]:
    raised = [event.eventRaised for event in _continued(results).carryoverEvents]
    return [(event.name, event.input.value if event.HasField('input') else None) for event in raised]


@pytest.mark.parametrize(
    ('given', 'encoded'),
    [
        (5, '5'),
        (0, '0'),
        ('', '""'),
        (False, 'false'),
        ([], '[]'),
        ({}, '{}'),
        (None, None),
    ],
)
def test_the_new_input_goes_out_falsy_or_not(given: Any, encoded: str | None) -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.call_activity('before')
        ctx.continue_as_new(given)

    driver = Driver(workflow)
    driver.start()
    completed = _continued(driver.turn(task_completed(1)))
    assert (completed.result.value if completed.HasField('result') else None) == encoded
    assert not completed.HasField('failureDetails')


def test_events_are_carried_over_in_the_order_of_arrival_under_their_own_names() -> None:
    driver = Driver(_continues, 'true')
    driver.start(event_raised('Beta', '1'))
    driver.turn(event_raised('alpha', '2'), event_raised('BETA', '3'))
    continued = driver.turn(event_raised('beta', '4'), task_completed(1))
    assert _carried_over(continued) == [('Beta', '1'), ('alpha', '2'), ('BETA', '3'), ('beta', '4')]


@pytest.mark.parametrize('encoded', ['0', '""', 'false', '[]', 'null', '', None, '{"a": [1, "x"]}'])
@pytest.mark.parametrize('is_after', [False, True], ids=['before the call', 'after the call'])
def test_payloads_are_carried_over_as_they_came(encoded: str | None, is_after: bool) -> None:
    driver = Driver(_continues, 'true')
    driver.start()
    event, step = event_raised('go', encoded), task_completed(1)
    continued = driver.turn(step, event) if is_after else driver.turn(event, step)
    assert _carried_over(continued) == [('go', encoded)]


def test_carried_over_events_are_proper_history_events() -> None:
    driver = Driver(_continues, 'true')
    driver.start(event_raised('go', '1'))
    (event,) = _continued(driver.turn(task_completed(1))).carryoverEvents
    assert event.eventId == -1
    assert event.HasField('timestamp')


def test_without_save_events_nothing_is_carried_over() -> None:
    driver = Driver(_continues, 'false')
    driver.start(event_raised('go', '1'))
    assert _carried_over(driver.turn(task_completed(1), event_raised('go', '2'))) == []


def test_consumed_events_are_not_carried_over() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.wait_for_external_event('go')
        yield ctx.wait_for_external_event('go')
        ctx.continue_as_new(None, save_events=True)

    driver = Driver(workflow)
    driver.start()
    driver.turn(event_raised('go', '1'))
    continued = driver.turn(event_raised('other', '2'), event_raised('go', '3'), event_raised('go', '4'))
    assert _carried_over(continued) == [('other', '2'), ('go', '4')]


def test_events_after_the_call_pass_by_the_waiters_of_the_old_run() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        stale = ctx.wait_for_external_event('go')
        yield task.when_any([stale, ctx.call_activity('a')])
        ctx.continue_as_new(None, save_events=True)
        yield stale

    driver = Driver(workflow)
    driver.start()
    assert _carried_over(driver.turn(task_completed(2), event_raised('Go', '0'))) == [('Go', '0')]


def _yields_a_wait(ctx: Context) -> Workflow:
    yield ctx.wait_for_external_event('go')


def _yields_something_done(ctx: Context) -> Workflow:
    yield task.when_all([])
    raise AssertionError('the run has ended')


def _yields_no_task(ctx: Context) -> Workflow:
    yield 5  # type: ignore[misc]


def _returns(ctx: Context) -> Workflow:
    return 'ignored'
    yield


def _raises(ctx: Context) -> Workflow:
    raise RuntimeError('ignored')
    yield


def _calls_on(ctx: Context) -> Workflow:
    ctx.continue_as_new('ignored')
    ctx.call_activity('ignored')
    yield ctx.call_activity('ignored')


@pytest.mark.parametrize(
    'rest', [_yields_a_wait, _yields_something_done, _yields_no_task, _returns, _raises, _calls_on]
)
@pytest.mark.parametrize('is_first_turn', [False, True])
def test_whatever_comes_after_the_call_changes_nothing(
    rest: Callable[[Context], Workflow], is_first_turn: bool
) -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        if not is_first_turn:
            yield ctx.call_activity('before')
        ctx.continue_as_new('next', save_events=True)
        return (yield from rest(ctx))

    driver = Driver(workflow)
    if is_first_turn:
        results = driver.start(event_raised('go', '1'))
    else:
        driver.start()
        results = driver.turn(task_completed(1), event_raised('go', '1'))
    assert _continued(results).result.value == '"next"'
    assert _carried_over(results) == [('go', '1')]


@pytest.mark.parametrize('late', [task_completed(2, 1), task_failed(2), timer_fired(3)])
def test_results_after_the_call_are_dropped(late: Event) -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        first, second = ctx.call_activity('a'), ctx.call_activity('b')
        ctx.create_timer(timedelta(seconds=1))
        yield first
        ctx.continue_as_new('next')
        yield second

    driver = Driver(workflow)
    driver.start()
    assert kinds(driver.turn(task_completed(1), late)) == [(4, 'completeWorkflow')]


@pytest.mark.parametrize('is_first', [False, True])
def test_a_terminate_in_the_same_batch_beats_it(is_first: bool) -> None:
    driver = Driver(_continues, 'true')
    driver.start(event_raised('go', '1'))
    events = [terminated('"stop"'), task_completed(1)] if is_first else [task_completed(1), terminated('"stop"')]
    completed = completion(driver.turn(*events))
    assert completed.workflowStatus == pb.ORCHESTRATION_STATUS_TERMINATED
    assert completed.result.value == '"stop"'
    assert not completed.carryoverEvents


def test_the_new_run_gets_carried_over_events_like_any_others() -> None:
    def workflow(ctx: Context, number: int) -> Workflow:
        got = yield ctx.wait_for_external_event('tick')
        if number < 2:
            ctx.continue_as_new(number + 1, save_events=True)
            return None
        return [number, got]

    first = Driver(workflow, '1')
    first.start()
    continued = _continued(first.turn(event_raised('Tick', '"a"'), event_raised('tick', '"b"')))
    second = Driver(workflow, continued.result.value)
    assert output(second.start(*continued.carryoverEvents)) == [2, 'b']


def test_events_held_back_by_a_suspension_are_carried_over() -> None:
    driver = Driver(_continues, 'true')
    driver.start()
    driver.turn(suspended())
    driver.turn(event_raised('go', '1'), task_completed(1), event_raised('go', '2'))
    assert _carried_over(driver.turn(resumed(), event_raised('go', '3'))) == [('go', '1'), ('go', '2'), ('go', '3')]


def test_a_plain_function_can_continue_as_new() -> None:
    def workflow(ctx: Context, number: int) -> None:
        ctx.continue_as_new(number + 1, save_events=True)

    results = Driver(workflow, '1').start(event_raised('go', '1'))
    assert _continued(results).result.value == '2'
    assert _carried_over(results) == [('go', '1')]


def test_an_input_that_cannot_be_encoded_is_the_callers_error() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.call_activity('before')
        try:
            ctx.continue_as_new(object())
        except TypeError:
            return 'refused'

    driver = Driver(workflow)
    driver.start()
    assert output(driver.turn(task_completed(1))) == 'refused'
