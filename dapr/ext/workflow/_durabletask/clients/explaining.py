"""Why an instance does not get on: what a client that waits for it can find out, in a sentence or two.

What is asked for it only reads, and gets little time: it is for the text of an error that comes anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import grpc

from dapr.ext.workflow._durabletask.clients import requests
from dapr.ext.workflow._durabletask.clients.conversation import Conversation, Send
from dapr.ext.workflow._durabletask.clients.state import OrchestrationStatus, WorkflowState
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.transport.errors import WorkflowStalledError

_SECONDS: Final = 1.0
_MOST_PENDING: Final = 3
_ENDS: Final = {
    'taskCompleted': 'taskScheduledId',
    'taskFailed': 'taskScheduledId',
    'childWorkflowInstanceCompleted': 'taskScheduledId',
    'childWorkflowInstanceFailed': 'taskScheduledId',
    'timerFired': 'timerId',
}
_WHAT_HELPS: Final = {
    pb.PATCH_MISMATCH: 'connect a worker whose code has the patches (is_patched) of its history',
    pb.VERSION_NOT_AVAILABLE: 'connect a worker that has the version which it was started with',
    pb.PAYLOAD_SIZE_EXCEEDED: (
        "raise daprd's --max-body-size (annotation dapr.io/max-body-size), or purge it by force; hand on keys of large "
        'values instead of the values'
    ),
}


def explain(instance_id: str, app_id: str | None) -> Conversation[str]:
    """Why an instance does not get on; '' where it cannot be found out."""
    try:
        state = yield from look(instance_id, app_id)
        if state is None:
            return f"There is no instance '{instance_id}': check the id, and that this is the sidecar of its app."
        return (yield from _of_state(state))
    except grpc.RpcError:
        return ''


def look(instance_id: str, app_id: str | None, *, payloads: bool = False) -> Conversation[WorkflowState | None]:
    """The state of an instance, or None; asked once."""
    operation = requests.get_state(instance_id, payloads, app_id)
    try:
        answer = yield Send(operation.method, operation.request, _SECONDS)
    except grpc.RpcError as error:
        return operation.read_error(error)
    return operation.read(answer)


def stalled_error(instance_id: str) -> Conversation[WorkflowStalledError]:
    """The error that says of a stalled instance why it is, as far as its history can be read."""
    events = yield from _history(instance_id)
    stall = next((event.executionStalled for event in reversed(events) if event.HasField('executionStalled')), None)
    error = WorkflowStalledError(
        f"Workflow instance '{instance_id}' is stalled{_told(stall)}", grpc.StatusCode.FAILED_PRECONDITION
    )
    if stall is not None:
        error.reason = name_of_stall(stall)
        error.description = stall.description or None
    return error


def _of_state(state: WorkflowState) -> Conversation[str]:
    status = state.runtime_status
    if status is OrchestrationStatus.PENDING:
        name = f" '{state.name}'" if state.name else ''
        return (
            'It has not started: no worker has taken it, or it is scheduled for later. Check that a WorkflowRuntime of '
            f'its app runs and has the workflow{name}.'
        )
    if status is OrchestrationStatus.SUSPENDED:
        return 'It is paused, and goes on when it is resumed (resume_workflow).'
    if status is OrchestrationStatus.STALLED:
        return str((yield from stalled_error(state.instance_id)))
    if status is not OrchestrationStatus.RUNNING:
        return f'It is {status} by now.'
    pending = _pending(list((yield from _history(state.instance_id))))
    if not pending:
        return 'It is running, and its history shows nothing that it waits for: an event, or a turn under way.'
    more = f' and {len(pending) - _MOST_PENDING} more' if len(pending) > _MOST_PENDING else ''
    return f'It is running, and these have not ended: {", ".join(pending[:_MOST_PENDING])}{more}.'


def _history(instance_id: str) -> Conversation[Sequence[pb.HistoryEvent]]:
    """The history; empty where it cannot be read (before Dapr 1.17, or none of this sidecar's app)."""
    operation = requests.get_history(instance_id)
    try:
        answer = yield Send(operation.method, operation.request, _SECONDS)
    except grpc.RpcError:
        return []
    return operation.read(answer)


def _pending(events: Sequence[pb.HistoryEvent]) -> list[str]:
    """What a workflow has begun, and what has not ended: its calls, oldest first, and its timers."""
    begun: dict[int, str] = {}
    for event in events:
        kind = event.WhichOneof('eventType')
        if kind == 'taskScheduled':
            begun[event.eventId] = f"activity '{event.taskScheduled.name}'"
        elif kind == 'childWorkflowInstanceCreated':
            child = event.childWorkflowInstanceCreated
            begun[event.eventId] = f"child workflow '{child.name}' ('{child.instanceId}')"
        elif kind == 'timerCreated':
            begun[event.eventId] = _timer(event.timerCreated)
        elif kind in _ENDS:
            body: Any = getattr(event, kind)
            begun.pop(getattr(body, _ENDS[kind]), None)
    return list(begun.values())


def _timer(timer: pb.TimerCreatedEvent) -> str:
    if timer.HasField('externalEvent'):
        return f"the wait for event '{timer.externalEvent.name}'"
    due = timer.fireAt.ToDatetime().isoformat(' ', 'seconds')
    return f'a timer that is due at {due}Z'


def _told(stall: pb.ExecutionStalledEvent | None) -> str:
    if stall is None:
        return ': it stands still until a worker connects that can go on with it.'
    said = f' ({stall.description})' if stall.description else ''
    what = _WHAT_HELPS.get(stall.reason)
    return f': {name_of_stall(stall)}{said}.' + (f' What helps: {what}.' if what else '')


def name_of_stall(stall: pb.ExecutionStalledEvent) -> str:
    """The reason of a stall, by its name on the wire."""
    # A newer sidecar may have reasons that have no name here.
    known = stall.reason in pb.StalledReason.values()
    return pb.StalledReason.Name(stall.reason) if known else f'UNKNOWN_{stall.reason}'
