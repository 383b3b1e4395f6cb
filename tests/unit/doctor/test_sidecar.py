"""What the doctor says of a sidecar: where its address comes from, whether it answers, whether it sends deltas."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import grpc
import pytest

from dapr.ext.workflow import doctor
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.internal.helpers import new_execution_started_event
from dapr.ext.workflow.doctor.probe import run_probe
from dapr.ext.workflow.doctor.sidecar import examine_sidecar, origin
from tests.support.fake_sidecar import FakeSidecar

TIMEOUT = 10.0


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith('DAPR_')]:
        monkeypatch.delenv(name)
    monkeypatch.setitem(sys.modules, 'dapr.conf', None)


def examined(address: str, *, timeout: float = TIMEOUT, probe: bool = False) -> tuple[dict[str, str], list[str]]:
    """The texts by name, and the names of what is wrong."""
    host, _, port = address.partition(':')
    lines = list(examine_sidecar(host, port, timeout=timeout, probe=probe))
    return {line.name: line.text for line in lines}, [line.name for line in lines if line.wrong]


@contextmanager
def daprd(version: str, workers: int = 0) -> Iterator[str]:
    """A server that answers Hello, and GetMetadata as daprd does. Gives its address."""
    # Fields 8, the version, and 12 with its field 1, the workers, among others.
    metadata = b'\x0a\x03app\x42' + bytes([len(version)]) + version.encode() + b'\x62\x02\x08' + bytes([workers])
    answers = {'/TaskHubSidecarService/Hello': b'', '/dapr.proto.runtime.v1.Dapr/GetMetadata': metadata}

    class Handler(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> Any:
            answer = answers.get(details.method)
            return None if answer is None else grpc.unary_unary_rpc_method_handler(lambda request, context: answer)

    server = grpc.server(ThreadPoolExecutor(2), handlers=[Handler()])
    port = server.add_insecure_port('127.0.0.1:0')
    server.start()
    try:
        yield f'127.0.0.1:{port}'
    finally:
        server.stop(None).wait()


class ProbedSidecar(FakeSidecar):
    """Runs one workflow: a turn when it is started, and one for each event.

    Attributes:
        deltas: Whether its third turn, and later ones, are deltas.
        before: Called before each turn is sent.
        waited_with: How many streams were open when the workflow's end was waited for.
        created: The request that created the workflow; None: none was.
        purged: The request that purged it; None: none has.
    """

    def __init__(self, *, deltas: bool) -> None:
        super().__init__()
        self.deltas = deltas
        self.before: Callable[[], object] = lambda: None
        self.waited_with = 0
        self.created: pb.CreateInstanceRequest | None = None
        self.purged: pb.PurgeInstancesRequest | None = None
        self._turns = 0

    def __enter__(self) -> ProbedSidecar:
        self.start()
        return self

    def StartInstance(self, request: pb.CreateInstanceRequest, context: Any) -> pb.CreateInstanceResponse:
        self.created = request
        self._next_turn(request.instanceId)
        self.wait_for_answers(1)
        return pb.CreateInstanceResponse(instanceId=request.instanceId)

    def RaiseEvent(self, request: pb.RaiseEventRequest, context: Any) -> pb.RaiseEventResponse:
        self._next_turn(request.instanceId)
        return pb.RaiseEventResponse()

    def WaitForInstanceCompletion(self, request: pb.GetInstanceRequest, context: Any) -> pb.GetInstanceResponse:
        self.wait_for_answers(3)
        self.waited_with = self.open_streams
        return pb.GetInstanceResponse(exists=True)

    def PurgeInstances(self, request: pb.PurgeInstancesRequest, context: Any) -> pb.PurgeInstancesResponse:
        self.purged = request
        return pb.PurgeInstancesResponse(deletedInstanceCount=1)

    def _next_turn(self, instance_id: str) -> None:
        self.before()
        self._turns += 1
        turn = pb.WorkflowRequest(instanceId=instance_id, newEvents=[new_execution_started_event('x', instance_id)])
        if self.deltas and self._turns > 2:
            turn.cachedHistory.eventCount = 2
        self.push(pb.WorkItem(workflowRequest=turn, completionToken=str(self._turns)))


class TestAddress:
    @pytest.mark.parametrize(
        ('given', 'environ', 'text'),
        [
            ((None, None), {}, 'by default'),
            ((None, None), {'DAPR_GRPC_PORT': '1'}, 'DAPR_GRPC_PORT, else by default'),
            ((None, None), {'DAPR_GRPC_PORT': '1', 'DAPR_RUNTIME_HOST': 'h'}, 'DAPR_RUNTIME_HOST, DAPR_GRPC_PORT'),
            ((None, None), {'DAPR_GRPC_HOST': 'g', 'DAPR_RUNTIME_HOST': 'h'}, 'DAPR_GRPC_HOST, else by default'),
            ((None, None), {'DAPR_GRPC_ENDPOINT': 'e', 'DAPR_GRPC_PORT': '1'}, 'DAPR_GRPC_ENDPOINT'),
            (('h', None), {'DAPR_GRPC_ENDPOINT': 'e', 'DAPR_GRPC_PORT': '1'}, 'as given, DAPR_GRPC_PORT'),
            ((None, '1'), {'DAPR_RUNTIME_HOST': 'h'}, 'as given, DAPR_RUNTIME_HOST'),
            (('h', '1'), {'DAPR_GRPC_ENDPOINT': 'e'}, 'as given'),
        ],
    )
    def test_its_origin_is_what_counted(
        self, given: tuple[str | None, str | None], environ: dict[str, str], text: str
    ) -> None:
        assert origin(*given, environ) == text

    def test_what_the_sdk_does_not_read_is_no_origin_where_it_is_installed(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        module: Any = ModuleType('dapr.conf')
        module.settings = SimpleNamespace()
        monkeypatch.setitem(sys.modules, 'dapr.conf', module)

        assert origin(None, None, {'DAPR_GRPC_HOST': 'g'}) == 'by default'

    def test_a_setting_that_cannot_be_read_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv('DAPR_GRPC_PORT', 'many')

        [line] = examine_sidecar(None, None, timeout=TIMEOUT, probe=False)

        assert line.wrong
        assert "DAPR_GRPC_PORT='many'" in line.text


class TestAnswers:
    def test_a_sidecar_that_answers_is_told_with_the_time_it_took(self) -> None:
        with FakeSidecar() as sidecar:
            texts, wrong = examined(sidecar.address)

        assert not wrong
        assert texts['answers'].startswith('yes, in ')

    def test_only_calls_without_effect_are_made(self) -> None:
        with FakeSidecar() as sidecar:
            examined(sidecar.address)

        assert set(sidecar.calls) <= {'Hello', 'ListInstanceIDs', 'GetInstanceHistory', 'RerunWorkflowFromEvent'}

    def test_nobody_at_the_address_is_wrong_and_says_where_it_is_set(self) -> None:
        with FakeSidecar() as sidecar:
            address = sidecar.address
        texts, wrong = examined(address)

        assert wrong == ['answers']
        assert address in texts['answers']
        assert 'DAPR_GRPC_PORT' in texts['answers']

    def test_a_sidecar_that_keeps_silent_is_wrong_when_the_time_is_over(self) -> None:
        with FakeSidecar() as sidecar:
            sidecar.hold_hello = True
            texts, wrong = examined(sidecar.address, timeout=0.05)

        assert wrong == ['answers']
        assert 'was silent for 0.05 s' in texts['answers']
        assert 'DEADLINE_EXCEEDED' in texts['answers']

    def test_a_port_that_is_none_is_named_and_no_variable_blamed(self) -> None:
        for port in ('abc', '0', '65536', '-1', '1.5'):
            [line] = examine_sidecar(None, port, timeout=TIMEOUT, probe=False)

            assert line.wrong
            assert line.text == f'{port!r} is no port: it has to be a number from 1 to 65535'

    def test_what_a_sidecar_can_is_found_without_effect(self) -> None:
        with daprd('1.18.1') as address:
            texts, _ = examined(address)

        assert texts['can'] == (
            'what every sidecar can; not: to list ids, to give histories, to run an instance again from one of its '
            'events'
        )

    def test_a_tls_handshake_that_fails_is_told_by_the_doctor_alone(self) -> None:
        with FakeSidecar() as sidecar:
            command = [sys.executable, '-m', 'dapr.ext.workflow', 'doctor', '--timeout', '5']
            run = subprocess.run(
                [*command, '--host', 'https://127.0.0.1', '--port', sidecar.address.rpartition(':')[2]],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )

        assert run.returncode == 1
        assert 'No TLS connection' in run.stdout
        assert run.stderr == ''

    def test_the_token_that_is_set_goes_along(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv('DAPR_API_TOKEN', 'secret')
        with FakeSidecar() as sidecar:
            texts, _ = examined(sidecar.address)

        assert sidecar.metadata['Hello']['dapr-api-token'] == 'secret'
        assert 'secret' not in str(texts)

    def test_the_message_limit_that_is_set_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv('DAPR_GRPC_MAX_INBOUND_MESSAGE_SIZE_BYTES', '1000')
        with FakeSidecar() as sidecar:
            texts, _ = examined(sidecar.address)

        assert texts['message limit'].startswith('1000 bytes')


class TestDeltas:
    @pytest.mark.parametrize(
        ('version', 'text'),
        [('1.19.0', 'yes'), ('2.0.1', 'yes'), ('1.18.4', 'no: '), ('1.9.0', 'no: '), ('edge', 'not known')],
    )
    def test_daprds_version_tells(self, version: str, text: str) -> None:
        with daprd(version, workers=2) as address:
            texts, wrong = examined(address)

        assert not wrong
        assert texts['daprd'] == f"{version} of the app 'app', 2 workflow workers are connected"
        assert texts['deltas'].startswith(text)

    def test_a_sidecar_that_is_no_daprd_leaves_it_open(self) -> None:
        with FakeSidecar() as sidecar:
            texts, wrong = examined(sidecar.address)

        assert not wrong
        assert texts['deltas'].startswith('not known')


class TestProbe:
    @pytest.mark.parametrize(('deltas', 'text'), [(True, 'yes, the probe'), (False, 'no, the probe')])
    def test_it_tells_from_a_workflow_of_its_own_and_removes_it(self, deltas: bool, text: str) -> None:
        with ProbedSidecar(deltas=deltas) as sidecar:
            texts, wrong = examined(sidecar.address, probe=True)

            assert not wrong
            assert texts['deltas'].startswith(text)
            assert sidecar.created is not None
            assert sidecar.purged is not None
            assert sidecar.purged.instanceId == sidecar.created.instanceId
            assert sidecar.waited_with == 1
            assert sidecar.answer(2).actions[0].HasField('completeWorkflow')
            sidecar.wait_for(lambda: sidecar.open_streams == 0)

    def test_it_leaves_the_work_of_others_alone_and_ends_its_stream(self) -> None:
        foreign = pb.WorkItem(workflowRequest=pb.WorkflowRequest(instanceId='not the probe'), completionToken='t')
        with ProbedSidecar(deltas=True) as sidecar, grpc.insecure_channel(sidecar.address) as channel:
            sidecar.before = lambda: sidecar.push(foreign)
            outcome = run_probe(channel, (), TIMEOUT)
            sidecar.wait_for(lambda: sidecar.open_streams == 0, timeout=TIMEOUT / 2)

        assert outcome.remarks == ['3 work items of others came, and were left for their workers']
        assert {answer.message.instanceId for answer in sidecar.answers}.isdisjoint({'not the probe'})

    def test_one_that_gets_no_turn_is_wrong_and_is_removed_by_force(self) -> None:
        blocked = threading.Event()
        with ProbedSidecar(deltas=True) as sidecar:
            sidecar.before = blocked.wait
            texts, wrong = examined(sidecar.address, timeout=0.3, probe=True)
            blocked.set()

        assert wrong == ['deltas']
        assert 'got to turn 0 of 3 in 0.3 s' in texts['deltas']
        assert sidecar.purged is not None
        assert sidecar.purged.force

    def test_it_is_not_made_while_workers_are_connected(self) -> None:
        with daprd('1.19.0', workers=1) as address:
            texts, _ = examined(address, probe=True)

        assert texts['probe'].startswith('not made')
        assert texts['deltas'].startswith('yes, as every daprd')


class TestCommand:
    def test_the_exit_code_is_0_when_nothing_is_wrong(self, capsys: pytest.CaptureFixture[str]) -> None:
        lines = [doctor.Line('a', 'well'), doctor.Line('b', 'well')]

        assert doctor.show(lines) == 0
        assert capsys.readouterr().out == '  a               well\n  b               well\nnothing wrong\n'

    def test_the_exit_code_is_1_when_something_is_wrong(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert doctor.show([doctor.Line('a', 'bad', wrong=True)]) == 1
        assert capsys.readouterr().out.splitlines()[0] == '! a               bad'
