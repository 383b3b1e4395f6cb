"""The events that the emulator itself writes, and moments as it counts them.

A moment is a whole number of microseconds since the epoch: what is compared is exact, and SQLite can sort it.
"""

from __future__ import annotations

from typing import Final

from google.protobuf import timestamp_pb2, wrappers_pb2

from dapr.ext.workflow._durabletask.internal import protos as pb

__all__ = [
    'FIRST',
    'MICROS',
    'NEVER',
    'TERMINAL',
    'activity_result',
    'child_result',
    'event_raised',
    'execution_resumed',
    'execution_stalled',
    'execution_started',
    'execution_suspended',
    'execution_terminated',
    'failure',
    'micros',
    'new_event',
    'timer_fired',
    'timestamp',
    'workflow_started',
]

MICROS: Final = 1_000_000
"""Microseconds in a second."""

NEVER: Final = 253_402_300_799 * MICROS
"""The last second of the year 9999: a timer that fires then stands for a wait without a limit, and never does."""

TERMINAL: Final = frozenset(
    {
        pb.ORCHESTRATION_STATUS_COMPLETED,
        pb.ORCHESTRATION_STATUS_FAILED,
        pb.ORCHESTRATION_STATUS_TERMINATED,
        pb.ORCHESTRATION_STATUS_CANCELED,
    }
)
"""The statuses of instances that have ended."""

FIRST: Final = -62_135_596_800 * MICROS
"""The first second of the year 1, before which no timestamp is."""

_NO_ID: Final = -1
# Readers refuse what nests deeper than 100, with the whole work item, and a failure is handed on deeper than it came.
_MAX_CAUSES: Final = 50


def timestamp(moment: int) -> timestamp_pb2.Timestamp:
    """The moment as the wire has it."""
    seconds, rest = divmod(moment, MICROS)
    return timestamp_pb2.Timestamp(seconds=seconds, nanos=rest * 1000)


def micros(stamp: timestamp_pb2.Timestamp) -> int:
    """The moment of a timestamp, rounded up; one outside the years that the wire knows is the first or last of them."""
    moment = stamp.seconds * MICROS - (-stamp.nanos // 1000)
    return max(FIRST, min(moment, NEVER))


def new_event(now: int, event_id: int = _NO_ID, router: pb.TaskRouter | None = None) -> pb.HistoryEvent:
    """An event of no kind yet."""
    return pb.HistoryEvent(eventId=event_id, timestamp=timestamp(now), router=router)


def workflow_started(now: int, router: pb.TaskRouter | None = None) -> pb.HistoryEvent:
    """The start of a turn."""
    event = new_event(now, router=router)
    event.workflowStarted.SetInParent()
    return event


def execution_started(now: int, body: pb.ExecutionStartedEvent, router: pb.TaskRouter | None = None) -> pb.HistoryEvent:
    """The start of a run."""
    event = new_event(now, router=router)
    event.executionStarted.CopyFrom(body)
    return event


def event_raised(
    now: int, name: str, payload: wrappers_pb2.StringValue | None, router: pb.TaskRouter | None = None
) -> pb.HistoryEvent:
    """An external event."""
    event = new_event(now, router=router)
    event.eventRaised.name = name
    if payload is not None:
        event.eventRaised.input.CopyFrom(payload)
    return event


def execution_suspended(now: int, reason: str | None) -> pb.HistoryEvent:
    """The instance stands still from here on."""
    event = new_event(now)
    event.executionSuspended.SetInParent()
    if reason:
        event.executionSuspended.input.value = reason
    return event


def execution_resumed(now: int, reason: str | None) -> pb.HistoryEvent:
    """The instance goes on."""
    event = new_event(now)
    event.executionResumed.SetInParent()
    if reason:
        event.executionResumed.input.value = reason
    return event


def execution_terminated(
    now: int, output: wrappers_pb2.StringValue | None, recurse: bool, router: pb.TaskRouter | None = None
) -> pb.HistoryEvent:
    """The instance is to end, with that output; so are its children, if it recurses."""
    event = new_event(now, router=router)
    event.executionTerminated.recurse = recurse
    if output is not None:
        event.executionTerminated.input.CopyFrom(output)
    return event


def execution_stalled(now: int, reason: pb.StalledReason.ValueType, description: str) -> pb.HistoryEvent:
    """No connected worker has the code that the instance began with."""
    event = new_event(now)
    event.executionStalled.reason = reason
    event.executionStalled.description = description
    return event


def timer_fired(now: int, timer_id: int, fire_at: timestamp_pb2.Timestamp) -> pb.HistoryEvent:
    """A timer's time has come."""
    event = new_event(now)
    event.timerFired.timerId = timer_id
    event.timerFired.fireAt.CopyFrom(fire_at)
    return event


def activity_result(
    now: int,
    request: pb.ActivityRequest,
    result: wrappers_pb2.StringValue | None,
    failed: pb.TaskFailureDetails | None,
    router: pb.TaskRouter | None,
) -> pb.HistoryEvent:
    """How an activity ended."""
    event = new_event(now, router=router)
    body: pb.TaskFailedEvent | pb.TaskCompletedEvent
    if failed is not None:
        body = event.taskFailed
        _copy_failure(failed, body.failureDetails)
    else:
        body = event.taskCompleted
        if result is not None:
            body.result.CopyFrom(result)
    body.taskScheduledId = request.taskId
    body.taskExecutionId = request.taskExecutionId
    return event


def child_result(
    now: int,
    task_id: int,
    result: wrappers_pb2.StringValue | None,
    failed: pb.TaskFailureDetails | None,
    router: pb.TaskRouter | None,
    *,
    succeeded: bool,
) -> pb.HistoryEvent:
    """How a child workflow ended. One that failed may say nothing of the cause: it was terminated."""
    event = new_event(now, router=router)
    if succeeded:
        event.childWorkflowInstanceCompleted.taskScheduledId = task_id
        if result is not None:
            event.childWorkflowInstanceCompleted.result.CopyFrom(result)
    else:
        event.childWorkflowInstanceFailed.taskScheduledId = task_id
        if failed is not None:
            _copy_failure(failed, event.childWorkflowInstanceFailed.failureDetails)
    return event


def failure(kind: str, message: str, *, non_retriable: bool) -> pb.TaskFailureDetails:
    """A failure of the emulator's own."""
    return pb.TaskFailureDetails(errorType=kind, errorMessage=message, isNonRetriable=non_retriable)


def _copy_failure(failed: pb.TaskFailureDetails, copy: pb.TaskFailureDetails) -> None:
    copy.CopyFrom(failed)
    for _ in range(_MAX_CAUSES):
        if not copy.HasField('innerFailure'):
            return
        copy = copy.innerFailure
    copy.ClearField('innerFailure')
