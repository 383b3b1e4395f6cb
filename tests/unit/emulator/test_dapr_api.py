"""What the emulator has of Dapr's own API beside workflows, on the wire."""

from __future__ import annotations

import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import grpc
import pytest

from dapr.ext.workflow.emulator import Emulator, StandingClock
from dapr.ext.workflow.emulator.dapr_api.messages import message_type
from dapr.ext.workflow.emulator.dapr_api.service import SERVICE

DEADLINE = 20.0
START = datetime(2027, 1, 15, 8, tzinfo=timezone.utc)
STORE = 'statestore'
_ANSWERS = {
    'GetState': 'GetStateResponse',
    'GetBulkState': 'GetBulkStateResponse',
    'GetMetadata': 'GetMetadataResponse',
}
_REQUESTS = {'InvokeActor': 'Empty', 'PublishEvent': 'Empty'}


class Caller:
    """Calls Dapr's service of a sidecar by its methods' names."""

    def __init__(self, address: str) -> None:
        self.channel = grpc.insecure_channel(address, [('grpc.use_local_subchannel_pool', 1)])

    def __call__(self, method: str, fields: Mapping[str, Any] | None = None, **metadata: str) -> Any:
        request = message_type(_REQUESTS.get(method, f'{method}Request'))(**(fields or {}))
        answer = message_type(_ANSWERS.get(method, 'Empty'))
        call = self.channel.unary_unary(f'/{SERVICE}/{method}', type(request).SerializeToString, answer.FromString)
        pairs = tuple((key.replace('_', '-'), value) for key, value in metadata.items())
        return call(request, timeout=DEADLINE, metadata=pairs)

    def refusal(self, method: str, fields: Mapping[str, Any] | None = None) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.RpcError) as refused:
            self(method, fields)
        return refused.value.code(), refused.value.details() or ''

    def save(self, key: str, value: bytes, **more: Any) -> None:
        self('SaveState', {'store_name': STORE, 'states': [{'key': key, 'value': value, **more}]})

    def get(self, key: str) -> Any:
        return self('GetState', {'store_name': STORE, 'key': key})


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock(START)


@pytest.fixture
def emulator(clock: StandingClock) -> Iterator[Emulator]:
    with Emulator(dapr_http_port=0, clock=clock) as emulator:
        yield emulator


@pytest.fixture
def dapr(emulator: Emulator) -> Iterator[Caller]:
    caller = Caller(emulator.address)
    with caller.channel:
        yield caller


def http(port: int, path: str, method: str = 'GET') -> tuple[int, str]:
    request = urllib.request.Request(f'http://127.0.0.1:{port}{path}', method=method)
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


# -- health and metadata -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize('path', ['/v1.0/healthz/outbound', '/v1.0/healthz', '/healthz'])
def test_whoever_waits_for_the_sidecar_finds_it_healthy(emulator: Emulator, path: str) -> None:
    assert http(emulator.dapr_http_port, path) == (204, '')


@pytest.mark.parametrize('method', ['GET', 'POST'])
def test_other_paths_say_that_they_are_not_there(emulator: Emulator, method: str) -> None:
    code, body = http(emulator.dapr_http_port, '/v1.0/state/statestore', method)

    assert code == 501
    assert 'ERR_UNIMPLEMENTED' in body


def test_the_port_is_free_again_after_a_stop_and_the_same_after_the_next_start() -> None:
    emulator = Emulator(dapr_http_port=0)
    with emulator:
        port = emulator.dapr_http_port
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(('127.0.0.1', port))
    with emulator:
        assert emulator.dapr_http_port == port
        assert http(port, '/v1.0/healthz')[0] == 204


def test_a_taken_http_port_is_told_and_leaves_nothing_running() -> None:
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        port = taken.getsockname()[1]
        emulator = Emulator(dapr_http_port=port)
        with pytest.raises(OSError, match=rf"can not listen on 127\.0\.0\.1:{port} \(Dapr's HTTP\)"):
            emulator.start()
    assert not emulator.running
    with emulator:
        assert http(port, '/healthz')[0] == 204


def test_metadata_names_the_stores() -> None:
    with Emulator(dapr_http_port=0, state_stores=('one', 'two')) as emulator:
        caller = Caller(emulator.address)
        with caller.channel:
            metadata = caller('GetMetadata')

    assert metadata.id == 'emulator'
    assert [(each.name, each.type) for each in metadata.registered_components] == [
        ('one', 'state.in-memory'),
        ('two', 'state.in-memory'),
    ]
    assert 'TRANSACTIONAL' in metadata.registered_components[0].capabilities


