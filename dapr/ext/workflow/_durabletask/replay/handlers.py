"""What each kind of history event does to a running workflow: one small function a kind, found by table.

There is a table for each state that a run can be in; which one applies is the run's business (`WorkflowInstance`). Each
table has every kind that the stubs know, and None: an event of a kind that is newer than they are.

- RUNNING: events act at once.
- SUSPENDED: everything is held back until the resume, so logical time stands still too; a terminate is not.
- ENDED: the run has its completion; only what may still change that counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from dapr.ext.workflow._durabletask.failures import FailureDetails, NonDeterminismError, TaskKind
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.internal.failure_details import blamed, type_names
from dapr.ext.workflow._durabletask.internal.payloads import unreadable
from dapr.ext.workflow._durabletask.internal.timer import is_optional_timer_event
from dapr.ext.workflow._durabletask.replay.actions import (
    Action,
    Awaited,
    CreateChildWorkflow,
    CreateDetachedWorkflow,
    CreateTimer,
    Message,
    ScheduleTask,
    SendEvent,
)
from dapr.ext.workflow._durabletask.retry import RetryPolicy, is_error_non_retryable
from dapr.ext.workflow._durabletask.task import RetryableTask, TimerTask
from dapr.ext.workflow._durabletask.tracing import see_run

if TYPE_CHECKING:
    from dapr.ext.workflow._durabletask.replay.instance import WorkflowInstance

Handler = Callable[['WorkflowInstance', pb.HistoryEvent], None]


# The run itself


def _workflow_started(run: WorkflowInstance, event: pb.HistoryEvent) -> None:
    context = run.context
    context._clock = event
    context._now = None
    started = event.workflowStarted
    if started.HasField('version'):
        _note_version(run, started.version)


def _workflow_started_while_suspended(run: WorkflowInstance, event: pb.HistoryEvent) -> None:
    # The answers of the turn that resumes are written here, and the events that the code asked at stand before it.
    _note_version(run, event.workflowStarted.version)
    run.hold_back(event)


def _note_version(run: WorkflowInstance, version: pb.WorkflowVersion) -> None:
    run.context._recorded_patches.update(version.patches)
    if version.name:
        run.context._version_name = version.name


def _execution_started(run: WorkflowInstance, event: pb.HistoryEvent) -> None:
    if event.HasField('router'):
        router = event.router
        run.context._app_id = router.targetAppID or router.sourceAppID or None
    started = event.executionStarted
    encoded_input = started.input.value if started.HasField('input') else None
    run.context._execution_id = started.workflowInstance.executionId.value
    if started.HasField('parentTraceContext'):
        _note_trace(run, started)
    if started.HasField('parentInstance'):
        run.context._parent_instance_id = started.parentInstance.workflowInstance.instanceId or None
    run.start(started.name, encoded_input)


def _note_trace(run: WorkflowInstance, started: pb.ExecutionStartedEvent) -> None:
    context, trace = run.context, started.parentTraceContext
    context._trace_parent, context._trace_state = trace.traceParent, trace.traceState.value
    context._workflow_span_id = started.workflowSpanID.value
    see_run(context.run_trace_parent, context._trace_state)


def _execution_terminated(run: WorkflowInstance, event: pb.HistoryEvent) -> None:
    terminated = event.executionTerminated
    run.context.set_terminated(terminated.input.value if terminated.HasField('input') else None)
    run.end()


def _execution_suspended(run: WorkflowInstance, event: pb.HistoryEvent) -> None:
    run.suspend()


def _execution_resumed(run: WorkflowInstance, event: pb.HistoryEvent) -> None:
    run.resume()


_WHERE = 'At action {} the history says '
_ADVICE = (
    'A workflow must do the same in every replay: its code was changed while this instance was running (guard '
    'such changes with is_patched or a new version), or it depends on something that is not in its history.'
)


# Confirmations: what the code asked for, and history says was done


def _task_scheduled(run: WorkflowInstance, event: pb.HistoryEvent) -> None:
    actions, action_id, name = run.context._actions, event.eventId, event.taskScheduled.name
    action = actions.get(action_id)
    if type(action) is ScheduleTask and action.name == name:  # `_confirm`, without a call
        del actions[action_id]
        action.clock = None
    else:
        _confirm(run, action_id, ScheduleTask, name)


def _child_workflow_created(run: WorkflowInstance, event: pb.HistoryEvent) -> None:
    _confirm(run, event.eventId, CreateChildWorkflow, event.childWorkflowInstanceCreated.name)


def _timer_created(run: WorkflowInstance, event: pb.HistoryEvent) -> None:
    if is_optional_timer_event(event):
        # Without its wait (the code was patched since) it means nothing: it never fires, and no one asks for it.
        action = run.context._actions.get(event.eventId)
        if isinstance(action, CreateTimer) and action.optional:
            del run.context._actions[event.eventId]
        return
    _confirm(run, event.eventId, CreateTimer, '')


def _confirm(run: WorkflowInstance, action_id: int, kind: type[Action], name: str) -> None:
    context = run.context
    action = context._actions.get(action_id)
    if type(action) is kind and action.name == name and not action.optional:
        del context._actions[action_id]
        action.clock = None  # it will not be sent, and may be waited for until long after the turn
        return
    if context.drop_optional_timer(action_id):
        _confirm(run, action_id, kind, name)
        return
    raise _mismatch(action_id, kind, name, action)


def _detached_created(run: WorkflowInstance, event: pb.HistoryEvent) -> None:
    _confirm_message(run, event, CreateDetachedWorkflow, event.detachedWorkflowInstanceCreated.instanceId, None)


def _event_sent(run: WorkflowInstance, event: pb.HistoryEvent) -> None:
    if _is_delivered(run, event):
        _take(run, event.eventSent)


def _event_sent_after_end(run: WorkflowInstance, event: pb.HistoryEvent) -> None:
    if _is_delivered(run, event):
        _buffer(run, event.eventSent)


def _is_delivered(run: WorkflowInstance, event: pb.HistoryEvent) -> bool:
    """Whether the event was sent to this instance: sidecars of Go give the receiver what the sender's history has."""
    sent = event.eventSent
    is_confirmation = _confirm_message(run, event, SendEvent, sent.instanceId, sent.name)
    return not is_confirmation and sent.instanceId == run.context.instance_id


