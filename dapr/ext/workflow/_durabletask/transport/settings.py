"""What the environment says about the way to the sidecar. The one place that reads it.

| variable | default | meaning |
| --- | --- | --- |
| `DAPR_GRPC_ENDPOINT` | | the sidecar's address, in any form of `parse_endpoint`; beats host and port |
| `DAPR_GRPC_HOST`, else `DAPR_RUNTIME_HOST` | localhost | the sidecar's host |
| `DAPR_GRPC_PORT` | 4001 | the sidecar's port |
| `DAPR_API_TOKEN` | | goes out with each call as metadata `dapr-api-token` |
| `DAPR_GRPC_KEEPALIVE_ENABLED` | false | HTTP/2 pings; a server in Go refuses more than one in 5 minutes by default |
| `DAPR_GRPC_KEEPALIVE_TIME_MS` | 120000 | milliseconds between two pings |
| `DAPR_GRPC_KEEPALIVE_TIMEOUT_MS` | 20000 | milliseconds to wait for the answer |
| `DAPR_GRPC_KEEPALIVE_PERMIT_WITHOUT_CALLS` | false | whether to ping when no call is in flight |
| `DAPR_GRPC_RETRY_ENABLED` | false | whether gRPC itself tries a failed call again |
| `DAPR_GRPC_RETRY_MAX_ATTEMPTS` | 4 | attempts in all: 2 or more (gRPC makes no more than 5) |
| `DAPR_GRPC_RETRY_INITIAL_BACKOFF_MS` | 100 | milliseconds before the first retry: 10 or more |
| `DAPR_GRPC_RETRY_MAX_BACKOFF_MS` | 1000 | the most milliseconds before a retry: 10 or more |
| `DAPR_GRPC_RETRY_BACKOFF_MULTIPLIER` | 2.0 | by what the wait grows from retry to retry |
| `DAPR_GRPC_RETRY_CODES` | UNAVAILABLE,DEADLINE_EXCEEDED | the status codes to retry on |
| `DAPR_GRPC_MAX_INBOUND_MESSAGE_SIZE_BYTES` | 0, no limit | the limit of messages, sent and received |
| `DAPR_API_TIMEOUT_SECONDS` | none | the deadline of a client's calls, its waits aside |

Booleans are true, 1, yes, on and false, 0, no, off, in any case. A variable that is empty counts as not set. One that
cannot be read is a ValueError that names it, never a silent default.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

import grpc

DEFAULT_HOST: Final = 'localhost'
DEFAULT_PORT: Final = 4001
API_TOKEN_KEY: Final = 'dapr-api-token'
MESSAGE_LIMIT: Final = 'DAPR_GRPC_MAX_INBOUND_MESSAGE_SIZE_BYTES'
API_TIMEOUT: Final = 'DAPR_API_TIMEOUT_SECONDS'

_ENDPOINT: Final = 'DAPR_GRPC_ENDPOINT'
_TRUE: Final = frozenset({'true', '1', 'yes', 'on'})
_FALSE: Final = frozenset({'false', '0', 'no', 'off'})
_PLAIN_SCHEMES: Final = {'http': False, 'https': True, 'grpc': False, 'grpcs': True}
# Resolved by gRPC itself and given to it as they are.
_PATH_SCHEMES: Final = frozenset({'unix', 'unix-abstract', 'vsock', 'ipv4', 'ipv6', 'xds'})
_HOST_AND_PORT: Final = re.compile(r'(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^\s:\[\]/@?#]*)(?::(?P<port>[0-9]+))?')
_MAX_INT: Final = 2**31 - 1  # of gRPC's integer options
# gRPC loses a call for good when it is to be retried after about 1 ms (github.com/grpc/grpc/issues/41036).
_LEAST_BACKOFF_MS: Final = 10

_Pair = TypeVar('_Pair', bound=tuple[str, Any])


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a sidecar is.

    Attributes:
        target: The address as gRPC takes it.
        secure: Whether the address asks for TLS.
    """

    target: str
    secure: bool


