"""The current connection, and the calls in flight on each."""

from __future__ import annotations

import logging
import threading
from typing import Any

import grpc
import pytest

from dapr.ext.workflow._durabletask.transport.connection import Connection, Connections, NotConnectedError
from tests.support.fake_sidecar import DEADLINE_SECONDS

LOGGER = logging.getLogger('tests.worker')


class Channel:
    """A channel that only knows whether it was closed, and by how many."""

    def __init__(self, error: Exception | None = None) -> None:
        self.closed = 0
        self._error = error

    def unary_unary(self, *_: Any, **__: Any) -> None: ...

    unary_stream = unary_unary

    def close(self) -> None:
        self.closed += 1
        if self._error is not None:
            raise self._error


def _channel(connection: Connection) -> Any:
    return connection.channel


@pytest.fixture
def connections() -> Connections:
    return Connections(LOGGER)


def _add(connections: Connections, *, publish: bool = True, error: Exception | None = None) -> Connection:
    channel: Any = Channel(error)
    connection = connections.add(channel)
    if publish:
        connections.publish(connection)
    return connection


def test_a_result_goes_out_on_the_connection_that_is_current_then(connections: Connections) -> None:
    first = _add(connections)
    with connections.acquire(0) as connection:
        assert connection is first
    connections.retire(first)
    second = _add(connections)
    with connections.acquire(0) as connection:
        assert connection is second


def test_a_channel_is_closed_when_its_last_call_is_over_and_once(connections: Connections) -> None:
    connection = _add(connections)
    calls = [connections.acquire(0), connections.acquire(0), connections.hold(connection)]
    connections.retire(connection)
    for call in calls:
        assert _channel(connection).closed == 0
        call.release()
    connections.retire(connection)
    assert _channel(connection).closed == 1


def test_a_call_that_is_released_twice_counts_once(connections: Connections) -> None:
    connection = _add(connections)
    first, second = connections.acquire(0), connections.acquire(0)
    connections.retire(connection)
    first.release()
    first.release()
    assert _channel(connection).closed == 0
    second.release()
    assert _channel(connection).closed == 1


def test_a_channel_without_calls_is_closed_as_it_is_retired(connections: Connections) -> None:
    connection = _add(connections)
    connections.retire(connection)
    assert _channel(connection).closed == 1


def test_no_call_can_be_started_on_a_retired_connection(connections: Connections) -> None:
    connection = _add(connections)
    call = connections.hold(connection)
    connections.retire(connection)
    with pytest.raises(NotConnectedError):
        connections.hold(connection)
    connections.publish(connection)
    with pytest.raises(NotConnectedError):
        connections.acquire(0)
    call.release()


def test_retiring_an_older_connection_leaves_the_current_one(connections: Connections) -> None:
    first, second = _add(connections), _add(connections)
    connections.retire(first)
    with connections.acquire(0) as connection:
        assert connection is second


def test_a_result_waits_for_the_next_connection(connections: Connections) -> None:
    got: list[Connection] = []

    def send() -> None:
        with connections.acquire(DEADLINE_SECONDS) as connection:
            got.append(connection)

    thread = threading.Thread(target=send)
    thread.start()
    connection = _add(connections)
    thread.join(DEADLINE_SECONDS)
    assert got == [connection]


def test_the_wait_for_a_connection_has_a_deadline(connections: Connections) -> None:
    with pytest.raises(NotConnectedError, match=r'within 0\.01 s'):
        connections.acquire(0.01)


def test_draining_ends_the_wait_but_not_the_use_of_the_current_connection(connections: Connections) -> None:
    raised = threading.Event()

    def send() -> None:
        try:
            connections.acquire(DEADLINE_SECONDS)
        except NotConnectedError:
            raised.set()

    thread = threading.Thread(target=send)
    thread.start()
    connections.drain()
    assert raised.wait(DEADLINE_SECONDS)
    thread.join()

    others = Connections(LOGGER)
    connection = _add(others)
    others.drain()
    with others.acquire(0) as current:
        assert current is connection


def test_closing_waits_for_calls_in_flight_no_longer_than_it_may(connections: Connections) -> None:
    idle, busy = _add(connections), _add(connections)
    call = connections.hold(busy)
    assert not connections.close(0.01)
    assert (_channel(idle).closed, _channel(busy).closed) == (1, 0)
    call.release()
    assert _channel(busy).closed == 1
    assert connections.close(0)


def test_a_channel_that_is_added_after_closing_is_closed_at_once(connections: Connections) -> None:
    connections.close(0)
    connection = _add(connections)
    assert _channel(connection).closed == 1
    with pytest.raises(NotConnectedError):
        connections.hold(connection)


def test_a_channel_that_fails_to_close_is_told_and_forgotten(
    connections: Connections, caplog: pytest.LogCaptureFixture
) -> None:
    _add(connections, error=grpc.RpcError('no'))
    assert connections.close(0)
    assert 'could not be closed' in caplog.text
