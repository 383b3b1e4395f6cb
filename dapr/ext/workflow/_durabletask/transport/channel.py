"""Channels to the sidecar: their options, TLS, interceptors; the sync kind and the async kind.

They are made by the `grpc` module's own functions, looked up on the module at each call: instrumentation replaces them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import grpc
import grpc.aio

from dapr.ext.workflow._durabletask.transport import settings

_SERVICE = 'TaskHubSidecarService'


def open_channel(
    host_address: str | None,
    secure_channel: bool,
    interceptors: Sequence[Any] | None,
    options: Sequence[tuple[str, Any]] | None,
) -> grpc.Channel:
    """A channel for blocking calls; see `internal.shared.get_grpc_channel`."""
    endpoint = _endpoint(host_address, secure_channel)
    merged = channel_options(options)
    if endpoint.secure:
        channel = grpc.secure_channel(endpoint.target, grpc.ssl_channel_credentials(), options=merged)
    else:
        channel = grpc.insecure_channel(endpoint.target, options=merged)
    return grpc.intercept_channel(channel, *interceptors) if interceptors else channel


def open_aio_channel(
    host_address: str | None,
    secure_channel: bool,
    interceptors: Sequence[Any] | None,
    options: Sequence[tuple[str, Any]] | None,
) -> grpc.aio.Channel:
    """A channel for asyncio, to be made and used in one event loop; see `aio.internal.shared.get_grpc_aio_channel`."""
    endpoint = _endpoint(host_address, secure_channel)
    merged = channel_options(options)
    if endpoint.secure:
        credentials = grpc.ssl_channel_credentials()
        return grpc.aio.secure_channel(endpoint.target, credentials, options=merged, interceptors=interceptors)
    return grpc.aio.insecure_channel(endpoint.target, options=merged, interceptors=interceptors)


def channel_options(options: Sequence[tuple[str, Any]] | None = None) -> list[tuple[str, Any]]:
    """The options of a channel: the caller's, then the environment's, then ours; each key once.

    Messages are not limited on our side, in either direction: a worker that refuses a work item for its size refuses it
    forever. The sidecar's own limit shows as RESOURCE_EXHAUSTED.

    Args:
        options: The caller's, which beat the others key by key; of a key that it repeats the last one counts.

    Raises:
        ValueError: A variable of the environment cannot be read.
    """
    merged: dict[str, Any] = {
        'grpc.max_receive_message_length': -1,
        'grpc.max_send_message_length': -1,
        # gRPC waits up to 2 minutes between attempts to connect, and fails calls in between without an attempt: too
        # long for a sidecar that restarts beside its app.
        'grpc.max_reconnect_backoff_ms': 1_000,
    }
    keepalive = settings.keepalive_settings()
    if keepalive.enabled:
        merged['grpc.keepalive_time_ms'] = keepalive.time_ms
        merged['grpc.keepalive_timeout_ms'] = keepalive.timeout_ms
        merged['grpc.keepalive_permit_without_calls'] = int(keepalive.permit_without_calls)
        # A worker that waits for work sends nothing: after two pings without data gRPC would go quiet.
        merged['grpc.http2.max_pings_without_data'] = 0
    retry = settings.retry_settings()
    if retry.enabled:
        merged['grpc.enable_retries'] = 1
        merged['grpc.service_config'] = _service_config(retry)
    merged.update(options or ())
    return list(merged.items())


def _service_config(retry: settings.RetrySettings) -> str:
    policy = {
        'maxAttempts': retry.max_attempts,
        'initialBackoff': _seconds(retry.initial_backoff_ms),
        'maxBackoff': _seconds(retry.max_backoff_ms),
        'backoffMultiplier': retry.backoff_multiplier,
        'retryableStatusCodes': list(retry.codes),
    }
    return json.dumps({'methodConfig': [{'name': [{'service': _SERVICE}], 'retryPolicy': policy}]})


def _seconds(milliseconds: int) -> str:
    return f'{milliseconds // 1000}.{milliseconds % 1000:03d}s'


def _endpoint(host_address: str | None, secure_channel: bool) -> settings.Endpoint:
    address = host_address or settings.default_host_address()
    endpoint = settings.parse_endpoint(address)
    return settings.Endpoint(endpoint.target, endpoint.secure or secure_channel)
