"""`stack`: where a workflow's code stands, by a worker that serves its status."""

from __future__ import annotations

import argparse
import os
from typing import Final

from dapr.ext.workflow.cli.commands import NO, NOT_FOUND, OK, Commands
from dapr.ext.workflow.cli.output import tell, write
from dapr.ext.workflow.inspection.worker_status import NoAnswer, standing

_VARIABLE: Final = 'DAPR_WORKFLOW_WORKERS'


def add_commands(commands: Commands) -> None:
    """Adds `stack`."""
    parser: argparse.ArgumentParser = commands.subparsers.add_parser(
        'stack',
        help='show where the code of an instance stands, file and line',
        description='Shows where the code of an instance stands between its turns, file and line.',
        epilog='Asks workers that serve their status, see dapr.ext.workflow.status_server. It is known by the worker '
        'that had the last turn of the instance.',
    )
    parser.add_argument('instance_id', metavar='ID')
    parser.add_argument(
        '--worker',
        metavar='HOST:PORT',
        action='append',
        default=[],
        help=f'where a worker serves its status; may be given several times (default: those in {_VARIABLE})',
    )
    parser.set_defaults(run=_stack)


def _stack(options: argparse.Namespace) -> int:
    workers = options.worker or os.environ.get(_VARIABLE, '').replace(',', ' ').split()
    if not workers:
        raise ValueError(f'name a worker with --worker HOST:PORT, or in {_VARIABLE}')
    unanswered = 0
    for worker in workers:
        try:
            found = standing(worker, options.instance_id)
        except NoAnswer as error:
            unanswered += 1
            tell(f'{worker}: {error}')
            continue
        if found is not None:
            for task in found['tasks']:
                write(f'{task["name"]}:')
                for line in task['lines']:
                    write(f'  {line}')
            return OK
    if unanswered == len(workers):
        return NO
    tell(f"No worker keeps '{options.instance_id}': it has ended, is in a turn now, or was never theirs.")
    return NOT_FOUND
