"""A suspended workflow stands still: its events are held back, its time too, and nothing goes out until the resume."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
from dapr.ext.workflow._durabletask.replay.executor import _OrchestrationExecutor
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from dapr.ext.workflow._durabletask.task import RetryPolicy
from tests.support.engine import (
    LOGGER,
    Driver,
    Event,
    child_completed,
    child_failed,
    completion,
    event_raised,
    execution_started,
    failure_of,
    kinds,
    output,
    resumed,
    suspended,
    task_completed,
    task_failed,
    task_scheduled,
    terminated,
    timer_fired,
    workflow_started,
)
from tests.support.scenarios import Workflow


def _two_steps(ctx: Context, _: None) -> Workflow:
    first = yield ctx.call_activity('a')
    second = yield ctx.call_activity('b')
    return [first, second]


def test_results_are_held_back_until_the_resume() -> None:
    driver = Driver(_two_steps)
    driver.start()
    assert kinds(driver.turn(suspended())) == []
    assert kinds(driver.turn(task_completed(1, 'x'))) == []
    assert kinds(driver.turn()) == []
    assert kinds(driver.turn(resumed())) == [(2, 'scheduleTask')]
    assert output(driver.turn(task_completed(2, 'y'))) == ['x', 'y']


def test_events_are_taken_up_in_the_order_they_came() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        waits = [ctx.wait_for_external_event('go') for _number in range(3)]
        done = yield task.when_any([ctx.create_timer(timedelta(seconds=1)), ctx.call_sub_orchestrator('c')])
        return [type(done).__name__, (yield task.when_all(waits))]

    driver = Driver(workflow)
    driver.start()
    driver.turn(suspended(), event_raised('go', '1'))
    driver.turn(event_raised('go', '2'), child_completed(5), timer_fired(4))
    ended = driver.turn(event_raised('go', '3'), resumed())
    assert output(ended) == ['ChildWorkflowTask', [1, 2, 3]]


def test_all_kinds_of_events_are_held_back() -> None:
    policy = RetryPolicy(first_retry_interval=timedelta(seconds=1), max_number_of_attempts=2)
    steps: list[int] = []

    def workflow(ctx: Context, _: None) -> Workflow:
        tasks = [
            ctx.call_activity('a'),
            ctx.call_activity('b', retry_policy=policy),
            ctx.call_sub_orchestrator('c'),
            ctx.call_sub_orchestrator('d', retry_policy=policy),
            ctx.create_timer(timedelta(seconds=1)),
            ctx.wait_for_external_event('e'),
        ]
        for waited in tasks:
            yield waited
            steps.append(tasks.index(waited))

    driver = Driver(workflow)
    driver.start()
    held_back = [
        task_completed(1),
        task_failed(2),
        child_completed(3),
        child_failed(4),
        timer_fired(5),
        event_raised('e'),
    ]
    assert kinds(driver.turn(suspended(), *held_back)) == []
    assert steps == []
    assert kinds(driver.turn(resumed())) == [(7, 'createTimer'), (8, 'createTimer')]


def test_what_the_code_asked_for_just_before_waits_for_the_resume_too() -> None:
    driver = Driver(_two_steps)
    driver.start()
    assert kinds(driver.turn(task_completed(1, 'x'), suspended())) == []
    assert kinds(driver.turn()) == []
    assert kinds(driver.turn(resumed())) == [(2, 'scheduleTask')]
    assert output(driver.turn(task_completed(2, 'y'))) == ['x', 'y']


@pytest.mark.parametrize('is_before_the_start', [False, True])
def test_a_workflow_can_be_suspended_in_its_first_turn(is_before_the_start: bool) -> None:
    driver = Driver(_two_steps)
    if is_before_the_start:
        started = driver.turn(suspended(), driver._started)
    else:
        started = driver.start(suspended())
    assert kinds(started) == []
    assert kinds(driver.turn(resumed())) == [(1, 'scheduleTask')]


@pytest.mark.parametrize('times', [2, 3])
@pytest.mark.parametrize('is_same_batch', [False, True])
def test_one_resume_ends_any_number_of_suspends(times: int, is_same_batch: bool) -> None:
    driver = Driver(_two_steps)
    driver.start()
    if is_same_batch:
        assert kinds(driver.turn(*[suspended()] * times)) == []
    else:
        for _time in range(times):
            assert kinds(driver.turn(suspended())) == []
    driver.turn(task_completed(1))
    assert kinds(driver.turn(resumed())) == [(2, 'scheduleTask')]


@pytest.mark.parametrize('events', [[resumed()], [resumed(), resumed()], [suspended(), resumed(), resumed()]])
def test_a_resume_of_what_is_not_suspended_does_nothing(events: list[Event]) -> None:
    driver = Driver(_two_steps)
    driver.start()
    assert kinds(driver.turn(*events)) == []
    assert kinds(driver.turn(*events, task_completed(1, 'x'))) == [(2, 'scheduleTask')]
    assert output(driver.turn(task_completed(2, 'y'))) == ['x', 'y']


def test_it_can_be_suspended_and_resumed_again_and_again() -> None:
    driver = Driver(_two_steps)
    driver.start()
    assert kinds(driver.turn(suspended(), resumed(), suspended(), task_completed(1))) == []
    assert kinds(driver.turn(resumed(), suspended())) == []
    assert kinds(driver.turn(resumed())) == [(2, 'scheduleTask')]


def test_what_was_held_back_is_taken_up_once() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        got = []
        for _number in range(4):
            got.append((yield ctx.wait_for_external_event('go')))
        return got

    driver = Driver(workflow)
    driver.start()
    for number in range(3):
        driver.turn(suspended())
        driver.turn(event_raised('go', str(number)))
        assert kinds(driver.turn(resumed())) == [(number + 2, 'createTimer')]
    assert output(driver.turn(event_raised('go', '3'))) == [0, 1, 2, 3]


def test_a_suspend_right_after_the_resume_holds_back_what_follows() -> None:
    driver = Driver(_two_steps)
    driver.start()
    driver.turn(suspended())
    # The first result is taken up by the resume; the second finds the workflow suspended again.
    assert kinds(driver.turn(task_completed(1, 'x'), resumed(), suspended(), task_completed(2, 'early'))) == []
    assert kinds(driver.turn(suspended())) == []
    assert output(driver.turn(resumed())) == ['x', 'early']


def test_held_back_events_are_seen_at_the_time_they_came() -> None:
    seen = []

    def workflow(ctx: Context, _: None) -> Workflow:
        for _number in range(2):
            yield ctx.wait_for_external_event('go')
            seen.append(ctx.current_utc_datetime)

    driver = Driver(workflow)
    driver.start()
    driver.turn(suspended(), event_raised('go'))
    first = driver.now
    driver.turn(event_raised('go'), after=timedelta(hours=1))
    second = driver.now
    driver.turn(resumed(), after=timedelta(hours=1))
    assert set(seen) == {first, second}


def test_time_stands_still_for_what_was_held_back_and_goes_on_after() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.call_activity('a')
        yield ctx.create_timer(timedelta(minutes=1))
        return str(ctx.current_utc_datetime)

    driver = Driver(workflow)
    driver.start()
    driver.turn(suspended(), task_completed(1))
    suspended_at = driver.now
    (timer,) = driver.turn(resumed(), after=timedelta(hours=1)).actions
    assert timer.createTimer.fireAt.ToDatetime() == suspended_at + timedelta(minutes=1)
    assert output(driver.turn(timer_fired(2))) == str(driver.now)


def test_a_replay_goes_through_suspensions_as_they_were() -> None:
    seen = []

    def workflow(ctx: Context, _: None) -> Workflow:
        first = yield task.when_any([ctx.wait_for_external_event('x'), ctx.wait_for_external_event('y')])
        seen.append((first.get_result(), ctx.current_utc_datetime))
        yield ctx.call_activity('after')

    driver = Driver(workflow)
    driver.start()
    driver.turn(suspended(), event_raised('y', '"y"'))
    then = driver.now
    driver.turn(event_raised('x', '"x"'))
    driver.turn(resumed())
    driver.turn(suspended())
    driver.turn()
    driver.turn(resumed())
    assert set(seen) == {('y', then)}


def test_patches_met_on_a_resume_are_answered_alike_in_replay() -> None:
    # The answer is recorded on the resuming turn's workflowStarted, behind the event that the code asked it at.
    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.wait_for_external_event('go')
        return (yield ctx.call_activity('new' if ctx.is_patched('p') else 'old'))

    driver = Driver(workflow)
    driver.start()
    driver.turn(suspended())
    driver.turn(event_raised('go'))
    results = driver.turn(resumed())
    assert results.actions[0].scheduleTask.name == 'new'
    assert output(driver.turn(task_completed(2, 'x'))) == 'x'


def test_a_mismatch_among_what_was_held_back_fails_the_workflow() -> None:
    driver = Driver(_two_steps)
    driver.start()
    driver.turn(suspended(), timer_fired(1))
    assert failure_of(driver.turn(resumed())).errorType == 'NonDeterminismError'


@pytest.mark.parametrize('encoded', ['"why"', '0', None])
def test_a_suspended_workflow_can_be_terminated(encoded: str | None) -> None:
    driver = Driver(_two_steps)
    driver.start()
    driver.turn(suspended(), task_completed(1))
    completed = completion(driver.turn(task_completed(2), terminated(encoded)))
    assert completed.workflowStatus == pb.ORCHESTRATION_STATUS_TERMINATED
    assert (completed.result.value if completed.HasField('result') else None) == encoded


def test_the_custom_status_stays_visible() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        ctx.set_custom_status('waiting')
        yield ctx.call_activity('a')

    driver = Driver(workflow)
    driver.start()
    assert driver.turn(suspended()).encoded_custom_status == 'waiting'


def test_a_history_that_confirms_twice_ends_as_it_did() -> None:
    """As dapr 1.19.0 makes it, which sends its pending actions again in each turn in which it is suspended."""

    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.call_activity('a')
        return (yield ctx.call_activity('b'))

    history = [
        *(workflow_started(), execution_started('workflow'), task_scheduled(1, 'a')),
        *(workflow_started(), task_completed(1), suspended(), task_scheduled(2, 'b')),
        *(workflow_started(), task_completed(2, 'done'), task_scheduled(2, 'b')),
    ]
    registry = _Registry()
    registry.add_orchestrator(workflow)
    ended = _OrchestrationExecutor(registry, LOGGER).execute('abc', history, [workflow_started(), resumed()])
    assert output(ended) == 'done'
