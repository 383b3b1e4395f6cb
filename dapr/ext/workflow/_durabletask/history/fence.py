"""Which dispatch of an instance is the newest, so that an older one cannot write over its state.

A sidecar dispatches a turn again when its answer is late, or when the stream it went out on is gone; then two handlers
of one instance run side by side, and the one that ends last is not always the one that counts. Each dispatch takes a
ticket when it comes in, in the order of the stream. A write asks its ticket at the last moment.

What is kept is bounded by what is in flight: an instance without a handler has no place here. The fence outlives
reconnects: a new stream makes every ticket of the one before a thing of the past.
"""

from __future__ import annotations

import threading


class Ticket:
    """One dispatch of one instance.

    Attributes:
        instance_id: The instance.
        stream: The number of the stream that it came by.
    """

    __slots__ = ('_fence', '_number', 'instance_id', 'stream')

    def __init__(self, fence: DispatchFence, instance_id: str, stream: int, number: int) -> None:
        self._fence = fence
        self._number = number
        self.instance_id = instance_id
        self.stream = stream

    def is_newest(self) -> bool:
        """Whether no newer dispatch of the instance has come in, and the stream is still the current one."""
        return self._fence._is_newest(self)

    def leave(self) -> None:
        """Says that the dispatch is over. Call it once."""
        self._fence._leave(self)


class DispatchFence:
    """Hands out tickets. May be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stream = 0
        self._last_number = 0
        # By instance: the number of its newest dispatch, and how many are in flight.
        self._in_flight: dict[str, tuple[int, int]] = {}

    def new_stream(self, number: int) -> None:
        """Says that a new stream is open, and its number. Tickets of other ones are not the newest any more."""
        with self._lock:
            self._stream = number

    def enter(self, instance_id: str) -> Ticket:
        """A ticket for a dispatch that has just come in."""
        with self._lock:
            self._last_number += 1
            _, count = self._in_flight.get(instance_id, (0, 0))
            self._in_flight[instance_id] = (self._last_number, count + 1)
            return Ticket(self, instance_id, self._stream, self._last_number)

    def __len__(self) -> int:
        """How many instances have a dispatch in flight."""
        with self._lock:
            return len(self._in_flight)

    def _is_newest(self, ticket: Ticket) -> bool:
        with self._lock:
            newest, _ = self._in_flight.get(ticket.instance_id, (0, 0))
            return ticket._number == newest and ticket.stream == self._stream

    def _leave(self, ticket: Ticket) -> None:
        with self._lock:
            newest, count = self._in_flight[ticket.instance_id]
            if count == 1:
                del self._in_flight[ticket.instance_id]
            else:
                self._in_flight[ticket.instance_id] = (newest, count - 1)
