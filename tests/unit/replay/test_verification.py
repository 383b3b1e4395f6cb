"""The check of kept workflows against a replay: when it is made, and what it tells."""

from __future__ import annotations

import itertools
import json
import logging
import random
import secrets
import time
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from dapr.ext.workflow._durabletask.aio.orchestrator import as_orchestrator
from dapr.ext.workflow._durabletask.call_logging import ReplaySafeFilter
from dapr.ext.workflow._durabletask.failures import NonDeterminismError
from dapr.ext.workflow._durabletask.history.cache import _WorkflowHistoryCache
from dapr.ext.workflow._durabletask.history.fence import DispatchFence
from dapr.ext.workflow._durabletask.history.resolver import HistoryResolver
from dapr.ext.workflow._durabletask.history.sticky import StickyInstances
from dapr.ext.workflow._durabletask.internal import helpers
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
from dapr.ext.workflow._durabletask.replay.differences import Outcome
from dapr.ext.workflow._durabletask.replay.executor import _OrchestrationExecutor, close
from dapr.ext.workflow._durabletask.replay.instance import ExecutionResults
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from dapr.ext.workflow._durabletask.replay.verification import (
    VARIABLE,
    ReplayVerification,
    VerifiedContext,
    every_nth_turn,
)
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


def told(ran: ExecutionResults, replayed: ExecutionResults, sites: dict[int, str] | None = None) -> str:
    """What the error says from the first difference on; '' when there is none."""
    try:
        ReplayVerification.compare('i', 'order', Outcome(ran, sites or {}), Outcome(replayed, sites or {}))
    except NonDeterminismError as error:
        _, _, lines = str(error).partition('The first difference:\n')
        return lines
    return ''


def with_input(encoded: str) -> ExecutionResults:
    return ExecutionResults([helpers.new_schedule_task_action(1, 'a', encoded)], None)


def test_the_error_names_the_workflow_and_the_first_calls_that_differ_with_their_lines() -> None:
    ran = Outcome(results('charge', 'ship', status='"a"', version_name='v1'), {2: 'orders.py:12'})
    replayed = Outcome(results('charge', 'refund', patches=['p']), {2: 'orders.py:14'})
    with pytest.raises(NonDeterminismError) as caught:
        ReplayVerification.compare('order-7', 'order', ran, replayed)
    first, *rest = str(caught.value).splitlines()
    assert "The workflow 'order' (order-7) does something else when it is replayed than when it ran" in first
    assert rest == [
        "  as it ran:   call_activity('ship') at orders.py:12",
        "  replayed:    call_activity('refund') at orders.py:14",
        '  2 more of what it does differ.',
    ]


def test_what_only_one_of_them_does_stands_against_nothing() -> None:
    assert told(results('a'), results()) == "  as it ran:   call_activity('a')\n  replayed:    nothing"


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
    assert not told(results('a'), results('a'))
    assert not told(other, other)
    assert told(results('a'), other)
    assert told(other, results('a'))


