"""Bare loops: take work items from the stream and answer each by the cheapest means. One transport per process.

Run by path: `child_bare.py ADDRESS TRANSPORT`. It prints `{"ready": true}` when its stream is open, then for each line
on stdin either starts the count ("begin") or prints what was used since ("end").
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import grpc
import grpc.aio
import grpc.experimental
from measured import serve_measurements  # type: ignore[import-not-found]  # a sibling: this is run by path

from dapr.ext.workflow._durabletask.internal import protos as pb

_SERVICE = '/TaskHubSidecarService/'
_DEADLINE_S = 30.0
_THREADS = 6  # cpu + 4, the worker's default
_UNLIMITED = [('grpc.max_receive_message_length', -1), ('grpc.max_send_message_length', -1)]
_SINGLE_THREADED = [(grpc.experimental.ChannelOptions.SingleThreadedUnaryStream, 1)]


def _answer(item: pb.WorkItem) -> tuple[str, Any] | None:
    kind = item.WhichOneof('request')
    if kind == 'workflowRequest':
        request = item.workflowRequest
        response = pb.WorkflowResponse(instanceId=request.instanceId, completionToken=item.completionToken)
        action = response.actions.add()
        if any(event.HasField('taskCompleted') for event in request.newEvents):
            action.id = 2
            action.completeWorkflow.workflowStatus = pb.ORCHESTRATION_STATUS_COMPLETED
            action.completeWorkflow.result.value = '1'
        else:
            action.id = 1
            action.scheduleTask.name = 'echo'
            action.scheduleTask.input.value = '1'
        return 'workflow', response
    if kind == 'activityRequest':
        activity = item.activityRequest
        result = pb.ActivityResponse(
            instanceId=activity.workflowInstance.instanceId,
            taskId=activity.taskId,
            completionToken=item.completionToken,
        )
        result.result.value = '1'
        return 'activity', result
    return None


class _Calls:
    """The three calls of a worker on one channel, sync or aio."""

    def __init__(self, channel: Any) -> None:
        self.items = channel.unary_stream(
            _SERVICE + 'GetWorkItems',
            request_serializer=pb.GetWorkItemsRequest.SerializeToString,
            response_deserializer=pb.WorkItem.FromString,
        )
        self.complete = {
            'workflow': channel.unary_unary(
                _SERVICE + 'CompleteOrchestratorTask',
                request_serializer=pb.WorkflowResponse.SerializeToString,
                response_deserializer=pb.CompleteTaskResponse.FromString,
            ),
            'activity': channel.unary_unary(
                _SERVICE + 'CompleteActivityTask',
                request_serializer=pb.ActivityResponse.SerializeToString,
                response_deserializer=pb.CompleteTaskResponse.FromString,
            ),
        }


def _blocking(calls: _Calls, item: pb.WorkItem) -> None:
    answer = _answer(item)
    if answer is not None:
        calls.complete[answer[0]](answer[1], timeout=_DEADLINE_S)


def _read(stream: Iterator[pb.WorkItem], handle: Callable[[pb.WorkItem], Any]) -> None:
    try:
        for item in stream:
            handle(item)
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.CANCELLED:
            raise


def _pool(calls: _Calls, stream: Iterator[pb.WorkItem]) -> None:
    with ThreadPoolExecutor(_THREADS) as pool:
        _read(stream, lambda item: pool.submit(_blocking, calls, item))


def _queue(calls: _Calls, stream: Iterator[pb.WorkItem]) -> None:
    items: queue.SimpleQueue[pb.WorkItem | None] = queue.SimpleQueue()

    def work() -> None:
        while (item := items.get()) is not None:
            _blocking(calls, item)

    threads = [threading.Thread(target=work, name=f'bare-{n}') for n in range(_THREADS)]
    for thread in threads:
        thread.start()
    _read(stream, items.put)
    for _ in threads:
        items.put(None)
    for thread in threads:
        thread.join()


def _inline(calls: _Calls, stream: Iterator[pb.WorkItem]) -> None:
    _read(stream, lambda item: _blocking(calls, item))


class _Started:
    """Completions started and not waited for. They are kept, since a call whose future is collected is cancelled."""

    def __init__(self, calls: _Calls) -> None:
        self._calls = calls
        self._in_flight: set[Any] = set()

    def __call__(self, item: pb.WorkItem) -> None:
        answer = _answer(item)
        if answer is not None:
            call = self._calls.complete[answer[0]].future(answer[1], timeout=_DEADLINE_S)
            self._in_flight.add(call)
            call.add_done_callback(self._in_flight.discard)


def _futures(calls: _Calls, stream: Iterator[pb.WorkItem]) -> None:
    _read(stream, _Started(calls))


def _hand_over_futures(calls: _Calls, stream: Iterator[pb.WorkItem]) -> None:
    """A real worker's shape: the turn runs on another thread, which starts the completion and does not wait for it."""
    items: queue.SimpleQueue[pb.WorkItem | None] = queue.SimpleQueue()

    complete = _Started(calls)

    def work() -> None:
        while (item := items.get()) is not None:
            complete(item)

    thread = threading.Thread(target=work, name='bare-turns')
    thread.start()
    _read(stream, items.put)
    items.put(None)
    thread.join()


async def _aio(address: str, started: Future[Callable[[], Any]]) -> None:
    async with grpc.aio.insecure_channel(address, options=_UNLIMITED) as channel:
        calls = _Calls(channel)
        tasks: set[asyncio.Task[None]] = set()

        async def complete(item: pb.WorkItem) -> None:
            answer = _answer(item)
            if answer is not None:
                await calls.complete[answer[0]](answer[1], timeout=_DEADLINE_S)

        await channel.channel_ready()
        stream = calls.items(pb.GetWorkItemsRequest())
        loop = asyncio.get_running_loop()
        started.set_result(lambda: loop.call_soon_threadsafe(stream.cancel))
        with contextlib.suppress(asyncio.CancelledError):
            async for item in stream:
                task = asyncio.create_task(complete(item))
                tasks.add(task)
                task.add_done_callback(tasks.discard)


_SYNC: dict[str, tuple[bool, Callable[[_Calls, Iterator[pb.WorkItem]], None]]] = {
    'sync-pool': (False, _pool),
    'sync-queue': (False, _queue),
    'sync-futures': (False, _futures),
    'sync-inline': (False, _inline),
    'single-pool': (True, _pool),
    'single-queue': (True, _queue),
    'single-futures': (True, _futures),
    'single-inline': (True, _inline),
    'single-queue-futures': (True, _hand_over_futures),
}
TRANSPORTS = (*_SYNC, 'aio')


def _serve_sync(address: str, transport: str) -> None:
    single, run = _SYNC[transport]
    with grpc.insecure_channel(address, options=_UNLIMITED + (_SINGLE_THREADED if single else [])) as channel:
        calls = _Calls(channel)
        grpc.channel_ready_future(channel).result(timeout=_DEADLINE_S)
        stream = calls.items(pb.GetWorkItemsRequest())
        reader = threading.Thread(target=run, args=(calls, stream), name='bare-reader')
        reader.start()
        try:
            serve_measurements()
        finally:
            stream.cancel()
            reader.join()


def _serve_aio(address: str) -> None:
    started: Future[Callable[[], Any]] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(_aio(address, started)), name='bare-loop')
    thread.start()
    cancel = started.result(timeout=_DEADLINE_S)
    try:
        serve_measurements()
    finally:
        cancel()
        thread.join()


if __name__ == '__main__':
    if sys.argv[2] == 'aio':
        _serve_aio(sys.argv[1])
    else:
        _serve_sync(sys.argv[1], sys.argv[2])
