"""A worker for a moment, with one workflow of a name of its own: does its third turn come as a delta?"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import grpc

from dapr.ext.workflow._durabletask.internal import helpers
from dapr.ext.workflow._durabletask.internal import orchestrator_service_pb2_grpc as stubs
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.transport.errors import describe

Metadata: TypeAlias = tuple[tuple[str, str], ...]

NAME: Final = 'dapr-doctor-probe'
# The first two turns are whole on every sidecar: there is nothing yet that could be left out.
_TELLING_TURN: Final = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a probe has seen.

    Attributes:
        deltas: Whether a delta came; None: the workflow did not get as far.
        remarks: What else there is to say.
    """

    deltas: bool | None
    remarks: Sequence[str] = ()


def run_probe(channel: grpc.Channel, metadata: Metadata, timeout: float) -> Outcome:
    """Runs the probe's workflow, and removes it.

    What the sidecar sends of other workflows is left alone: it is dispatched again when the stream ends, with this.

    Args:
        channel: To the sidecar.
        metadata: What goes out with each call.
        timeout: How long it may take, in seconds, without the cleaning up.
    """
    stub = stubs.TaskHubSidecarServiceStub(channel)
    return _Probe(stub, {'metadata': metadata, 'timeout': timeout}).run()


class _Probe:
    def __init__(self, stub: stubs.TaskHubSidecarServiceStub, options: dict[str, Any]) -> None:
        self._stub = stub
        self._options = options
        self._instance_id = f'{NAME}-{uuid.uuid4().hex}'
        self._turns = 0
        self._others = 0

    def run(self) -> Outcome:
        request = pb.GetWorkItemsRequest(capabilities=[pb.WORKER_CAPABILITY_STATEFUL_HISTORY])
        stream = self._stub.GetWorkItems(request, **self._options)
        # Not waited for: it returns when the first turn has run.
        start = pb.CreateInstanceRequest(instanceId=self._instance_id, name=NAME)
        started = self._stub.StartInstance.future(start, **self._options)
        deltas, remarks = None, []
        try:
            deltas = next((delta for item in stream if (delta := self._take(item)) is not None), None)
        except grpc.RpcError as error:
            remarks.append(self._how_far(error, started))
        finally:
            stream.cancel()
            started.cancel()
        if self._others:
            remarks.append(f'{self._others} work items of others came, and were left for their workers')
        remarks += self._remove()
        return Outcome(deltas, remarks)

    def _take(self, item: pb.WorkItem) -> bool | None:
        """Answers a turn of the probe's; says whether it came as a delta when it is the one that tells."""
        turn = item.workflowRequest
        if turn.instanceId != self._instance_id:
            self._others += 1
            return None
        self._turns += 1
        is_over = self._turns == _TELLING_TURN
        actions = [helpers.new_complete_workflow_action(1, pb.ORCHESTRATION_STATUS_COMPLETED)] if is_over else []
        answer = pb.WorkflowResponse(
            instanceId=self._instance_id, completionToken=item.completionToken, actions=actions
        )
        # By the name that sidecars of all ages know.
        self._stub.CompleteOrchestratorTask(answer, **self._options)
        if is_over:
            # The answer may be in before it is committed, and without the stream it would not be.
            self._stub.WaitForInstanceCompletion(pb.GetInstanceRequest(instanceId=self._instance_id), **self._options)
            return turn.HasField('cachedHistory')
        self._stub.RaiseEvent(pb.RaiseEventRequest(instanceId=self._instance_id, name='go on'), **self._options)
        return None

    def _how_far(self, error: grpc.RpcError, started: Any) -> str:
        if started.done() and not started.cancelled() and started.exception() is not None:
            error = started.exception()
        return f'the probe got to turn {self._turns} of {_TELLING_TURN} ({describe(error)})'

    def _remove(self) -> list[str]:
        request = pb.PurgeInstancesRequest(instanceId=self._instance_id, force=self._turns < _TELLING_TURN)
        try:
            self._stub.PurgeInstances(request, **self._options)
        except grpc.RpcError as error:
            if self._turns:
                return [f'{self._instance_id} could not be removed ({describe(error)})']
        return []
