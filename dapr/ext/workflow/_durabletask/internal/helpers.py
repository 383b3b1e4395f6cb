"""Short ways to the wire's messages: one function for each event and action that the engine and its tests make.

Events that have no id of their own carry -1. All of them have a timestamp, at the epoch unless one is given: the
sidecar's clock fills it in, never ours. Payloads are JSON that is encoded already; None is no payload, '' is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from google.protobuf import timestamp_pb2, wrappers_pb2

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.internal.failure_details import new_failure_details
from dapr.ext.workflow._durabletask.internal.timer import (
    OPTIONAL_TIMER_FIRE_AT,
    TimerOrigin,
    is_optional_timer_action,
    is_optional_timer_event,
    new_create_timer_action,
    new_timer_created_event,
    new_timer_fired_event,
    new_timestamp,
)
from dapr.ext.workflow._durabletask.propagation import PropagationScope

__all__ = [
    'OPTIONAL_TIMER_FIRE_AT',
    'TimerOrigin',
    'get_orchestration_status_str',
    'get_string_value',
    'is_empty',
    'is_optional_timer_action',
    'is_optional_timer_event',
    'new_child_workflow_completed_event',
    'new_child_workflow_created_event',
    'new_child_workflow_failed_event',
    'new_complete_workflow_action',
    'new_create_child_workflow_action',
    'new_create_timer_action',
    'new_event_raised_event',
    'new_execution_started_event',
    'new_failure_details',
    'new_resume_event',
    'new_schedule_task_action',
    'new_suspend_event',
    'new_task_completed_event',
    'new_task_failed_event',
    'new_task_scheduled_event',
    'new_terminated_event',
    'new_timer_created_event',
    'new_timer_fired_event',
    'new_timestamp',
    'new_workflow_started_event',
    'new_workflow_version_not_available_action',
]

_NO_ID = -1
_STATUS_PREFIX = 'ORCHESTRATION_STATUS_'


def get_string_value(val: str | None) -> wrappers_pb2.StringValue | None:
    """The wrapper message for an optional string: None stays None (absent on the wire), '' is present and empty."""
    return None if val is None else wrappers_pb2.StringValue(value=val)


def is_empty(v: wrappers_pb2.StringValue | None) -> bool:
    """Whether the wrapper is absent or holds the empty string."""
    return v is None or v.value == ''


def get_orchestration_status_str(status: int) -> str:
    """The name of a status on the wire without its prefix, as in 'RUNNING'; 'UNKNOWN' for a number without a name."""
    try:
        name = pb.OrchestrationStatus.Name(status)  # type: ignore[arg-type]  # any number can come by
    except ValueError:
        return 'UNKNOWN'
    return name.removeprefix(_STATUS_PREFIX)


# Events


def new_workflow_started_event(timestamp: datetime | None = None) -> pb.HistoryEvent:
    """The start of a turn.

    Args:
        timestamp: The turn's time (without a time zone: UTC); None leaves it at the epoch.
    """
    return pb.HistoryEvent(
        eventId=_NO_ID,
        timestamp=timestamp_pb2.Timestamp() if timestamp is None else new_timestamp(timestamp),
        workflowStarted=pb.WorkflowStartedEvent(),
    )


def new_execution_started_event(name: str, instance_id: str, encoded_input: str | None = None) -> pb.HistoryEvent:
    """The start of a workflow's run."""
    return pb.HistoryEvent(
        eventId=_NO_ID,
        timestamp=timestamp_pb2.Timestamp(),
        executionStarted=pb.ExecutionStartedEvent(
            name=name,
            input=get_string_value(encoded_input),
            workflowInstance=pb.WorkflowInstance(instanceId=instance_id),
        ),
    )


def new_task_scheduled_event(event_id: int, name: str, encoded_input: str | None = None) -> pb.HistoryEvent:
    """History's confirmation that the activity was scheduled by the action of that id."""
    return pb.HistoryEvent(
        eventId=event_id,
        timestamp=timestamp_pb2.Timestamp(),
        taskScheduled=pb.TaskScheduledEvent(name=name, input=get_string_value(encoded_input)),
    )


