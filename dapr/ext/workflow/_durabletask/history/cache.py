"""The committed histories of workflow instances, kept within bounds.

An entry is one run of one instance: its committed events as the wire has them, in one growing buffer. Its life:
1. `put`: a turn has shown the whole committed history.
2. `checkout`: the next turn uses it. While it is checked out it is pinned: neither expired nor evicted.
3. `extend`: the turn's delta is appended, which costs what the delta costs; then it is released, as the last used one.
4. Gone: expired, evicted (count, bytes), its run completed, the stream reset. Whoever still has it checked out keeps
   what was read; what is written to it then is lost, and nothing else.

What goes when is in `bounds`. Knows no wire, no thread and no clock of its own; may be called from any thread.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from dapr.ext.workflow._durabletask.history.bounds import (
    DEFAULT_MAX_INSTANCES,
    DEFAULT_TTL_SECONDS,
    BoundedEntries,
    Entry,
)
from dapr.ext.workflow._durabletask.history.stats import (
    HistoryCacheEvictions,
    HistoryCacheMisses,
    HistoryCacheStats,
)
from dapr.ext.workflow._durabletask.internal import protos as pb

# What an entry takes beside its buffer and the text of its ids: the object, its places in two dictionaries, and the
# fixed parts of two strings. Measured; a test holds the account against the process.
_ENTRY_BYTES = 360


class _Entry(Entry):
    __slots__ = ('count', 'data', 'execution_id', 'last_batch', 'wire_bytes')

    def __init__(self, execution_id: str, data: bytearray, count: int, wire_bytes: int, last_batch: bytes) -> None:
        super().__init__()
        self.execution_id = execution_id
        self.data = data
        self.count = count
        self.wire_bytes = wire_bytes
        self.last_batch = last_batch


class Lease:
    """An entry that is checked out: it stays until `release`, which may be called more than once.

    Attributes:
        count: How many committed events it has.
        execution_id: The run that they belong to; '' when the sidecar did not say.
        last_batch: The new events of the last turn, serialized, when the sidecar did not say which run it is.
    """

    __slots__ = ('_cache', '_entry', '_instance_id', '_is_released', 'count', 'execution_id', 'last_batch')

    def __init__(self, cache: _WorkflowHistoryCache, instance_id: str, entry: _Entry) -> None:
        self._cache = cache
        self._instance_id = instance_id
        self._entry = entry
        self._is_released = False
        self.count = entry.count
        self.execution_id = entry.execution_id
        self.last_batch = entry.last_batch

    def events(self) -> list[pb.HistoryEvent]:
        """The committed events, made anew from what is kept."""
        return self._cache._events_of(self._entry, self.count)

    def extend(
        self, events: Sequence[pb.HistoryEvent], last_batch: bytes = b'', *, if_true: Callable[[], bool] | None = None
    ) -> bool:
        """Appends what was committed since.

        Args:
            events: The events that follow the `count` ones it has.
            last_batch: The new events of the turn, see `last_batch`.
            if_true: Asked at the last moment, when no other write can come between; False leaves all as it is.

        Returns:
            Whether it was done: not when the entry is gone, or has grown meanwhile.
        """
        return self._cache._extend(self._instance_id, self._entry, self.count, events, last_batch, if_true)

    def release(self) -> None:
        """Gives the entry back."""
        if not self._is_released:
            self._is_released = True
            self._cache._release(self._instance_id, self._entry)


class _WorkflowHistoryCache:
    """Keeps committed histories between turns.

    Args:
        ttl: Seconds after its last use for which a history is kept, at least. Default, and for zero or less: 3,600.
        max_instances: How many histories are kept at most, those in use aside. Default, and for zero or less: 100,000.
        max_bytes: How much memory they take at most, in bytes; the last one is kept whatever its size. Default, and for
            less than zero: 0, no limit.
        clock: A monotonic clock, in seconds.
    """

    def __init__(
        self,
        *,
        ttl: float = DEFAULT_TTL_SECONDS,
        max_instances: int = DEFAULT_MAX_INSTANCES,
        max_bytes: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lock = threading.Lock()
        self._kept: BoundedEntries[_Entry] = BoundedEntries(ttl, max_instances, max_bytes, clock)
        self._total_bytes = 0  # of the events alone, as the wire has them
        self._hits = 0
        self._fetches = 0
        self._fetch_failures = 0
        self._misses: Counter[str] = Counter()

    @property
    def ttl(self) -> float:
        """Seconds after its last use for which a history is kept, at least."""
        return self._kept.ttl

    # Histories

    def get(self, instance_id: str) -> list[pb.HistoryEvent] | None:
        """The committed events of an instance, whichever run they belong to; None when there are none.

        It counts as a use. Turns take `checkout`, which says which run they mean.
        """
        with self._lock:
            entry = self._kept.find(instance_id)
            if entry is None:
                return None
            self._kept.touch(instance_id, entry)
            count = entry.count
        return self._events_of(entry, count)

    def put(
        self,
        instance_id: str,
        events: Sequence[pb.HistoryEvent],
        execution_id: str = '',
        last_batch: bytes = b'',
        *,
        if_true: Callable[[], bool] | None = None,
    ) -> bool:
        """Keeps a whole committed history, in place of what is there for the instance.

        Costs what the history costs; `extend` of a lease costs what is new.

        Args:
            instance_id: The instance.
            events: Its committed events, from the first on.
            execution_id: The run that they belong to; '' when the sidecar does not say.
            last_batch: The new events of the turn, serialized, when the sidecar does not say which run it is.
            if_true: Asked at the last moment, when no other write can come between; False leaves all as it is.

        Returns:
            Whether it was done.
        """
        data = bytearray()
        wire_bytes = _append(data, events)
        entry = _Entry(execution_id, data, len(events), wire_bytes, last_batch)
        with self._lock:
            if if_true is not None and not if_true():
                return False
            self._total_bytes += wire_bytes
            self._let_go(self._kept.add(instance_id, entry, _size(instance_id, entry)))
            return True

    def checkout(self, instance_id: str) -> Lease | None:
        """The history of an instance, pinned; None when there is none. Give it back with `release`."""
        with self._lock:
            entry = self._kept.pin(instance_id)
            return None if entry is None else Lease(self, instance_id, entry)

    def delete(self, instance_id: str, *, if_true: Callable[[], bool] | None = None) -> None:
        """Forgets an instance, whose run has ended.

        Args:
            instance_id: The instance.
            if_true: As for `put`.
        """
        with self._lock:
            if if_true is not None and not if_true():
                return
            entry = self._kept.remove(instance_id)
            if entry is not None:
                self._let_go([entry])
                self._kept.evictions['completed'] += 1

    def reset(self) -> None:
        """Forgets everything: the stream that it belongs to is over."""
        with self._lock:
            self._let_go(self._kept.clear())

    def sweep_expired(self) -> None:
        """Forgets what was not used for longer than the TTL. Costs what it forgets."""
        with self._lock:
            self._let_go(self._kept.expire())

    def next_expiry(self) -> float | None:
        """Seconds until a sweep has something to do, if nothing is used till then; None when nothing is kept idle."""
        with self._lock:
            return self._kept.next_expiry()

    # Counters

    def count_hit(self) -> None:
        """Counts a delta whose prefix was there."""
        with self._lock:
            self._hits += 1

    def count_miss(self, instance_id: str, reason: str | None = None) -> None:
        """Counts a delta whose prefix was not there.

        Args:
            instance_id: The instance.
            reason: A field of `HistoryCacheMisses`; None (default): no history is kept, for the reason it went for.
        """
        with self._lock:
            self._misses[reason or self._kept.why_gone(instance_id)] += 1

    def count_fetch(self, *, failed: bool) -> None:
        """Counts a history that was asked for."""
        with self._lock:
            self._fetches += 1
            self._fetch_failures += failed

    @property
    def stats(self) -> HistoryCacheStats:
        """All counters, at one moment."""
        with self._lock:
            return HistoryCacheStats(
                hits=self._hits,
                misses=HistoryCacheMisses(**self._misses),
                fetches=self._fetches,
                fetch_failures=self._fetch_failures,
                evictions=HistoryCacheEvictions(**self._kept.evictions),
                entries=len(self._kept),
                bytes=self._kept.bytes,
            )

    # Inside: what leases call

    def _events_of(self, entry: _Entry, count: int) -> list[pb.HistoryEvent]:
        with self._lock:  # a buffer that is being read cannot grow
            data = bytes(entry.data)
        events = list(pb.GetInstanceHistoryResponse.FromString(data).events)
        return events if len(events) == count else events[:count]

    def _extend(
        self,
        instance_id: str,
        entry: _Entry,
        count: int,
        events: Sequence[pb.HistoryEvent],
        last_batch: bytes,
        if_true: Callable[[], bool] | None,
    ) -> bool:
        addition = bytearray()
        wire_bytes = _append(addition, events)
        with self._lock:
            if self._kept.find(instance_id) is not entry or entry.count != count:
                return False
            if if_true is not None and not if_true():
                return False
            entry.data += addition
            entry.count += len(events)
            entry.wire_bytes += wire_bytes
            entry.last_batch = last_batch
            self._total_bytes += wire_bytes
            self._let_go(self._kept.resize(instance_id, entry, _size(instance_id, entry)))
            return True

    def _release(self, instance_id: str, entry: _Entry) -> None:
        with self._lock:
            self._let_go(self._kept.unpin(instance_id, entry))

    def _let_go(self, gone: Iterable[_Entry]) -> None:
        for entry in gone:
            self._total_bytes -= entry.wire_bytes


def _size(instance_id: str, entry: _Entry) -> int:
    return (
        _ENTRY_BYTES
        + sys.getsizeof(entry.data)
        + len(instance_id)
        + len(entry.execution_id)
        + (sys.getsizeof(entry.last_batch) if entry.last_batch else 0)
    )


def _append(data: bytearray, events: Iterable[pb.HistoryEvent]) -> int:
    """Appends events as the field `events` of GetInstanceHistoryResponse; returns the bytes of the events alone."""
    wire_bytes = 0
    for event in events:
        encoded = event.SerializeToString()
        length = len(encoded)
        wire_bytes += length
        data.append(0x0A)  # field 1, length-delimited
        while length > 0x7F:
            data.append(length & 0x7F | 0x80)
            length >>= 7
        data.append(length)
        data += encoded
    return wire_bytes


def serialize_batch(events: Iterable[pb.HistoryEvent]) -> bytes:
    """Events as bytes, to be compared later (parse them: the encoding of a map is not unique)."""
    data = bytearray()
    _append(data, events)
    return bytes(data)


def parse_batch(data: bytes) -> list[pb.HistoryEvent]:
    """What `serialize_batch` made bytes of."""
    return list(pb.GetInstanceHistoryResponse.FromString(data).events)
