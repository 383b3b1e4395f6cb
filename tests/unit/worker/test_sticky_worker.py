"""Sticky execution in a whole worker: when running workflows are thrown away, and how they are closed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import grpc
import pytest

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.task import OrchestrationContext
from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker
from tests.support.engine import START, execution_started, task_completed, task_scheduled, workflow_started
from tests.support.fake_sidecar import DEADLINE_SECONDS, FakeSidecar
from tests.support.scenarios import Workflow

# It sets the options of its workers itself.
pytestmark = pytest.mark.own_mode

NewWorker = Callable[..., TaskHubGrpcWorker]

JANITOR = 'dapr-workflow-history-janitor'


def item(workflow: str, turn: int, *, instance_id: str = 'i', after: int = 0, token: str = '') -> pb.WorkItem:
    """The work item of a turn, each of which has the result of an activity for a workflow that calls one after another;
    with the history that follows `after` events."""
    history: list[pb.HistoryEvent] = []
    batch: list[pb.HistoryEvent] = []
    for number in range(1, turn + 1):
        history += [*batch, task_scheduled(number - 1, 'step')] if batch else []
        came = execution_started(workflow) if number == 1 else task_completed(number - 1, number)
        batch = [workflow_started(START + timedelta(seconds=number)), came]
    request = pb.WorkflowRequest(instanceId=instance_id, newEvents=batch, pastEvents=history[after:])
    request.cachedHistory.eventCount = after
    request.executionId.value = 'run'
    return pb.WorkItem(workflowRequest=request, completionToken=token or f'{instance_id} {turn}')


class Diary:
    """What workflows have noted, and on which thread."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, str]] = []
        self._changed = threading.Condition()

    def note(self, text: str) -> None:
        with self._changed:
            self.notes.append((text, threading.current_thread().name))
            self._changed.notify_all()

    def wait_for(self, count: int) -> list[tuple[str, str]]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.notes) >= count, DEADLINE_SECONDS), self.notes
            return list(self.notes)


@pytest.fixture
def diary() -> Diary:
    return Diary()


@pytest.fixture
def served(diary: Diary, sidecar: FakeSidecar, new_worker: NewWorker) -> Callable[..., TaskHubGrpcWorker]:
    """Starts a worker with workflows that call one activity after another, and have something to do on closing."""

    def acts(ctx: Any) -> None:
        ctx.call_activity('cleanup')
        ctx.create_timer(timedelta(seconds=1))
        ctx.call_sub_orchestrator('cleanup')
        ctx.set_custom_status('closed')
        ctx.continue_as_new('closed')

    def steps(ctx: OrchestrationContext) -> Workflow:
        diary.note('begins')
        for _ in range(3):
            yield ctx.call_activity('step')

    def with_finally(ctx: OrchestrationContext, _: None) -> Workflow:
        try:
            yield from steps(ctx)
        finally:
            acts(ctx)
            diary.note(f'finally, replaying: {ctx.is_replaying}')

    @contextmanager
    def resource(ctx: OrchestrationContext) -> Iterator[None]:
        try:
            yield
        finally:
            acts(ctx)
            diary.note(f'with, replaying: {ctx.is_replaying}')

    def with_with(ctx: OrchestrationContext, _: None) -> Workflow:
        with resource(ctx):
            yield from steps(ctx)

    def with_except(ctx: OrchestrationContext, _: None) -> Workflow:
        try:
            yield from steps(ctx)
        except GeneratorExit:
            acts(ctx)
            diary.note(f'except, replaying: {ctx.is_replaying}')
            raise

    def yields(ctx: OrchestrationContext, _: None) -> Workflow:
        try:
            yield from steps(ctx)
        finally:
            diary.note('yields')
            yield ctx.call_activity('cleanup')

    def raises(ctx: OrchestrationContext, _: None) -> Workflow:
        try:
            yield from steps(ctx)
        finally:
            diary.note('raises')
            raise KeyError('on closing')

    def sees_history(ctx: OrchestrationContext, _: None) -> Workflow:
        for _number in range(3):
            ctx.set_custom_status(str(ctx.get_propagated_history() is not None))
            yield ctx.call_activity('step')

    def start(**options: Any) -> TaskHubGrpcWorker:
        options.setdefault('disable_sticky_execution', False)
        worker = new_worker(**options)
        for workflow in (with_finally, with_with, with_except, yields, raises, sees_history):
            worker.add_orchestrator(workflow)
        worker.start()
        return worker

    return start


