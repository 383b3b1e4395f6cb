"""Drives the emulator's backend in tests: the part of its service and of its workers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from google.protobuf import wrappers_pb2

from dapr.ext.workflow._durabletask.internal import helpers
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator.seam import ActivityWork, Key, Turn
from dapr.ext.workflow.emulator.state.backend import Backend
from dapr.ext.workflow.emulator.state.store import Store

START = 1_800_000_000.0

__all__ = [
    'START',
    'BackendDriver',
    'complete',
    'continue_as_new',
    'detached',
    'kinds',
    'schedule',
    'send_event',
    'start_child',
    'terminate',
    'timer',
    'version_not_available',
]


class BackendDriver:
    """A backend, its clock, and what it has told.

    Attributes:
        backend: The backend.
        now: What its clock says, in seconds since the epoch.
        ready: The instances that were told to be ready, and not begun.
        activities: The activities that were told to be ready, and not completed.
        told: Everything else that was told: what, and of whom.
    """

    def __init__(self, path: Path | None = None, apps: Sequence[str] = (), **options: Any) -> None:
        self.now = START
        self.apps = apps
        self._path = path
        self._options = options
        self._app_id = apps[0] if apps else ''
        self.open()

    def open(self) -> None:
        """Starts a backend, as a new process would."""
        self.ready: list[Key] = []
        self.activities: list[ActivityWork] = []
        self.told: list[tuple[str, object]] = []
        self.store = Store(self._path)
        self.backend = Backend(self.store, self, clock=lambda: self.now, apps=self.apps, **self._options)
        self.backend.recover()

    def reopen(self) -> None:
        """Stops the backend without a word, and starts another one on the same file."""
        self.backend.close()
        self.open()

    # The observer

    def turn_ready(self, key: Key) -> None:
        assert key not in self.ready, f'{key} was told twice'
        self.ready.append(key)

    def turn_dropped(self, key: Key) -> None:
        self.told.append(('turn_dropped', key.instance_id))

    def activity_ready(self, work: ActivityWork) -> None:
        self.activities.append(work)

    def activity_dropped(self, row_id: int) -> None:
        self.told.append(('activity_dropped', row_id))
        self.activities = [work for work in self.activities if work.row_id != row_id]

    def started(self, key: Key) -> None:
        self.told.append(('started', key.instance_id))

    def advanced(self, key: Key) -> None: ...

    def ended(self, key: Key) -> None:
        self.told.append(('ended', key.instance_id))

    def timers_changed(self) -> None:
        self.told.append(('timers_changed', self.backend.next_timer_at()))

    # A client

    def key(self, instance_id: str) -> Key:
        """An instance of the first app."""
        return Key(self._app_id, instance_id)

    def create(self, instance_id: str = 'x', name: str = 'wf', input: str | None = None, **fields: Any) -> Key:
        """Creates an instance of the first app."""
        return self.backend.create(
            self._app_id,
            pb.CreateInstanceRequest(
                instanceId=instance_id, name=name, input=helpers.get_string_value(input), **fields
            ),
        )

    def raise_event(self, instance_id: str, name: str, data: str | None = None) -> None:
        """Raises an event."""
        request = pb.RaiseEventRequest(instanceId=instance_id, name=name, input=helpers.get_string_value(data))
        self.backend.raise_event(self.key(instance_id), request)

    def state(self, instance_id: str) -> pb.WorkflowState:
        """The state of an instance that is there, with its payloads."""
        response = self.backend.get_instance(self.key(instance_id), payloads=True)
        assert response.exists, f'{instance_id} does not exist'
        return response.workflowState

    def status(self, instance_id: str) -> str | None:
        """The name of an instance's status; None when it is not there."""
        response = self.backend.get_instance(self.key(instance_id), payloads=False)
        return helpers.get_orchestration_status_str(response.workflowState.workflowStatus) if response.exists else None

    def history(self, instance_id: str) -> list[pb.HistoryEvent]:
        """The committed history of an instance."""
        return list(self.backend.get_history(self.key(instance_id)))

    def outline(self, instance_id: str) -> list[str]:
        """The kinds of an instance's committed events."""
        return kinds(self.history(instance_id))

    # A worker

    def begin(self, instance_id: str) -> Turn:
        """Begins a turn of an instance that is ready."""
        key = self.key(instance_id)
        self.ready.remove(key)
        turn = self.backend.begin_turn(key)
        assert turn is not None, f'{instance_id} has nothing to do'
        return turn

    def answer(self, turn: Turn, *actions: pb.WorkflowAction, **fields: Any) -> Turn | None:
        """Answers a turn; the fields are those of the response."""
        response = pb.WorkflowResponse(instanceId=turn.key.instance_id, actions=actions, **fields)
        return self.backend.commit_turn(turn, response)

    def turn(self, instance_id: str, *actions: pb.WorkflowAction, **fields: Any) -> Turn:
        """Begins a turn and answers it; returns what it was."""
        turn = self.begin(instance_id)
        assert self.answer(turn, *actions, **fields) is None
        return turn

    def run_activity(self, result: str | None = '"done"', error: str | None = None) -> ActivityWork:
        """Completes the activity that was told first."""
        work = self.activities.pop(0)
        self.complete(work, result, error)
        return work

    def complete(self, work: ActivityWork, result: str | None = '"done"', error: str | None = None) -> None:
        """Completes an activity."""
        response = pb.ActivityResponse(
            instanceId=work.owner.instance_id, taskId=work.request.taskId, result=helpers.get_string_value(result)
        )
        if error is not None:
            response.ClearField('result')
            response.failureDetails.CopyFrom(pb.TaskFailureDetails(errorType='ValueError', errorMessage=error))
        self.backend.complete_activity(work, response)

    def wait_for_timer(self) -> None:
        """Puts the clock on to the next timer, and lets it fire."""
        at = self.backend.next_timer_at()
        assert at is not None, 'no timer is set'
        self.now = max(self.now, at)
        self.backend.fire_timers()