@dataclass(frozen=True, slots=True)
class KeepaliveSettings:
    """HTTP/2 pings.

    Attributes:
        enabled: Whether there are any.
        time_ms: Milliseconds between two of them.
        timeout_ms: Milliseconds to wait for the answer.
        permit_without_calls: Whether to ping when no call is in flight.
    """

    enabled: bool = False
    time_ms: int = 120_000
    timeout_ms: int = 20_000
    permit_without_calls: bool = False


@dataclass(frozen=True, slots=True)
class RetrySettings:
    """Retries by gRPC itself.

    Attributes:
        enabled: Whether there are any.
        max_attempts: Attempts in all, the first one included.
        initial_backoff_ms: Milliseconds before the first retry.
        max_backoff_ms: The most milliseconds before a retry.
        backoff_multiplier: By what the wait grows from retry to retry.
        codes: The names of the status codes to retry on.
    """

    enabled: bool = False
    max_attempts: int = 4
    initial_backoff_ms: int = 100
    max_backoff_ms: int = 1_000
    backoff_multiplier: float = 2.0
    codes: tuple[str, ...] = ('UNAVAILABLE', 'DEADLINE_EXCEEDED')


def default_host_address(environ: Mapping[str, str] | None = None) -> str:
    """The sidecar's address as the environment gives it; it can be read by `parse_endpoint`.

    Args:
        environ: The environment; None: that of the process.

    Raises:
        ValueError: A variable cannot be read.
    """
    environ = os.environ if environ is None else environ
    endpoint = _text(environ, _ENDPOINT)
    if endpoint is not None:
        parse_endpoint(endpoint, _ENDPOINT)
        return endpoint
    variable = 'DAPR_GRPC_HOST' if _text(environ, 'DAPR_GRPC_HOST') else 'DAPR_RUNTIME_HOST'
    host = _text(environ, variable) or DEFAULT_HOST
    port = _integer(environ, 'DAPR_GRPC_PORT', DEFAULT_PORT, 1, 65535)
    if host.count(':') > 1 and not host.startswith('['):
        host = f'[{host}]'  # an IPv6 address, which only lacks what tells it from its port
    matched = _HOST_AND_PORT.fullmatch(host)
    if matched is None or matched['port'] is not None or not matched['host']:
        raise ValueError(
            f'{variable}={host!r} is no host name or IP address. It takes the host alone: give the port in '
            f'DAPR_GRPC_PORT, or a whole address in {_ENDPOINT}.'
        )
    return f'{host}:{port}'


def parse_endpoint(address: str, source: str = 'host_address') -> Endpoint:
    """Reads an address in the forms that Dapr's SDKs take.

    - `host:port`, `host`, `:port` (localhost), `[::1]:port`; with `grpc://` or `grpcs://` (TLS) before it;
    - `http://host:port` and `https://host:port` (TLS);
    - `dns:host:port`, `dns://resolver/host:port`, and what else gRPC resolves: `unix:path`, `unix:///path`,
      `unix-abstract:name`, `vsock:...`, `ipv4:...`, `ipv6:...`, `xds:...`;
    - `?tls=true` or `?tls=false` after any of these but http(s), which say it themselves.

    Without a port it is 443, gRPC's own default, with TLS or without; but 80 for `http://`.

    Args:
        address: The address.
        source: Where it comes from: the error's first word.

    Raises:
        ValueError: It is none of these.
    """
    rest, _, query = address.strip().partition('?')
    scheme, separator, after_scheme = rest.partition(':')
    scheme = scheme.lower() if separator else ''
    has_slashes = after_scheme.startswith('//')
    secure = False
    if scheme in _PLAIN_SCHEMES and has_slashes:
        if query and scheme in ('http', 'https'):
            raise _bad_endpoint(address, source, f'{scheme}:// says itself whether TLS is used: leave out the query')
        secure = _PLAIN_SCHEMES[scheme]
        host, port = _host_and_port(after_scheme[2:].removesuffix('/'), address, source)
        target = host + (port or (':80' if scheme == 'http' else ''))
    elif scheme == 'dns':
        resolver, slash, name = after_scheme.rpartition('/')
        if slash and not (has_slashes and len(resolver) > 1):
            raise _bad_endpoint(address, source, 'dns:// is followed by a resolver (or none), a slash and the host')
        host, port = _host_and_port(name, address, source)
        target = f'dns:{resolver}{slash}{host}{port}'
    elif scheme in _PATH_SCHEMES:
        if not after_scheme.strip('/'):
            raise _bad_endpoint(address, source, f'nothing comes after {scheme}:')
        target = f'{scheme}:{after_scheme}'
    elif has_slashes:
        raise _bad_endpoint(address, source, f'the scheme {scheme!r} is unknown')
    else:
        host, port = _host_and_port(rest, address, source)
        target = host + port
    return Endpoint(target, secure or _query_asks_for_tls(query, address, source))


