"""A resolution that comes before the code has asked for its action is kept, and matched when it does."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
from dapr.ext.workflow._durabletask.task import RetryPolicy, TaskFailedError, when_all
from tests.support.engine import (
    Driver,
    Event,
    child_completed,
    child_failed,
    event_raised,
    failure_of,
    kinds,
    output,
    resumed,
    suspended,
    task_completed,
    task_failed,
    timer_fired,
)
from tests.support.scenarios import Workflow

POLICY = RetryPolicy(first_retry_interval=timedelta(seconds=1), max_number_of_attempts=3)


def _chain(ctx: Context, _: None) -> Workflow:
    results = []
    for name in 'abc':
        try:
            results.append((yield ctx.call_activity(name)))
        except TaskFailedError as error:
            results.append(error.details.message)
    return results


@pytest.mark.parametrize('is_same_batch', [False, True])
def test_an_early_result_is_there_when_the_code_asks_for_it(is_same_batch: bool) -> None:
    driver = Driver(_chain)
    driver.start()
    if is_same_batch:
        results = driver.turn(task_completed(2, 'y'), task_completed(1, 'x'))
    else:
        assert kinds(driver.turn(task_completed(2, 'y'))) == []
        results = driver.turn(task_completed(1, 'x'))
    assert kinds(results) == [(2, 'scheduleTask'), (3, 'scheduleTask')]
    assert output(driver.turn(task_completed(3, 'z'))) == ['x', 'y', 'z']


def test_any_number_of_them_is_taken_up_one_after_the_other() -> None:
    driver = Driver(_chain)
    driver.start()
    driver.turn(task_completed(3, 'z'))
    driver.turn(task_failed(2))
    assert output(driver.turn(task_completed(1, 'x'))) == ['x', 'boom', 'z']


def test_they_can_come_before_the_start() -> None:
    driver = Driver(_chain)
    assert output(driver.turn(*(task_completed(n, n) for n in (3, 1, 2)), driver._started)) == [1, 2, 3]


def test_all_kinds_of_resolutions_can_be_early() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        first = yield ctx.call_activity('a')
        tasks = [ctx.call_activity('b'), ctx.create_timer(timedelta(seconds=1)), ctx.call_sub_orchestrator('c')]
        results = yield when_all(tasks)
        try:
            yield ctx.call_sub_orchestrator('d')
        except TaskFailedError as error:
            return [first, results, error.details.message]

    driver = Driver(workflow)
    driver.start()
    driver.turn(child_completed(4, 'c'), timer_fired(3), child_failed(5), task_completed(2, 'b'))
    assert output(driver.turn(task_completed(1, 'a'))) == ['a', ['b', None, 'c'], 'boom']


def test_the_first_of_two_early_ones_counts() -> None:
    driver = Driver(_chain)
    driver.start()
    driver.turn(task_completed(2, 'first'), task_completed(2, 'second'))
    driver.turn(task_completed(1, 'x'))
    assert output(driver.turn(task_completed(3, 'z'))) == ['x', 'first', 'z']


@pytest.mark.parametrize('early', [timer_fired(2), child_completed(2), child_failed(2)])
def test_an_early_one_of_another_kind_is_a_mismatch(early: Event) -> None:
    driver = Driver(_chain)
    driver.start()
    driver.turn(early)
    details = failure_of(driver.turn(task_completed(1)))
    assert details.errorType == 'NonDeterminismError'
    assert 'action 2:' in details.errorMessage


def test_an_early_failure_is_retried_under_its_policy() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.call_activity('a')
        return (yield ctx.call_activity('flaky', retry_policy=POLICY))

    driver = Driver(workflow)
    driver.start()
    driver.turn(task_failed(2))
    assert kinds(driver.turn(task_completed(1))) == [(2, 'scheduleTask'), (3, 'createTimer')]
    assert kinds(driver.turn(timer_fired(3))) == [(4, 'scheduleTask')]
    assert output(driver.turn(task_completed(4, 'x'))) == 'x'


@pytest.mark.parametrize('is_child', [False, True])
def test_early_ones_are_taken_up_by_retries_too(is_child: bool) -> None:
    # The wait and the next attempt are asked for by the engine, not by a step of the code.
    def workflow(ctx: Context, _: None) -> Workflow:
        if is_child:
            return (yield ctx.call_sub_orchestrator('flaky', retry_policy=POLICY))
        return (yield ctx.call_activity('flaky', retry_policy=POLICY))

    fail, complete = (child_failed, child_completed) if is_child else (task_failed, task_completed)
    driver = Driver(workflow)
    driver.start()
    driver.turn(complete(5, 'x'), timer_fired(4), timer_fired(2), fail(3))
    assert output(driver.turn(fail(1))) == 'x'


def test_an_early_one_waits_through_a_suspension() -> None:
    driver = Driver(_chain)
    driver.start()
    driver.turn(task_completed(2, 'y'), suspended())
    assert kinds(driver.turn(task_completed(1, 'x'))) == []
    assert kinds(driver.turn(resumed())) == [(2, 'scheduleTask'), (3, 'scheduleTask')]


def test_an_early_one_whose_action_never_comes_changes_nothing() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        return (yield ctx.wait_for_external_event('go'))

    driver = Driver(workflow)
    driver.start()
    driver.turn(task_completed(2**31 - 1, 'x'), task_failed(2))
    assert output(driver.turn(event_raised('go', '1'))) == 1


def test_an_early_result_that_is_no_json_fails_when_it_is_asked_for() -> None:
    early = task_completed(2)
    early.taskCompleted.result.value = '{bad'
    driver = Driver(_chain)
    driver.start()
    assert kinds(driver.turn(early)) == []
    details = failure_of(driver.turn(task_completed(1)))
    assert details.errorType == 'JSONDecodeError'
    assert "call_activity('b')" in details.errorMessage
