"""A workflow's history, read as what happened: its steps, their attempts, and what it waits for now. Pure.

A history is a list of events, and most of what people ask is about pairs of them: an activity was scheduled *and*
failed, its retry waited *and* ran. A `Story` holds one `Step` for each thing that the workflow has asked for:

- an activity or a child workflow, all its attempts in one step;
- a timer of the workflow's own (one that a retry policy made is the time between two attempts);
- a wait for an event, up to the event or the end of its time;
- an event that came while nothing waited for it, one that the workflow sent, a workflow that it started apart.

What is open when the history ends is what the workflow waits for. Of the waits for one event name the oldest gets the
event, as in a worker; where a worker's code has withdrawn one, no history says so, and the step that shows as waiting
may be that one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Final

from dapr.ext.workflow._durabletask.failures import FailureDetails
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.metadata import metadata_of, payload_of


class StepKind(Enum):
    """What a step is."""

    ACTIVITY = 'activity'
    CHILD = 'child workflow'
    TIMER = 'timer'
    WAIT = 'wait for event'
    EVENT = 'event'
    """An event that came while nothing waited for it."""
    SENT = 'event sent'
    DETACHED = 'workflow started apart'


class StepStatus(Enum):
    """How a step stands."""

    OPEN = 'open'
    COMPLETED = 'completed'
    FAILED = 'failed'
    TIMED_OUT = 'timed out'
    ABANDONED = 'abandoned'
    """The workflow ended without it."""


@dataclass(slots=True)
class Attempt:
    """One attempt of an activity or a child workflow.

    Attributes:
        event_id: The id of the event that scheduled it; a rerun can begin there.
        started: When it was scheduled (naive, UTC; as all moments here).
        ended: When its end came, or None.
        failure: Why it failed, or None.
        next_at: When the attempt after it is due, once that is known.
    """

    event_id: int
    started: datetime
    ended: datetime | None = None
    failure: FailureDetails | None = None
    next_at: datetime | None = None


@dataclass(slots=True)
class Step:
    """One thing that a workflow has asked for.

    Attributes:
        kind: What it is.
        event_id: The id of the event that it began with; -1 where that has none.
        name: The activity's, workflow's, timer's or event's name; empty where there is none.
        started: When it began.
        ended: When it ended, or None.
        status: How it stands.
        input: What it was given, as the text on the wire, or None.
        result: What it came to, likewise.
        failure: Why it failed, or None.
        due: For a timer or a wait with a limit: when its time is over.
        instance_id: For a child workflow, or one started apart: its instance id.
        app_id: The app that it went to; empty: the workflow's own.
        attempts: For an activity or a child workflow: its attempts, in order.
        metadata: What went with its input; empty: nothing.
    """

    kind: StepKind
    event_id: int
    name: str
    started: datetime
    ended: datetime | None = None
    status: StepStatus = StepStatus.OPEN
    input: str | None = None
    result: str | None = None
    failure: FailureDetails | None = None
    due: datetime | None = None
    instance_id: str = ''
    app_id: str = ''
    attempts: list[Attempt] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Whether the workflow may still be waiting for it."""
        return self.status is StepStatus.OPEN

    def describe(self) -> str:
        """What is waited for, in a few words."""
        name = f" '{self.name}'" if self.name else ''
        until = f', until {_moment(self.due)}' if self.due is not None else ''
        if self.kind is StepKind.TIMER:
            return f'timer{name}{until}'
        if self.kind is StepKind.WAIT:
            return f'event{name}{until}'
        if not self.attempts:
            return f'{self.kind.value}{name}'
        last = self.attempts[-1]
        target = f' {self.instance_id}' if self.instance_id else ''
        app = f' of app {self.app_id}' if self.app_id else ''
        if last.ended is None:
            attempt = f', attempt {len(self.attempts)}' if len(self.attempts) > 1 else ''
            return f'{self.kind.value}{name}{target}{app}{attempt}'
        why = f' after {last.failure.error_type}' if last.failure is not None else ''
        return f'{self.kind.value}{name}{target}{app}: attempt {len(self.attempts) + 1}{why}{_at(last.next_at)}'


