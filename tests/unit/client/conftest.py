"""A scripted sidecar, and clients of both kinds for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.scripted_sidecar import ScriptedSidecar, Twin, running


@pytest.fixture
def sidecar() -> Iterator[ScriptedSidecar]:
    with running() as scripted:
        yield scripted


@pytest.fixture(params=['sync', 'aio'])
def twin(request: pytest.FixtureRequest) -> Iterator[Twin]:
    """Makes clients of one kind; a test that takes it runs for both."""
    made = Twin(request.param)
    yield made
    made.finish()


@pytest.fixture
def client(twin: Twin, sidecar: ScriptedSidecar) -> Any:
    return twin.new(host_address=sidecar.address)
