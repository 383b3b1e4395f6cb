"""`python -m dapr.ext.workflow.emulator`: a Dapr workflow sidecar for development, tests and demos.

It prints a line for each listener, `listening on HOST:PORT`, and serves until SIGINT or SIGTERM.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
from collections.abc import Sequence

from dapr.ext.workflow._ending import EndSignals
from dapr.ext.workflow.emulator.errors import StoreError
from dapr.ext.workflow.emulator.serving.server import Emulator
from dapr.ext.workflow.emulator.serving.service import MAX_MESSAGE_BYTES

_LEVELS = ('debug', 'info', 'warning', 'error')


def main(arguments: Sequence[str] | None = None, program: str = 'python -m dapr.ext.workflow.emulator') -> int:
    """Runs the emulator until a signal ends it.

    Args:
        arguments: The command line. Default: that of the process.
        program: What the program is called.

    Returns:
        The exit code: 0 after a signal, 1 when it could not start.
    """
    parser = _parser(program)
    options = parser.parse_args(arguments)
    if len(dict(options.app)) < len(options.app):
        parser.error('--app names an app twice')
    logging.basicConfig(
        level=options.log_level.upper(), format='%(asctime)s %(levelname)s %(message)s', stream=sys.stderr
    )
    # Most of what a call makes is gone with it, and what stays is histories, which have no cycles: looking through them
    # time and again is a tenth of the work of a busy emulator.
    thresholds = gc.get_threshold()
    gc.set_threshold(100_000, 50, 100)
    try:
        emulator = Emulator(
            options.host,
            options.port,
            options.db,
            options.api_token or os.environ.get('DAPR_API_TOKEN'),
            apps=dict(options.app),
            allow_insecure=options.allow_insecure,
            max_message_bytes=options.max_message_bytes,
            dapr_http_port=options.dapr_http_port,
            state_stores=options.state_store or ('statestore',),
        )
        with EndSignals() as ending, emulator:
            for name, _ in options.app or [('', 0)]:
                suffix = f' for app {name}' if name else ''
                print(f'listening on {emulator.address_of(name)}{suffix}', flush=True)  # noqa: T201
            if options.dapr_http_port is not None:
                print(f"Dapr's health checks at http://{options.host}:{emulator.dapr_http_port}", flush=True)  # noqa: T201
            ending.wait()
    except (OSError, StoreError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)  # noqa: T201
        return 1
    finally:
        gc.set_threshold(*thresholds)
    return 0


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        description='A Dapr workflow sidecar for development, tests and demos.',
    )
    parser.add_argument('--host', default='127.0.0.1', help='the address to listen on (default: %(default)s)')
    parser.add_argument('--port', type=_port, default=4001, help='the port; 0: a free one (default: %(default)s)')
    parser.add_argument('--db', metavar='FILE', help='the SQLite file; without it nothing outlives the process')
    parser.add_argument(
        '--api-token',
        metavar='TOKEN',
        help='what each call has to carry as metadata dapr-api-token (default: DAPR_API_TOKEN, which other users of '
        'the machine do not see)',
    )
    parser.add_argument(
        '--app',
        type=_app,
        action='append',
        default=[],
        metavar='NAME=PORT',
        help='play the sidecar of this app, on a port of its own and not on --port; give it once for each app',
    )
    parser.add_argument(
        '--allow-insecure', action='store_true', help='let a host other than the loopback go without a token'
    )
    parser.add_argument(
        '--max-message-bytes',
        type=int,
        default=MAX_MESSAGE_BYTES,
        metavar='N',
        help='refuse larger messages, as a sidecar does that is set so (default: %(default)s)',
    )
    parser.add_argument(
        '--dapr-http-port',
        type=_port,
        metavar='PORT',
        help="answer Dapr's health checks by HTTP here (Dapr's own port is 3500), and give metadata and state stores "
        'by gRPC, as DaprClient and agents need them; 0: a free one',
    )
    parser.add_argument(
        '--state-store',
        action='append',
        metavar='NAME',
        help='with --dapr-http-port: the name of a state store; once for each (default: statestore)',
    )
    parser.add_argument(
        '--log-level', choices=_LEVELS, default='info', help='what is told on stderr (default: %(default)s)'
    )
    return parser


def _port(text: str) -> int:
    port = int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f'{text!r} is no port (0 to 65535)')
    return port


def _app(text: str) -> tuple[str, int]:
    name, separator, port = text.rpartition('=')
    if not separator or not name:
        raise argparse.ArgumentTypeError(f'{text!r} is not NAME=PORT')
    return name, _port(port)


if __name__ == '__main__':
    sys.exit(main())
