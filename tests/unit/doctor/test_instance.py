"""What the doctor says of one instance: how it stands and, where it stands still, why and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.doctor.instance import examine_instance
from tests.support.scripted_sidecar import ScriptedSidecar, running

STALL = pb.ExecutionStalledEvent(reason=pb.PAYLOAD_SIZE_EXCEEDED, description='3.9 MB of 4 MB')


@pytest.fixture
def sidecar() -> Iterator[ScriptedSidecar]:
    with running() as sidecar:
        yield sidecar


def examined(sidecar: ScriptedSidecar) -> tuple[dict[str, str], list[str]]:
    """The texts by name, and the names of what is wrong."""
    with grpc.insecure_channel(sidecar.address) as channel:
        lines = list(examine_instance(channel, (), 10.0, 'order-1'))
    return {line.name: line.text for line in lines}, [line.name for line in lines if line.wrong]


def stands(sidecar: ScriptedSidecar, status: int, **more: Any) -> None:
    state = pb.WorkflowState(instanceId='order-1', name='order', workflowStatus=status, **more)  # type: ignore[arg-type]
    sidecar.script('GetInstance', pb.GetInstanceResponse(exists=True, workflowState=state))


def test_a_stalled_one_is_explained_by_its_last_stall(sidecar: ScriptedSidecar) -> None:
    stands(sidecar, pb.ORCHESTRATION_STATUS_STALLED)
    earlier = pb.ExecutionStalledEvent(reason=pb.PATCH_MISMATCH)
    events = [pb.HistoryEvent(eventId=-1, executionStalled=stall) for stall in (earlier, STALL)]
    sidecar.script('GetInstanceHistory', pb.GetInstanceHistoryResponse(events=events))
    texts, wrong = examined(sidecar)
    assert wrong == ['instance']
    assert texts['instance'] == "order-1, a workflow 'order', is STALLED"
    assert texts['history'].startswith('2 events, ')
    assert texts['stalled'].startswith('PAYLOAD_SIZE_EXCEEDED (3.9 MB of 4 MB): ')
    assert '--max-body-size' in texts['stalled']


def test_a_failed_one_says_why(sidecar: ScriptedSidecar) -> None:
    details = pb.TaskFailureDetails(errorType='KeyError', errorMessage="'sku'")
    stands(sidecar, pb.ORCHESTRATION_STATUS_FAILED, failureDetails=details)
    texts, wrong = examined(sidecar)
    assert (wrong, texts['failure']) == (['instance'], "KeyError: 'sku'")


def test_one_that_was_never_started_is_told(sidecar: ScriptedSidecar) -> None:
    texts, wrong = examined(sidecar)
    assert wrong == ['instance']
    assert "there is none of the id 'order-1'" in texts['instance']


def test_without_a_worker_daprd_tells_nothing_and_the_doctor_says_so(sidecar: ScriptedSidecar) -> None:
    details = 'failed to create actor: actor type dapr.internal.default.app.workflow not registered'
    sidecar.script('GetInstance', (grpc.StatusCode.UNKNOWN, details))
    texts, wrong = examined(sidecar)
    assert (wrong, 'start its WorkflowRuntime' in texts['instance']) == (['instance'], True)


def test_a_sidecar_that_gives_no_histories_is_no_fault(sidecar: ScriptedSidecar) -> None:
    stands(sidecar, pb.ORCHESTRATION_STATUS_SUSPENDED)
    sidecar.script('GetInstanceHistory', (grpc.StatusCode.UNIMPLEMENTED, 'no such call'))
    texts, wrong = examined(sidecar)
    assert (wrong, texts['suspended']) == ([], 'it goes on when it is resumed')
