"""The check of kept workflows against a replay: when it is made, and what it tells."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from dapr.ext.workflow._durabletask.failures import NonDeterminismError
from dapr.ext.workflow._durabletask.history.cache import _WorkflowHistoryCache
from dapr.ext.workflow._durabletask.history.fence import DispatchFence
from dapr.ext.workflow._durabletask.history.resolver import HistoryResolver
from dapr.ext.workflow._durabletask.history.sticky import StickyInstances
from dapr.ext.workflow._durabletask.internal import helpers
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
from dapr.ext.workflow._durabletask.replay.executor import _OrchestrationExecutor, close
from dapr.ext.workflow._durabletask.replay.instance import ExecutionResults
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from dapr.ext.workflow._durabletask.replay.verification import VARIABLE, ReplayVerification, every_nth_turn
from dapr.ext.workflow._durabletask.turns import Dispatch, Turns
from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker
from tests.support.engine import committed_batch, committed_events, execution_started, task_completed, workflow_started
from tests.support.fake_sidecar import FakeSidecar
from tests.support.scenarios import Workflow

LOGGER = logging.getLogger('tests.verification')


@pytest.mark.parametrize(('value', 'every'), [(None, 0), ('', 0), (' ', 0), ('0', 0), ('1', 1), (' 1 ', 1), ('10', 10)])
def test_the_environment_says_how_many_turns_are_checked(value: str | None, every: int) -> None:
    assert every_nth_turn({} if value is None else {VARIABLE: value}) == every


@pytest.mark.parametrize('value', ['yes', '-1', '1.5', '²', 'all'])
def test_a_value_that_makes_no_sense_is_refused_with_what_would(value: str) -> None:
    with pytest.raises(ValueError, match=f'{VARIABLE} is {value!r}: it must be a number n'):
        every_nth_turn({VARIABLE: value})


def test_the_worker_does_not_start_with_a_value_that_makes_no_sense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, 'yes')
    worker = TaskHubGrpcWorker(host_address='localhost:1')
    with pytest.raises(ValueError, match=VARIABLE):
        worker.start()
    assert not worker.is_worker_ready()


@pytest.mark.parametrize(('every', 'due'), [(1, [True] * 6), (3, [False, False, True] * 2)])
def test_every_nth_turn_is_due(every: int, due: list[bool]) -> None:
    verification = ReplayVerification(every)
    assert [verification.is_due() for _ in range(6)] == due


def results(*names: str, status: str | None = None, **rest: Any) -> ExecutionResults:
    actions = [helpers.new_schedule_task_action(number, name, None) for number, name in enumerate(names, 1)]
    return ExecutionResults(actions, status, **rest)


def test_the_error_has_both_lists() -> None:
    kept = results('charge', 'ship', status='"a"', version_name='v1')
    replayed = results('charge', 'refund', patches=['p'])
    with pytest.raises(NonDeterminismError) as caught:
        ReplayVerification.compare('order-7', kept, replayed)
    first, ours, theirs = str(caught.value).partition('It asked for:')[0], *str(caught.value).split('asked for:\n')[1:]
    assert "Instance 'order-7' does something else when it is replayed" in first
    assert [line.split()[0] for line in ours.splitlines()[:4]] == ['1:', '2:', 'custom', 'version']
    assert 'name: "ship"' in ours
    assert 'name: "refund"' not in ours
    assert 'name: "refund"' in theirs
    assert theirs.splitlines()[-1] == '  patch p'


def test_a_list_without_actions_says_so() -> None:
    with pytest.raises(NonDeterminismError, match=r'In the replay it asked for:\n  nothing$'):
        ReplayVerification.compare('i', results('a'), results())


@pytest.mark.parametrize(
    'other',
    [
        results('a', status='s'),
        results('a', 'b'),
        results('b'),
        results('a', version_name='v'),
        results('a', patches=['p']),
        ExecutionResults([helpers.new_schedule_task_action(2, 'a', None)], None),
        ExecutionResults([helpers.new_schedule_task_action(1, 'a', '1')], None),
        ExecutionResults([helpers.new_schedule_task_action(1, 'a', None, pb.TaskRouter(targetAppID='b'))], None),
    ],
)
def test_each_difference_is_found(other: ExecutionResults) -> None:
    ReplayVerification.compare('i', results('a'), results('a'))
    ReplayVerification.compare('i', other, other)
    with pytest.raises(NonDeterminismError):
        ReplayVerification.compare('i', results('a'), other)


def failed(trace: str, message: str = 'outer') -> ExecutionResults:
    inner = pb.TaskFailureDetails(errorType='KeyError', errorMessage='inner', stackTrace={'value': trace})  # type: ignore[arg-type]
    details = pb.TaskFailureDetails(errorType='ValueError', errorMessage=message, innerFailure=inner)
    details.stackTrace.value = trace
    status = pb.ORCHESTRATION_STATUS_FAILED
    return ExecutionResults([helpers.new_complete_workflow_action(1, status, failure_details=details)], None)


def test_stack_traces_are_no_difference_and_messages_are() -> None:
    ReplayVerification.compare('i', failed('in one call'), failed('in another'))
    with pytest.raises(NonDeterminismError):
        ReplayVerification.compare('i', failed('in one call'), failed('in one call', 'another'))


# In turns


class Answers:
    def __init__(self) -> None:
        self.responses: list[pb.WorkflowResponse] = []

    def complete_turn(self, response: pb.WorkflowResponse) -> bool:
        self.responses.append(response)
        return True


class Run:
    """One instance in a worker's turns, each of which is checked."""

    def __init__(self, workflow: Callable[..., Any], *, as_deltas: bool) -> None:
        registry = _Registry()
        registry.add_orchestrator(workflow)
        self.answers = Answers()
        self.sticky = StickyInstances(lambda instance: close(instance, LOGGER))
        self.committed: list[pb.HistoryEvent] = []
        self.is_fetch_failing = False
        self.given_up: list[str] = []
        self._last = 0
        self._started = execution_started(workflow.__name__)
        self._as_deltas = as_deltas
        self._fence = DispatchFence()
        self._turns = Turns(
            _OrchestrationExecutor(registry, LOGGER),
            self.answers,
            LOGGER,
            HistoryResolver(_WorkflowHistoryCache(), self._fetch) if as_deltas else None,
            self.sticky,
            ReplayVerification(1),
            lambda reason, _: self.given_up.append(reason),
        )

    def _fetch(self, instance_id: str) -> list[pb.HistoryEvent]:
        if self.is_fetch_failing:
            raise ConnectionError('no answer')
        return self.committed

    def turn(self, *events: pb.HistoryEvent) -> pb.WorkflowResponse:
        batch = [workflow_started(), *(events or [self._started])]
        request = pb.WorkflowRequest(instanceId='i', newEvents=batch, pastEvents=self.committed)
        if self._as_deltas and self.committed:
            request.cachedHistory.eventCount = count = len(self.committed) - self._last
            del request.pastEvents[:count]
        self._turns.serve(Dispatch(pb.WorkItem(workflowRequest=request), self._fence.enter('i')))
        response = self.answers.responses[-1]
        before = len(self.committed)
        batch = committed_batch(batch, response.version.name, response.version.patches)
        actions = [event for action in response.actions for event in committed_events(action)]
        self.committed = [*self.committed, *batch, *actions]
        self._last = len(self.committed) - before
        return response