def kinds(response: pb.WorkflowResponse) -> list[tuple[int, str | None]]:
    return [(action.id, action.WhichOneof('workflowActionType')) for action in response.actions]


@pytest.mark.parametrize('disable_stateful_history', [False, True])
def test_a_turn_goes_on_where_the_last_one_ended(
    disable_stateful_history: bool, diary: Diary, sidecar: FakeSidecar, served: Callable[..., TaskHubGrpcWorker]
) -> None:
    worker = served(disable_stateful_history=disable_stateful_history)
    for turn in (1, 2, 3):
        after = 0 if disable_stateful_history or turn < 3 else 3
        sidecar.push(item('with_finally', turn, after=after))
        assert kinds(sidecar.answer(turn - 1)) == [(turn, 'scheduleTask')]
    assert [text for text, _ in diary.notes] == ['begins']
    stats = worker.sticky_execution_stats
    assert (stats.hits, stats.misses.total, stats.evictions.total, stats.running) == (2, 0, 0, 1)
    sidecar.push(item('with_finally', 4, after=0 if disable_stateful_history else 6))
    assert [kind for _, kind in kinds(sidecar.answer(3))] == ['completeWorkflow']
    assert [text for text, _ in diary.notes] == ['begins', 'finally, replaying: False']
    stats = worker.sticky_execution_stats
    assert (stats.hits, stats.running, stats.bytes) == (3, 0, 0)
    assert sidecar.calls['GetInstanceHistory'] == 0


def test_without_it_each_turn_begins_anew(
    diary: Diary, sidecar: FakeSidecar, served: Callable[..., TaskHubGrpcWorker]
) -> None:
    worker = served(disable_sticky_execution=True)
    for turn in (1, 2):
        sidecar.push(item('with_with', turn))
        sidecar.answer(turn - 1)
    assert [text for text, _ in diary.notes].count('begins') == 2
    assert worker.sticky_execution_stats.hits == worker.sticky_execution_stats.running == 0


def test_the_history_that_the_caller_sent_is_seen_in_each_turn_that_brings_it(
    sidecar: FakeSidecar, served: Callable[..., TaskHubGrpcWorker]
) -> None:
    worker = served()
    for turn, is_sent in ((1, True), (2, False), (3, True)):
        sent = item('sees_history', turn)
        if is_sent:
            sent.workflowRequest.propagatedHistory.scope = pb.HISTORY_PROPAGATION_SCOPE_OWN_HISTORY
        sidecar.push(sent)
        assert sidecar.answer(turn - 1).customStatus.value == str(is_sent)
    assert worker.sticky_execution_stats.hits == 2


# Why it is thrown away


def test_an_answer_that_is_lost_throws_the_workflow_away(
    diary: Diary, sidecar: FakeSidecar, served: Callable[..., TaskHubGrpcWorker]
) -> None:
    worker = served()
    sidecar.fail_answers.append(grpc.StatusCode.INTERNAL)
    sidecar.push(item('with_finally', 1))
    assert diary.wait_for(2) == [diary.notes[0], ('finally, replaying: True', JANITOR)]
    assert worker.sticky_execution_stats.evictions.undelivered == 1
    sidecar.push(item('with_finally', 2))
    assert kinds(sidecar.answer(0)) == [(2, 'scheduleTask')]
    assert worker.sticky_execution_stats.misses.evicted == 1


def test_workflows_are_thrown_away_with_their_stream(
    diary: Diary, sidecar: FakeSidecar, served: Callable[..., TaskHubGrpcWorker]
) -> None:
    worker = served()
    sidecar.push(item('with_finally', 1))
    sidecar.answer(0)
    sidecar.drop_streams()
    sidecar.wait_for_stream(2)
    assert diary.wait_for(2)[1] == ('finally, replaying: True', JANITOR)
    assert (worker.sticky_execution_stats.evictions.reset, worker.sticky_execution_stats.running) == (1, 0)
    sidecar.push(item('with_finally', 2))
    assert kinds(sidecar.answer(1)) == [(2, 'scheduleTask')]


def test_a_workflow_without_turns_expires_by_itself(
    diary: Diary, sidecar: FakeSidecar, served: Callable[..., TaskHubGrpcWorker]
) -> None:
    worker = served(history_cache_ttl=0.05)
    sidecar.push(item('with_finally', 1))
    sidecar.answer(0)
    assert diary.wait_for(2)[1] == ('finally, replaying: True', JANITOR)
    assert worker.sticky_execution_stats.evictions.ttl == 1


