"""What a worker logs of a sidecar that it cannot be served by, where the cause is known."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator

import grpc
import pytest

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.transport.connection import Connections
from dapr.ext.workflow._durabletask.transport.stream import WorkItemStream
from tests.support.fake_sidecar import DEADLINE_SECONDS, FakeSidecar
from tests.support.interceptors import open_plain

LOGGER = logging.getLogger('tests.worker')


@pytest.fixture
def warning_of(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[str], str]]:
    """Makes a stream for an address, and gives what it logs when its first attempt has failed."""
    finish: list[Callable[[], None]] = []

    def run(address: str) -> str:
        paused, go_on = threading.Event(), threading.Event()
        connections = Connections(LOGGER)

        def pause(seconds: float) -> None:
            paused.set()
            assert go_on.wait(DEADLINE_SECONDS)

        stream = WorkItemStream(
            lambda: open_plain(address),
            connections,
            pb.GetWorkItemsRequest(),
            lambda item: None,
            LOGGER,
            keepalive_interval=0,
            address=address,
            pause=pause,
        )

        def stop() -> None:
            stream.stop()
            go_on.set()
            assert connections.close(DEADLINE_SECONDS)
            for thread in stream.threads:
                thread.join(DEADLINE_SECONDS)

        finish.append(stop)
        with caplog.at_level(logging.WARNING, LOGGER.name):
            stream.start()
            assert paused.wait(DEADLINE_SECONDS)
        return caplog.records[-1].getMessage()

    yield run
    for stop in finish:
        stop()


def test_a_refused_connection_names_the_address_and_what_sets_it(warning_of: Callable[[str], str]) -> None:
    with socket.socket() as bound:
        bound.bind(('127.0.0.1', 0))
        address = f'127.0.0.1:{bound.getsockname()[1]}'

        warning = warning_of(address)

    assert f"No connection to the sidecar at '{address}'" in warning
    assert 'DAPR_GRPC_ENDPOINT' in warning


def test_a_wrong_token_says_what_to_set(warning_of: Callable[[str], str]) -> None:
    with FakeSidecar() as sidecar:
        sidecar.refuse_streams = grpc.StatusCode.UNAUTHENTICATED

        warning = warning_of(sidecar.address)

    assert f"The sidecar at '{sidecar.address}' does not accept the API token" in warning
    assert 'DAPR_API_TOKEN' in warning


def test_what_the_sidecar_says_of_itself_is_told_as_it_is(warning_of: Callable[[str], str]) -> None:
    with FakeSidecar() as sidecar:
        sidecar.refuse_streams = grpc.StatusCode.UNAVAILABLE

        warning = warning_of(sidecar.address)

    assert warning.startswith('No work items from the sidecar: UNAVAILABLE: the fake sidecar takes no workers.')
