"""A daprd that serves no workflows any more, and the tests that met one.

daprd 1.18 can come to that when the last worker of an app goes while calls are under way, as it does at the end of
nearly every test; then no worker that comes helps, only a restart (docs/guide/production.md). What a test has found is
then daprd's fault and no news: the test is run once more, on a daprd that was started anew. It is shown first, by a
worker and a workflow that have nothing to do with the test, and told at the end of the run.
"""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from _pytest.runner import runtestprotocol

from tools.go_sidecar import Sidecar

_SECONDS = 30.0


def nothing(ctx: Any, _: Any) -> None:
    """A workflow of no steps."""


def serves_workflows(sidecar: Sidecar) -> bool:
    """Whether a sidecar runs a workflow for a worker that has just come."""
    from dapr.ext.workflow._durabletask.client import TaskHubGrpcClient
    from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker

    with (
        TaskHubGrpcWorker(host_address=sidecar.address) as worker,
        TaskHubGrpcClient(host_address=sidecar.address, call_timeout=_SECONDS, retry_timeout=_SECONDS) as client,
    ):
        worker.add_orchestrator(nothing)
        worker.start()
        try:
            instance_id = client.schedule_new_orchestration(nothing)
            return client.wait_for_orchestration_completion(instance_id, timeout=_SECONDS) is not None
        except (grpc.RpcError, TimeoutError):
            return False


class Rerunner:
    """A pytest plugin that runs a test again whose daprd hung.

    Attributes:
        sidecar: The daprd that runs; None: there is none.
        hung: The tests that were run again.
    """

    def __init__(self) -> None:
        self.sidecar: Sidecar | None = None
        self.hung: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
        # After the last test the session's fixtures are gone, and with them the sidecar.
        sidecar = self.sidecar
        if (
            any(report.failed for report in reports)
            and sidecar is not None
            and sidecar.running
            and not serves_workflows(sidecar)
        ):
            sidecar.kill()
            sidecar.start()
            self.hung.append(item.nodeid)
            item._initrequest()  # type: ignore[attr-defined]
            reports = runtestprotocol(item, log=False, nextitem=nextitem)
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for nodeid in self.hung:
            terminalreporter.write_line(f'daprd hung and was started anew: {nodeid} ran again', yellow=True)
