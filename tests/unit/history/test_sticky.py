"""Running workflows between turns: which work items they go on with, why not, and what becomes of those thrown away."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import timedelta

import pytest

from dapr.ext.workflow._durabletask.history.fence import DispatchFence, Ticket
from dapr.ext.workflow._durabletask.history.sticky import Parked, StickyInstances, digest_of, execution_id_in
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
from dapr.ext.workflow._durabletask.replay.instance import WorkflowInstance
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from tests.support.engine import (
    START,
    event_raised,
    execution_started,
    task_completed,
    task_scheduled,
    terminated,
    workflow_started,
)
from tests.support.scenarios import Workflow

Events = list[pb.HistoryEvent]


def chain(ctx: Context, _: None) -> Workflow:
    for number in range(5):
        yield ctx.call_activity('step', input=number)
    return 'done'


def moment(number: int) -> pb.HistoryEvent:
    return workflow_started(START + timedelta(seconds=number))


def batch(number: int) -> Events:
    """The new events of a turn; 1 is the first."""
    return [moment(number), execution_started('chain') if number == 1 else task_completed(number - 1)]


def committed(turns: int) -> Events:
    return [event for n in range(1, turns + 1) for event in (*batch(n), task_scheduled(n, 'step'))]


def request(
    number: int, *, after: int = 0, run: str = 'run', instance_id: str = 'i', past: Events | None = None
) -> pb.WorkflowRequest:
    """The work item of a turn, with the history that follows `after` events."""
    history = committed(number - 1) if past is None else past
    made = pb.WorkflowRequest(instanceId=instance_id, newEvents=batch(number), pastEvents=history[after:])
    made.cachedHistory.eventCount = after
    made.executionId.value = run
    return made


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Kept:
    """What is tested, and what a worker has around it."""

    def __init__(self, **limits: float) -> None:
        self.clock = Clock()
        self.closed: list[WorkflowInstance] = []
        self.sticky = StickyInstances(self.closed.append, clock=self.clock, **limits)  # type: ignore[arg-type]
        self.fence = DispatchFence()
        self._registry = _Registry()
        self._registry.add_orchestrator(chain)

    def enter(self, instance_id: str = 'i') -> Ticket:
        return self.fence.enter(instance_id)

    def run(self, request: pb.WorkflowRequest, ticket: Ticket | None = None) -> Parked:
        """A turn from the item's own, whole history, parked."""
        instance = WorkflowInstance(self._registry, request.instanceId)
        instance.replay(request.pastEvents)
        instance.run(request.newEvents)
        parked = Parked(instance, request.executionId.value)
        assert self.sticky.park(parked, request, ticket or self.enter(request.instanceId))
        return parked

    def resume(self, request: pb.WorkflowRequest) -> Parked | None:
        return self.sticky.resume(request, self.enter(request.instanceId))

    def misses(self) -> dict[str, int]:
        return {reason: count for reason, count in vars(self.sticky.stats.misses).items() if count}

    def evictions(self) -> dict[str, int]:
        return {reason: count for reason, count in vars(self.sticky.stats.evictions).items() if count}


# What it goes on with


@pytest.mark.parametrize('after', [0, 3, 6])
def test_a_workflow_goes_on_with_a_delta_and_with_a_whole_history_alike(after: int) -> None:
    kept = Kept()
    parked = kept.run(request(3))
    assert kept.resume(request(4, after=after)) is parked
    (action,) = parked.instance.run(batch(4)).actions
    assert (action.id, action.scheduleTask.input.value) == (4, '3')
    assert (kept.sticky.stats.hits, kept.misses(), kept.sticky.stats.running) == (1, {}, 0)


def test_a_workflow_catches_up_with_turns_that_others_had() -> None:
    kept = Kept()
    parked = kept.run(request(1))
    assert kept.resume(request(4)) is parked
    (action,) = parked.instance.run(batch(4)).actions
    assert action.id == 4


def test_the_version_that_the_sidecar_has_put_on_a_turn_is_no_difference() -> None:
    kept = Kept()
    parked = kept.run(request(1))
    history = committed(1)
    history[0].workflowStarted.version.CopyFrom(pb.WorkflowVersion(name='v', patches=['p']))
    assert kept.resume(request(2, past=history)) is parked


@pytest.mark.parametrize('run', ['', 'run'])
def test_a_run_without_a_name_is_known_by_its_events(run: str) -> None:
    kept = Kept()
    parked = kept.run(request(1, run=run))
    assert kept.resume(request(2, run='')) is parked


def test_the_history_that_came_along_is_there_for_one_turn() -> None:
    kept = Kept()
    parked = kept.run(request(1))
    item = request(2)
    item.propagatedHistory.CopyFrom(pb.PropagatedHistory(scope=pb.HISTORY_PROPAGATION_SCOPE_OWN_HISTORY))
    assert kept.resume(item) is parked
    assert parked.instance.context.get_propagated_history() is not None
    assert kept.sticky.park(parked, item, kept.enter())
    assert parked.instance.context.get_propagated_history() is None