@dataclass(slots=True)
class Story:
    """What a history tells of one run of a workflow.

    Attributes:
        name: The workflow's name; empty while the history is.
        execution_id: The run's id; empty where the sidecar gives none.
        started: When the run began, or None.
        ended: When it ended, or None.
        input: What it was given, as the text on the wire, or None.
        result: What it came to, likewise.
        failure: Why it failed, or None.
        parent_instance_id: The instance id of the workflow that has started it as a child; empty for none.
        version: The name of the workflow's version that runs; empty for none.
        patches: The patches that its code has met.
        stall: Why it stands still until a worker or a person helps, or None.
        steps: What it has asked for, in the order in which it did.
        pauses: From when to when it was suspended; the last one may have no end.
        turns: How many turns it has taken.
        events: How many events its history has.
        metadata: What came with its input; empty: nothing.
    """

    name: str = ''
    execution_id: str = ''
    started: datetime | None = None
    ended: datetime | None = None
    input: str | None = None
    result: str | None = None
    failure: FailureDetails | None = None
    parent_instance_id: str = ''
    version: str = ''
    patches: list[str] = field(default_factory=list)
    stall: str | None = None
    steps: list[Step] = field(default_factory=list)
    pauses: list[tuple[datetime, datetime | None]] = field(default_factory=list)
    turns: int = 0
    events: int = 0
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def waits_for(self) -> list[Step]:
        """The steps that are open."""
        return [step for step in self.steps if step.is_open]

    @property
    def children(self) -> list[Step]:
        """The child workflows."""
        return [step for step in self.steps if step.kind is StepKind.CHILD]

    @property
    def length(self) -> str:
        """How long its history is, in words."""
        events = '1 event' if self.events == 1 else f'{self.events} events'
        return f'{events}, 1 turn' if self.turns == 1 else f'{events}, {self.turns} turns'


def read(events: Iterable[pb.HistoryEvent]) -> Story:
    """Reads a history, oldest event first. Events of unknown kinds are counted, and no more."""
    reader = _Reader()
    for event in events:
        reader.take(event)
    return reader.finish()


