"""A child workflow under a retry policy is started again under the same instance id."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.propagation import PropagationScope
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
from dapr.ext.workflow._durabletask.task import RetryPolicy, TaskFailedError
from tests.support.engine import (
    Driver,
    child_completed,
    child_failed,
    failure,
    kinds,
    output,
    task_completed,
    timer_fired,
)
from tests.support.scenarios import Workflow

POLICY = RetryPolicy(first_retry_interval=timedelta(seconds=2), max_number_of_attempts=3, backoff_coefficient=2)


@pytest.mark.parametrize(('given', 'child_id'), [(None, 'abc:0002'), ('mine', 'mine')])
def test_each_attempt_starts_the_same_child_under_a_new_id(given: str | None, child_id: str) -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        ctx.call_activity('before')
        return (
            yield ctx.call_sub_orchestrator(
                'flaky',
                input=0,
                instance_id=given,
                retry_policy=POLICY,
                app_id='there',
                propagation=PropagationScope.OWN_HISTORY,
            )
        )

    driver = Driver(workflow)
    first = driver.start().actions[1]
    assert (first.id, first.createChildWorkflow.instanceId) == (2, child_id)
    assert (first.createChildWorkflow.name, first.createChildWorkflow.input.value) == ('flaky', '0')
    assert first.createChildWorkflow.historyPropagationScope == PropagationScope.OWN_HISTORY.value
    assert first.router.targetAppID == 'there'
    assert not first.createChildWorkflow.HasField('retryParentInstanceInfo')
    for number, seconds in ((2, 2), (4, 4)):
        (timer,) = driver.turn(child_failed(number)).actions
        assert timer.id == number + 1
        assert timer.createTimer.fireAt.ToDatetime() == driver.now + timedelta(seconds=seconds)
        assert timer.createTimer.WhichOneof('origin') == 'childWorkflowRetry'
        assert timer.createTimer.childWorkflowRetry.instanceId == child_id
        (again,) = driver.turn(timer_fired(number + 1)).actions
        assert again.id == number + 2
        assert again.createChildWorkflow.retryParentInstanceInfo.instanceID == child_id
        again.createChildWorkflow.ClearField('retryParentInstanceInfo')
        assert again.createChildWorkflow == first.createChildWorkflow
        assert again.router == first.router
    assert output(driver.turn(child_completed(6, 'at last'))) == 'at last'


def test_the_last_attempts_failure_is_raised() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        try:
            yield ctx.call_sub_orchestrator('flaky', retry_policy=POLICY)
        except TaskFailedError as error:
            return [str(error), error.details.error_type]

    driver = Driver(workflow)
    driver.start()
    for number in (1, 3):
        driver.turn(child_failed(number))
        driver.turn(timer_fired(number + 1))
    ended = driver.turn(child_failed(5, failure('for good', 'KeyError')))
    told = "Sub-orchestration task #5 failed: for good (KeyError in the workflow 'flaky', attempt 3)"
    assert output(ended) == [told, 'KeyError']


def test_without_a_policy_the_first_failure_is_raised() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        try:
            yield ctx.call_sub_orchestrator('flaky')
        except TaskFailedError as error:
            return str(error)

    driver = Driver(workflow)
    driver.start()
    told = "Sub-orchestration task #1 failed: boom (ValueError in the workflow 'flaky')"
    assert output(driver.turn(child_failed(1))) == told


def test_retries_of_children_inside_composites() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        children = [ctx.call_sub_orchestrator(name, retry_policy=POLICY) for name in 'ab']
        winner = yield task.when_any([task.when_all(children), ctx.call_activity('slow')])
        return winner.get_result()

    driver = Driver(workflow)
    driver.start()
    assert kinds(driver.turn(child_failed(1))) == [(4, 'createTimer')]
    assert kinds(driver.turn(child_completed(2, 'b'))) == []
    (again,) = driver.turn(timer_fired(4)).actions
    assert (again.id, again.createChildWorkflow.instanceId) == (5, 'abc:0001')
    assert output(driver.turn(child_completed(5, 'a'), task_completed(3))) == ['a', 'b']


def test_a_child_that_is_called_anew_by_the_code_is_no_retry() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        for _attempt in range(2):
            try:
                return (yield ctx.call_sub_orchestrator('flaky', instance_id='mine'))
            except TaskFailedError:
                pass

    driver = Driver(workflow)
    driver.start()
    (again,) = driver.turn(child_failed(1)).actions
    assert again.id == 2
    assert not again.createChildWorkflow.HasField('retryParentInstanceInfo')