def keepalive_settings(environ: Mapping[str, str] | None = None) -> KeepaliveSettings:
    """The `DAPR_GRPC_KEEPALIVE_*` variables.

    Raises:
        ValueError: One of them cannot be read.
    """
    environ = os.environ if environ is None else environ
    prefix, default = 'DAPR_GRPC_KEEPALIVE', KeepaliveSettings()
    return KeepaliveSettings(
        enabled=_boolean(environ, f'{prefix}_ENABLED', default.enabled),
        time_ms=_integer(environ, f'{prefix}_TIME_MS', default.time_ms, 1),
        timeout_ms=_integer(environ, f'{prefix}_TIMEOUT_MS', default.timeout_ms, 1),
        permit_without_calls=_boolean(environ, f'{prefix}_PERMIT_WITHOUT_CALLS', default.permit_without_calls),
    )


def retry_settings(environ: Mapping[str, str] | None = None) -> RetrySettings:
    """The `DAPR_GRPC_RETRY_*` variables.

    Raises:
        ValueError: One of them cannot be read, or the longest wait is shorter than the first.
    """
    environ = os.environ if environ is None else environ
    prefix, default = 'DAPR_GRPC_RETRY', RetrySettings()
    settings = RetrySettings(
        enabled=_boolean(environ, f'{prefix}_ENABLED', default.enabled),
        # gRPC refuses a policy of a single attempt, and every call with it.
        max_attempts=_integer(environ, f'{prefix}_MAX_ATTEMPTS', default.max_attempts, 2),
        initial_backoff_ms=_integer(
            environ, f'{prefix}_INITIAL_BACKOFF_MS', default.initial_backoff_ms, _LEAST_BACKOFF_MS
        ),
        max_backoff_ms=_integer(environ, f'{prefix}_MAX_BACKOFF_MS', default.max_backoff_ms, _LEAST_BACKOFF_MS),
        backoff_multiplier=_positive_number(environ, f'{prefix}_BACKOFF_MULTIPLIER', default.backoff_multiplier),
        codes=_status_codes(environ, f'{prefix}_CODES', default.codes),
    )
    if settings.max_backoff_ms < settings.initial_backoff_ms:
        raise ValueError(
            f'{prefix}_MAX_BACKOFF_MS={settings.max_backoff_ms} is less than {prefix}_INITIAL_BACKOFF_MS='
            f'{settings.initial_backoff_ms}: the longest wait cannot be shorter than the first.'
        )
    return settings


def message_limit(environ: Mapping[str, str] | None = None) -> int:
    """`DAPR_GRPC_MAX_INBOUND_MESSAGE_SIZE_BYTES`: the limit of gRPC messages in bytes; 0: not set, -1: none.

    Raises:
        ValueError: It cannot be read.
    """
    return _integer(os.environ if environ is None else environ, MESSAGE_LIMIT, 0, -1)


def api_timeout(environ: Mapping[str, str] | None = None) -> float | None:
    """`DAPR_API_TIMEOUT_SECONDS`: the deadline of a client's calls in seconds; None: not set.

    Raises:
        ValueError: It cannot be read.
    """
    environ = os.environ if environ is None else environ
    return None if _text(environ, API_TIMEOUT) is None else _positive_number(environ, API_TIMEOUT, math.inf)


