"""A sidecar in a process of its own, for tests, benchmarks and the demo: a real one, or the emulator.

`make sidecar` builds the binaries of the real ones; their versions stand in tools/sidecar*/go.mod alone. A production
daprd, which needs two more processes, is `tools.daprd_sidecar`.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import grpc

from tools.processes import Guarded, free_ports, is_free, tail

ROOT = Path(__file__).resolve().parent.parent

DAPRD = 'daprd-'

_EMULATOR = 'emulator'
_START_SECONDS = 30.0


@dataclass(frozen=True)
class Build:
    """One build of the Go sidecar, or the emulator.

    Attributes:
        version: of the Go module, such as '0.14.0' or 'daprd-1.18.1'; or 'emulator'.
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
        """Whether it is the emulator."""
        return self.version == _EMULATOR

    @property
    def is_daprd(self) -> bool:
        """Whether it is a production daprd, which serves workflows only while a worker is connected."""
        return self.version.startswith(DAPRD)

    @property
    def answers_as_daprd(self) -> bool:
        """Whether it answers as daprd does where the Go sidecar is poorer: daprd itself, and the emulator."""
        return self.is_daprd or self.is_emulator

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
    folder = binaries(environ)
    return tuple(
        Build(version, sends_deltas, folder / f'durabletask-go-{version}')
        for version, sends_deltas in ((_durabletask('sidecar'), True), (_durabletask('sidecar-older'), False))
    )


def binaries(environ: Mapping[str, str] | None = None) -> Path:
    """The folder that the sidecars are built into: DAPR_SIDECAR_DIR, or else `.bin` of the project."""
    environ = os.environ if environ is None else environ
    return Path(environ.get('DAPR_SIDECAR_DIR') or ROOT / '.bin')


def emulator() -> Build:
    """The emulator, as this interpreter runs it."""
    return Build(_EMULATOR, True, Path(sys.executable), ('-m', 'dapr.ext.workflow.emulator'))


def pinned(tool: str, module: str) -> str:
    """The version of a Go module that tools/<tool>/go.mod requires, without its 'v'.

    Raises:
        ValueError: if it requires none.
    """
    path = ROOT / 'tools' / tool / 'go.mod'
    match = re.search(rf'{re.escape(module)} v(\S+)', path.read_text())
    if match is None:
        raise ValueError(f'{path} requires no {module}: the tests take its version from there')
    return match[1]


def _durabletask(tool: str) -> str:
    return pinned(tool, 'github.com/dapr/durabletask-go')


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
        self._port = free_ports(1)[0]
        # Closing a SQLite database of a process that was just killed may leave files that come and go.
        self._folder = tempfile.TemporaryDirectory(prefix='sidecar-', ignore_cleanup_errors=True)
        self._process: Guarded | None = None

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
        if not is_free(self._port):
            raise RuntimeError(f'another process listens at {self.address}: no sidecar can be started there')
        with self.log.open('ab') as log:
            self._process = Guarded(self._command(), log)
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

    def _command(self) -> list[str]:
        return self.build.command(self._port, None if self._in_memory else self.database)

    def _wait_for_hello(self, process: Guarded) -> None:
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
        end = tail(self.log)
        return RuntimeError(f'the sidecar {self.build.binary} at {self.address} {what}; its log ends with:\n{end}')
