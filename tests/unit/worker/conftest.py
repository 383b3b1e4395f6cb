"""What the worker's tests share: the fake sidecar, and the check that no thread is left."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

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