def _confirm_message(
    run: WorkflowInstance, event: pb.HistoryEvent, kind: type[Message], instance_id: str, name: str | None
) -> bool:
    """Whether the event is what history says of a message of the code's. Events without one are of no concern: other
    tools' workers know of them, and they have no outcome."""
    action_id = event.eventId
    action = run.context._actions.get(action_id)
    if type(action) is not kind:
        return False
    if action.instance_id == instance_id and name in (None, action.name):
        del run.context._actions[action_id]
        return True
    if instance_id == run.context.instance_id:  # one that was sent to this instance, by another's action of that id
        return False
    raise NonDeterminismError(
        f"{_WHERE.format(action_id)}{kind.method} for the instance '{instance_id}', the code called "
        f'{action.describe()}. {_ADVICE}'
    )


def _confirmed_after_end(run: WorkflowInstance, event: pb.HistoryEvent) -> None:
    # dapr 1.19.0 sends its actions again in each turn in which it is suspended, and histories have them as often.
    if event.eventId <= run.last_action_id and event.eventId not in run.context._actions:
        return
    if event.eventId == run.context.last_timer_id:
        return
    # An ending drops what is pending, so history cannot go on with it: the code ends earlier than it did.
    kind: type[Action]
    if event.HasField('timerCreated'):
        if is_optional_timer_event(event):
            return
        kind, name = CreateTimer, ''
    elif event.HasField('taskScheduled'):
        kind, name = ScheduleTask, event.taskScheduled.name
    else:
        kind, name = CreateChildWorkflow, event.childWorkflowInstanceCreated.name
    if run.context.retract_completion():
        raise _mismatch(event.eventId, kind, name, None, 'the code had ended by then')


