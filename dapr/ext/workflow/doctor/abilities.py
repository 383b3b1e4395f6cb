"""What a sidecar can do beyond the calls that all have, found by calls without effect."""

from __future__ import annotations

import uuid
from typing import Any, Final

import grpc

from dapr.ext.workflow._durabletask.internal import orchestrator_service_pb2_grpc as stubs
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.transport.errors import status_of
from dapr.ext.workflow.doctor.line import Line

_METHODS: Final = {
    'ListInstanceIDs': 'to list ids',
    'GetInstanceHistory': 'to give histories',
    'RerunWorkflowFromEvent': 'to run an instance again from one of its events',
}


def examine_abilities(channel: grpc.Channel, metadata: tuple[tuple[str, str], ...], timeout: float) -> Line:
    """Asks for an instance that nobody has, by each call that not all sidecars have.

    A sidecar that has the call says that it knows no such instance, or that no worker is connected, or waits for one.
    One that has it not says so at once.
    """
    stub = stubs.TaskHubSidecarServiceStub(channel)
    nobody = f'dapr-doctor-{uuid.uuid4().hex}'
    requests: dict[str, Any] = {
        'ListInstanceIDs': pb.ListInstanceIDsRequest(pageSize=1),
        'GetInstanceHistory': pb.GetInstanceHistoryRequest(instanceId=nobody),
        'RerunWorkflowFromEvent': pb.RerunWorkflowFromEventRequest(sourceInstanceID=nobody, eventID=1),
    }
    can, cannot = [], []
    for method, ability in _METHODS.items():
        try:
            getattr(stub, method)(requests[method], timeout=timeout, metadata=metadata)
        except grpc.RpcError as error:
            if status_of(error) is grpc.StatusCode.UNIMPLEMENTED:
                cannot.append(ability)
                continue
        can.append(ability)
    text = ', '.join(can) or 'what every sidecar can'
    return Line('can', f'{text}; not: {", ".join(cannot)}' if cannot else text)
