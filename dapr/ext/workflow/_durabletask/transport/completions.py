"""Sending results: the answers to turns and to activities."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import nullcontext
from typing import TypeVar

import grpc

from dapr.ext.workflow._durabletask.internal import helpers
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.tracing import untraced
from dapr.ext.workflow._durabletask.transport.connection import Connection, Connections, NotConnectedError
from dapr.ext.workflow._durabletask.transport.errors import code_of, describe, details_of, status_of
from dapr.ext.workflow._durabletask.transport.settling import Settling
from dapr.ext.workflow._durabletask.transport.sizes import SizeWatch

SEND_TIMEOUT_SECONDS = 30.0
RECONNECT_TIMEOUT_SECONDS = 30.0

_Answer = TypeVar('_Answer', pb.WorkflowResponse, pb.ActivityResponse)


class Completions:
    """Sends each result on the connection that is current when it is ready, with a deadline.

    A result that does not arrive is no error of its workflow: the sidecar dispatches the work item again. So what goes
    wrong is logged, once, and never raised.

    Args:
        connections: Where the current connection is found.
        logger: Where undelivered results are told.
        send_timeout: The deadline of one send, in seconds. Default: 30.
        reconnect_timeout: How long a result waits for a connection while there is none, in seconds. Default: 30.
        on_failure: Called when an answer did not arrive: with its kind and the reason, see
            `WorkerListener.answer_failed`. Default: no one is told.
        sizes: Is told when the sidecar refuses a message for its size. Default: no one is told.
        settling: Is told of each result of an activity that has arrived. Default: no one is told.
    """

    def __init__(
        self,
        connections: Connections,
        logger: logging.Logger,
        *,
        send_timeout: float = SEND_TIMEOUT_SECONDS,
        reconnect_timeout: float = RECONNECT_TIMEOUT_SECONDS,
        on_failure: Callable[[str, str], None] | None = None,
        sizes: SizeWatch | None = None,
        settling: Settling | None = None,
    ) -> None:
        self._connections = connections
        self._logger = logger
        self._send_timeout = send_timeout
        self._reconnect_timeout = reconnect_timeout
        self._on_failure = on_failure
        self._sizes = sizes
        self._settling = settling

    def complete_turn(self, response: pb.WorkflowResponse) -> bool:
        """Answers a turn.

        A sidecar that takes no message of this size is sent a failure of the workflow instead: it would dispatch the
        same turn again and again, to the same end.

        Returns:
            Whether this very answer arrived.
        """
        with untraced():
            return self._send(response, self._send_turn, _turn_too_large)

    def complete_activity(self, response: pb.ActivityResponse) -> bool:
        """Answers an activity; one whose result is too large for the sidecar fails instead.

        Returns:
            Whether this very answer arrived.
        """
        return self._send(response, self._send_activity, _activity_too_large)

    def _send(
        self,
        answer: _Answer,
        send: Callable[[Connection, _Answer], None],
        too_large: Callable[[_Answer, str], _Answer],
    ) -> bool:
        try:
            try:
                self._send_once(send, answer)
                return True
            except grpc.RpcError as error:
                if status_of(error) is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                    raise
                self._logger.warning(
                    'The result of the %s (%d bytes) is refused by the sidecar and replaced by a failure: %s',
                    _name(answer),
                    answer.ByteSize(),
                    describe(error),
                )
                self._tell(answer, 'too_large')
                if self._sizes is not None:
                    self._sizes.refused(details_of(error))
                self._send_once(send, too_large(answer, describe(error)))
        except Exception as error:
            self._tell(answer, 'not_connected' if isinstance(error, NotConnectedError) else code_of(error))
            self._logger.warning(
                'The result of the %s could not be delivered: %s. The sidecar will dispatch its work item again.',
                _name(answer),
                describe(error),
            )
        return False

    def _tell(self, answer: pb.WorkflowResponse | pb.ActivityResponse, reason: str) -> None:
        if self._on_failure is not None:
            self._on_failure('activity' if isinstance(answer, pb.ActivityResponse) else 'turn', reason)

    def _send_once(self, send: Callable[[Connection, _Answer], None], answer: _Answer) -> None:
        with self._connections.acquire(self._reconnect_timeout) as connection:
            send(connection, answer)

    def _send_turn(self, connection: Connection, response: pb.WorkflowResponse) -> None:
        if connection.knows_workflow_task:
            try:
                connection.stub.CompleteWorkflowTask(response, timeout=self._send_timeout)
                return
            except grpc.RpcError as error:
                if status_of(error) is not grpc.StatusCode.UNIMPLEMENTED:
                    raise
                connection.knows_workflow_task = False
        connection.stub.CompleteOrchestratorTask(response, timeout=self._send_timeout)

    def _send_activity(self, connection: Connection, response: pb.ActivityResponse) -> None:
        with nullcontext() if self._settling is None else self._settling.sending(response.instanceId):
            connection.stub.CompleteActivityTask(response, timeout=self._send_timeout)


def _name(answer: pb.WorkflowResponse | pb.ActivityResponse) -> str:
    """What an answer is of, for the log."""
    if isinstance(answer, pb.ActivityResponse):
        return f"activity {answer.taskId} of '{answer.instanceId}'"
    return f"turn of '{answer.instanceId}'"


def _turn_too_large(response: pb.WorkflowResponse, reason: str) -> pb.WorkflowResponse:
    # What the engine does when a workflow fails: its pending actions are dropped and the completion takes the next id,
    # or keeps its own. The custom status stays as the sidecar has it: it may be what was too large.
    completion = next((a.id for a in response.actions if a.HasField('completeWorkflow')), None)
    action_id = max((a.id for a in response.actions), default=0) + 1 if completion is None else completion
    action = helpers.new_complete_workflow_action(
        action_id,
        pb.ORCHESTRATION_STATUS_FAILED,
        failure_details=_too_large(
            f'Orchestrator response exceeds gRPC max message size: {reason}. The turn of workflow '
            f"'{response.instanceId}' took {response.ByteSize()} bytes, which the sidecar refuses. "
            'Keep inputs, results and custom status small: pass references to large data, or raise the '
            "sidecar's message limit."
        ),
    )
    replacement = pb.WorkflowResponse(
        instanceId=response.instanceId, actions=[action], completionToken=response.completionToken
    )
    if response.HasField('version'):
        replacement.version.CopyFrom(response.version)
    return replacement


def _activity_too_large(response: pb.ActivityResponse, reason: str) -> pb.ActivityResponse:
    return pb.ActivityResponse(
        instanceId=response.instanceId,
        taskId=response.taskId,
        completionToken=response.completionToken,
        failureDetails=_too_large(
            f'Activity result exceeds gRPC max message size: {reason}. The result of activity {response.taskId} of '
            f"workflow '{response.instanceId}' took {response.ByteSize()} bytes, which the sidecar refuses. "
            "Return a reference to large data, or raise the sidecar's "
            'message limit.'
        ),
    )


def _too_large(message: str) -> pb.TaskFailureDetails:
    # Trying again gives the same result, of the same size.
    return pb.TaskFailureDetails(errorType='ResultTooLargeError', errorMessage=message, isNonRetriable=True)
