"""What the answer to a turn comes to: the events to commit, and what is to be done. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any, Final

import grpc
from google.protobuf import wrappers_pb2
from google.protobuf.message import Message as ProtoMessage

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator.errors import Refused
from dapr.ext.workflow.emulator.rules import events
from dapr.ext.workflow.emulator.rules.apps import Apps
from dapr.ext.workflow.emulator.rules.outcome import (
    Effect,
    NextRun,
    Outcome,
    Run,
    Send,
    StartActivity,
    StartTimer,
    StartWorkflow,
)
from dapr.ext.workflow.emulator.rules.propagation import handed_on
from dapr.ext.workflow.emulator.rules.runs import RunState
from dapr.ext.workflow.emulator.rules.stalls import why_stalled
from dapr.ext.workflow.emulator.seam import Key

__all__ = ['activity_request', 'apply', 'child_id', 'new_run', 'parent_info', 'start_child']


def apply(run: Run, batch: Sequence[pb.HistoryEvent], response: pb.WorkflowResponse, now: int) -> Outcome:
    """Applies the answer to a turn.

    Args:
        run: As it was before the turn. It is not changed.
        batch: What the turn was given.
        response: The worker's answer.
        now: When it came, in microseconds since the epoch.

    Raises:
        Refused: The answer has an action of no known kind, or one that lacks what it needs.
    """
    stall = why_stalled(run.state, batch, response)
    if stall is not None:
        # Once is enough, however many workers say so.
        is_noted = run.state.stalled_for == stall.description
        note = events.execution_stalled(now, stall.reason, stall.description)
        return Outcome(pb.ORCHESTRATION_STATUS_STALLED, [] if is_noted else [note])

    terminated = next((event for event in batch if event.HasField('executionTerminated')), None)
    applying = _Applying(run, _with_version(run.state, batch, response), now)
    for action in response.actions:
        kind = action.WhichOneof('workflowActionType')
        if action.completeWorkflow.workflowStatus == pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW:
            if terminated is not None or applying.outcome.completed is not None:
                continue
            next_run = applying.next_run(action.completeWorkflow)
            return Outcome(pb.ORCHESTRATION_STATUS_RUNNING, [], next_run=next_run)
        if kind not in _HANDLERS:
            raise Refused(
                grpc.StatusCode.INVALID_ARGUMENT,
                f'action {action.id} of {run.key.instance_id} is of no kind that this emulator knows',
            )
        _HANDLERS[kind](applying, action)
    if terminated is not None:
        applying.enforce(terminated.executionTerminated)
    return applying.outcome


def _with_version(
    state: RunState, batch: Sequence[pb.HistoryEvent], response: pb.WorkflowResponse
) -> list[pb.HistoryEvent]:
    """The batch as it is committed: what the worker says of its version is written onto its first workflowStarted.

    An answer has all patches that the run has met so far; only those are written that the history does not have.
    """
    committed = list(batch)
    version = pb.WorkflowVersion()
    version.CopyFrom(response.version)
    known = len(state.patches)
    if version.patches[:known] == state.patches:
        del version.patches[:known]
    if version.patches or version.HasField('name'):
        for place, event in enumerate(committed):
            if event.HasField('workflowStarted'):
                # A copy: the turn goes on unchanged when it cannot be committed.
                committed[place] = written = pb.HistoryEvent()
                written.CopyFrom(event)
                written.workflowStarted.version.CopyFrom(version)
                break
    return committed


class _Applying:
    """One answer on its way to an outcome."""

    def __init__(self, run: Run, batch: list[pb.HistoryEvent], now: int) -> None:
        self.run = run
        self.now = now
        is_suspended = run.state.is_suspended
        for event in batch:
            if event.HasField('executionSuspended'):
                is_suspended = True
            elif event.HasField('executionResumed'):
                is_suspended = False
        status = pb.ORCHESTRATION_STATUS_SUSPENDED if is_suspended else pb.ORCHESTRATION_STATUS_RUNNING
        self.outcome = Outcome(status, batch)

    # One function for each kind of action

    def schedule_task(self, action: pb.WorkflowAction) -> None:
        asked = action.scheduleTask
        event = self._event(action)
        event.taskScheduled.CopyFrom(
            pb.TaskScheduledEvent(
                name=asked.name,
                version=_set(asked, 'version'),
                input=_set(asked, 'input'),
                parentTraceContext=_set(self.run.started, 'parentTraceContext'),
                taskExecutionId=asked.taskExecutionId,
                historyPropagationScope=_set(asked, 'historyPropagationScope'),
            )
        )
        self.outcome.events.append(event)
        target = self.run.apps.target(action.router, self.run.key.app_id)
        if target not in self.run.apps:
            request = pb.ActivityRequest(taskId=action.id, taskExecutionId=asked.taskExecutionId)
            failed = events.activity_result(self.now, request, None, self._unknown(target), event.router)
            self._do(Send(self.run.key, failed, self.execution_id))
        else:
            request = activity_request(self.run.key, event, self._handed_on(asked.historyPropagationScope))
            self._do(StartActivity(target, request))

    def create_timer(self, action: pb.WorkflowAction) -> None:
        asked = action.createTimer
        origin = asked.WhichOneof('origin')
        event = self._event(action)
        event.timerCreated.CopyFrom(
            pb.TimerCreatedEvent(
                fireAt=asked.fireAt,
                name=_set(asked, 'name'),
                **({origin: getattr(asked, origin)} if origin else {}),
            )
        )
        self.outcome.events.append(event)
        due_at = events.micros(asked.fireAt)
        if due_at < events.NEVER:
            self._do(StartTimer(due_at, events.timer_fired(self.now, action.id, asked.fireAt)))

    def create_child(self, action: pb.WorkflowAction) -> None:
        asked = action.createChildWorkflow
        instance_id = asked.instanceId or child_id(self.run.key.instance_id, action.id)
        event = self._event(action)
        event.childWorkflowInstanceCreated.CopyFrom(
            pb.ChildWorkflowInstanceCreatedEvent(
                instanceId=instance_id,
                name=asked.name,
                version=_set(asked, 'version'),
                input=_set(asked, 'input'),
                parentTraceContext=_set(self.run.started, 'parentTraceContext'),
                historyPropagationScope=_set(asked, 'historyPropagationScope'),
                retryParentInstanceInfo=_set(asked, 'retryParentInstanceInfo'),
            )
        )
        self.outcome.events.append(event)
        target = self.run.apps.target(action.router, self.run.key.app_id)
        if target not in self.run.apps:
            failed = events.child_result(
                self.now, action.id, None, self._unknown(target), event.router, succeeded=False
            )
            self._do(Send(self.run.key, failed, self.execution_id))
        else:
            self._do(
                start_child(
                    self.now,
                    Key(target, instance_id),
                    parent_info(self.run.apps, self.run.key, self.run.started, action.id),
                    event,
                    self._handed_on(asked.historyPropagationScope),
                )
            )

    def create_detached(self, action: pb.WorkflowAction) -> None:
        asked = action.createDetachedWorkflow
        if not asked.instanceId:
            raise Refused(
                grpc.StatusCode.INVALID_ARGUMENT,
                f'action {action.id} of {self.run.key.instance_id} creates a detached workflow without an instance id',
            )
        event = self._event(action)
        event.detachedWorkflowInstanceCreated.instanceId = asked.instanceId
        self.outcome.events.append(event)
        target = self.run.apps.target(action.router, self.run.key.app_id)
        if target in self.run.apps:
            body = pb.ExecutionStartedEvent(
                name=asked.name,
                version=_set(asked, 'version') if asked.version.value else None,
                input=_set(asked, 'input'),
                workflowInstance=new_run(asked.instanceId, asked.executionId.value),
                scheduledStartTimestamp=_set(asked, 'scheduledStartTimestamp'),
                parentTraceContext=_set(asked, 'parentTraceContext') or _set(self.run.started, 'parentTraceContext'),
                tags=asked.tags,
            )
            # As if a client had started it: nothing leads back.
            started = events.execution_started(self.now, body, self.run.apps.router(target))
            self._do(StartWorkflow(Key(target, asked.instanceId), started))

    def send_event(self, action: pb.WorkflowAction) -> None:
        asked = action.sendEvent
        event = self._event(action)
        event.eventSent.CopyFrom(
            pb.EventSentEvent(instanceId=asked.instance.instanceId, name=asked.name, input=_set(asked, 'data'))
        )
        self.outcome.events.append(event)
        target = self.run.apps.target(action.router, self.run.key.app_id)
        raised = events.event_raised(self.now, asked.name, _set(asked, 'data'), event.router)
        self._do(Send(Key(target, asked.instance.instanceId), raised))

    def terminate(self, action: pb.WorkflowAction) -> None:
        asked = action.terminateWorkflow
        target = self.run.apps.target(action.router, self.run.key.app_id)
        event = events.execution_terminated(
            self.now, _set(asked, 'reason'), asked.recurse, self.run.apps.router(self.run.key.app_id, action.router)
        )
        self._do(Send(Key(target, asked.instanceId), event))

    def complete(self, action: pb.WorkflowAction) -> None:
        if self.outcome.completed is None:  # the first one counts
            asked = action.completeWorkflow
            if asked.workflowStatus not in events.TERMINAL:
                raise Refused(
                    grpc.StatusCode.INVALID_ARGUMENT,
                    f'action {action.id} of {self.run.key.instance_id} ends it with the status {asked.workflowStatus}, '
                    'which is not one of an end',
                )
            self._complete(
                self._event(action), asked.workflowStatus, _set(asked, 'result'), _set(asked, 'failureDetails')
            )

    # What follows from them all

    def next_run(self, asked: pb.CompleteWorkflowAction) -> NextRun:
        """The run that goes on in the place of this one."""
        started = self.run.started
        propagated = self.run.propagated
        if propagated is not None:
            propagated = self._handed_on(propagated.scope)
        version = asked.newVersion if asked.newVersion.value else _set(started, 'version')
        body = pb.ExecutionStartedEvent(
            name=started.name,
            version=version,
            input=_set(asked, 'result'),
            workflowInstance=new_run(self.run.key.instance_id),
            parentInstance=_set(started, 'parentInstance'),
            tags=started.tags,
        )
        router = self.run.apps.router(self.run.key.app_id)
        batch = [
            events.workflow_started(self.now, router),
            events.execution_started(self.now, body, router),
            *asked.carryoverEvents,
        ]
        return NextRun(batch, propagated)

    def enforce(self, terminated: pb.ExecutionTerminatedEvent) -> None:
        """Sees to it that a terminate that the batch held has ended the instance, and its children when it recurses."""
        if self.outcome.completed is None:
            self.outcome.effects.clear()
            event = events.new_event(self.now, router=self.run.apps.router(self.run.key.app_id))
            self._complete(event, pb.ORCHESTRATION_STATUS_TERMINATED, _set(terminated, 'input'), None)
        if terminated.recurse:
            for created in self.run.state.children_after(self.outcome.events):
                event = events.execution_terminated(self.now, _set(terminated, 'input'), recurse=True)
                self._do(Send(self.run.apps.child(self.run.key.app_id, created), event))

    @property
    def execution_id(self) -> str:
        """The run's own."""
        return self.run.started.workflowInstance.executionId.value

    def _complete(
        self,
        event: pb.HistoryEvent,
        status: pb.OrchestrationStatus.ValueType,
        result: Any,
        failed: pb.TaskFailureDetails | None,
    ) -> None:
        event.executionCompleted.CopyFrom(
            pb.ExecutionCompletedEvent(workflowStatus=status, result=result, failureDetails=failed)
        )
        self.outcome.events.append(event)
        self.outcome.completed = event
        self.outcome.status = status
        if self.run.started.HasField('parentInstance'):
            apps, own = self.run.apps, self.run.key.app_id
            parent = self.run.started.parentInstance
            router = apps.router(own, pb.TaskRouter(targetAppID=parent.appID) if parent.appID else None)
            message = events.child_result(
                self.now,
                parent.taskScheduledId,
                result,
                failed,
                router,
                succeeded=status == pb.ORCHESTRATION_STATUS_COMPLETED,
            )
            key = Key(apps.named(parent.appID, own), parent.workflowInstance.instanceId)
            self._do(Send(key, message, parent.workflowInstance.executionId.value or None))

    def _event(self, action: pb.WorkflowAction) -> pb.HistoryEvent:
        return events.new_event(self.now, action.id, self.run.apps.router(self.run.key.app_id, action.router))

    def _do(self, effect: Effect) -> None:
        self.outcome.effects.append(effect)

    def _handed_on(self, scope: pb.HistoryPropagationScope.ValueType) -> pb.PropagatedHistory | None:
        return handed_on(
            scope,
            app_id=self.run.apps.written(self.run.key.app_id),
            started=self.run.started,
            own=(self.run.history, self.outcome.events),
            received=self.run.propagated,
        )

    def _unknown(self, app_id: str) -> pb.TaskFailureDetails:
        return events.failure(
            'UnknownApp', f"there is no app '{app_id}': this emulator plays {self.run.apps.known}", non_retriable=True
        )


