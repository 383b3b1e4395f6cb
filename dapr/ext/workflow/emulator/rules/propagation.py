"""History that is handed on to activities and children."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from dapr.ext.workflow._durabletask.internal import protos as pb

__all__ = ['handed_on']


def handed_on(
    scope: pb.HistoryPropagationScope.ValueType,
    *,
    app_id: str,
    started: pb.ExecutionStartedEvent,
    own: Sequence[Sequence[pb.HistoryEvent]],
    received: pb.PropagatedHistory | None,
) -> pb.PropagatedHistory | None:
    """The history that a workflow hands on.

    Args:
        scope: How far back it reaches.
        app_id: The workflow's app, as events have it.
        started: How the workflow began.
        own: The workflow's own events, in any number of parts.
        received: What was handed on to the workflow; a lineage goes on with it.

    Returns:
        None when the scope asks for none.
    """
    if scope == pb.HISTORY_PROPAGATION_SCOPE_NONE:
        return None
    history = pb.PropagatedHistory(scope=scope)
    if scope == pb.HISTORY_PROPAGATION_SCOPE_LINEAGE and received is not None:
        history.chunks.extend(received.chunks)
    history.chunks.add(
        rawEvents=[event.SerializeToString(deterministic=True) for event in chain.from_iterable(own)],
        appId=app_id,
        instanceId=started.workflowInstance.instanceId,
        workflowName=started.name,
    )
    return history
