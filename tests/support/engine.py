"""Drives the replay engine in tests: a small model of a sidecar that commits what a worker answers.

`Driver` gives each turn to two engines: one replays the whole committed history, as a worker without any memory does;
the other is one running instance that is only given what is new. They must answer alike, so every test of a rule is a
test of both.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.propagation import PropagatedHistory
from dapr.ext.workflow._durabletask.replay.executor import _OrchestrationExecutor, close
from dapr.ext.workflow._durabletask.replay.instance import ExecutionResults, WorkflowInstance
from dapr.ext.workflow._durabletask.replay.registry import _Registry

LOGGER = logging.getLogger('tests.engine')
START = datetime(2024, 2, 3, 4, 5, 6, 700000)
INSTANCE_ID = 'abc'

Event = pb.HistoryEvent


def _event(event_id: int = -1, **kind: Any) -> Event:
    return pb.HistoryEvent(eventId=event_id, **kind)


def workflow_started(at: datetime = START, patches: Iterable[str] = (), version: str | None = None) -> Event:
    event = _event(workflowStarted=pb.WorkflowStartedEvent())
    event.timestamp.FromDatetime(at)
    if patches or version:
        event.workflowStarted.version.CopyFrom(pb.WorkflowVersion(patches=list(patches), name=version))
    return event


def execution_started(name: str, encoded_input: str | None = None, router: pb.TaskRouter | None = None) -> Event:
    event = _event(
        executionStarted=pb.ExecutionStartedEvent(
            name=name, workflowInstance=pb.WorkflowInstance(instanceId=INSTANCE_ID)
        )
    )
    if encoded_input is not None:
        event.executionStarted.input.value = encoded_input
    if router is not None:
        event.router.CopyFrom(router)
    return event


def task_scheduled(action_id: int, name: str) -> Event:
    return _event(action_id, taskScheduled=pb.TaskScheduledEvent(name=name))


def task_completed(action_id: int, result: Any = None) -> Event:
    """The result is encoded; None stands for no result."""
    event = _event(taskCompleted=pb.TaskCompletedEvent(taskScheduledId=action_id))
    if result is not None:
        event.taskCompleted.result.value = json.dumps(result)
    return event


def failure(message: str = 'boom', error_type: str = 'ValueError', *, final: bool = False) -> pb.TaskFailureDetails:
    return pb.TaskFailureDetails(errorType=error_type, errorMessage=message, isNonRetriable=final)


def task_failed(action_id: int, details: pb.TaskFailureDetails | None = None) -> Event:
    return _event(taskFailed=pb.TaskFailedEvent(taskScheduledId=action_id, failureDetails=details or failure()))


def timer_created(action_id: int, fire_at: datetime | None = None, **origin: Any) -> Event:
    """Without a moment: the optional timer of a wait without a limit."""
    event = _event(action_id, timerCreated=pb.TimerCreatedEvent(**origin))
    if fire_at is None:
        event.timerCreated.fireAt.seconds, event.timerCreated.fireAt.nanos = 253402300799, 999999999
    else:
        event.timerCreated.fireAt.FromDatetime(fire_at)
    return event


def timer_fired(action_id: int) -> Event:
    return _event(timerFired=pb.TimerFiredEvent(timerId=action_id))


def child_created(action_id: int, name: str, instance_id: str = 'child') -> Event:
    created = pb.ChildWorkflowInstanceCreatedEvent(instanceId=instance_id, name=name)
    return _event(action_id, childWorkflowInstanceCreated=created)


def child_completed(action_id: int, result: Any = None) -> Event:
    event = _event(childWorkflowInstanceCompleted=pb.ChildWorkflowInstanceCompletedEvent(taskScheduledId=action_id))
    if result is not None:
        event.childWorkflowInstanceCompleted.result.value = json.dumps(result)
    return event


def child_failed(action_id: int, details: pb.TaskFailureDetails | None = None) -> Event:
    failed = pb.ChildWorkflowInstanceFailedEvent(taskScheduledId=action_id, failureDetails=details or failure())
    return _event(childWorkflowInstanceFailed=failed)


def detached_created(action_id: int, instance_id: str) -> Event:
    created = pb.DetachedWorkflowInstanceCreatedEvent(instanceId=instance_id)
    return _event(action_id, detachedWorkflowInstanceCreated=created)


def event_sent(action_id: int, instance_id: str, name: str, encoded: str | None = None) -> Event:
    event = _event(action_id, eventSent=pb.EventSentEvent(instanceId=instance_id, name=name))
    if encoded is not None:
        event.eventSent.input.value = encoded
    return event


def event_raised(name: str, encoded: str | None = None) -> Event:
    event = _event(eventRaised=pb.EventRaisedEvent(name=name))
    if encoded is not None:
        event.eventRaised.input.value = encoded
    return event


def suspended() -> Event:
    return _event(executionSuspended=pb.ExecutionSuspendedEvent())


def resumed() -> Event:
    return _event(executionResumed=pb.ExecutionResumedEvent())


def terminated(encoded: str | None = None) -> Event:
    event = _event(executionTerminated=pb.ExecutionTerminatedEvent())
    if encoded is not None:
        event.executionTerminated.input.value = encoded
    return event


def committed_events(action: pb.WorkflowAction) -> list[Event]:
    """The event that a sidecar commits for an action (protocol.md, "Applying actions")."""
    kind = action.WhichOneof('workflowActionType')
    if kind == 'scheduleTask':
        return [task_scheduled(action.id, action.scheduleTask.name)]
    if kind == 'createTimer':
        timer = action.createTimer
        event = _event(action.id, timerCreated=pb.TimerCreatedEvent(fireAt=timer.fireAt))
        if timer.WhichOneof('origin') == 'externalEvent':
            event.timerCreated.externalEvent.CopyFrom(timer.externalEvent)
        return [event]
    if kind == 'createChildWorkflow':
        child = action.createChildWorkflow
        return [child_created(action.id, child.name, child.instanceId)]
    if kind == 'createDetachedWorkflow':
        return [detached_created(action.id, action.createDetachedWorkflow.instanceId)]
    if kind == 'sendEvent':
        return [event_sent(action.id, action.sendEvent.instance.instanceId, action.sendEvent.name)]
    return []


def committed_batch(new_events: Iterable[Event], version_name: str | None, patches: Iterable[str]) -> list[Event]:
    """The new events of a turn as a sidecar commits them: with the version that the answer carried, if any."""
    batch = [Event.FromString(event.SerializeToString()) for event in new_events]
    version = pb.WorkflowVersion(name=version_name or None, patches=patches)
    first = next((event for event in batch if event.HasField('workflowStarted')), None)
    if first is not None and version.ByteSize():
        first.workflowStarted.version.CopyFrom(version)
    return batch


class Driver:
    """One workflow instance, turn by turn.

    Args:
        workflow: The orchestrator; more of them can be registered on `registry`.
        encoded_input: The input, as JSON, or None.
        router: The router of its executionStarted event, or None.
    """

    def __init__(
        self,
        workflow: Callable[..., Any],
        encoded_input: str | None = None,
        *,
        router: pb.TaskRouter | None = None,
        registry: _Registry | None = None,
        propagated_history: PropagatedHistory | None = None,
    ) -> None:
        self.registry = registry or _Registry()
        self.name = workflow.__name__ if registry is not None else self.registry.add_orchestrator(workflow)
        self.committed: list[Event] = []
        self.now = START
        self._started = execution_started(self.name, encoded_input, router)
        self._propagated_history = propagated_history
        self._running: WorkflowInstance | None = None
        self._stands_at = 0

    def start(self, *events: Event) -> ExecutionResults:
        """The first turn; further events may come with it."""
        return self.turn(self._started, *events)

    def turn(self, *events: Event, after: timedelta = timedelta(seconds=1)) -> ExecutionResults:
        """A turn with these events, that much later than the one before. Both engines must answer alike."""
        self.now += after
        return self.batch(workflow_started(self.now), *events)

    def batch(self, *new_events: Event) -> ExecutionResults:
        """A turn with just these events."""
        executor = _OrchestrationExecutor(self.registry, LOGGER)
        whole = executor.execute(INSTANCE_ID, self.committed, new_events, self._propagated_history)
        if self._running is None:
            self._running = WorkflowInstance(self.registry, INSTANCE_ID)
            self._running.set_propagated_history(self._propagated_history)
        self._running.replay(self.committed[self._stands_at :])
        kept = self._running.run(new_events)
        self._same(whole, kept)
        self._commit(new_events, whole)
        return whole

    def close(self) -> None:
        """Ends the kept workflow as a worker does, so that none is left to the garbage collector."""
        if self._running is not None:
            close(self._running, LOGGER)
            self._running = None

    @staticmethod
    def _same(whole: ExecutionResults, kept: ExecutionResults) -> None:
        assert [without_trace(action) for action in kept.actions] == [without_trace(a) for a in whole.actions]
        assert kept.encoded_custom_status == whole.encoded_custom_status
        assert (kept.version_name, kept.patches) == (whole.version_name, whole.patches)

    def _commit(self, new_events: Iterable[Event], results: ExecutionResults) -> None:
        self.committed += committed_batch(new_events, results.version_name, results.patches or ())
        self._stands_at = len(self.committed)
        for action in results.actions:
            self.committed += committed_events(action)


def without_trace(action: pb.WorkflowAction) -> pb.WorkflowAction:
    copy = pb.WorkflowAction()
    copy.CopyFrom(action)
    if copy.HasField('completeWorkflow'):
        details = copy.completeWorkflow.failureDetails
        details.ClearField('stackTrace')
        while details.HasField('innerFailure'):
            details = details.innerFailure
            details.ClearField('stackTrace')
    return copy


def completion(results: ExecutionResults) -> pb.CompleteWorkflowAction:
    """The completion of a turn that has this one action."""
    assert [action.WhichOneof('workflowActionType') for action in results.actions] == ['completeWorkflow']
    return results.actions[0].completeWorkflow


def output(results: ExecutionResults) -> Any:
    """The decoded output of a turn that completed the workflow."""
    completed = completion(results)
    assert completed.workflowStatus == pb.ORCHESTRATION_STATUS_COMPLETED, completed
    return json.loads(completed.result.value) if completed.HasField('result') else None


def failure_of(results: ExecutionResults) -> pb.TaskFailureDetails:
    """The failure of a turn that failed the workflow."""
    completed = completion(results)
    assert completed.workflowStatus == pb.ORCHESTRATION_STATUS_FAILED, completed
    return completed.failureDetails


def kinds(results: ExecutionResults) -> list[tuple[int, str | None]]:
    """The ids and kinds of a turn's actions."""
    return [(action.id, action.WhichOneof('workflowActionType')) for action in results.actions]
