"""Whether the sidecar can do what a turn asks it for, where not all sidecars can.

A daprd that is asked for what it cannot do tells nobody: it runs the turn again and again. So a worker that is about to
ask for such a thing looks first at what daprd says of itself, once for each connection. Sidecars that do not say can.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import grpc
from google.protobuf.message import DecodeError

from dapr.ext.workflow._durabletask.failures import UnsupportedBySidecarError
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.transport.connection import Connection, Connections
from dapr.ext.workflow._durabletask.transport.errors import status_of
from dapr.ext.workflow._durabletask.transport.runtime import Runtime, ask_runtime

_CALL_SECONDS: Final = 5.0
# The emulator's part that stands in for daprd has a version of its own, which says so.
_EMULATOR: Final = '+emulator'
_FIRST_WITH_DETACHED: Final = (1, 19)


class SidecarAbilities:
    """Knows what the sidecar at the other end can do.

    Args:
        connections: Where the current connection is found.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def require(self, actions: Sequence[pb.WorkflowAction]) -> None:
        """Looks at what a turn asks for.

        Raises:
            UnsupportedBySidecarError: The sidecar cannot do it.
        """
        for action in actions:
            if action.HasField('createDetachedWorkflow'):
                self._require_detached(action.createDetachedWorkflow.name)
            elif action.HasField('sendEvent'):
                self._require_events(action.sendEvent.name)

    def _require_detached(self, name: str) -> None:
        runtime = self._runtime()
        if runtime is not None and runtime.is_at_least(*_FIRST_WITH_DETACHED) is False:
            raise UnsupportedBySidecarError(
                f"schedule_new_workflow('{name}') of a workflow needs daprd 1.19 or newer, and this one is "
                f'{runtime.version}. Call schedule_new_workflow of a DaprWorkflowClient in an activity instead.'
            )

    def _require_events(self, name: str) -> None:
        runtime = self._runtime()
        # dapr#8243, open as of daprd 1.19.
        if runtime is not None and runtime.is_at_least(0, 1):
            raise UnsupportedBySidecarError(
                f"send_event('{name}') of a workflow is not carried out by daprd (this one is {runtime.version}; see "
                'dapr#8243). Call raise_workflow_event of a DaprWorkflowClient in an activity instead.'
            )

    def _runtime(self) -> Runtime | None:
        """What the daprd that is connected says of itself; None: it is no daprd, or does not say."""
        try:
            with self._connections.acquire(_CALL_SECONDS) as connection:
                return self._runtime_at(connection)
        except Exception:  # there is no connection now: the answer will not go out, and the turn will come again
            return None

    @staticmethod
    def _runtime_at(connection: Connection) -> Runtime | None:
        if connection.runtime is None:
            try:
                runtime = ask_runtime(connection.channel, timeout=_CALL_SECONDS)
                connection.runtime = False if _EMULATOR in runtime.version else runtime
            except DecodeError:
                connection.runtime = False
            except grpc.RpcError as error:
                if status_of(error) is not grpc.StatusCode.UNIMPLEMENTED:
                    return None
                connection.runtime = False
        return connection.runtime or None