def new_task_completed_event(event_id: int, encoded_output: str | None = None) -> pb.HistoryEvent:
    """The result of the activity that was scheduled under that id."""
    return pb.HistoryEvent(
        eventId=_NO_ID,
        timestamp=timestamp_pb2.Timestamp(),
        taskCompleted=pb.TaskCompletedEvent(taskScheduledId=event_id, result=get_string_value(encoded_output)),
    )


def new_task_failed_event(event_id: int, ex: BaseException) -> pb.HistoryEvent:
    """The failure of the activity that was scheduled under that id."""
    return pb.HistoryEvent(
        eventId=_NO_ID,
        timestamp=timestamp_pb2.Timestamp(),
        taskFailed=pb.TaskFailedEvent(taskScheduledId=event_id, failureDetails=new_failure_details(ex)),
    )


def new_child_workflow_created_event(
    event_id: int, name: str, instance_id: str, encoded_input: str | None = None
) -> pb.HistoryEvent:
    """History's confirmation that the child workflow was created by the action of that id."""
    return pb.HistoryEvent(
        eventId=event_id,
        timestamp=timestamp_pb2.Timestamp(),
        childWorkflowInstanceCreated=pb.ChildWorkflowInstanceCreatedEvent(
            name=name, input=get_string_value(encoded_input), instanceId=instance_id
        ),
    )


def new_child_workflow_completed_event(event_id: int, encoded_output: str | None = None) -> pb.HistoryEvent:
    """The result of the child workflow that was created under that id."""
    return pb.HistoryEvent(
        eventId=_NO_ID,
        timestamp=timestamp_pb2.Timestamp(),
        childWorkflowInstanceCompleted=pb.ChildWorkflowInstanceCompletedEvent(
            taskScheduledId=event_id, result=get_string_value(encoded_output)
        ),
    )


def new_child_workflow_failed_event(event_id: int, ex: BaseException) -> pb.HistoryEvent:
    """The failure of the child workflow that was created under that id."""
    return pb.HistoryEvent(
        eventId=_NO_ID,
        timestamp=timestamp_pb2.Timestamp(),
        childWorkflowInstanceFailed=pb.ChildWorkflowInstanceFailedEvent(
            taskScheduledId=event_id, failureDetails=new_failure_details(ex)
        ),
    )


def new_event_raised_event(name: str, encoded_input: str | None = None) -> pb.HistoryEvent:
    """An external event for the workflow."""
    return pb.HistoryEvent(
        eventId=_NO_ID,
        timestamp=timestamp_pb2.Timestamp(),
        eventRaised=pb.EventRaisedEvent(name=name, input=get_string_value(encoded_input)),
    )


def new_suspend_event() -> pb.HistoryEvent:
    """The workflow stands still from here on."""
    return pb.HistoryEvent(
        eventId=_NO_ID, timestamp=timestamp_pb2.Timestamp(), executionSuspended=pb.ExecutionSuspendedEvent()
    )


def new_resume_event() -> pb.HistoryEvent:
    """The workflow goes on."""
    return pb.HistoryEvent(
        eventId=_NO_ID, timestamp=timestamp_pb2.Timestamp(), executionResumed=pb.ExecutionResumedEvent()
    )


def new_terminated_event(*, encoded_output: str | None = None) -> pb.HistoryEvent:
    """The workflow is ended from outside, with that output."""
    return pb.HistoryEvent(
        eventId=_NO_ID,
        timestamp=timestamp_pb2.Timestamp(),
        executionTerminated=pb.ExecutionTerminatedEvent(input=get_string_value(encoded_output)),
    )


# Actions


def new_schedule_task_action(
    id: int,
    name: str,
    encoded_input: str | None,
    router: pb.TaskRouter | None = None,
    task_execution_id: str = '',
    propagation_scope: PropagationScope | int | None = None,
) -> pb.WorkflowAction:
    """Asks for an activity.

    Args:
        id: The action's id.
        name: The activity's name.
        encoded_input: Its input, or None.
        router: Where it comes from and which app is to run it, or None.
        task_execution_id: What all attempts of the activity have in common.
        propagation_scope: How much history goes with it; None says nothing about it.
    """
    return pb.WorkflowAction(
        id=id,
        scheduleTask=pb.ScheduleTaskAction(
            name=name,
            input=get_string_value(encoded_input),
            taskExecutionId=task_execution_id,
            historyPropagationScope=_scope(propagation_scope),
        ),
        router=router,
    )


