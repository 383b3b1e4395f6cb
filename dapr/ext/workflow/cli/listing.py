"""`list`: which workflows there are."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Any, Final

from dapr.ext.workflow._durabletask.client import OrchestrationStatus, WorkflowState
from dapr.ext.workflow.cli import moments
from dapr.ext.workflow.cli.commands import Commands
from dapr.ext.workflow.cli.connection import connect
from dapr.ext.workflow.cli.output import (
    FORMATS,
    add_output_option,
    clipped,
    payload,
    tell,
    write,
    write_data,
    write_table,
)
from dapr.ext.workflow.inspection.sidecar import Filter

STATUSES: Final = [status.name for status in OrchestrationStatus]


def add_commands(commands: Commands) -> None:
    """Adds `list`."""
    parser = commands.add(
        'list',
        _list,
        aliases=['ls'],
        help='list workflow instances, newest first',
        epilog="Reads each instance's state, since sidecars list ids alone; with '-o ids' and no filter it need not.",
    )
    add_filter_options(parser)
    parser.add_argument('-n', '--limit', type=int, metavar='N', help='give the N newest only')
    add_output_option(parser, (*FORMATS, 'ids'))


def add_filter_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `filter_of`."""
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
        '-m',
        '--filter-max-age',
        metavar='AGE',
        type=moments.ago,
        help="those created within this time, or since then: '90s', '1.5h', '2026-01-31', '2026-01-31T09:30:00Z'",
    )
    parser.add_argument('--filter-id', metavar='PART', default='', help='those whose id contains this')


def filter_of(options: argparse.Namespace) -> Filter:
    """What the options ask for."""
    return Filter(
        name=options.filter_name,
        statuses=frozenset(options.filter_status),
        created_from=options.filter_max_age,
        id_part=options.filter_id,
    )


def status(text: str) -> OrchestrationStatus:
    """Reads a status.

    Raises:
        argparse.ArgumentTypeError: There is none of that name.
    """
    try:
        return OrchestrationStatus[text.upper()]
    except KeyError:
        raise argparse.ArgumentTypeError(f'{text!r} is none of {", ".join(STATUSES)}') from None


def as_data(state: WorkflowState) -> dict[str, Any]:
    """An instance for scripts; names as in `WorkflowState`, payloads as the data that they are."""
    failure = state.failure_details
    return {
        'instance_id': state.instance_id,
        'name': state.name,
        'status': state.runtime_status.name,
        'created_at': _data_moment(state.created_at),
        'last_updated_at': _data_moment(state.last_updated_at),
        'input': payload(state.serialized_input),
        'output': payload(state.serialized_output),
        'custom_status': payload(state.serialized_custom_status),
        **({'metadata': state.metadata} if state.metadata else {}),
        'failure': None if failure is None else {'type': failure.error_type, 'message': failure.message},
    }


def _data_moment(moment: datetime) -> str | None:
    text = moments.timestamp(moment)
    return None if text == '-' else text


def _list(options: argparse.Namespace) -> int:
    wanted = filter_of(options)
    with connect(options) as sidecar:
        if options.output == 'ids' and wanted == Filter(id_part=wanted.id_part) and options.limit is None:
            for instance_id in sidecar.ids():
                if wanted.id_part.casefold() in instance_id.casefold():
                    write(instance_id)
            return 0
        payloads = options.output not in ('short', 'ids')
        states = sorted(sidecar.instances(wanted, payloads=payloads), key=lambda s: s.created_at, reverse=True)
    chosen = list(islice(states, options.limit))
    if options.output in ('json', 'yaml'):
        write_data([as_data(state) for state in chosen], options.output)
    elif options.output == 'ids':
        for state in chosen:
            write(state.instance_id)
    elif not chosen:
        tell('no instances' if wanted == Filter() else 'no instances that pass the filter')
    else:
        headings = ['NAME', 'INSTANCE ID', 'STATUS', 'AGE', 'LAST UPDATE']
        wide = options.output == 'wide'
        write_table(
            headings + (['CREATED', 'UPDATED', 'CUSTOM STATUS', 'FAILURE'] if wide else []), _rows(chosen, wide=wide)
        )
    return 0


def _rows(states: list[WorkflowState], *, wide: bool) -> Iterator[list[str]]:
    now = moments.now()
    for state in states:
        row = [
            state.name or '-',
            state.instance_id,
            state.runtime_status.name,
            moments.age(state.created_at, now),
            moments.age(state.last_updated_at, now),
        ]
        if wide:
            failure = state.failure_details
            row += [
                moments.timestamp(state.created_at),
                moments.timestamp(state.last_updated_at),
                clipped(state.serialized_custom_status, 40),
                '' if failure is None else clipped(f'{failure.error_type}: {failure.full_message}', 60),
            ]
        yield row
