"""Why the answer to a turn stalls its instance in place of moving it on. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator.rules.runs import RunState

__all__ = ['Stall', 'why_stalled']


class Stall(NamedTuple):
    """What an executionStalled says.

    Attributes:
        reason: What the worker lacks.
        description: The same for a reader, as daprd words it.
    """

    reason: pb.StalledReason.ValueType
    description: str


def why_stalled(state: RunState, batch: Sequence[pb.HistoryEvent], response: pb.WorkflowResponse) -> Stall | None:
    """Finds out whether a worker has answered with other code than that which the run began with.

    Args:
        state: The run, as it was before the turn.
        batch: What the turn was given.
        response: The worker's answer.

    Returns:
        None when the answer counts. It always does when the batch terminates the instance, so that one for which there
        is no worker any more can be ended, and when the run ends by continuing as new: the next one has no history yet.
    """
    if any(event.HasField('executionTerminated') for event in batch):
        return None
    for action in response.actions:
        if action.HasField('workflowVersionNotAvailable'):
            return Stall(pb.VERSION_NOT_AVAILABLE, f'Version not available: {state.version}')
        if action.completeWorkflow.workflowStatus == pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW:
            return None
    known, told = state.patches, response.version.patches
    # An answer has all patches that its code has met, in order: those of the history come first when it is the same.
    if told[: len(known)] == known:
        return None
    return Stall(
        pb.PATCH_MISMATCH,
        f'Patch mismatch. History patches: [{", ".join(known)}], current patches: [{", ".join(told)}]. ',
    )