def test_without_its_port_none_of_it_is_there_nor_loaded() -> None:
    with Emulator() as emulator:
        caller = Caller(emulator.address)
        with caller.channel:
            assert caller.refusal('GetMetadata')[0] is grpc.StatusCode.UNIMPLEMENTED
        with pytest.raises(RuntimeError, match='without dapr_http_port'):
            emulator.dapr_http_port  # noqa: B018
    program = (
        'import sys; from dapr.ext.workflow.emulator import Emulator; Emulator();'
        'assert not [name for name in sys.modules if "dapr_api" in name or name == "http.server"]'
    )
    subprocess.run([sys.executable, '-c', program], check=True, timeout=DEADLINE)


@pytest.mark.parametrize('method', ['PublishEvent', 'InvokeActor'])
def test_what_is_missing_says_its_name_and_what_there_is(dapr: Caller, method: str) -> None:
    code, message = dapr.refusal(method)

    assert code is grpc.StatusCode.UNIMPLEMENTED
    assert f'the emulator has no {method}' in message
    assert 'ExecuteStateTransaction' in message


def test_a_stream_that_is_missing_is_refused_at_once(dapr: Caller) -> None:
    call: Any = dapr.channel.stream_stream(f'/{SERVICE}/SubscribeTopicEventsAlpha1')
    with pytest.raises(grpc.RpcError) as refused:
        next(call(iter([b'']), timeout=DEADLINE))

    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_the_token_guards_these_calls_too() -> None:
    with Emulator(dapr_http_port=0, api_token='secret') as emulator:
        caller = Caller(emulator.address)
        with caller.channel:
            assert caller.refusal('GetMetadata')[0] is grpc.StatusCode.UNAUTHENTICATED
            assert caller('GetMetadata', dapr_api_token='secret').id == 'emulator'


# -- state -------------------------------------------------------------------------------------------------------------


def test_what_was_saved_is_found_until_it_is_deleted(dapr: Caller) -> None:
    assert dapr.get('k') == message_type('GetStateResponse')()

    dapr.save('k', b'\x00{"a": 1}')
    first = dapr.get('k')
    dapr.save('k', b'other')
    second = dapr.get('k')
    dapr('DeleteState', {'store_name': STORE, 'key': 'k'})

    assert (first.data, second.data) == (b'\x00{"a": 1}', b'other')
    assert first.etag
    assert first.etag != second.etag
    assert not dapr.get('k').etag
    dapr('DeleteState', {'store_name': STORE, 'key': 'k'})  # there is nothing: that is as well


def test_many_keys_are_read_in_their_order_with_those_that_are_not_there(dapr: Caller) -> None:
    dapr.save('a', b'1')
    dapr.save('c', b'3')

    items = dapr('GetBulkState', {'store_name': STORE, 'keys': ['c', 'b', 'a']}).items

    assert [(item.key, item.data, bool(item.etag), item.error) for item in items] == [
        ('c', b'3', True, ''),
        ('b', b'', False, ''),
        ('a', b'1', True, ''),
    ]
    dapr('DeleteBulkState', {'store_name': STORE, 'states': [{'key': 'a'}, {'key': 'c'}]})
    assert not dapr.get('a').etag


def test_an_etag_that_is_not_the_current_one_aborts(dapr: Caller) -> None:
    dapr.save('k', b'1')
    old = dapr.get('k').etag
    dapr.save('k', b'2', etag={'value': old})

    saving = dapr.refusal('SaveState', {'store_name': STORE, 'states': [{'key': 'k', 'etag': {'value': old}}]})
    deleting = dapr.refusal('DeleteState', {'store_name': STORE, 'key': 'k', 'etag': {'value': old}})
    absent = dapr.refusal('DeleteState', {'store_name': STORE, 'key': 'none', 'etag': {'value': old}})

    for code, message in (saving, deleting, absent):
        assert code is grpc.StatusCode.ABORTED
        assert 'possible etag mismatch' in message
    assert dapr.get('k').data == b'2'
    dapr('DeleteState', {'store_name': STORE, 'key': 'k', 'etag': {'value': dapr.get('k').etag}})
    assert not dapr.get('k').etag


def test_a_key_that_was_deleted_and_saved_again_has_another_etag(dapr: Caller) -> None:
    dapr.save('k', b'1')
    old = dapr.get('k').etag
    dapr('DeleteState', {'store_name': STORE, 'key': 'k'})
    dapr.save('k', b'1')

    states = [{'key': 'k', 'etag': {'value': old}}]
    assert dapr.refusal('SaveState', {'store_name': STORE, 'states': states})[0] is grpc.StatusCode.ABORTED


def test_a_first_write_without_an_etag_takes_a_free_key_only(dapr: Caller) -> None:
    first_write = {'concurrency': 1}
    dapr.save('k', b'1', options=first_write)

    states = [{'key': 'k', 'value': b'2', 'options': first_write}]
    assert dapr.refusal('SaveState', {'store_name': STORE, 'states': states})[0] is grpc.StatusCode.ABORTED
    dapr.save('k', b'3', options={'concurrency': 2})
    assert dapr.get('k').data == b'3'


