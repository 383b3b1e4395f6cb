"""Processes that tests start and that do not outlive them, and the ports they listen at."""

from __future__ import annotations

import random
import socket
import subprocess
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import IO

_STOP_SECONDS = 10.0
_LOG_TAIL_BYTES = 4_000
# Below the range that systems take client ports from: a client that keeps knocking at the port of a stopped sidecar can
# be given that very port for its own end, and is then connected to itself.
_PORTS = range(20_000, 32_000)


class Guarded:
    """A process that does not outlive the one that started it."""

    def __init__(self, command: Sequence[str], log: IO[bytes], cwd: Path | None = None) -> None:
        """Starts it; what it prints goes to `log`."""
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=cwd
        )
        # A test run that hits its time limit ends without any clean-up, and a forgotten sidecar takes a core for good.
        # The end of this process, however it comes, closes the pipe that `cat` reads.
        self._guard = subprocess.Popen(
            ['sh', '-c', 'cat >/dev/null; kill -9 "$1"', 'sidecar-guard', str(self._process.pid)], stdin=subprocess.PIPE
        )

    @property
    def pid(self) -> int:
        """Its id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """What it ended with; None while it runs."""
        return self._process.poll()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.exit_code is None

    def end(self, *, by_force: bool) -> None:
        """Ends it as its user would, or by force; by force as well where that takes too long."""
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


def free_ports(count: int) -> list[int]:
    """So many different ports of 127.0.0.1 that nobody listens at.

    Raises:
        RuntimeError: if they are not found.
    """
    tried = random.Random().sample(_PORTS, 100 * count)
    ports = list(islice(filter(is_free, tried), count))
    if len(ports) < count:
        raise RuntimeError(f'no free port found in {len(tried)} tries between {_PORTS.start} and {_PORTS.stop}')
    return ports


def is_free(port: int) -> bool:
    """Whether nobody listens at this port of 127.0.0.1."""
    with socket.socket() as probe:
        # As the sidecar does: connections of an earlier one that still linger are no hindrance, a listener is.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(('127.0.0.1', port))
        except OSError:
            return False
        return True


def tail(log: Path) -> str:
    """The end of a log, for a message that says why something did not start."""
    return log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors='replace')
