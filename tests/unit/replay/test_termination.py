"""A terminate ends the run at once, with the output that the client gave."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
from tests.support.engine import Driver, completion, event_raised, kinds, task_completed, terminated, timer_fired
from tests.support.scenarios import Workflow

TERMINATED = pb.ORCHESTRATION_STATUS_TERMINATED


def _two_steps(ctx: Context, _: None) -> Workflow:
    ctx.create_timer(timedelta(seconds=9))
    yield ctx.call_activity('a')
    yield ctx.call_activity('b')


@pytest.mark.parametrize('encoded', ['"reason"', '0', '""', 'false', '[]', 'null', '', None])
def test_the_output_is_what_was_given_falsy_or_not(encoded: str | None) -> None:
    driver = Driver(_two_steps)
    driver.start()
    ended = driver.turn(terminated(encoded))
    assert kinds(ended) == [(3, 'completeWorkflow')]
    completed = completion(ended)
    assert completed.workflowStatus == TERMINATED
    assert (completed.result.value if completed.HasField('result') else None) == encoded
    assert not completed.HasField('failureDetails')


def test_it_drops_what_is_pending_and_ignores_what_follows() -> None:
    driver = Driver(_two_steps)
    driver.start()
    ended = driver.turn(
        task_completed(2), terminated('"stop"'), task_completed(3), timer_fired(1), event_raised('go', 'no JSON')
    )
    assert kinds(ended) == [(4, 'completeWorkflow')]
    assert completion(ended).workflowStatus == TERMINATED
    assert completion(ended).result.value == '"stop"'


def test_the_first_terminate_counts() -> None:
    driver = Driver(_two_steps)
    driver.start()
    assert completion(driver.turn(terminated('1'), terminated('2'))).result.value == '1'


@pytest.mark.parametrize('is_first', [False, True], ids=['terminate first', 'start first'])
def test_it_can_come_with_the_start(is_first: bool) -> None:
    driver = Driver(_two_steps)
    results = driver.start(terminated('1')) if is_first else driver.turn(terminated('1'), driver._started)
    assert completion(results).workflowStatus == TERMINATED


@pytest.mark.parametrize(
    ('is_failing', 'status'),
    [(False, pb.ORCHESTRATION_STATUS_COMPLETED), (True, pb.ORCHESTRATION_STATUS_FAILED)],
)
def test_what_has_ended_by_itself_before_stays_as_it_is(
    is_failing: bool, status: pb.OrchestrationStatus.ValueType
) -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.call_activity('a')
        if is_failing:
            raise RuntimeError('on purpose')

    driver = Driver(workflow)
    driver.start()
    assert completion(driver.turn(task_completed(1), terminated())).workflowStatus == status


def test_the_workflows_code_is_not_told() -> None:
    told = []

    def workflow(ctx: Context, _: None) -> Workflow:
        try:
            yield ctx.call_activity('a')
        except Exception as error:
            told.append(error)

    driver = Driver(workflow)
    driver.start()
    driver.turn(terminated())
    assert told == []
