"""Worker streams: what each has been sent, and which one an instance belongs to."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterable
from typing import Final

from dapr.ext.workflow._durabletask.internal import protos as pb

__all__ = ['WarmMarks', 'WorkerStream', 'owner_of']

# Work items of a stream that are not on the wire yet. It is small, since a worker that does not read holds them up.
UNSENT_LIMIT: Final = 16
# A worker has its own limits; these keep one that never answers from taking everything.
TURNS_LIMIT: Final = 1_000
ACTIVITIES_LIMIT: Final = 10_000

_MARKS_LIMIT: Final = 1_000_000
_FNV_OFFSET: Final = 0xCBF29CE484222325
_FNV_PRIME: Final = 0x100000001B3
_64_BITS: Final = 0xFFFFFFFFFFFFFFFF


class WarmMarks:
    """How many committed events of each instance a stream has been sent. Its key is the instance id alone: a mark
    outlives the run that it was made for.

    Args:
        limit: How many instances have a mark. Default: 1,000,000; beyond it an arbitrary one loses its own.
    """

    def __init__(self, limit: int = _MARKS_LIMIT) -> None:
        self._limit = limit
        self._marks: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._marks)

    def advance(self, instance_id: str, past_count: int) -> int:
        """Notes that a turn is dispatched.

        Args:
            instance_id: Whose.
            past_count: How many events are committed.

        Returns:
            How many of them the worker is taken to hold; 0: it has to be sent all.
        """
        marks = self._marks
        mark = marks.get(instance_id)
        if mark is None:
            mark = 0
            if len(marks) >= self._limit:
                marks.popitem()
        marks[instance_id] = past_count
        return mark if mark <= past_count else 0


class WorkerStream:
    """One open GetWorkItems call. The dispatcher fills it, the call empties it; it is used on the event loop only.

    Args:
        app_id: The app that its worker belongs to.
        capabilities: What the worker promised.
        on_room: Called when it was full, and has room for another item.
        stream_id: Its name in the rendezvous; unique.

    Attributes:
        app_id: As given.
        stream_id: As given.
        marks: What it was sent, if its worker keeps histories, else None.
        wants_pings: Whether its worker asked for health pings.
        turns: How many turns it was sent and has not answered. The dispatcher counts them.
        activities: The same for activities.
    """

    def __init__(
        self,
        app_id: str,
        capabilities: Collection[int],
        on_room: Callable[[], None],
        stream_id: str,
    ) -> None:
        self.app_id = app_id
        self.stream_id = stream_id
        self.marks = WarmMarks() if pb.WORKER_CAPABILITY_STATEFUL_HISTORY in capabilities else None
        self.wants_pings = pb.WORKER_CAPABILITY_HEALTH_PING in capabilities
        self.turns = 0
        self.activities = 0
        self._on_room = on_room
        self._unsent: deque[pb.WorkItem] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._ended = False

    @property
    def has_room_for_turn(self) -> bool:
        """Whether it can be given a turn now."""
        return len(self._unsent) < UNSENT_LIMIT and self.turns < TURNS_LIMIT

    @property
    def has_room_for_activity(self) -> bool:
        """Whether it can be given an activity now."""
        return len(self._unsent) < UNSENT_LIMIT and self.activities < ACTIVITIES_LIMIT

    def put(self, item: pb.WorkItem) -> None:
        """Gives it an item to send."""
        self._unsent.append(item)
        self._wake()

    def end(self) -> None:
        """Ends the call. What it was given and has not sent stays unsent."""
        self._ended = True
        self._unsent.clear()
        self._wake()

    async def next(self) -> pb.WorkItem | None:
        """The next item to send, waited for; None when the stream was ended."""
        while not self._unsent:
            if self._ended:
                return None
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        item = self._unsent.popleft()
        if len(self._unsent) == UNSENT_LIMIT - 1:
            self._on_room()
        return item

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


def owner_of(instance_id: str, streams: Iterable[WorkerStream]) -> WorkerStream:
    """The stream that an instance belongs to while these are open, so that its worker's memory is of use: the one of
    the highest fnv1a-64(instance id + 0x00 + stream id). When a stream comes or goes, only its own instances move.

    Args:
        instance_id: The instance.
        streams: The streams to choose from; at least one.
    """
    prefix = _fnv1a(_FNV_OFFSET, instance_id.encode() + b'\0')
    return max(streams, key=lambda stream: _fnv1a(prefix, stream.stream_id.encode()))


def _fnv1a(value: int, data: bytes) -> int:
    for byte in data:
        value = (value ^ byte) * _FNV_PRIME & _64_BITS
    return value