# What it does not go on with


def changed(number: int, event: pb.HistoryEvent, turns: int = 2) -> Events:
    history = committed(turns)
    history[number] = event
    return history


@pytest.mark.parametrize(
    ('item', 'reason'),
    [
        (request(3, run='another run'), 'execution'),
        (request(3, after=4), 'position'),
        (request(3, past=committed(2)[:2]), 'position'),
        (request(2, after=1), 'batch'),
        (request(2), 'batch'),
        (request(3, past=changed(3, moment(9))), 'batch'),
        (request(3, past=changed(4, event_raised('x'))), 'batch'),
        (request(3, past=committed(2)[:4]), 'batch'),
        (request(3, past=changed(5, task_scheduled(2, 'another'))), 'diverged'),
        (request(3, past=changed(5, terminated())), 'diverged'),
    ],
    ids=[
        'another run',
        'a delta that begins later',
        'a history that ends before',
        'a delta that ends before',
        'the same turn again',
        'a turn of another time',
        'a turn of other events',
        'a part of the turn',
        'other actions',
        'an end',
    ],
)
def test_what_does_not_fit_to_a_work_item_is_thrown_away(item: pb.WorkflowRequest, reason: str) -> None:
    kept = Kept()
    parked = kept.run(request(2))
    assert kept.resume(item) is None
    assert (kept.misses(), kept.evictions()) == ({reason: 1}, {'mismatch': 1})
    assert (kept.sticky.stats.hits, kept.sticky.stats.running) == (0, 0)
    kept.sticky.sweep_expired()
    assert kept.closed == [parked.instance]


