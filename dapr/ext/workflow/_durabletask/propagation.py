"""History that travels: what a workflow lets its activities and children see of its past, and how they read it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

from google.protobuf import wrappers_pb2
from google.protobuf.message import DecodeError

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.metadata import payload_of

__all__ = [
    'ActivityResult',
    'ChildWorkflowResult',
    'HistoryChunk',
    'PropagatedHistory',
    'PropagationNotFoundError',
    'PropagationScope',
    'WorkflowResult',
]


class PropagationScope(Enum):
    """How much history goes along with an activity or a child workflow. The values are those of the wire."""

    NONE = 0
    """None of it."""
    OWN_HISTORY = 1
    """The caller's own."""
    LINEAGE = 2
    """The caller's own, and what was propagated to the caller."""


class PropagationNotFoundError(Exception):
    """The propagated history has no workflow, activity or child workflow of the name that was asked for."""


@dataclass(frozen=True)
class ActivityResult:
    """What a propagated history tells of one activity.

    Attributes:
        name: The activity's name.
        started: Whether it was scheduled.
        completed: Whether it has completed.
        failed: Whether it has failed.
        input: Its input as JSON; None when it has none.
        output: Its result as JSON; None when it has none (yet).
        error: Its failure, when it has failed.
    """

    name: str
    started: bool
    completed: bool
    failed: bool
    input: str | None
    output: str | None
    error: pb.TaskFailureDetails | None


@dataclass(frozen=True)
class ChildWorkflowResult:
    """What a propagated history tells of one child workflow.

    Attributes:
        name: The child workflow's name.
        started: Whether it was created.
        completed: Whether it has completed.
        failed: Whether it has failed.
        output: Its result as JSON; None when it has none (yet).
        error: Its failure, when it has failed.
    """

    name: str
    started: bool
    completed: bool
    failed: bool
    output: str | None
    error: pb.TaskFailureDetails | None


@dataclass(frozen=True)
class HistoryChunk:
    """Which of the events of a `PropagatedHistory` belong to one workflow instance.

    Attributes:
        app_id: The app that the workflow runs in.
        instance_id: Its instance id.
        workflow_name: Its name.
        start_event_index: The place of its first event in the list of all events.
        event_count: How many events it has.
    """

    app_id: str
    instance_id: str
    workflow_name: str
    start_event_index: int
    event_count: int


@dataclass(frozen=True)
class WorkflowResult:
    """One workflow of a propagated history.

    Attributes:
        instance_id: Its instance id.
        app_id: The app that it runs in.
        name: Its name.
    """

    instance_id: str
    app_id: str
    name: str
    _events: list[pb.HistoryEvent] = field(repr=False)

    def get_activities_by_name(self, name: str) -> list[ActivityResult]:
        """Its activities of that name in the order in which they were scheduled, each attempt of its own."""
        return [
            self._activity(event)
            for event in self._events
            if event.HasField('taskScheduled') and event.taskScheduled.name == name
        ]

    def get_last_activity_by_name(self, name: str) -> ActivityResult:
        """The activity of that name that was scheduled last.

        Raises:
            PropagationNotFoundError: There is none of that name.
        """
        activities = self.get_activities_by_name(name)
        if not activities:
            raise PropagationNotFoundError(
                f'no activity named {name!r} in propagated history for workflow {self.name!r}'
            )
        return activities[-1]

    def get_child_workflows_by_name(self, name: str) -> list[ChildWorkflowResult]:
        """Its child workflows of that name in the order in which they were created, each attempt of its own."""
        return [
            self._child(event)
            for event in self._events
            if event.HasField('childWorkflowInstanceCreated') and event.childWorkflowInstanceCreated.name == name
        ]

    def get_last_child_workflow_by_name(self, name: str) -> ChildWorkflowResult:
        """The child workflow of that name that was created last.

        Raises:
            PropagationNotFoundError: There is none of that name.
        """
        children = self.get_child_workflows_by_name(name)
        if not children:
            raise PropagationNotFoundError(
                f'no child workflow named {name!r} in propagated history for workflow {self.name!r}'
            )
        return children[-1]

    def _activity(self, scheduled: pb.HistoryEvent) -> ActivityResult:
        output: str | None = None
        error: pb.TaskFailureDetails | None = None
        completed = failed = False
        for event in self._events:
            if event.HasField('taskCompleted') and event.taskCompleted.taskScheduledId == scheduled.eventId:
                completed, output = True, _value(event.taskCompleted.result)
                break
            if event.HasField('taskFailed') and event.taskFailed.taskScheduledId == scheduled.eventId:
                failed, error = True, event.taskFailed.failureDetails
                break
        name, encoded_input = scheduled.taskScheduled.name, payload_of(_value(scheduled.taskScheduled.input))
        return ActivityResult(name, True, completed, failed, encoded_input, output, error)

    def _child(self, created: pb.HistoryEvent) -> ChildWorkflowResult:
        output: str | None = None
        error: pb.TaskFailureDetails | None = None
        completed = failed = False
        for event in self._events:
            if event.HasField('childWorkflowInstanceCompleted'):
                ended = event.childWorkflowInstanceCompleted
                if ended.taskScheduledId == created.eventId:
                    completed, output = True, _value(ended.result)
                    break
            elif event.HasField('childWorkflowInstanceFailed'):
                broken = event.childWorkflowInstanceFailed
                if broken.taskScheduledId == created.eventId:
                    failed, error = True, broken.failureDetails
                    break
        return ChildWorkflowResult(created.childWorkflowInstanceCreated.name, True, completed, failed, output, error)


