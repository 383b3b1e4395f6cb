"""The resolver: what a turn replays, from which source, and what is remembered of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from dapr.ext.workflow._durabletask.history import resolver
from dapr.ext.workflow._durabletask.history.cache import Lease, _WorkflowHistoryCache
from dapr.ext.workflow._durabletask.history.fence import DispatchFence, Ticket
from dapr.ext.workflow._durabletask.history.resolver import (
    HistoryResolver,
    ResolvedHistory,
    _HistoryResolutionError,
)
from dapr.ext.workflow._durabletask.internal import protos as pb
from tests.support import transcripts
from tests.support.engine import START, execution_started, task_completed, task_scheduled, workflow_started

Events = list[pb.HistoryEvent]


def history_of(steps: int, run: str = 'run', offset: float = 0) -> Events:
    """The committed history of that many steps of three events; other runs and offsets have other events."""
    first = execution_started('wf')
    first.executionStarted.workflowInstance.executionId.value = run
    history = [workflow_started(START + timedelta(seconds=offset)), first, task_scheduled(1, 'act')]
    for number in range(1, steps):
        at = START + timedelta(seconds=offset + number)
        history += [workflow_started(at), task_completed(number, f'{run} {number}'), task_scheduled(number + 1, 'act')]
    return history


class Worker:
    """A cache, a fence and a resolver; the sidecar's history is what `sidecar_history` says, or raises."""

    def __init__(self) -> None:
        self.cache = _WorkflowHistoryCache()
        self.fence = DispatchFence()
        self.fence.new_stream(1)
        self.sidecar_history: Events | Exception = ConnectionError('no history was expected to be fetched')
        self.fetched = 0
        self.resolver = HistoryResolver(self.cache, self._fetch)

    def _fetch(self, instance_id: str) -> Sequence[pb.HistoryEvent]:
        self.fetched += 1
        if isinstance(self.sidecar_history, Exception):
            raise self.sidecar_history
        return self.sidecar_history

    def new_stream(self) -> None:
        self.fence.new_stream(2)
        self.resolver.new_stream()

    def resolve(self, request: pb.WorkflowRequest, ticket: Ticket | None = None) -> ResolvedHistory:
        return self.resolver.resolve(request, ticket or self.fence.enter(request.instanceId))

    def turn(self, request: pb.WorkflowRequest, *, ended: bool = False) -> Events:
        """A turn from dispatch to answer; returns what was replayed."""
        ticket = self.fence.enter(request.instanceId)
        try:
            resolved = self.resolve(request, ticket)
            events = list(resolved.events)
            resolved.remember(ended=ended)
            return events
        finally:
            ticket.leave()


def item(past: Events, new: Events | None = None, *, after: int = 0, run: str | None = 'run') -> pb.WorkflowRequest:
    """A work item: the whole history, or what follows its first `after` events."""
    request = pb.WorkflowRequest(instanceId='i', pastEvents=past[after:], newEvents=new or [])
    if run is not None:
        request.executionId.value = run
    if after:
        request.cachedHistory.eventCount = after
    return request


def test_a_full_send_is_replayed_as_it_is_and_kept() -> None:
    worker = Worker()
    assert worker.turn(item(history_of(2))) == history_of(2)
    assert worker.cache.get('i') == history_of(2)


def test_a_delta_is_spliced_after_the_kept_prefix_and_kept_too() -> None:
    worker = Worker()
    worker.turn(item(history_of(1)))
    for steps in range(2, 6):
        assert worker.turn(item(history_of(steps), after=3 * (steps - 1))) == history_of(steps)
    assert (worker.fetched, worker.cache.stats.hits, worker.cache.stats.misses.total) == (0, 4, 0)


def test_a_redelivery_has_an_empty_delta() -> None:
    worker = Worker()
    worker.turn(item(history_of(2)))
    for _ in range(3):
        assert worker.turn(item(history_of(2), after=6)) == history_of(2)
    assert worker.fetched == 0


def test_an_empty_history_is_not_kept() -> None:
    worker = Worker()
    assert worker.turn(item([])) == []
    assert worker.cache.stats.entries == 0


