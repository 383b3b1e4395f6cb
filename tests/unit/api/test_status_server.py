"""A worker's status over HTTP, and where its workflows stand."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dapr.ext.workflow import DaprWorkflowClient, DaprWorkflowContext, WorkflowRuntime
from dapr.ext.workflow.aio import AsyncWorkflowContext
from dapr.ext.workflow.cli.main import main
from dapr.ext.workflow.dashboard import DashboardServer
from dapr.ext.workflow.emulator import Emulator
from dapr.ext.workflow.inspection.sidecar import Sidecar
from dapr.ext.workflow.status_server import StatusServer

DEADLINE = 30.0


def inner(ctx: DaprWorkflowContext) -> Any:
    return (yield ctx.wait_for_external_event('go'))


def outer(ctx: DaprWorkflowContext) -> Any:
    return (yield from inner(ctx))


async def coroutine(ctx: AsyncWorkflowContext) -> Any:
    return await ctx.wait_for_external_event('go')


@pytest.fixture(scope='module')
def emulator() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


@pytest.fixture(scope='module')
def server(emulator: Emulator) -> Iterator[StatusServer]:
    runtime = WorkflowRuntime(host='127.0.0.1', port=emulator.port)
    for workflow in (outer, coroutine):
        runtime.register_workflow(workflow)
    with runtime, StatusServer(runtime) as server:
        with DaprWorkflowClient(host='127.0.0.1', port=emulator.port) as client:
            for workflow in (outer, coroutine):
                client.schedule_new_workflow(workflow, instance_id=workflow.__name__)
        yield server


def get(address: str, path: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(f'http://{address}{path}', timeout=DEADLINE) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not is_so():
        assert time.monotonic() < end


def test_probes_say_whether_it_is_ready_and_alive(server: StatusServer) -> None:
    assert get(server.address, '/healthz/ready')[0] == 200
    assert get(server.address, '/healthz/live')[0] == 200
    idle = WorkflowRuntime(host='127.0.0.1', port=1)
    with StatusServer(idle) as other:
        assert get(other.address, '/healthz/ready')[0] == 503
        assert get(other.address, '/healthz/live')[0] == 200
    assert get(server.address, '/other')[0] == 404


def test_the_status_is_that_of_the_runtime(server: StatusServer) -> None:
    code, status = get(server.address, '/status')

    assert code == 200
    assert status['is_connected'] is True
    assert status['sticky']['running'] >= 0


def test_a_generator_stands_where_it_yields_through_what_it_delegates_to(server: StatusServer) -> None:
    until(lambda: get(server.address, '/standing?id=outer')[0] == 200)
    (task,) = get(server.address, '/standing?id=outer')[1]['tasks']

    assert [line.rpartition(' in ')[2] for line in task['lines']] == ['outer', 'inner']
    assert all(line.split(':')[0].endswith('test_status_server.py') for line in task['lines'])


def test_a_coroutine_stands_where_it_awaits(server: StatusServer) -> None:
    until(lambda: get(server.address, '/standing?id=coroutine')[0] == 200)
    (task,) = get(server.address, '/standing?id=coroutine')[1]['tasks']

    assert task['name'] == 'main'
    assert any(line.endswith(' in coroutine') and 'test_status_server.py' in line for line in task['lines'])


def test_the_command_line_shows_where_it_stands(server: StatusServer, capsys: pytest.CaptureFixture[str]) -> None:
    until(lambda: get(server.address, '/standing?id=outer')[0] == 200)
    assert main(['stack', 'outer', '--worker', server.address]) == 0
    assert ' in inner' in capsys.readouterr().out
    assert main(['stack', 'nobody', '--worker', server.address]) == 3
    assert main(['stack', 'nobody', '--worker', '127.0.0.1:1']) == 1


def test_the_dashboard_shows_workers_and_where_an_instance_stands(server: StatusServer, emulator: Emulator) -> None:
    until(lambda: get(server.address, '/standing?id=outer')[0] == 200)
    with (
        Sidecar('127.0.0.1', emulator.port) as sidecar,
        DashboardServer(sidecar, port=0, workers=[server.address]) as dashboard,
    ):
        with urllib.request.urlopen(f'{dashboard.url}workers', timeout=DEADLINE) as answer:
            assert 'CONNECTED' in answer.read().decode()
        with urllib.request.urlopen(f'{dashboard.url}instance?id=outer', timeout=DEADLINE) as answer:
            assert ' in inner' in answer.read().decode()


def test_it_can_be_started_again_after_a_stop(server: StatusServer) -> None:
    other = StatusServer(WorkflowRuntime(host='127.0.0.1', port=1))
    other.start()
    with pytest.raises(RuntimeError, match='has been started'):
        other.start()
    other.stop()
    other.stop()
    other.start()
    assert get(other.address, '/healthz/live')[0] == 200
    other.stop()
