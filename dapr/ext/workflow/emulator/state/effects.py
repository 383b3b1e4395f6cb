"""How what follows from a turn is done: to the instance itself, and to others."""

from __future__ import annotations

import logging

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator.rules import events
from dapr.ext.workflow.emulator.rules.apply import apply
from dapr.ext.workflow.emulator.rules.apps import Apps
from dapr.ext.workflow.emulator.rules.outcome import Effect, Outcome, Send, StartActivity, StartTimer, StartWorkflow
from dapr.ext.workflow.emulator.rules.runs import after
from dapr.ext.workflow.emulator.state.instances import Instance
from dapr.ext.workflow.emulator.state.unit import Unit

__all__ = ['deliver', 'finish', 'is_active', 'start']

_logger = logging.getLogger(__name__)


def finish(unit: Unit, apps: Apps, instance: Instance, outcome: Outcome, custom_status: str | None) -> None:
    """Ends an instance's turn, which does not continue as new.

    Args:
        unit: Takes the changes, as in the other functions.
        apps: All apps.
        instance: The instance.
        outcome: What the turn comes to.
        custom_status: The custom status from here on.
    """
    unit.commit_turn(instance, outcome, custom_status)
    for effect in outcome.effects:
        _do(unit, apps, instance, effect)


def start(unit: Unit, starting: StartWorkflow) -> None:
    """Creates an instance, whose start is delivered now or later."""
    replaced = unit.find(starting.key)
    if replaced is not None:
        starting.event.timestamp.CopyFrom(events.timestamp(after(replaced.created_at, unit.now)))
    instance = unit.create(starting.key, starting.event, starting.propagated)
    started = starting.event.executionStarted
    due_at = events.micros(started.scheduledStartTimestamp)
    if started.HasField('scheduledStartTimestamp') and due_at > unit.now:
        unit.deliver_later(instance, StartTimer(due_at, starting.event))
    else:
        unit.deliver(instance, starting.event)


def deliver(unit: Unit, apps: Apps, instance: Instance, event: pb.HistoryEvent) -> None:
    """Delivers an event. A terminate of an instance whose start is still to come ends it here, without a worker."""
    if event.HasField('executionTerminated') and unit.runs(instance) and instance.is_to_come:
        batch = [events.workflow_started(unit.now), instance.start, event]
        outcome = apply(instance.run(apps), batch, pb.WorkflowResponse(), unit.now)
        finish(unit, apps, instance, outcome, None)
    else:
        unit.deliver(instance, event)


def is_active(instance_id: str) -> str:
    """Says why an instance cannot be created."""
    return f"an active workflow with ID '{instance_id}' already exists"


def _do(unit: Unit, apps: Apps, instance: Instance, effect: Effect) -> None:
    if isinstance(effect, StartActivity):
        unit.schedule(instance, effect)
    elif isinstance(effect, StartTimer):
        unit.deliver_later(instance, effect)
    elif isinstance(effect, Send):
        target = unit.find(effect.key)
        if target is not None and effect.execution_id in (None, target.execution_id):
            deliver(unit, apps, target, effect.event)
    else:
        existing = unit.find(effect.key)
        if existing is None or not unit.runs(existing):
            start(unit, effect)
        elif effect.child_of is not None:
            reason = events.failure('DuplicateInstance', is_active(effect.key.instance_id), non_retriable=False)
            router = apps.router(instance.key.app_id)
            failed = events.child_result(unit.now, effect.child_of, None, reason, router, succeeded=False)
            unit.deliver(instance, failed)
        else:
            _logger.warning('A detached workflow was not started: %s.', is_active(effect.key.instance_id))
