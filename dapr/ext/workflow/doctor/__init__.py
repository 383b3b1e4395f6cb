"""`python -m dapr.ext.workflow doctor`: which implementation is active, where the sidecar is, and what it can do.

The first half, what is installed, needs the standard library alone, so that it can still say what is wrong when another
distribution has put its files over ours. By default only calls without any effect are made to the sidecar.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from dapr.ext.workflow.doctor.installation import examine_installation
from dapr.ext.workflow.doctor.line import Line
from dapr.ext.workflow.doctor.telemetry import examine_telemetry

__all__ = ['Line', 'add_command', 'examine', 'examine_installation']

DEFAULT_TIMEOUT = 5.0
"""How long each call to the sidecar may take, in seconds."""

_HELP = 'say which implementation is active, where the sidecar is, and what it can do'
_DESCRIPTION = (
    'Says which implementation of dapr.ext.workflow is active, where the sidecar is, whether it answers, and whether '
    'it sends deltas. Exits with 1 when something is wrong.'
)


def examine(
    *,
    host: str | None = None,
    port: str | int | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    offline: bool = False,
    probe: bool = False,
    instance_id: str | None = None,
) -> Iterator[Line]:
    """Examines this environment and the sidecar.

    Args:
        host: The sidecar's host. None (default): as `DaprWorkflowClient` finds it, the port, too.
        port: The sidecar's gRPC port.
        timeout: How long each call may take, in seconds. Default: 5.
        offline: Whether to leave the sidecar out. Default: False.
        probe: Whether to connect a worker for a moment and run a workflow of a name of its own, which shows for
            certain whether deltas come. Work items of others that come meanwhile are not answered; the sidecar sends
            them again. Default: False.
        instance_id: An instance to look at: how it stands and, where it is stalled, why and what to do. Default: none.

    Yields:
        What is found, line by line.
    """
    installation = list(examine_installation())
    yield from installation
    yield Line('python', f'{platform.python_version()} ({sys.executable})')
    for name in ('grpcio', 'protobuf'):
        yield _version(name)
    yield Line('dapr SDK', _version_of('dapr') or 'not installed; settings are read from the environment')
    yield examine_telemetry()
    if offline:
        return
    if any(line.wrong for line in installation):
        yield Line('sidecar', 'not asked: what is installed is to be put right first')
        return
    from dapr.ext.workflow.doctor.sidecar import examine_sidecar

    yield from examine_sidecar(host, port, timeout=timeout, probe=probe, instance_id=instance_id)


def main(arguments: Sequence[str], program: str) -> int:
    """Runs the command by itself, for where nothing else can be imported; gives the exit code."""
    parser = argparse.ArgumentParser(prog=program, description=_DESCRIPTION)
    _add_options(parser)
    return _run(parser.parse_args(arguments))


def add_command(commands: Any) -> None:
    """Adds the command to the subparsers of an `argparse` parser."""
    _add_options(commands.add_parser('doctor', help=_HELP, description=_DESCRIPTION))


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--host', help="the sidecar's host (default: as apps find it)")
    parser.add_argument('--port', help="the sidecar's gRPC port (default: as apps find it)")
    parser.add_argument(
        '--timeout', type=float, default=DEFAULT_TIMEOUT, help='seconds that each call may take (default: %(default)g)'
    )
    parser.add_argument('--offline', action='store_true', help='leave the sidecar out')
    parser.add_argument(
        '--probe',
        action='store_true',
        help='connect a worker for a moment and run a workflow, to see for certain whether deltas come; not where '
        'other workers use the sidecar: what is theirs can come to this one, and waits until it has gone',
    )
    parser.add_argument(
        '--instance',
        metavar='ID',
        help='look at one instance, too: how it stands and, where it is stalled, why and what to do',
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    lines = examine(
        host=options.host,
        port=options.port,
        timeout=options.timeout,
        offline=options.offline,
        probe=options.probe,
        instance_id=options.instance,
    )
    with _core_silenced():
        return show(lines)


@contextmanager
def _core_silenced() -> Iterator[None]:
    """Keeps off the terminal what gRPC's core writes to stderr, such as a failed handshake: the lines say it better.

    The core reads its own setting, GRPC_VERBOSITY, when it is loaded, which is before anything here runs.
    """
    stderr = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(nowhere)
        os.close(stderr)


def show(lines: Iterable[Line]) -> int:
    """Writes lines to stdout as they come.

    Returns:
        The exit code: 1 when something is wrong, else 0.
    """
    wrong = 0
    for line in lines:
        wrong += line.wrong
        sys.stdout.write(f'{"!" if line.wrong else " "} {line.name:15} {line.text}\n')
        sys.stdout.flush()
    sys.stdout.write(f'{wrong} wrong: see the lines that begin with "!"\n' if wrong else 'nothing wrong\n')
    return 1 if wrong else 0


def _version(name: str) -> Line:
    version = _version_of(name)
    return Line(name, version or 'not installed', wrong=version is None)


def _version_of(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
