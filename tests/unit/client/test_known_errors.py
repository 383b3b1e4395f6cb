"""Errors whose cause is known: what they say, and that whatever caught gRPC's own still catches them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.support.scripted_sidecar import ScriptedSidecar, Twin

MISSING = (grpc.StatusCode.UNKNOWN, 'no such instance exists')


class Silent(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def free_address() -> Iterator[str]:
    """An address where nothing listens, and nothing can while the test runs."""
    with socket.socket() as bound:
        bound.bind(('127.0.0.1', 0))
        yield f'127.0.0.1:{bound.getsockname()[1]}'


@pytest.fixture
def web_address() -> Iterator[str]:
    """The address of something that speaks HTTP/1, as daprd's HTTP port does."""
    server = HTTPServer(('127.0.0.1', 0), Silent)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f'127.0.0.1:{server.server_port}'
    server.shutdown()
    thread.join()
    server.server_close()


def error_of(call: Callable[[], Any]) -> Any:
    with pytest.raises(grpc.RpcError) as raised:
        call()
    return raised.value


class TestNoConnection:
    def test_the_error_names_the_address_and_what_sets_it(self, twin: Twin, free_address: str) -> None:
        error = error_of(lambda: twin.new(host_address=free_address, retry_timeout=0.2).suspend_orchestration('i'))

        text = str(error)
        assert text.startswith(f"No connection to the sidecar at '{free_address}': check that it runs")
        for variable in ('DAPR_GRPC_ENDPOINT', 'DAPR_RUNTIME_HOST', 'DAPR_GRPC_PORT'):
            assert variable in text
        assert text.endswith(f'(UNAVAILABLE: {error.details()})')
        assert error.code() is grpc.StatusCode.UNAVAILABLE

    @pytest.mark.parametrize('call', ['wait_for_orchestration_start', 'wait_for_orchestration_completion'])
    def test_a_wait_that_is_over_says_it_too(self, twin: Twin, free_address: str, call: str) -> None:
        with pytest.raises(TimeoutError, match=f"No connection to the sidecar at '{free_address}'") as raised:
            getattr(twin.new(host_address=free_address), call)('i', timeout=0.5)

        assert isinstance(raised.value.__cause__, grpc.RpcError)

    def test_a_port_that_is_not_grpc_is_one(self, twin: Twin, web_address: str) -> None:
        error = error_of(lambda: twin.new(host_address=web_address, retry_timeout=0.2).suspend_orchestration('i'))

        assert f"No connection to the sidecar at '{web_address}'" in str(error)

    def test_a_host_without_an_address_is_one(self, twin: Twin) -> None:
        error = error_of(
            lambda: twin.new(host_address='no-such-host.invalid:1', retry_timeout=0.2).suspend_orchestration('i')
        )

        assert "No connection to the sidecar at 'no-such-host.invalid:1'" in str(error)

    def test_tls_with_a_sidecar_that_has_none_is_told_apart(self, twin: Twin, sidecar: ScriptedSidecar) -> None:
        client = twin.new(host_address=f'https://{sidecar.address}')

        assert f"No TLS connection to the sidecar at 'https://{sidecar.address}'" in str(
            error_of(lambda: client.suspend_orchestration('i'))
        )

    def test_what_the_sidecar_says_of_itself_is_left_as_it_is(self, client: Any, sidecar: ScriptedSidecar) -> None:
        sidecar.script('SuspendInstance', (grpc.StatusCode.UNAVAILABLE, 'shutting down'))

        error = error_of(lambda: client.suspend_orchestration('i'))

        assert error.details() == 'shutting down'
        assert 'No connection' not in str(error)


@pytest.mark.parametrize('details', ['authentication error: api token mismatch', 'Unauthorized'])
def test_a_wrong_token_says_what_to_set(client: Any, sidecar: ScriptedSidecar, details: str) -> None:
    sidecar.script('StartInstance', (grpc.StatusCode.UNAUTHENTICATED, details))

    error = error_of(lambda: client.schedule_new_orchestration('x'))

    assert f"The sidecar at '{sidecar.address}' does not accept the API token" in str(error)
    assert 'DAPR_API_TOKEN' in str(error)
    assert error.details() == details


