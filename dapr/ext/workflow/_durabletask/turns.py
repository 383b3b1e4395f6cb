"""Workflow turns: from a work item to its answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import NamedTuple, Protocol

from dapr.ext.workflow._durabletask import forgotten_yield
from dapr.ext.workflow._durabletask.failures import (
    FailureDetails,
    NonDeterminismError,
    TaskFailedError,
    UnsupportedBySidecarError,
)
from dapr.ext.workflow._durabletask.history.fence import Ticket
from dapr.ext.workflow._durabletask.history.resolver import (
    HistoryResolver,
    ResolvedHistory,
    _HistoryResolutionError,
    execution_id_of,
)
from dapr.ext.workflow._durabletask.history.sticky import Parked, StickyInstances, execution_id_in
from dapr.ext.workflow._durabletask.internal import helpers
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.listener import Listeners, TurnRecord
from dapr.ext.workflow._durabletask.propagation import propagated_history_of
from dapr.ext.workflow._durabletask.replay.executor import _OrchestrationExecutor, close, outcome_of
from dapr.ext.workflow._durabletask.replay.instance import ExecutionResults, WorkflowInstance
from dapr.ext.workflow._durabletask.replay.verification import ReplayVerification
from dapr.ext.workflow._durabletask.running import RunningWork


class TurnAnswers(Protocol):
    """Sends the answer of a turn; `Completions` does."""

    def complete_turn(self, response: pb.WorkflowResponse) -> bool: ...


class Abilities(Protocol):
    """Knows what the sidecar can do; `SidecarAbilities` does."""

    def require(self, actions: Sequence[pb.WorkflowAction]) -> None: ...


class Dispatch(NamedTuple):
    """A workflow work item, and its place among the dispatches of its instance; taken when the item comes in."""

    item: pb.WorkItem
    ticket: Ticket


# Beyond so many, forgotten calls are not told any more: names of calls may be made up of data.
_MOST_TOLD = 1000


class Turns:
    """Serves workflow work items, on whichever threads it is called on.

    A turn: the running workflow is taken from where it is kept, or its history is resolved and replayed; the new events
    are run; the workflow, or its history, is kept for the next turn; the turn is answered. In this order: the next work
    item of the instance may come in before the call that answers this one returns.

    Args:
        executor: Replays and runs.
        answers: Sends the answer of a turn.
        logger: Where internal errors are told, and a summary of each turn at debug level.
        resolver: Finds out what a turn replays, and remembers it. None (default): every item must hold its whole
            history.
        sticky: Keeps workflows running between turns. None (default): each turn is replayed.
        verification: Has turns run again from the start, and compares. None (default): none is checked.
        give_up_stream: Called with a reason and the number of a stream when a history could not be had: the turn is not
            answered, since its instance is healthy, and the sidecar is to dispatch it again.
        running: Takes note of what runs. Default: no one looks.
        listeners: Are told of each turn. Default: there are none.
        abilities: Is asked before the sidecar is asked for what not all can. None (default): all can.
    """

    def __init__(
        self,
        executor: _OrchestrationExecutor,
        answers: TurnAnswers,
        logger: logging.Logger,
        resolver: HistoryResolver | None = None,
        sticky: StickyInstances | None = None,
        verification: ReplayVerification | None = None,
        give_up_stream: Callable[[str, int], None] | None = None,
        running: RunningWork | None = None,
        listeners: Listeners | None = None,
        abilities: Abilities | None = None,
    ) -> None:
        self._abilities = abilities
        self._executor = executor
        self._answers = answers
        self._logger = logger
        self._resolver = resolver
        self._sticky = sticky
        self._verification = verification
        self._give_up_stream = give_up_stream
        self._running = running or RunningWork()
        self._listeners = listeners if listeners is not None and listeners.want_turns else None
        # Forgotten calls that were told, by workflow and call.
        self._told: set[tuple[str, str]] = set()

    def serve(self, dispatch: Dispatch) -> None:
        """Runs the turn of a work item and answers it."""
        item, ticket = dispatch
        record = None if self._listeners is None else TurnRecord(ticket.instance_id, perf_counter())
        request = item.workflowRequest
        try:
            kept = None
            if self._sticky is not None:
                if record is None:
                    kept = self._sticky.resume(request, ticket)
                else:
                    record.sticky = 'hit'
                    kept = self._sticky.resume(request, ticket, record)
            history = self._resolved(request, ticket) if kept is None else None
            if kept is None and history is None:
                return
            try:
                instance, response = self._run(request, ticket, kept, history, record)
                parked = self._keep(request, ticket, kept, history, instance, response)
            finally:
                if history is not None:
                    history.forget()
            response.completionToken = item.completionToken
            if self._logger.isEnabledFor(logging.DEBUG):
                self._logger.debug('%s', _summary(request, response))
            if record is not None:
                record.outcome = 'waiting'
                if instance is None or instance.is_ended:
                    record.read_end(response)
                record.ended = perf_counter()
            is_delivered = self._answers.complete_turn(response)
            if record is not None:
                record.is_delivered = is_delivered
            if self._sticky is not None and parked is not None and not is_delivered:
                self._sticky.forget(request.instanceId, parked)
        finally:
            ticket.leave()
            if record is not None and self._listeners is not None:
                self._listeners.turn_ended(record)

    def _resolved(self, request: pb.WorkflowRequest, ticket: Ticket) -> ResolvedHistory | None:
        """The whole history before this turn; None when it is not to be had and the item is left unanswered."""
        try:
            return self._history(request, ticket)
        except _HistoryResolutionError as error:
            if self._resolver is None:
                self._logger.error('%s The turn is not answered; the sidecar will dispatch it again.', error)
            elif self._give_up_stream is not None:
                self._give_up_stream(str(error), ticket.stream)
            return None

    def _history(self, request: pb.WorkflowRequest, ticket: Ticket) -> ResolvedHistory:
        if self._resolver is not None:
            return self._resolver.resolve(request, ticket)
        if request.cachedHistory.eventCount == 0:
            return ResolvedHistory(request.pastEvents)
        raise _HistoryResolutionError(
            f'{request.instanceId}: the sidecar left out {request.cachedHistory.eventCount} events of the history, '
            'which this worker did not say that it keeps.'
        )

    def _run(
        self,
        request: pb.WorkflowRequest,
        ticket: Ticket,
        kept: Parked | None,
        history: ResolvedHistory | None,
        record: TurnRecord | None,
    ) -> tuple[WorkflowInstance | None, pb.WorkflowResponse]:
        """Runs the new events of a turn in a kept workflow, or in one that replays the history; gives it and the
        answer. After an internal error there is no workflow that could be kept."""
        instance = None if kept is None else kept.instance
        name = '' if instance is None else instance.context.workflow_name
        new_events = request.newEvents
        self._running.begin_turn(request.instanceId, name, (() if history is None else history.events, new_events))
        failure: Exception
        try:
            if instance is None:
                assert history is not None
                instance = self._executor.replayed(request.instanceId, history.events, propagated_history_of(request))
                if record is not None and history.events:
                    record.replayed = perf_counter()
                    record.replayed_events = len(history.events)
                elif record is not None:
                    record.read_start(new_events)
            results = self._executor.run(instance, new_events)
            if instance.context.sends_messages and self._abilities is not None:
                self._abilities.require(results.actions)
            if instance.is_ended:
                self._tell_failure(request.instanceId, results)
                if instance.forgotten:
                    self._tell_forgotten(instance, request, ticket, history)
            if self._verification is not None and self._verification.is_due():
                self._verify(self._verification, instance, request, ticket, history, results)
            return instance, _response(request, results)
        except (NonDeterminismError, UnsupportedBySidecarError) as error:
            self._logger.error('%s', error)
            failure = error
        except Exception as error:
            self._logger.exception(
                '%s: an internal error ended the turn, and with it the workflow. Please report it.', request.instanceId
            )
            failure = error
        finally:
            self._running.end_turn()
            if record is not None:
                record.new_events = len(new_events)
                if instance is not None:
                    context = instance.context
                    record.workflow_name = context._workflow_name
                    if context._trace_parent:
                        record.trace_parent, record.trace_state = context.run_trace_parent, context._trace_state
        response = _failure(request, failure, instance)
        if instance is not None:
            close(instance, self._logger)
        return None, response

    def _tell_forgotten(
        self, instance: WorkflowInstance, request: pb.WorkflowRequest, ticket: Ticket, history: ResolvedHistory | None
    ) -> None:
        """Tells what a workflow never waited for: each call once for this worker, since it is a line of its code."""
        if forgotten_yield.mode() != 'warn':
            return
        workflow = instance.context.workflow_name
        new = [
            (action_id, task)
            for action_id, task in instance.forgotten
            if (workflow, task.describe()) not in self._told and len(self._told) < _MOST_TOLD
        ]
        if not new:
            return
        self._told.update((workflow, task.describe()) for _, task in new)
        sites = self._sites(request, ticket, history)
        for action_id, task in new:
            how = f' It has failed: {task.get_exception()}' if task.is_failed else ''
            self._logger.warning(
                "%s: the workflow '%s' has ended and never waited for %s%s. Did you forget 'yield'?%s",
                request.instanceId,
                workflow,
                task.describe(),
                f', called at {sites[action_id]}' if sites.get(action_id) else '',
                how,
            )

    def _sites(self, request: pb.WorkflowRequest, ticket: Ticket, history: ResolvedHistory | None) -> dict[int, str]:
        """Where the code makes its calls; nothing where the history cannot be had."""
        try:
            with self._borrowed(request, ticket, history) as resolved:
                return self._executor.sites(
                    request.instanceId, resolved.events, request.newEvents, propagated_history_of(request)
                )
        except _HistoryResolutionError:
            return {}
        except Exception:  # it is for a message alone: the turn was run, and is answered
            self._logger.debug('%s: the lines of its calls cannot be told.', request.instanceId, exc_info=True)
            return {}

    @contextmanager
    def _borrowed(
        self, request: pb.WorkflowRequest, ticket: Ticket, history: ResolvedHistory | None
    ) -> Iterator[ResolvedHistory]:
        """The whole history before a turn, for one more replay: the one that the turn itself has replayed, if it has.

        Raises:
            _HistoryResolutionError: It is not to be had.
        """
        if history is not None:
            yield history
            return
        resolved = self._history(request, ticket)
        try:
            yield resolved
        finally:
            resolved.forget()

    def _tell_failure(self, instance_id: str, results: ExecutionResults) -> None:
        for action in results.actions:
            if action.completeWorkflow.workflowStatus == pb.ORCHESTRATION_STATUS_FAILED:
                details = action.completeWorkflow.failureDetails
                # Where an activity or a child failed, its own failure is told, with the trace that matters.
                is_own = details.errorType != TaskFailedError.__name__ and details.stackTrace.value
                self._logger.warning(
                    '%s: the workflow has failed with %s: %s%s',
                    instance_id,
                    details.errorType,
                    FailureDetails.from_proto(details).full_message,
                    f'\n{details.stackTrace.value.rstrip()}' if is_own else '',
                )

    def _verify(
        self,
        verification: ReplayVerification,
        instance: WorkflowInstance,
        request: pb.WorkflowRequest,
        ticket: Ticket,
        history: ResolvedHistory | None,
        results: ExecutionResults,
    ) -> None:
        """Runs a turn again from the start, and raises where that comes to something else."""
        try:
            with self._borrowed(request, ticket, history) as resolved:
                replayed = self._executor.verified(
                    request.instanceId, resolved.events, request.newEvents, propagated_history_of(request)
                )
        except _HistoryResolutionError as error:  # nothing else hangs on it: the turn was run, and is answered
            self._logger.warning(
                '%s: the history for the check of its replay cannot be had: %s', request.instanceId, error
            )
            return
        verification.compare(
            request.instanceId, instance.context.workflow_name, outcome_of(instance, results), replayed
        )

    def _keep(
        self,
        request: pb.WorkflowRequest,
        ticket: Ticket,
        kept: Parked | None,
        history: ResolvedHistory | None,
        instance: WorkflowInstance | None,
        response: pb.WorkflowResponse,
    ) -> Parked | None:
        """Keeps the workflow for its next turn, or its history; gives the workflow if that is kept."""
        is_ended = any(action.HasField('completeWorkflow') for action in response.actions)
        try:
            if self._sticky is None:
                assert history is not None
                history.remember(ended=is_ended)
            elif not (instance is None or instance.is_ended):
                parked = kept
                if parked is None:
                    assert history is not None
                    parked = Parked(instance, execution_id_in(request) or execution_id_of(history.events))
                if self._sticky.park(parked, request, ticket):
                    return parked
        except Exception:  # most likely memory that is short: what is not kept is replayed, and the turn has run
            self._logger.exception('%s: nothing is kept for the next turn, which will replay.', request.instanceId)
        if instance is not None:
            close(instance, self._logger)
        return None


def _response(request: pb.WorkflowRequest, results: ExecutionResults) -> pb.WorkflowResponse:
    response = pb.WorkflowResponse(instanceId=request.instanceId, actions=results.actions)
    if results.encoded_custom_status is not None:
        response.customStatus.value = results.encoded_custom_status
    _set_version(response, results.version_name, results.patches or ())
    return response


def _failure(request: pb.WorkflowRequest, error: Exception, instance: WorkflowInstance | None) -> pb.WorkflowResponse:
    # The engine's own count may be lost with its error, and a delta has not all ids: past both is a place that no
    # action has.
    ids = (event.eventId for events in (request.pastEvents, request.newEvents) for event in events)
    last_id = 0 if instance is None else instance.last_action_id
    action = helpers.new_complete_workflow_action(
        max(last_id, max(ids, default=0)) + 1,
        pb.ORCHESTRATION_STATUS_FAILED,
        failure_details=helpers.new_failure_details(error),
    )
    response = pb.WorkflowResponse(instanceId=request.instanceId, actions=[action])
    if instance is not None:
        # Without the patches that the history has, daprd would stall the instance, and the error be lost.
        _set_version(response, instance.version_name, instance.patches_met)
    return response


def _set_version(response: pb.WorkflowResponse, name: str | None, patches: Sequence[str]) -> None:
    if name:
        response.version.name = name
    if patches:
        response.version.patches.extend(patches)


def _summary(request: pb.WorkflowRequest, response: pb.WorkflowResponse) -> str:
    """What came and what goes, by kind: no payloads."""
    events = ', '.join(str(event.WhichOneof('eventType')) for event in request.newEvents)
    actions = ', '.join(str(action.WhichOneof('workflowActionType')) for action in response.actions)
    return (
        f'{request.instanceId}: {len(request.pastEvents)} events of history, new: {events or "none"}; '
        f'actions: {actions or "none"}'
    )
