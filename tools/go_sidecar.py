"""A sidecar in a process of its own, for tests, benchmarks and the demo: a real one, or the emulator.

`make sidecar` builds the binaries of the real ones; their versions stand in tools/sidecar*/go.mod alone.
"""

from __future__ import annotations

import os
import random
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

import grpc

ROOT = Path(__file__).resolve().parent.parent

_EMULATOR = 'emulator'
_START_SECONDS = 30.0
_STOP_SECONDS = 10.0
_LOG_TAIL_BYTES = 4_000
# Below the range that systems take client ports from: a client that keeps knocking at the port of a stopped sidecar can
# be given that very port for its own end, and is then connected to itself.
_PORTS = range(20_000, 32_000)


@dataclass(frozen=True)
class Build:
    """One build of the Go sidecar, or the emulator.

    Attributes:
        version: of the Go module, such as '0.14.0'; or 'emulator'.
        sends_deltas: whether it knows stateful history.
        binary: where `make sidecar` puts it, which need not be there; or the interpreter.
        arguments: what comes before its own options.
    """

    version: str
    sends_deltas: bool
    binary: Path
    arguments: tuple[str, ...] = ()

    @property
    def is_emulator(self) -> bool:
        """Whether it is the emulator, which answers as daprd does where the Go sidecar is poorer."""
        return self.version == _EMULATOR

    @property
    def available(self) -> bool:
        """Whether the binary is there."""
        return self.binary.is_file()

    def command(self, port: int, database: Path | None) -> list[str]:
        """What runs it, on a port and with a SQLite file (None: in memory)."""
        dashes = '--' if self.is_emulator else '-'
        command = [str(self.binary), *self.arguments, f'{dashes}host', '127.0.0.1', f'{dashes}port', str(port)]
        return command if database is None else [*command, f'{dashes}db', str(database)]


def builds(environ: Mapping[str, str] | None = None) -> tuple[Build, ...]:
    """The builds of the Go sidecar that the e2e tests run against, the newest first.

    Args:
        environ: where DAPR_SIDECAR_DIR is read, the folder of the binaries (default: `.bin` of the project).
    """
    environ = os.environ if environ is None else environ
    folder = Path(environ.get('DAPR_SIDECAR_DIR') or ROOT / '.bin')
    return tuple(
        Build(version, sends_deltas, folder / f'durabletask-go-{version}')
        for version, sends_deltas in ((_pinned('sidecar'), True), (_pinned('sidecar-older'), False))
    )


def emulator() -> Build:
    """The emulator, as this interpreter runs it."""
    return Build(_EMULATOR, True, Path(sys.executable), ('-m', 'dapr.ext.workflow.emulator'))


def _pinned(tool: str) -> str:
    path = ROOT / 'tools' / tool / 'go.mod'
    match = re.search(r'github\.com/dapr/durabletask-go v(\S+)', path.read_text())
    if match is None:
        raise ValueError(f'{path} requires no github.com/dapr/durabletask-go: the tests take its version from there')
    return match[1]


def hello(channel: grpc.Channel) -> grpc.UnaryUnaryMultiCallable[bytes, bytes]:
    """The call that a sidecar answers with an empty message as soon as it serves; requests and answers are bytes."""
    # By hand, so that what tells a live sidecar leans on nothing that is under test.
    call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary('/TaskHubSidecarService/Hello')
    return call