class _Reader:
    def __init__(self) -> None:
        self.story = Story()
        # By the id of the event that a resolution names.
        self._steps: dict[int, Step] = {}
        self._retries: dict[int, Step] = {}
        # By what all attempts of a call have in common.
        self._calls: dict[tuple[StepKind, str], Step] = {}
        self._waits: dict[str, list[Step]] = {}
        # A name's early events, to be taken by the waits that come after them.
        self._buffered: dict[str, list[Step]] = {}

    def take(self, event: pb.HistoryEvent) -> None:
        self.story.events += 1
        kind = event.WhichOneof('eventType')
        take = _TAKERS.get(kind)
        if kind is not None and take is not None:
            take(self, event, getattr(event, kind), event.timestamp.ToDatetime())

    def finish(self) -> Story:
        if self.story.ended is not None:
            for step in self.story.waits_for:
                step.status = StepStatus.ABANDONED
        return self.story

    def workflow_started(self, event: pb.HistoryEvent, body: pb.WorkflowStartedEvent, at: datetime) -> None:
        self.story.turns += 1
        self.story.stall = None  # it goes on
        if body.HasField('version'):
            self.story.version = body.version.name or self.story.version
            self.story.patches += [patch for patch in body.version.patches if patch not in self.story.patches]

    def execution_started(self, event: pb.HistoryEvent, body: pb.ExecutionStartedEvent, at: datetime) -> None:
        story = self.story
        story.name = body.name
        story.execution_id = body.workflowInstance.executionId.value
        story.started = at
        story.input, story.metadata = _input(body)
        story.parent_instance_id = body.parentInstance.workflowInstance.instanceId

    def execution_completed(self, event: pb.HistoryEvent, body: pb.ExecutionCompletedEvent, at: datetime) -> None:
        self._end(at, _text(body, 'result'), _failure(body))

    def execution_terminated(self, event: pb.HistoryEvent, body: pb.ExecutionTerminatedEvent, at: datetime) -> None:
        self._end(at, _text(body, 'input'), None)

    def execution_suspended(self, event: pb.HistoryEvent, body: Any, at: datetime) -> None:
        if not self.story.pauses or self.story.pauses[-1][1] is not None:
            self.story.pauses.append((at, None))

    def execution_resumed(self, event: pb.HistoryEvent, body: Any, at: datetime) -> None:
        if self.story.pauses and self.story.pauses[-1][1] is None:
            self.story.pauses[-1] = (self.story.pauses[-1][0], at)

    def execution_stalled(self, event: pb.HistoryEvent, body: pb.ExecutionStalledEvent, at: datetime) -> None:
        reason = pb.StalledReason.Name(body.reason)
        self.story.stall = f'{reason}: {body.description}' if body.description else reason

    def task_scheduled(self, event: pb.HistoryEvent, body: pb.TaskScheduledEvent, at: datetime) -> None:
        self._attempt(StepKind.ACTIVITY, body.taskExecutionId, event, body, at)

    def child_created(self, event: pb.HistoryEvent, body: pb.ChildWorkflowInstanceCreatedEvent, at: datetime) -> None:
        step = self._attempt(StepKind.CHILD, body.instanceId, event, body, at)
        step.instance_id = body.instanceId

    def completed(self, event: pb.HistoryEvent, body: Any, at: datetime) -> None:
        step = self._steps.get(body.taskScheduledId)
        if step is not None and step.is_open:
            step.attempts[-1].ended = at
            self._close(step, at, StepStatus.COMPLETED)
            step.result = _text(body, 'result')

    def failed(self, event: pb.HistoryEvent, body: Any, at: datetime) -> None:
        step = self._steps.get(body.taskScheduledId)
        if step is not None and step.is_open:
            step.attempts[-1].ended = at
            step.attempts[-1].failure = step.failure = _failure(body)
            # A retry policy may open it again.
            self._close(step, at, StepStatus.FAILED)

    def timer_created(self, event: pb.HistoryEvent, body: pb.TimerCreatedEvent, at: datetime) -> None:
        origin = body.WhichOneof('origin')
        due = _due(body)
        call: tuple[StepKind, str] | None = None
        if origin == 'activityRetry':
            call = (StepKind.ACTIVITY, body.activityRetry.taskExecutionId)
        elif origin == 'childWorkflowRetry':
            call = (StepKind.CHILD, body.childWorkflowRetry.instanceId)
        retried = self._calls.get(call) if call is not None else None
        if retried is not None:
            retried.status, retried.ended = StepStatus.OPEN, None
            retried.attempts[-1].next_at = due
            self._retries[event.eventId] = retried
            return
        kind = StepKind.WAIT if origin == 'externalEvent' else StepKind.TIMER
        name = body.externalEvent.name if kind is StepKind.WAIT else body.name
        step = self._add(Step(kind, event.eventId, name, at, due=due))
        self._steps[event.eventId] = step
        if kind is StepKind.WAIT:
            self._waits.setdefault(name.casefold(), []).append(step)

    def timer_fired(self, event: pb.HistoryEvent, body: pb.TimerFiredEvent, at: datetime) -> None:
        step = self._steps.get(body.timerId)
        if step is None or not step.is_open:
            return
        # The event's own timestamp is that of the timer's making, on some sidecars.
        ended = max(at, step.due) if step.due is not None else at
        is_wait = step.kind is StepKind.WAIT
        self._close(step, ended, StepStatus.TIMED_OUT if is_wait else StepStatus.COMPLETED)
        if is_wait:
            self._waits[step.name.casefold()].remove(step)

    def event_raised(self, event: pb.HistoryEvent, body: pb.EventRaisedEvent, at: datetime) -> None:
        waits = self._waits.get(body.name.casefold())
        step = waits.pop(0) if waits else self._add(Step(StepKind.EVENT, event.eventId, body.name, at))
        step.result = _text(body, 'input')
        self._close(step, at, StepStatus.COMPLETED)

    def event_sent(self, event: pb.HistoryEvent, body: pb.EventSentEvent, at: datetime) -> None:
        step = self._add(Step(StepKind.SENT, event.eventId, body.name, at, instance_id=body.instanceId))
        step.input = _text(body, 'input')
        self._close(step, at, StepStatus.COMPLETED)

    def detached_created(
        self, event: pb.HistoryEvent, body: pb.DetachedWorkflowInstanceCreatedEvent, at: datetime
    ) -> None:
        step = self._add(Step(StepKind.DETACHED, event.eventId, '', at, instance_id=body.instanceId))
        self._close(step, at, StepStatus.COMPLETED)

    # Inside

    def _add(self, step: Step) -> Step:
        self.story.steps.append(step)
        return step

    def _attempt(self, kind: StepKind, call: str, event: pb.HistoryEvent, body: Any, at: datetime) -> Step:
        known = self._calls.get((kind, call)) if call else None
        # A child may be started a second time under its id, by code and not by a retry: that is another step.
        if known is None or not known.is_open or known.attempts[-1].ended is None:
            known = self._add(Step(kind, event.eventId, body.name, at))
            known.input, known.metadata = _input(body)
            known.app_id = event.router.targetAppID
            if call:
                self._calls[kind, call] = known
        known.attempts.append(Attempt(event.eventId, at))
        self._steps[event.eventId] = known
        return known

    def _end(self, at: datetime, result: str | None, failure: FailureDetails | None) -> None:
        self.story.ended, self.story.result, self.story.failure = at, result, failure

    @staticmethod
    def _close(step: Step, at: datetime, status: StepStatus) -> None:
        # An event can have reached the sidecar before the turn that has asked for it was committed.
        step.ended, step.status = max(at, step.started), status


