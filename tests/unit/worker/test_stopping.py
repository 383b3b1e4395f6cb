"""The worker as a whole: stopping it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from dapr.ext.workflow._durabletask.dispatch import Dispatcher
from dapr.ext.workflow._durabletask.transport import settling
from dapr.ext.workflow._durabletask.worker import ConcurrencyOptions, TaskHubGrpcWorker
from tests.support.fake_sidecar import DEADLINE_SECONDS, FakeSidecar
from tests.support.interceptors import GeneratorInterceptor
from tests.support.work_items import Gate, activity_item, echo, echo_async, in_thread, join, turn_item, worker_threads

NewWorker = Callable[..., TaskHubGrpcWorker]


def test_stop_does_nothing_on_a_worker_that_is_not_running(new_worker: NewWorker) -> None:
    worker = new_worker()
    worker.stop()
    worker.start()
    worker.stop()
    worker.stop()


def test_a_worker_is_stopped_at_the_end_of_its_block(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    with new_worker() as worker:
        worker.start()
    assert not worker.is_worker_ready()
    assert worker_threads() == []
    sidecar.wait_for(lambda: not sidecar.open_streams)


def test_a_stopped_worker_can_be_started_again(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    worker = new_worker()
    worker.add_activity(echo)
    worker.add_activity(echo_async)
    for count in range(3):
        worker.start()
        assert worker.is_worker_ready()
        sidecar.push(activity_item('echo', str(count)), activity_item('echo_async', str(count)))
        sidecar.wait_for_answers(2 * count + 2)
        worker.stop()
        assert worker_threads() == []
    assert sorted(answer.message.result.value for answer in sidecar.answers) == ['0', '0', '1', '1', '2', '2']


@pytest.mark.parametrize('kind', ['turn', 'activity', 'async'])
@pytest.mark.parametrize('interceptors', [[], [GeneratorInterceptor()]], ids=['plain', 'generators'])
def test_what_is_running_is_finished_and_answered_before_the_stream_ends(
    sidecar: FakeSidecar, new_worker: NewWorker, kind: str, interceptors: list[Any]
) -> None:
    gate = Gate()

    def slow_flow(ctx: Any, _: Any) -> str:
        gate.pass_through()
        return 'done'

    def slow(ctx: Any, _: Any) -> str:
        gate.pass_through()
        return 'done'

    async def slow_async(ctx: Any, _: Any) -> str:
        await gate.pass_through_async()
        return 'done'

    worker = new_worker(interceptors=interceptors)
    worker.add_orchestrator(slow_flow)
    worker.add_activity(slow)
    worker.add_activity(slow_async)
    worker.start()
    sidecar.push(
        {'turn': turn_item('slow_flow'), 'activity': activity_item('slow'), 'async': activity_item('slow_async')}[kind]
    )
    gate.wait_until_reached()
    stopping = in_thread(worker.stop)
    gate.open()
    join(stopping)
    assert len(sidecar.answers) == 1
    assert worker_threads() == []
    sidecar.wait_for(lambda: not sidecar.open_streams)


@pytest.mark.parametrize('kind', ['turn', 'activity'])
def test_code_that_never_returns_does_not_hold_up_the_stop(
    sidecar: FakeSidecar, new_worker: NewWorker, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    gate = Gate()

    def stuck_flow(ctx: Any, _: Any) -> None:
        gate.pass_through()

    def stuck(ctx: Any, _: Any) -> None:
        gate.pass_through()

    worker = new_worker(stop_timeout=0.05)
    worker.add_orchestrator(stuck_flow)
    worker.add_activity(stuck)
    worker.start()
    sidecar.push(turn_item('stuck_flow') if kind == 'turn' else activity_item('stuck'))
    gate.wait_until_reached()
    worker.stop()
    assert f'dapr-workflow-{kind}-1' in caplog.text
    assert worker_threads() == [f'dapr-workflow-{kind}-1']
    worker.start()  # a new life, with threads of its own
    gate.open()
    sidecar.push(activity_item('echo'))
    sidecar.wait_for_answers(1)


def test_async_code_that_never_returns_is_cancelled(
    sidecar: FakeSidecar, new_worker: NewWorker, caplog: pytest.LogCaptureFixture
) -> None:
    reached, cancelled = threading.Event(), threading.Event()

    async def stuck(ctx: Any, _: Any) -> None:
        reached.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    worker = new_worker(stop_timeout=0.05)
    worker.add_activity(stuck)
    worker.start()
    sidecar.push(activity_item('stuck'))
    assert reached.wait(DEADLINE_SECONDS)
    worker.stop()
    assert cancelled.is_set()
    assert worker_threads() == []
    assert sidecar.answers == []
    assert 'still busy' not in caplog.text


def test_a_sidecar_that_takes_no_answers_does_not_hold_up_the_stop(
    sidecar: FakeSidecar, new_worker: NewWorker, caplog: pytest.LogCaptureFixture
) -> None:
    sidecar.hold_answers = True
    worker = new_worker(stop_timeout=0.05)
    worker.start()
    sidecar.push(activity_item('echo'), turn_item())
    sidecar.wait_for(lambda: sidecar.calls['CompleteActivityTask'] and sidecar.calls['CompleteWorkflowTask'])
    worker.stop()
    assert 'still busy' in caplog.text
    sidecar.stop()  # ends the calls, and with them the threads and the channel


def test_the_stop_does_not_poll_for_the_end_of_its_threads(
    sidecar: FakeSidecar, new_worker: NewWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    joins: list[float] = []
    join_threads = Dispatcher.join

    def counted(dispatcher: Dispatcher, deadline: float) -> bool:
        joins.append(deadline)
        return join_threads(dispatcher, deadline)

    monkeypatch.setattr(Dispatcher, 'join', counted)
    worker = new_worker()
    worker.start()
    sidecar.push(activity_item('echo'), activity_item('echo_async', '[0]'), turn_item())
    sidecar.wait_for(lambda: len(sidecar.answers) == 3)
    worker.stop()
    assert len(joins) <= 3


@pytest.mark.parametrize('kind', ['turn', 'activity', 'async'])
def test_the_worker_can_be_stopped_by_what_it_runs(sidecar: FakeSidecar, new_worker: NewWorker, kind: str) -> None:
    stopped = threading.Event()

    def stop_flow(ctx: Any, _: Any) -> None:
        worker.stop()
        stopped.set()

    def stop_it(ctx: Any, _: Any) -> None:
        worker.stop()
        stopped.set()

    async def stop_async(ctx: Any, _: Any) -> None:
        worker.stop()
        stopped.set()

    worker = new_worker()
    worker.add_orchestrator(stop_flow)
    worker.add_activity(stop_it)
    worker.add_activity(stop_async)
    worker.start()
    sidecar.push(
        {'turn': turn_item('stop_flow'), 'activity': activity_item('stop_it'), 'async': activity_item('stop_async')}[
            kind
        ]
    )
    assert stopped.wait(DEADLINE_SECONDS)
    assert not worker.is_worker_ready()
    sidecar.wait_for(lambda: not sidecar.open_streams)


def test_a_second_stop_waits_for_the_first(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    gate = Gate()

    def slow(ctx: Any, _: Any) -> None:
        gate.pass_through()

    worker = new_worker()
    worker.add_activity(slow)
    worker.start()
    sidecar.push(activity_item('slow'))
    gate.wait_until_reached()
    stops = [in_thread(worker.stop) for _ in range(3)]
    gate.open()
    for stop in stops:
        join(stop)
    assert worker_threads() == []


def test_two_that_stop_the_worker_do_not_wait_for_each_other(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    gate, done = Gate(), threading.Event()

    def stop_it(ctx: Any, _: Any) -> None:
        gate.pass_through()
        worker.stop()  # while the main thread's stop waits for this activity
        done.set()

    worker = new_worker()
    worker.add_activity(stop_it)
    worker.start()
    sidecar.push(activity_item('stop_it'))
    gate.wait_until_reached()
    stopping = in_thread(worker.stop)
    gate.open()
    join(stopping)
    assert done.is_set()


def test_items_that_come_while_stopping_are_left_to_the_sidecar(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    gate = Gate()

    def slow(ctx: Any, _: Any) -> None:
        gate.pass_through()

    worker = new_worker(concurrency_options=ConcurrencyOptions(maximum_thread_pool_workers=1))
    worker.add_activity(slow)
    worker.start()
    sidecar.push(activity_item('slow', token='runs'), activity_item('slow', token='waits'))
    gate.wait_until_reached()
    stopping = in_thread(worker.stop)
    gate.open()
    join(stopping)
    assert [answer.message.completionToken for answer in sidecar.answers] in (['runs'], ['runs', 'waits'])


@pytest.mark.parametrize('is_followed', [False, True], ids=['alone', 'with its turn'])
def test_the_stream_outlives_a_result_until_its_turn_has_come_or_for_a_moment(
    sidecar: FakeSidecar, new_worker: NewWorker, monkeypatch: pytest.MonkeyPatch, is_followed: bool
) -> None:
    # A daprd stores a result after it has acknowledged it, unless its last worker has gone by then.
    monkeypatch.setattr(settling, 'SETTLE_SECONDS', 60.0 if is_followed else 0.25)
    gate = Gate()

    def slow(ctx: Any, _: Any) -> None:
        gate.pass_through()

    worker = new_worker()
    worker.add_activity(slow)
    worker.start()
    sidecar.push(activity_item('slow'))
    gate.wait_until_reached()
    stopping = in_thread(worker.stop)
    before_the_result = time.monotonic()
    gate.open()
    sidecar.wait_for_answers(1)
    if is_followed:
        sidecar.push(turn_item('any'))
    sidecar.wait_for(lambda: not sidecar.open_streams)
    assert is_followed or time.monotonic() - before_the_result >= 0.25
    join(stopping)
    assert len(sidecar.answers) == 1
