"""The connection to the sidecar: which one is current, and how many calls are in flight on each.

A call that is started on a closed channel with interceptors can crash the process: the interceptor asks the channel for
the method anew, which by then points into freed memory. So no one but `Connections` closes a channel, and it does so
only when no call is in flight on it and none can be started on it any more.
"""

from __future__ import annotations

import logging
import threading
import time
from types import TracebackType
from typing import Literal

import grpc

from dapr.ext.workflow._durabletask.internal import orchestrator_service_pb2_grpc as stubs
from dapr.ext.workflow._durabletask.transport.runtime import Runtime


class NotConnectedError(Exception):
    """There is no connection to the sidecar, and none came in the time given."""


class Connection:
    """One channel and its stub. `Connections` makes it, and owns its state.

    Attributes:
        channel: The channel.
        stub: The service on it.
        knows_workflow_task: Whether the sidecar has `CompleteWorkflowTask`; older ones have `CompleteOrchestratorTask`
            alone. True until an answer shows otherwise, and only ever set to False, by whoever got that answer.
        runtime: What daprd says of itself; False: the sidecar is no daprd. None until `SidecarAbilities` has asked.
    """

    __slots__ = ('_calls', '_closing', '_retired', 'channel', 'knows_workflow_task', 'runtime', 'stub')

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel
        self.stub = stubs.TaskHubSidecarServiceStub(channel)
        self.knows_workflow_task = True
        self.runtime: Runtime | Literal[False] | None = None
        self._calls = 0
        self._retired = False
        self._closing = False


class Hold:
    """One call in flight: while it is held, the connection is not closed.

    Use it as a context manager, which gives the connection; or call `release`, as often as you like.
    """

    __slots__ = ('_connections', '_held', 'connection')

    def __init__(self, connections: Connections, connection: Connection) -> None:
        self.connection = connection
        self._connections = connections
        self._held = True

    def release(self) -> None:
        """Says that the call is over."""
        if self._held:
            self._held = False
            self._connections._leave(self.connection)

    def __enter__(self) -> Connection:
        return self.connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Connections:
    """All connections of a worker that are not closed yet; at most one of them is current.

    The life of a connection: `add` takes charge of a channel; `publish` makes it the current one, which `acquire` hands
    out; `retire` takes it out of use; and when its last call is over, its channel is closed.

    Args:
        logger: Where a channel that can't be closed is told.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        # Each result takes the lock twice; the condition on it is for those who wait.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._open: set[Connection] = set()
        self._current: Connection | None = None
        self._draining = False
        self._closed = False

    def add(self, channel: grpc.Channel) -> Connection:
        """Takes charge of a channel, which is not current yet. After `close` it is closed at once."""
        connection = Connection(channel)
        with self._changed:
            self._open.add(connection)
            closed = self._closed
        if closed:
            self.retire(connection)
        return connection

    def publish(self, connection: Connection) -> None:
        """Makes a connection the current one and wakes those who wait for one. Does nothing once it is retired."""
        with self._changed:
            if not connection._retired:
                self._current = connection
                self._changed.notify_all()

    def retire(self, connection: Connection) -> None:
        """Takes a connection out of use. Its channel is closed now, or when its last call in flight is over."""
        with self._changed:
            connection._retired = True
            if self._current is connection:
                self._current = None
                self._changed.notify_all()
            close = self._may_close(connection)
        if close:
            self._close(connection)

    def hold(self, connection: Connection) -> Hold:
        """Counts a call on this very connection.

        Raises:
            NotConnectedError: It is retired.
        """
        with self._lock:
            if connection._retired:
                raise NotConnectedError('the connection was given up')
            connection._calls += 1
        return Hold(self, connection)

    def acquire(self, timeout: float) -> Hold:
        """Counts a call on the current connection; waits for one where there is none.

        Args:
            timeout: How long to wait at most, in seconds.

        Raises:
            NotConnectedError: None came in that time, or none will come since the worker is stopping.
        """
        with self._lock:
            connection = self._current
            if connection is None:
                connection = self._wait_for_current(timeout)
            connection._calls += 1
        return Hold(self, connection)

    def drain(self) -> None:
        """Says that no further connection will be published: `acquire` stops waiting for one."""
        with self._changed:
            self._draining = True
            self._changed.notify_all()

    def close(self, timeout: float) -> bool:
        """Retires all connections and waits until their channels are closed.

        Args:
            timeout: How long to wait for the calls in flight, in seconds. What is not over by then closes its channel
                when it is.

        Returns:
            Whether all channels are closed.
        """
        self.drain()
        with self._changed:
            self._closed = True
            remaining = list(self._open)
        for connection in remaining:
            self.retire(connection)
        with self._changed:
            return self._changed.wait_for(lambda: not self._open, timeout)

    def _wait_for_current(self, timeout: float) -> Connection:
        deadline = time.monotonic() + timeout
        while self._current is None:
            if self._draining:
                raise NotConnectedError('the worker is stopping and its connection is gone')
            if not self._changed.wait(deadline - time.monotonic()) and self._current is None:
                raise NotConnectedError(f'no connection to the sidecar came back within {timeout:g} s')
        return self._current

    def _leave(self, connection: Connection) -> None:
        with self._lock:
            connection._calls -= 1
            close = self._may_close(connection)
        if close:
            self._close(connection)

    def _may_close(self, connection: Connection) -> bool:
        """Whether the caller has to close the channel now; says so once. The lock is held."""
        if connection._calls or not connection._retired or connection._closing:
            return False
        connection._closing = True
        return True

    def _close(self, connection: Connection) -> None:
        try:
            connection.channel.close()
        except Exception:
            # A channel of someone else's making; the worker goes on without it.
            self._logger.warning('The channel of a connection that is over could not be closed.', exc_info=True)
        with self._changed:
            self._open.discard(connection)
            self._changed.notify_all()