@pytest.mark.parametrize(
    ('action', 'text'),
    [
        (
            helpers.new_create_child_workflow_action(1, 'ship', 'i:0001', '[1]', pb.TaskRouter(targetAppID='b')),
            "call_child_workflow('ship', input=[1], instance_id='i:0001', app_id='b')",
        ),
        (
            helpers.new_create_timer_action(1, datetime(2026, 1, 2), pb.TimerOriginCreateTimer()),
            'create_timer(until 2026-01-02T00:00:00Z)',
        ),
        (
            helpers.new_create_timer_action(1, datetime(2026, 1, 2), pb.TimerOriginExternalEvent(name='go')),
            "wait_for_external_event('go', until 2026-01-02T00:00:00Z)",
        ),
        (
            helpers.new_create_timer_action(1, helpers.OPTIONAL_TIMER_FIRE_AT, pb.TimerOriginExternalEvent(name='go')),
            "wait_for_external_event('go')",
        ),
        (
            helpers.new_create_timer_action(1, datetime(2026, 1, 2), pb.TimerOriginActivityRetry()),
            'the wait before a retry, until 2026-01-02T00:00:00Z',
        ),
        (
            helpers.new_complete_workflow_action(1, pb.ORCHESTRATION_STATUS_COMPLETED, '7'),
            'the end of the workflow, with the output 7',
        ),
        (
            helpers.new_complete_workflow_action(1, pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW, '7'),
            'continue_as_new(7)',
        ),
        (
            helpers.new_complete_workflow_action(
                1,
                pb.ORCHESTRATION_STATUS_FAILED,
                failure_details=helpers.new_failure_details(KeyError('deep')),
            ),
            "the failure of the workflow: KeyError: 'deep'",
        ),
        (helpers.new_send_event_action('i', 'go', '1'), "send_event('i', 'go', data=1)"),
        (helpers.new_send_event_action('i', 'go', None), "send_event('i', 'go')"),
        (
            helpers.new_create_detached_workflow_action('audit', 'i-0', '1', None, None),
            "schedule_new_workflow('audit', input=1, instance_id='i-0')",
        ),
        (
            pb.WorkflowAction(terminateWorkflow=pb.TerminateWorkflowAction(instanceId='i')),
            'terminateWorkflow instanceId: "i"',
        ),
        (
            helpers.new_schedule_task_action(1, 'a', 'x' * 999),
            f"call_activity('a', input={'x' * 200}... (999 characters))",
        ),
    ],
)
def test_an_action_is_told_as_the_call_that_it_comes_from(action: pb.WorkflowAction, text: str) -> None:
    assert told(ExecutionResults([action], None), results()).splitlines()[0] == f'  as it ran:   {text}'


UUIDS = ['9f1c4f0e-2f8b-4d39-8a0d-6f2f6d0c7a11', '0b7d2f6a-5e0f-4c6b-9d53-2f3c1f0a9b22']


@pytest.mark.parametrize(
    ('ran', 'replayed', 'place', 'hint'),
    [
        ({'id': UUIDS[0], 'n': 1}, {'id': UUIDS[1], 'n': 1}, "['id']", 'ctx.new_guid()'),
        (UUIDS[0], UUIDS[1], '', 'ctx.new_guid()'),
        (['2026-11-26T10:00:00.100000'], ['2026-11-26T10:00:00.200000'], '[0]', 'ctx.current_utc_datetime'),
        ({'a': {'at': 1795683600.25}}, {'a': {'at': 1795683600.5}}, "['a']['at']", 'ctx.current_utc_datetime'),
        ([1, 0.25], [1, 0.75], '[1]', 'ctx.random()'),
        ({'tags': ['a', 'b']}, {'tags': ['b', 'a']}, "['tags']", 'in another order'),
        ({'a': 1, 'b': 2}, {'b': 2, 'a': 1}, '', 'in another order'),
        ({'path': '/home/a'}, {'path': '/home/b'}, "['path']", None),
        ([1], [1, 2], '', None),
    ],
)
def test_payloads_that_differ_are_told_by_place_and_by_what_they_look_like(
    ran: Any, replayed: Any, place: str, hint: str | None
) -> None:
    lines = told(with_input(json.dumps(ran)), with_input(json.dumps(replayed))).splitlines()[2:]
    assert ([line for line in lines if 'The payloads differ at' in line] != []) is bool(place)
    assert place in ''.join(lines)
    assert len(lines) == bool(place) + bool(hint)
    assert (hint or '') in ''.join(lines)


def test_payloads_that_are_no_json_are_told_as_they_are() -> None:
    assert told(with_input('<a>'), with_input('<b>')).splitlines() == [
        "  as it ran:   call_activity('a', input=<a>)",
        "  replayed:    call_activity('a', input=<b>)",
    ]


def failed(trace: str, message: str = 'outer') -> ExecutionResults:
    inner = pb.TaskFailureDetails(errorType='KeyError', errorMessage='inner', stackTrace={'value': trace})  # type: ignore[arg-type]
    details = pb.TaskFailureDetails(errorType='ValueError', errorMessage=message, innerFailure=inner)
    details.stackTrace.value = trace
    status = pb.ORCHESTRATION_STATUS_FAILED
    return ExecutionResults([helpers.new_complete_workflow_action(1, status, failure_details=details)], None)


