"""`dev` and `emulator`: a sidecar on this machine, with the app that is being written on it."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from dapr.ext.workflow._ending import EndSignals
from dapr.ext.workflow.cli.commands import NO, OK, Commands
from dapr.ext.workflow.cli.output import tell
from dapr.ext.workflow.inspection.sidecar import Sidecar

_STOP_SECONDS: Final = 10.0
_LOOK_MILLISECONDS: Final = 300
_SETTINGS: Final = ('DAPR_GRPC_ENDPOINT', 'DAPR_GRPC_HOST', 'DAPR_RUNTIME_HOST', 'DAPR_GRPC_PORT', 'DAPR_API_TOKEN')


def add_commands(commands: Commands) -> None:
    """Adds `dev`, and `emulator` to the list."""
    parser: argparse.ArgumentParser = commands.subparsers.add_parser(
        'dev',
        help='run the emulator with the dashboard, and an app on it',
        description='Runs the emulator and the dashboard until Ctrl-C. What stands after `--` is run as the app, with '
        'its environment set to the emulator, and run again when its files change (with the extra `cli`).',
        epilog='Example: dapr-workflow dev --db workflows.db -- python app.py',
    )
    parser.add_argument('--db', metavar='FILE', help='keep the workflows in this file (default: in memory)')
    parser.add_argument('--port', type=int, default=50001, help='the gRPC port (default: %(default)s; 0: a free one)')
    parser.add_argument(
        '--ui-port', type=int, default=8080, help="the dashboard's port (default: %(default)s; 0: a free one)"
    )
    parser.add_argument(
        '--dapr-http-port',
        type=int,
        metavar='PORT',
        help="answer Dapr's health checks by HTTP, and keep a state store, as DaprClient and agents need it "
        "(Dapr's own port is 3500; 0: a free one; default: workflows alone)",
    )
    parser.add_argument('--headless', action='store_true', help='without the dashboard')
    parser.add_argument('--no-reload', action='store_true', help='do not run the app again when its files change')
    parser.add_argument('--watch', metavar='FOLDER', default='.', help='where its files are (default: this folder)')
    # After `--`, so that the app's own options stay the app's.
    parser.add_argument('app', nargs='*', metavar='-- COMMAND', help='the app, for example: python app.py')
    parser.set_defaults(run=_dev)

    # For the list of commands: `main` hands it over before it reads the command line.
    commands.subparsers.add_parser('emulator', add_help=False, help='run the emulator alone (its own options: --help)')


def emulator(arguments: Sequence[str], program: str) -> int:
    """Runs the emulator alone. Its options are its own, and are known once it is imported.

    Args:
        arguments: The command line behind `emulator`.
        program: What the program is called.

    Returns:
        The exit code.
    """
    from dapr.ext.workflow.emulator.__main__ import main

    return main(arguments, f'{program} emulator')


def _dev(options: argparse.Namespace) -> int:
    from dapr.ext.workflow.emulator import Emulator

    # The signals first: whoever reads that it listens may tell it to end.
    with EndSignals() as ending, contextlib.ExitStack() as stack:
        emulator = stack.enter_context(
            Emulator(port=options.port, db=options.db, dapr_http_port=options.dapr_http_port)
        )
        kept = f', kept in {options.db}' if options.db else ', in memory'
        tell(f'The emulator listens on {emulator.address}{kept}.')
        if not options.headless:
            stack.enter_context(_dashboard_of(emulator.address, options.ui_port))
        if options.app:
            http_port = None if options.dapr_http_port is None else emulator.dapr_http_port
            folder = None if options.no_reload else Path(options.watch)
            return _App(options.app, emulator.address, folder, http_port).run(ending)
        tell(f'Point an app at it with DAPR_GRPC_PORT={emulator.port}. Ctrl-C ends it.')
        ending.wait()
    return OK


@contextlib.contextmanager
def _dashboard_of(address: str, port: int) -> Iterator[None]:
    try:
        from dapr.ext.workflow.dashboard import DashboardServer
    except ImportError as error:
        tell(f"No dashboard: {error.name} is missing. Install it with pip install 'dapr-stateful-workflow[dashboard]'.")
        yield
        return
    host, _, grpc_port = address.rpartition(':')
    with Sidecar(host, grpc_port) as sidecar, DashboardServer(sidecar, port=port) as server:
        tell(f'The dashboard is at {server.url}')
        yield


class _App:
    """The app's process, from its start to its end, and again when its files have changed.

    Args:
        command: What is run.
        address: The emulator's, as host:port.
        folder: Where the files are that are watched; None: none are.
        http_port: The port of Dapr's health checks; None: there are none.
    """

    def __init__(self, command: Sequence[str], address: str, folder: Path | None, http_port: int | None = None) -> None:
        self._command = command
        self._folder = folder
        host, _, port = address.rpartition(':')
        kept = {name: value for name, value in os.environ.items() if name not in _SETTINGS}
        self._environ = {**kept, 'DAPR_RUNTIME_HOST': host, 'DAPR_GRPC_HOST': host, 'DAPR_GRPC_PORT': port}
        if http_port is not None:
            self._environ.pop('DAPR_HTTP_ENDPOINT', None)
            self._environ['DAPR_HTTP_PORT'] = str(http_port)
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, ending: EndSignals) -> int:
        """Runs the app until it ends by itself with nothing to watch, or until a signal; gives the exit code."""
        try:
            for change in self._changes():
                if ending.came:
                    break
                if self._process is None:  # the watch has begun: no change is missed from here on
                    self._start()
                elif change is not None:
                    tell(f'{change} has changed: the app is run again.')
                    self._stop()
                    self._start()
        finally:
            code = self._stop()
        return OK if code in (0, None, -signal.SIGINT, -signal.SIGTERM) else NO

    def _start(self) -> None:
        try:
            self._process = subprocess.Popen(self._command, env=self._environ)
        except OSError as error:
            raise ValueError(f'{self._command[0]} cannot be run: {error.strerror}') from error

    def _stop(self) -> int | None:
        process = self._process
        if process is None:
            return None
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                tell(f'The app has not ended within {_STOP_SECONDS:g} seconds, and is killed.')
                process.kill()
        return process.wait()

    def _changes(self) -> Iterator[str | None]:
        """The files that have changed, as they do; None at the beginning, and now and then."""
        if self._folder is not None:
            try:
                from watchfiles import PythonFilter, watch
            except ImportError:
                tell("The app is not run again when its files change: pip install 'dapr-stateful-workflow[cli]'.")
                self._folder = None
        if self._folder is None:
            yield None
            while self._process is not None and self._process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(_LOOK_MILLISECONDS / 1000)
                yield None
            return
        for found in watch(
            self._folder,
            watch_filter=PythonFilter(),
            yield_on_timeout=True,
            rust_timeout=_LOOK_MILLISECONDS,
        ):
            yield os.path.relpath(min(path for _, path in found)) if found else None
