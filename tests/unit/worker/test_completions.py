"""Sending results: by which call, on which connection, and what becomes of those that do not arrive."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import grpc
import pytest

from dapr.ext.workflow._durabletask.internal import helpers
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.transport.completions import Completions
from dapr.ext.workflow._durabletask.transport.connection import Connections
from tests.support.fake_sidecar import DEADLINE_SECONDS, FakeSidecar
from tests.support.interceptors import open_single_threaded

LOGGER = logging.getLogger('tests.worker')
FOUR_MIB = 4 * 1024 * 1024


@pytest.fixture
def connections(sidecar: FakeSidecar) -> Iterator[Connections]:
    """Connections of which one to the sidecar is current."""
    connections = Connections(LOGGER)
    connections.publish(connections.add(open_single_threaded(sidecar.address)))
    yield connections
    assert connections.close(DEADLINE_SECONDS)


@pytest.fixture
def completions(connections: Connections) -> Completions:
    return Completions(connections, LOGGER)


def _turn(*actions: pb.WorkflowAction) -> pb.WorkflowResponse:
    return pb.WorkflowResponse(instanceId='abc', completionToken='token', actions=actions)


def _schedule(action_id: int, encoded_input: str = '1') -> pb.WorkflowAction:
    return pb.WorkflowAction(
        id=action_id, scheduleTask=pb.ScheduleTaskAction(name='work', input=helpers.get_string_value(encoded_input))
    )


def _complete(action_id: int, result: str) -> pb.WorkflowAction:
    return helpers.new_complete_workflow_action(action_id, pb.ORCHESTRATION_STATUS_COMPLETED, result)


def test_a_turn_is_answered_by_the_newer_call(sidecar: FakeSidecar, completions: Completions) -> None:
    response = _turn(_schedule(1))
    assert completions.complete_turn(response)
    assert [(answer.method, answer.message) for answer in sidecar.answers] == [('CompleteWorkflowTask', response)]


def test_an_older_sidecar_is_asked_for_the_newer_call_once(sidecar: FakeSidecar, completions: Completions) -> None:
    sidecar.is_old = True
    assert all(completions.complete_turn(_turn(_schedule(1))) for _ in range(3))
    assert sidecar.calls == {'CompleteWorkflowTask': 1, 'CompleteOrchestratorTask': 3}


def test_another_sidecar_may_know_the_newer_call(
    sidecar: FakeSidecar, connections: Connections, completions: Completions
) -> None:
    sidecar.is_old = True
    assert completions.complete_turn(_turn())
    sidecar.is_old = False
    connections.publish(connections.add(open_single_threaded(sidecar.address)))
    assert completions.complete_turn(_turn())
    assert [answer.method for answer in sidecar.answers] == ['CompleteOrchestratorTask', 'CompleteWorkflowTask']


def test_an_activity_is_answered(sidecar: FakeSidecar, completions: Completions) -> None:
    response = pb.ActivityResponse(instanceId='abc', taskId=3, completionToken='token')
    assert completions.complete_activity(response)
    assert [(answer.method, answer.message) for answer in sidecar.answers] == [('CompleteActivityTask', response)]


@pytest.mark.parametrize('status', [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL])
def test_a_refused_result_is_told_once_and_not_sent_again(
    sidecar: FakeSidecar, completions: Completions, caplog: pytest.LogCaptureFixture, status: grpc.StatusCode
) -> None:
    sidecar.fail_answers.extend([status, status])
    assert not completions.complete_turn(_turn(_schedule(1)))
    assert not completions.complete_activity(pb.ActivityResponse(instanceId='abc', taskId=3))
    assert sidecar.calls == {'CompleteWorkflowTask': 1, 'CompleteActivityTask': 1}
    first, second = caplog.messages
    assert f"turn of 'abc' could not be delivered: {status.name}: the fake sidecar was told to" in first
    assert 'dispatch its work item again' in first
    assert "activity 3 of 'abc' could not be delivered" in second


def test_an_older_sidecar_that_refuses_a_result_is_not_asked_again(
    sidecar: FakeSidecar, completions: Completions
) -> None:
    sidecar.is_old = True
    sidecar.fail_answers.append(grpc.StatusCode.UNIMPLEMENTED)
    assert not completions.complete_turn(_turn())
    assert sidecar.calls == {'CompleteWorkflowTask': 1, 'CompleteOrchestratorTask': 1}


def test_a_sidecar_that_does_not_answer_is_waited_for_no_longer_than_the_deadline(
    sidecar: FakeSidecar, connections: Connections, caplog: pytest.LogCaptureFixture
) -> None:
    sidecar.hold_answers = True
    assert not Completions(connections, LOGGER, send_timeout=0.05).complete_turn(_turn())
    assert 'DEADLINE_EXCEEDED' in caplog.text


def test_a_result_that_finds_no_connection_in_time_is_told(caplog: pytest.LogCaptureFixture) -> None:
    completions = Completions(Connections(LOGGER), LOGGER, reconnect_timeout=0.01)
    assert not completions.complete_turn(_turn())
    assert 'no connection to the sidecar came back' in caplog.text


# Results that are too large


@pytest.fixture
def small_sidecar(_no_thread_is_left: None) -> Iterator[FakeSidecar]:
    """A sidecar that takes messages of 4 MiB, as sidecars do by default."""
    with FakeSidecar(max_receive=FOUR_MIB) as sidecar:
        yield sidecar


@pytest.fixture
def to_small(small_sidecar: FakeSidecar) -> Iterator[Completions]:
    connections = Connections(LOGGER)
    connections.publish(connections.add(open_single_threaded(small_sidecar.address)))
    yield Completions(connections, LOGGER)
    assert connections.close(DEADLINE_SECONDS)


def test_a_workflow_result_that_is_too_large_fails_the_workflow(
    small_sidecar: FakeSidecar, to_small: Completions
) -> None:
    response = _turn(_complete(7, 'x' * 5_000_000))
    response.version.name = 'v2'
    response.customStatus.value = 'here'
    assert not to_small.complete_turn(response)
    sent = small_sidecar.answer()
    assert (sent.instanceId, sent.completionToken, sent.version.name) == ('abc', 'token', 'v2')
    assert not sent.HasField('customStatus')
    (action,) = sent.actions
    assert action.id == 7
    assert action.completeWorkflow.workflowStatus == pb.ORCHESTRATION_STATUS_FAILED
    assert not action.completeWorkflow.HasField('result')
    failure = action.completeWorkflow.failureDetails
    assert 'received message larger than max' in failure.errorMessage.lower()
    assert '50000' in failure.errorMessage
    assert failure.isNonRetriable


def test_actions_that_are_too_large_fail_the_workflow_with_the_next_id(
    small_sidecar: FakeSidecar, to_small: Completions
) -> None:
    response = _turn(_schedule(4), _schedule(5, 'x' * 5_000_000))
    assert not to_small.complete_turn(response)
    (action,) = small_sidecar.answer().actions
    assert action.id == 6
    assert action.completeWorkflow.workflowStatus == pb.ORCHESTRATION_STATUS_FAILED


def test_an_activity_result_that_is_too_large_fails_the_activity(
    small_sidecar: FakeSidecar, to_small: Completions, caplog: pytest.LogCaptureFixture
) -> None:
    result = helpers.get_string_value('x' * 20_000_000)
    assert not to_small.complete_activity(
        pb.ActivityResponse(instanceId='abc', taskId=3, completionToken='token', result=result)
    )
    sent = small_sidecar.answer()
    assert (sent.instanceId, sent.taskId, sent.completionToken) == ('abc', 3, 'token')
    assert not sent.HasField('result')
    assert sent.failureDetails.isNonRetriable
    assert 'activity 3' in sent.failureDetails.errorMessage
    assert len(small_sidecar.answers) == 1
    assert 'replaced by a failure' in caplog.text
    assert 'xxx' not in caplog.text


def test_a_failure_that_is_refused_too_is_not_sent_again(
    sidecar: FakeSidecar, completions: Completions, caplog: pytest.LogCaptureFixture
) -> None:
    sidecar.fail_answers.extend([grpc.StatusCode.RESOURCE_EXHAUSTED] * 3)
    assert not completions.complete_activity(pb.ActivityResponse(instanceId='abc', taskId=3))
    assert sidecar.calls == {'CompleteActivityTask': 2}
    assert 'could not be delivered' in caplog.text


def test_a_large_result_that_the_sidecar_takes_arrives_whole(sidecar: FakeSidecar, completions: Completions) -> None:
    result = helpers.get_string_value('x' * 20_000_000)
    assert completions.complete_activity(pb.ActivityResponse(instanceId='abc', taskId=3, result=result))
    assert len(sidecar.answer().result.value) == 20_000_000
