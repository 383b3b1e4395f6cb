"""Where the sidecar is, and what goes with each call: from the caller, Dapr's SDK, or the environment."""

from __future__ import annotations

import importlib
import os
from typing import Any, Final

from dapr.ext.workflow._durabletask.transport import settings

__all__ = ['api_token_metadata', 'getAddress', 'get_grpc_channel_options']

# Where daprd listens unless it is told otherwise, and what Dapr's SDK takes; the engine alone has the port of the
# standalone sidecar.
_DEFAULTS: Final = {'DAPR_RUNTIME_HOST': '127.0.0.1', 'DAPR_GRPC_PORT': '50001'}
_ENDPOINT: Final = 'DAPR_GRPC_ENDPOINT'
_TOKEN: Final = 'DAPR_API_TOKEN'
_OF_THE_SDK: Final = (_ENDPOINT, 'DAPR_RUNTIME_HOST', 'DAPR_GRPC_PORT')


def getAddress(host: str | None = None, port: str | int | None = None) -> str:
    """The sidecar's address.

    Without host and port it is the endpoint that is set; else what was not given comes from the settings: those of
    Dapr's SDK (`dapr.conf.settings`) where it is installed, else the variables of `transport.settings`, which have the
    same names. Default: 127.0.0.1:50001.

    Args:
        host: The host; `http://` or `https://` (TLS) may stand before it.
        port: The port.

    Raises:
        ValueError: A setting cannot be read; the message names it.
    """
    found = _settings()
    if host or port:
        found.pop(_ENDPOINT, None)
    if port:
        found['DAPR_GRPC_PORT'] = str(port)
    return f'{host}:{found["DAPR_GRPC_PORT"]}' if host else settings.default_host_address(found)


def get_grpc_channel_options(max_grpc_message_length: int | None = None) -> list[tuple[str, Any]] | None:
    """The gRPC channel options for a limit of messages, sent and received.

    Args:
        max_grpc_message_length: The limit in bytes; -1: none. None (default) or 0: the setting
            `DAPR_GRPC_MAX_INBOUND_MESSAGE_SIZE_BYTES`, and where that is 0, too, the engine's own.

    Raises:
        ValueError: The setting cannot be read.
    """
    limit = max_grpc_message_length or _message_limit()
    if not limit:
        return None
    return [('grpc.max_send_message_length', limit), ('grpc.max_receive_message_length', limit)]


def api_token_metadata() -> list[tuple[str, str]] | None:
    """The API token that Dapr's SDK is set to, as metadata; None where there is none, and the engine looks for
    `DAPR_API_TOKEN` itself."""
    sdk = sdk_settings()
    token = getattr(sdk, _TOKEN, None)
    return [(settings.API_TOKEN_KEY, str(token))] if token else None


def api_timeout() -> float | None:
    """The deadline of a client's calls, in seconds: the setting `DAPR_API_TIMEOUT_SECONDS`; None where it is not set.

    Raises:
        ValueError: The setting cannot be read.
    """
    sdk = sdk_settings()
    if sdk is None:
        return settings.api_timeout()
    value = getattr(sdk, settings.API_TIMEOUT, None)
    return settings.api_timeout({} if value is None else {settings.API_TIMEOUT: str(value)})


def has_sdk() -> bool:
    """Whether Dapr's SDK is installed."""
    return sdk_settings() is not None


def _settings() -> dict[str, str]:
    sdk = sdk_settings()
    present: dict[str, Any] = (
        dict(os.environ) if sdk is None else {name: getattr(sdk, name, None) for name in _OF_THE_SDK}
    )
    return {**_DEFAULTS, **{name: str(value) for name, value in present.items() if value and str(value).strip()}}


def _message_limit() -> int:
    sdk = sdk_settings()
    return settings.message_limit() if sdk is None else int(getattr(sdk, settings.MESSAGE_LIMIT, None) or 0)


def sdk_settings() -> Any | None:
    """The settings of Dapr's SDK (`dapr.conf.settings`); None where it is not installed."""
    # By name: it is not there for type checkers either. What is missing inside an SDK that is there is its own error.
    try:
        return importlib.import_module('dapr.conf').settings
    except ModuleNotFoundError as error:
        if error.name not in ('dapr', 'dapr.conf'):
            raise
        return None
