"""Metadata that goes out with every call of an asyncio channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import grpc
import grpc.aio as grpc_aio

from dapr.ext.workflow._durabletask.transport.settings import without_repeated_token


class _CallDetails(NamedTuple):
    method: str
    timeout: float | None
    metadata: grpc_aio.Metadata | None
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: Any


class _ClientCallDetails(_CallDetails, grpc_aio.ClientCallDetails):
    """The details of a call with other metadata."""


class DefaultClientInterceptorImpl(
    grpc_aio.UnaryUnaryClientInterceptor,
    grpc_aio.UnaryStreamClientInterceptor,
    grpc_aio.StreamUnaryClientInterceptor,
    grpc_aio.StreamStreamClientInterceptor,
):
    """Adds metadata to each call, after what the call has; all else of the call stays as it is.

    An API token that the call carries already is left alone. gRPC uses an asyncio interceptor for the first kind of
    call that it handles only: of this one, calls with one request and one answer, which is all that a client makes.

    Args:
        metadata: The keys (lower case) and values to add.
    """

    def __init__(self, metadata: Sequence[tuple[str, str]]) -> None:
        self._metadata = list(metadata)

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await continuation(self._intercept_call(client_call_details), request)

    async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await continuation(self._intercept_call(client_call_details), request)

    async def intercept_stream_unary(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return await continuation(self._intercept_call(client_call_details), request_iterator)

    async def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return await continuation(self._intercept_call(client_call_details), request_iterator)

    def _intercept_call(self, client_call_details: Any) -> _ClientCallDetails:
        # Metadata of gRPC's is iterated in pairs, as the plain sequences that interceptors of others may pass on are.
        present = list(client_call_details.metadata or ())
        return _ClientCallDetails(
            client_call_details.method,
            getattr(client_call_details, 'timeout', None),
            grpc_aio.Metadata(*present, *without_repeated_token(self._metadata, present)),
            getattr(client_call_details, 'credentials', None),
            getattr(client_call_details, 'wait_for_ready', None),
            getattr(client_call_details, 'compression', None),
        )
