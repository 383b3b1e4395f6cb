"""The counters of the history cache, as one value."""

from __future__ import annotations

from dataclasses import dataclass, field, fields


@dataclass(frozen=True)
class _Counts:
    @property
    def total(self) -> int:
        """All reasons together."""
        return sum(getattr(self, counter.name) for counter in fields(self))


@dataclass(frozen=True)
class HistoryCacheMisses(_Counts):
    """Deltas whose prefix the worker did not have, by reason.

    Attributes:
        cold: The worker has never kept this instance's history on this stream.
        evicted: It has, but the history had to make room, or the stream was replaced.
        expired: It has, but the instance had no turn for longer than the TTL.
        length: It has another number of events than the sidecar counts on.
        execution: What it has belongs to another run of the instance, or cannot be shown to belong to this one.
        fenced: A newer dispatch of the instance had come in, so what is kept may be ahead of this one.
    """

    cold: int = 0
    evicted: int = 0
    expired: int = 0
    length: int = 0
    execution: int = 0
    fenced: int = 0


@dataclass(frozen=True)
class HistoryCacheEvictions(_Counts):
    """Histories that were dropped, by reason.

    Attributes:
        ttl: The instance had no turn for longer than the TTL.
        count: There were more instances than the cap.
        bytes: They took more bytes than the budget.
        completed: The run has ended.
        reset: The stream they belong to is over.
    """

    ttl: int = 0
    count: int = 0
    bytes: int = 0
    completed: int = 0
    reset: int = 0


@dataclass(frozen=True)
class HistoryCacheStats:
    """What a worker's history cache has done since the worker was made, and what it holds now.

    Attributes:
        hits: Deltas whose prefix was there.
        misses: Deltas whose prefix was not.
        fetches: Histories that were asked for (`GetInstanceHistory`).
        fetch_failures: Those that did not come, or were of no use.
        evictions: Histories that were dropped.
        entries: Histories that are kept now.
        bytes: What they take of the process's memory, nearly.
    """

    hits: int = 0
    misses: HistoryCacheMisses = field(default_factory=HistoryCacheMisses)
    fetches: int = 0
    fetch_failures: int = 0
    evictions: HistoryCacheEvictions = field(default_factory=HistoryCacheEvictions)
    entries: int = 0
    bytes: int = 0
