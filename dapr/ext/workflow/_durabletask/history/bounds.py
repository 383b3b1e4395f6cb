"""What may be kept between turns, and for how long: a TTL that slides, a cap of instances, and a byte budget.

Entries that are not pinned stand in one order, from the one used longest ago to the last used. Since all have the same
TTL that is the order in which they expire, too: eviction and expiry take from its front, and nothing is ever scanned.

Knows nothing of what an entry is, and has no lock: whoever owns one holds a lock around each call.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from itertools import islice
from typing import Generic, TypeVar

DEFAULT_TTL_SECONDS = 3600.0
DEFAULT_MAX_INSTANCES = 100_000

# How many instances are remembered as gone, to tell why nothing is there. Counting only: nothing leans on it.
_MAX_DEPARTED = 4096


class Entry:
    """What is kept for one instance.

    Attributes:
        size: What it takes, in bytes.
        pins: How many use it now; it is neither expired nor evicted until none does.
        expires_at: When it expires, by the clock, unless it is used before.
    """

    __slots__ = ('expires_at', 'pins', 'size')

    def __init__(self) -> None:
        self.size = 0
        self.pins = 0
        self.expires_at = 0.0


_Entry = TypeVar('_Entry', bound=Entry)


class BoundedEntries(Generic[_Entry]):
    """Entries by instance id, within bounds.

    Args:
        ttl: Seconds after its last use for which an entry is kept, at least. For zero or less: 3,600.
        max_instances: How many are kept at most, those in use aside. For zero or less: 100,000.
        max_bytes: How much memory they take at most, in bytes; the last one is kept whatever its size. For zero or
            less: no limit.
        clock: A monotonic clock, in seconds.

    Attributes:
        bytes: The size of all entries.
        evictions: How many have gone, by reason.
    """

    def __init__(
        self,
        ttl: float = DEFAULT_TTL_SECONDS,
        max_instances: int = DEFAULT_MAX_INSTANCES,
        max_bytes: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ttl = ttl if ttl > 0 else DEFAULT_TTL_SECONDS
        self.max_instances = max_instances if max_instances > 0 else DEFAULT_MAX_INSTANCES
        self.max_bytes = max(0, max_bytes)
        self.bytes = 0
        self.evictions: Counter[str] = Counter()
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._idle: OrderedDict[str, _Entry] = OrderedDict()  # those that are not pinned, last used last
        self._departed: OrderedDict[str, str] = OrderedDict()  # why an entry is not there any more

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, instance_id: str) -> _Entry | None:
        """The entry of an instance. That is no use of it, see `touch`."""
        return self._entries.get(instance_id)

    def add(self, instance_id: str, entry: _Entry, size: int) -> list[_Entry]:
        """Keeps an entry, as the last used one, in place of what is there; returns what had to go."""
        replaced = self.remove(instance_id)
        self._entries[instance_id] = entry
        self._departed.pop(instance_id, None)
        self.touch(instance_id, entry)
        gone = self.resize(instance_id, entry, size)
        return gone if replaced is None else [replaced, *gone]

    def resize(self, instance_id: str, entry: _Entry, size: int) -> list[_Entry]:
        """Takes note of the size of an entry that is there; returns what had to go."""
        self.bytes += size - entry.size
        entry.size = size
        return self._evict_to_fit(instance_id)

    def touch(self, instance_id: str, entry: _Entry) -> None:
        """Uses an entry that is there: it becomes the last used one."""
        entry.expires_at = self._clock() + self.ttl
        if entry.pins == 0:
            self._idle[instance_id] = entry
            self._idle.move_to_end(instance_id)

    def pin(self, instance_id: str) -> _Entry | None:
        """The entry of an instance, which stays until it is given back; None when there is none."""
        entry = self._entries.get(instance_id)
        if entry is not None:
            entry.pins += 1
            self._idle.pop(instance_id, None)
        return entry

    def unpin(self, instance_id: str, entry: _Entry) -> list[_Entry]:
        """Gives back what was pinned, there or not; returns what had to go."""
        entry.pins -= 1
        if self._entries.get(instance_id) is not entry:
            return []
        self.touch(instance_id, entry)
        return self._evict_to_fit(instance_id)

    def remove(self, instance_id: str, why_gone: str | None = None) -> _Entry | None:
        """Takes the entry of an instance out; None when there is none.

        Args:
            instance_id: The instance.
            why_gone: What `why_gone` says from now on; None (default): as it was.
        """
        entry = self._entries.pop(instance_id, None)
        if entry is not None:
            self._idle.pop(instance_id, None)
            self.bytes -= entry.size
            entry.size = 0  # it may be added again
            if why_gone is not None:
                self._depart(instance_id, why_gone)
        return entry

    def clear(self) -> list[_Entry]:
        """Takes everything out: it belongs to what is over."""
        gone = list(self._entries.values())
        self.evictions['reset'] += len(gone)
        for instance_id in islice(reversed(self._entries), _MAX_DEPARTED):
            self._depart(instance_id, 'evicted')
        self._entries.clear()
        self._idle.clear()
        self.bytes = 0
        return gone

    def expire(self) -> list[_Entry]:
        """Takes out what was not used for longer than the TTL. Costs what it takes out."""
        now = self._clock()
        gone = []
        while self._idle:
            instance_id, entry = next(iter(self._idle.items()))
            if entry.expires_at > now:
                break
            gone.append(self._evict(instance_id, 'ttl', 'expired'))
        return gone

    def next_expiry(self) -> float | None:
        """Seconds until `expire` has something to do, if nothing is used till then; None when nothing is idle."""
        if not self._idle:
            return None
        first = next(iter(self._idle.values()))
        return max(0.0, first.expires_at - self._clock())

    def why_gone(self, instance_id: str) -> str:
        """Why an instance has no entry: it was 'evicted', it has 'expired', what `remove` was told, or it never had one
        ('cold')."""
        return self._departed.get(instance_id, 'cold')

    # Inside

    def _evict_to_fit(self, keep: str) -> list[_Entry]:
        gone: list[_Entry] = []
        while len(self._entries) > self.max_instances and self._evict_oldest('count', keep, gone):
            pass
        while 0 < self.max_bytes < self.bytes and self._evict_oldest('bytes', keep, gone):
            pass
        return gone

    def _evict_oldest(self, reason: str, keep: str, gone: list[_Entry]) -> bool:
        # The entry that was just used stands last: when it is first, it is the only one that could go.
        oldest = next(iter(self._idle), keep)
        if oldest == keep:
            return False
        gone.append(self._evict(oldest, reason, 'evicted'))
        return True

    def _evict(self, instance_id: str, reason: str, why_gone: str) -> _Entry:
        entry = self.remove(instance_id, why_gone)
        assert entry is not None
        self.evictions[reason] += 1
        return entry

    def _depart(self, instance_id: str, why_gone: str) -> None:
        self._departed[instance_id] = why_gone
        if len(self._departed) > _MAX_DEPARTED:
            self._departed.popitem(last=False)
