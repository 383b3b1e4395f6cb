"""A worker asks no sidecar for what it cannot do: a daprd would run the turn again and again, and tell nobody."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pytest

from dapr.ext.workflow._durabletask.failures import UnsupportedBySidecarError
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.transport.abilities import SidecarAbilities
from dapr.ext.workflow._durabletask.transport.connection import Connections
from tests.support.backend import detached, schedule, send_event

LOGGER = logging.getLogger('tests.abilities')


@contextmanager
def _abilities_at(version: str | None) -> Iterator[tuple[SidecarAbilities, list[str]]]:
    """A sidecar of that version; None: one that is no daprd. Also gives the calls that it got."""
    calls: list[str] = []

    class Sidecar(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
            calls.append(details.method)
            if version is None:
                return None
            answer = b'\x0a\x03app' + bytes([0x42, len(version)]) + version.encode()
            return grpc.unary_unary_rpc_method_handler(lambda request, context: answer)

    server = grpc.server(ThreadPoolExecutor(1), handlers=[Sidecar()])
    port = server.add_insecure_port('127.0.0.1:0')
    server.start()
    connections = Connections(LOGGER)
    connections.publish(connections.add(grpc.insecure_channel(f'127.0.0.1:{port}')))
    try:
        yield SidecarAbilities(connections), calls
    finally:
        connections.close(5)
        server.stop(None).wait(5)


def test_a_daprd_that_has_no_detached_workflows_is_told_apart() -> None:
    with _abilities_at('1.18.1') as (abilities, calls):
        for _ in range(2):
            with pytest.raises(UnsupportedBySidecarError, match=r"'loner'.* needs daprd 1.19 .* is 1.18.1"):
                abilities.require([schedule(1), detached(2, 'x')])
        abilities.require([schedule(1)])
    assert calls == ['/dapr.proto.runtime.v1.Dapr/GetMetadata']  # once for the connection


@pytest.mark.parametrize('version', ['1.19.0', 'v1.20.3-rc.1', 'edge', '0.0.0+emulator.0.1.0', None])
def test_others_are_asked(version: str | None) -> None:
    with _abilities_at(version) as (abilities, calls):
        abilities.require([detached(1, 'x')])
        abilities.require([detached(2, 'y')])
    assert len(calls) == 1


def test_no_daprd_delivers_events_that_workflows_send() -> None:
    with (
        _abilities_at('1.19.0') as (abilities, _),
        pytest.raises(UnsupportedBySidecarError, match=r"\('go'\).*1\.19\.0.*raise_workflow_event"),
    ):
        abilities.require([send_event(1, 'x', 'go')])
    for other in (None, '0.0.0+emulator.0.1.0'):
        with _abilities_at(other) as (abilities, _):
            abilities.require([send_event(1, 'x', 'go')])


def test_without_a_connection_nothing_is_refused() -> None:
    connections = Connections(LOGGER)
    connections.drain()
    SidecarAbilities(connections).require([pb.WorkflowAction(id=1, sendEvent=pb.SendEventAction(name='go'))])
