"""Channels for asyncio, under the names that other packages know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import grpc.aio as grpc_aio

from dapr.ext.workflow._durabletask.internal import shared
from dapr.ext.workflow._durabletask.internal.shared import get_default_host_address
from dapr.ext.workflow._durabletask.transport import channel

__all__ = ['ClientInterceptor', 'get_default_host_address', 'get_grpc_aio_channel', 'grpc_aio']

ClientInterceptor: TypeAlias = (
    grpc_aio.UnaryUnaryClientInterceptor
    | grpc_aio.UnaryStreamClientInterceptor
    | grpc_aio.StreamUnaryClientInterceptor
    | grpc_aio.StreamStreamClientInterceptor
)


def get_grpc_aio_channel(
    host_address: str | None,
    secure_channel: bool = False,
    interceptors: Sequence[ClientInterceptor] | None = None,
    options: Sequence[tuple[str, Any]] | None = None,
) -> grpc_aio.Channel:
    """A channel to the sidecar for the event loop that is running. It connects at the first call.

    Args:
        host_address: `host:port`, or any form that `settings.parse_endpoint` takes; None: `get_default_host_address`.
        secure_channel: Whether to use TLS even where the address does not say so.
        interceptors: What calls go through, the first one first.
        options: Options of gRPC's, which beat those of the environment key by key.

    Raises:
        ValueError: The address, or a variable of the environment, cannot be read; the message says which.
    """
    return channel.open_aio_channel(host_address, secure_channel, interceptors, shared.with_keepalive(options))
