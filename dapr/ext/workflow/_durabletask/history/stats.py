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


@dataclass(frozen=True)
class StickyMisses(_Counts):
    """Turns of a run that has had turns before, and whose running workflow was not there or could not be used.

    Attributes:
        cold: The worker has never kept this instance on this stream.
        evicted: It has, but the instance had to make room, its answer was not delivered, or the stream was replaced.
        expired: It has, but the instance had no turn for longer than the TTL.
        busy: Another dispatch of the same instance has it, or a newer one has come in.
        execution: What is kept is another run of the instance.
        position: It stands at a place that the work item does not show.
        batch: The events that it has run are not those that were committed.
        diverged: The events that were committed after them have ended it, or do not fit to what it has done.
    """

    cold: int = 0
    evicted: int = 0
    expired: int = 0
    busy: int = 0
    execution: int = 0
    position: int = 0
    batch: int = 0
    diverged: int = 0


@dataclass(frozen=True)
class StickyEvictions(_Counts):
    """Running workflows that were thrown away, by reason. Those whose run has ended are not counted: none is kept.

    Attributes:
        ttl: The instance had no turn for longer than the TTL.
        count: There were more instances than the cap.
        bytes: They took more bytes than the budget.
        undelivered: The answer to its last turn did not arrive.
        superseded: A newer dispatch of the instance had come in when its turn was over.
        mismatch: It did not fit to the next work item; `StickyMisses` tells why.
        reset: The stream they belong to is over.
    """

    ttl: int = 0
    count: int = 0
    bytes: int = 0
    undelivered: int = 0
    superseded: int = 0
    mismatch: int = 0
    reset: int = 0


@dataclass(frozen=True)
class StickyStats:
    """What sticky execution has done since the worker was made, and what it holds now.

    Attributes:
        hits: Turns that were run without a replay.
        misses: Turns that had to be replayed; first turns are not counted, there is nothing to replay.
        evictions: Running workflows that were thrown away.
        running: Workflows that are kept running now, those that are in a turn aside.
        bytes: What they take of the process's memory, nearly.
    """

    hits: int = 0
    misses: StickyMisses = field(default_factory=StickyMisses)
    evictions: StickyEvictions = field(default_factory=StickyEvictions)
    running: int = 0
    bytes: int = 0
