"""One instance of a workflow: how it stands, and where it stands still, why and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import grpc

from dapr.ext.workflow._durabletask.internal import orchestrator_service_pb2_grpc as stubs
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.transport.errors import describe, details_of, status_of
from dapr.ext.workflow.doctor.line import Line

_WHAT_TO_DO: Final = {
    pb.PATCH_MISMATCH: (
        'its history was made by code with other patches (is_patched) than the connected workers have. It goes on as '
        'soon as a worker with that code connects: deploy it again, or have the code keep those patches'
    ),
    pb.VERSION_NOT_AVAILABLE: (
        'no connected worker has the version of the workflow that it was started with. It goes on as soon as one '
        'connects: register that version beside the newer ones'
    ),
    pb.PAYLOAD_SIZE_EXCEEDED: (
        'its history nears the size that the sidecar sends in one message. Start daprd with a larger --max-body-size '
        '(annotation dapr.io/max-body-size) and it goes on; or purge it by force. Let workflows hand on keys of large '
        'data instead of the data, and continue as new before their histories grow as large'
    ),
}


def examine_instance(
    channel: grpc.Channel, metadata: tuple[tuple[str, str], ...], timeout: float, instance_id: str
) -> Iterator[Line]:
    """Says how an instance stands; reads only."""
    stub = stubs.TaskHubSidecarServiceStub(channel)
    options: dict[str, Any] = {'metadata': metadata, 'timeout': timeout}
    try:
        found = stub.GetInstance(pb.GetInstanceRequest(instanceId=instance_id, getInputsAndOutputs=True), **options)
    except grpc.RpcError as error:
        yield Line('instance', _not_read(error), wrong=True)
        return
    if not found.exists:
        text = f'there is none of the id {instance_id!r}: check the id, and that this is the sidecar of its app'
        yield Line('instance', text, wrong=True)
        return
    state = found.workflowState
    status = pb.OrchestrationStatus.Name(state.workflowStatus).removeprefix('ORCHESTRATION_STATUS_')
    is_wrong = state.workflowStatus in (pb.ORCHESTRATION_STATUS_STALLED, pb.ORCHESTRATION_STATUS_FAILED)
    yield Line('instance', f'{instance_id}, a workflow {state.name!r}, is {status}', wrong=is_wrong)
    if state.HasField('lastUpdatedTimestamp') and state.lastUpdatedTimestamp.ToSeconds():
        yield Line('changed', f'last at {state.lastUpdatedTimestamp.ToJsonString()}')
    if state.workflowStatus == pb.ORCHESTRATION_STATUS_FAILED:
        failure = state.failureDetails
        yield Line('failure', f'{failure.errorType}: {failure.errorMessage}')
    elif state.workflowStatus == pb.ORCHESTRATION_STATUS_SUSPENDED:
        yield Line('suspended', 'it goes on when it is resumed')
    elif state.workflowStatus == pb.ORCHESTRATION_STATUS_PENDING:
        yield Line('pending', 'its first turn has not run: it is scheduled for later, or waits for a worker')
    yield from _told_by_history(stub, options, instance_id, state.workflowStatus)


def _told_by_history(
    stub: Any, options: dict[str, Any], instance_id: str, status: pb.OrchestrationStatus.ValueType
) -> Iterator[Line]:
    try:
        request = pb.GetInstanceHistoryRequest(instanceId=instance_id)
        events = stub.GetInstanceHistory(request, **options).events
    except grpc.RpcError as error:
        if status_of(error) is not grpc.StatusCode.UNIMPLEMENTED:
            yield Line('history', f'could not be read: {describe(error)}', wrong=True)
        return
    size = sum(event.ByteSize() for event in events)
    yield Line('history', f'{len(events)} events, {size:,} bytes')
    stalls = [event.executionStalled for event in events if event.HasField('executionStalled')]
    if status == pb.ORCHESTRATION_STATUS_STALLED and stalls:
        stall = stalls[-1]
        description = f' ({stall.description})' if stall.description else ''
        reason = pb.StalledReason.Name(stall.reason)
        yield Line('stalled', f'{reason}{description}: {_WHAT_TO_DO.get(stall.reason, "the sidecar says no more")}')


def _not_read(error: grpc.RpcError) -> str:
    if 'not registered' in details_of(error):
        return 'daprd tells nothing of workflows while no worker of the app is connected: start its WorkflowRuntime'
    return f'could not be read: {describe(error)}'
