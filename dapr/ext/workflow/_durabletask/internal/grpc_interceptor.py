"""Metadata that goes out with every call of a channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import grpc

from dapr.ext.workflow._durabletask.transport.settings import without_repeated_token


class _ClientCallDetails(NamedTuple):
    """The details of a call with other metadata. gRPC takes anything that has these attributes."""

    method: str
    timeout: float | None
    metadata: Sequence[tuple[str, str | bytes]] | None
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: Any


class DefaultClientInterceptorImpl(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Adds metadata to each call, after what the call has; all else of the call stays as it is.

    An API token that the call carries already is left alone.

    Args:
        metadata: The keys (lower case) and values to add.
    """

    def __init__(self, metadata: Sequence[tuple[str, str]]) -> None:
        self._metadata = list(metadata)

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return continuation(self._intercept_call(client_call_details), request)

    def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return continuation(self._intercept_call(client_call_details), request)

    def intercept_stream_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return continuation(self._intercept_call(client_call_details), request)

    def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return continuation(self._intercept_call(client_call_details), request)

    def _intercept_call(self, client_call_details: Any) -> _ClientCallDetails:
        present = list(client_call_details.metadata or ())
        # The details of other interceptors may lack what gRPC added over time.
        return _ClientCallDetails(
            client_call_details.method,
            getattr(client_call_details, 'timeout', None),
            present + without_repeated_token(self._metadata, present),
            getattr(client_call_details, 'credentials', None),
            getattr(client_call_details, 'wait_for_ready', None),
            getattr(client_call_details, 'compression', None),
        )