def _mismatch(
    action_id: int, kind: type[Action], name: str, action: Action | None, code: str = 'the code called nothing there'
) -> NonDeterminismError:
    # The first sentence is that of dapr 1.19.0 to the letter; the rest is in the terms of a workflow's author.
    if action is None:
        told = (
            f"A previous execution called {kind.method} with ID={action_id}, but the current execution doesn't have "
            'this action with this ID.'
        )
    elif type(action) is kind:
        told = (
            'Failed to restore orchestration state due to a history mismatch: A previous execution called '
            f"{kind.method} with name='{name}' and sequence number {action_id}, but the current execution is instead "
            f"trying to call {action.name} as part of rebuilding it's history."
        )
    else:
        told = (
            'Failed to restore orchestration state due to a history mismatch: A previous execution called '
            f'{kind.method} with ID={action_id}, but the current execution is instead trying to call {action.method} '
            "as part of rebuilding it's history."
        )
    recorded = f"{kind.method}('{name}')" if name else kind.method
    if action is not None:
        code = f'the code called {action.describe()}'
    return NonDeterminismError(f'{told} {_WHERE.format(action_id)}{recorded}, {code}. {_ADVICE}')


# Resolutions: what the code waits for has ended


def _task_completed(run: WorkflowInstance, event: pb.HistoryEvent) -> None:
    _complete(run, event, event.taskCompleted, ScheduleTask)


def _child_workflow_completed(run: WorkflowInstance, event: pb.HistoryEvent) -> None:
    _complete(run, event, event.childWorkflowInstanceCompleted, CreateChildWorkflow)


def _task_failed(run: WorkflowInstance, event: pb.HistoryEvent) -> None:
    failed = event.taskFailed
    what = f'{run.context.instance_id}: Activity task'
    _fail(run, event, failed.taskScheduledId, ScheduleTask, failed.failureDetails, what)


def _child_workflow_failed(run: WorkflowInstance, event: pb.HistoryEvent) -> None:
    failed = event.childWorkflowInstanceFailed
    _fail(run, event, failed.taskScheduledId, CreateChildWorkflow, failed.failureDetails, 'Sub-orchestration task')


def _timer_fired(run: WorkflowInstance, event: pb.HistoryEvent) -> None:
    action = _resolve(run, event, event.timerFired.timerId, CreateTimer)
    if action is None:
        return
    timer = action.task
    retried = timer._retryable_parent if isinstance(timer, TimerTask) else None
    if retried is not None:
        retried.increment_attempt_count()
        run.context.schedule_next_attempt(retried)
    else:
        timer.complete(None)
        if timer._parent is None and run._awaited is not timer:
            run.context.note_unseen(event.timerFired.timerId, action)
    run.advance()


def _complete(
    run: WorkflowInstance,
    event: pb.HistoryEvent,
    completed: pb.TaskCompletedEvent | pb.ChildWorkflowInstanceCompletedEvent,
    kind: type[Awaited],
) -> None:
    action_id = completed.taskScheduledId
    action = run.context._unresolved.pop(action_id, None)
    if type(action) is not kind:
        _not_resolved(run, event, action_id, action)
        return
    encoded = completed.result.value
    task = action.task
    result = None
    if encoded:
        try:
            result = (task._read or run.context._payloads.decode)(encoded)
        except Exception as error:
            task.cancel(unreadable(f'result of {action.describe()}, action {action_id},', error))
            run.advance()
            return
    task.complete(result)
    if task._parent is None and run._awaited is not task:
        run.context.note_unseen(action_id, action)
    run.advance()


def _fail(
    run: WorkflowInstance,
    event: pb.HistoryEvent,
    action_id: int,
    kind: type[Awaited],
    details: pb.TaskFailureDetails,
    what: str,
) -> None:
    action = _resolve(run, event, action_id, kind)
    if action is None:
        return
    task = action.task
    attempt = 1
    if isinstance(task, RetryableTask):
        attempt = task._attempt_count
        delay = None if _ends_retries(details, task._retry_policy) else task.compute_next_delay()
        if delay is not None:
            run.context.start_retry_timer(task, delay)
            run.advance()
            return
    task_kind: TaskKind = 'activity' if kind is ScheduleTask else 'workflow'
    failure = FailureDetails.from_proto(details, task_name=action.name, attempt=attempt, task_kind=task_kind)
    told = failure.message or f'{failure.error_type} without a message'
    task.fail(f'{what} #{action_id} failed: {told}', failure)
    if task._parent is None and run._awaited is not task:
        run.context.note_unseen(action_id, action)
    run.advance()


