"""The worker as a whole: starting it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import grpc
import pytest

from dapr.ext.workflow._durabletask.internal import shared
from dapr.ext.workflow._durabletask.transport import stream as stream_module
from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker
from tests.support.fake_sidecar import DEADLINE_SECONDS, FakeSidecar
from tests.support.work_items import Gate, echo, flow, in_thread, join, start_until_stopped, worker_threads

NewWorker = Callable[..., TaskHubGrpcWorker]


def test_start_waits_for_a_sidecar_that_comes_later(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    sidecar.stop()
    worker = new_worker()
    thread = in_thread(worker.start)
    sidecar.start()
    join(thread)
    assert worker.is_worker_ready()


@pytest.mark.parametrize('address', ['127.0.0.1:1', 'no-such-host.invalid:4001'], ids=['refused', 'does not resolve'])
def test_stop_ends_a_start_that_reaches_no_one(
    new_worker: NewWorker, failed_attempt: threading.Event, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    worker = new_worker(host_address=address)
    raised = threading.Event()

    def start() -> None:
        with pytest.raises(
            RuntimeError, match=f"was stopped before the work item stream was established: the sidecar at '{address}'"
        ):
            worker.start()
        raised.set()

    thread = in_thread(start)
    assert failed_attempt.wait(DEADLINE_SECONDS)
    worker.stop()
    join(thread)
    assert raised.is_set()
    assert worker_threads() == []
    assert 'UNAVAILABLE' in caplog.text


def test_stop_ends_a_start_whose_hello_has_no_answer(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    sidecar.hold_hello = True
    worker = new_worker()
    raised = threading.Event()

    def start() -> None:
        with pytest.raises(RuntimeError, match='stopped before'):
            worker.start()
        raised.set()

    thread = in_thread(start)
    sidecar.wait_for_calls('Hello')
    worker.stop()
    join(thread)
    assert raised.is_set()
    assert worker_threads() == []


def test_stop_ends_a_start_that_has_only_begun(
    sidecar: FakeSidecar, new_worker: NewWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    original = shared.get_grpc_channel

    def slow(*arguments: Any, **options: Any) -> grpc.Channel:
        gate.pass_through()
        return original(*arguments, **options)

    monkeypatch.setattr(shared, 'get_grpc_channel', slow)
    sidecar.hold_hello = True
    worker = new_worker()
    starting = in_thread(partial(start_until_stopped, worker, threading.Event()))
    gate.wait_until_reached()
    stopping = in_thread(worker.stop)
    stopping.join(0.05)  # nothing is left to stop for one that does not see the start
    gate.open()
    join(stopping)
    join(starting)
    assert worker_threads() == []


def test_an_interrupted_start_leaves_nothing_running(new_worker: NewWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> bool:
        raise KeyboardInterrupt

    worker = new_worker()
    with monkeypatch.context() as patch:
        patch.setattr(stream_module.WorkItemStream, 'wait_until_open', interrupt)
        with pytest.raises(KeyboardInterrupt):
            worker.start()
    assert worker_threads() == []
    worker.start()


def test_a_setting_that_cannot_be_read_is_raised_by_start(
    new_worker: NewWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = new_worker()
    with monkeypatch.context() as patch:
        patch.setenv('DAPR_GRPC_KEEPALIVE_ENABLED', 'perhaps')
        with pytest.raises(ValueError, match='DAPR_GRPC_KEEPALIVE_ENABLED'):
            worker.start()
    assert worker_threads() == []
    worker.add_activity(echo)  # it is not running
    worker.start()


def test_a_running_worker_takes_no_start_and_no_registrations(new_worker: NewWorker) -> None:
    worker = new_worker()
    worker.start()
    with pytest.raises(RuntimeError, match='already running'):
        worker.start()
    with pytest.raises(RuntimeError, match='Orchestrators cannot be added while the worker is running'):
        worker.add_orchestrator(flow)
    with pytest.raises(RuntimeError, match='Activities cannot be added while the worker is running'):
        worker.add_activity(echo)
    worker.stop()
    worker.add_orchestrator(flow)
    worker.add_activity(echo)
