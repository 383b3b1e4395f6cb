"""What a workflow's code asked for, and what its history has, in the same words: those of a workflow's author.

Both are told as calls with their names and inputs, so that a reader sees at one glance how they differ.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from google.protobuf import timestamp_pb2

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.internal.timer import is_optional_timer_event
from dapr.ext.workflow._durabletask.metadata import opened
from dapr.ext.workflow._durabletask.replay.actions import (
    Action,
    CreateChildWorkflow,
    CreateDetachedWorkflow,
    CreateTimer,
    Message,
    ScheduleTask,
    SendEvent,
    default_child_id,
)
from dapr.ext.workflow._durabletask.task import RetryableTask, TimerTask

_MOST: Final = 200
_STATUSES: Final[dict[int, str]] = {
    pb.ORCHESTRATION_STATUS_COMPLETED: 'completed',
    pb.ORCHESTRATION_STATUS_FAILED: 'failed',
    pb.ORCHESTRATION_STATUS_TERMINATED: 'was terminated',
    pb.ORCHESTRATION_STATUS_CANCELED: 'was canceled',
    pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW: 'continued as new',
}


def tell_action(action: Action, instance_id: str) -> str:
    """What the code asked for.

    Args:
        action: The action.
        instance_id: The workflow's instance id.
    """
    if isinstance(action, ScheduleTask):
        return _activity(action.name, action.encoded_input, action.app_id)
    if isinstance(action, CreateChildWorkflow):
        child_id = '' if action.has_default_id else action.instance_id
        return _child(action.name, action.encoded_input, child_id, action.app_id)
    if isinstance(action, CreateDetachedWorkflow):
        return _detached(action.instance_id, action.name, payload_of(action))
    if isinstance(action, SendEvent):
        return _sent(action.name, action.instance_id, payload_of(action))
    if isinstance(action, CreateTimer):
        origin: Any = action.origin
        kind = '' if origin is None else origin.DESCRIPTOR.name
        due = None if action.fire_at is None else _moment(action.fire_at)
        task = action.task
        retried = task._retryable_parent if isinstance(task, TimerTask) else None
        return _timer(
            kind.removeprefix('TimerOrigin'),
            getattr(origin, 'name', ''),
            due,
            retried._task_name if isinstance(retried, RetryableTask) else '',
        )
    return action.describe()


def tell_event(event: pb.HistoryEvent, history: Sequence[pb.HistoryEvent] = (), *, in_full: bool = False) -> str:
    """What the history has.

    Args:
        event: The event.
        history: The history that it is of: what a result is of, or a wait before a retry, stands there.
        in_full: Whether a run's end is told with what it came to. Default: False.
    """
    kind = event.WhichOneof('eventType')
    target = event.router.targetAppID if event.HasField('router') else ''
    if kind == 'taskScheduled':
        return _activity(event.taskScheduled.name, payload_of(event), target)
    if kind == 'childWorkflowInstanceCreated':
        created = event.childWorkflowInstanceCreated
        default = default_child_id(_instance_id(history), event.eventId)
        return _child(
            created.name, payload_of(event), '' if created.instanceId == default else created.instanceId, target
        )
    if kind == 'timerCreated':
        timer = event.timerCreated
        origin = timer.WhichOneof('origin') or ''
        is_optional = is_optional_timer_event(event)
        due = None if is_optional else _moment(timer.fireAt)
        if is_optional and not origin:
            return 'a wait for an external event'
        return _timer(origin, timer.externalEvent.name, due, _retried(timer, history))
    if kind == 'detachedWorkflowInstanceCreated':
        return _detached(event.detachedWorkflowInstanceCreated.instanceId)
    if kind == 'eventSent':
        return _sent(event.eventSent.name, event.eventSent.instanceId, payload_of(event))
    if kind == 'executionCompleted':
        ended = event.executionCompleted
        failure = ended.failureDetails if ended.HasField('failureDetails') else None
        result = ended.result.value or None
        return tell_end(ended.workflowStatus, result if in_full else None, failure)
    if kind in ('taskCompleted', 'taskFailed', 'childWorkflowInstanceCompleted', 'childWorkflowInstanceFailed'):
        body: Any = getattr(event, kind)
        called = next((tell_event(e, history) for e in history if e.eventId == body.taskScheduledId), 'a call')
        return f'the {"failure" if kind.endswith("Failed") else "result"} of {called}'
    if kind == 'timerFired':
        timer_id = event.timerFired.timerId
        return f'the end of {next((tell_event(e, history) for e in history if e.eventId == timer_id), "a timer")}'
    if kind == 'eventRaised':
        return f"the external event '{event.eventRaised.name}'"
    if kind == 'executionStarted':
        return f"the start of the workflow '{event.executionStarted.name}'"
    return str(kind or 'an event of a kind that is not known')


def tell_end(
    status: int, result: str | None, failure: pb.TaskFailureDetails | None, error: BaseException | None = None
) -> str:
    """How a run ended.

    Args:
        status: The status on the wire.
        result: What it came to, as text, or None.
        failure: What it failed with, or None.
        error: The error itself, where it is there: it knows its class.
    """
    told = f'the workflow {_STATUSES.get(status, "ended")}'
    if status == pb.ORCHESTRATION_STATUS_FAILED:
        if error is not None:
            return f'{told} with {type(error).__name__}: {_clipped(str(error))}'
        if failure is not None:
            return f'{told} with {failure.errorType}: {_clipped(failure.errorMessage)}'
    elif result:
        return f'{told} with {_clipped(result)}'
    return told


def payload_of(of: Action | pb.HistoryEvent) -> str | None:
    """The input of a call, as the text on the wire; None where it has none."""
    if isinstance(of, ScheduleTask | CreateChildWorkflow):
        return of.encoded_input
    if isinstance(of, Message):
        sent, started = of.message.sendEvent, of.message.createDetachedWorkflow
        if of.message.HasField('sendEvent'):
            return sent.data.value if sent.HasField('data') else None
        return started.input.value if started.HasField('input') else None
    if isinstance(of, Action):
        return None
    kind = of.WhichOneof('eventType')
    body: Any = getattr(of, kind) if kind else None
    return body.input.value if body is not None and body.HasField('input') else None


def _activity(name: str, encoded: str | None, app_id: str | None) -> str:
    return f"activity '{name}'{_of_app(app_id)}{_with_input(encoded)}"


def _child(name: str, encoded: str | None, instance_id: str, app_id: str | None) -> str:
    known = f" as instance '{instance_id}'" if instance_id else ''
    return f"child workflow '{name}'{_of_app(app_id)}{known}{_with_input(encoded)}"


def _detached(instance_id: str, name: str = '', encoded: str | None = None) -> str:
    # Histories have the instance alone.
    called = f" of workflow '{name}'" if name else ' of a workflow'
    return f"the start{called} apart as instance '{instance_id}'{_with_input(encoded)}"


def _sent(name: str, instance_id: str, encoded: str | None) -> str:
    return f"the sending of event '{name}' to instance '{instance_id}'{_with_input(encoded)}"


def _timer(origin: str, event_name: str, due: str | None, retried: str) -> str:
    origin = origin.casefold()
    until = '' if due is None else f' until {due}'
    if origin == 'externalevent':
        return f"a wait for the external event '{event_name}'{until}"
    if origin in ('activityretry', 'childworkflowretry'):
        kind = 'activity' if origin == 'activityretry' else 'child workflow'
        return f'the wait before another attempt of {kind}' + (f" '{retried}'" if retried else '') + until
    return f'a timer{until}'


def _retried(timer: pb.TimerCreatedEvent, history: Sequence[pb.HistoryEvent]) -> str:
    execution_id = timer.activityRetry.taskExecutionId
    child_id = timer.childWorkflowRetry.instanceId
    for event in history:
        if execution_id and event.taskScheduled.taskExecutionId == execution_id:
            return event.taskScheduled.name
        if child_id and event.childWorkflowInstanceCreated.instanceId == child_id:
            return event.childWorkflowInstanceCreated.name
    return ''


def _instance_id(history: Sequence[pb.HistoryEvent]) -> str:
    started = (e.executionStarted.workflowInstance.instanceId for e in history if e.HasField('executionStarted'))
    return next(started, '')


def _of_app(app_id: str | None) -> str:
    return f" of app '{app_id}'" if app_id else ''


def _with_input(encoded: str | None) -> str:
    payload, metadata = (None, None) if encoded is None else opened(encoded)
    told = [] if payload is None else [f'input {_clipped(payload)}']
    if metadata:
        told.append(f'metadata {_clipped(json.dumps(metadata))}')
    return f' with {" and ".join(told)}' if told else ''


def _clipped(text: str) -> str:
    text = ' '.join(text.split())
    return text if len(text) <= _MOST else f'{text[: _MOST - 1]}…'


def _moment(when: datetime | timestamp_pb2.Timestamp) -> str:
    if isinstance(when, timestamp_pb2.Timestamp):
        try:
            when = when.ToDatetime()
        except (OverflowError, ValueError):
            return 'for ever'
    return f'{when:%Y-%m-%d %H:%M:%S} UTC' if when.year >= 1000 else str(when)