def outgoing_metadata(
    metadata: Iterable[tuple[str, str]] | None, environ: Mapping[str, str] | None = None
) -> list[tuple[str, str]]:
    """What goes out with each call: the caller's metadata, and `DAPR_API_TOKEN` unless the caller gives a token.

    Args:
        metadata: The caller's, or None.
        environ: The environment; None: that of the process.
    """
    result = list(metadata or ())
    token = _text(os.environ if environ is None else environ, 'DAPR_API_TOKEN')
    if token is not None:
        result += without_repeated_token([(API_TOKEN_KEY, token)], result)
    return result


def without_repeated_token(metadata: Sequence[_Pair], present: Iterable[tuple[Any, ...]]) -> list[_Pair]:
    """The metadata, without its API token when what is present has one: two would leave it open which one counts."""
    if any(entry[0].lower() == API_TOKEN_KEY for entry in present):
        return [pair for pair in metadata if pair[0].lower() != API_TOKEN_KEY]
    return list(metadata)


# Reading


def _host_and_port(text: str, address: str, source: str) -> tuple[str, str]:
    """The host (localhost when there is none), and ':port' or ''."""
    matched = _HOST_AND_PORT.fullmatch(text)
    if matched is None or not text:
        hint = 'an IPv6 address stands in brackets, as in [::1]:4001' if text.count(':') > 1 else 'it is no host:port'
        raise _bad_endpoint(address, source, hint)
    host, port = matched['host'], matched['port']
    # 0 cannot be connected to, but tests of apps make clients with it that never connect.
    if port is not None and int(port) > 65535:
        raise _bad_endpoint(address, source, f'{port} is no port (1 to 65535)')
    return host or DEFAULT_HOST, '' if port is None else f':{int(port)}'


def _query_asks_for_tls(query: str, address: str, source: str) -> bool:
    secure = False
    for name, value in parse_qsl(query, keep_blank_values=True):
        answer = value.lower()
        if name != 'tls' or answer not in ('true', 'false'):
            raise _bad_endpoint(address, source, f'the query {query!r} is neither tls=true nor tls=false')
        secure = answer == 'true'
    return secure


def _bad_endpoint(address: str, source: str, reason: str) -> ValueError:
    return ValueError(
        f'{source}={address!r} cannot be read: {reason}. It takes host:port, one of http://, https://, grpc:// and '
        'grpcs:// followed by host:port, dns:host:port, or unix:path; ?tls=true after it asks for TLS.'
    )


def _text(environ: Mapping[str, str], name: str) -> str | None:
    return environ.get(name, '').strip() or None


def _boolean(environ: Mapping[str, str], name: str, default: bool) -> bool:
    text = _text(environ, name)
    if text is None:
        return default
    folded = text.lower()
    if folded in _TRUE:
        return True
    if folded in _FALSE:
        return False
    raise ValueError(f'{name}={text!r} is neither true, 1, yes or on, nor false, 0, no or off.')


def _integer(environ: Mapping[str, str], name: str, default: int, least: int, most: int = _MAX_INT) -> int:
    text = _text(environ, name)
    if text is None:
        return default
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise ValueError(f'{name}={text!r} is not a whole number from {least} to {most}.')
    return number


def _positive_number(environ: Mapping[str, str], name: str, default: float) -> float:
    text = _text(environ, name)
    if text is None:
        return default
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f'{name}={text!r} is not a number above 0, as in 2.0.')
    return number


def _status_codes(environ: Mapping[str, str], name: str, default: tuple[str, ...]) -> tuple[str, ...]:
    text = _text(environ, name)
    if text is None:
        return default
    codes = tuple(dict.fromkeys(code.strip().upper() for code in text.split(',') if code.strip()))
    known = [code.name for code in grpc.StatusCode if code is not grpc.StatusCode.OK]
    unknown = [code for code in codes if code not in known]
    if unknown or not codes:
        raise ValueError(f'{name}={text!r} is not a list of status codes with commas between: {", ".join(known)}.')
    return codes
