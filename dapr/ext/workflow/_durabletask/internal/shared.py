"""What clients and worker share: channels, loggers and payloads, under the names that other packages know.

`get_grpc_channel` is replaced by packages that pass channel options of their own: always call it as
`shared.get_grpc_channel(...)`, never by a name imported from here.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import grpc

from dapr.ext.workflow._durabletask.internal.homes import claim
from dapr.ext.workflow._durabletask.internal.json_codec import (
    AUTO_SERIALIZED,
    InternalJSONDecoder,
    InternalJSONEncoder,
    from_json,
    to_json,
)
from dapr.ext.workflow._durabletask.internal.logging import get_logger
from dapr.ext.workflow._durabletask.transport import channel, settings

__all__ = [
    'AUTO_SERIALIZED',
    'DEFAULT_GRPC_KEEPALIVE_OPTIONS',
    'INSECURE_PROTOCOLS',
    'SECURE_PROTOCOLS',
    'ClientInterceptor',
    'InternalJSONDecoder',
    'InternalJSONEncoder',
    'from_json',
    'get_default_host_address',
    'get_grpc_channel',
    'get_logger',
    'is_async_callable',
    'to_json',
]

claim(__name__, InternalJSONDecoder, InternalJSONEncoder)

# For channel functions of other packages, which take them off the address. Ours reads more: `settings.parse_endpoint`.
SECURE_PROTOCOLS: Final = ['https://', 'grpcs://']
INSECURE_PROTOCOLS: Final = ['http://', 'grpc://']

# The pings of dapr 1.19.0, for apps that pass them on as options. Ours are set by the environment (`settings`); an app
# that puts its own here has them beneath the options that it passes.
DEFAULT_GRPC_KEEPALIVE_OPTIONS: tuple[tuple[str, int], ...] = (
    ('grpc.keepalive_time_ms', 30_000),
    ('grpc.keepalive_timeout_ms', 10_000),
    ('grpc.http2.max_pings_without_data', 0),
    ('grpc.keepalive_permit_without_calls', 1),
)
_KEEPALIVE_OF_DAPR: Final = DEFAULT_GRPC_KEEPALIVE_OPTIONS

ClientInterceptor: TypeAlias = (
    grpc.UnaryUnaryClientInterceptor
    | grpc.UnaryStreamClientInterceptor
    | grpc.StreamUnaryClientInterceptor
    | grpc.StreamStreamClientInterceptor
)


def get_default_host_address() -> str:
    """The sidecar's address by the environment (`DAPR_GRPC_ENDPOINT`, or host and port), else localhost:4001.

    Raises:
        ValueError: A variable cannot be read; the message names it.
    """
    return settings.default_host_address()


def get_grpc_channel(
    host_address: str | None,
    secure_channel: bool = False,
    interceptors: Sequence[ClientInterceptor] | None = None,
    options: Sequence[tuple[str, Any]] | None = None,
) -> grpc.Channel:
    """A channel to the sidecar. It connects at the first call.

    Args:
        host_address: `host:port`, or any form that `settings.parse_endpoint` takes; None: `get_default_host_address`.
        secure_channel: Whether to use TLS even where the address does not say so.
        interceptors: What calls go through, the first one first.
        options: Options of gRPC's, which beat those of the environment key by key.

    Raises:
        ValueError: The address, or a variable of the environment, cannot be read; the message says which.
    """
    return channel.open_channel(host_address, secure_channel, interceptors, with_keepalive(options))


def with_keepalive(options: Sequence[tuple[str, Any]] | None) -> Sequence[tuple[str, Any]] | None:
    """The options of a channel over those that an app has put in the place of `DEFAULT_GRPC_KEEPALIVE_OPTIONS`."""
    if DEFAULT_GRPC_KEEPALIVE_OPTIONS is _KEEPALIVE_OF_DAPR:
        return options
    return [*DEFAULT_GRPC_KEEPALIVE_OPTIONS, *(options or ())]


def is_async_callable(fn: Any) -> bool:
    """Whether calling the function, method, partial or callable object gives something to await, as far as it shows.

    A wrapper is taken for what it is, whatever it says that it wraps: it need not return what that returns.
    """
    while isinstance(fn, functools.partial):
        fn = fn.func
    if inspect.iscoroutinefunction(fn):
        return True
    return not isinstance(fn, type) and callable(fn) and inspect.iscoroutinefunction(type(fn).__call__)
