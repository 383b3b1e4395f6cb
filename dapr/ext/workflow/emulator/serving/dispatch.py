"""The worker streams that are open, and what is sent on them."""

from __future__ import annotations

import itertools
import logging
import secrets
from collections.abc import Callable, Collection
from typing import Final, Protocol

from dapr.ext.workflow.emulator.seam import Caller
from dapr.ext.workflow.emulator.serving.activities import Activities, ActivitySink
from dapr.ext.workflow.emulator.serving.losses import Losses
from dapr.ext.workflow.emulator.serving.retrying import Scheduler
from dapr.ext.workflow.emulator.serving.streams import WorkerStream
from dapr.ext.workflow.emulator.serving.turns import Turns, TurnSource
from dapr.ext.workflow.emulator.serving.work_items import ping_item

__all__ = ['DEFAULT_LEASE_SECONDS', 'DEFAULT_PING_SECONDS', 'Dispatcher', 'WorkBackend']

DEFAULT_LEASE_SECONDS: Final = 120.0
DEFAULT_PING_SECONDS: Final = 30.0


def _random_name() -> str:
    return secrets.token_hex(8)


class WorkBackend(TurnSource, ActivitySink, Protocol):
    """What the dispatcher needs of the backend."""

    def workers_changed(self, app_id: str) -> None:
        """A worker of that app has connected."""


class Dispatcher:
    """Sends turns and activities to the streams of their apps. It is used on the event loop only.

    Args:
        backend: Where work comes from and results go.
        scheduler: The event loop.
        logger: Where failures are told.
        lease_seconds: How long a turn's answer is waited for before the turn is dispatched again. Default: 120.
        ping_seconds: The time between two health pings on a stream that asked for them. Default: 30.
        new_name: Makes names, for streams and completion tokens, that no one else makes. Default: random ones.
        on_sent: Called when what could be sent is sent. Default: no one cares.
        losses: Which answers are to be lost. Default: none.

    Attributes:
        turns: The turns on their way.
        activities: The activities on their way.
    """

    def __init__(
        self,
        backend: WorkBackend,
        scheduler: Scheduler,
        logger: logging.Logger,
        *,
        lease_seconds: float = DEFAULT_LEASE_SECONDS,
        ping_seconds: float = DEFAULT_PING_SECONDS,
        new_name: Callable[[], str] = _random_name,
        on_sent: Callable[[], None] = lambda: None,
        losses: Losses | None = None,
    ) -> None:
        self._backend = backend
        self._scheduler = scheduler
        self._logger = logger
        self._ping_seconds = ping_seconds
        self._new_name = new_name
        self._on_sent = on_sent
        self._streams: dict[str, dict[str, WorkerStream]] = {}
        self._is_due = False
        self._closed = False
        # A worker may outlive the emulator: what it was sent by the one before must not look current to this one.
        prefix, numbers = new_name(), itertools.count(1)

        def new_token() -> str:
            return f'{prefix}-{next(numbers)}'

        losses = Losses() if losses is None else losses
        self.turns = Turns(backend, self.streams, scheduler, new_token, self.wake, lease_seconds, logger, losses)
        self.activities = Activities(backend, self.streams, scheduler, new_token, self.wake, logger, losses)

    def streams(self, app_id: str) -> Collection[WorkerStream]:
        """The open streams of an app."""
        return self._streams.get(app_id, {}).values()

    def is_idle(self, waiting: Collection[Caller]) -> bool:
        """Whether nothing is ready or on its way, but for activities that wait themselves.

        Args:
            waiting: Those.
        """
        return self.turns.is_idle and self.activities.is_idle(waiting)

    def wake(self) -> None:
        """Has what is ready sent as soon as what runs now is over."""
        if not self._is_due:
            self._is_due = True
            self._scheduler.call_soon(self._send)

    def connect(self, app_id: str, capabilities: Collection[int]) -> WorkerStream:
        """Opens a stream.

        Args:
            app_id: The app that its worker belongs to.
            capabilities: What the worker promises.
        """
        stream = WorkerStream(app_id, capabilities, self.wake, self._new_name())
        self._streams.setdefault(app_id, {})[stream.stream_id] = stream
        if stream.wants_pings:
            # The first one at once: that the stream is open shows a worker only when something comes by it.
            self._scheduler.call_soon(self._ping, stream)
        try:
            self._backend.workers_changed(app_id)
        except Exception:
            # The worker is welcome all the same; those who waited for it get their turn with the next one.
            self._logger.exception('Stalled workflows can not be woken.')
        self.wake()
        return stream

    def disconnect(self, stream: WorkerStream) -> None:
        """Closes a stream: it takes nothing any more, and what was sent on it and not answered is dispatched again."""
        streams = self._streams.get(stream.app_id, {})
        if streams.pop(stream.stream_id, None) is None or self._closed:
            return
        self.turns.stream_lost(stream)
        self.activities.stream_lost(stream)

    def close(self) -> None:
        """Ends all streams. Answers are still taken; what is not answered is dispatched after the next start."""
        self._closed = True
        for streams in self._streams.values():
            for stream in streams.values():
                stream.end()

    def _send(self) -> None:
        self._is_due = False
        if self._closed:
            return
        for app_id, streams in self._streams.items():
            if streams:
                self.turns.send(app_id)
                self.activities.send(app_id)
        self._on_sent()

    def _ping(self, stream: WorkerStream) -> None:
        if stream.stream_id in self._streams.get(stream.app_id, {}) and not self._closed:
            if stream.has_room_for_turn:
                stream.put(ping_item())
            self._scheduler.call_later(self._ping_seconds, self._ping, stream)
