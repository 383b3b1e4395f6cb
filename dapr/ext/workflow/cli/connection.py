"""Which sidecar a command talks to: as apps find it, or as the command line says."""

from __future__ import annotations

import argparse
import os
from typing import Final

from dapr.ext.workflow.inspection.sidecar import DEFAULT_TIMEOUT, Sidecar

TOKEN_VARIABLE: Final = 'DAPR_API_TOKEN'


def connection_options() -> argparse.ArgumentParser:
    """The options that commands have in common, as a parent parser."""
    parser = argparse.ArgumentParser(add_help=False)
    group = parser.add_argument_group('the sidecar')
    group.add_argument('--address', metavar='HOST:PORT', help='where it is (default: as apps find it)')
    group.add_argument('--host', help='its host')
    group.add_argument('--port', type=int, help='its gRPC port')
    group.add_argument('--tls', action='store_true', help='use TLS')
    group.add_argument('--token-file', metavar='FILE', help=f'the API token (default: {TOKEN_VARIABLE})')
    group.add_argument('-a', '--app-id', help='the app that the instances belong to (default: the one of the sidecar)')
    group.add_argument(
        '--timeout',
        type=float,
        default=DEFAULT_TIMEOUT,
        metavar='SECONDS',
        help='how long one call to it may take (default: %(default)g)',
    )
    return parser


def connect(options: argparse.Namespace) -> Sidecar:
    """The sidecar that the options name.

    Raises:
        ValueError: A setting, or the file of the token, cannot be read; the message names it.
    """
    host, port = options.host, options.port
    if options.address:
        if host or port:
            raise ValueError('--address goes without --host and --port')
        host, _, port = options.address.rpartition(':')
        if not host or not port.isdigit():
            raise ValueError(f'--address takes HOST:PORT, not {options.address!r}')
    return Sidecar(
        host,
        port,
        token=_token(options.token_file),
        tls=options.tls,
        app_id=options.app_id,
        timeout=options.timeout,
    )


def _token(path: str | None) -> str | None:
    # Not as an option's value: other users of the machine could read it.
    if path is None:
        return os.environ.get(TOKEN_VARIABLE) or None
    try:
        with open(path, encoding='utf-8') as file:
            return file.read().strip()
    except OSError as error:
        raise ValueError(f'--token-file {path}: {error.strerror}') from error
