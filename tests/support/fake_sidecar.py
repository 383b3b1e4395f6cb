"""A sidecar in this process that does what a test tells it, and notes what the worker does."""

from __future__ import annotations

import random
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, cast

import grpc
from google.protobuf.empty_pb2 import Empty

from dapr.ext.workflow._durabletask.internal import orchestrator_service_pb2_grpc as stubs
from dapr.ext.workflow._durabletask.internal import protos as pb

DEADLINE_SECONDS = 20.0
# Below the range that systems take client ports from, see tools.go_sidecar.
_PORTS = range(20_000, 32_000)
_SERVER_THREADS = 64


@dataclass(frozen=True)
class Answer:
    """A completion as it came.

    Attributes:
        method: The name of the call.
        message: What it carried: a WorkflowResponse or an ActivityResponse.
        peer: The client's end of the connection that it came by.
    """

    method: str
    message: Any
    peer: str


class _SendsBytesToo:
    """A server whose GetWorkItems may be given bytes, so that a test can send what is no work item."""

    def __init__(self, server: grpc.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        self._server.add_generic_rpc_handlers(handlers)

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        streams = handlers['GetWorkItems']
        handlers['GetWorkItems'] = grpc.unary_stream_rpc_method_handler(
            streams.unary_stream,
            streams.request_deserializer,
            lambda item: item if isinstance(item, bytes) else streams.response_serializer(item),
        )
        self._server.add_registered_method_handlers(service, handlers)


class FakeSidecar(stubs.TaskHubSidecarServiceServicer):
    """Sends the work items that are pushed, keeps the answers, and fails where it is told to.

    Every attribute may be set at any time, and holds from the next call on. All that is noted can be waited for with
    `wait_for`. As a context manager it is started and stopped; `start` and `stop` in between let it vanish and come
    back at the same address.

    Args:
        max_receive: The largest message that it takes, in bytes; -1 (default): any.

    Attributes:
        calls: How often each method was called.
        answers: The completions that were accepted, in order.
        stream_peers: The client's end of the connection of each stream that was opened, in order.
        metadata: What came with the last call of each method.
        refuse_streams: The status that GetWorkItems is refused with; None: it is accepted.
        hold_hello: Whether Hello is left without an answer.
        hold_answers: Whether completions are left without an answer.
        fail_answers: The statuses of the next completions, taken from the left; None: that one is accepted.
        is_old: Whether it lacks CompleteWorkflowTask.
        histories: What GetInstanceHistory gives, by instance.
        fail_histories: The status that GetInstanceHistory fails with; None: it does not.
        gather_histories: GetInstanceHistory answers when it was called so often in all.
    """

    def __init__(self, max_receive: int = -1) -> None:
        self.calls: Counter[str] = Counter()
        self.answers: list[Answer] = []
        self.stream_peers: list[str] = []
        self.metadata: dict[str, dict[str, str | bytes]] = {}
        self.capabilities: list[int] = []
        self.refuse_streams: grpc.StatusCode | None = None
        self.hold_hello = False
        self.hold_answers = False
        self.fail_answers: deque[grpc.StatusCode | None] = deque()
        self.is_old = False
        self.histories: dict[str, list[pb.HistoryEvent]] = {}
        self.fail_histories: grpc.StatusCode | None = None
        self.gather_histories = 0
        self._max_receive = max_receive
        self._changed = threading.Condition()
        self._items: deque[pb.WorkItem | bytes] = deque()
        self._open_streams = 0
        self._generation = 0
        self._server: grpc.Server | None = None
        self._port = 0

    # -- for the test --------------------------------------------------------------------------------------------------

    @property
    def address(self) -> str:
        """Where it listens, as host:port."""
        return f'127.0.0.1:{self._port}'

    def start(self) -> None:
        """Listens, at the same address each time."""
        # The pool's threads are joined with the server; its own method of serving a stream takes one for each.
        server = grpc.server(
            ThreadPoolExecutor(_SERVER_THREADS, thread_name_prefix='fake-sidecar'),
            options=[('grpc.max_receive_message_length', self._max_receive), ('grpc.max_send_message_length', -1)],
        )
        stubs.add_TaskHubSidecarServiceServicer_to_server(self, cast('grpc.Server', _SendsBytesToo(server)))
        ports = [self._port] if self._port else random.Random().sample(_PORTS, 20)
        for port in ports:
            try:
                self._port = server.add_insecure_port(f'127.0.0.1:{port}')
                break
            except RuntimeError:
                continue
        else:
            raise RuntimeError(f'no port is free among {ports}')
        server.start()
        self._server = server

    def stop(self) -> None:
        """Vanishes: every call ends at once."""
        if self._server is not None:
            self.drop_streams()
            self._server.stop(None).wait()
            self._server = None

    def push(self, *items: pb.WorkItem | bytes) -> None:
        """Has work items, or bytes in their place, sent by whichever stream takes them first."""
        with self._changed:
            self._items.extend(items)
            self._changed.notify_all()

    def drop_streams(self) -> None:
        """Ends the streams that are open, as a sidecar does that shuts down; later ones are served."""
        with self._changed:
            self._generation += 1
            self._changed.notify_all()

    @property
    def open_streams(self) -> int:
        """How many streams are open now."""
        return self._open_streams

    def wait_for(self, what: Callable[[], object], timeout: float = DEADLINE_SECONDS) -> None:
        """Waits until something noted here is so.

        Raises:
            AssertionError: It is not so in time.
        """
        with self._changed:
            assert self._changed.wait_for(what, timeout), (
                f'not so within {timeout} s; calls: {dict(self.calls)}, answers: {len(self.answers)}, '
                f'open streams: {self._open_streams}'
            )

    def wait_for_stream(self, number: int = 1) -> None:
        """Waits until the stream of that number (1: the first) is open, and no other is."""
        self.wait_for(lambda: self.calls['GetWorkItems'] == number and self._open_streams == 1)

    def wait_for_calls(self, method: str, count: int = 1) -> None:
        """Waits until a method was called so often, or more."""
        self.wait_for(lambda: self.calls[method] >= count)

    def wait_for_answers(self, count: int) -> None:
        """Waits until so many completions, or more, were accepted."""
        self.wait_for(lambda: len(self.answers) >= count)

    def answer(self, index: int = 0) -> Any:
        """The message of the completion at that place, waited for."""
        self.wait_for_answers(index + 1)
        return self.answers[index].message

    def notify(self) -> None:
        """Wakes whoever waits with `wait_for` for something of the test's own."""
        with self._changed:
            self._changed.notify_all()

    def __enter__(self) -> FakeSidecar:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # -- the service ---------------------------------------------------------------------------------------------------

    def Hello(self, request: Empty, context: Any) -> Empty:
        self._note('Hello', context)
        if self.hold_hello:
            _wait_for_end(context)
        return Empty()

    def GetWorkItems(self, request: pb.GetWorkItemsRequest, context: Any) -> Iterator[Any]:
        self._note('GetWorkItems', context)
        self.capabilities = list(request.capabilities)
        if self.refuse_streams is not None:
            context.abort(self.refuse_streams, 'the fake sidecar takes no workers')
        with self._changed:
            generation = self._generation
            self._open_streams += 1
            self.stream_peers.append(context.peer())
            self._changed.notify_all()
        try:
            if not context.add_callback(self.notify):
                return
            while True:
                with self._changed:
                    self._changed.wait_for(
                        lambda: self._items or self._generation != generation or not context.is_active()
                    )
                    if self._generation != generation:
                        context.abort(grpc.StatusCode.UNAVAILABLE, 'the fake sidecar shuts down')
                    if not context.is_active():
                        return
                    item = self._items.popleft()
                yield item
        finally:
            with self._changed:
                self._open_streams -= 1
                self._changed.notify_all()

    def CompleteWorkflowTask(self, request: pb.WorkflowResponse, context: Any) -> pb.CompleteTaskResponse:
        if self.is_old:
            self._note('CompleteWorkflowTask', context)
            context.abort(grpc.StatusCode.UNIMPLEMENTED, 'unknown method CompleteWorkflowTask')
        return self._complete('CompleteWorkflowTask', request, context)

    def CompleteOrchestratorTask(self, request: pb.WorkflowResponse, context: Any) -> pb.CompleteTaskResponse:
        return self._complete('CompleteOrchestratorTask', request, context)

    def CompleteActivityTask(self, request: pb.ActivityResponse, context: Any) -> pb.CompleteTaskResponse:
        return self._complete('CompleteActivityTask', request, context)

    def GetInstanceHistory(self, request: pb.GetInstanceHistoryRequest, context: Any) -> pb.GetInstanceHistoryResponse:
        self._note('GetInstanceHistory', context)
        self.wait_for_calls('GetInstanceHistory', self.gather_histories)
        if self.fail_histories is not None:
            context.abort(self.fail_histories, 'the fake sidecar gives no histories')
        return pb.GetInstanceHistoryResponse(events=self.histories.get(request.instanceId, ()))

    def _complete(self, method: str, request: Any, context: Any) -> pb.CompleteTaskResponse:
        self._note(method, context)
        if self.hold_answers:
            _wait_for_end(context)
        with self._changed:
            status = self.fail_answers.popleft() if self.fail_answers else None
        if status is not None:
            context.abort(status, 'the fake sidecar was told to fail this')
        with self._changed:
            self.answers.append(Answer(method, request, context.peer()))
            self._changed.notify_all()
        return pb.CompleteTaskResponse()

    def _note(self, method: str, context: Any) -> None:
        with self._changed:
            self.calls[method] += 1
            self.metadata[method] = dict(context.invocation_metadata())
            self._changed.notify_all()


def _wait_for_end(context: Any) -> None:
    ended = threading.Event()
    if context.add_callback(ended.set):
        ended.wait()
