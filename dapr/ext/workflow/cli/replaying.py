"""`replay`: whether today's code can go on with recorded histories, for CI."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Final

from dapr.ext.workflow.cli.commands import NO, OK, Commands
from dapr.ext.workflow.cli.junit import Case, write_junit
from dapr.ext.workflow.cli.output import tell, write, write_data, write_table
from dapr.ext.workflow.cli.progress import progress

if TYPE_CHECKING:
    from dapr.ext.workflow.testing.replayer import Replayer

_OK: Final = 'ok'
_FAILED: Final = 'FAILED'
_UNREADABLE: Final = 'UNREADABLE'
_SKIPPED: Final = 'skipped'


@dataclass(frozen=True)
class Replayed:
    """What came of one file.

    Attributes:
        path: The file.
        outcome: One of 'ok', 'FAILED', 'UNREADABLE' and 'skipped'.
        instance_id: The instance, as far as the file can be read.
        workflow: Its workflow's name.
        events: How many events there are.
        seconds: How long it took.
        why: Why it is not ok; empty when it is.
    """

    path: Path
    outcome: str
    instance_id: str
    workflow: str
    events: int
    seconds: float
    why: str


def add_commands(commands: Commands) -> None:
    """Adds `replay`."""
    parser: argparse.ArgumentParser = commands.subparsers.add_parser(
        'replay',
        help="replay recorded histories with today's code",
        description="Replays recorded histories with today's code, and says where changed workflows leave them.",
        epilog='Exit code: 0, all can be replayed; 1, one cannot, or is no history; 2, there is nothing to replay, or '
        "the workflows cannot be imported. Histories are written by 'history export'. No sidecar is needed.",
    )
    parser.add_argument(
        'paths', metavar='FOLDER', nargs='+', help='a folder of histories (*.json, in all its folders), or a file'
    )
    parser.add_argument(
        '--workflows',
        metavar='MODULE[:NAME]',
        action='append',
        required=True,
        help='where the workflows are: a module, or a runtime, a workflow or a list in it; may be given several times',
    )
    parser.add_argument('--junit', metavar='FILE', help='write the results as JUnit XML, too')
    parser.add_argument(
        '--compare-payloads', action='store_true', help='inputs of calls, and results, must be the same, too'
    )
    parser.add_argument(
        '--skip-unknown', action='store_true', help='pass over histories of workflows that are not among those given'
    )
    parser.add_argument('-o', '--output', choices=('short', 'json'), default='short', help='the form (default: short)')
    parser.set_defaults(run=_replay)


def history_files(paths: Sequence[str | Path]) -> list[Path]:
    """The files of histories: these files, and all *.json in these folders, in order.

    Raises:
        ValueError: There is no such file or folder.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            files += sorted(path.rglob('*.json'))
        elif path.exists():
            files.append(path)
        else:
            raise ValueError(f'there is no file or folder {path}')
    return files


def _replay(options: argparse.Namespace) -> int:
    from dapr.ext.workflow.testing.finding import replayer_of

    files = history_files(options.paths)
    if not files:
        raise ValueError(f'there are no histories (*.json) in {", ".join(options.paths)}')
    if os.getcwd() not in sys.path:  # as with `python -m`; a script has its own folder there
        sys.path.insert(0, os.getcwd())
    replayer = replayer_of(options.workflows, compare_payloads=options.compare_payloads)
    begun = perf_counter()
    results = list(_replayed(replayer, files, skip_unknown=options.skip_unknown))
    if options.junit:
        write_junit(options.junit, 'dapr-workflow replay', [_case(result) for result in results])
    if options.output == 'json':
        write_data([_as_data(result) for result in results], 'json')
    else:
        _write(results, perf_counter() - begun)
    return NO if any(result.outcome in (_FAILED, _UNREADABLE) for result in results) else OK


def _replayed(replayer: Replayer, files: Sequence[Path], *, skip_unknown: bool) -> Iterator[Replayed]:
    from dapr.ext.workflow.testing.histories import WorkflowHistory

    for path in progress(files, 'Replaying'):
        begun = perf_counter()
        try:
            history = WorkflowHistory.from_file(path)
        except (OSError, ValueError) as error:
            yield Replayed(path, _UNREADABLE, '', '', 0, perf_counter() - begun, str(error))
            continue
        outcome, why = _OK, ''
        if skip_unknown and history.workflow_name not in replayer.workflow_names:
            outcome, why = _SKIPPED, f"the workflow '{history.workflow_name}' is not among those given"
        else:
            try:
                failure = replayer.replay_workflow(history, raise_on_replay_failure=False).replay_failure
            except ValueError as error:
                outcome, why = _UNREADABLE, str(error)
            else:
                if failure is not None:
                    outcome, why = _FAILED, str(failure)
        seconds = perf_counter() - begun
        yield Replayed(path, outcome, history.instance_id, history.workflow_name, len(history), seconds, why)


def _write(results: Sequence[Replayed], seconds: float) -> None:
    write_table(
        ['RESULT', 'WORKFLOW', 'INSTANCE ID', 'EVENTS', 'FILE'],
        [
            [result.outcome, result.workflow or '-', result.instance_id or '-', str(result.events), str(result.path)]
            for result in results
        ],
    )
    for result in results:
        if result.outcome in (_FAILED, _UNREADABLE):
            write()
            write(f'{result.path}:')
            write(result.why)
    counts = {outcome: sum(result.outcome == outcome for result in results) for outcome in _TOLD}
    told = [f'{count} {_TOLD[outcome]}' for outcome, count in counts.items() if count]
    tell(f'{len(results)} histories: {", ".join(told)}, in {seconds:.2f} s')


_TOLD: Final = {
    _OK: 'replayed',
    _FAILED: 'cannot be replayed',
    _UNREADABLE: 'cannot be read',
    _SKIPPED: 'passed over',
}


def _as_data(result: Replayed) -> dict[str, object]:
    return {
        'file': str(result.path),
        'result': result.outcome.lower(),
        'instance_id': result.instance_id or None,
        'workflow': result.workflow or None,
        'events': result.events,
        'why': result.why or None,
    }


def _case(result: Replayed) -> Case:
    kinds = {_FAILED: 'failure', _UNREADABLE: 'error', _SKIPPED: 'skipped'}
    return Case(
        name=str(result.path),
        group=result.workflow or 'unknown',
        seconds=result.seconds,
        kind=kinds.get(result.outcome),
        text=result.why,
    )
