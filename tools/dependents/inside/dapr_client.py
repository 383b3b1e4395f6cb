"""Dapr's own client on the emulator: health, metadata, state with etags, transactions, and what is not there."""

from __future__ import annotations

import asyncio
import sys

import grpc

from dapr.aio.clients import DaprClient as AsyncDaprClient
from dapr.clients import DaprClient
from dapr.clients.grpc._request import TransactionalStateOperation, TransactionOperationType
from dapr.clients.grpc._state import Concurrency, StateItem, StateOptions

STORE = 'statestore'


def refusal_of(call) -> grpc.StatusCode:
    try:
        call()
    except grpc.RpcError as error:
        return error.code()
    raise AssertionError('it was not refused')


def check_sync() -> None:
    with DaprClient() as client:  # waits for the sidecar's health first
        components = {each.name: each.type for each in client.get_metadata().registered_components}
        assert components[STORE] == 'state.in-memory', components

        client.save_state(STORE, 'key', 'one')
        first = client.get_state(STORE, 'key')
        assert (first.text(), bool(first.etag)) == ('one', True)
        client.save_state(
            STORE, 'key', 'two', etag=first.etag, options=StateOptions(concurrency=Concurrency.first_write)
        )
        stale = refusal_of(lambda: client.save_state(STORE, 'key', 'three', etag=first.etag))
        assert stale is grpc.StatusCode.ABORTED, stale

        client.save_bulk_state(STORE, [StateItem('a', '1'), StateItem('b', '2')])
        items = client.get_bulk_state(STORE, ['b', 'none', 'a']).items
        assert [(item.key, item.text()) for item in items] == [('b', '2'), ('none', ''), ('a', '1')]

        client.execute_state_transaction(
            STORE,
            [
                TransactionalStateOperation(key='a', data='3'),
                TransactionalStateOperation(key='b', operation_type=TransactionOperationType.delete),
            ],
        )
        assert [client.get_state(STORE, key).text() for key in 'ab'] == ['3', '']
        client.delete_state(STORE, 'a')
        assert not client.get_state(STORE, 'a').data

        missing = refusal_of(lambda: client.publish_event('pubsub', 'topic', data='{}'))
        assert missing is grpc.StatusCode.UNIMPLEMENTED, missing


async def check_async() -> None:
    async with AsyncDaprClient() as client:
        await client.save_state(STORE, 'key', 'async')
        assert (await client.get_state(STORE, 'key')).text() == 'async'
        await client.delete_state(STORE, 'key')


def main() -> int:
    check_sync()
    asyncio.run(check_async())
    print("Dapr's clients find health, metadata and state")
    return 0


if __name__ == '__main__':
    sys.exit(main())