def test_stack_traces_are_no_difference_and_messages_are() -> None:
    assert not told(failed('in one call'), failed('in another'))
    assert told(failed('in one call'), failed('in one call', 'another'))


# In turns


class Answers:
    def __init__(self) -> None:
        self.responses: list[pb.WorkflowResponse] = []

    def complete_turn(self, response: pb.WorkflowResponse) -> bool:
        self.responses.append(response)
        return True


class Run:
    """One instance in a worker's turns, each of which is checked."""

    def __init__(self, workflow: Callable[..., Any], *, as_deltas: bool, is_sticky: bool = True) -> None:
        registry = _Registry()
        registry.add_orchestrator(as_orchestrator(workflow))
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
            _OrchestrationExecutor(registry, LOGGER, VerifiedContext),
            self.answers,
            LOGGER,
            HistoryResolver(_WorkflowHistoryCache(), self._fetch) if as_deltas else None,
            self.sticky if is_sticky else None,
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


WAYS = pytest.mark.parametrize(('as_deltas', 'is_sticky'), [(False, False), (False, True), (True, False), (True, True)])


def is_found_out(response: pb.WorkflowResponse) -> bool:
    (action,) = response.actions
    return action.completeWorkflow.failureDetails.errorType == 'NonDeterminismError'


@WAYS
def test_a_workflow_that_depends_on_what_is_not_in_its_history_is_found_out(
    as_deltas: bool, is_sticky: bool, caplog: pytest.LogCaptureFixture
) -> None:
    names = iter(['first', 'another'])

    def fickle(ctx: Context, _: None) -> Workflow:
        yield ctx.call_activity('same')
        yield ctx.call_activity(next(names))

    run = Run(fickle, as_deltas=as_deltas, is_sticky=is_sticky)
    run.turn()
    with caplog.at_level(logging.ERROR, LOGGER.name):
        (action,) = run.turn(task_completed(1)).actions
    details = action.completeWorkflow.failureDetails
    assert (action.completeWorkflow.workflowStatus, details.errorType) == (
        pb.ORCHESTRATION_STATUS_FAILED,
        'NonDeterminismError',
    )
    site = f'{__file__}:{fickle.__code__.co_firstlineno + 2}'
    assert f"as it ran:   call_activity('first') at {site}" in details.errorMessage
    assert f"replayed:    call_activity('another') at {site}" in details.errorMessage
    assert details.errorMessage in caplog.text
    assert (run.sticky.stats.hits, run.sticky.stats.running) == (int(is_sticky), 0)


COUNTER = itertools.count()


@pytest.mark.parametrize(
    'outside',
    [
        random.random,
        lambda: random.choice(range(10**9)),
        lambda: str(uuid.uuid4()),
        lambda: secrets.token_hex(),
        lambda: datetime.now().isoformat(),
        time.time_ns,
        lambda: next(COUNTER),
    ],
    ids=['random', 'choice', 'uuid4', 'secrets', 'datetime.now', 'time', 'a counter of the module'],
)
@pytest.mark.parametrize('is_async', [False, True], ids=['generator', 'async'])
@WAYS
def test_what_comes_from_outside_is_found_out_in_the_first_turn(
    outside: Callable[[], Any], is_async: bool, as_deltas: bool, is_sticky: bool
) -> None:
    random.seed(7)  # a program that seeds its chance at its start goes on in its stream all the same

    def generator(ctx: Context, _: None) -> Workflow:
        yield ctx.call_activity('a', input=outside())

    async def coroutine(ctx: Any, _: None) -> Any:
        await ctx.call_activity('a', input=outside())

    run = Run(coroutine if is_async else generator, as_deltas=as_deltas, is_sticky=is_sticky)
    assert is_found_out(run.turn())


