"""Turns of workflows, from a whole history or from where a workflow stands."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from dapr.ext.workflow._durabletask.async_failures import AsyncWorkflowError
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.propagation import PropagatedHistory
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext
from dapr.ext.workflow._durabletask.replay.differences import Outcome
from dapr.ext.workflow._durabletask.replay.instance import ExecutionResults, WorkflowInstance
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from dapr.ext.workflow._durabletask.replay.sites import SiteRecordingContext
from dapr.ext.workflow._durabletask.replay.verification import VerifyingContext


class _OrchestrationExecutor:
    """Runs turns of workflows.

    Args:
        registry: The orchestrators that can be run.
        logger: Where oddities are told; they do not fail a turn.
        context_type: What the code is given. Default: the context that knows no more than it needs to.
    """

    def __init__(
        self,
        registry: _Registry,
        logger: logging.Logger,
        context_type: type[_RuntimeOrchestrationContext] = _RuntimeOrchestrationContext,
    ) -> None:
        self._registry = registry
        self._logger = logger
        self._context_type = context_type

    def execute(
        self,
        instance_id: str,
        old_events: Sequence[pb.HistoryEvent],
        new_events: Sequence[pb.HistoryEvent],
        propagated_history: PropagatedHistory | None = None,
    ) -> ExecutionResults:
        """Replays the committed history, runs the new events, and throws the running workflow away.

        Args:
            instance_id: The id of the workflow instance.
            old_events: Its committed history.
            new_events: The events of the turn.
            propagated_history: The history that the caller of the workflow has sent along, or None.

        Returns:
            The turn's actions and what goes with them. A failure of the workflow's code, or of the replay, is an
            action too: nothing that a workflow does is raised here.
        """
        instance = self.replayed(instance_id, old_events, propagated_history)
        results = self.run(instance, new_events)
        close(instance, self._logger)
        return results

    def replayed(
        self,
        instance_id: str,
        old_events: Sequence[pb.HistoryEvent],
        propagated_history: PropagatedHistory | None = None,
    ) -> WorkflowInstance:
        """A workflow that is running, and stands at the end of its committed history. Close it in the end."""
        return self._replayed_in(self._context_type, instance_id, old_events, propagated_history)

    def _replayed_in(
        self,
        context_type: type[_RuntimeOrchestrationContext],
        instance_id: str,
        old_events: Sequence[pb.HistoryEvent],
        propagated_history: PropagatedHistory | None,
    ) -> WorkflowInstance:
        instance = WorkflowInstance(self._registry, instance_id, context_type)
        instance.set_propagated_history(propagated_history)
        instance.replay(old_events)
        return instance

    def run(self, instance: WorkflowInstance, new_events: Sequence[pb.HistoryEvent]) -> ExecutionResults:
        """Runs the new events of a turn, and tells what was odd in it."""
        results = instance.run(new_events)
        for notice in instance.take_notices():
            self._logger.warning(notice)
        return results

    def verified(
        self,
        instance_id: str,
        old_events: Sequence[pb.HistoryEvent],
        new_events: Sequence[pb.HistoryEvent],
        propagated_history: PropagatedHistory | None = None,
    ) -> Outcome:
        """What a turn that was run comes to when it is run again from the start, with the lines of its calls. Tells
        nothing of what is odd in it: the turn has done so."""
        instance = self._replayed_in(VerifyingContext, instance_id, old_events, propagated_history)
        results = instance.run(new_events)
        close(instance, self._logger)
        return outcome_of(instance, results)

    def sites(
        self,
        instance_id: str,
        old_events: Sequence[pb.HistoryEvent],
        new_events: Sequence[pb.HistoryEvent],
        propagated_history: PropagatedHistory | None = None,
    ) -> dict[int, str]:
        """Where in its code a workflow makes its calls, by the ids of their actions, found by one more replay."""
        instance = self._replayed_in(SiteRecordingContext, instance_id, old_events, propagated_history)
        instance.replay(new_events)
        close(instance, self._logger)
        assert isinstance(instance.context, SiteRecordingContext)
        return instance.context.sites


def outcome_of(instance: WorkflowInstance, results: ExecutionResults) -> Outcome:
    """What a turn came to, with the lines of its calls as far as they are known."""
    context = instance.context
    return Outcome(results, context.sites if isinstance(context, SiteRecordingContext) else {})


def close(instance: WorkflowInstance, logger: logging.Logger) -> None:
    """Ends a running workflow; what its generator raises then is told, and no more."""
    error = instance.close()
    if isinstance(error, AsyncWorkflowError):
        logger.warning('%s: the async workflow was closed, but %s.', instance.context.instance_id, error)
    elif error is not None:
        logger.warning(
            "%s: the workflow's generator raised %s on closing: %s. Blocks that run on GeneratorExit must not yield.",
            instance.context.instance_id,
            type(error).__name__,
            error,
        )
