"""Client interceptors as applications have them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

from dapr.ext.workflow._durabletask.transport.stream import STREAM_CHANNEL_OPTIONS


class GeneratorInterceptor(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """Makes each stream a plain generator, as OpenTelemetry's instrumentation does: it begins with the first `next`,
    and cannot be cancelled."""

    def intercept_unary_unary(self, continuation: Callable[..., Any], client_call_details: Any, request: Any) -> Any:
        return continuation(client_call_details, request)

    def intercept_unary_stream(self, continuation: Callable[..., Any], client_call_details: Any, request: Any) -> Any:
        yield from continuation(client_call_details, request)


def open_plain(address: str) -> grpc.Channel:
    """A channel whose streams are read by a thread of grpc's, as they are by default."""
    return grpc.insecure_channel(address, [('grpc.use_local_subchannel_pool', 1)])


def open_single_threaded(address: str) -> grpc.Channel:
    """A channel as the worker asks for it."""
    return grpc.insecure_channel(address, STREAM_CHANNEL_OPTIONS)


def open_with_generators(address: str) -> grpc.Channel:
    """A channel whose streams cannot be cancelled."""
    return grpc.intercept_channel(open_single_threaded(address), GeneratorInterceptor())
