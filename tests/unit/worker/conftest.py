"""What the worker's tests share: the fake sidecar, and the check that no thread is left."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dapr.ext.workflow._durabletask.transport import stream as stream_module
from dapr.ext.workflow._durabletask.transport.backoff import Backoff
from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker
from tests.support.fake_sidecar import DEADLINE_SECONDS, FakeSidecar


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(DEADLINE_SECONDS)
        assert not thread.is_alive(), f'{thread.name} is left behind'


@pytest.fixture
def sidecar(_no_thread_is_left: None) -> Iterator[FakeSidecar]:
    """A fake sidecar that listens."""
    with FakeSidecar() as sidecar:
        yield sidecar


@pytest.fixture
def failed_attempt(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set when an attempt to connect has failed. The delays after that are short."""
    failed = threading.Event()

    def longest(low: float, high: float) -> float:
        failed.set()
        return high

    monkeypatch.setattr(stream_module, 'Backoff', lambda: Backoff(first=0.01, longest=0.05, uniform=longest))
    return failed


@pytest.fixture
def new_worker(sidecar: FakeSidecar, failed_attempt: threading.Event) -> Iterator[Callable[..., TaskHubGrpcWorker]]:
    """Makes workers of the fake sidecar, not yet started; all are stopped in the end."""
    workers: list[TaskHubGrpcWorker] = []

    def make(**options: Any) -> TaskHubGrpcWorker:
        options.setdefault('host_address', sidecar.address)
        workers.append(TaskHubGrpcWorker(**options))
        return workers[-1]

    yield make
    for worker in workers:
        worker.stop()


@pytest.fixture
def instrumented() -> Iterator[None]:
    """OpenTelemetry's client instrumentation is at work, for every channel."""
    instrumentation = pytest.importorskip('opentelemetry.instrumentation.grpc')
    instrumentor = instrumentation.GrpcInstrumentorClient()
    instrumentor.instrument()
    yield
    instrumentor.uninstrument()
