"""Workflow turns: from a work item to its answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from dapr.ext.workflow._durabletask.history.fence import Ticket
from dapr.ext.workflow._durabletask.history.resolver import (
    HistoryResolver,
    ResolvedHistory,
    _HistoryResolutionError,
)
from dapr.ext.workflow._durabletask.internal import helpers
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.propagation import PropagatedHistory
from dapr.ext.workflow._durabletask.replay.instance import ExecutionResults


class TurnExecutor(Protocol):
    """Runs one turn; `_OrchestrationExecutor` is one."""

    def execute(
        self,
        instance_id: str,
        old_events: Sequence[pb.HistoryEvent],
        new_events: Sequence[pb.HistoryEvent],
        propagated_history: PropagatedHistory | None = None,
    ) -> ExecutionResults: ...


class TurnAnswers(Protocol):
    """Sends the answer of a turn; `Completions` does."""

    def complete_turn(self, response: pb.WorkflowResponse) -> bool: ...


class Dispatch(NamedTuple):
    """A workflow work item, and its place among the dispatches of its instance; taken when the item comes in."""

    item: pb.WorkItem
    ticket: Ticket


class Turns:
    """Serves workflow work items, on whichever threads it is called on.

    A turn: its history is resolved, it is run, what it showed of the history is remembered, it is answered. In this
    order: the next work item of the instance may come in before the call that answers this one returns.

    Args:
        executor: Runs a turn.
        answers: Sends its answer.
        logger: Where internal errors are told, and a summary of each turn at debug level.
        resolver: Finds out what a turn replays, and remembers it. None (default): nothing is kept between turns, and
            every item must hold its whole history.
        give_up_stream: Called with a reason and the number of a stream when a history could not be had: the turn is not
            answered, since its instance is healthy, and the sidecar is to dispatch it again.
    """

    def __init__(
        self,
        executor: TurnExecutor,
        answers: TurnAnswers,
        logger: logging.Logger,
        resolver: HistoryResolver | None = None,
        give_up_stream: Callable[[str, int], None] | None = None,
    ) -> None:
        self._executor = executor
        self._answers = answers
        self._logger = logger
        self._resolver = resolver
        self._give_up_stream = give_up_stream

    def serve(self, dispatch: Dispatch) -> None:
        """Runs the turn of a work item and answers it."""
        item, ticket = dispatch
        request = item.workflowRequest
        try:
            history = self._resolved(request, ticket)
            if history is None:
                return
            try:
                response = self._run(request, history.events)
                self._remember(request, history, response)
            finally:
                history.forget()
            response.completionToken = item.completionToken
            if self._logger.isEnabledFor(logging.DEBUG):
                self._logger.debug('%s', _summary(request, response))
            self._answers.complete_turn(response)
        finally:
            ticket.leave()

    def _resolved(self, request: pb.WorkflowRequest, ticket: Ticket) -> ResolvedHistory | None:
        """The whole history before this turn; None when it is not to be had and the item is left unanswered."""
        if self._resolver is None:
            if request.cachedHistory.eventCount == 0:
                return ResolvedHistory(request.pastEvents)
            self._logger.error(
                '%s: the sidecar left out %d events of the history, which this worker did not say that it keeps. The '
                'turn is not answered; the sidecar will dispatch it again.',
                request.instanceId,
                request.cachedHistory.eventCount,
            )
            return None
        try:
            return self._resolver.resolve(request, ticket)
        except _HistoryResolutionError as error:
            if self._give_up_stream is not None:
                self._give_up_stream(str(error), ticket.stream)
            return None

    def _remember(self, request: pb.WorkflowRequest, history: ResolvedHistory, response: pb.WorkflowResponse) -> None:
        try:
            history.remember(ended=any(action.HasField('completeWorkflow') for action in response.actions))
        except Exception:  # most likely memory that is short: what is not kept is fetched, and the turn has run
            self._logger.exception('%s: the history cannot be kept; the next turn will fetch it.', request.instanceId)

    def _run(self, request: pb.WorkflowRequest, history: Sequence[pb.HistoryEvent]) -> pb.WorkflowResponse:
        response = pb.WorkflowResponse(instanceId=request.instanceId)
        try:
            propagated = (
                PropagatedHistory.from_proto(request.propagatedHistory)
                if request.HasField('propagatedHistory')
                else None
            )
            results = self._executor.execute(request.instanceId, history, request.newEvents, propagated)
            response.actions.extend(results.actions)
            if results.encoded_custom_status is not None:
                response.customStatus.value = results.encoded_custom_status
            if results.version_name:
                response.version.name = results.version_name
            if results.patches:
                response.version.patches.extend(results.patches)
        except Exception as error:
            self._logger.exception(
                '%s: an internal error ended the turn, and with it the workflow. Please report it.', request.instanceId
            )
            response = pb.WorkflowResponse(instanceId=request.instanceId, actions=[_failure(request, error)])
        return response


def _failure(request: pb.WorkflowRequest, error: Exception) -> pb.WorkflowAction:
    # The engine's own count is lost with its error; past every id in the history is a place that no action has.
    last_id = max((event.eventId for events in (request.pastEvents, request.newEvents) for event in events), default=0)
    return helpers.new_complete_workflow_action(
        max(last_id, 0) + 1, pb.ORCHESTRATION_STATUS_FAILED, failure_details=helpers.new_failure_details(error)
    )


def _summary(request: pb.WorkflowRequest, response: pb.WorkflowResponse) -> str:
    """What came and what goes, by kind: no payloads."""
    events = ', '.join(str(event.WhichOneof('eventType')) for event in request.newEvents)
    actions = ', '.join(str(action.WhichOneof('workflowActionType')) for action in response.actions)
    return (
        f'{request.instanceId}: {len(request.pastEvents)} events of history, new: {events or "none"}; '
        f'actions: {actions or "none"}'
    )
