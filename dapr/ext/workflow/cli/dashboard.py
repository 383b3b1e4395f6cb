"""`dashboard`: the dashboard of a sidecar, in this process."""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Callable
from typing import Final

from dapr.ext.workflow._ending import EndSignals
from dapr.ext.workflow.cli.commands import NO, OK, Commands
from dapr.ext.workflow.cli.connection import connect
from dapr.ext.workflow.cli.output import tell

_TOKEN_VARIABLE: Final = 'DAPR_WORKFLOW_DASHBOARD_TOKEN'


def add_commands(commands: Commands) -> None:
    """Adds `dashboard`."""
    parser = commands.add(
        'dashboard',
        _dashboard,
        help='serve the dashboard of a sidecar until Ctrl-C',
        epilog=f'On other addresses than the loopback it needs a token, in {_TOKEN_VARIABLE} or --ui-token-file.',
    )
    parser.add_argument('--ui-host', default='127.0.0.1', help='the address to listen on (default: %(default)s)')
    parser.add_argument('--ui-port', type=int, default=8080, help='the port (default: %(default)s; 0: a free one)')
    parser.add_argument('--ui-token-file', metavar='FILE', help='what a browser has to bring')
    parser.add_argument('--allow-host', action='append', default=[], metavar='NAME', help='another name that it has')
    parser.add_argument('--read-only', action='store_true', help='nothing can be changed by it')
    parser.add_argument('--no-payloads', action='store_true', help='inputs, outputs and the like are hidden')
    parser.add_argument(
        '--decoder', metavar='MODULE:FUNCTION', help='makes payloads readable: takes the text of one, gives another'
    )
    parser.add_argument(
        '--worker', action='append', default=[], metavar='HOST:PORT', help='where a worker serves its status'
    )


def _dashboard(options: argparse.Namespace) -> int:
    try:
        from dapr.ext.workflow.dashboard import DashboardServer
    except ImportError as error:
        tell(f"{error.name} is missing. Install it with pip install 'dapr-stateful-workflow[dashboard]'.")
        return NO
    payloads = None if options.no_payloads else str if options.decoder is None else _function(options.decoder)
    with (
        EndSignals() as ending,
        connect(options) as sidecar,
        DashboardServer(
            sidecar,
            host=options.ui_host,
            port=options.ui_port,
            token=_token(options.ui_token_file),
            read_only=options.read_only,
            payloads=payloads,
            workers=options.worker,
            allowed_hosts=options.allow_host,
        ) as server,
    ):
        tell(f'The dashboard of {sidecar.address} is at {server.url}')
        ending.wait()
    return OK


def _function(text: str) -> Callable[[str], str]:
    module, _, name = text.partition(':')
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f'--decoder {text}: {error}') from error
    if not callable(found):
        raise ValueError(f'--decoder {text} is no function')
    return found  # type: ignore[no-any-return]


def _token(path: str | None) -> str | None:
    if path is None:
        return os.environ.get(_TOKEN_VARIABLE) or None
    try:
        with open(path, encoding='utf-8') as file:
            return file.read().strip()
    except OSError as error:
        raise ValueError(f'--ui-token-file {path}: {error.strerror}') from error
