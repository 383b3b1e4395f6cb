"""The .proto files, the stubs made from them, and protos.py: all say what tests/data/wire-contract.json says."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import grpc
import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.json_format import MessageToDict

from dapr.ext.workflow._durabletask.internal import (
    attestation_pb2,
    history_events_pb2,
    orchestration_pb2,
    orchestrator_actions_pb2,
    orchestrator_service_pb2,
    orchestrator_service_pb2_grpc,
    protos,
)
from tools import gen_proto

Json = dict[str, Any]

MODULES: dict[str, ModuleType] = {
    'attestation.proto': attestation_pb2,
    'history_events.proto': history_events_pb2,
    'orchestration.proto': orchestration_pb2,
    'orchestrator_actions.proto': orchestrator_actions_pb2,
    'orchestrator_service.proto': orchestrator_service_pb2,
}
_DATA = Path(__file__).parents[1] / 'data' / 'wire-contract.json'
CONTRACT: dict[str, Json] = {file['name']: file for file in json.loads(_DATA.read_text(encoding='utf-8'))['file']}
INTERNAL = Path(protos.__file__).parent


def without_json_names(value: Any) -> Any:
    """A descriptor's JSON form without what protoc derives from the field names, and only some of its outputs show."""
    if isinstance(value, dict):
        return {key: without_json_names(part) for key, part in value.items() if key != 'jsonName'}
    if isinstance(value, list):
        return [without_json_names(part) for part in value]
    return value


def python_that_can_generate() -> str:
    """The interpreter that has the pinned generators; skips the test where there is none, or fails it if CI says so."""
    given = os.environ.get('DAPR_PROTO_PYTHON')
    if given:
        return given
    if not gen_proto.unmet_pins():
        return sys.executable
    own = gen_proto.ROOT / '.venv-proto' / 'bin' / 'python'
    if own.exists():
        return str(own)
    reason = (
        'THE STUBS ARE NOT COMPARED WITH proto/*.proto: no interpreter here has the pinned generators '
        f'({"; ".join(gen_proto.unmet_pins())}). `make gen-proto` makes one, or name one by DAPR_PROTO_PYTHON.'
    )
    if os.environ.get('DAPR_REQUIRE_PROTO_TOOLS') == '1':
        pytest.fail(reason)
    pytest.skip(reason)


def generated_files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for pattern in gen_proto.GENERATED for file in folder.glob(pattern)}


def test_committed_stubs_are_what_the_protos_compile_to(tmp_path: Path) -> None:
    command = [python_that_can_generate(), str(gen_proto.ROOT / 'tools' / 'gen_proto.py'), '--out', str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr

    made, committed = generated_files(tmp_path), generated_files(INTERNAL)
    assert sorted(committed) == sorted(made)
    changed = [name for name in made if made[name] != committed[name]]
    assert changed == [], 'run `make gen-proto` and commit what it makes'


def test_protos_are_those_of_the_contract() -> None:
    assert sorted(file.name for file in gen_proto.PROTO.glob('*.proto')) == sorted(CONTRACT)
    assert sorted(MODULES) == sorted(CONTRACT)


@pytest.mark.parametrize('name', sorted(CONTRACT))
def test_descriptors_equal_the_contract(name: str) -> None:
    descriptor = MODULES[name].DESCRIPTOR

    # Every message and field, oneofs, `optional`, what is reserved, enums, services, options: the file as a whole.
    ours = MessageToDict(FileDescriptorProto.FromString(descriptor.serialized_pb))

    assert without_json_names(ours) == without_json_names(CONTRACT[name])
    # Others in the process may look the file up by its name.
    assert descriptor_pool.Default().FindFileByName(name) is descriptor


def test_protos_has_every_message_enum_and_value() -> None:
    expected = {}
    for name, file in CONTRACT.items():
        names = [message['name'] for message in file.get('messageType', [])]
        for enum in file.get('enumType', []):
            names += [enum['name'], *(value['name'] for value in enum['value'])]
        expected.update({each: getattr(MODULES[name], each) for each in names})

    assert sorted(protos.__all__) == sorted(expected)
    assert [each for each in expected if getattr(protos, each) is not expected[each]] == []


class RecordingChannel:
    """Stands for a gRPC channel; keeps what a stub asks of it."""

    def __init__(self) -> None:
        self.calls: dict[str, tuple[str, Any, Any]] = {}

    def unary_unary(self, path: str, request_serializer: Any, response_deserializer: Any, **_: Any) -> None:
        self.calls[path] = ('unary', request_serializer, response_deserializer)

    def unary_stream(self, path: str, request_serializer: Any, response_deserializer: Any, **_: Any) -> None:
        self.calls[path] = ('stream', request_serializer, response_deserializer)


def test_stub_calls_every_method_of_the_contract() -> None:
    channel = RecordingChannel()
    orchestrator_service_pb2_grpc.TaskHubSidecarServiceStub(cast(grpc.Channel, channel))
    (service,) = CONTRACT['orchestrator_service.proto']['service']

    def message(full_name: str) -> Any:
        descriptor = descriptor_pool.Default().FindMessageTypeByName(full_name.removeprefix('.'))
        return message_factory.GetMessageClass(descriptor)

    assert set(channel.calls) == {f'/TaskHubSidecarService/{method["name"]}' for method in service['method']}
    for method in service['method']:
        kind, serialize, deserialize = channel.calls[f'/TaskHubSidecarService/{method["name"]}']
        assert kind == ('stream' if method.get('serverStreaming') else 'unary')
        assert serialize(message(method['inputType'])()) == b''
        assert isinstance(deserialize(b''), message(method['outputType']))


def test_messages_can_be_pickled() -> None:
    event = protos.HistoryEvent(eventId=1, taskScheduled=protos.TaskScheduledEvent(name='charge'))

    assert pickle.loads(pickle.dumps(event)) == event


def test_other_generators_than_the_pinned_ones_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    versions = gen_proto.pins() | {'grpcio-tools': '1.2.3'}
    monkeypatch.setattr(metadata, 'version', versions.__getitem__)
    monkeypatch.setattr(sys, 'argv', ['gen_proto.py', '--out', str(tmp_path)])
    (tmp_path / 'orchestration_pb2.py').write_text('committed')

    assert gen_proto.main() == 1

    assert f'grpcio-tools {gen_proto.pins()["grpcio-tools"]} is needed, and here is 1.2.3' in capsys.readouterr().err
    assert generated_files(tmp_path) == {'orchestration_pb2.py': b'committed'}
