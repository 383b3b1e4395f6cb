"""Rerunning: what a new instance begins with that goes on from the middle of an old one. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import grpc

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator.errors import Refused
from dapr.ext.workflow.emulator.rules import events
from dapr.ext.workflow.emulator.rules.apply import activity_request, child_id, new_run, parent_info, start_child
from dapr.ext.workflow.emulator.rules.apps import Apps
from dapr.ext.workflow.emulator.rules.outcome import Effect, Outcome, StartActivity, StartTimer
from dapr.ext.workflow.emulator.rules.propagation import handed_on
from dapr.ext.workflow.emulator.rules.runs import OPENING, RESOLVING, RunState, resolved
from dapr.ext.workflow.emulator.seam import Key

__all__ = ['rerun']


def rerun(
    request: pb.RerunWorkflowFromEventRequest,
    key: Key,
    history: Sequence[pb.HistoryEvent],
    propagated: pb.PropagatedHistory | None,
    apps: Apps,
    now: int,
) -> tuple[pb.HistoryEvent, Outcome]:
    """Makes the beginning of an instance that goes on from an event of another one, which has ended.

    Its history is the old one before the event, in daprd's order: what was scheduled stands right before its result.
    What had no result by then is scheduled anew, the event itself last. Of timers daprd 1.18 schedules those that have
    fired anew, too, with no effect on the workflow; here they are as all else.

    Args:
        request: Which event, and with what input.
        key: The new instance.
        history: The old instance's. It is not changed.
        propagated: What was handed on to the old instance.
        apps: All apps.
        now: The moment, in microseconds since the epoch.

    Returns:
        The new instance's executionStarted, and what comes of its beginning.

    Raises:
        Refused: NOT_FOUND: there is no such event, or it is of a kind that cannot be rerun. INVALID_ARGUMENT: the
            request gives the event what it does not take.
    """
    place = _place(request, history)
    _check(request, history[place])
    settled, unsettled = _settled_first(history[:place])
    again = {event.eventId for event in (*unsettled, history[place])}
    rerunning = _Rerunning(request, key, propagated, apps, now)
    for event in (*settled, *unsettled, history[place]):
        copy = pb.HistoryEvent()
        copy.CopyFrom(event)
        if copy.HasField('executionStarted'):
            rerunning.start(copy)
        rerunning.events.append(copy)
        if copy.eventId in again:
            rerunning.schedule(copy, is_target=event is history[place])
    is_suspended = RunState(rerunning.events).is_suspended
    status = pb.ORCHESTRATION_STATUS_SUSPENDED if is_suspended else pb.ORCHESTRATION_STATUS_RUNNING
    return rerunning.started, Outcome(status, rerunning.events, rerunning.effects)


def _settled_first(events: Sequence[pb.HistoryEvent]) -> tuple[list[pb.HistoryEvent], list[pb.HistoryEvent]]:
    """The events, with what was scheduled right before its result; and what was scheduled and had no result."""
    state, settled = RunState(), []
    for event in events:
        kind = event.WhichOneof('eventType') or ''
        begun = state.open.get(resolved(event, kind)) if kind in RESOLVING else None
        if begun is not None:
            settled.append(begun)
        if kind not in OPENING:
            settled.append(event)
        state.add((event,))
    return settled, list(state.open.values())


def _place(request: pb.RerunWorkflowFromEventRequest, history: Sequence[pb.HistoryEvent]) -> int:
    places = [place for place, event in enumerate(history) if event.eventId == request.eventID]
    if not places:
        raise Refused(
            grpc.StatusCode.NOT_FOUND, f"'{request.sourceInstanceID}' has no history event with ID '{request.eventID}'"
        )
    for place in places:
        if history[place].WhichOneof('eventType') in OPENING:
            return place
    raise Refused(
        grpc.StatusCode.NOT_FOUND,
        f"the history event of '{request.sourceInstanceID}' with ID '{request.eventID}' is of the kind "
        f"{history[places[0]].WhichOneof('eventType')}, which can't be rerun",
    )


def _check(request: pb.RerunWorkflowFromEventRequest, target: pb.HistoryEvent) -> None:
    if request.overwriteInput and target.HasField('timerCreated'):
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"'{request.eventID}' is a timer, which takes no input")
    if request.newChildWorkflowInstanceID and not target.HasField('childWorkflowInstanceCreated'):
        raise Refused(
            grpc.StatusCode.INVALID_ARGUMENT,
            f"'{request.eventID}' creates no child workflow, which could take an instance ID",
        )


class _Rerunning:
    """The beginning as it is made."""

    def __init__(
        self,
        request: pb.RerunWorkflowFromEventRequest,
        key: Key,
        propagated: pb.PropagatedHistory | None,
        apps: Apps,
        now: int,
    ) -> None:
        self.events: list[pb.HistoryEvent] = []
        self.effects: list[Effect] = []
        self.started = pb.HistoryEvent()
        self._request = request
        self._key = key
        self._propagated = propagated
        self._apps = apps
        self._now = now

    def start(self, event: pb.HistoryEvent) -> None:
        """Makes the old executionStarted the new one: an instance of its own, that no parent waits for."""
        body = event.executionStarted
        body.workflowInstance.CopyFrom(new_run(self._key.instance_id))
        body.ClearField('parentInstance')
        body.ClearField('scheduledStartTimestamp')
        self.started = event

    def schedule(self, event: pb.HistoryEvent, *, is_target: bool) -> None:
        """Schedules anew what an event tells of."""
        kind = event.WhichOneof('eventType') or ''
        body: pb.TaskScheduledEvent | pb.TimerCreatedEvent | pb.ChildWorkflowInstanceCreatedEvent = getattr(event, kind)
        if is_target:
            body.rerunParentInstanceInfo.instanceID = self._request.sourceInstanceID
            if self._request.overwriteInput and not isinstance(body, pb.TimerCreatedEvent):
                body.ClearField('input')
                if self._request.HasField('input'):
                    body.input.CopyFrom(self._request.input)
        if isinstance(body, pb.TaskScheduledEvent):
            target = self._apps.target(event.router, self._key.app_id)
            request = activity_request(self._key, event, self._handed_on(body.historyPropagationScope))
            self.effects.append(StartActivity(target, request))
        elif isinstance(body, pb.TimerCreatedEvent):
            self._schedule_timer(event, body)
        else:
            body.instanceId = child_id(self._key.instance_id, event.eventId)
            if is_target and self._request.newChildWorkflowInstanceID:
                body.instanceId = self._request.newChildWorkflowInstanceID
            parent = parent_info(self._apps, self._key, self.started.executionStarted, event.eventId)
            child = self._apps.child(self._key.app_id, event)
            self.effects.append(
                start_child(self._now, child, parent, event, self._handed_on(body.historyPropagationScope))
            )
        event.timestamp.CopyFrom(events.timestamp(self._now))

    def _schedule_timer(self, event: pb.HistoryEvent, body: pb.TimerCreatedEvent) -> None:
        due_at = events.micros(body.fireAt)
        if due_at < events.NEVER:  # as long as it was
            due_at = min(self._now + due_at - events.micros(event.timestamp), events.NEVER - 1)
            body.fireAt.CopyFrom(events.timestamp(due_at))
            self.effects.append(StartTimer(due_at, events.timer_fired(self._now, event.eventId, body.fireAt)))

    def _handed_on(self, scope: pb.HistoryPropagationScope.ValueType) -> pb.PropagatedHistory | None:
        return handed_on(
            scope,
            app_id=self._apps.written(self._key.app_id),
            started=self.started.executionStarted,
            own=(self.events,),
            received=self._propagated,
        )