@pytest.mark.parametrize(
    ('method', 'release', 'call'),
    [
        ('RerunWorkflowFromEvent', '1.16', lambda client: client.rerun_orchestration_from_event('i', 1)),
        ('ListInstanceIDs', '1.17', lambda client: client.list_instance_ids()),
        ('GetInstanceHistory', '1.17', lambda client: client.get_instance_history('i')),
    ],
)
def test_a_call_that_the_sidecar_lacks_is_named_with_the_release_that_has_it(
    client: Any, sidecar: ScriptedSidecar, method: str, release: str, call: Callable[[Any], Any]
) -> None:
    sidecar.script(method, (grpc.StatusCode.UNIMPLEMENTED, 'unknown method'))

    error = error_of(lambda: call(client))

    assert f"The sidecar at '{sidecar.address}' does not have {method}" in str(error)
    assert f'{release} or newer' in str(error)
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_server_that_has_no_workflows_at_all_is_taken_for_an_app(client: Any, sidecar: ScriptedSidecar) -> None:
    sidecar.script('SuspendInstance', (grpc.StatusCode.UNIMPLEMENTED, 'Method not found!'))

    error = error_of(lambda: client.suspend_orchestration('i'))

    assert f"The sidecar at '{sidecar.address}' does not have SuspendInstance: check that this is the gRPC port" in str(
        error
    )


class TestTypes:
    @pytest.fixture
    def errors(self, client: Any, sidecar: ScriptedSidecar) -> tuple[Any, Any]:
        """A known error, and one of the same client that is not."""
        sidecar.script(
            'SuspendInstance', (grpc.StatusCode.UNAUTHENTICATED, 'no'), (grpc.StatusCode.PERMISSION_DENIED, 'no')
        )
        known, unknown = (error_of(lambda: client.suspend_orchestration('i')) for _ in range(2))
        return known, unknown

    def test_a_known_error_is_all_that_an_unknown_one_is(self, errors: tuple[Any, Any], twin: Twin) -> None:
        known, unknown = errors

        assert 'API token' in str(known)
        assert 'API token' not in str(unknown)
        assert isinstance(known, type(unknown))
        assert isinstance(known, grpc.aio.AioRpcError if twin.kind == 'aio' else grpc.Call)

    def test_it_gives_all_that_grpc_gave(self, errors: tuple[Any, Any]) -> None:
        known, _ = errors
        original = known.__cause__

        assert 'API token' not in str(original)
        assert (known.code(), known.details()) == (grpc.StatusCode.UNAUTHENTICATED, 'no')
        assert known.trailing_metadata() == original.trailing_metadata()
        assert known.debug_error_string() == original.debug_error_string()

    def test_one_type_stands_for_all_errors_of_a_kind(self, client: Any, sidecar: ScriptedSidecar) -> None:
        sidecar.script('SuspendInstance', (grpc.StatusCode.UNAUTHENTICATED, 'no'))

        first, second = (error_of(lambda: client.suspend_orchestration('i')) for _ in range(2))

        assert type(first) is type(second)


def test_waits_say_it_too(twin: Twin, sidecar: ScriptedSidecar) -> None:
    sidecar.script('WaitForInstanceStart', (grpc.StatusCode.UNAUTHENTICATED, 'no'))

    error = error_of(lambda: twin.new(host_address=sidecar.address).wait_for_orchestration_start('i', timeout=10))

    assert 'DAPR_API_TOKEN' in str(error)


def test_a_client_on_a_given_channel_names_no_address(sidecar: ScriptedSidecar) -> None:
    twin = Twin('sync')
    sidecar.script('SuspendInstance', (grpc.StatusCode.UNAUTHENTICATED, 'no'))
    with grpc.insecure_channel(sidecar.address) as channel:
        error = error_of(lambda: twin.new(channel=channel).suspend_orchestration('i'))
        twin.finish()

    assert str(error).startswith('The sidecar does not accept')


class TestMissingInstances:
    def test_their_state_is_none(self, client: Any, sidecar: ScriptedSidecar) -> None:
        sidecar.script('GetInstance', MISSING)

        assert client.get_orchestration_state('i') is None

    def test_other_unknown_errors_are_not_taken_for_one(self, client: Any, sidecar: ScriptedSidecar) -> None:
        sidecar.script('GetInstance', (grpc.StatusCode.UNKNOWN, 'the store is down'))

        assert error_of(lambda: client.get_orchestration_state('i')).details() == 'the store is down'

    def test_calls_that_act_on_one_raise(self, client: Any, sidecar: ScriptedSidecar) -> None:
        sidecar.script('SuspendInstance', MISSING)

        assert error_of(lambda: client.suspend_orchestration('i')).details() == 'no such instance exists'
