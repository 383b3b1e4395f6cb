"""Running workflows, kept between turns, so that a turn costs what its new events cost.

The life of one that is kept:
1. `park`: its turn is run, and not answered yet. What it was given last stands nowhere in a committed history so far.
2. `resume`: the next work item takes it out; no other turn can have it then. The item must show that its history goes
   on from where the workflow stands: the same run, as many committed events as it had seen, and then the very events
   that it was given last, with the sidecar's own version filled in. What was committed after them (its own actions,
   most often) is replayed, and the turn is run. Deltas and whole histories are looked at alike.
3. Parked again. Or thrown away: on any doubt, when its answer is not delivered, when a newer dispatch has come in, when
   its run has ended, when it had to make room, or was not used for too long, or its stream is over.

Nothing leans on it: whoever finds nothing here replays. What is kept is the generator and a few numbers, and a digest
in place of the events.

Throwing one away closes its generator, which runs the `finally` blocks of a workflow's code. They can take their time,
so the turns that make others go don't run them: `sweep_expired` does, on the janitor's thread.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import Protocol

from dapr.ext.workflow._durabletask.history.bounds import (
    DEFAULT_MAX_INSTANCES,
    DEFAULT_TTL_SECONDS,
    BoundedEntries,
    Entry,
)
from dapr.ext.workflow._durabletask.history.fence import Ticket
from dapr.ext.workflow._durabletask.history.footprint import footprint
from dapr.ext.workflow._durabletask.history.resolver import execution_id_of, without_version
from dapr.ext.workflow._durabletask.history.stats import StickyEvictions, StickyMisses, StickyStats
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.propagation import propagated_history_of
from dapr.ext.workflow._durabletask.replay.instance import WorkflowInstance

# What an entry takes beside what its workflow holds: itself, its place in the order, the instance, the fixed parts of
# its strings. Measured; a test holds the account against the process.
_ENTRY_BYTES = 900

# To measure as much takes a third of the time of a short turn.
_BYTES_MEASURED_A_TURN = 1024


class Observer(Protocol):
    """Who wants to know of a single turn; `TurnRecord` does."""

    def missed(self, reason: str) -> None:
        """There is no workflow to go on with: a field of `StickyMisses`, or '' for the first turn of a run."""


class Parked(Entry):
    """A running workflow between two turns.

    Attributes:
        instance: The workflow.
        execution_id: Its run; '' when the sidecar has not said.
        count: How many committed events it had seen before it was given the last ones.
        batch_count: How many it was given then.
        batch_digest: Which ones, see `digest_of`.
        turns: How many turns it has had since it was replayed last.
        given: How much it was given since it was measured, in bytes.
        measured: What it took when that was measured last, in bytes.
        measure_at: The number of turns at which it is measured next.
    """

    __slots__ = (
        'batch_count',
        'batch_digest',
        'count',
        'execution_id',
        'given',
        'instance',
        'measure_at',
        'measured',
        'turns',
    )

    def __init__(self, instance: WorkflowInstance, execution_id: str) -> None:
        super().__init__()
        self.instance = instance
        self.execution_id = execution_id
        self.count = 0
        self.batch_count = 0
        self.batch_digest = b''
        self.turns = 0
        self.given = 0
        self.measured = 0
        self.measure_at = 1

    def stands_after(self, count: int, batch: Sequence[pb.HistoryEvent]) -> None:
        """Takes note of a turn: so many committed events, and then these."""
        self.count = count
        self.batch_count = len(batch)
        self.batch_digest, given = digest_of(batch)
        # Measuring costs what the workflow holds, so it is done when that may have doubled, and the longer after the
        # last time, the more that was. In between, it may hold everything that it was given.
        self.turns += 1
        self.given += given
        if self.turns >= self.measure_at or self.given > self.measured:
            self.measured, self.given = footprint(self.instance.holdings()), 0
            self.measure_at = self.turns + max(self.turns, self.measured // _BYTES_MEASURED_A_TURN)


class StickyInstances:
    """Keeps running workflows between turns. May be called from any thread.

    Args:
        close: Ends a workflow that is thrown away; must not raise.
        ttl: Seconds after its last turn for which a workflow is kept, at least. Default, and for zero or less: 3,600.
        max_instances: How many are kept at most, those in a turn aside. Default, and for zero or less: 100,000.
        max_bytes: How much memory they take at most, in bytes. Default, and for zero or less: no limit.
        clock: A monotonic clock, in seconds.

    Attributes:
        on_discard: Called when a sweep has something to close; must return at once. Default: nothing is called.
    """

    def __init__(
        self,
        close: Callable[[WorkflowInstance], None],
        *,
        ttl: float = DEFAULT_TTL_SECONDS,
        max_instances: int = DEFAULT_MAX_INSTANCES,
        max_bytes: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.on_discard: Callable[[], None] = lambda: None
        self._close = close
        self._lock = threading.Lock()
        self._parked: BoundedEntries[Parked] = BoundedEntries(ttl, max_instances, max_bytes, clock)
        self._discarded: deque[WorkflowInstance] = deque()
        self._hits = 0
        self._misses: Counter[str] = Counter()

    @property
    def ttl(self) -> float:
        """Seconds after its last turn for which a workflow is kept, at least."""
        return self._parked.ttl

    def resume(self, request: pb.WorkflowRequest, ticket: Ticket, observer: Observer | None = None) -> Parked | None:
        """Takes out the running workflow that a work item goes on from, and brings it to where its new events begin.

        Run those, and park it again; or close it.

        Args:
            request: The work item.
            ticket: Its place among the dispatches of its instance.
            observer: Is told when there is none. Default: no one is.

        Returns:
            None when there is none that may be used: replay the committed history then.
        """
        instance_id = request.instanceId
        is_first_turn = not (request.cachedHistory.eventCount or request.pastEvents)
        with self._lock:
            if not ticket.is_newest():
                self._count_miss('busy', is_first_turn, observer)
                return None
            parked = self._parked.remove(instance_id, why_gone='busy')
            if parked is None:
                self._count_miss(self._parked.why_gone(instance_id), is_first_turn, observer)
                return None
        reason = _why_not(parked, request) or _bring_forward(parked, request)
        with self._lock:
            if reason is None:
                self._hits += 1
                return parked
            self._parked.evictions['mismatch'] += 1
            self._count_miss(reason, is_first_turn, observer)
        self._discard([parked])
        return None

    def park(self, parked: Parked, request: pb.WorkflowRequest, ticket: Ticket) -> bool:
        """Keeps a workflow that has run the new events of a work item. Call it before the turn is answered.

        Returns:
            Whether it is kept: not when a newer dispatch of the instance has come in. Close it then.
        """
        instance_id = request.instanceId
        parked.instance.set_propagated_history(None)  # each work item brings it along
        parked.stands_after(request.cachedHistory.eventCount + len(request.pastEvents), request.newEvents)
        size = _ENTRY_BYTES + len(instance_id) + len(parked.execution_id) + parked.measured + parked.given
        with self._lock:
            if not ticket.is_newest():
                self._parked.evictions['superseded'] += 1
                return False
            gone = self._parked.add(instance_id, parked, size)
        self._discard(gone)
        return True

    def peek(self, instance_id: str) -> WorkflowInstance | None:
        """The running workflow that is kept for an instance, to be looked at alone; None where none is."""
        with self._lock:
            parked = self._parked.find(instance_id)
        return None if parked is None else parked.instance

    def forget(self, instance_id: str, parked: Parked) -> None:
        """Throws a workflow away whose answer did not arrive, unless it is in its next turn already."""
        with self._lock:
            if self._parked.find(instance_id) is not parked:
                return
            self._parked.remove(instance_id, why_gone='evicted')
            self._parked.evictions['undelivered'] += 1
        self._discard([parked])

    def reset(self) -> None:
        """Throws everything away: the stream that it belongs to is over."""
        with self._lock:
            gone = self._parked.clear()
        self._discard(gone)

    def sweep_expired(self) -> None:
        """Throws away what had no turn for longer than the TTL, and closes all that was thrown away so far: `finally`
        blocks of workflows run here."""
        with self._lock:
            gone = self._parked.expire()
        self._discard(gone)
        while True:
            try:
                instance = self._discarded.popleft()
            except IndexError:  # also when another sweep has taken the last: a start's janitor may outlive its stop
                return
            self._close(instance)

    def next_expiry(self) -> float | None:
        """Seconds until a sweep has something to do, if nothing happens till then; None when nothing is kept."""
        with self._lock:
            return 0.0 if self._discarded else self._parked.next_expiry()

    @property
    def stats(self) -> StickyStats:
        """All counters, at one moment."""
        with self._lock:
            return StickyStats(
                hits=self._hits,
                misses=StickyMisses(**self._misses),
                evictions=StickyEvictions(**self._parked.evictions),
                running=len(self._parked),
                bytes=self._parked.bytes,
            )

    # Inside

    def _count_miss(self, reason: str, is_first_turn: bool, observer: Observer | None) -> None:
        if not is_first_turn:
            self._misses[reason] += 1
        if observer is not None:
            observer.missed('' if is_first_turn else reason)

    def _discard(self, gone: Iterable[Parked]) -> None:
        instances = [parked.instance for parked in gone]
        if instances:  # counted here: a sweep may empty what they are put into at any moment
            self._discarded.extend(instances)
            self.on_discard()


def _why_not(parked: Parked, request: pb.WorkflowRequest) -> str | None:
    """Why a work item does not go on from where a workflow stands, as a field of `StickyMisses`; None when it does."""
    execution_id = execution_id_in(request)
    if execution_id and parked.execution_id and execution_id != parked.execution_id:
        return 'execution'
    start = _place_of_batch(parked, request)
    if not 0 <= start <= len(request.pastEvents):
        return 'position'
    end = start + parked.batch_count
    # The digest, last: it costs the most.
    if end > len(request.pastEvents) or digest_of(request.pastEvents[start:end])[0] != parked.batch_digest:
        return 'batch'
    return None


def _place_of_batch(parked: Parked, request: pb.WorkflowRequest) -> int:
    """Where, in the committed events of a work item, those must stand that a workflow was given last."""
    return parked.count - request.cachedHistory.eventCount


def _bring_forward(parked: Parked, request: pb.WorkflowRequest) -> str | None:
    """Replays what was committed since; says why that came to no good, or None."""
    instance = parked.instance
    try:
        instance.set_propagated_history(propagated_history_of(request))
        instance.replay(request.pastEvents[_place_of_batch(parked, request) + parked.batch_count :])
    except Exception:  # the replay of the whole history comes to the same, and answers for it
        return 'diverged'
    # Perhaps the code is to blame, perhaps what was kept: a replay of the whole history will tell.
    return 'diverged' if instance.is_ended else None


def execution_id_in(request: pb.WorkflowRequest) -> str:
    """The run that a work item is of; '' when it does not say."""
    return (
        request.executionId.value
        or (execution_id_of(request.pastEvents) if not request.cachedHistory.eventCount else '')
        or execution_id_of(request.newEvents)
    )


def digest_of(events: Sequence[pb.HistoryEvent]) -> tuple[bytes, int]:
    """A digest that equal events have in common, whatever version the sidecar has put on them; and their size in bytes.

    Of the messages, not of the bytes that came: the encoding of a map is not unique.
    """
    digest = blake2b(digest_size=16)
    size = 0
    for event in events:
        encoded = without_version(event).SerializeToString(deterministic=True)
        digest.update(len(encoded).to_bytes(4, 'little'))
        digest.update(encoded)
        size += len(encoded)
    return digest.digest(), size