def kinds(history: Iterable[pb.HistoryEvent]) -> list[str]:
    """The kinds of events."""
    return [str(event.WhichOneof('eventType')) for event in history]


# Actions


def schedule(id: int, name: str = 'act', app: str | None = None, **fields: Any) -> pb.WorkflowAction:
    """Asks for an activity."""
    action = helpers.new_schedule_task_action(id, name, f'"{id}"', _to(app), f'task-{id}')
    action.scheduleTask.MergeFrom(pb.ScheduleTaskAction(**fields))
    return action


def timer(id: int, fire_at: float) -> pb.WorkflowAction:
    """Asks for a timer, at that many seconds since the epoch."""
    action = pb.WorkflowAction(id=id)
    action.createTimer.createTimer.SetInParent()
    action.createTimer.fireAt.FromMicroseconds(round(fire_at * 1e6))
    return action


def start_child(id: int, instance_id: str | None = None, app: str | None = None, **fields: Any) -> pb.WorkflowAction:
    """Asks for a child."""
    action = helpers.new_create_child_workflow_action(id, 'child', instance_id, f'"{id}"', _to(app))
    action.createChildWorkflow.MergeFrom(pb.CreateChildWorkflowAction(**fields))
    return action


def detached(id: int, instance_id: str, **fields: Any) -> pb.WorkflowAction:
    """Asks for a detached workflow."""
    body = pb.CreateDetachedWorkflowAction(instanceId=instance_id, name='loner', **fields)
    return pb.WorkflowAction(id=id, createDetachedWorkflow=body)


def send_event(id: int, instance_id: str, name: str, data: str | None = None) -> pb.WorkflowAction:
    """Asks for an event to be sent."""
    body = pb.SendEventAction(
        instance=pb.WorkflowInstance(instanceId=instance_id), name=name, data=helpers.get_string_value(data)
    )
    return pb.WorkflowAction(id=id, sendEvent=body)


def terminate(id: int, instance_id: str, *, recurse: bool = False) -> pb.WorkflowAction:
    """Asks for another workflow's end."""
    body = pb.TerminateWorkflowAction(
        instanceId=instance_id, reason=wrappers_pb2.StringValue(value='"told to"'), recurse=recurse
    )
    return pb.WorkflowAction(id=id, terminateWorkflow=body)


def complete(
    id: int,
    result: str | None = '"end"',
    status: pb.OrchestrationStatus.ValueType = pb.ORCHESTRATION_STATUS_COMPLETED,
    **fields: Any,
) -> pb.WorkflowAction:
    """Ends the workflow."""
    return helpers.new_complete_workflow_action(id, status, result, **fields)


def continue_as_new(id: int, input: str | None = None, *carried: pb.HistoryEvent) -> pb.WorkflowAction:
    """Goes on as a new run."""
    return complete(id, input, pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW, carryover_events=carried)


def version_not_available(id: int = 1) -> pb.WorkflowAction:
    """Says that the worker does not have the version."""
    return helpers.new_workflow_version_not_available_action(id)


def _to(app: str | None) -> pb.TaskRouter | None:
    return None if app is None else pb.TaskRouter(targetAppID=app)