_TAKERS: Final[Mapping[str | None, Callable[[_Reader, pb.HistoryEvent, Any, datetime], None]]] = {
    'workflowStarted': _Reader.workflow_started,
    'executionStarted': _Reader.execution_started,
    'executionCompleted': _Reader.execution_completed,
    'executionTerminated': _Reader.execution_terminated,
    'executionSuspended': _Reader.execution_suspended,
    'executionResumed': _Reader.execution_resumed,
    'executionStalled': _Reader.execution_stalled,
    'taskScheduled': _Reader.task_scheduled,
    'taskCompleted': _Reader.completed,
    'taskFailed': _Reader.failed,
    'childWorkflowInstanceCreated': _Reader.child_created,
    'childWorkflowInstanceCompleted': _Reader.completed,
    'childWorkflowInstanceFailed': _Reader.failed,
    'timerCreated': _Reader.timer_created,
    'timerFired': _Reader.timer_fired,
    'eventRaised': _Reader.event_raised,
    'eventSent': _Reader.event_sent,
    'detachedWorkflowInstanceCreated': _Reader.detached_created,
}

# A wait without a limit has a timer there; the year says enough.
_NEVER_YEAR: Final = 9999


def _due(body: pb.TimerCreatedEvent) -> datetime | None:
    due = body.fireAt.ToDatetime()
    return None if due.year == _NEVER_YEAR else due


def _text(body: Any, name: str) -> str | None:
    return getattr(body, name).value if body.HasField(name) else None


def _input(body: Any) -> tuple[str | None, dict[str, str]]:
    text = _text(body, 'input')
    return payload_of(text), metadata_of(text)


def _failure(body: Any) -> FailureDetails | None:
    if not body.HasField('failureDetails'):
        return None
    return FailureDetails.from_proto(body.failureDetails)


def _moment(moment: datetime) -> str:
    return f'{moment:%Y-%m-%d %H:%M:%S}Z'


def _at(moment: datetime | None) -> str:
    return '' if moment is None else f' at {_moment(moment)}'
