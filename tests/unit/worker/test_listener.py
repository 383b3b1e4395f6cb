"""What a listener is told of a worker's turns, activities, stream and answers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from dapr.ext.workflow import WorkflowRuntime
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.listener import (
    ActivityRecord,
    Listeners,
    ObservedWorker,
    TurnRecord,
    WorkerListener,
    size_of,
)
from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker
from tests.support.engine import START, execution_started, task_completed, task_scheduled, workflow_started
from tests.support.fake_sidecar import DEADLINE_SECONDS, FakeSidecar
from tests.support.work_items import activity_item, echo, turn_item

NewWorker = Callable[..., TaskHubGrpcWorker]

pytestmark = pytest.mark.own_mode


class Notes(WorkerListener):
    """Keeps all that it is told."""

    def __init__(self) -> None:
        self.turns: list[TurnRecord] = []
        self.activities: list[ActivityRecord] = []
        self.told: list[tuple[Any, ...]] = []
        self._changed = threading.Condition()

    def worker_started(self, worker: ObservedWorker) -> None:
        self._note('started')

    def worker_stopped(self, worker: ObservedWorker) -> None:
        self._note('stopped')

    def connected(self, number: int) -> None:
        self._note('connected', number)

    def reconnecting(self, reason: str) -> None:
        self._note('reconnecting', reason)

    def received(self, size: int) -> None:
        self._note('received', size)

    def answer_failed(self, kind: str, reason: str) -> None:
        self._note('answer failed', kind, reason)

    def turn_ended(self, turn: TurnRecord) -> None:
        self.turns.append(turn)
        self._note('turn')

    def activity_ended(self, activity: ActivityRecord) -> None:
        self.activities.append(activity)
        self._note('activity')

    def wait_for(self, *what: Any, count: int = 1) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.told.count(what) >= count, DEADLINE_SECONDS), self.told

    def _note(self, *what: Any) -> None:
        with self._changed:
            self.told.append(what)
            self._changed.notify_all()


def second_turn() -> pb.WorkItem:
    """The turn that the result of the workflow's activity brings about."""
    history = [workflow_started(), execution_started('flow', '"you"'), task_scheduled(1, 'echo')]
    request = pb.WorkflowRequest(
        instanceId='abc', pastEvents=history, newEvents=[workflow_started(START), task_completed(1, 'über')]
    )
    return pb.WorkItem(completionToken='second', workflowRequest=request)


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def worker(notes: Notes, new_worker: NewWorker) -> TaskHubGrpcWorker:
    def flow(ctx: Any, value: Any) -> Any:
        return (yield ctx.call_activity('echo', input=value))

    def fails(ctx: Any, _: Any) -> None:
        raise ValueError('no')

    worker = new_worker(listeners=[notes])
    worker.add_orchestrator(flow)
    worker.add_activity(echo)
    worker.add_activity(fails)
    return worker


def test_a_turn_is_told_with_what_it_came_to(worker: TaskHubGrpcWorker, notes: Notes, sidecar: FakeSidecar) -> None:
    worker.start()
    sidecar.push(turn_item(encoded_input='"you"'))
    notes.wait_for('turn')
    sidecar.push(second_turn())
    notes.wait_for('turn', count=2)
    first, second = notes.turns
    assert (first.workflow_name, first.instance_id, first.outcome) == ('flow', 'abc', 'waiting')
    assert (first.sticky, first.miss_reason, first.new_events, first.replayed_events) == ('first', '', 2, 0)
    assert (first.input_bytes, first.result_bytes, first.replayed) == (5, None, 0.0)
    assert first.is_delivered
    assert 0 < first.started < first.ended
    assert (second.workflow_name, second.outcome, second.sticky) == ('flow', 'completed', 'hit')
    assert (second.new_events, second.replayed_events, second.result_bytes) == (2, 0, 11)  # escaped, as JSON


def test_a_replay_says_why_and_how_much(worker: TaskHubGrpcWorker, notes: Notes, sidecar: FakeSidecar) -> None:
    worker.start()
    sidecar.push(second_turn())
    notes.wait_for('turn')
    (turn,) = notes.turns
    assert (turn.sticky, turn.miss_reason, turn.replayed_events, turn.input_bytes) == ('miss', 'cold', 3, None)
    assert turn.started < turn.replayed < turn.ended