_HANDLERS: Final[dict[str, Callable[[_Applying, pb.WorkflowAction], None]]] = {
    'scheduleTask': _Applying.schedule_task,
    'createTimer': _Applying.create_timer,
    'createChildWorkflow': _Applying.create_child,
    'createDetachedWorkflow': _Applying.create_detached,
    'sendEvent': _Applying.send_event,
    'terminateWorkflow': _Applying.terminate,
    'completeWorkflow': _Applying.complete,
    'workflowVersionNotAvailable': lambda applying, action: None,  # beside a terminate, which is enforced
}


def new_run(instance_id: str, execution_id: str = '') -> pb.WorkflowInstance:
    """Names a run, by a new execution id unless one is given."""
    run = pb.WorkflowInstance(instanceId=instance_id)
    run.executionId.value = execution_id or str(uuid.uuid4())
    return run


def child_id(parent_id: str, action_id: int) -> str:
    """The instance id of a child whose parent gives it none."""
    return f'{parent_id}:{action_id:04x}'


def parent_info(apps: Apps, key: Key, started: pb.ExecutionStartedEvent, action_id: int) -> pb.ParentInstanceInfo:
    """What a child is told of its parent: enough to tell whether it is still the same run that waits."""
    return pb.ParentInstanceInfo(
        taskScheduledId=action_id,
        name=wrappers_pb2.StringValue(value=started.name),
        workflowInstance=started.workflowInstance,
        appID=apps.written(key.app_id),
    )


