"""`dev` and `emulator`, as processes: an emulator, and an app on it that is run again when its files change."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

DEADLINE = 30.0

APP = """
import os, signal, sys, time
signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
print('app {version} on', os.environ['DAPR_GRPC_PORT'], flush=True)
while True:  # not `pause`, which sleeps on when the signal has come just before it
    time.sleep(0.02)
"""


class Lines:
    """The lines of a process, as they come."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._queue: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._read, args=(process,), daemon=True)
        self._thread.start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._queue.put(line)

    def wait_for(self, text: str) -> str:
        while True:
            line = self._queue.get(timeout=DEADLINE)
            if text in line:
                return line


def dev(*arguments: str) -> AbstractContextManager[tuple[subprocess.Popen[str], Lines]]:
    return command('dev', '--port', '0', '--ui-port', '0', *arguments)


@contextmanager
def command(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], Lines]]:
    process = subprocess.Popen(
        [sys.executable, '-m', 'dapr.ext.workflow', *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, 'DAPR_GRPC_PORT': '1'},
    )
    try:
        yield process, Lines(process)
    finally:
        process.kill()
        process.wait()


def test_the_app_gets_the_emulators_address_and_is_run_again_when_its_file_changes(tmp_path: Path) -> None:
    app = tmp_path / 'app.py'
    app.write_text(APP.format(version=1))

    with dev('--watch', str(tmp_path), '--', sys.executable, str(app)) as (process, lines):
        port = lines.wait_for('listens on').rpartition(':')[2].split(',')[0]
        assert lines.wait_for('app 1 on').split()[-1] == port
        app.write_text(APP.format(version=2))
        lines.wait_for('app.py has changed')
        lines.wait_for('app 2 on')
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0


def test_an_app_that_fails_is_the_exit_code(tmp_path: Path) -> None:
    app = tmp_path / 'app.py'
    app.write_text('raise SystemExit(3)')

    with dev('--no-reload', '--', sys.executable, str(app)) as (process, _):
        assert process.wait(DEADLINE) == 1


def test_without_an_app_it_serves_until_it_is_told_to_end() -> None:
    with dev() as (process, lines):
        lines.wait_for('DAPR_GRPC_PORT=')
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0


def test_the_app_gets_the_port_of_daprs_health_checks(tmp_path: Path) -> None:
    app = tmp_path / 'app.py'
    app.write_text(
        'import os, urllib.request\n'
        'url = f\'http://127.0.0.1:{os.environ["DAPR_HTTP_PORT"]}/v1.0/healthz/outbound\'\n'
        "print('health', urllib.request.urlopen(url, timeout=20).status, flush=True)\n"
    )

    with dev('--dapr-http-port', '0', '--headless', '--no-reload', '--', sys.executable, str(app)) as (process, lines):
        assert lines.wait_for('health').split() == ['health', '204']
        assert process.wait(DEADLINE) == 0


def test_the_emulator_alone_takes_its_own_options() -> None:
    with command('emulator', '--port', '0', '--app', 'shop=0') as (process, lines):
        assert lines.wait_for('listening on 127.0.0.1:').endswith('for app shop\n')
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0


def test_its_help_names_the_command() -> None:
    with command('emulator', '--help') as (process, lines):
        lines.wait_for('usage: python -m dapr.ext.workflow emulator')
        assert process.wait(DEADLINE) == 0
