"""A sidecar that answers as it is told and remembers what it was asked, and clients of both kinds for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import empty_pb2

from dapr.ext.workflow._durabletask.aio.client import AsyncTaskHubGrpcClient
from dapr.ext.workflow._durabletask.client import TaskHubGrpcClient
from dapr.ext.workflow._durabletask.internal import orchestrator_service_pb2_grpc as stubs
from dapr.ext.workflow._durabletask.internal import protos as pb

ANSWERS: dict[str, Any] = {
    'StartInstance': pb.CreateInstanceResponse(instanceId='from-sidecar'),
    'GetInstance': pb.GetInstanceResponse(exists=False),
    'WaitForInstanceStart': pb.GetInstanceResponse(exists=False),
    'WaitForInstanceCompletion': pb.GetInstanceResponse(exists=False),
    'RaiseEvent': pb.RaiseEventResponse(),
    'TerminateInstance': pb.TerminateResponse(),
    'SuspendInstance': pb.SuspendResponse(),
    'ResumeInstance': pb.ResumeResponse(),
    'PurgeInstances': pb.PurgeInstancesResponse(deletedInstanceCount=3),
    'RerunWorkflowFromEvent': pb.RerunWorkflowFromEventResponse(newInstanceID='rerun-id'),
    'ListInstanceIDs': pb.ListInstanceIDsResponse(),
    'GetInstanceHistory': pb.GetInstanceHistoryResponse(),
    'Hello': empty_pb2.Empty(),
}


@dataclass
class Received:
    """A call that the sidecar got."""

    method: str
    request: Any
    metadata: list[tuple[str, str | bytes]]
    time_remaining: float


@dataclass
class ScriptedSidecar:
    """The far end of the clients under test."""

    address: str = ''
    received: list[Received] = field(default_factory=list)
    arrived: threading.Event = field(default_factory=threading.Event)
    _scripts: dict[str, list[Any]] = field(default_factory=dict)

    def script(self, method: str, *steps: Any) -> None:
        """What it answers to that method: a message, a (status, details) error, or a function of request and context.

        The last step stays for all further calls.
        """
        self._scripts[method] = list(steps)

    @property
    def last(self) -> Received:
        return self.received[-1]

    def handle(self, method: str, request: Any, context: grpc.ServicerContext) -> Any:
        metadata = [(key, value) for key, value in context.invocation_metadata() if key != 'user-agent']
        self.received.append(Received(method, request, metadata, context.time_remaining() or 0.0))
        self.arrived.set()
        steps = self._scripts.get(method, [ANSWERS[method]])
        step = steps.pop(0) if len(steps) > 1 else steps[0]
        if isinstance(step, tuple):
            context.abort(*step)
        return step(request, context) if callable(step) else step


def serve(sidecar: ScriptedSidecar, port: int = 0) -> grpc.Server:
    """Starts to serve on a loopback port, a free one by default."""

    class Servicer(stubs.TaskHubSidecarServiceServicer):
        pass

    def handler(method: str) -> Callable[..., Any]:
        return lambda self, request, context: sidecar.handle(method, request, context)

    for method in ANSWERS:
        setattr(Servicer, method, handler(method))
    server = grpc.server(ThreadPoolExecutor(8), options=[('grpc.so_reuseport', 0)])
    stubs.add_TaskHubSidecarServiceServicer_to_server(Servicer(), server)
    sidecar.address = f'127.0.0.1:{server.add_insecure_port(f"127.0.0.1:{port}")}'
    server.start()
    return server


@contextmanager
def running() -> Iterator[ScriptedSidecar]:
    """A sidecar that is served while the context lasts."""
    sidecar = ScriptedSidecar()
    server = serve(sidecar)
    try:
        yield sidecar
    finally:
        server.stop(None).wait(10)


class Twin:
    """One face for both clients: each method of the asyncio one is run to its end."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.loop = asyncio.new_event_loop() if kind == 'aio' else None
        self._clients: list[Any] = []

    def new(self, **arguments: Any) -> Any:
        client: Any = TaskHubGrpcClient(**arguments) if self.loop is None else AsyncTaskHubGrpcClient(**arguments)
        self._clients.append(client)
        return client if self.loop is None else _Blocking(client, self.loop)

    def finish(self) -> None:
        for client in self._clients:
            if self.loop is None:
                client.close()
            else:
                self.loop.run_until_complete(client.aclose())
        if self.loop is not None:
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()


class _Blocking:
    def __init__(self, client: AsyncTaskHubGrpcClient, loop: asyncio.AbstractEventLoop) -> None:
        self._client = client
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, 'aclose' if name == 'close' else name)
        return lambda *args, **kwargs: self._loop.run_until_complete(method(*args, **kwargs))
