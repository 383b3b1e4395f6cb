"""Channels: the options, TLS and interceptors that they are made with, and that they work."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

import grpc
import grpc.aio
import pytest

from dapr.ext.workflow._durabletask.aio.internal import grpc_interceptor as aio_interceptor
from dapr.ext.workflow._durabletask.aio.internal import shared as aio_shared
from dapr.ext.workflow._durabletask.internal import shared
from dapr.ext.workflow._durabletask.internal.grpc_interceptor import DefaultClientInterceptorImpl
from dapr.ext.workflow._durabletask.transport.channel import channel_options

OURS = {
    'grpc.max_receive_message_length': -1,
    'grpc.max_send_message_length': -1,
    'grpc.max_reconnect_backoff_ms': 1_000,
}


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ('DAPR_GRPC_ENDPOINT', 'DAPR_GRPC_HOST', 'DAPR_RUNTIME_HOST', 'DAPR_GRPC_PORT'):
        monkeypatch.delenv(name, raising=False)


class TestOptions:
    def test_messages_are_not_limited(self) -> None:
        assert dict(channel_options()) == OURS

    def test_keepalive(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv('DAPR_GRPC_KEEPALIVE_ENABLED', 'true')
        monkeypatch.setenv('DAPR_GRPC_KEEPALIVE_TIME_MS', '600000')
        assert dict(channel_options()) == {
            **OURS,
            'grpc.keepalive_time_ms': 600_000,
            'grpc.keepalive_timeout_ms': 20_000,
            'grpc.keepalive_permit_without_calls': 0,
            'grpc.http2.max_pings_without_data': 0,
        }

    def test_retry(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv('DAPR_GRPC_RETRY_ENABLED', '1')
        monkeypatch.setenv('DAPR_GRPC_RETRY_MAX_BACKOFF_MS', '2500')
        options = dict(channel_options())
        assert options['grpc.enable_retries'] == 1
        assert json.loads(options['grpc.service_config']) == {
            'methodConfig': [
                {
                    'name': [{'service': 'TaskHubSidecarService'}],
                    'retryPolicy': {
                        'maxAttempts': 4,
                        'initialBackoff': '0.100s',
                        'maxBackoff': '2.500s',
                        'backoffMultiplier': 2.0,
                        'retryableStatusCodes': ['UNAVAILABLE', 'DEADLINE_EXCEEDED'],
                    },
                }
            ]
        }

    def test_the_callers_beat_ours_and_the_environments_key_by_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv('DAPR_GRPC_KEEPALIVE_ENABLED', 'true')
        options = channel_options(
            [
                ('grpc.max_receive_message_length', 5),
                ('grpc.keepalive_time_ms', 6),
                ('grpc.primary_user_agent', 'a'),
                ('grpc.primary_user_agent', 'b'),
            ]
        )
        keys = [key for key, _ in options]
        assert len(keys) == len(set(keys))
        merged = dict(options)
        assert merged['grpc.max_receive_message_length'] == 5
        assert merged['grpc.max_send_message_length'] == -1
        assert merged['grpc.keepalive_time_ms'] == 6
        assert merged['grpc.keepalive_timeout_ms'] == 20_000
        assert merged['grpc.primary_user_agent'] == 'b'

    def test_a_variable_that_cannot_be_read_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv('DAPR_GRPC_RETRY_CODES', 'GONE')
        with pytest.raises(ValueError, match='DAPR_GRPC_RETRY_CODES'):
            shared.get_grpc_channel('localhost:1')


class TestMakers:
    """The functions of the grpc module are looked up at each call: instrumentation replaces them."""

    @pytest.mark.parametrize(
        ('address', 'secure_channel', 'target', 'tls'),
        [
            ('host:5', False, 'host:5', False),
            ('host:5', True, 'host:5', True),
            ('https://host:5', False, 'host:5', True),
            ('grpcs://host:5', False, 'host:5', True),
            ('http://host:5', False, 'host:5', False),
            ('host:5?tls=true', False, 'host:5', True),
            (None, False, 'localhost:4001', False),
            (None, True, 'localhost:4001', True),
        ],
    )
    def test_plain_or_tls(self, address: str | None, secure_channel: bool, target: str, tls: bool) -> None:
        with (
            mock.patch('grpc.insecure_channel') as insecure,
            mock.patch('grpc.secure_channel') as secure,
            mock.patch('grpc.ssl_channel_credentials') as credentials,
        ):
            made = shared.get_grpc_channel(address, secure_channel)
            if tls:
                secure.assert_called_once_with(target, credentials.return_value, options=list(OURS.items()))
                insecure.assert_not_called()
                assert made is secure.return_value
            else:
                insecure.assert_called_once_with(target, options=list(OURS.items()))
                secure.assert_not_called()
                assert made is insecure.return_value

    def test_plain_or_tls_for_asyncio(self) -> None:
        with (
            mock.patch('grpc.aio.insecure_channel') as insecure,
            mock.patch('grpc.aio.secure_channel') as secure,
            mock.patch('grpc.ssl_channel_credentials') as credentials,
        ):
            aio_shared.get_grpc_aio_channel('host:5', False, ['one'], [('k', 1)])  # type: ignore[list-item]
            insecure.assert_called_once_with('host:5', options=[*OURS.items(), ('k', 1)], interceptors=['one'])
            aio_shared.get_grpc_aio_channel('grpcs://host:5')
            secure.assert_called_once_with(
                'host:5', credentials.return_value, options=list(OURS.items()), interceptors=None
            )

    def test_interceptors_are_added_by_the_grpc_module(self) -> None:
        interceptors = [DefaultClientInterceptorImpl([('a', 'b')]), DefaultClientInterceptorImpl([('c', 'd')])]
        with mock.patch('grpc.insecure_channel') as insecure, mock.patch('grpc.intercept_channel') as intercept:
            made = shared.get_grpc_channel('host:5', interceptors=interceptors)
            intercept.assert_called_once_with(insecure.return_value, *interceptors)
            assert made is intercept.return_value
            assert shared.get_grpc_channel('host:5', interceptors=None) is insecure.return_value
            assert shared.get_grpc_channel('host:5', interceptors=[]) is insecure.return_value
            assert intercept.call_count == 1

    def test_the_environment_is_asked_when_there_is_no_address(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv('DAPR_GRPC_ENDPOINT', 'grpcs://elsewhere:7')
        assert shared.get_default_host_address() == aio_shared.get_default_host_address() == 'grpcs://elsewhere:7'
        with mock.patch('grpc.secure_channel') as secure:
            shared.get_grpc_channel(None)
        assert secure.call_args.args[0] == 'elsewhere:7'


class Echo(grpc.GenericRpcHandler):
    """Answers each call with its request; the first `failures` calls end as UNAVAILABLE."""

    def __init__(self) -> None:
        self.failures = 0
        self.metadata: list[list[tuple[str, str | bytes]]] = []

    def service(self, handler_call_details: Any) -> Any:
        def unary(request: bytes, context: grpc.ServicerContext) -> bytes:
            self.metadata.append([(key, value) for key, value in context.invocation_metadata()])
            if self.failures:
                self.failures -= 1
                context.abort(grpc.StatusCode.UNAVAILABLE, 'try again')
            return request

        def stream(request: bytes, context: grpc.ServicerContext) -> Any:
            yield unary(request, context)

        def from_stream(requests: Any, context: grpc.ServicerContext) -> bytes:
            return unary(b''.join(requests), context)

        def both(requests: Any, context: grpc.ServicerContext) -> Any:
            yield from_stream(requests, context)

        kind = handler_call_details.method.rpartition('/')[2]
        if kind == 'us':
            return grpc.unary_stream_rpc_method_handler(stream)
        if kind == 'su':
            return grpc.stream_unary_rpc_method_handler(from_stream)
        if kind == 'ss':
            return grpc.stream_stream_rpc_method_handler(both)
        return grpc.unary_unary_rpc_method_handler(unary)


@pytest.fixture
def echo() -> Any:
    handler = Echo()
    server = grpc.server(
        ThreadPoolExecutor(4),
        handlers=[handler],
        options=[('grpc.max_receive_message_length', -1), ('grpc.max_send_message_length', -1)],
    )
    address = f'127.0.0.1:{server.add_insecure_port("127.0.0.1:0")}'
    server.start()
    yield handler, address
    server.stop(None).wait(10)


METHOD = '/TaskHubSidecarService/Anything'


class TestOnTheWire:
    def test_twenty_megabytes_pass_both_ways(self, echo: Any) -> None:
        payload = b'x' * (20 * 1024 * 1024)
        channel: Any
        with shared.get_grpc_channel(echo[1]) as channel:
            assert channel.unary_unary(METHOD)(payload, timeout=30) == payload

    def test_retries_by_grpc_itself(self, echo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        channel: Any
        handler, address = echo
        handler.failures = 2
        with shared.get_grpc_channel(address) as channel, pytest.raises(grpc.RpcError):
            channel.unary_unary(METHOD)(b'x', timeout=30)
        monkeypatch.setenv('DAPR_GRPC_RETRY_ENABLED', 'true')
        monkeypatch.setenv('DAPR_GRPC_RETRY_INITIAL_BACKOFF_MS', '10')
        handler.failures = 2
        with shared.get_grpc_channel(address) as channel:
            assert channel.unary_unary(METHOD)(b'x', timeout=30) == b'x'
        assert len(handler.metadata) == 4

    def test_metadata_goes_out_with_every_kind_of_call(self, echo: Any) -> None:
        channel: Any
        handler, address = echo
        interceptor = DefaultClientInterceptorImpl([('k', 'v')])
        own = [('k', 'own')]
        with shared.get_grpc_channel(address, interceptors=[interceptor]) as channel:
            channel.unary_unary('/s/uu')(b'x', metadata=own, timeout=30)
            list(channel.unary_stream('/s/us')(b'x', metadata=own, timeout=30))
            channel.stream_unary('/s/su')(iter([b'x']), metadata=own, timeout=30)
            list(channel.stream_stream('/s/ss')(iter([b'x']), metadata=own, timeout=30))
        assert [[pair[1] for pair in metadata if pair[0] == 'k'] for metadata in handler.metadata] == [['own', 'v']] * 4

    def test_metadata_goes_out_with_an_asyncio_call(self, echo: Any) -> None:
        handler, address = echo

        async def run() -> None:
            interceptor = aio_interceptor.DefaultClientInterceptorImpl([('k', 'v')])
            channel: Any
            async with aio_shared.get_grpc_aio_channel(address, interceptors=[interceptor]) as channel:
                await channel.unary_unary(METHOD)(b'x', timeout=30)
                await channel.unary_unary(METHOD)(b'x', metadata=grpc.aio.Metadata(('k', 'own')), timeout=30)

        asyncio.run(run())
        values = [[pair[1] for pair in metadata if pair[0] == 'k'] for metadata in handler.metadata]
        assert values == [['v'], ['own', 'v']]

    def test_a_host_that_does_not_resolve_is_unavailable(self) -> None:
        channel: Any
        with shared.get_grpc_channel('no-such-host.invalid:5') as channel, pytest.raises(grpc.RpcError) as raised:
            channel.unary_unary(METHOD)(b'x', timeout=30)
        assert raised.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class Details:
    """The details of a call as an interceptor is given them."""

    method = 'm'
    timeout = 5.0
    metadata: Any = None
    credentials = object()
    wait_for_ready = True
    compression = grpc.Compression.Gzip


@pytest.mark.parametrize('module', ['sync', 'aio'])
class TestInterceptor:
    @staticmethod
    def intercepted(module: str, details: Any, added: list[tuple[str, str]]) -> Any:
        interceptor: Any = (
            DefaultClientInterceptorImpl(added)
            if module == 'sync'
            else aio_interceptor.DefaultClientInterceptorImpl(added)
        )
        return interceptor._intercept_call(details)

    def test_all_else_of_the_call_is_kept(self, module: str) -> None:
        result = self.intercepted(module, Details(), [('k', 'v')])
        for name in ('method', 'timeout', 'credentials', 'wait_for_ready', 'compression'):
            assert getattr(result, name) is getattr(Details, name)
        assert list(result.metadata) == [('k', 'v')]

    def test_what_the_details_of_others_lack_is_none(self, module: str) -> None:
        class Bare:
            method = 'm'
            metadata = [('a', 'b')]

        result = self.intercepted(module, Bare(), [('k', 'v')])
        assert list(result.metadata) == [('a', 'b'), ('k', 'v')]
        assert (result.timeout, result.credentials, result.wait_for_ready, result.compression) == (None,) * 4

    def test_metadata_is_not_piled_up(self, module: str) -> None:
        details = Details()
        details.metadata = grpc.aio.Metadata(('a', 'b')) if module == 'aio' else (('a', 'b'),)
        added = [('k', 'v')]
        for _ in range(2):
            assert list(self.intercepted(module, details, added).metadata) == [('a', 'b'), ('k', 'v')]
        assert list(details.metadata) == [('a', 'b')]
        assert added == [('k', 'v')]

    def test_a_token_that_the_call_carries_is_left_alone(self, module: str) -> None:
        details = Details()
        details.metadata = [('dapr-api-token', 'mine')]
        result = self.intercepted(module, details, [('dapr-api-token', 'theirs'), ('k', 'v')])
        assert list(result.metadata) == [('dapr-api-token', 'mine'), ('k', 'v')]
