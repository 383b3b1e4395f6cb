"""What the two sidecars send to a worker, read by hand: it is what our worker is written for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from dapr.ext.workflow._durabletask.client import TaskHubGrpcClient
from dapr.ext.workflow._durabletask.internal import helpers
from dapr.ext.workflow._durabletask.internal import orchestrator_service_pb2_grpc as stubs
from dapr.ext.workflow._durabletask.internal import protos as pb
from tests.support.e2e import DEADLINE, NewId, completed
from tools.go_sidecar import Sidecar


@pytest.mark.parametrize('is_stateful', [False, True], ids=['stateless', 'stateful'])
def test_only_the_newer_sidecar_names_the_execution_and_sends_deltas_to_those_who_keep_histories(
    sidecar: Sidecar, client: TaskHubGrpcClient, new_id: NewId, is_stateful: bool
) -> None:
    instance_id = new_id()
    is_newer = sidecar.build.sends_deltas
    capabilities = [pb.WORKER_CAPABILITY_STATEFUL_HISTORY] if is_stateful else []
    items: list[pb.WorkItem] = []
    with grpc.insecure_channel(sidecar.address) as channel, ThreadPoolExecutor(1) as threads:
        stub = stubs.TaskHubSidecarServiceStub(channel)
        stream = stub.GetWorkItems(pb.GetWorkItemsRequest(capabilities=capabilities), timeout=DEADLINE)
        starting = threads.submit(client.schedule_new_orchestration, 'by_hand', instance_id=instance_id)
        for item in stream:
            if item.workflowRequest.instanceId != instance_id:
                continue  # what other tests have left
            items.append(item)
            response = pb.WorkflowResponse(instanceId=instance_id, completionToken=item.completionToken)
            if len(items) < 4:
                stub.CompleteWorkflowTask(response, timeout=DEADLINE)
                assert starting.result(DEADLINE) == instance_id
                client.raise_orchestration_event(instance_id, 'next')
            else:
                response.actions.append(
                    helpers.new_complete_workflow_action(1, pb.ORCHESTRATION_STATUS_COMPLETED, '"done"')
                )
                stub.CompleteOrchestratorTask(response, timeout=DEADLINE)  # the older name of the same call
                break
        assert completed(client, instance_id) == 'done'
        stream.cancel()

    requests = [item.workflowRequest for item in items]
    started = requests[0].newEvents[1].executionStarted
    execution_id = started.workflowInstance.executionId.value
    assert execution_id
    assert [request.executionId.value for request in requests] == [execution_id if is_newer else ''] * 4
    assert all(bool(item.completionToken) is is_newer for item in items)
    # The batches are workflowStarted and one event each. The first delta is that of the third turn.
    assert [len(request.newEvents) for request in requests] == [2, 2, 2, 2]
    if is_newer and is_stateful:
        assert [request.cachedHistory.eventCount for request in requests] == [0, 0, 2, 4]
        assert [len(request.pastEvents) for request in requests] == [0, 2, 2, 2]
        assert list(requests[3].pastEvents) == list(requests[2].newEvents)
    else:
        assert not any(request.HasField('cachedHistory') for request in requests)
        assert [len(request.pastEvents) for request in requests] == [0, 2, 4, 6]