@pytest.mark.parametrize('reason', ['cold', 'length', 'execution', 'fenced', 'evicted'])
def test_on_a_miss_the_history_is_fetched_and_kept(reason: str) -> None:
    worker = Worker()
    worker.sidecar_history = history_of(4)
    ticket = None
    if reason == 'length':
        worker.turn(item(history_of(2)))
    elif reason == 'execution':
        worker.turn(item(history_of(3, run='an earlier run'), run='an earlier run'))
    elif reason == 'fenced':
        worker.turn(item(history_of(3)))
        ticket = worker.fence.enter('i')
        worker.fence.enter('i')
    elif reason == 'evicted':
        worker.turn(item(history_of(3)))
        worker.new_stream()
    request = item(history_of(4), after=9)
    resolved = worker.resolve(request, ticket)
    assert list(resolved.events) == history_of(4)
    assert worker.fetched == 1
    stats = worker.cache.stats
    assert (getattr(stats.misses, reason), stats.misses.total, stats.hits, stats.fetches) == (1, 1, 0, 1)
    resolved.remember(ended=False)
    if reason != 'fenced':
        assert worker.cache.get('i') == history_of(4)


def test_a_prefix_of_another_run_is_never_spliced_though_its_length_fits() -> None:
    """Beat-list 1. Run 1 ended on another stream, run 2 of the same id has come back with as many events."""
    worker = Worker()
    worker.turn(item(history_of(3, run='run 1'), run='run 1'))
    worker.sidecar_history = history_of(4, run='run 2', offset=1000)
    replayed = worker.turn(item(history_of(4, run='run 2', offset=1000), after=9, run='run 2'))
    assert replayed == history_of(4, run='run 2', offset=1000)
    assert worker.fetched == 1


class TestWithoutExecutionId:
    """durabletask-go 0.13.0 does not say which run an item is of."""

    def batch(self, steps: int, **other: float) -> Events:
        """The new events of the turn that leads to that many steps; the event of its action follows them."""
        return history_of(steps, **other)[-3:-1]  # type: ignore[arg-type]

    def test_a_delta_that_begins_with_the_last_turns_events_is_spliced(self) -> None:
        worker = Worker()
        worker.turn(item(history_of(2), self.batch(3), run=None))
        for steps in range(3, 6):
            delta = item(history_of(steps), self.batch(steps + 1), after=3 * (steps - 1), run=None)
            assert worker.turn(delta) == history_of(steps)
        assert worker.fetched == 0

    def test_the_version_that_the_sidecar_put_on_the_turn_does_not_matter(self) -> None:
        worker = Worker()
        worker.turn(item(history_of(2), self.batch(3), run=None))
        committed = history_of(3)
        committed[6].workflowStarted.version.patches.append('a patch')
        assert worker.turn(item(committed, self.batch(4), after=6, run=None)) == committed
        assert worker.fetched == 0

    @pytest.mark.parametrize('steps', [3, 2], ids=['other events', 'no events'])
    def test_another_delta_is_a_miss(self, steps: int) -> None:
        worker = Worker()
        worker.turn(item(history_of(2), self.batch(3), run=None))
        worker.sidecar_history = history_of(steps, offset=500)
        assert worker.turn(item(history_of(steps, offset=500), after=6, run=None)) == history_of(steps, offset=500)
        assert worker.cache.stats.misses.execution == 1


def test_a_fetched_history_that_has_grown_meanwhile_is_cut() -> None:
    worker = Worker()
    worker.sidecar_history = history_of(6)
    assert worker.turn(item(history_of(4), after=9)) == history_of(4)
    assert worker.cache.get('i') == history_of(4)


@pytest.mark.parametrize(
    'history',
    [
        history_of(3),
        [],
        history_of(4, run='another run'),
        history_of(4, offset=3),
        ConnectionError('the sidecar is gone'),
    ],
    ids=['shorter', 'none', 'another run', 'other events', 'no answer'],
)
def test_a_history_that_cannot_be_had_is_told_and_nothing_is_kept(history: Events | Exception) -> None:
    worker = Worker()
    worker.sidecar_history = history
    with pytest.raises(_HistoryResolutionError, match="instance 'i'"):
        worker.turn(item(history_of(4), after=9))
    assert worker.cache.stats.entries == 0
    assert (worker.cache.stats.fetches, worker.cache.stats.fetch_failures) == (1, 1)


