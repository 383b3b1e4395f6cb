"""`watch`: what happens, while it happens."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence

from dapr.ext.workflow._durabletask.client import OrchestrationStatus, WorkflowState
from dapr.ext.workflow.cli import moments
from dapr.ext.workflow.cli.commands import OK, Commands, found
from dapr.ext.workflow.cli.connection import connect
from dapr.ext.workflow.cli.listing import add_filter_options, filter_of
from dapr.ext.workflow.cli.output import plain_table, tell, write
from dapr.ext.workflow.cli.showing import event_rows, write_result
from dapr.ext.workflow.inspection.catalogue import Catalogue
from dapr.ext.workflow.inspection.sidecar import ENDED, Filter, Sidecar


def add_commands(commands: Commands) -> None:
    """Adds `watch`."""
    parser = commands.add(
        'watch',
        _watch,
        help='tell what happens: in one instance until it ends, or in all until Ctrl-C',
        epilog='Writes a line for each change, so that it can be piped.',
    )
    parser.add_argument('instance_id', metavar='ID', nargs='?')
    parser.add_argument(
        '--interval',
        type=float,
        default=1.0,
        metavar='SECONDS',
        help='time between two looks (default: %(default)g)',
    )
    add_filter_options(parser)


def _watch(options: argparse.Namespace) -> int:
    with connect(options) as sidecar:
        if options.instance_id is None:
            _watch_all(sidecar, filter_of(options), options.interval)
            return OK
        return _watch_one(sidecar, options.instance_id, options.interval)


def _watch_one(sidecar: Sidecar, instance_id: str, interval: float) -> int:
    shown = 0
    execution = ''
    while True:
        # The state first: its end is told when all events before it are.
        state = found(sidecar, instance_id)
        events = sidecar.history(instance_id)
        current = next(
            (e.executionStarted.workflowInstance.executionId.value for e in events if e.HasField('executionStarted')),
            '',
        )
        if current != execution or len(events) < shown:  # it has continued as new
            shown, execution = 0, current
        rows = list(event_rows(events))[shown:]
        for line in plain_table(['', '', '', '', '', ''], rows)[1:] if rows else ():
            write(line)
        shown = len(events)
        if state.runtime_status in ENDED:
            tell(f"'{instance_id}' is {state.runtime_status.name}.")
            return write_result(state) if state.runtime_status is not OrchestrationStatus.COMPLETED else OK
        time.sleep(interval)


def _watch_all(sidecar: Sidecar, wanted: Filter, interval: float) -> None:
    catalogue = Catalogue(sidecar, interval)
    catalogue.start()
    try:
        version, known = -1, dict[str, WorkflowState]()
        problem: str | None = None
        while True:
            snapshot = catalogue.wait_for_change(version, timeout=60)
            if snapshot.problem != problem and snapshot.problem is not None:
                tell(f'The sidecar cannot be asked: {snapshot.problem}')
            problem = snapshot.problem
            if not snapshot.is_complete or snapshot.version == version:
                version = snapshot.version
                continue
            states = {state.instance_id: state for state in snapshot.matching(wanted)}
            for line in _changes(known, states, is_first=version == -1 or not known):
                write(line)
            version, known = snapshot.version, states
    finally:
        catalogue.close()


def _changes(before: dict[str, WorkflowState], now: dict[str, WorkflowState], *, is_first: bool) -> Iterator[str]:
    changed: Sequence[WorkflowState] = [s for s in now.values() if before.get(s.instance_id) != s]
    if is_first:
        changed = [s for s in changed if s.runtime_status not in ENDED]
    for state in sorted(changed, key=lambda s: s.last_updated_at):
        at = moments.timestamp(state.last_updated_at)
        yield f'{at}  {state.runtime_status.name:10}  {state.name}  {state.instance_id}'
    for gone in before.keys() - now.keys():
        yield f'{moments.timestamp(moments.now())}  {"PURGED":10}  {before[gone].name}  {gone}'
