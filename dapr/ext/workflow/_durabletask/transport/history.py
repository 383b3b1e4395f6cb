"""Fetching committed histories from the sidecar."""

from __future__ import annotations

from collections.abc import Sequence

import grpc

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.tracing import untraced
from dapr.ext.workflow._durabletask.transport.connection import Connections
from dapr.ext.workflow._durabletask.transport.errors import describe

FETCH_TIMEOUT_SECONDS = 10.0


class HistoryFetch:
    """Asks for committed histories, on the connection that is current.

    Args:
        connections: Where the current connection is found.
        timeout: The deadline of a call, and how long it waits for a connection while there is none, in seconds.
            Default: 10.
    """

    def __init__(self, connections: Connections, *, timeout: float = FETCH_TIMEOUT_SECONDS) -> None:
        self._connections = connections
        self._timeout = timeout

    def __call__(self, instance_id: str) -> Sequence[pb.HistoryEvent]:
        """The committed history of an instance (`GetInstanceHistory`).

        Raises:
            ConnectionError: The sidecar did not give it.
            NotConnectedError: There is no connection.
        """
        with untraced(), self._connections.acquire(self._timeout) as connection:
            request = pb.GetInstanceHistoryRequest(instanceId=instance_id)
            try:
                response = connection.stub.GetInstanceHistory(request, timeout=self._timeout)
            except grpc.RpcError as error:
                raise ConnectionError(describe(error)) from error
            events: Sequence[pb.HistoryEvent] = response.events
            return events
