"""The calls of Dapr's API, as one app's listener gives them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timezone
from typing import Any, Final, NoReturn, TypeAlias

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from dapr.ext.workflow._version import __version__
from dapr.ext.workflow.emulator.dapr_api.items import Change, Item, Items, Place
from dapr.ext.workflow.emulator.dapr_api.messages import message_type
from dapr.ext.workflow.emulator.errors import Refused, StoreError

__all__ = ['SERVICE', 'DaprService']

SERVICE: Final = 'dapr.proto.runtime.v1.Dapr'
_TTL: Final = 'ttlInSeconds'
_FIRST_WRITE: Final = 1
_CAPABILITIES: Final = ('ETAG', 'TRANSACTIONAL', 'TTL')

_Context: TypeAlias = 'grpc.aio.ServicerContext[Any, Any]'


class DaprService(grpc.GenericRpcHandler):
    """Dapr's service, as far as the emulator has it: a method for each call, by its name. Any other call of the service
    is answered by UNIMPLEMENTED, with its name and with what there is.

    Args:
        items: The keys of all stores.
        app_id: The app whose listener this is; '' when the emulator plays one app only.
        stores: The names of the state stores.
        is_durable: Whether they are in a file.
        max_message_bytes: The largest message that it takes.
        logger: Where failures are told.
    """

    def __init__(
        self,
        items: Items,
        app_id: str,
        stores: Collection[str],
        is_durable: bool,
        max_message_bytes: int,
        logger: logging.Logger,
    ) -> None:
        self._max_message_bytes = max_message_bytes
        self._items = items
        self._app_id = app_id
        self._stores = stores
        self._component = 'state.sqlite' if is_durable else 'state.in-memory'
        self._logger = logger
        self._handlers = {
            method.__name__: self._unary(method, message_type(f'{method.__name__}Request'))
            for method in (
                self.GetMetadata,
                self.GetState,
                self.GetBulkState,
                self.SaveState,
                self.DeleteState,
                self.DeleteBulkState,
                self.ExecuteStateTransaction,
            )
        }

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        """What answers a call; None for those of other services."""
        service, _, method = str(handler_call_details.method).removeprefix('/').partition('/')
        if service != SERVICE:
            return None
        return self._handlers.get(method) or self._missing(method)

    # -- the calls -----------------------------------------------------------------------------------------------------

    def GetMetadata(self, request: Any) -> Any:
        response = message_type('GetMetadataResponse')(id=self._app_id or 'emulator')
        response.runtime_version = f'0.0.0+emulator.{__version__}'
        for name in self._stores:
            response.registered_components.add(
                name=name, type=self._component, version='v1', capabilities=_CAPABILITIES
            )
        return response

    def GetState(self, request: Any) -> Any:
        item = self._items.get(self._place(request.store_name), _key(request.key))
        response = message_type('GetStateResponse')()
        _fill(response, item)
        return response

    def GetBulkState(self, request: Any) -> Any:
        place = self._place(request.store_name)
        response = message_type('GetBulkStateResponse')()
        for key in request.keys:
            _fill(response.items.add(key=key), self._items.get(place, _key(key)))
        return response

    def SaveState(self, request: Any) -> Any:
        return self._change(request.store_name, map(_saved, request.states))

    def DeleteState(self, request: Any) -> Any:
        return self._change(request.store_name, [_deleted(request)])

    def DeleteBulkState(self, request: Any) -> Any:
        return self._change(request.store_name, map(_deleted, request.states))

    def ExecuteStateTransaction(self, request: Any) -> Any:
        return self._change(request.storeName, (_operation(each, request.metadata) for each in request.operations))

    # -- reading and refusing ------------------------------------------------------------------------------------------

    def _change(self, store: str, changes: Iterable[Change]) -> Any:
        place = self._place(store)
        self._items.change(place, list(changes))
        return message_type('Empty')()

    def _place(self, store: str) -> Place:
        if store not in self._stores:
            raise Refused(
                grpc.StatusCode.INVALID_ARGUMENT,
                f'state store {store} is not found: this emulator has {", ".join(self._stores)} '
                f'(--state-store {store or "NAME"} adds one)',
            )
        return Place(self._app_id, store)

    def _unary(self, method: Callable[[Any], Any], request_type: Any) -> grpc.RpcMethodHandler[Any, Any]:
        async def call(data: bytes, context: _Context) -> bytes:
            try:
                if len(data) > self._max_message_bytes:
                    told = f'grpc: received message larger than max ({len(data)} vs. {self._max_message_bytes})'
                    raise Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, told)
                answer: bytes = method(request_type.FromString(data)).SerializeToString()
                return answer
            except Refused as refused:
                code, message = refused.code, refused.message
            except DecodeError as error:
                code = grpc.StatusCode.INVALID_ARGUMENT
                message = f'the message is no {request_type.DESCRIPTOR.name}: {error}'
            except StoreError as error:
                code, message = grpc.StatusCode.INTERNAL, f'the emulator has failed to store it: {error}'
                self._logger.error('%s has failed: %s', method.__name__, error)
            except Exception as error:
                code, message = grpc.StatusCode.INTERNAL, f'the emulator has failed: {error!r}'
                self._logger.exception('%s has failed.', method.__name__)
            return await _abort(context, code, message)

        return grpc.unary_unary_rpc_method_handler(call)

    def _missing(self, method: str) -> grpc.RpcMethodHandler[Any, Any]:
        message = (
            f"the emulator has no {method}: of Dapr's API it has workflows, {', '.join(self._handlers)}, and "
            'nothing else. Run the app on Dapr (dapr run) for the rest'
        )

        async def call(requests: Any, context: _Context) -> NoReturn:
            await _abort(context, grpc.StatusCode.UNIMPLEMENTED, message)

        # Of any call, whichever side streams: it is refused before anything is read.
        return grpc.stream_stream_rpc_method_handler(call)


def _fill(response: Any, item: Item | None) -> None:
    if item is None:
        return
    response.data, response.etag = item.value, item.etag
    if item.expires_at is not None:
        moment = datetime.fromtimestamp(item.expires_at, timezone.utc)
        response.metadata['ttlExpireTime'] = moment.strftime('%Y-%m-%dT%H:%M:%SZ')


def _saved(item: Any, metadata: Any = None) -> Change:
    ttl = _ttl_seconds({**(metadata or {}), **item.metadata})
    return Change(_key(item.key), item.value, item.etag.value, item.options.concurrency == _FIRST_WRITE, ttl)


def _deleted(item: Any) -> Change:
    # What is to be deleted is there, so without an etag there is nothing for a first write to be refused for.
    return Change(_key(item.key), None, item.etag.value)


def _operation(operation: Any, metadata: Any) -> Change:
    kind = operation.operationType
    if kind == 'upsert':
        return _saved(operation.request, metadata)
    if kind == 'delete':
        return _deleted(operation.request)
    raise Refused(
        grpc.StatusCode.UNIMPLEMENTED, f"operation type {kind or 'without a name'} is not supported: 'upsert', 'delete'"
    )


def _key(key: str) -> str:
    if not key:
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, 'a key is empty')
    if '||' in key:
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"input key/keyPrefix '{key}' can't contain '||'")
    return key


def _ttl_seconds(metadata: dict[str, str]) -> int | None:
    text = metadata.get(_TTL)
    if text is None:
        return None
    try:
        seconds = int(text)
    except ValueError:
        seconds = -2
    if seconds < -1:
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f'{_TTL} is {text!r}: a number of seconds, or -1 for no expiry')
    return seconds if seconds > 0 else None


async def _abort(context: _Context, code: grpc.StatusCode, message: str) -> NoReturn:
    await context.abort(code, message)
    raise AssertionError('an aborted call goes on')