def test_a_turn_whose_history_cannot_be_had_is_unanswered(
    worker: TaskHubGrpcWorker, notes: Notes, sidecar: FakeSidecar
) -> None:
    sidecar.fail_histories = grpc.StatusCode.UNKNOWN
    worker.start()
    item = second_turn()
    item.workflowRequest.cachedHistory.eventCount = 7
    sidecar.push(item)
    notes.wait_for('reconnecting', 'history')
    notes.wait_for('turn')
    assert (notes.turns[0].outcome, notes.turns[0].ended) == ('unanswered', 0.0)
    notes.wait_for('connected', 2)


def test_activities_are_told(worker: TaskHubGrpcWorker, notes: Notes, sidecar: FakeSidecar) -> None:
    async def later(ctx: Any, value: Any) -> Any:
        return value

    worker.add_activity(later)
    worker.start()
    for name in ('echo', 'fails', 'later'):
        sidecar.push(activity_item(name, '"für"', task_id=len(name)))
        notes.wait_for('activity', count=len(notes.activities) + 1)
    done, failed, on_loop = notes.activities
    assert (done.activity_name, done.instance_id, done.task_id, done.outcome) == ('echo', 'abc', 4, 'completed')
    assert (done.input_bytes, done.result_bytes, done.is_async) == (6, 10, False)  # escaped, as JSON
    assert 0 < done.received <= done.started < done.ended
    assert (failed.outcome, failed.result_bytes) == ('failed', None)
    assert (on_loop.activity_name, on_loop.is_async, on_loop.result_bytes) == ('later', True, 10)
    assert on_loop.received <= on_loop.started


def test_the_stream_is_told(worker: TaskHubGrpcWorker, notes: Notes, sidecar: FakeSidecar) -> None:
    worker.start()
    item = activity_item('echo', '1')
    sidecar.push(item)
    notes.wait_for('received', item.ByteSize())
    sidecar.drop_streams()
    notes.wait_for('connected', 2)
    worker.stop()
    assert [told for told in notes.told if told[0] not in ('received', 'activity')] == [
        ('started',),
        ('connected', 1),
        ('reconnecting', 'unavailable'),
        ('connected', 2),
        ('stopped',),
    ]


@pytest.mark.parametrize(
    ('status', 'reason'),
    [(grpc.StatusCode.INTERNAL, 'internal'), (grpc.StatusCode.RESOURCE_EXHAUSTED, 'too_large')],
)
def test_answers_that_do_not_arrive_are_told(
    worker: TaskHubGrpcWorker, notes: Notes, sidecar: FakeSidecar, status: grpc.StatusCode, reason: str
) -> None:
    worker.start()
    sidecar.fail_answers.append(status)
    sidecar.push(activity_item('echo', '1'))
    notes.wait_for('answer failed', 'activity', reason)
    if reason == 'too_large':
        sidecar.wait_for_answers(1)  # the failure in its place
    sidecar.fail_answers.append(status)
    sidecar.push(turn_item())
    notes.wait_for('answer failed', 'turn', reason)
    notes.wait_for('turn')
    assert not notes.turns[0].is_delivered


def test_a_listener_that_raises_does_no_harm(
    sidecar: FakeSidecar, new_worker: NewWorker, notes: Notes, caplog: pytest.LogCaptureFixture
) -> None:
    class Bad(WorkerListener):
        def received(self, size: int) -> None:
            raise ValueError('bad listener')

        def activity_ended(self, activity: ActivityRecord) -> None:
            raise ValueError('bad listener')

    worker = new_worker(listeners=[Bad(), notes])
    worker.add_activity(echo)
    worker.start()
    sidecar.push(activity_item('echo', '1'))
    assert sidecar.answer().result.value == '1'
    notes.wait_for('activity')
    assert 'bad listener' in caplog.text


def test_no_record_is_made_that_no_one_wants() -> None:
    class OnlyTurns(WorkerListener):
        def turn_ended(self, turn: TurnRecord) -> None:
            pass

    logger = logging.getLogger('tests.listener')
    nothing, turns = Listeners([WorkerListener()], logger), Listeners([OnlyTurns()], logger)
    assert (nothing.want_turns, nothing.want_activities, nothing.on_received) == (False, False, None)
    assert (turns.want_turns, turns.want_activities, turns.on_received) == (True, False, None)


def test_the_runtime_takes_listeners(notes: Notes, sidecar: FakeSidecar) -> None:
    with WorkflowRuntime(port=sidecar.address.rpartition(':')[2], listeners=[notes]):
        notes.wait_for('connected', 1)
    notes.wait_for('stopped')


def test_sizes_are_those_of_utf_8() -> None:
    assert (size_of('abc'), size_of('ü'), size_of('\ud800')) == (3, 2, 3)
