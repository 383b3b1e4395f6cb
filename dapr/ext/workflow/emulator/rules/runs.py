"""What a run's committed events come to, and which of the events that wait make the next batch. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator.rules import events

__all__ = ['MAX_BATCH', 'OPENING', 'RESOLVING', 'Batch', 'Message', 'RunState', 'after', 'next_batch', 'resolved']

MAX_BATCH: Final = 1000
"""The most events that one batch has."""

RESOLVING: Final = {
    'taskCompleted': ('task', 'taskScheduledId'),
    'taskFailed': ('task', 'taskScheduledId'),
    'timerFired': ('timer', 'timerId'),
    'childWorkflowInstanceCompleted': ('child', 'taskScheduledId'),
    'childWorkflowInstanceFailed': ('child', 'taskScheduledId'),
}
"""The events that resolve something: what they resolve, and the field of its id."""

OPENING: Final = {'taskScheduled': 'task', 'timerCreated': 'timer', 'childWorkflowInstanceCreated': 'child'}
"""The events that schedule something, and what."""


class Message(NamedTuple):
    """An event in an instance's inbox, and the id of its row."""

    id: int
    event: pb.HistoryEvent


class RunState:
    """What the committed events of a run come to: kept up as events are added, so that no turn reads the history again.

    Attributes:
        is_started: Whether executionStarted is among them.
        is_suspended: Whether it stands still.
        stalled_for: Why it is stalled, if the last of them says that it is.
        open: What was scheduled and has no result: the events by which it was, by kind and id.
        version: The version of its workflow, when its first turn has said one.
        patches: The patches that its turns have said, each when it was met.

    Args:
        history: The events so far.
    """

    __slots__ = ('_is_first', 'is_started', 'is_suspended', 'open', 'patches', 'stalled_for', 'version')

    def __init__(self, history: Iterable[pb.HistoryEvent] = ()) -> None:
        self.is_started = False
        self.is_suspended = False
        self.stalled_for: str | None = None
        self.open: dict[tuple[str, int], pb.HistoryEvent] = {}
        self.version = ''
        self.patches: list[str] = []
        self._is_first = True
        self.add(history)

    def add(self, history: Iterable[pb.HistoryEvent]) -> None:
        """Takes further events into account."""
        for event in history:
            kind = event.WhichOneof('eventType') or ''
            self.stalled_for = event.executionStalled.description if kind == 'executionStalled' else None
            if kind in OPENING:
                self.open[OPENING[kind], event.eventId] = event
            elif kind in RESOLVING:
                self.open.pop(resolved(event, kind), None)
            elif kind == 'executionStarted':
                self.is_started = True
            elif kind == 'executionSuspended':
                self.is_suspended = True
            elif kind == 'executionResumed':
                self.is_suspended = False
            elif kind == 'workflowStarted':
                version = event.workflowStarted.version
                self.patches += version.patches
                if self._is_first:
                    self._is_first = False
                    self.version = version.name

    def children_after(self, added: Sequence[pb.HistoryEvent]) -> list[pb.HistoryEvent]:
        """childWorkflowInstanceCreated of the children without a result, after these events, which are not added."""
        after = RunState(added)
        done = {resolved(event, kind) for event in added if (kind := event.WhichOneof('eventType')) in RESOLVING}
        before = {what: event for what, event in self.open.items() if what not in done}
        return [event for (kind, _), event in {**before, **after.open}.items() if kind == 'child']


@dataclass(slots=True)
class Batch:
    """What a turn is given.

    Attributes:
        events: workflowStarted and what follows; none when there is nothing to do.
        taken: The messages that are done with when the turn is committed, those that were dropped among them.
        left: The messages for later turns.
    """

    events: list[pb.HistoryEvent]
    taken: list[Message]
    left: list[Message]


def after(created_at: int, now: int) -> int:
    """When a run begins that follows another one of the same instance id.

    A microsecond after that at the least: what a worker makes of instance id and time (UUIDs, random numbers) must be
    another one, with a clock that stands still or is set back, too.

    Args:
        created_at: When the other one began, in microseconds since the epoch.
        now: The time by the clock.
    """
    return max(now, created_at + 1)


def next_batch(state: RunState, inbox: Sequence[Message], now: int) -> Batch:
    """Makes the next batch: a fresh workflowStarted, then the inbox in its order.

    executionStarted comes first, and nothing before it: what was sent to an instance that is scheduled for later waits.
    Dropped: a second executionStarted, and what resolves nothing that is open (it came twice, or too late).
    """
    ordered = list(inbox)
    if not state.is_started:
        ordered.sort(key=lambda message: not message.event.HasField('executionStarted'))
        if not ordered or not ordered[0].event.HasField('executionStarted'):
            return Batch([], [], ordered)
    chosen = [events.workflow_started(now)]
    is_started = state.is_started
    done: set[tuple[str, int]] = set()
    count = 0
    for message in ordered:
        if len(chosen) == MAX_BATCH:
            break
        count += 1
        event = message.event
        kind = event.WhichOneof('eventType') or ''
        if kind in RESOLVING:
            what = resolved(event, kind)
            if what not in state.open or what in done:
                continue
            done.add(what)
        elif kind == 'executionStarted':
            if is_started:
                continue
            is_started = True
        chosen.append(event)
    return Batch(chosen if len(chosen) > 1 else [], ordered[:count], ordered[count:])


def resolved(event: pb.HistoryEvent, kind: str) -> tuple[str, int]:
    """What an event of a kind in `RESOLVING` resolves: its kind and id, as in `RunState.open`."""
    what, field = RESOLVING[kind]
    return what, getattr(getattr(event, kind), field)
