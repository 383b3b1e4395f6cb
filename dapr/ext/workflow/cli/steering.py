"""`run`, `raise-event`, `suspend`, `resume`, `terminate` and `rerun`: what changes a workflow."""

from __future__ import annotations

import argparse
import json
from typing import Any

from dapr.ext.workflow.cli import moments
from dapr.ext.workflow.cli.commands import OK, Commands, NotFound, add_wait_options, is_to_wait, wait_for_end
from dapr.ext.workflow.cli.connection import connect
from dapr.ext.workflow.cli.output import tell, write
from dapr.ext.workflow.cli.showing import write_result


def add_commands(commands: Commands) -> None:
    """Adds the commands."""
    parser = commands.add('run', _run, help='start a workflow, and write its instance id')
    parser.add_argument('name', metavar='NAME', help='the name that it is registered by')
    parser.add_argument('-i', '--instance-id', metavar='ID', help='its instance id (default: a new one)')
    _add_payload_option(parser, 'its input')
    parser.add_argument(
        '-s', '--start-time', metavar='TIME', type=moments.ahead, help="when it starts: '10m', '2026-01-31T09:30:00Z'"
    )
    add_wait_options(parser, 'wait until it has ended, and write its output')

    parser = commands.add('raise-event', _raise_event, help='send an event to an instance')
    parser.add_argument('target', metavar='ID/EVENT', help='the instance id, and the name of the event')
    _add_payload_option(parser, 'its payload')

    for name, run, what in (
        ('suspend', _suspend, 'let instances stand still until they are resumed'),
        ('resume', _resume, 'let suspended instances go on'),
    ):
        parser = commands.add(name, run, help=what)
        parser.add_argument('instance_ids', metavar='ID', nargs='+')

    parser = commands.add('terminate', _terminate, help='end instances from outside')
    parser.add_argument('instance_ids', metavar='ID', nargs='+')
    _add_payload_option(parser, 'their output', '--output')
    parser.add_argument('--no-children', action='store_true', help='leave their children alone')

    parser = commands.add('rerun', _rerun, help='run an instance that has ended again, as a new one')
    parser.add_argument('instance_id', metavar='ID')
    parser.add_argument(
        '-e',
        '--event-id',
        type=int,
        default=0,
        metavar='N',
        help='from this event on, see `history` (default: 0)',
    )
    parser.add_argument('--new-instance-id', metavar='ID', help='the id of the new one (default: made up)')
    _add_payload_option(parser, "the event's new input")


def _run(options: argparse.Namespace) -> int:
    with connect(options) as sidecar:
        instance_id = sidecar.client.schedule_new_orchestration(
            options.name,
            input=options.input,
            instance_id=options.instance_id,
            start_at=options.start_time,
            app_id=options.app_id,
        )
        if not is_to_wait(options):
            write(instance_id)
            return OK
        tell(instance_id)
        state = wait_for_end(options, sidecar, instance_id)
    if state is None:
        raise NotFound(instance_id)
    return write_result(state)


def _raise_event(options: argparse.Namespace) -> int:
    instance_id, _, event = options.target.rpartition('/')
    if not instance_id or not event:
        raise ValueError(f'raise-event takes ID/EVENT, not {options.target!r}')
    with connect(options) as sidecar:
        sidecar.client.raise_orchestration_event(instance_id, event, data=options.input, app_id=options.app_id)
    tell(f"The event '{event}' is on its way to '{instance_id}'.")
    return OK


def _suspend(options: argparse.Namespace) -> int:
    with connect(options) as sidecar:
        for instance_id in options.instance_ids:
            sidecar.client.suspend_orchestration(instance_id, app_id=options.app_id)
            tell(f"'{instance_id}' is suspended.")
    return OK


def _resume(options: argparse.Namespace) -> int:
    with connect(options) as sidecar:
        for instance_id in options.instance_ids:
            sidecar.client.resume_orchestration(instance_id, app_id=options.app_id)
            tell(f"'{instance_id}' goes on.")
    return OK


def _terminate(options: argparse.Namespace) -> int:
    with connect(options) as sidecar:
        for instance_id in options.instance_ids:
            sidecar.client.terminate_orchestration(
                instance_id, output=options.input, recursive=not options.no_children, app_id=options.app_id
            )
            tell(f"'{instance_id}' is terminated.")
    return OK


def _rerun(options: argparse.Namespace) -> int:
    with connect(options) as sidecar:
        instance_id = sidecar.client.rerun_orchestration_from_event(
            options.instance_id,
            options.event_id,
            new_instance_id=options.new_instance_id,
            input=options.input,
            overwrite_input=options.input is not None,
            app_id=options.app_id,
        )
    write(instance_id)
    return OK


def _add_payload_option(parser: argparse.ArgumentParser, what: str, name: str = '--input') -> None:
    parser.add_argument('-x', name, dest='input', metavar='JSON', type=_payload, help=f'{what}, as JSON')


def _payload(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f'{text!r} is no JSON ({error}); a text needs quotes: \'"text"\'') from None
