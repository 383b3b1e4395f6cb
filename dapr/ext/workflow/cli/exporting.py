"""`history export`: histories as files, for replays and for later."""

from __future__ import annotations

import argparse
import hashlib
from itertools import islice
from pathlib import Path
from typing import Final
from urllib.parse import quote

from dapr.ext.workflow._durabletask.transport.errors import WorkflowNotFoundError
from dapr.ext.workflow.cli.commands import NO, NOT_FOUND, OK, Commands
from dapr.ext.workflow.cli.connection import connect
from dapr.ext.workflow.cli.listing import STATUSES, status
from dapr.ext.workflow.cli.output import tell, write
from dapr.ext.workflow.cli.progress import progress
from dapr.ext.workflow.inspection.sidecar import Filter, Sidecar

COMMAND: Final = 'history-export'
"""What the command is called within: `history export` on the command line, since `history ID` is one, too."""

_LIMIT: Final = 10
_LONGEST: Final = 200


def add_commands(commands: Commands) -> None:
    """Adds `history export`."""
    parser = commands.add(
        COMMAND,
        _export,
        help='write histories into files, for replays (also: history export)',
        epilog='Takes ids, or the newest instances of a name and status. Writes all of each history, as protobuf JSON, '
        "and tells the files. 'replay' tries today's code on them.",
    )
    parser.prog = parser.prog.replace(COMMAND, 'history export')
    parser.add_argument('instance_ids', metavar='ID', nargs='*')
    parser.add_argument('-o', '--output', metavar='FOLDER', required=True, help='where they go; it is made if need be')
    parser.add_argument('-w', '--filter-name', metavar='NAME', default='', help='those of this workflow')
    parser.add_argument(
        '-s',
        '--filter-status',
        metavar='STATUS',
        action='append',
        default=[],
        type=status,
        help=f'those that have this status, one of {", ".join(STATUSES)}; may be given several times',
    )
    parser.add_argument(
        '-n', '--limit', type=_count, metavar='N', help=f'the newest N of them (default, without ids: {_LIMIT})'
    )


def joined(arguments: list[str]) -> list[str]:
    """The command line with `history export` as the one command that it is; `history -- export` is another."""
    return [COMMAND, *arguments[2:]] if arguments[:2] == ['history', 'export'] else arguments


def file_name(instance_id: str) -> str:
    """The name of an instance's file: its id, with what file systems do not take written as in URLs."""
    name = quote(instance_id, safe=" ,;=@+~()[]{}'!$&")
    if name.startswith('.'):
        name = '%2E' + name[1:]
    if len(name) > _LONGEST:
        name = f'{name[:_LONGEST]}-{hashlib.sha256(instance_id.encode()).hexdigest()[:16]}'
    return f'{name}.json'


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f'{text!r} is no number from 1 on')
    return int(text)


def _export(options: argparse.Namespace) -> int:
    from dapr.ext.workflow.testing.histories import WorkflowHistory

    if options.instance_ids and (options.filter_name or options.filter_status or options.limit):
        raise ValueError('give ids, or --filter-name, --filter-status and --limit, but not both')
    folder = Path(options.output)
    code = OK
    with connect(options) as sidecar:
        ids = options.instance_ids or _newest(sidecar, options)
        if not ids:
            tell('no instances that pass the filter')
            return NO
        folder.mkdir(parents=True, exist_ok=True)
        for instance_id in progress(ids, 'Exporting'):
            try:
                history = WorkflowHistory(sidecar.history(instance_id), instance_id=instance_id)
            except WorkflowNotFoundError:
                tell(f"There is no workflow instance '{instance_id}'.")
                code = NOT_FOUND
            except ValueError:
                tell(f"'{instance_id}' has no history yet.")
                code = code or NO
            else:
                path = folder / file_name(instance_id)
                history.to_file(path)
                write(str(path))
    return code


def _newest(sidecar: Sidecar, options: argparse.Namespace) -> list[str]:
    wanted = Filter(name=options.filter_name, statuses=frozenset(options.filter_status))
    found = sorted(sidecar.instances(wanted), key=lambda state: state.created_at, reverse=True)
    return [state.instance_id for state in islice(found, options.limit or _LIMIT)]
