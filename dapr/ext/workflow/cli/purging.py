"""`purge`: removes workflows that have ended, one or many."""

from __future__ import annotations

import argparse
import sys

import grpc

from dapr.ext.workflow._durabletask.transport.errors import describe
from dapr.ext.workflow.cli import moments
from dapr.ext.workflow.cli.commands import NO, OK, Commands
from dapr.ext.workflow.cli.connection import connect
from dapr.ext.workflow.cli.listing import status
from dapr.ext.workflow.cli.output import tell
from dapr.ext.workflow.cli.progress import progress
from dapr.ext.workflow.inspection.sidecar import ENDED, Filter, Sidecar


def add_commands(commands: Commands) -> None:
    """Adds `purge`."""
    parser = commands.add(
        'purge',
        _purge,
        help='remove instances that have ended, with their history',
        epilog='Takes ids, or one of --all and --all-older-than. Asks before it removes more than one, unless --yes.',
    )
    parser.add_argument('instance_ids', metavar='ID', nargs='*')
    parser.add_argument('--all', action='store_true', help='all that have ended')
    parser.add_argument(
        '--all-older-than', metavar='AGE', type=moments.ago, help="all created before that: '24h', '2026-01-31'"
    )
    parser.add_argument(
        '--all-filter-status', metavar='STATUS', type=status, help='of these, those that have this status'
    )
    parser.add_argument(
        '--force', action='store_true', help='also those that have not ended; what a worker does with one then is lost'
    )
    parser.add_argument('--no-children', action='store_true', help='leave their children')
    parser.add_argument('-y', '--yes', action='store_true', help='do not ask')


def _purge(options: argparse.Namespace) -> int:
    many = options.all or options.all_older_than is not None
    if many == bool(options.instance_ids):
        raise ValueError('purge takes ids, or one of --all and --all-older-than')
    if options.all_filter_status is not None and not many:
        raise ValueError('--all-filter-status goes with --all or --all-older-than')
    with connect(options) as sidecar:
        ids = _chosen(sidecar, options) if many else list(options.instance_ids)
        if many and not ids:
            tell('nothing to purge')
            return OK
        if many and not options.yes and not _agreed(len(ids)):
            tell('nothing was purged')
            return NO
        return _purge_each(sidecar, ids, options)


def _chosen(sidecar: Sidecar, options: argparse.Namespace) -> list[str]:
    chosen = options.all_filter_status
    statuses = frozenset([chosen]) if chosen is not None else frozenset() if options.force else ENDED
    wanted = Filter(statuses=statuses, created_until=options.all_older_than)
    return [state.instance_id for state in sidecar.instances(wanted)]


def _agreed(count: int) -> bool:
    if not sys.stdin.isatty():
        raise ValueError(f'{count} instances would be purged, and nobody is there to be asked: say --yes')
    return input(f'Purge {count} instances? [y/N] ').strip().lower() in ('y', 'yes')


def _purge_each(sidecar: Sidecar, ids: list[str], options: argparse.Namespace) -> int:
    gone, refused = 0, 0
    for instance_id in progress(ids, 'purging'):
        try:
            gone += sidecar.client.purge_orchestration(
                instance_id, not options.no_children, force=options.force, app_id=options.app_id
            )
        except grpc.RpcError as error:
            if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAUTHENTICATED) or len(ids) == 1:
                raise
            refused += 1
            tell(f"'{instance_id}': {describe(error)}")
    tell(f'{gone} purged' + (f', {refused} refused' if refused else ''))
    return NO if refused else OK
