"""Sidecars for the e2e tests: a test that asks for `sidecar` runs against the emulator, and against each build that
`make sidecar` makes; under DAPR_TEST_SIDECAR=daprd against a production daprd instead, which `make daprd` builds.

DAPR_SIDECAR_DIR names the folder of the binaries (default: .bin). Where one is missing, its tests are skipped with a
banner at the end of the run; under DAPR_E2E=require they fail.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.hangs import Rerunner
from tools.daprd_sidecar import daprd, sidecar_of
from tools.go_sidecar import Build, Sidecar, builds, emulator

if TYPE_CHECKING:
    from dapr.ext.workflow._durabletask.client import TaskHubGrpcClient
    from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker


def _required() -> bool:
    value = os.environ.get('DAPR_E2E', '')
    if value not in ('', 'require'):
        raise pytest.UsageError(
            f"DAPR_E2E is {value!r}: 'require' makes a missing sidecar a failure, empty skips its tests"
        )
    return value == 'require'


def _tested() -> tuple[Build, ...]:
    value = os.environ.get('DAPR_TEST_SIDECAR', '')
    if value not in ('', 'daprd'):
        raise pytest.UsageError(
            f"DAPR_TEST_SIDECAR is {value!r}: 'daprd' tests on a production daprd, empty on the emulator and "
            'the Go sidecars'
        )
    return (daprd(),) if value else (emulator(), *builds())


def _missing(build: Build) -> str:
    target = 'daprd' if build.is_daprd else 'sidecar'
    return f'no sidecar {build.version} at {build.binary}: run `make {target}`, or set DAPR_SIDECAR_DIR to its folder'


_rerunner = Rerunner()


def pytest_configure(config: pytest.Config) -> None:
    # A misspelt value is told before any test runs.
    _required()
    if any(build.is_daprd for build in _tested()):
        config.pluginmanager.register(_rerunner, 'daprd-rerunner')


def pytest_unconfigure(config: pytest.Config) -> None:
    # Not in pytest_terminal_summary: the list of every single skipped test would come after it, and bury it.
    reporter: pytest.TerminalReporter | None = config.pluginmanager.get_plugin('terminalreporter')
    if reporter is None:
        return
    skipped = {build: _skipped(reporter, build) for build in _tested()}
    if any(skipped.values()):
        reporter.write_sep('!', f'{sum(skipped.values())} E2E TESTS WERE SKIPPED', red=True, bold=True)
        for build, count in skipped.items():
            if count:
                reporter.write_line(f'{count} tests: {_missing(build)}', red=True, bold=True)
        reporter.write_sep('!', 'DAPR_E2E=require makes this a failure', red=True, bold=True)


def _skipped(reporter: pytest.TerminalReporter, build: Build) -> int:
    return sum(_missing(build) in str(report.longrepr) for report in reporter.getreports('skipped'))


# Session scope: pytest puts all tests of one build together, and ends its sidecar before the next one starts. Two at
# once would take both cores of a small machine, since each polls.
@pytest.fixture(scope='session', params=_tested(), ids=lambda build: build.version)
def _shared_sidecar(request: pytest.FixtureRequest) -> Iterator[Sidecar]:
    build: Build = request.param
    if not build.available:
        if _required():
            pytest.fail(f'DAPR_E2E=require, and {_missing(build)}', pytrace=False)
        pytest.skip(_missing(build))
    with sidecar_of(build) as sidecar:
        _rerunner.sidecar = sidecar if build.is_daprd else None
        yield sidecar
        _rerunner.sidecar = None


@pytest.fixture
def sidecar(_shared_sidecar: Sidecar) -> Iterator[Sidecar]:
    """A running sidecar, shared by all tests of its build: use instance ids of your own (`new_id`).

    A test may stop, kill or restart it; what it leaves behind runs again afterwards, with the same address and state.
    """
    yield _shared_sidecar
    if not _shared_sidecar.running:
        _shared_sidecar.start()


@pytest.fixture
def new_id(request: pytest.FixtureRequest) -> Callable[[], str]:
    """Makes instance ids that no other test has; they name the test, for whoever reads the sidecar's log."""
    return lambda: f'{request.node.originalname}-{uuid.uuid4().hex[:12]}'


@pytest.fixture
def client(sidecar: Sidecar) -> Iterator[TaskHubGrpcClient]:
    """A client of the sidecar."""
    from dapr.ext.workflow._durabletask.client import TaskHubGrpcClient

    with TaskHubGrpcClient(host_address=sidecar.address) as client:
        yield client


@pytest.fixture
def new_worker(sidecar: Sidecar) -> Iterator[Callable[..., TaskHubGrpcWorker]]:
    """Makes workers of the sidecar, not yet started, from the keyword arguments given; all are stopped in the end."""
    from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker

    workers: list[TaskHubGrpcWorker] = []

    def make(**options: Any) -> TaskHubGrpcWorker:
        worker = TaskHubGrpcWorker(host_address=sidecar.address, **options)
        workers.append(worker)
        return worker

    yield make
    for worker in workers:
        worker.stop()