def test_a_transaction_is_made_whole_or_not_at_all(dapr: Caller) -> None:
    dapr.save('gone', b'1')
    dapr.save('kept', b'1')

    def transact(etag: str) -> dict[str, Any]:
        return {
            'storeName': STORE,
            'operations': [
                {'operationType': 'upsert', 'request': {'key': 'new', 'value': b'2'}},
                {'operationType': 'delete', 'request': {'key': 'gone'}},
                {'operationType': 'upsert', 'request': {'key': 'kept', 'value': b'2', 'etag': {'value': etag}}},
            ],
        }

    code, _ = dapr.refusal('ExecuteStateTransaction', transact('wrong'))
    assert code is grpc.StatusCode.ABORTED
    assert [dapr.get(key).data for key in ('new', 'gone', 'kept')] == [b'', b'1', b'1']

    dapr('ExecuteStateTransaction', transact(dapr.get('kept').etag))
    assert [dapr.get(key).data for key in ('new', 'gone', 'kept')] == [b'2', b'', b'2']


def test_several_states_are_saved_together_or_not_at_all(dapr: Caller) -> None:
    states = [{'key': 'a', 'value': b'1'}, {'key': 'b', 'value': b'1', 'etag': {'value': 'wrong'}}]

    assert dapr.refusal('SaveState', {'store_name': STORE, 'states': states})[0] is grpc.StatusCode.ABORTED
    assert not dapr.get('a').etag


def test_a_value_with_a_time_to_live_is_gone_when_it_is_over(dapr: Caller, clock: StandingClock) -> None:
    dapr.save('k', b'1', metadata={'ttlInSeconds': '10'})
    dapr.save('kept', b'1', metadata={'ttlInSeconds': '-1'})
    assert dapr.get('k').metadata['ttlExpireTime'] == '2027-01-15T08:00:10Z'

    clock.advance(timedelta(seconds=10))

    assert not dapr.get('k').etag
    dapr.save('k', b'2', options={'concurrency': 1})  # it is free
    assert not dapr.get('k').metadata
    assert dapr.get('kept').data == b'1'


@pytest.mark.parametrize(
    ('method', 'fields', 'code', 'words'),
    [
        ('GetState', {'store_name': 'x', 'key': 'k'}, 'INVALID_ARGUMENT', 'state store x is not found'),
        ('GetState', {'store_name': STORE}, 'INVALID_ARGUMENT', 'a key is empty'),
        ('GetState', {'store_name': STORE, 'key': 'a||b'}, 'INVALID_ARGUMENT', "can't contain '||'"),
        (
            'SaveState',
            {'store_name': STORE, 'states': [{'key': 'k', 'metadata': {'ttlInSeconds': 'soon'}}]},
            'INVALID_ARGUMENT',
            'ttlInSeconds',
        ),
        (
            'ExecuteStateTransaction',
            {'storeName': STORE, 'operations': [{'operationType': 'merge'}]},
            'UNIMPLEMENTED',
            'operation type merge is not supported',
        ),
    ],
)
def test_what_makes_no_sense_is_refused(
    dapr: Caller, method: str, fields: dict[str, Any], code: str, words: str
) -> None:
    found, message = dapr.refusal(method, fields)

    assert found.name == code
    assert words in message


def test_the_limit_of_messages_counts_here_too() -> None:
    with Emulator(dapr_http_port=0, max_message_bytes=1000) as emulator:
        caller = Caller(emulator.address)
        with caller.channel:
            states = [{'key': 'k', 'value': b'x' * 1000}]
            code, message = caller.refusal('SaveState', {'store_name': STORE, 'states': states})
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert 'larger than max' in message


def test_apps_and_stores_have_keys_of_their_own() -> None:
    with Emulator(apps=('a', 'b'), dapr_http_port=0, state_stores=(STORE, 'second')) as emulator:
        a, b = Caller(emulator.address_of('a')), Caller(emulator.address_of('b'))
        with a.channel, b.channel:
            a.save('k', b'of a')

            assert b.get('k').data == b''
            assert a('GetState', {'store_name': 'second', 'key': 'k'}).data == b''
            assert a.get('k').data == b'of a'
            assert a('GetMetadata').id == 'a'


def test_a_file_keeps_the_state(tmp_path: Path) -> None:
    for expected in (b'', b'kept'):
        with Emulator(db=tmp_path / 'dev.db', dapr_http_port=0) as emulator:
            caller = Caller(emulator.address)
            with caller.channel:
                assert caller('GetMetadata').registered_components[0].type == 'state.sqlite'
                assert caller.get('k').data == expected
                caller.save('k', b'kept')


@pytest.mark.parametrize('stores', [(), ('',), 'statestore'])
def test_stores_need_names(stores: Any) -> None:
    with pytest.raises(ValueError, match='state_stores'):
        Emulator(dapr_http_port=0, state_stores=stores)
