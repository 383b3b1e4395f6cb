"""Purging: which instances go along with one."""

from __future__ import annotations

import grpc

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator.errors import Refused
from dapr.ext.workflow.emulator.rules import events
from dapr.ext.workflow.emulator.rules.apps import Apps
from dapr.ext.workflow.emulator.seam import Key
from dapr.ext.workflow.emulator.state.instances import Instance, Instances
from dapr.ext.workflow.emulator.state.store import Store
from dapr.ext.workflow.emulator.state.unit import Unit

__all__ = ['matching', 'purge']


def purge(unit: Unit, instances: Instances, apps: Apps, key: Key, *, recursive: bool, force: bool) -> int:
    """Removes an instance.

    Args:
        unit: Takes the removals; none, if the purge is refused.
        instances: Where histories are.
        apps: All apps.
        key: The instance.
        recursive: Whether the children that its history names go, too, and theirs.
        force: Whether instances go that have not ended.

    Returns:
        How many went.

    Raises:
        Refused: UNKNOWN: there is no such instance, or one that would go has not ended.
    """
    first = unit.find(key)
    if first is None:
        raise _refused('no such instance exists')
    family = {key: first}
    waiting = [first]
    while waiting:
        instance = waiting.pop()
        if not (instance.has_ended or force):
            raise _refused('orchestration has not yet completed')
        for child in _children(unit, instances, apps, instance) if recursive else ():
            if child.key not in family:
                family[child.key] = child
                waiting.append(child)
    for instance in family.values():
        unit.remove(instance)
    return len(family)


def matching(store: Store, app_id: str, filter: pb.PurgeInstanceFilter) -> list[Key]:
    """The instances of an app that a filter lets through; what it does not give lets all through."""
    first = events.micros(filter.createdTimeFrom) if filter.HasField('createdTimeFrom') else events.FIRST
    last = events.micros(filter.createdTimeTo) if filter.HasField('createdTimeTo') else events.NEVER
    return [
        Key(app_id, instance_id)
        for instance_id, status in store.created_between(app_id, first, last)
        if not filter.runtimeStatus or status in filter.runtimeStatus
    ]


def _children(unit: Unit, instances: Instances, apps: Apps, parent: Instance) -> list[Instance]:
    children = []
    for event in instances.history(parent):
        if event.HasField('childWorkflowInstanceCreated'):
            child = unit.find(apps.child(parent.key.app_id, event))
            # The id may be another workflow's by now.
            if child is not None and _is_child(child, parent):
                children.append(child)
    return children


def _is_child(child: Instance, parent: Instance) -> bool:
    started = child.start.executionStarted
    return (
        started.HasField('parentInstance')
        and started.parentInstance.workflowInstance.instanceId == parent.key.instance_id
    )


def _refused(reason: str) -> Refused:
    return Refused(grpc.StatusCode.UNKNOWN, f'failed to purge workflow state: {reason}')