def _ends_retries(details: pb.TaskFailureDetails, policy: RetryPolicy) -> bool:
    failure = blamed(details)
    return (
        details.isNonRetriable
        or failure.isNonRetriable
        or any(is_error_non_retryable(name, policy) for name in type_names(failure))
        # A policy may name TaskFailedError itself.
        or is_error_non_retryable(details.errorType, policy)
    )


def _resolve(run: WorkflowInstance, event: pb.HistoryEvent, action_id: int, kind: type[Awaited]) -> Awaited | None:
    """The action that the event resolves, or None when there is none (any more, or yet)."""
    action = run.context._unresolved.pop(action_id, None)
    if type(action) is kind:
        return action
    _not_resolved(run, event, action_id, action)
    return None


def _not_resolved(run: WorkflowInstance, event: pb.HistoryEvent, action_id: int, action: Action | None) -> None:
    if action is None:
        run.keep_early(action_id, event)
        return
    raise NonDeterminismError(
        f'Replay differs from history at action {action_id}: the history has {event.WhichOneof("eventType")} for it, '
        f'the code called {action.describe()}. Its code was changed while this instance was running: guard such '
        'changes with is_patched or a new version.'
    )


# External events


def _event_raised(run: WorkflowInstance, event: pb.HistoryEvent) -> None:
    _take(run, event.eventRaised)


def _event_raised_after_end(run: WorkflowInstance, event: pb.HistoryEvent) -> None:
    # A run that continues as new may pass it on; whoever has waited in this run is gone.
    _buffer(run, event.eventRaised)


def _take(run: WorkflowInstance, raised: pb.EventRaisedEvent | pb.EventSentEvent) -> None:
    run.context.receive_event(raised.name, raised.input.value if raised.HasField('input') else None)
    run.advance()


def _buffer(run: WorkflowInstance, raised: pb.EventRaisedEvent | pb.EventSentEvent) -> None:
    run.context.buffer_event(raised.name, raised.input.value if raised.HasField('input') else None)


def _ignored(run: WorkflowInstance, event: pb.HistoryEvent) -> None:
    """Of no concern to the workflow's code: it concerns the sidecar alone, or comes too late."""


def _unknown(run: WorkflowInstance, event: pb.HistoryEvent) -> None:
    run.note('Ignoring an event of a kind that this worker does not know. Is the sidecar newer?')


def _held_back(run: WorkflowInstance, event: pb.HistoryEvent) -> None:
    run.hold_back(event)


RUNNING: Mapping[str | None, Handler] = {
    'workflowStarted': _workflow_started,
    'executionStarted': _execution_started,
    'executionTerminated': _execution_terminated,
    'executionSuspended': _execution_suspended,
    'executionResumed': _ignored,
    'taskScheduled': _task_scheduled,
    'taskCompleted': _task_completed,
    'taskFailed': _task_failed,
    'timerCreated': _timer_created,
    'timerFired': _timer_fired,
    'childWorkflowInstanceCreated': _child_workflow_created,
    'childWorkflowInstanceCompleted': _child_workflow_completed,
    'childWorkflowInstanceFailed': _child_workflow_failed,
    'eventRaised': _event_raised,
    'executionCompleted': _ignored,
    'executionStalled': _ignored,
    'workflowCompleted': _ignored,
    'eventSent': _event_sent,
    'continueAsNew': _ignored,
    'detachedWorkflowInstanceCreated': _detached_created,
    None: _unknown,
}

SUSPENDED: Mapping[str | None, Handler] = {
    **dict.fromkeys(RUNNING, _held_back),
    None: _unknown,
    'workflowStarted': _workflow_started_while_suspended,
    'executionSuspended': _ignored,
    'executionResumed': _execution_resumed,
    'executionTerminated': _execution_terminated,
}

ENDED: Mapping[str | None, Handler] = {
    **dict.fromkeys(RUNNING, _ignored),
    None: _unknown,
    'taskScheduled': _confirmed_after_end,
    'timerCreated': _confirmed_after_end,
    'childWorkflowInstanceCreated': _confirmed_after_end,
    'eventRaised': _event_raised_after_end,
    'eventSent': _event_sent_after_end,
    'detachedWorkflowInstanceCreated': _detached_created,
    'executionTerminated': _execution_terminated,
}
