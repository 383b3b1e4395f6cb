"""Starting and stopping the emulator, and who may call it."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.empty_pb2 import Empty

from dapr.ext.workflow._durabletask.internal import orchestrator_service_pb2_grpc as stubs
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator import Emulator
from dapr.ext.workflow.emulator.errors import StoreError

DEADLINE = 20.0
SCHEDULED = 4_000_000_000  # seconds since the epoch: long after all tests


def stub_of(address: str) -> tuple[grpc.Channel, stubs.TaskHubSidecarServiceStub]:
    # Channels to one address share their connection, and its memory of what failed, unless they are told otherwise.
    channel = grpc.insecure_channel(address, [('grpc.use_local_subchannel_pool', 1)])
    return channel, stubs.TaskHubSidecarServiceStub(channel)


def hello(address: str, *metadata: tuple[str, str]) -> None:
    channel, stub = stub_of(address)
    with channel:
        stub.Hello(Empty(), timeout=DEADLINE, metadata=metadata)


def create(address: str, instance_id: str) -> None:
    channel, stub = stub_of(address)
    request = pb.CreateInstanceRequest(instanceId=instance_id, name='x')
    request.scheduledStartTimestamp.FromSeconds(SCHEDULED)
    with channel:
        stub.StartInstance(request, timeout=DEADLINE)


def exists(address: str, instance_id: str) -> bool:
    channel, stub = stub_of(address)
    with channel:
        return stub.GetInstance(pb.GetInstanceRequest(instanceId=instance_id), timeout=DEADLINE).exists


def refusal(call: Callable[[], Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as refused:
        call()
    return refused.value.code(), refused.value.details() or ''


def emulator_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == 'dapr-workflow-emulator']


# Starting and stopping


def test_it_serves_from_its_start_to_its_stop_on_one_thread() -> None:
    emulator = Emulator()
    assert not emulator.running
    with emulator:
        assert emulator.running
        assert emulator.address == f'127.0.0.1:{emulator.port}'
        assert emulator_threads() == ['dapr-workflow-emulator']
        hello(emulator.address)
    assert not emulator.running
    assert emulator_threads() == []
    emulator.stop()


def test_it_keeps_its_port_from_one_start_to_the_next_and_its_state_only_with_a_file(tmp_path: Path) -> None:
    for db in (None, tmp_path / 'state.db'):
        emulator = Emulator(db=db)
        with emulator:
            address = emulator.address
            create(address, 'kept')
        with emulator:
            assert emulator.address == address
            assert exists(address, 'kept') is (db is not None)


def test_it_starts_and_stops_many_times_and_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    emulator = Emulator()
    with caplog.at_level(logging.WARNING):
        for _ in range(20):
            with emulator:
                hello(emulator.address)
    assert caplog.records == []
    assert emulator_threads() == []


def test_several_run_side_by_side() -> None:
    with Emulator() as one, Emulator() as other:
        create(one.address, 'wf')
        assert exists(one.address, 'wf')
        assert not exists(other.address, 'wf')


def test_it_cannot_be_started_twice() -> None:
    with Emulator() as emulator, pytest.raises(RuntimeError, match='is running'):
        emulator.start()


def test_it_has_no_address_before_it_has_a_port() -> None:
    with pytest.raises(RuntimeError, match='before its first start'):
        _ = Emulator().address
    assert Emulator(port=4001).address == '127.0.0.1:4001'


def test_a_stop_ends_streams_and_waits_at_once() -> None:
    with ThreadPoolExecutor() as threads:
        with Emulator() as emulator:
            channel, stub = stub_of(emulator.address)
            stream = stub.GetWorkItems(pb.GetWorkItemsRequest())
            wait = stub.WaitForInstanceCompletion.future(pb.GetInstanceRequest(instanceId='wf'), timeout=DEADLINE)
            start = stub.StartInstance.future(pb.CreateInstanceRequest(instanceId='wf', name='x'), timeout=DEADLINE)
            reading = threads.submit(list, stream)  # it gets the turn, and never answers
            while not exists(emulator.address, 'wf'):
                pass
        # Either end may be first to give the stream up.
        assert refusal(reading.result)[0] in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)
        for call in (wait, start):
            assert refusal(call.result) == (grpc.StatusCode.UNAVAILABLE, 'the emulator is shutting down')
        channel.close()


def test_a_port_that_is_taken_is_told() -> None:
    with Emulator() as first:
        second = Emulator(port=first.port)
        with pytest.raises(OSError, match=f'can not listen on 127.0.0.1:{first.port}: Address already in use'):
            second.start()
        assert not second.running
        hello(first.address)
    with second:
        hello(second.address)


def test_a_name_is_listened_on_only_if_all_its_addresses_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(host: str, port: int, **wanted: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, '', (address, port)) for address in ('127.0.0.2', '127.0.0.1')]

    with Emulator() as first:
        monkeypatch.setattr(socket, 'getaddrinfo', resolve)
        with pytest.raises(OSError, match='Address already in use'):
            Emulator('localhost', first.port).start()


def test_a_host_that_is_none_is_told() -> None:
    with pytest.raises(OSError, match=r'can not listen on 203\.0\.113\.1:0'):
        Emulator('203.0.113.1', api_token='x').start()


def test_a_file_that_another_one_has_is_told(tmp_path: Path) -> None:
    db = tmp_path / 'state.db'
    with Emulator(db=db), pytest.raises(StoreError, match='another'):
        Emulator(db=db).start()
    with Emulator(db=db) as third:
        hello(third.address)


def test_apps_have_a_listener_each() -> None:
    with Emulator(apps=['orders', 'billing']) as emulator:
        assert emulator.address == emulator.address_of('orders') != emulator.address_of('billing')
        create(emulator.address_of('billing'), 'wf')
        assert exists(emulator.address_of('billing'), 'wf')
        assert not exists(emulator.address_of('orders'), 'wf')
        with pytest.raises(KeyError):
            emulator.address_of('shipping')


def test_an_app_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match='needs a name'):
        Emulator(apps=['orders', ''])


# Who may call


def test_an_unprotected_host_is_refused_unless_it_may_be_insecure() -> None:
    for host in ('0.0.0.0', '::', '192.0.2.1', 'example.invalid'):
        with pytest.raises(ValueError, match='can be reached from other machines'):
            Emulator(host)
        Emulator(host, api_token='secret')
        Emulator(host, allow_insecure=True)
    for host in ('127.0.0.1', '127.8.8.8', '::1', 'localhost'):
        Emulator(host)


@pytest.mark.parametrize(
    'metadata',
    [(), (('dapr-api-token', 'wrong'),), (('dapr-api-token', ''),), (('dapr-api-token', 'secret'),) * 2],
    ids=['none', 'wrong', 'empty', 'twice'],
)
def test_without_the_token_every_call_is_refused(metadata: tuple[tuple[str, str], ...]) -> None:
    with Emulator(api_token='secret') as emulator:
        channel, stub = stub_of(emulator.address)
        with channel:
            unknown: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary('/TaskHubSidecarService/NoSuch')
            calls: list[Callable[[], Any]] = [
                lambda: stub.Hello(Empty(), metadata=metadata),
                lambda: stub.GetInstance(pb.GetInstanceRequest(instanceId='x'), metadata=metadata),
                lambda: stub.CompleteWorkflowTask(pb.WorkflowResponse(), metadata=metadata),
                lambda: next(stub.GetWorkItems(pb.GetWorkItemsRequest(), metadata=metadata)),
                lambda: unknown(b'', metadata=metadata),
            ]
            for call in calls:
                code, words = refusal(call)
                assert code is grpc.StatusCode.UNAUTHENTICATED
                assert 'dapr-api-token' in words
                assert 'secret' not in words


@pytest.mark.parametrize('token', ['secret', 'ключ'])
def test_with_the_token_calls_are_served(token: str) -> None:
    with Emulator(api_token=token) as emulator:
        if token.isascii():
            hello(emulator.address, ('dapr-api-token', token))
        else:  # gRPC's metadata has no such text: no one can send it, and no one gets in
            assert refusal(lambda: hello(emulator.address))[0] is grpc.StatusCode.UNAUTHENTICATED


# Beside other event loops


def test_asyncio_clients_of_the_same_process_call_it_and_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def call(address: str) -> int:
        async with grpc.aio.insecure_channel(address) as channel:
            stub = stubs.TaskHubSidecarServiceStub(channel)
            await asyncio.gather(*(stub.Hello(Empty(), timeout=DEADLINE) for _ in range(50)))
            for _ in range(50):
                await stub.Hello(Empty(), timeout=DEADLINE)
        return 100

    with Emulator() as emulator, ThreadPoolExecutor(2) as threads, caplog.at_level(logging.WARNING):
        calls = [threads.submit(asyncio.run, call(emulator.address)) for _ in range(2)]
        assert [each.result(DEADLINE) for each in calls] == [100, 100]
    # gRPC before 1.80 makes the loops of the clients log; see Emulator.
    records = [record for record in caplog.records if 'PollerCompletionQueue' not in record.getMessage()]
    assert records == []


def test_its_own_loop_passes_over_the_noise_of_older_grpc_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    from dapr.ext.workflow.emulator.serving.server import _handle_exception

    loop = asyncio.new_event_loop()
    handle = '<Handle PollerCompletionQueue._handle_events(...)()>'
    _handle_exception(loop, {'message': 'noise', 'exception': BlockingIOError(11, 'again'), 'handle': handle})
    assert caplog.records == []
    _handle_exception(loop, {'message': 'real', 'exception': BlockingIOError(11, 'again')})
    _handle_exception(loop, {'message': 'real', 'exception': ValueError('x'), 'handle': handle})
    assert [record.getMessage().splitlines()[0] for record in caplog.records] == ['real', 'real']
    loop.close()