@pytest.mark.parametrize('as_deltas', [False, True])
def test_a_workflow_that_depends_on_what_is_not_in_its_history_is_found_out(
    as_deltas: bool, caplog: pytest.LogCaptureFixture
) -> None:
    runs = []

    def fickle(ctx: Context, _: None) -> Workflow:
        runs.append('run')
        yield ctx.call_activity('same')
        yield ctx.call_activity('first' if len(runs) == 1 else 'another')

    run = Run(fickle, as_deltas=as_deltas)
    run.turn()
    with caplog.at_level(logging.ERROR, LOGGER.name):
        (action,) = run.turn(task_completed(1)).actions
    details = action.completeWorkflow.failureDetails
    assert (action.completeWorkflow.workflowStatus, details.errorType) == (
        pb.ORCHESTRATION_STATUS_FAILED,
        'NonDeterminismError',
    )
    assert 'name: "first"' in details.errorMessage
    assert 'name: "another"' in details.errorMessage
    assert details.errorMessage in caplog.text
    assert (run.sticky.stats.hits, run.sticky.stats.running) == (1, 0)


def test_the_failure_of_a_workflow_that_is_found_out_counts_in_the_sidecar() -> None:
    """Its id is one that no action has, and it tells the patches of the history: without them, daprd would stall it."""
    names = iter(['first', 'another'])

    def fickle(ctx: Context, _: None) -> Workflow:
        assert ctx.is_patched('p')
        activities = [ctx.call_activity('same') for _ in range(5)]
        yield activities[0]
        yield activities[1]
        yield activities[2]
        yield ctx.call_activity(next(names))

    run = Run(fickle, as_deltas=True)
    run.turn()
    run.turn(task_completed(1))
    run.turn(task_completed(2))
    response = run.turn(task_completed(3))  # its delta has no action
    (action,) = response.actions
    assert list(response.version.patches) == ['p']
    assert action.completeWorkflow.failureDetails.errorType == 'NonDeterminismError'
    assert action.id == 7


