"""What the calls that list, show and rerun workflows take and give."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Final

from dapr.ext.workflow._durabletask.clients.explaining import name_of_stall
from dapr.ext.workflow._durabletask.failures import FailureDetails
from dapr.ext.workflow._durabletask.internal import protos as pb

__all__ = ['UNSET', 'Unset', 'WorkflowHistoryEvent', 'WorkflowHistoryEventType', 'WorkflowInstanceIdPage']


class Unset(Enum):
    """The type of `UNSET`."""

    UNSET = 'unset'

    def __repr__(self) -> str:
        return '<unset>'


UNSET: Final = Unset.UNSET
"""Says that no value was given, where None would be one."""


class WorkflowHistoryEventType(Enum):
    """What happened. The values are the names of the wire (`HistoryEvent.eventType`)."""

    UNKNOWN = 'unknown'
    """An event of a newer sidecar."""
    EXECUTION_STARTED = 'executionStarted'
    EXECUTION_COMPLETED = 'executionCompleted'
    EXECUTION_TERMINATED = 'executionTerminated'
    EXECUTION_SUSPENDED = 'executionSuspended'
    EXECUTION_RESUMED = 'executionResumed'
    EXECUTION_STALLED = 'executionStalled'
    TASK_SCHEDULED = 'taskScheduled'
    TASK_COMPLETED = 'taskCompleted'
    TASK_FAILED = 'taskFailed'
    CHILD_WORKFLOW_INSTANCE_CREATED = 'childWorkflowInstanceCreated'
    CHILD_WORKFLOW_INSTANCE_COMPLETED = 'childWorkflowInstanceCompleted'
    CHILD_WORKFLOW_INSTANCE_FAILED = 'childWorkflowInstanceFailed'
    DETACHED_WORKFLOW_INSTANCE_CREATED = 'detachedWorkflowInstanceCreated'
    TIMER_CREATED = 'timerCreated'
    TIMER_FIRED = 'timerFired'
    EVENT_SENT = 'eventSent'
    EVENT_RAISED = 'eventRaised'
    CONTINUE_AS_NEW = 'continueAsNew'
    WORKFLOW_STARTED = 'workflowStarted'
    """A turn began."""
    WORKFLOW_COMPLETED = 'workflowCompleted'

    @classmethod
    def _missing_(cls, value: object) -> WorkflowHistoryEventType:
        return cls.UNKNOWN


_RERUNNABLE = frozenset(
    {
        WorkflowHistoryEventType.TASK_SCHEDULED,
        WorkflowHistoryEventType.CHILD_WORKFLOW_INSTANCE_CREATED,
        WorkflowHistoryEventType.TIMER_CREATED,
    }
)


@dataclass(frozen=True)
class WorkflowHistoryEvent:
    """An event of a workflow's history.

    Attributes:
        event_id: Its id; -1 where the sidecar gives none.
        timestamp: When it happened (naive, UTC).
        event_type: What happened.
        name: The name of the workflow, activity, event or timer that it is about; None where it has none.
        task_scheduled_id: For the end of an activity or child workflow: the id of the event that scheduled it.
        failure_details: What went wrong, or None.
        reason: Why the instance is stalled: 'PATCH_MISMATCH', 'VERSION_NOT_AVAILABLE', 'PAYLOAD_SIZE_EXCEEDED'; None
            for events of other kinds.
        description: The sidecar's own words for that, or None.
    """

    event_id: int
    timestamp: datetime
    event_type: WorkflowHistoryEventType
    name: str | None
    task_scheduled_id: int | None
    failure_details: FailureDetails | None
    reason: str | None = None
    description: str | None = None

    @property
    def is_rerunnable(self) -> bool:
        """Whether a workflow can be run again from an event of this kind."""
        return self.event_type in _RERUNNABLE


@dataclass(frozen=True)
class WorkflowInstanceIdPage:
    """A page of instance ids.

    Attributes:
        instance_ids: The ids.
        continuation_token: What to ask for the next page with; None on the last one.
    """

    instance_ids: list[str]
    continuation_token: str | None


def read_event(event: pb.HistoryEvent) -> WorkflowHistoryEvent:
    """The event of the wire as clients show it; one of an unknown kind is told as such."""
    kind = event.WhichOneof('eventType')
    body: Any = getattr(event, kind) if kind else None
    fields = body.DESCRIPTOR.fields_by_name if kind else {}
    name = body.name if 'name' in fields else ''
    failure = None
    if 'failureDetails' in fields and body.HasField('failureDetails'):
        failure = FailureDetails.from_proto(body.failureDetails)
    return WorkflowHistoryEvent(
        event_id=event.eventId,
        timestamp=event.timestamp.ToDatetime(),
        event_type=_event_type(kind),
        name=name or None,
        task_scheduled_id=body.taskScheduledId if 'taskScheduledId' in fields else None,
        failure_details=failure,
        reason=name_of_stall(body) if kind == 'executionStalled' else None,
        description=(body.description or None) if kind == 'executionStalled' else None,
    )


def read_page(response: pb.ListInstanceIDsResponse) -> WorkflowInstanceIdPage:
    """The page of the wire as clients show it. An empty token is none: it would ask for the first page again."""
    return WorkflowInstanceIdPage(list(response.instanceIds), response.continuationToken or None)


def _event_type(kind: str | None) -> WorkflowHistoryEventType:
    try:
        return WorkflowHistoryEventType(kind)
    except ValueError:
        return WorkflowHistoryEventType.UNKNOWN
