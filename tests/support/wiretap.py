"""Watches the wire: what work items brought, and which histories were fetched. Workflow output alone proves nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc

from dapr.ext.workflow._durabletask.internal import protos as pb


@dataclass(frozen=True)
class SeenTurn:
    """A workflow work item as it came: the whole history (`delta_after` is None), or what follows so many events."""

    instance_id: str
    delta_after: int | None
    past_events: int
    bytes: int


class WireTap(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """An interceptor for workers that notes each workflow work item and each GetInstanceHistory call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: list[SeenTurn] = []
        self._fetches: list[str] = []

    def turns(self, instance_id: str) -> list[SeenTurn]:
        """The turns of an instance so far."""
        with self._lock:
            return [turn for turn in self._turns if turn.instance_id == instance_id]

    def kinds(self, instance_id: str) -> list[str]:
        """'full' or 'delta' for each turn of an instance so far."""
        return ['full' if turn.delta_after is None else 'delta' for turn in self.turns(instance_id)]

    def fetches(self, instance_id: str) -> int:
        """How often the history of an instance was fetched so far."""
        with self._lock:
            return self._fetches.count(instance_id)

    def intercept_unary_unary(self, continuation: Callable[..., Any], client_call_details: Any, request: Any) -> Any:
        if client_call_details.method.endswith('/GetInstanceHistory'):
            with self._lock:
                self._fetches.append(request.instanceId)
        return continuation(client_call_details, request)

    def intercept_unary_stream(self, continuation: Callable[..., Any], client_call_details: Any, request: Any) -> Any:
        return TappedStream(continuation(client_call_details, request), self._note)

    def _note(self, item: pb.WorkItem) -> None:
        if item.HasField('workflowRequest'):
            request = item.workflowRequest
            after = request.cachedHistory.eventCount if request.HasField('cachedHistory') else None
            turn = SeenTurn(request.instanceId, after, len(request.pastEvents), item.ByteSize())
            with self._lock:
                self._turns.append(turn)


class TappedStream:
    """A stream that is listened to; all else is the stream's own."""

    def __init__(self, call: Any, note: Callable[[pb.WorkItem], None]) -> None:
        self._call = call
        self._note = note

    def __iter__(self) -> Iterator[pb.WorkItem]:
        return self

    def __next__(self) -> pb.WorkItem:
        item: pb.WorkItem = next(self._call)
        self._note(item)
        return item

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)
