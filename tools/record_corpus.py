"""Records the histories of tests/data/histories: `python -m tools.record_corpus`, for each release anew.

Each scenario of tests/support/corpus is played on the emulator, the Go sidecar and a production daprd, with this worker
and with that of dapr 1.19.0 in an environment of its own; its histories are written into
tests/data/histories/<sidecar>/<worker>/. What is there is kept: what a worker once wrote has to be replayed for good.

    python -m tools.record_corpus --sidecar daprd --worker ours chain saga
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from google.protobuf.message import Message

from benchmarks.peer import PEER_VERSION, our_environment, peer_environment
from benchmarks.process import Environment
from dapr.ext.workflow import DaprWorkflowClient, __version__
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator import Emulator
from dapr.ext.workflow.testing import WorkflowHistory
from tests.support import corpus
from tests.support.corpus.scenarios import SCENARIOS, lacks, play
from tools.daprd_sidecar import Daprd, daprd
from tools.go_sidecar import ROOT, Sidecar, builds


class Worker:
    """A process that runs the workflows of the corpus.

    Args:
        environment: Whose worker it is.
        address: Of its sidecar.
        age: Of its code.

    Raises:
        RuntimeError: It ended before it was ready.
    """

    def __init__(self, environment: Environment, address: str, age: str) -> None:
        is_ours = environment.path is not None
        script = ['-m', 'tests.support.corpus.worker'] if is_ours else [str(Path(corpus.__file__).parent / 'worker.py')]
        self.age = age
        self._process = subprocess.Popen(
            [str(environment.python), *script, *address.split(':'), age],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what fails there fails on purpose
            text=True,
            cwd=ROOT if is_ours else Path(corpus.__file__).parent,
            env=environment.variables(),
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != 'ready\n':
            raise RuntimeError(f'the worker {environment.name} of age {age} has ended before it was ready')

    def end(self) -> None:
        """Ends it as an app ends it."""
        self._process.communicate()


class Stage:
    """A sidecar, or one for each of two apps, with workers."""

    def __init__(self, environment: Environment, address: str, billing: str | None) -> None:
        host, _, port = address.rpartition(':')
        self.client = DaprWorkflowClient(host=host, port=port)
        self._environment = environment
        self._address = address
        self._billing = None if billing is None else Worker(environment, billing, 'new')
        self._worker = Worker(environment, address, 'new')

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._worker.end()
        if self._billing is not None:
            self._billing.end()
        self.client.close()

    def deploy(self, age: str) -> None:
        """Ends the worker and starts one of another age."""
        if self._worker.age != age:
            self._worker.end()
            self._worker = Worker(self._environment, self._address, age)


class Place:
    """Where scenarios are played: one kind of sidecar.

    Attributes:
        name: The folder of what was recorded on it.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self.name = {
            'emulator': f'emulator-{__version__}',
            'go': f'durabletask-go-{builds()[0].version}',
            'daprd': daprd().version,
        }[kind]

    def addresses(self, stack: ExitStack) -> tuple[str, str | None]:
        """Starts it; gives the addresses of the app and of another app, if it serves that."""
        if self._kind == 'emulator':
            emulator = stack.enter_context(Emulator(apps=('app', 'billing')))
            return emulator.address_of('app'), emulator.address_of('billing')
        if self._kind == 'go':
            return stack.enter_context(Sidecar(builds()[0])).address, None
        first = Daprd(daprd())
        stack.enter_context(first)
        second = Daprd(daprd(), app_id='billing', control_plane=first.control_plane)
        stack.enter_context(second)
        return first.address, second.address


def record(place: Place, environment: Environment, worker: str, names: list[str]) -> None:
    """Records what is not there yet."""
    folder = corpus.FOLDER / place.name / worker
    missing = lacks(place.name, worker)
    due = [name for name in names if not SCENARIOS[name].needs & missing and not (folder / f'{name}.json').exists()]
    if not due:
        return
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stage = stack.enter_context(Stage(environment, *place.addresses(stack)))
        for name in due:
            try:
                kept = play(stage, name)
            except Exception as error:  # the others are recorded all the same
                sys.stdout.write(f'{place.name}/{worker}/{name}: NOT RECORDED: {error!r}\n')
                continue
            for each, history in kept.items():
                blanked(history).to_file(folder / f'{each}.json')
            sys.stdout.write(f'{place.name}/{worker}/{name}: {", ".join(map(repr, kept.values()))}\n')
            sys.stdout.flush()


def blanked(history: WorkflowHistory) -> WorkflowHistory:
    """Without stack traces, which name the folders of a machine."""
    events = []
    for event in history.events:
        copy = pb.HistoryEvent()
        copy.CopyFrom(event)
        _blank(copy)
        events.append(copy)
    return WorkflowHistory(events, instance_id=history.instance_id)


def _blank(message: Any) -> None:
    for field, value in message.ListFields():
        if field.name == 'stackTrace':
            value.value = '(stack trace)'
        elif field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        elif isinstance(value, Message):
            _blank(value)
        else:
            for each in value:
                _blank(each)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog='python -m tools.record_corpus', description='Records the corpus of histories.'
    )
    parser.add_argument('scenarios', nargs='*', metavar='SCENARIO', help='default: all')
    parser.add_argument('--sidecar', action='append', choices=('emulator', 'go', 'daprd'), help='default: all')
    parser.add_argument('--worker', action='append', choices=('ours', 'peer'), help='default: both')
    asked = parser.parse_args(arguments)
    if unknown := set(asked.scenarios) - SCENARIOS.keys():
        parser.error(f'there is no {", ".join(sorted(unknown))}; there are {", ".join(SCENARIOS)}')
    for kind in asked.sidecar or ('emulator', 'go', 'daprd'):
        for worker in asked.worker or ('ours', 'peer'):
            environment = our_environment() if worker == 'ours' else peer_environment()
            name = f'ours-{__version__}' if worker == 'ours' else f'dapr-{PEER_VERSION}'
            record(Place(kind), environment, name, asked.scenarios or list(SCENARIOS))


if __name__ == '__main__':
    main()