def new_create_child_workflow_action(
    id: int,
    name: str,
    instance_id: str | None,
    encoded_input: str | None,
    router: pb.TaskRouter | None = None,
    propagation_scope: PropagationScope | int | None = None,
) -> pb.WorkflowAction:
    """Asks for a child workflow.

    Args:
        id: The action's id.
        name: The workflow's name.
        instance_id: The child's instance id; None leaves it to the sidecar.
        encoded_input: Its input, or None.
        router: Where it comes from and which app is to run it, or None.
        propagation_scope: How much history goes with it; None says nothing about it.
    """
    return pb.WorkflowAction(
        id=id,
        createChildWorkflow=pb.CreateChildWorkflowAction(
            instanceId=instance_id or '',
            name=name,
            input=get_string_value(encoded_input),
            historyPropagationScope=_scope(propagation_scope),
        ),
        router=router,
    )


def new_create_detached_workflow_action(
    name: str,
    instance_id: str,
    encoded_input: str | None,
    start_at: datetime | None = None,
    router: pb.TaskRouter | None = None,
) -> pb.WorkflowAction:
    """Asks for a workflow that has no parent. The action's id is to be set.

    Args:
        name: The workflow's name.
        instance_id: Its instance id.
        encoded_input: Its input, or None.
        start_at: When it starts (naive, UTC); None: at once.
        router: Where it comes from and which app is to run it, or None.
    """
    return pb.WorkflowAction(
        createDetachedWorkflow=pb.CreateDetachedWorkflowAction(
            instanceId=instance_id,
            name=name,
            input=get_string_value(encoded_input),
            scheduledStartTimestamp=None if start_at is None else new_timestamp(start_at),
        ),
        router=router,
    )


def new_send_event_action(
    instance_id: str, name: str, encoded_data: str | None, router: pb.TaskRouter | None = None
) -> pb.WorkflowAction:
    """Asks for an event to be raised on another instance. The action's id is to be set.

    Args:
        instance_id: The instance that it is for.
        name: The event's name.
        encoded_data: Its payload, or None.
        router: Where it comes from, or None.
    """
    return pb.WorkflowAction(
        sendEvent=pb.SendEventAction(
            instance=pb.WorkflowInstance(instanceId=instance_id), name=name, data=get_string_value(encoded_data)
        ),
        router=router,
    )


def new_complete_workflow_action(
    id: int,
    status: pb.OrchestrationStatus.ValueType,
    result: str | None = None,
    failure_details: pb.TaskFailureDetails | None = None,
    carryover_events: Sequence[pb.HistoryEvent] | None = None,
    router: pb.TaskRouter | None = None,
) -> pb.WorkflowAction:
    """Ends the run.

    Args:
        id: The action's id.
        status: How it ends; CONTINUED_AS_NEW starts the next run.
        result: The output, or the input of the next run, or None.
        failure_details: Why it failed, or None.
        carryover_events: The events that the next run is to be given, or None.
        router: Where the workflow runs, or None.
    """
    return pb.WorkflowAction(
        id=id,
        completeWorkflow=pb.CompleteWorkflowAction(
            workflowStatus=status,
            result=get_string_value(result),
            failureDetails=failure_details,
            carryoverEvents=carryover_events,
        ),
        router=router,
    )


def new_workflow_version_not_available_action(id: int) -> pb.WorkflowAction:
    """Says that this worker does not have the version that the workflow was started with."""
    return pb.WorkflowAction(id=id, workflowVersionNotAvailable=pb.WorkflowVersionNotAvailableAction())


def _scope(scope: PropagationScope | int | None) -> pb.HistoryPropagationScope.ValueType | None:
    # The enum's values are those of the wire; None must stay apart from NONE, since the field has presence.
    return scope.value if isinstance(scope, PropagationScope) else scope  # type: ignore[return-value]
