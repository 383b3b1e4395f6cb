"""A worker for a moment, with one workflow of a name of its own: does its third turn come as a delta?"""

from __future__ import annotations

import queue
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import grpc

from dapr.ext.workflow._durabletask.internal import helpers
from dapr.ext.workflow._durabletask.internal import orchestrator_service_pb2_grpc as stubs
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.transport.errors import describe, details_of

Metadata: TypeAlias = tuple[tuple[str, str], ...]

NAME: Final = 'dapr-doctor-probe'
# The first two turns are whole on every sidecar: there is nothing yet that could be left out.
_TELLING_TURN: Final = 3
_REMOVING_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = 0.1
# What daprd answers until the actors of workflows are placed. The call has had no effect then.
_NOT_YET_SERVED: Final = ('not registered', 'did not find address')


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
    return _Probe(stub, metadata, timeout).run()


class _Probe:
    """One thread reads the stream, another starts the workflow; both report to the one that runs the probe."""

    def __init__(self, stub: stubs.TaskHubSidecarServiceStub, metadata: Metadata, timeout: float) -> None:
        self._stub = stub
        self._options: dict[str, Any] = {'metadata': metadata, 'timeout': timeout}
        self._seconds = timeout
        self._instance_id = f'{NAME}-{uuid.uuid4().hex}'
        self._turns = 0
        self._others = 0
        self._reports: queue.SimpleQueue[pb.WorkItem | grpc.RpcError] = queue.SimpleQueue()
        self._is_over = threading.Event()

    def run(self) -> Outcome:
        request = pb.GetWorkItemsRequest(capabilities=[pb.WORKER_CAPABILITY_STATEFUL_HISTORY])
        # It outlives the probe's time: daprd removes an instance only while a worker is connected.
        self._options['timeout'] = self._seconds + _REMOVING_SECONDS
        stream = self._stub.GetWorkItems(request, **self._options)
        reading = threading.Thread(target=self._read, args=(stream,), name='dapr-doctor-read', daemon=True)
        starting = threading.Thread(target=self._start, name='dapr-doctor-start', daemon=True)
        deltas, remarks = None, []
        try:
            reading.start()
            starting.start()
            deltas = self._deltas()
        except grpc.RpcError as error:
            remarks.append(f'{self._how_far()} ({describe(error)})')
        except queue.Empty:
            remarks.append(f'{self._how_far()} in {self._seconds:g} s')
        finally:
            self._is_over.set()
            if self._others:
                remarks.append(f'{self._others} work items of others came, and were left for their workers')
            remarks += self._remove()
            stream.cancel()
            reading.join()
            starting.join()
        return Outcome(deltas, remarks)

    def _read(self, stream: Any) -> None:
        try:
            for item in stream:
                self._reports.put(item)
        except grpc.RpcError as error:
            self._reports.put(error)

    def _start(self) -> None:
        start = pb.CreateInstanceRequest(instanceId=self._instance_id, name=NAME)
        try:
            # It returns when the first turn has run.
            self._when_served(self._stub.StartInstance, start)
        except grpc.RpcError as error:
            self._reports.put(error)

    def _deltas(self) -> bool:
        """Whether the turn that tells came as a delta."""
        deadline = time.monotonic() + self._seconds
        while True:
            report = self._reports.get(timeout=max(0.0, deadline - time.monotonic()))
            if isinstance(report, grpc.RpcError):
                raise report
            deltas = self._take(report)
            if deltas is not None:
                return deltas

    def _take(self, item: pb.WorkItem) -> bool | None:
        """Answers a turn of the probe's; says whether it came as a delta when it is the one that tells."""
        turn = item.workflowRequest
        if turn.instanceId != self._instance_id:
            self._others += 1
            return None
        self._turns += 1
        is_last = self._turns == _TELLING_TURN
        actions = [helpers.new_complete_workflow_action(1, pb.ORCHESTRATION_STATUS_COMPLETED)] if is_last else []
        answer = pb.WorkflowResponse(
            instanceId=self._instance_id, completionToken=item.completionToken, actions=actions
        )
        # By the name that sidecars of all ages know.
        self._stub.CompleteOrchestratorTask(answer, **self._options)
        if is_last:
            # The answer may be in before it is committed, and without the stream it would not be.
            self._stub.WaitForInstanceCompletion(pb.GetInstanceRequest(instanceId=self._instance_id), **self._options)
            return turn.HasField('cachedHistory')
        self._when_served(self._stub.RaiseEvent, pb.RaiseEventRequest(instanceId=self._instance_id, name='go on'))
        return None

    def _when_served(self, call: Callable[..., Any], request: Any) -> None:
        """Makes a call, and again while daprd does not serve yet: it places its actors when a worker comes."""
        while True:
            try:
                call(request, **self._options)
                return
            except grpc.RpcError as error:
                if not any(words in details_of(error) for words in _NOT_YET_SERVED):
                    raise
                if self._is_over.wait(_PAUSE_SECONDS):
                    return

    def _how_far(self) -> str:
        return f'the probe got to turn {self._turns} of {_TELLING_TURN}'

    def _remove(self) -> list[str]:
        request = pb.PurgeInstancesRequest(instanceId=self._instance_id, force=self._turns < _TELLING_TURN)
        try:
            self._stub.PurgeInstances(request, **{**self._options, 'timeout': _REMOVING_SECONDS})
        except grpc.RpcError as error:
            if self._turns:
                return [f'{self._instance_id} could not be removed ({describe(error)})']
        return []