@pytest.mark.parametrize('is_async', [False, True], ids=['generator', 'async'])
@WAYS
def test_what_the_context_gives_is_the_same(is_async: bool, as_deltas: bool, is_sticky: bool) -> None:
    def given(ctx: Any) -> list[Any]:
        return [ctx.random().random(), str(ctx.new_guid()), ctx.current_utc_datetime.isoformat(), ctx.random_string(9)]

    def generator(ctx: Context, _: None) -> Workflow:
        yield ctx.call_activity('a', input=given(ctx))
        return given(ctx)

    async def coroutine(ctx: Any, _: None) -> Any:
        await ctx.call_activity('a', input=given(ctx))
        return given(ctx)

    run = Run(coroutine if is_async else generator, as_deltas=as_deltas, is_sticky=is_sticky)
    assert [action.scheduleTask.name for action in run.turn().actions] == ['a']
    (action,) = run.turn(task_completed(1)).actions
    assert action.completeWorkflow.workflowStatus == pb.ORCHESTRATION_STATUS_COMPLETED


def test_the_replay_logs_nothing_of_what_the_turn_has_logged(caplog: pytest.LogCaptureFixture) -> None:
    seen = []
    module_logger = logging.getLogger('tests.verification.shop')
    safe = ReplaySafeFilter()
    module_logger.addFilter(safe)

    def chatty(ctx: Context, _: None) -> Workflow:
        seen.append(ctx.is_replaying)
        ctx.logger.warning('by ctx.logger')
        ctx.create_replay_safe_logger(LOGGER).warning('by a logger of the app')
        module_logger.warning('by a filter')
        yield ctx.call_activity('a')

    try:
        Run(chatty, as_deltas=False).turn()
    finally:
        module_logger.removeFilter(safe)
    assert seen == [False, False]
    assert sorted(record.message for record in caplog.records) == [
        'by a filter',
        'by a logger of the app',
        'by ctx.logger',
    ]


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
@pytest.mark.parametrize('is_sticky', [False, True], ids=['replaying', 'sticky'])
def test_the_check_is_made_by_a_whole_worker_when_the_environment_says_so(
    is_sticky: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []

    def fickle(ctx: Context, _: None) -> Workflow:
        runs.append('run')
        yield ctx.call_activity(f'run {len(runs)}')

    monkeypatch.setenv(VARIABLE, '2')
    with (
        FakeSidecar() as sidecar,
        TaskHubGrpcWorker(host_address=sidecar.address, disable_sticky_execution=not is_sticky) as worker,
    ):
        worker.add_orchestrator(fickle)
        worker.start()
        for instance_id in ('unchecked', 'checked'):
            request = pb.WorkflowRequest(
                instanceId=instance_id, newEvents=[workflow_started(), execution_started('fickle')]
            )
            sidecar.push(pb.WorkItem(workflowRequest=request))
            sidecar.wait_for_answers(len(sidecar.answers) + 1)
        answers = [sidecar.answer(index).actions[0] for index in range(2)]
    assert answers[0].scheduleTask.name == 'run 1'
    details = answers[1].completeWorkflow.failureDetails
    assert details.errorType == 'NonDeterminismError'
    assert f"as it ran:   call_activity('run 2') at {__file__}:" in details.errorMessage
    assert f"replayed:    call_activity('run 3') at {__file__}:" in details.errorMessage


@pytest.mark.own_mode
def test_nothing_is_run_twice_where_the_environment_does_not_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    contexts = []

    def plain(ctx: Context, _: None) -> Workflow:
        contexts.append(type(ctx))
        yield ctx.call_activity('a')

    monkeypatch.delenv(VARIABLE, raising=False)
    with FakeSidecar() as sidecar, TaskHubGrpcWorker(host_address=sidecar.address) as worker:
        worker.add_orchestrator(plain)
        worker.start()
        request = pb.WorkflowRequest(instanceId='i', newEvents=[workflow_started(), execution_started('plain')])
        sidecar.push(pb.WorkItem(workflowRequest=request))
        sidecar.wait_for_answers(1)
    assert contexts == [Context]
