"""Child processes of the benches: environments that never share an interpreter, and one JSON line per message."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
_STOP_S = 15.0


@dataclass(frozen=True)
class Environment:
    """An interpreter whose `dapr.ext.workflow` is to be measured.

    Attributes:
        name: what the tables call it.
        python: the interpreter.
        path: put on PYTHONPATH; None for an environment that has the package installed.
    """

    name: str
    python: Path
    path: Path | None = None

    def variables(self) -> dict[str, str]:
        """The process environment: nothing of ours leaks into the peer's, and no Dapr settings into either."""
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(('PYTHON', 'DAPR_', 'GRPC_', 'OTEL_'))
        }
        if self.path is not None:
            kept['PYTHONPATH'] = str(self.path)
        return kept


class ChildError(RuntimeError):
    """A child ended or was silent where an answer was expected."""


class Child:
    """A script of this folder, running in an environment, spoken to in JSON lines."""

    def __init__(self, environment: Environment, script: str, arguments: Sequence[str] = ()) -> None:
        self._name = f'{script} ({environment.name})'
        # Run by path, so that the first entry of its sys.path is this folder, which holds no `dapr`.
        self._process = subprocess.Popen(
            [str(environment.python), str(HERE / script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=HERE,
            env=environment.variables(),
        )

    def __enter__(self) -> Child:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def send(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + '\n')
        self._process.stdin.flush()

    def receive(self, timeout: float) -> dict[str, Any]:
        """The child's next message; a child that is silent for `timeout` seconds is ended.

        Raises:
            ChildError: the child ended, or was ended, without an answer.
        """
        assert self._process.stdout is not None
        watchdog = threading.Timer(timeout, self._process.kill)
        watchdog.start()
        try:
            line = self._process.stdout.readline()
        finally:
            watchdog.cancel()
        if not line:
            code = self._process.wait()
            raise ChildError(
                f'{self._name} was expected to answer within {timeout:.0f} s and ended with exit code {code}: '
                'its own error is above, if it had one'
            )
        message: dict[str, Any] = json.loads(line)
        return message

    def ask(self, request: Any, timeout: float) -> dict[str, Any]:
        """Sends a request as JSON and returns the answer to it."""
        self.send(json.dumps(request))
        return self.receive(timeout)
