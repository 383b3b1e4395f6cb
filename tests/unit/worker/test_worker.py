"""The worker as a whole: its threads, OpenTelemetry, and its surface."""

from __future__ import annotations

import inspect
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from dapr.ext.workflow._durabletask import worker as worker_module
from dapr.ext.workflow._durabletask.internal.payloads import PLAIN
from dapr.ext.workflow._durabletask.transport import stream as stream_module
from dapr.ext.workflow._durabletask.worker import ConcurrencyOptions, TaskHubGrpcWorker
from tests.support.fake_sidecar import DEADLINE_SECONDS, FakeSidecar
from tests.support.work_items import activity_item, echo, in_thread, start_until_stopped, worker_threads

ROOT = Path(__file__).resolve().parent.parent.parent.parent

NewWorker = Callable[..., TaskHubGrpcWorker]

# Threads


@pytest.mark.own_mode
def test_threads_are_named_and_their_number_does_not_grow_with_reconnects(
    sidecar: FakeSidecar, new_worker: NewWorker
) -> None:
    worker = new_worker()
    worker.start()
    names = set()
    for count in range(2, 12):
        sidecar.drop_streams()
        sidecar.wait_for_stream(count)
        names.add(tuple(sorted(worker_threads())))
    assert names == {
        ('dapr-workflow-history-janitor', 'dapr-workflow-keepalive', 'dapr-workflow-stream', 'dapr-workflow-watchdog')
    }


@pytest.mark.parametrize('activity', ['quick', 'stuck'])
def test_a_process_ends_though_its_worker_was_not_stopped(sidecar: FakeSidecar, activity: str) -> None:
    script = f"""
import threading
from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker

reached = threading.Event()

def quick(ctx, value):
    reached.set()

def stuck(ctx, value):
    reached.set()
    threading.Event().wait()

worker = TaskHubGrpcWorker(host_address='{sidecar.address}')
worker.add_activity(quick)
worker.add_activity(stuck)
worker.start()
assert reached.wait({DEADLINE_SECONDS})
"""
    sidecar.push(activity_item(activity))
    ended = subprocess.run(
        [sys.executable, '-c', script], cwd=ROOT, timeout=DEADLINE_SECONDS, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0
    starting, *rest = [line.split(' ', 3)[3] for line in ended.stderr.splitlines()]
    assert starting == f"INFO: Starting a worker for the sidecar at '{sidecar.address}'."
    # The process may have ended before that was told.
    assert rest in ([], ['INFO: Connected to the sidecar; waiting for work items.'])


# OpenTelemetry


@pytest.mark.usefixtures('instrumented')
def test_the_worker_runs_reconnects_and_stops_under_opentelemetry(
    sidecar: FakeSidecar, new_worker: NewWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = new_worker(keepalive_interval=0.01)
    worker.add_activity(echo)
    worker.start()
    sidecar.push(activity_item('echo', '1'))
    assert sidecar.answer(0).result.value == '1'
    # A stream that cannot be cancelled is given up when the sidecar falls silent.
    monkeypatch.setattr(stream_module, 'HELLO_TIMEOUT_SECONDS', 0.05)
    sidecar.hold_hello = True
    sidecar.wait_for(lambda: not sidecar.open_streams)
    sidecar.hold_hello = False
    sidecar.wait_for(lambda: sidecar.open_streams)
    sidecar.push(activity_item('echo', '2'))
    assert sidecar.answer(1).result.value == '2'
    worker.stop()
    assert worker_threads() == []
    sidecar.wait_for(lambda: not sidecar.open_streams)


@pytest.mark.usefixtures('instrumented')
def test_stop_ends_every_step_of_starting_under_opentelemetry(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    worker = new_worker(stop_timeout=1)
    for _ in range(20):
        starting = threading.Event()
        thread = in_thread(partial(start_until_stopped, worker, starting))
        assert starting.wait(DEADLINE_SECONDS)
        while thread.is_alive():  # a stop that comes before the start ends nothing
            worker.stop()
        assert worker_threads() == []


# The surface


@pytest.mark.own_mode
def test_the_constructor_is_the_contracts_and_has_sticky_execution(new_worker: NewWorker) -> None:
    parameters = inspect.signature(TaskHubGrpcWorker).parameters.values()
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters)
    assert {parameter.name: parameter.default for parameter in parameters} == {
        'host_address': None,
        'metadata': None,
        'log_handler': None,
        'log_formatter': None,
        'secure_channel': False,
        'interceptors': None,
        'concurrency_options': None,
        'channel_options': None,
        'stop_timeout': 30.0,
        'keepalive_interval': 30.0,
        'disable_stateful_history': False,
        'history_cache_ttl': 3600.0,
        'history_cache_max_instances': 100_000,
        'history_cache_max_bytes': 0,
        'disable_sticky_execution': False,
        'listeners': None,
        'blocked_warning_after': 2.0,
        'payloads': PLAIN,
    }
    options = ConcurrencyOptions(7)
    assert new_worker(concurrency_options=options).concurrency_options is options
    assert isinstance(new_worker().concurrency_options, ConcurrencyOptions)


def test_names_that_others_import_from_the_worker_are_there() -> None:
    for name in worker_module.__all__:
        assert hasattr(worker_module, name)
