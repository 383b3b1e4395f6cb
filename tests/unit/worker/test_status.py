"""What a worker says of itself, and how long it takes to start and to stop."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from dapr.ext.workflow import WorkflowRuntime
from dapr.ext.workflow._durabletask import worker as worker_module
from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker
from tests.support.fake_sidecar import DEADLINE_SECONDS, FakeSidecar
from tests.support.work_items import Gate, activity_item, in_thread, join, worker_threads

NewWorker = Callable[..., TaskHubGrpcWorker]


def test_the_status_of_a_worker_from_before_its_start_to_its_stop(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    worker = new_worker()
    before = worker.status()
    assert (before.is_running, before.is_connected, before.is_alive) == (False, False, True)
    assert (before.connected_for, before.cut_off_for, before.last_error) == (None, None, None)
    worker.start()
    connected = worker.status()
    assert (connected.is_running, connected.is_connected, connected.is_alive) == (True, True, True)
    assert connected.address == sidecar.address
    assert connected.connected_for is not None
    assert connected.cut_off_for is None
    sidecar.hold_hello = True
    sidecar.drop_streams()
    sidecar.wait_for_calls('Hello', 2)
    cut_off = worker.status()
    assert (cut_off.is_running, cut_off.is_connected, cut_off.is_alive) == (True, False, True)
    assert cut_off.connected_for is None
    assert cut_off.cut_off_for is not None
    assert 'UNAVAILABLE' in str(cut_off.last_error)
    worker.stop()
    assert not worker.status().is_running


def test_activities_that_run_and_wait_are_in_the_status(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    gate = Gate()

    def slow(ctx: Any, _: Any) -> None:
        gate.pass_through()

    worker = new_worker(concurrency_options=worker_module.ConcurrencyOptions(maximum_thread_pool_workers=1))
    worker.add_activity(slow)
    worker.start()
    sidecar.push(activity_item('slow', task_id=3), activity_item('slow', task_id=4))
    gate.wait_until_reached()
    deadline = time.monotonic() + DEADLINE_SECONDS
    while worker.status().waiting_activities == 0:
        assert time.monotonic() < deadline
    (activity,) = worker.status().activities
    gate.open()
    sidecar.wait_for_answers(2)
    assert (activity.activity_name, activity.instance_id, activity.task_id) == ('slow', 'abc', 3)
    assert not activity.is_async


def test_a_start_that_takes_too_long_says_why_and_leaves_nothing(new_worker: NewWorker) -> None:
    worker = new_worker(host_address='127.0.0.1:1')
    with pytest.raises(TimeoutError, match=r"'127\.0\.0\.1:1' sent no work items within 0\.3 s: No connection to the"):
        worker.start(0.3)
    assert worker_threads() == []
    assert not worker.status().is_running


def test_activities_see_the_stop_and_the_log_says_what_it_waits_for(
    sidecar: FakeSidecar, new_worker: NewWorker, caplog: pytest.LogCaptureFixture
) -> None:
    reached = threading.Event()

    def polite(ctx: Any, _: Any) -> str:
        reached.set()
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not ctx.is_shutting_down:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        return 'gave way'

    worker = new_worker()
    worker.add_activity(polite)
    worker.start()
    sidecar.push(activity_item('polite'))
    assert reached.wait(DEADLINE_SECONDS)
    with caplog.at_level(logging.INFO, 'dapr.workflow'):
        worker.stop()
    assert sidecar.answer().result.value == '"gave way"'


def test_async_activities_are_cancelled_before_the_end_and_run_again_elsewhere(
    sidecar: FakeSidecar, new_worker: NewWorker, caplog: pytest.LogCaptureFixture
) -> None:
    reached, cleaned_up = threading.Event(), threading.Event()

    async def endless(ctx: Any, _: Any) -> None:
        reached.set()
        try:
            await asyncio.Event().wait()
        finally:
            cleaned_up.set()

    worker = new_worker()
    worker.add_activity(endless)
    worker.start()
    sidecar.push(activity_item('endless'))
    assert reached.wait(DEADLINE_SECONDS)
    with caplog.at_level(logging.INFO, 'dapr.workflow'):
        worker.stop(0.2)
    assert cleaned_up.is_set()
    assert sidecar.answers == []
    assert worker_threads() == []
    assert any(
        message.startswith("Stopping: waiting up to 0 s for activity 'endless' (task 3 of abc) for")
        for message in caplog.messages
    )
    assert any('was cancelled, since the worker is stopping' in message for message in caplog.messages)


# The runtime


def test_a_runtime_connects_at_its_start_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError('a channel was made')

    monkeypatch.setattr('grpc.insecure_channel', refuse)
    threads = set(threading.enumerate())
    runtime = WorkflowRuntime('127.0.0.1', '1')
    runtime.register_workflow(lambda ctx, _: None, name='flow')
    runtime.register_activity(lambda ctx, _: None, name='work')
    assert set(threading.enumerate()) == threads
    assert not runtime.status().is_running


def test_a_runtime_runs_for_the_length_of_an_async_block(sidecar: FakeSidecar) -> None:
    host, port = sidecar.address.split(':')

    async def main() -> None:
        async with WorkflowRuntime(host, port) as runtime:
            assert runtime.status().is_connected
        assert not runtime.status().is_running

    asyncio.run(main())
    assert worker_threads() == []


def test_a_cancelled_astart_leaves_nothing(sidecar: FakeSidecar) -> None:
    host, port = sidecar.address.split(':')
    sidecar.hold_hello = True

    async def main() -> None:
        runtime = WorkflowRuntime(host, port)
        starting = asyncio.create_task(runtime.astart())
        await asyncio.to_thread(sidecar.wait_for_calls, 'Hello')
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting

    asyncio.run(main())
    assert worker_threads() == []


def test_an_astart_that_takes_too_long_is_a_timeout_error() -> None:
    with pytest.raises(TimeoutError, match='sent no work items within'):
        asyncio.run(WorkflowRuntime('127.0.0.1', '1').astart(0.2))


def test_a_second_stop_waits_with_the_first(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    worker = new_worker()
    worker.start()
    stops = [in_thread(worker.stop), in_thread(worker.stop)]
    for stop in stops:
        join(stop)
    assert not worker.status().is_running