class Sidecar:
    """A running sidecar on a port and a SQLite file of its own.

    As a context manager it is started on entry, and stopped and its files deleted on exit. The port and the file stay
    the same from one start to the next, so what was committed before a `kill` is there after it. Not for use by several
    threads at once.
    """

    def __init__(self, build: Build, *, in_memory: bool = False) -> None:
        """Prepares a sidecar; nothing runs yet.

        Args:
            build: the build to run; its binary has to be there.
            in_memory: whether it keeps its state in memory, which no restart outlives (default: in the file).

        Raises:
            FileNotFoundError: if it is not.
        """
        if not build.available:
            raise FileNotFoundError(f'no sidecar at {build.binary}: run `make sidecar`, or set DAPR_SIDECAR_DIR')
        self.build = build
        self._in_memory = in_memory
        self._port = _free_port()
        # Closing a SQLite database of a process that was just killed may leave files that come and go.
        self._folder = tempfile.TemporaryDirectory(prefix='sidecar-', ignore_cleanup_errors=True)
        self._process: _Guarded | None = None

    @property
    def address(self) -> str:
        """Where it listens, as host:port."""
        return f'127.0.0.1:{self._port}'

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return Path(self._folder.name, 'state.db')

    @property
    def log(self) -> Path:
        """The file that its output goes to, of all starts."""
        return Path(self._folder.name, 'sidecar.log')

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.running

    @property
    def pid(self) -> int | None:
        """The id of its process; None when none was started."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Starts the process and waits until it answers Hello.

        Raises:
            RuntimeError: if it runs already, its port is taken, or it ends or stays silent (then with its log's end).
        """
        if self.running:
            raise RuntimeError('the sidecar is running: stop or kill it before it is started again')
        # Else whoever listens there would answer the Hello below.
        if not _is_free(self._port):
            raise RuntimeError(f'another process listens at {self.address}: no sidecar can be started there')
        command = self.build.command(self._port, None if self._in_memory else self.database)
        with self.log.open('ab') as log:
            self._process = _Guarded(command, log)
        try:
            self._wait_for_hello(self._process)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Ends the process as its user would, and by force where that takes too long. Does nothing when none runs."""
        if self._process is not None:
            self._process.end(by_force=False)
            self._process = None

    def kill(self) -> None:
        """Ends the process at once, as a crash would. Does nothing when none runs."""
        if self._process is not None:
            self._process.end(by_force=True)
            self._process = None

    def restart(self) -> None:
        """Stops it and starts it again, on the same port and file."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stops it and deletes its files."""
        self.kill()
        self._folder.cleanup()

    def __enter__(self) -> Sidecar:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wait_for_hello(self, process: _Guarded) -> None:
        options = [('grpc.initial_reconnect_backoff_ms', 50), ('grpc.max_reconnect_backoff_ms', 200)]
        with grpc.insecure_channel(self.address, options) as channel:
            call = hello(channel).future(b'', timeout=_START_SECONDS, wait_for_ready=True)
            while True:
                try:
                    # The answer wakes this at once; the short wait is for the process that ends and will never answer.
                    call.result(timeout=0.1)
                except grpc.FutureTimeoutError:
                    if process.running:
                        continue
                    raise self._not_started(f'ended with code {process.exit_code}') from None
                except grpc.RpcError as error:
                    raise self._not_started(f'does not answer Hello ({error})') from error
                return

    def _not_started(self, what: str) -> RuntimeError:
        tail = self.log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors='replace')
        return RuntimeError(f'the sidecar {self.build.binary} at {self.address} {what}; its log ends with:\n{tail}')


class _Guarded:
    """A process that does not outlive the one that started it."""

    def __init__(self, command: list[str], log: IO[bytes]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        # A test run that hits its time limit ends without any clean-up, and a forgotten sidecar takes a core for good.
        # The end of this process, however it comes, closes the pipe that `cat` reads.
        self._guard = subprocess.Popen(
            ['sh', '-c', 'cat >/dev/null; kill -9 "$1"', 'sidecar-guard', str(self._process.pid)], stdin=subprocess.PIPE
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    @property
    def running(self) -> bool:
        return self.exit_code is None

    def end(self, *, by_force: bool) -> None:
        if by_force:
            self._process.kill()
        else:
            self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        # First the guard, then its pipe: it must not act on a process id that is free for others by now.
        self._guard.kill()
        self._guard.communicate()


def _free_port() -> int:
    tried = random.Random().sample(_PORTS, 100)
    port = next((port for port in tried if _is_free(port)), None)
    if port is None:
        raise RuntimeError(f'no free port found in {len(tried)} tries between {_PORTS.start} and {_PORTS.stop}')
    return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the sidecar does: connections of an earlier one that still linger are no hindrance, a listener is.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(('127.0.0.1', port))
        except OSError:
            return False
        return True