class PropagatedHistory:
    """The history that an activity or a workflow was given by what called it (`PropagatedHistory` on the wire).

    Attributes:
        events: All events, workflow after workflow.
        scope: How far back it reaches.

    Args:
        events: All events, workflow after workflow.
        scope: How far back it reaches.
        chunks: Which of the events belong to which workflow.
    """

    def __init__(self, events: list[pb.HistoryEvent], scope: PropagationScope, chunks: Sequence[HistoryChunk]) -> None:
        self.events = events
        self.scope = scope
        self._chunks = chunks

    @classmethod
    def from_proto(cls, propagated_history: pb.PropagatedHistory | None) -> PropagatedHistory | None:
        """Reads the message; None, when nothing was propagated, stays None.

        Raises:
            ValueError: The scope is unknown, a chunk names no app, or an event cannot be read.
        """
        if propagated_history is None:
            return None
        events: list[pb.HistoryEvent] = []
        chunks: list[HistoryChunk] = []
        for number, chunk in enumerate(propagated_history.chunks):
            if not chunk.appId:
                raise ValueError(f'propagated history: chunk {number} has empty appId: it must name its app')
            start = len(events)
            for position, raw in enumerate(chunk.rawEvents):
                try:
                    events.append(pb.HistoryEvent.FromString(raw))
                except DecodeError as error:
                    raise ValueError(
                        f'propagated history: chunk {number} (app {chunk.appId!r}): failed to decode rawEvent '
                        f'{position}: {error}'
                    ) from error
            chunks.append(HistoryChunk(chunk.appId, chunk.instanceId, chunk.workflowName, start, len(chunk.rawEvents)))
        return cls(events, PropagationScope(propagated_history.scope), chunks)

    def get_app_ids(self) -> list[str]:
        """The apps that the workflows run in, each once, in the order in which they come."""
        return list(dict.fromkeys(chunk.app_id for chunk in self._chunks))

    def get_events_by_app_id(self, app_id: str) -> list[pb.HistoryEvent]:
        """The events of all workflows of that app; empty when there is none."""
        return self._events_of(chunk for chunk in self._chunks if chunk.app_id == app_id)

    def get_events_by_instance_id(self, instance_id: str) -> list[pb.HistoryEvent]:
        """The events of the workflow of that instance id; empty when there is none."""
        return self._events_of(chunk for chunk in self._chunks if chunk.instance_id == instance_id)

    def get_events_by_workflow_name(self, workflow_name: str) -> list[pb.HistoryEvent]:
        """The events of all workflows of that name; empty when there is none."""
        return self._events_of(chunk for chunk in self._chunks if chunk.workflow_name == workflow_name)

    def get_workflows(self) -> list[WorkflowResult]:
        """All workflows, in the order in which they come."""
        return [
            WorkflowResult(chunk.instance_id, chunk.app_id, chunk.workflow_name, self._events_of([chunk]))
            for chunk in self._chunks
        ]

    def get_workflows_by_name(self, name: str) -> list[WorkflowResult]:
        """The workflows of that name, in the order in which they come."""
        return [workflow for workflow in self.get_workflows() if workflow.name == name]

    def get_last_workflow_by_name(self, name: str) -> WorkflowResult:
        """The workflow of that name that comes last.

        Raises:
            PropagationNotFoundError: There is none of that name.
        """
        workflows = self.get_workflows_by_name(name)
        if not workflows:
            raise PropagationNotFoundError(f'no workflow named {name!r} in propagated history')
        return workflows[-1]

    def _events_of(self, chunks: Sequence[HistoryChunk] | Iterator[HistoryChunk]) -> list[pb.HistoryEvent]:
        return [
            event
            for chunk in chunks
            for event in self.events[chunk.start_event_index : chunk.start_event_index + chunk.event_count]
        ]


def propagated_history_of(request: pb.WorkflowRequest) -> PropagatedHistory | None:
    """The history that a work item brings along, or None.

    Raises:
        ValueError: It cannot be read.
    """
    return PropagatedHistory.from_proto(request.propagatedHistory) if request.HasField('propagatedHistory') else None


def _value(wrapper: wrappers_pb2.StringValue) -> str | None:
    return wrapper.value or None
