"""Workflow turns: from a work item to its answer."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import pytest

from dapr.ext.workflow._durabletask.history.cache import _WorkflowHistoryCache
from dapr.ext.workflow._durabletask.history.fence import DispatchFence
from dapr.ext.workflow._durabletask.history.resolver import HistoryResolver
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.propagation import PropagatedHistory
from dapr.ext.workflow._durabletask.replay.executor import _OrchestrationExecutor
from dapr.ext.workflow._durabletask.replay.instance import ExecutionResults, WorkflowInstance
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from dapr.ext.workflow._durabletask.turns import Dispatch, Turns
from tests.support.engine import execution_started, task_completed, task_scheduled, workflow_started

LOGGER = logging.getLogger('tests.worker.turns')
STARTED = [workflow_started(), execution_started('greet', '"you"')]


class Answers:
    def __init__(self) -> None:
        self.responses: list[pb.WorkflowResponse] = []

    def complete_turn(self, response: pb.WorkflowResponse) -> bool:
        self.responses.append(response)
        return True


class Fixed(_OrchestrationExecutor):
    """An executor that gives what it was given, and notes what it was asked."""

    def __init__(self, results: ExecutionResults | Exception) -> None:
        super().__init__(_Registry(), LOGGER)
        self.results = results
        self.asked: list[tuple[Any, ...]] = []

    def replayed(
        self,
        instance_id: str,
        old_events: Sequence[pb.HistoryEvent],
        propagated_history: PropagatedHistory | None = None,
    ) -> WorkflowInstance:
        self.asked.append((instance_id, list(old_events), propagated_history))
        return super().replayed(instance_id, [])

    def run(self, instance: WorkflowInstance, new_events: Sequence[pb.HistoryEvent]) -> ExecutionResults:
        self.asked.append((list(new_events),))
        if isinstance(self.results, Exception):
            raise self.results
        return self.results


def _engine() -> _OrchestrationExecutor:
    def greet(ctx: Any, name: str) -> Any:
        ctx.set_custom_status('greeting')
        greeting = yield ctx.call_activity('compose', input=name)
        return greeting

    registry = _Registry()
    registry.add_orchestrator(greet)
    return _OrchestrationExecutor(registry, LOGGER)


def _item(**request: Any) -> pb.WorkItem:
    return pb.WorkItem(completionToken='token', workflowRequest=pb.WorkflowRequest(instanceId='abc', **request))


def _serve(item: pb.WorkItem, executor: _OrchestrationExecutor | None = None) -> list[pb.WorkflowResponse]:
    answers = Answers()
    Turns(executor or _engine(), answers, LOGGER).serve(Dispatch(item, DispatchFence().enter('')))
    return answers.responses


def test_a_turn_is_answered_with_its_actions_status_and_token() -> None:
    (response,) = _serve(_item(newEvents=STARTED))
    (action,) = response.actions
    assert (action.id, action.scheduleTask.name, action.scheduleTask.input.value) == (1, 'compose', '"you"')
    assert response.customStatus.value == 'greeting'
    assert (response.instanceId, response.completionToken) == ('abc', 'token')
    assert not response.HasField('version')
    assert not response.HasField('numEventsProcessed')


@pytest.mark.parametrize(
    ('action', 'is_kept'),
    [
        (pb.WorkflowAction(terminateWorkflow=pb.TerminateWorkflowAction(instanceId='another')), True),
        (pb.WorkflowAction(completeWorkflow=pb.CompleteWorkflowAction()), False),
    ],
    ids=['another is terminated', 'this one completes'],
)
def test_a_history_is_kept_until_its_own_run_completes(action: pb.WorkflowAction, is_kept: bool) -> None:
    cache = _WorkflowHistoryCache()
    resolver = HistoryResolver(cache, lambda instance_id: [])
    executor = Fixed(ExecutionResults([action], None))
    item = _item(pastEvents=[*STARTED, task_scheduled(1, 'compose')], newEvents=[workflow_started()])
    Turns(executor, Answers(), LOGGER, resolver).serve(Dispatch(item, DispatchFence().enter('abc')))
    assert (cache.get('abc') is not None) is is_kept


def test_a_turn_goes_on_from_its_committed_history() -> None:
    item = _item(
        pastEvents=[*STARTED, task_scheduled(1, 'compose')],
        newEvents=[workflow_started(), task_completed(1, 'hello you')],
    )
    (response,) = _serve(item)
    (action,) = response.actions
    assert (action.id, action.completeWorkflow.result.value) == (2, '"hello you"')


@pytest.mark.parametrize(
    ('version_name', 'patches', 'expected'),
    [
        (None, None, None),
        (None, [], None),
        ('v2', None, pb.WorkflowVersion(name='v2')),
        (None, ['p', 'q'], pb.WorkflowVersion(patches=['p', 'q'])),
        ('v2', ['p'], pb.WorkflowVersion(name='v2', patches=['p'])),
    ],
)
def test_version_and_patches_go_out_when_there_are_any(
    version_name: str | None, patches: list[str] | None, expected: pb.WorkflowVersion | None
) -> None:
    executor = Fixed(ExecutionResults([], None, version_name, patches))
    (response,) = _serve(_item(newEvents=STARTED), executor)
    assert (response.version if response.HasField('version') else None) == expected
    assert not response.HasField('customStatus')


def test_an_empty_custom_status_goes_out() -> None:
    (response,) = _serve(_item(), Fixed(ExecutionResults([], '')))
    assert response.HasField('customStatus')


def test_the_executor_is_given_the_request() -> None:
    executor = Fixed(ExecutionResults([], None))
    propagated = pb.PropagatedHistory(scope=pb.HISTORY_PROPAGATION_SCOPE_OWN_HISTORY)
    _serve(_item(pastEvents=STARTED[:1], newEvents=STARTED[1:], propagatedHistory=propagated), executor)
    (instance_id, old_events, history), (new_events,) = executor.asked
    assert (instance_id, old_events, new_events) == ('abc', STARTED[:1], STARTED[1:])
    assert isinstance(history, PropagatedHistory)
    _serve(_item(), executor)
    assert executor.asked[2:] == [('abc', [], None), ([],)]


@pytest.mark.parametrize(
    'request_',
    [
        {},
        {'newEvents': [workflow_started()]},
        {'newEvents': [task_completed(1)]},
        {'newEvents': [pb.HistoryEvent()]},
        {'newEvents': [*STARTED, task_completed(2**31 - 1), task_completed(-(2**31))]},
        {'pastEvents': [task_scheduled(1, 'compose')], 'newEvents': STARTED},
        {'pastEvents': [pb.HistoryEvent(eventId=-5)], 'newEvents': []},
    ],
    ids=['empty', 'no start', 'only a result', 'unknown kind', 'ids out of range', 'wrong order', 'no batch'],
)
def test_malformed_histories_are_answered(request_: dict[str, Any]) -> None:
    (response,) = _serve(_item(**request_))
    assert response.completionToken == 'token'
    # Before its start there is nothing that an instance could ask for; it is not failed, for it may still come.
    assert len(response.actions) == (STARTED[-1] in request_.get('newEvents', []))


def test_an_internal_error_fails_the_workflow_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    item = _item(pastEvents=[*STARTED, task_scheduled(7, 'compose')], newEvents=[task_completed(7)])
    (response,) = _serve(item, Fixed(RuntimeError('a fault of ours')))
    assert (response.instanceId, response.completionToken) == ('abc', 'token')
    (action,) = response.actions
    assert action.id == 8
    assert action.completeWorkflow.workflowStatus == pb.ORCHESTRATION_STATUS_FAILED
    assert action.completeWorkflow.failureDetails.errorType == 'RuntimeError'
    assert action.completeWorkflow.failureDetails.errorMessage == 'a fault of ours'
    assert 'a fault of ours' in caplog.text


def test_an_internal_error_without_history_has_an_id_too() -> None:
    (response,) = _serve(_item(newEvents=[workflow_started()]), Fixed(RuntimeError('a fault of ours')))
    assert [action.id for action in response.actions] == [1]


def test_a_history_with_events_left_out_is_not_answered(caplog: pytest.LogCaptureFixture) -> None:
    item = _item(newEvents=[task_completed(1)], cachedHistory=pb.CachedHistory(eventCount=3))
    assert _serve(item) == []
    assert 'left out 3 events' in caplog.text


def test_an_empty_cached_history_is_a_whole_one() -> None:
    assert len(_serve(_item(newEvents=STARTED, cachedHistory=pb.CachedHistory(eventCount=0)))) == 1


def test_summaries_hold_kinds_and_no_payloads(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, LOGGER.name):
        _serve(_item(pastEvents=[workflow_started()], newEvents=STARTED))
    assert caplog.messages == [
        'abc: 1 events of history, new: workflowStarted, executionStarted; actions: scheduleTask'
    ]


def test_summaries_are_only_made_when_they_are_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> str:
        raise AssertionError('made for nothing')

    monkeypatch.setattr('dapr.ext.workflow._durabletask.turns._summary', fail)
    assert len(_serve(_item(newEvents=STARTED))) == 1


def test_a_history_that_cannot_be_kept_is_no_reason_not_to_answer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache, fence, answers = _WorkflowHistoryCache(), DispatchFence(), Answers()

    def put(*_: object, **__: object) -> bool:
        raise MemoryError('no room')

    monkeypatch.setattr(cache, 'put', put)
    turns = Turns(_engine(), answers, LOGGER, HistoryResolver(cache, lambda _: []))
    turns.serve(Dispatch(_item(pastEvents=STARTED, newEvents=[workflow_started()]), fence.enter('abc')))
    (response,) = answers.responses
    assert response.actions[0].scheduleTask.name == 'compose'
    assert 'abc: nothing is kept for the next turn' in caplog.text
    assert len(fence) == 0