@pytest.mark.parametrize('as_deltas', [False, True])
def test_a_deterministic_workflow_passes(as_deltas: bool) -> None:
    def steady(ctx: Context, _: None) -> Workflow:
        results = []
        for number in range(3):
            ctx.set_custom_status(str(number))
            ctx.is_patched('p')
            results.append((yield ctx.call_activity('step', input=[number, ctx.random_int(), str(ctx.new_guid())])))
        return results

    run = Run(steady, as_deltas=as_deltas)
    run.turn()
    for number in (1, 2, 3):
        response = run.turn(task_completed(number, number))
    assert json.loads(response.actions[0].completeWorkflow.result.value) == [1, 2, 3]
    assert (run.sticky.stats.hits, run.sticky.stats.running) == (3, 0)


def test_a_history_that_cannot_be_had_leaves_the_turn_unchecked_and_the_stream_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def steady(ctx: Context, _: None) -> Workflow:
        for name in 'abc':
            yield ctx.call_activity(name)

    run = Run(steady, as_deltas=True)
    run.turn()
    run.turn(task_completed(1))
    run.is_fetch_failing = True
    (action,) = run.turn(task_completed(2)).actions
    assert action.scheduleTask.name == 'c'
    assert run.given_up == []
    assert 'the history for the check of its replay cannot be had' in caplog.text


@pytest.mark.own_mode
def test_the_check_is_made_by_a_whole_worker_when_the_environment_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []

    def fickle(ctx: Context, _: None) -> Workflow:
        runs.append('run')
        yield ctx.call_activity('same')
        yield ctx.call_activity(f'run {len(runs)}')

    monkeypatch.setenv(VARIABLE, '2')
    with FakeSidecar() as sidecar, TaskHubGrpcWorker(host_address=sidecar.address, disable_sticky_execution=False) as w:
        w.add_orchestrator(fickle)
        w.start()
        for instance_id in ('unchecked', 'checked'):
            run = Run(fickle, as_deltas=False)  # makes the history
            run.turn()
            runs.clear()
            for batch, past in (
                (run.committed[:2], []),
                ([workflow_started(), task_completed(1)], run.committed),
            ):
                request = pb.WorkflowRequest(instanceId=instance_id, newEvents=batch, pastEvents=past)
                sidecar.push(pb.WorkItem(workflowRequest=request))
                sidecar.wait_for_answers(len(sidecar.answers) + 1)
            sidecar.wait_for(lambda: sidecar.answers)
        answers = [sidecar.answer(index).actions[0] for index in (1, 3)]
    assert answers[0].scheduleTask.name == 'run 1'
    assert answers[1].completeWorkflow.failureDetails.errorType == 'NonDeterminismError'
