"""Work items, as they go out to a worker."""

from __future__ import annotations

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator.seam import ActivityWork, Turn

__all__ = ['activity_item', 'ping_item', 'turn_item']


def turn_item(turn: Turn, token: str, held: int) -> pb.WorkItem:
    """A turn.

    Args:
        turn: The turn.
        token: The completion token of this dispatch.
        held: How many of the committed events the worker holds: the item is a delta that leaves them out. 0: it holds
            none, and is sent the whole history.
    """
    item = pb.WorkItem(completionToken=token)
    request = item.workflowRequest
    request.instanceId = turn.key.instance_id
    request.executionId.value = turn.execution_id
    if held < turn.past_count:
        request.pastEvents.extend(turn.past[held : turn.past_count])
    request.newEvents.extend(turn.new_events)
    if held:
        request.cachedHistory.eventCount = held
    if turn.router is not None:
        request.router.CopyFrom(turn.router)
    if turn.propagated is not None:
        request.propagatedHistory.CopyFrom(turn.propagated)
    return item


def activity_item(work: ActivityWork, token: str) -> pb.WorkItem:
    """An activity, with the completion token of this dispatch."""
    return pb.WorkItem(activityRequest=work.request, completionToken=token)


def ping_item() -> pb.WorkItem:
    """Traffic that shows that the stream is alive."""
    return pb.WorkItem(healthPing=pb.HealthPing())
