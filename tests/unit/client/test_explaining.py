"""Waits that end without the instance say how it stands; stalled instances end waits that ask for it."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from dapr.ext.workflow import WorkflowNotFoundError, WorkflowStalledError, WorkflowTimeoutError
from dapr.ext.workflow._durabletask.internal import protos as pb
from tests.support.scripted_sidecar import ScriptedSidecar

UNANSWERED = (grpc.StatusCode.DEADLINE_EXCEEDED, 'Deadline Exceeded')
STALL = pb.HistoryEvent(
    eventId=-1, executionStalled=pb.ExecutionStalledEvent(reason=pb.VERSION_NOT_AVAILABLE, description='no v3')
)


def standing(status: pb.OrchestrationStatus.ValueType) -> pb.GetInstanceResponse:
    return pb.GetInstanceResponse(
        exists=True, workflowState=pb.WorkflowState(instanceId='i', name='w', workflowStatus=status)
    )


def history(*events: pb.HistoryEvent) -> pb.GetInstanceHistoryResponse:
    return pb.GetInstanceHistoryResponse(events=events)


BUSY = history(
    pb.HistoryEvent(eventId=0, taskScheduled=pb.TaskScheduledEvent(name='done')),
    pb.HistoryEvent(eventId=1, taskScheduled=pb.TaskScheduledEvent(name='charge')),
    pb.HistoryEvent(
        eventId=2, childWorkflowInstanceCreated=pb.ChildWorkflowInstanceCreatedEvent(name='ship', instanceId='c')
    ),
    pb.HistoryEvent(eventId=-1, taskCompleted=pb.TaskCompletedEvent(taskScheduledId=0)),
)


def timed_out(client: Any) -> WorkflowTimeoutError:
    with pytest.raises(WorkflowTimeoutError) as raised:
        client.wait_for_orchestration_completion('i', timeout=0.1)
    error: WorkflowTimeoutError = raised.value
    assert isinstance(error, TimeoutError)
    assert isinstance(error, grpc.RpcError)
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert str(error).startswith("Timed-out waiting for the orchestration to complete: 'i' did not within 0.1 s. ")
    return error


@pytest.mark.parametrize(
    ('state', 'events', 'words'),
    [
        (pb.GetInstanceResponse(exists=False), history(), "There is no instance 'i'"),
        (
            standing(pb.ORCHESTRATION_STATUS_PENDING),
            history(),
            "It has not started: no worker has taken it.*workflow 'w'",
        ),
        (standing(pb.ORCHESTRATION_STATUS_SUSPENDED), history(), 'It is paused'),
        (
            standing(pb.ORCHESTRATION_STATUS_STALLED),
            history(STALL),
            r"'i' is stalled: VERSION_NOT_AVAILABLE \(no v3\)\. What helps: connect a worker that has the version",
        ),
        (
            standing(pb.ORCHESTRATION_STATUS_RUNNING),
            BUSY,
            r"these have not ended: activity 'charge', child workflow 'ship' \('c'\)\.",
        ),
        (standing(pb.ORCHESTRATION_STATUS_RUNNING), history(), 'shows nothing that it waits for'),
        (standing(pb.ORCHESTRATION_STATUS_COMPLETED), history(), 'It is COMPLETED by now'),
    ],
    ids=['unknown', 'pending', 'paused', 'stalled', 'running', 'waiting', 'ended'],
)
def test_a_wait_that_is_over_says_how_the_instance_stands(
    client: Any, sidecar: ScriptedSidecar, state: Any, events: Any, words: str
) -> None:
    sidecar.script('WaitForInstanceCompletion', UNANSWERED)
    sidecar.script('GetInstance', state)
    sidecar.script('GetInstanceHistory', events)
    with pytest.raises(WorkflowTimeoutError, match=words):
        client.wait_for_orchestration_completion('i', timeout=0.1)
    timed_out(client)


def test_what_cannot_be_found_out_is_left_out(client: Any, sidecar: ScriptedSidecar) -> None:
    sidecar.script('WaitForInstanceCompletion', UNANSWERED)
    sidecar.script('GetInstance', (grpc.StatusCode.INTERNAL, 'broken'))
    with pytest.raises(WorkflowTimeoutError, match=r'did not within 0\.1 s\.$'):
        client.wait_for_orchestration_completion('i', timeout=0.1)


class TestStalled:
    @pytest.mark.parametrize('call', ['wait_for_orchestration_start', 'wait_for_orchestration_completion'])
    def test_it_ends_a_wait_that_asks_for_it(self, client: Any, sidecar: ScriptedSidecar, call: str) -> None:
        method = 'WaitForInstanceStart' if call.endswith('start') else 'WaitForInstanceCompletion'
        sidecar.script(method, UNANSWERED)
        running, stalled = standing(pb.ORCHESTRATION_STATUS_RUNNING), standing(pb.ORCHESTRATION_STATUS_STALLED)
        sidecar.script('GetInstance', running, stalled)
        sidecar.script('GetInstanceHistory', history(STALL))
        with pytest.raises(WorkflowStalledError, match="'i' is stalled: VERSION_NOT_AVAILABLE") as raised:
            getattr(client, call)('i', raise_on_stalled=True)
        assert (raised.value.reason, raised.value.description) == ('VERSION_NOT_AVAILABLE', 'no v3')
        assert raised.value.code() is grpc.StatusCode.FAILED_PRECONDITION

    def test_a_sidecar_without_histories_ends_it_too(self, client: Any, sidecar: ScriptedSidecar) -> None:
        sidecar.script('GetInstance', standing(pb.ORCHESTRATION_STATUS_STALLED))
        sidecar.script('GetInstanceHistory', (grpc.StatusCode.UNIMPLEMENTED, 'unknown method'))
        with pytest.raises(WorkflowStalledError) as raised:
            client.wait_for_orchestration_completion('i', raise_on_stalled=True)
        assert raised.value.reason is None

    def test_a_reason_of_a_newer_sidecar_has_its_number(self, client: Any, sidecar: ScriptedSidecar) -> None:
        sidecar.script('GetInstance', standing(pb.ORCHESTRATION_STATUS_STALLED))
        unknown: Any = 77
        sidecar.script(
            'GetInstanceHistory', history(pb.HistoryEvent(executionStalled=pb.ExecutionStalledEvent(reason=unknown)))
        )
        with pytest.raises(WorkflowStalledError, match='UNKNOWN_77'):
            client.wait_for_orchestration_completion('i', raise_on_stalled=True)

    def test_a_wait_that_looks_for_it_ends_as_others_do(self, client: Any, sidecar: ScriptedSidecar) -> None:
        done = standing(pb.ORCHESTRATION_STATUS_COMPLETED)
        sidecar.script('GetInstance', standing(pb.ORCHESTRATION_STATUS_RUNNING))
        sidecar.script('WaitForInstanceCompletion', UNANSWERED, done)
        assert client.wait_for_orchestration_completion('i', raise_on_stalled=True).name == 'w'

    def test_a_refusal_for_it_is_told_as_such(self, client: Any, sidecar: ScriptedSidecar) -> None:
        sidecar.script('TerminateInstance', (grpc.StatusCode.UNKNOWN, 'workflow actor is stalled'))
        with pytest.raises(WorkflowStalledError, match="The workflow instance 'i' is stalled"):
            client.terminate_orchestration('i')


def test_a_missing_instance_is_named(client: Any, sidecar: ScriptedSidecar) -> None:
    sidecar.script('RaiseEvent', (grpc.StatusCode.UNKNOWN, 'no such instance exists'))
    with pytest.raises(WorkflowNotFoundError, match="no workflow instance with the id 'i'") as raised:
        client.raise_orchestration_event('i', 'e')
    assert raised.value.details() == 'no such instance exists'