def test_a_turn_that_ends_the_run_leaves_nothing() -> None:
    worker = Worker()
    worker.turn(item(history_of(2)))
    worker.turn(item(history_of(3), after=6), ended=True)
    assert worker.cache.stats.entries == 0
    assert worker.cache.stats.evictions.completed == 1


def test_a_turn_that_is_given_up_leaves_what_was_kept_and_unpinned() -> None:
    worker = Worker()
    worker.turn(item(history_of(2)))
    worker.resolve(item(history_of(3), after=6)).forget()
    assert worker.cache.get('i') == history_of(2)
    assert worker.cache.next_expiry() is not None


def test_a_superseded_dispatch_writes_nothing() -> None:
    """Beat-list 2, on one stream: the turn was dispatched again, and the first handler ends last."""
    worker = Worker()
    worker.turn(item(history_of(2)))
    old_ticket = worker.fence.enter('i')
    old = worker.resolve(item(history_of(3), after=6), old_ticket)
    worker.turn(item(history_of(3), after=9 - 3))
    worker.turn(item(history_of(4), after=9))
    old.remember(ended=False)
    assert worker.cache.get('i') == history_of(4)


@pytest.mark.parametrize('ended', [True, False])
def test_a_dispatch_of_a_stream_that_was_replaced_writes_nothing(ended: bool) -> None:
    """Beat-list 2: its write would land in the cache of the new stream, under what the sidecar counts on there."""
    worker = Worker()
    old = worker.resolve(item(history_of(5)))
    worker.new_stream()
    worker.turn(item(history_of(2)))
    old.remember(ended=ended)
    assert worker.cache.get('i') == history_of(2)


@pytest.mark.parametrize('run', ['run', None])
def test_nothing_is_kept_for_a_sidecar_that_sends_no_deltas(run: str | None) -> None:
    worker = Worker()
    for steps in range(1, 6):
        batch = history_of(steps + 1)[-3:-1]
        assert worker.turn(item(history_of(steps), batch, run=run)) == history_of(steps)
    assert worker.cache.stats.entries == 0
    worker.new_stream()
    worker.turn(item(history_of(6), run=run))
    assert worker.cache.stats.entries == 1, 'another stream may lead to another sidecar'


def test_a_sidecar_that_sends_deltas_may_send_all_of_a_history_again() -> None:
    """It counts for a million instances; one that it has lost count of costs the others nothing."""
    worker = Worker()
    worker.cache.put('another instance', history_of(2), 'run')
    worker.turn(item(history_of(2)))
    worker.turn(item(history_of(3), after=6))
    assert worker.turn(item(history_of(4))) == history_of(4)
    assert worker.cache.get('i') == history_of(4)
    assert worker.cache.stats.entries == 2
    assert worker.turn(item(history_of(5), after=12)) == history_of(5)
    assert worker.fetched == 0


@pytest.mark.parametrize('after', [0, 6])
def test_an_error_while_a_history_is_put_together_leaves_it_unpinned(
    after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker()
    worker.turn(item(history_of(2)))

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(resolver if after == 0 else Lease, '_is_start_of' if after == 0 else 'events', fail)
    with pytest.raises(MemoryError):
        worker.resolve(item(history_of(3), after=after))
    assert worker.cache.next_expiry() is not None, 'what is pinned never expires'


@pytest.mark.parametrize('path', transcripts.FILES, ids=transcripts.name_of)
def test_recorded_turns_are_resolved_as_the_deltas_that_they_were(path: Path) -> None:
    """Each turn replays the history that the sidecar had committed, and nothing is fetched."""
    worker = Worker()
    for turn in transcripts.turns(path):
        ticket = worker.fence.enter(turn.request.instanceId)
        resolved = worker.resolver.resolve(turn.request, ticket)
        assert list(resolved.events) == turn.committed
        resolved.remember(ended=any(action.HasField('completeWorkflow') for action in turn.response.actions))
        ticket.leave()
    assert worker.fetched == 0