def test_a_version_that_is_not_registered_keeps_nothing(
    sidecar: FakeSidecar, served: Callable[..., TaskHubGrpcWorker]
) -> None:
    worker = served()
    stalled = item('with_finally', 1)
    stalled.workflowRequest.newEvents[0].workflowStarted.version.name = 'another'
    worker._registry.add_orchestrator(test_a_version_that_is_not_registered_keeps_nothing, version_name='v1')
    stalled.workflowRequest.newEvents[1].executionStarted.name = 'test_a_version_that_is_not_registered_keeps_nothing'
    sidecar.push(stalled)
    assert kinds(sidecar.answer(0)) == [(1, 'workflowVersionNotAvailable')]
    assert worker.sticky_execution_stats.running == 0


# How it is closed


@pytest.mark.parametrize('block', ['finally', 'with', 'except'])
@pytest.mark.parametrize('limit', ['history_cache_max_instances', 'history_cache_max_bytes'])
def test_blocks_that_run_on_closing_run_on_the_janitors_thread_and_act_on_nothing(
    limit: str, block: str, diary: Diary, sidecar: FakeSidecar, served: Callable[..., TaskHubGrpcWorker]
) -> None:
    worker = served(**{limit: 1})
    sidecar.push(item(f'with_{block}', 1))
    first: pb.WorkflowResponse = sidecar.answer(0)
    sidecar.push(item(f'with_{block}', 1, instance_id='another'))
    other: pb.WorkflowResponse = sidecar.answer(1)
    notes = diary.wait_for(3)
    assert notes[2] == (f'{block}, replaying: True', JANITOR)
    assert kinds(first) == kinds(other) == [(1, 'scheduleTask')]
    assert not other.HasField('customStatus')
    sidecar.push(item(f'with_{block}', 2))
    assert kinds(sidecar.answer(2)) == [(2, 'scheduleTask')], 'the run goes on, from its history'
    assert worker.sticky_execution_stats.misses.evicted == 1
    assert len(sidecar.answers) == 3


@pytest.mark.parametrize(('workflow', 'error'), [('yields', 'RuntimeError'), ('raises', 'KeyError')])
def test_trouble_on_closing_is_logged_and_the_next_one_is_closed_as_well(
    workflow: str,
    error: str,
    diary: Diary,
    sidecar: FakeSidecar,
    served: Callable[..., TaskHubGrpcWorker],
    caplog: pytest.LogCaptureFixture,
) -> None:
    worker = served()
    worker._logger.propagate = True
    sidecar.push(item(workflow, 1), item('with_finally', 1, instance_id='another'))
    sidecar.wait_for_answers(2)
    with caplog.at_level(logging.WARNING):
        sidecar.drop_streams()
        assert {text for text, _ in diary.wait_for(4)} == {'begins', workflow, 'finally, replaying: True'}
        worker.stop()
    (record,) = [record for record in caplog.records if 'on closing' in record.getMessage()]
    assert f"i: the workflow's generator raised {error} on closing" in record.getMessage()


def test_a_worker_that_stops_closes_all_and_leaves_no_thread(
    diary: Diary, sidecar: FakeSidecar, served: Callable[..., TaskHubGrpcWorker]
) -> None:
    worker = served()
    sidecar.push(*(item('with_finally', 1, instance_id=str(number)) for number in range(20)))
    sidecar.wait_for_answers(20)
    assert worker.sticky_execution_stats.running == 20
    worker.stop()
    assert [note for note in diary.notes if note[0] != 'begins'] == [('finally, replaying: True', JANITOR)] * 20
    assert worker.sticky_execution_stats.running == worker.sticky_execution_stats.bytes == 0
    assert not [thread for thread in threading.enumerate() if thread.name.startswith('dapr-workflow')]


def test_a_run_that_has_ended_is_closed_before_its_answer(
    diary: Diary, sidecar: FakeSidecar, served: Callable[..., TaskHubGrpcWorker]
) -> None:
    worker = served()
    ended = item('with_finally', 1)
    ended.workflowRequest.newEvents.add(executionTerminated=pb.ExecutionTerminatedEvent())
    sidecar.push(ended)
    assert kinds(sidecar.answer(0)) == [(2, 'completeWorkflow')]
    text, thread = diary.notes[1]
    assert text == 'finally, replaying: True'
    assert thread.startswith('dapr-workflow-turn')
    assert worker.sticky_execution_stats.running == 0
