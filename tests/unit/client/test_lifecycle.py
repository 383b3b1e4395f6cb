"""Making clients and ending them: channels, interceptors, metadata, what happens to calls after and during close."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest.mock import AsyncMock

import grpc
import grpc.aio
import pytest

from dapr.ext.workflow._durabletask.aio.client import AsyncTaskHubGrpcClient
from dapr.ext.workflow._durabletask.aio.internal import shared as aio_shared
from dapr.ext.workflow._durabletask.client import TaskHubGrpcClient
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.internal import shared
from tests.support.scripted_sidecar import ScriptedSidecar, Twin

CLOSED = 'This client is closed'


class TestMetadata:
    def test_it_goes_out_with_each_call(self, twin: Twin, sidecar: ScriptedSidecar) -> None:
        given = [('k', 'v'), ('k', 'w')]
        client = twin.new(host_address=sidecar.address, metadata=given)
        for _ in range(2):
            client.suspend_orchestration('i')
            assert [pair for pair in sidecar.last.metadata if pair[0] == 'k'] == [('k', 'v'), ('k', 'w')]
        assert given == [('k', 'v'), ('k', 'w')]

    def test_the_api_token_goes_out(
        self, twin: Twin, sidecar: ScriptedSidecar, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv('DAPR_API_TOKEN', 'secret')
        client = twin.new(host_address=sidecar.address, metadata=[('k', 'v')])
        client.suspend_orchestration('i')
        assert ('dapr-api-token', 'secret') in sidecar.last.metadata
        assert ('k', 'v') in sidecar.last.metadata

    def test_a_token_of_the_callers_beats_it(
        self, twin: Twin, sidecar: ScriptedSidecar, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv('DAPR_API_TOKEN', 'secret')
        client = twin.new(host_address=sidecar.address, metadata=[('Dapr-Api-Token'.lower(), 'mine')])
        client.suspend_orchestration('i')
        assert [pair[1] for pair in sidecar.last.metadata if pair[0] == 'dapr-api-token'] == ['mine']

    def test_nothing_goes_out_where_nothing_is_given(
        self, twin: Twin, sidecar: ScriptedSidecar, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv('DAPR_API_TOKEN', raising=False)
        twin.new(host_address=sidecar.address).suspend_orchestration('i')
        assert [key for key, _ in sidecar.last.metadata if not key.startswith('grpc-')] == []


class Recording(grpc.UnaryUnaryClientInterceptor):
    def __init__(self) -> None:
        self.methods: list[str] = []

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        self.methods.append(client_call_details.method)
        return continuation(client_call_details, request)


class AioRecording(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self) -> None:
        self.methods: list[str] = []

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        method = client_call_details.method
        self.methods.append(method.decode() if isinstance(method, bytes) else method)
        return await continuation(client_call_details, request)


def test_interceptors_see_the_calls_and_metadata_still_goes_out(twin: Twin, sidecar: ScriptedSidecar) -> None:
    recording: Any = Recording() if twin.kind == 'sync' else AioRecording()
    given = [recording]
    client = twin.new(host_address=sidecar.address, interceptors=given, metadata=[('k', 'v')])
    client.suspend_orchestration('i')
    assert recording.methods == ['/TaskHubSidecarService/SuspendInstance']
    assert ('k', 'v') in sidecar.last.metadata
    assert given == [recording]


class TestChannel:
    def test_it_is_made_by_the_module_of_the_name_that_packages_replace(
        self, sidecar: ScriptedSidecar, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[Any] = []
        original = shared.get_grpc_channel

        def replaced(
            host_address: str | None, secure_channel: bool = False, interceptors: Any = None, options: Any = None
        ) -> grpc.Channel:
            seen.append((host_address, secure_channel, interceptors, options))
            return original(host_address, secure_channel, interceptors, options)

        monkeypatch.setattr(shared, 'get_grpc_channel', replaced)
        options = [('grpc.primary_user_agent', 'test')]
        with TaskHubGrpcClient(host_address=sidecar.address, channel_options=options) as client:
            client.suspend_orchestration('i')
        assert seen == [(sidecar.address, False, None, options)]

    def test_so_is_the_asyncio_one(self, sidecar: ScriptedSidecar, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[Any] = []
        original = aio_shared.get_grpc_aio_channel

        def replaced(
            host_address: str | None, secure_channel: bool = False, interceptors: Any = None, options: Any = None
        ) -> grpc.aio.Channel:
            seen.append((host_address, secure_channel, interceptors, options))
            return original(host_address, secure_channel, interceptors, options)

        monkeypatch.setattr(aio_shared, 'get_grpc_aio_channel', replaced)

        async def run() -> None:
            async with AsyncTaskHubGrpcClient(host_address=sidecar.address) as client:
                await client.suspend_orchestration('i')
                await client.resume_orchestration('i')

        asyncio.run(run())
        assert seen == [(sidecar.address, False, None, None)]

    def test_one_that_is_given_stays_open(self, sidecar: ScriptedSidecar) -> None:
        with grpc.insecure_channel(sidecar.address) as channel:
            with TaskHubGrpcClient(channel=channel) as client:
                client.suspend_orchestration('i')
            with TaskHubGrpcClient(channel=channel) as client:
                client.suspend_orchestration('i')
        assert len(sidecar.received) == 2

    def test_so_does_one_that_the_asyncio_client_is_given(self, sidecar: ScriptedSidecar) -> None:
        async def run() -> None:
            async with grpc.aio.insecure_channel(sidecar.address) as channel:
                for _ in range(2):
                    async with AsyncTaskHubGrpcClient(channel=channel) as client:
                        await client.suspend_orchestration('i')

        asyncio.run(run())
        assert len(sidecar.received) == 2

    def test_an_address_that_cannot_be_read_shows_when_the_client_is_made(self, twin: Twin) -> None:
        with pytest.raises(ValueError, match="host_address='localhost:many' cannot be read"):
            twin.new(host_address='localhost:many')

    def test_so_does_a_bad_variable(self, twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv('DAPR_GRPC_PORT', 'many')
        with pytest.raises(ValueError, match="DAPR_GRPC_PORT='many'"):
            twin.new()


class TestClose:
    def test_a_call_after_it_says_so(self, twin: Twin, sidecar: ScriptedSidecar) -> None:
        client = twin.new(host_address=sidecar.address, metadata=[('k', 'v')])
        client.suspend_orchestration('i')
        client.close()
        client.close()
        for call in (client.suspend_orchestration, client.wait_for_orchestration_start):
            with pytest.raises(ValueError, match=CLOSED):
                call('i')
        assert len(sidecar.received) == 1

    def test_a_client_that_was_never_used_can_be_closed(self, twin: Twin) -> None:
        client = twin.new(host_address='localhost:1')
        client.close()
        with pytest.raises(ValueError, match=CLOSED):
            client.get_orchestration_state('i')

    def test_with_closes_also_after_an_error(self, sidecar: ScriptedSidecar) -> None:
        with pytest.raises(KeyError), TaskHubGrpcClient(host_address=sidecar.address) as client:
            raise KeyError
        with pytest.raises(ValueError, match=CLOSED):
            client.suspend_orchestration('i')

    def test_async_with_closes_also_after_an_error(self, sidecar: ScriptedSidecar) -> None:
        async def run() -> None:
            with pytest.raises(KeyError):
                async with AsyncTaskHubGrpcClient(host_address=sidecar.address) as client:
                    raise KeyError
            with pytest.raises(ValueError, match=CLOSED):
                await client.suspend_orchestration('i')

        asyncio.run(run())

    @pytest.mark.parametrize('missing', [False, True], ids=['in a call', 'between calls'])
    def test_a_wait_of_another_thread_ends(self, sidecar: ScriptedSidecar, missing: bool) -> None:
        released = script_a_long_wait(sidecar, missing)
        client = TaskHubGrpcClient(host_address=sidecar.address, metadata=[('k', 'v')])
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(client.wait_for_orchestration_completion, 'i')
            assert sidecar.arrived.wait(10)
            client.close()
            with pytest.raises(ValueError, match=CLOSED):
                waiting.result(10)
        released.set()

    @pytest.mark.parametrize('missing', [False, True], ids=['in a call', 'between calls'])
    def test_a_wait_of_another_task_ends(self, sidecar: ScriptedSidecar, missing: bool) -> None:
        released = script_a_long_wait(sidecar, missing)

        async def run() -> None:
            client = AsyncTaskHubGrpcClient(host_address=sidecar.address, metadata=[('k', 'v')])
            waiting = asyncio.ensure_future(client.wait_for_orchestration_completion('i'))
            await asyncio.get_running_loop().run_in_executor(None, sidecar.arrived.wait, 10)
            await client.aclose()
            with pytest.raises(ValueError, match=CLOSED):
                await asyncio.wait_for(waiting, 10)

        asyncio.run(run())
        released.set()

    def test_a_call_of_another_thread_that_does_not_end_is_cancelled(self, sidecar: ScriptedSidecar) -> None:
        released = script_a_long_call(sidecar)
        client = TaskHubGrpcClient(host_address=sidecar.address)
        with ThreadPoolExecutor(1) as pool:
            calling = pool.submit(client.suspend_orchestration, 'i')
            assert sidecar.arrived.wait(10)
            client.close()
            with pytest.raises(ValueError, match=CLOSED):
                calling.result(10)
        released.set()

    @pytest.mark.parametrize('metadata', [None, [('k', 'v')]], ids=['plain', 'intercepted'])
    def test_a_call_of_another_task_is_cancelled(
        self, sidecar: ScriptedSidecar, metadata: list[tuple[str, str]] | None
    ) -> None:
        released = script_a_long_call(sidecar)

        async def run() -> None:
            client = AsyncTaskHubGrpcClient(host_address=sidecar.address, metadata=metadata)
            calling = asyncio.ensure_future(client.suspend_orchestration('i'))
            await asyncio.get_running_loop().run_in_executor(None, sidecar.arrived.wait, 10)
            await client.aclose()
            with pytest.raises(ValueError, match=CLOSED):
                await asyncio.wait_for(calling, 10)

        asyncio.run(run())
        released.set()

    def test_a_call_in_flight_ends_before_the_channel_is_closed(self, sidecar: ScriptedSidecar) -> None:
        began, go_on = threading.Event(), threading.Event()

        def answer(request: Any, context: Any) -> pb.SuspendResponse:
            began.set()
            assert go_on.wait(10)
            return pb.SuspendResponse()

        sidecar.script('SuspendInstance', answer)
        client = TaskHubGrpcClient(host_address=sidecar.address)
        with ThreadPoolExecutor(2) as pool:
            calling = pool.submit(client.suspend_orchestration, 'i')
            assert began.wait(10)
            closing = pool.submit(client.close)
            assert client._closed.wait(10)
            go_on.set()
            assert calling.result(10) is None
            closing.result(10)


def script_a_long_call(sidecar: ScriptedSidecar) -> threading.Event:
    released = threading.Event()
    sidecar.script('SuspendInstance', lambda request, context: (released.wait(20), pb.SuspendResponse())[1])
    return released


def script_a_long_wait(sidecar: ScriptedSidecar, missing: bool) -> threading.Event:
    released = threading.Event()
    answer: Callable[[Any, Any], Any] = lambda request, context: (released.wait(20), pb.GetInstanceResponse())[1]  # noqa: E731
    error = (grpc.StatusCode.UNKNOWN, 'no such instance exists')
    sidecar.script('WaitForInstanceCompletion', error if missing else answer)
    return released


class TestEventLoops:
    def test_a_cancelled_task_is_cancelled(self, sidecar: ScriptedSidecar) -> None:
        released = script_a_long_wait(sidecar, missing=False)

        async def run() -> None:
            async with AsyncTaskHubGrpcClient(host_address=sidecar.address) as client:
                waiting = asyncio.ensure_future(client.wait_for_orchestration_completion('i'))
                await asyncio.get_running_loop().run_in_executor(None, sidecar.arrived.wait, 10)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting

        asyncio.run(run())
        released.set()

    @pytest.mark.skipif(sys.version_info < (3, 11), reason='a task of 3.10 does not tell that it is being cancelled')
    def test_a_task_that_is_cancelled_while_the_client_closes_is_cancelled(self, sidecar: ScriptedSidecar) -> None:
        released = script_a_long_call(sidecar)

        async def run() -> None:
            client = AsyncTaskHubGrpcClient(host_address=sidecar.address)
            calling = asyncio.ensure_future(client.suspend_orchestration('i'))
            await asyncio.get_running_loop().run_in_executor(None, sidecar.arrived.wait, 10)
            calling.cancel()
            await client.aclose()
            with pytest.raises(asyncio.CancelledError):
                await calling

        asyncio.run(run())
        released.set()

    def test_a_client_survives_its_loop(self, sidecar: ScriptedSidecar) -> None:
        client = AsyncTaskHubGrpcClient(host_address=sidecar.address)
        for _ in range(2):
            asyncio.run(client.suspend_orchestration('i'))
        asyncio.run(client.aclose())
        assert len(sidecar.received) == 2

    def test_a_stub_that_is_put_in_from_outside_is_used(self) -> None:
        stub = AsyncMock()
        stub.GetInstance.return_value = pb.GetInstanceResponse(exists=False)
        client = AsyncTaskHubGrpcClient(host_address='localhost:1')
        client._stub = stub
        for _ in range(2):
            assert asyncio.run(client.get_orchestration_state('i')) is None
        assert stub.GetInstance.await_args.args == (pb.GetInstanceRequest(instanceId='i', getInputsAndOutputs=True),)

    def test_two_loops_at_once_are_refused(self, sidecar: ScriptedSidecar) -> None:
        client = AsyncTaskHubGrpcClient(host_address=sidecar.address)
        first = asyncio.new_event_loop()
        try:
            first.run_until_complete(client.suspend_orchestration('i'))
            with pytest.raises(RuntimeError, match='in use by another event loop'):
                asyncio.run(client.suspend_orchestration('i'))
            first.run_until_complete(client.aclose())
        finally:
            first.close()


def test_clients_do_not_pile_up_log_handlers(twin: Twin) -> None:
    logger = logging.getLogger('dapr.workflow.client')
    twin.new(host_address='localhost:1')
    before = list(logger.handlers)
    handler = logging.NullHandler()
    try:
        for _ in range(5):
            twin.new(host_address='localhost:1', log_handler=handler)
        assert logger.handlers == [*before, handler]
    finally:
        logger.removeHandler(handler)


def test_a_channel_that_cannot_be_closed_is_no_error_of_close(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def close(self) -> None:
            raise OSError('on purpose')

        def __getattr__(self, name: str) -> Any:
            return lambda *args, **kwargs: None

    monkeypatch.setattr(shared, 'get_grpc_channel', lambda *args, **kwargs: Broken())
    client = TaskHubGrpcClient()
    with caplog.at_level(logging.DEBUG, logger='dapr.workflow'):
        client.close()
    assert 'on purpose' in caplog.text
    with pytest.raises(ValueError, match=CLOSED):
        client.suspend_orchestration('i')