def start_child(
    now: int,
    key: Key,
    parent: pb.ParentInstanceInfo,
    created: pb.HistoryEvent,
    propagated: pb.PropagatedHistory | None,
) -> StartWorkflow:
    """The start of the child that a childWorkflowInstanceCreated tells of."""
    asked = created.childWorkflowInstanceCreated
    body = pb.ExecutionStartedEvent(
        name=asked.name,
        version=_set(asked, 'version') if asked.version.value else None,
        input=_set(asked, 'input'),
        workflowInstance=new_run(key.instance_id),
        parentInstance=parent,
        parentTraceContext=_set(asked, 'parentTraceContext'),
    )
    started = events.execution_started(now, body, created.router)
    return StartWorkflow(key, started, propagated, parent.taskScheduledId)


def activity_request(
    key: Key, scheduled: pb.HistoryEvent, propagated: pb.PropagatedHistory | None
) -> pb.ActivityRequest:
    """What the worker is given for a taskScheduled."""
    asked = scheduled.taskScheduled
    return pb.ActivityRequest(
        name=asked.name,
        version=_set(asked, 'version'),
        input=_set(asked, 'input'),
        workflowInstance=pb.WorkflowInstance(instanceId=key.instance_id),
        taskId=scheduled.eventId,
        parentTraceContext=_set(asked, 'parentTraceContext'),
        taskExecutionId=asked.taskExecutionId,
        propagatedHistory=propagated,
    )


def _set(message: ProtoMessage, name: str) -> Any:
    """A field's value; None when it is not set, which leaves the field of the message it goes to unset, too."""
    return getattr(message, name) if message.HasField(name) else None