def test_an_error_in_what_follows_counts_as_divergence(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept()
    parked = kept.run(request(2))

    def fail(self: WorkflowInstance, events: Iterable[pb.HistoryEvent]) -> None:
        raise RuntimeError('a fault of ours')

    monkeypatch.setattr(WorkflowInstance, 'replay', fail)
    assert kept.resume(request(3)) is None
    assert kept.misses() == {'diverged': 1}
    kept.sticky.sweep_expired()
    assert kept.closed == [parked.instance]


def test_a_later_run_with_the_very_same_events_is_another_run() -> None:
    kept = Kept()
    kept.run(request(2, run='first'))
    assert kept.resume(request(3, run='second')) is None
    assert kept.misses() == {'execution': 1}


def test_first_turns_are_neither_hits_nor_misses() -> None:
    kept = Kept()
    assert kept.resume(request(1)) is None
    kept.run(request(1))
    assert kept.resume(request(1)) is None
    assert (kept.sticky.stats.hits, kept.misses(), kept.evictions()) == (0, {}, {'mismatch': 1})


# Who has it


def test_what_is_in_a_turn_is_not_there_for_another() -> None:
    kept = Kept()
    kept.run(request(1))
    assert kept.resume(request(2)) is not None
    assert kept.resume(request(2)) is None
    assert (kept.sticky.stats.hits, kept.misses()) == (1, {'busy': 1})


def test_a_turn_that_was_superseded_takes_nothing_and_keeps_nothing() -> None:
    kept = Kept()
    older, newer = kept.enter(), kept.enter()
    parked = kept.run(request(1), newer)
    assert kept.sticky.resume(request(2), older) is None
    assert kept.misses() == {'busy': 1}
    assert not kept.sticky.park(Parked(parked.instance, 'run'), request(1), older)
    assert (kept.evictions(), kept.sticky.stats.running) == ({'superseded': 1}, 1)
    assert kept.resume(request(2)) is parked


def test_tickets_of_another_stream_take_and_keep_nothing() -> None:
    kept = Kept()
    older = kept.enter()
    kept.run(request(1), older)
    kept.fence.new_stream(2)
    assert kept.sticky.resume(request(2), older) is None
    assert not kept.sticky.park(Parked(WorkflowInstance(_Registry(), 'i'), 'run'), request(1), older)


# How it goes


def test_an_answer_that_did_not_arrive_throws_its_workflow_away() -> None:
    kept = Kept()
    parked = kept.run(request(1))
    kept.sticky.forget('i', parked)
    kept.sticky.forget('i', parked)
    assert (kept.evictions(), kept.sticky.stats.running, kept.sticky.stats.bytes) == ({'undelivered': 1}, 0, 0)
    assert kept.resume(request(2)) is None
    assert kept.misses() == {'evicted': 1}


def test_an_answer_that_did_not_arrive_leaves_a_later_turn_alone() -> None:
    kept = Kept()
    first, second = kept.run(request(1)), kept.run(request(2))
    kept.sticky.forget('i', first)
    assert kept.resume(request(3)) is second


def test_all_goes_with_its_stream() -> None:
    kept = Kept()
    parked = [kept.run(request(1, instance_id=name)) for name in 'ab']
    kept.sticky.reset()
    assert (kept.evictions(), kept.sticky.stats.running, kept.sticky.stats.bytes) == ({'reset': 2}, 0, 0)
    assert kept.resume(request(2, instance_id='a')) is None
    assert kept.misses() == {'evicted': 1}
    kept.sticky.sweep_expired()
    assert kept.closed == [each.instance for each in parked]


def test_what_has_no_turn_for_too_long_expires() -> None:
    kept = Kept(ttl=60)
    kept.run(request(1))
    assert (kept.sticky.ttl, kept.sticky.next_expiry()) == (60, 60)
    kept.clock.now += 59
    kept.sticky.sweep_expired()
    assert kept.sticky.stats.running == 1
    kept.clock.now += 1
    kept.sticky.sweep_expired()
    assert (kept.evictions(), len(kept.closed), kept.sticky.next_expiry()) == ({'ttl': 1}, 1, None)
    assert kept.resume(request(2)) is None
    assert kept.misses() == {'expired': 1}


@pytest.mark.parametrize(('limits', 'reason'), [({'max_instances': 1}, 'count'), ({'max_bytes': 1}, 'bytes')])
def test_the_one_used_longest_ago_makes_room(limits: dict[str, float], reason: str) -> None:
    kept = Kept(**limits)
    kept.run(request(1, instance_id='a'))
    last = kept.run(request(1, instance_id='b'))
    assert (kept.evictions(), kept.sticky.stats.running) == ({reason: 1}, 1)
    assert kept.resume(request(2, instance_id='b')) is last


def test_what_is_thrown_away_is_closed_by_a_sweep_and_not_before() -> None:
    kept = Kept()
    told: list[int] = []
    kept.sticky.on_discard = lambda: told.append(len(kept.closed))
    kept.run(request(1))
    kept.sticky.reset()
    assert (told, kept.closed, kept.sticky.next_expiry()) == ([0], [], 0.0)
    kept.sticky.sweep_expired()
    assert (len(kept.closed), kept.sticky.next_expiry()) == (1, None)
    kept.sticky.reset()
    assert told == [0], 'there was nothing to close'


def test_what_is_thrown_away_while_a_sweep_ends_is_told_as_well() -> None:
    class Swept(deque[WorkflowInstance]):
        def extend(self, instances: Iterable[WorkflowInstance]) -> None:
            self.clear()  # a sweep has just closed what was there
            super().extend(instances)

    kept = Kept()
    told: list[str] = []
    kept.sticky.on_discard = lambda: told.append('told')
    kept.sticky._discarded = Swept()
    for _ in range(2):
        kept.run(request(1))
        kept.sticky.reset()
    assert told == ['told', 'told']


# What is compared


def test_equal_events_have_the_same_digest_whatever_the_order_of_their_maps() -> None:
    one, other = execution_started('chain'), execution_started('chain')
    names = [str(number) for number in range(20)]
    for name in names:
        one.executionStarted.tags[name] = name
    for name in reversed(names):
        other.executionStarted.tags[name] = name
    assert digest_of([one]) == digest_of([pb.HistoryEvent.FromString(other.SerializeToString())])
    other.executionStarted.tags['0'] = 'another'
    assert digest_of([one]) != digest_of([other])


def test_a_digest_leaves_out_versions_and_nothing_else() -> None:
    plain, versioned = moment(1), moment(1)
    versioned.workflowStarted.version.CopyFrom(pb.WorkflowVersion(name='v', patches=['p']))
    assert digest_of([plain]) == digest_of([versioned])
    assert versioned.workflowStarted.version.name == 'v', 'the event is as it was'
    others: tuple[Events, ...] = ([], [plain], [plain, plain], [moment(2)], [task_completed(1)])
    assert len({digest_of(events)[0] for events in others}) == len(others)


def test_a_digest_knows_where_one_event_ends_and_the_next_begins() -> None:
    # A message in protobuf's encoding, followed by another, is the encoding of both merged.
    merged = pb.HistoryEvent(eventId=1, timestamp=moment(1).timestamp)
    parts = [pb.HistoryEvent(eventId=1), pb.HistoryEvent(timestamp=merged.timestamp)]
    assert digest_of([merged])[0] != digest_of(parts)[0]


def test_the_run_of_a_work_item_is_what_it_says_or_what_its_events_say() -> None:
    started = execution_started('chain')
    started.executionStarted.workflowInstance.executionId.value = 'in the event'
    named = pb.WorkflowRequest(newEvents=[started])
    named.executionId.value = 'in the item'
    delta = pb.WorkflowRequest(pastEvents=[started], cachedHistory=pb.CachedHistory(eventCount=3))
    assert execution_id_in(named) == 'in the item'
    assert execution_id_in(pb.WorkflowRequest(pastEvents=[started])) == 'in the event'
    assert execution_id_in(pb.WorkflowRequest(newEvents=[started])) == 'in the event'
    assert execution_id_in(delta) == ''
