"""The committed histories of workflow instances, kept within bounds.

An entry is one run of one instance: its committed events as the wire has them, in one growing buffer. Its life:
1. `put`: a turn has shown the whole committed history.
2. `checkout`: the next turn uses it. While it is checked out it is pinned: neither expired nor evicted.
3. `extend`: the turn's delta is appended, which costs what the delta costs; then it is released, as the last used one.
4. Gone: expired, evicted (count, bytes), its run completed, the stream reset. Whoever still has it checked out keeps
   what was read; what is written to it then is lost, and nothing else.

Entries that are not pinned stand in one order, from the one used longest ago to the last used. Since all have the same
TTL that is the order in which they expire, too: eviction and expiry take from its front, and nothing is ever scanned.

Knows no wire, no thread and no clock of its own; may be called from any thread.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from dapr.ext.workflow._durabletask.history.stats import (
    HistoryCacheEvictions,
    HistoryCacheMisses,
    HistoryCacheStats,
)
from dapr.ext.workflow._durabletask.internal import protos as pb

DEFAULT_TTL_SECONDS = 3600.0
DEFAULT_MAX_INSTANCES = 100_000

# What an entry takes beside its buffer and the text of its ids: the object, its places in two dictionaries, and the
# fixed parts of two strings. Measured; a test holds the account against the process.
_ENTRY_BYTES = 360

# How many instances are remembered as gone, to tell why their history is not there. Counting only: nothing leans on it.
_MAX_DEPARTED = 4096


class _Entry:
    __slots__ = ('count', 'data', 'execution_id', 'expires_at', 'last_batch', 'pins', 'size', 'wire_bytes')

    def __init__(self, execution_id: str, data: bytearray, count: int, wire_bytes: int, last_batch: bytes) -> None:
        self.execution_id = execution_id
        self.data = data
        self.count = count
        self.wire_bytes = wire_bytes
        self.last_batch = last_batch
        self.pins = 0
        self.expires_at = 0.0
        self.size = 0


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
        self._ttl = ttl if ttl > 0 else DEFAULT_TTL_SECONDS
        self._max_instances = max_instances if max_instances > 0 else DEFAULT_MAX_INSTANCES
        self._max_bytes = max(0, max_bytes)
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        self._idle: OrderedDict[str, _Entry] = OrderedDict()  # those that are not pinned, last used last
        self._departed: OrderedDict[str, str] = OrderedDict()  # why a history is not there any more
        self._bytes = 0
        self._total_bytes = 0  # of the events alone, as the wire has them
        self._hits = 0
        self._fetches = 0
        self._fetch_failures = 0
        self._misses: Counter[str] = Counter()
        self._evictions: Counter[str] = Counter()

    @property
    def ttl(self) -> float:
        """Seconds after its last use for which a history is kept, at least."""
        return self._ttl

    # Histories

    def get(self, instance_id: str) -> list[pb.HistoryEvent] | None:
        """The committed events of an instance, whichever run they belong to; None when there are none.

        It counts as a use. Turns take `checkout`, which says which run they mean.
        """
        with self._lock:
            entry = self._entries.get(instance_id)
            if entry is None:
                return None
            self._touch(instance_id, entry)
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
            self._remove(instance_id)
            self._entries[instance_id] = entry
            self._departed.pop(instance_id, None)
            self._account(instance_id, entry)
            self._touch(instance_id, entry)
            self._evict_to_fit(instance_id)
            return True

    def checkout(self, instance_id: str) -> Lease | None:
        """The history of an instance, pinned; None when there is none. Give it back with `release`."""
        with self._lock:
            entry = self._entries.get(instance_id)
            if entry is None:
                return None
            entry.pins += 1
            self._idle.pop(instance_id, None)
            return Lease(self, instance_id, entry)

    def delete(self, instance_id: str, *, if_true: Callable[[], bool] | None = None) -> None:
        """Forgets an instance, whose run has ended.

        Args:
            instance_id: The instance.
            if_true: As for `put`.
        """
        with self._lock:
            if (if_true is None or if_true()) and self._remove(instance_id):
                self._evictions['completed'] += 1

    def reset(self) -> None:
        """Forgets everything: the stream that it belongs to is over."""
        with self._lock:
            self._evictions['reset'] += len(self._entries)
            for instance_id in islice(reversed(self._entries), _MAX_DEPARTED):
                self._depart(instance_id, 'evicted')
            self._entries.clear()
            self._idle.clear()
            self._bytes = self._total_bytes = 0

    def sweep_expired(self) -> None:
        """Forgets what was not used for longer than the TTL. Costs what it forgets."""
        with self._lock:
            now = self._clock()
            while self._idle:
                instance_id, entry = next(iter(self._idle.items()))
                if entry.expires_at > now:
                    return
                self._evict(instance_id, 'ttl', 'expired')

    def next_expiry(self) -> float | None:
        """Seconds until a sweep has something to do, if nothing is used till then; None when nothing is kept idle."""
        with self._lock:
            if not self._idle:
                return None
            first = next(iter(self._idle.values()))
            return max(0.0, first.expires_at - self._clock())

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
            self._misses[reason or self._departed.get(instance_id, 'cold')] += 1

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
                evictions=HistoryCacheEvictions(**self._evictions),
                entries=len(self._entries),
                bytes=self._bytes,
            )

    # Inside. What is named `_x` below is called with the lock held, but for what leases call.

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
            if self._entries.get(instance_id) is not entry or entry.count != count:
                return False
            if if_true is not None and not if_true():
                return False
            entry.data += addition
            entry.count += len(events)
            entry.wire_bytes += wire_bytes
            entry.last_batch = last_batch
            self._total_bytes += wire_bytes
            self._account(instance_id, entry, counted=True)
            self._evict_to_fit(instance_id)
            return True

    def _release(self, instance_id: str, entry: _Entry) -> None:
        with self._lock:
            entry.pins -= 1
            if self._entries.get(instance_id) is entry:
                self._touch(instance_id, entry)
                self._evict_to_fit(instance_id)

    def _touch(self, instance_id: str, entry: _Entry) -> None:
        entry.expires_at = self._clock() + self._ttl
        if entry.pins == 0:
            self._idle[instance_id] = entry
            self._idle.move_to_end(instance_id)

    def _account(self, instance_id: str, entry: _Entry, *, counted: bool = False) -> None:
        size = (
            _ENTRY_BYTES
            + sys.getsizeof(entry.data)
            + len(instance_id)
            + len(entry.execution_id)
            + (sys.getsizeof(entry.last_batch) if entry.last_batch else 0)
        )
        self._bytes += size - entry.size
        entry.size = size
        if not counted:
            self._total_bytes += entry.wire_bytes

    def _evict_to_fit(self, keep: str) -> None:
        while len(self._entries) > self._max_instances and self._evict_oldest('count', keep):
            pass
        while 0 < self._max_bytes < self._bytes and self._evict_oldest('bytes', keep):
            pass

    def _evict_oldest(self, reason: str, keep: str) -> bool:
        # The entry that was just used stands last: when it is first, it is the only one that could go.
        oldest = next(iter(self._idle), keep)
        if oldest == keep:
            return False
        self._evict(oldest, reason, 'evicted')
        return True

    def _evict(self, instance_id: str, reason: str, departed: str) -> None:
        self._remove(instance_id)
        self._evictions[reason] += 1
        self._depart(instance_id, departed)

    def _depart(self, instance_id: str, why: str) -> None:
        self._departed[instance_id] = why
        if len(self._departed) > _MAX_DEPARTED:
            self._departed.popitem(last=False)

    def _remove(self, instance_id: str) -> bool:
        entry = self._entries.pop(instance_id, None)
        if entry is None:
            return False
        self._idle.pop(instance_id, None)
        self._bytes -= entry.size
        self._total_bytes -= entry.wire_bytes
        return True


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
