"""`python -m dapr.ext.workflow.emulator`, as a process."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty

from dapr.ext.workflow._durabletask.internal import orchestrator_service_pb2_grpc as stubs
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator.__main__ import main

DEADLINE = 20.0
COMMAND = [sys.executable, '-m', 'dapr.ext.workflow.emulator']


@contextmanager
def emulator(*arguments: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, 'DAPR_API_TOKEN': '', **environ},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def address_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    match = re.fullmatch(r'listening on (127\.0\.0\.1:[0-9]+)(?: for app \w+)?\n', line)
    assert match is not None, line
    return match[1]


def hello(address: str, *metadata: tuple[str, str]) -> None:
    with grpc.insecure_channel(address) as channel:
        stubs.TaskHubSidecarServiceStub(channel).Hello(Empty(), timeout=DEADLINE, metadata=metadata)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_address_first_and_a_signal_ends_it_cleanly_whoever_is_connected(number: signal.Signals) -> None:
    with emulator('--port', '0') as process:
        address = address_of(process)
        hello(address)
        with grpc.insecure_channel(address) as channel:
            stub = stubs.TaskHubSidecarServiceStub(channel)
            stub.GetWorkItems(pb.GetWorkItemsRequest())
            wait = stub.WaitForInstanceCompletion.future(pb.GetInstanceRequest(instanceId='x'), timeout=DEADLINE)
            hello(address)

            process.send_signal(number)

            out, err = process.communicate(timeout=DEADLINE)
            # Either end may be first to give the call up.
            assert wait.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
    assert process.returncode == 0, err
    assert out == ''
    assert 'Traceback' not in err
    assert 'destroyed' not in err


def test_a_file_outlives_a_kill(tmp_path: Path) -> None:
    db = str(tmp_path / 'state.db')
    request = pb.CreateInstanceRequest(instanceId='kept', name='x')
    request.scheduledStartTimestamp.FromSeconds(4_000_000_000)
    with emulator('--port', '0', '--db', db) as process, grpc.insecure_channel(address_of(process)) as channel:
        stubs.TaskHubSidecarServiceStub(channel).StartInstance(request, timeout=DEADLINE)
        process.kill()
    with emulator('--port', '0', '--db', db) as process, grpc.insecure_channel(address_of(process)) as channel:
        stub = stubs.TaskHubSidecarServiceStub(channel)
        assert stub.GetInstance(pb.GetInstanceRequest(instanceId='kept'), timeout=DEADLINE).exists


@pytest.mark.parametrize(
    ('arguments', 'environ'),
    [(['--api-token', 'secret'], {}), ([], {'DAPR_API_TOKEN': 'secret'})],
    ids=['option', 'environment'],
)
def test_a_token_is_taken_from_the_command_line_or_the_environment(
    arguments: list[str], environ: dict[str, str]
) -> None:
    with emulator('--port', '0', *arguments, **environ) as process:
        address = address_of(process)
        hello(address, ('dapr-api-token', 'secret'))
        with pytest.raises(grpc.RpcError, match='UNAUTHENTICATED'):
            hello(address)


def test_each_app_has_a_port_of_its_own() -> None:
    with emulator('--app', 'orders=0', '--app', 'billing=0') as process:
        first, second = address_of(process), address_of(process)
        assert first != second
        hello(first)
        hello(second)


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--host', '0.0.0.0', '--port', '0'], 'no API token'),
        (['--host', '203.0.113.1', '--port', '0', '--allow-insecure'], 'can not listen on 203.0.113.1:0'),
        (['--db', '/no/such/folder/state.db', '--port', '0'], 'cannot be opened'),
    ],
)
def test_what_keeps_it_from_starting_is_told_in_one_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv('DAPR_API_TOKEN', raising=False)
    monkeypatch.setattr(signal, 'signal', lambda number, handler: None)
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert out == ''
    assert words in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--port', '70000'], "'70000' is no port"),
        (['--port', 'http'], "'http' is no port"),
        (['--app', 'orders'], "'orders' is not NAME=PORT"),
        (['--app', '=4001'], "'=4001' is not NAME=PORT"),
        (['--app', 'orders=0', '--app', 'orders=4001'], 'names an app twice'),
        (['--log-level', 'loud'], 'invalid choice'),
    ],
)
def test_a_command_line_that_cannot_be_read_is_told(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_daprs_health_checks_have_a_line_of_their_own() -> None:
    with emulator('--port', '0', '--dapr-http-port', '0', '--state-store', 'mine') as process:
        address_of(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        match = re.fullmatch(r"Dapr's health checks at (http://127\.0\.0\.1:[0-9]+)\n", line)
        assert match is not None, line
        with urllib.request.urlopen(f'{match[1]}/v1.0/healthz/outbound', timeout=DEADLINE) as response:
            assert response.status == 204
