"""Processes in which something else has changed threads or the clock."""

from __future__ import annotations

import logging
import sys
import time
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import freezegun
import pytest
from freezegun.config import reset_config

from dapr.ext.workflow import DaprWorkflowClient, DaprWorkflowContext, WorkflowRuntime, WorkflowTimeoutError
from dapr.ext.workflow._durabletask.transport import gevent_hint
from dapr.ext.workflow.emulator import Emulator


@pytest.mark.parametrize(
    ('is_patched', 'is_told', 'warnings'), [(True, False, 1), (True, True, 0), (False, False, 0), (True, None, 0)]
)
def test_a_client_warns_of_a_gevent_that_grpc_does_not_know(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    is_patched: bool,
    is_told: bool | None,
    warnings: int,
) -> None:
    monkey = SimpleNamespace(is_module_patched=lambda name: is_patched)
    monkeypatch.setitem(sys.modules, 'gevent.monkey', monkey)
    monkeypatch.setattr(gevent_hint, '_is_told', False)
    # None: a gRPC that does not say it.
    told_grpc = SimpleNamespace() if is_told is None else SimpleNamespace(g_gevent_activated=is_told)
    monkeypatch.setitem(sys.modules, 'grpc._cython.cygrpc', told_grpc)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            DaprWorkflowClient(host='localhost', port='1').close()
    told = [record.getMessage() for record in caplog.records if 'init_gevent()' in record.getMessage()]
    assert len(told) == warnings


def test_without_gevent_grpc_is_not_asked() -> None:
    assert hasattr(sys.modules['grpc._cython.cygrpc'], 'g_gevent_activated')  # else the hint has lost what it goes by
    assert not gevent_hint._is_in_the_way()


def test_workflows_run_and_waits_end_under_a_clock_that_is_frozen_as_the_guide_says() -> None:
    frozen = datetime(2020, 1, 1, tzinfo=timezone.utc)

    def moment(ctx: Any, _: None) -> str:
        return datetime.now(timezone.utc).isoformat()

    def flow(ctx: DaprWorkflowContext, _: None) -> Any:
        return (yield ctx.call_activity(moment))

    def waiting(ctx: DaprWorkflowContext, _: None) -> Any:
        yield ctx.wait_for_external_event('never')

    freezegun.configure(extend_ignore_list=['grpc', 'asyncio', 'dapr.ext.workflow'])
    try:
        with Emulator() as emulator, freezegun.freeze_time(frozen):
            runtime = WorkflowRuntime(host='127.0.0.1', port=str(emulator.port))
            runtime.register_workflow(flow)
            runtime.register_workflow(waiting)
            runtime.register_activity(moment)
            runtime.start()
            client = DaprWorkflowClient(host='127.0.0.1', port=str(emulator.port))
            try:
                waits = client.schedule_new_workflow(waiting)
                with pytest.raises(WorkflowTimeoutError, match='did not within 1 s'):
                    client.wait_for_workflow_completion(waits, timeout_in_seconds=1)
                state = client.wait_for_workflow_completion(client.schedule_new_workflow(flow), timeout_in_seconds=30)
                assert state is not None
                assert state.output(str) == frozen.isoformat()
                assert time.time() == frozen.timestamp()
            finally:
                client.close()
                runtime.shutdown()
    finally:
        reset_config()
