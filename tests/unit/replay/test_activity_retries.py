"""An activity under a retry policy is one task over several attempts, with durable timers between them."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.propagation import PropagationScope
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
from dapr.ext.workflow._durabletask.replay.instance import ExecutionResults
from dapr.ext.workflow._durabletask.task import RetryPolicy, TaskFailedError
from tests.support.engine import (
    Driver,
    event_raised,
    failure,
    failure_of,
    kinds,
    output,
    task_completed,
    task_failed,
    timer_fired,
)
from tests.support.scenarios import Workflow

NAMESPACE = uuid.UUID('9e952958-5e33-4daf-827f-2fa12937b875')
SECOND = timedelta(seconds=1)


def _policy(attempts: int = 3) -> RetryPolicy:
    return RetryPolicy(first_retry_interval=timedelta(seconds=2), max_number_of_attempts=attempts)


def _retrying(ctx: Context, attempts: int) -> Workflow:
    return (
        yield ctx.call_activity(
            'flaky',
            input={'a': 0},
            retry_policy=_policy(attempts),
            app_id='there',
            propagation=PropagationScope.LINEAGE,
        )
    )


def _only_action(results: ExecutionResults) -> pb.WorkflowAction:
    (action,) = results.actions
    return action


def test_each_attempt_is_the_same_call_under_a_new_id() -> None:
    driver = Driver(_retrying, '3')
    first = _only_action(driver.start())
    assert (first.id, first.scheduleTask.name, first.scheduleTask.input.value) == (1, 'flaky', '{"a": 0}')
    assert first.scheduleTask.historyPropagationScope == PropagationScope.LINEAGE.value
    assert first.router.targetAppID == 'there'
    execution_id = first.scheduleTask.taskExecutionId
    assert execution_id == str(uuid.uuid5(NAMESPACE, f'abc_{driver.now.isoformat()}_0'))
    for number in (1, 3):
        timer = _only_action(driver.turn(task_failed(number)))
        assert timer.id == number + 1
        assert timer.createTimer.fireAt.ToDatetime() == driver.now + timedelta(seconds=2)
        assert timer.createTimer.WhichOneof('origin') == 'activityRetry'
        assert timer.createTimer.activityRetry.taskExecutionId == execution_id
        again = _only_action(driver.turn(timer_fired(number + 1)))
        assert again.id == number + 2
        assert again.scheduleTask == first.scheduleTask
        assert again.router == first.router
    assert output(driver.turn(task_completed(5, 'at last'))) == 'at last'


def test_the_last_attempts_failure_is_raised() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        try:
            yield ctx.call_activity('flaky', retry_policy=_policy(2))
        except TaskFailedError as error:
            return [str(error), error.details.error_type, error.details.message]

    driver = Driver(workflow)
    driver.start()
    driver.turn(task_failed(1, failure('first')))
    driver.turn(timer_fired(2))
    ended = driver.turn(task_failed(3, failure('second', 'KeyError')))
    assert kinds(ended) == [(4, 'completeWorkflow')]
    told = "abc: Activity task #3 failed: second (KeyError in the activity 'flaky', attempt 2)"
    assert output(ended) == [told, 'KeyError', 'second']


def test_one_attempt_means_no_retry() -> None:
    driver = Driver(_retrying, '1')
    driver.start()
    assert failure_of(driver.turn(task_failed(1))).errorType == 'TaskFailedError'


def test_without_a_policy_there_is_no_retry() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.call_activity('flaky')

    driver = Driver(workflow)
    driver.start()
    details = failure_of(driver.turn(task_failed(1)))
    assert details.errorType == 'TaskFailedError'
    assert details.errorMessage == 'abc: Activity task #1 failed: boom'


def test_a_failed_attempt_and_its_wait_wake_no_one() -> None:
    steps = []

    def workflow(ctx: Context, _: None) -> Workflow:
        steps.append((yield ctx.call_activity('flaky', retry_policy=_policy())))

    driver = Driver(workflow)
    driver.start()
    driver.turn(task_failed(1))
    driver.turn(timer_fired(2))
    assert steps == []


def test_a_failure_and_its_timer_in_one_batch() -> None:
    driver = Driver(_retrying, '3')
    driver.start()
    both = driver.turn(task_failed(1), timer_fired(2))
    assert kinds(both) == [(2, 'createTimer'), (3, 'scheduleTask')]
    assert output(driver.turn(task_completed(3, 1))) == 1


@pytest.mark.parametrize('attempts', [2, 3])
def test_retries_inside_when_all(attempts: int) -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        calls = [ctx.call_activity(name, retry_policy=_policy(attempts)) for name in 'ab']
        return (yield task.when_all(calls))

    driver = Driver(workflow)
    execution_ids = [action.scheduleTask.taskExecutionId for action in driver.start().actions]
    assert len(set(execution_ids)) == 2
    timers = driver.turn(task_failed(2), task_failed(1))  # the waits get their ids in the order of the failures
    assert [action.createTimer.activityRetry.taskExecutionId for action in timers.actions] == execution_ids[::-1]
    again = driver.turn(timer_fired(4), timer_fired(3))
    assert [(a.id, a.scheduleTask.name, a.scheduleTask.taskExecutionId) for a in again.actions] == [
        (5, 'a', execution_ids[0]),
        (6, 'b', execution_ids[1]),
    ]
    assert kinds(driver.turn(task_completed(6, 'b'))) == []
    assert output(driver.turn(task_completed(5, 'a'))) == ['a', 'b']


def test_retries_inside_when_any() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        flaky = ctx.call_activity('flaky', retry_policy=_policy())
        event = ctx.wait_for_external_event('stop')
        winner = yield task.when_any([flaky, event])
        return [winner is event, flaky.is_complete, (yield flaky)]

    driver = Driver(workflow)
    driver.start()
    assert kinds(driver.turn(task_failed(1))) == [(3, 'createTimer')]  # a failed attempt does not win
    driver.turn(event_raised('stop'))
    assert kinds(driver.turn(timer_fired(3))) == [(4, 'scheduleTask')]
    assert output(driver.turn(task_completed(4, 'x'))) == [True, False, 'x']


def test_the_loser_of_a_race_goes_on_retrying_until_the_workflow_ends() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        flaky = ctx.call_activity('flaky', retry_policy=_policy())
        yield task.when_any([flaky, ctx.create_timer(SECOND)])
        return (yield ctx.call_activity('after'))

    driver = Driver(workflow)
    driver.start()
    assert kinds(driver.turn(timer_fired(2))) == [(3, 'scheduleTask')]
    assert kinds(driver.turn(task_failed(1))) == [(4, 'createTimer')]
    assert output(driver.turn(task_completed(3, 'x'), timer_fired(4))) == 'x'


def test_attempts_take_no_further_identifiers() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.call_activity('flaky', retry_policy=_policy())
        yield ctx.call_activity('next')

    driver = Driver(workflow)
    driver.start()
    driver.turn(task_failed(1))
    driver.turn(timer_fired(2))
    after = _only_action(driver.turn(task_completed(3)))
    assert after.scheduleTask.taskExecutionId == str(uuid.uuid5(NAMESPACE, f'abc_{driver.now.isoformat()}_1'))


def test_history_must_have_the_retrys_timer() -> None:
    driver = Driver(_retrying, '3')
    driver.start()
    driver.turn(task_failed(1))
    driver.committed[-1].taskScheduled.name = 'flaky'  # what the history of code without the policy would say
    details = failure_of(driver.turn())
    assert details.errorType == 'NonDeterminismError'
    assert 'At action 2 ' in details.errorMessage
