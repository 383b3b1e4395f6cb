"""`show`, `history`, `tree` and `result`: one workflow, from near."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from google.protobuf import json_format

from dapr.ext.workflow._durabletask.client import OrchestrationStatus, WorkflowState
from dapr.ext.workflow._durabletask.failures import FailureDetails
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.metadata import metadata_of, payload_of
from dapr.ext.workflow.cli import moments
from dapr.ext.workflow.cli.commands import NO, OK, Commands, NotFound, add_wait_options, found, is_to_wait, wait_for_end
from dapr.ext.workflow.cli.connection import connect
from dapr.ext.workflow.cli.listing import as_data
from dapr.ext.workflow.cli.output import (
    add_output_option,
    clipped,
    tell,
    write,
    write_data,
    write_fields,
    write_table,
)
from dapr.ext.workflow.inspection.sidecar import ENDED, Sidecar
from dapr.ext.workflow.inspection.story import Step, StepKind, StepStatus, Story


def add_commands(commands: Commands) -> None:
    """Adds `show`, `history`, `tree` and `result`."""
    parser = commands.add('show', _show, help='show an instance: its state, what it waits for, its children')
    parser.add_argument('instance_id', metavar='ID')
    add_output_option(parser, ('short', 'yaml', 'json'))

    parser = commands.add('history', _history, help='show what has happened in an instance, event by event')
    parser.add_argument('instance_id', metavar='ID')
    add_output_option(parser)

    parser = commands.add('tree', _tree, help='show an instance with its children, and theirs')
    parser.add_argument('instance_id', metavar='ID')
    parser.add_argument('--depth', type=int, default=20, help='how far down (default: %(default)s)')

    parser = commands.add('result', _result, help="write an instance's output, once it has ended")
    parser.add_argument('instance_id', metavar='ID')
    add_wait_options(parser, 'wait until it has ended')


def write_result(state: WorkflowState) -> int:
    """Writes what a workflow came to: its output to stdout, or why there is none to stderr; gives the exit code."""
    if state.runtime_status is OrchestrationStatus.COMPLETED:
        write(state.serialized_output or 'null')
        return OK
    tell(f"The workflow '{state.instance_id}' is {state.runtime_status.name}.")
    if state.failure_details is not None:
        tell(_failure(state.failure_details))
    elif state.serialized_output:
        write(state.serialized_output)
    return NO


def _show(options: argparse.Namespace) -> int:
    with connect(options) as sidecar:
        state = found(sidecar, options.instance_id)
        story = sidecar.story(options.instance_id)
    if options.output != 'short':
        write_data({**as_data(state), **_story_data(story)}, options.output)
        return OK
    now = moments.now()
    failure = state.failure_details
    write_fields(
        [
            ('Instance', state.instance_id),
            ('Workflow', state.name + (f' (version {story.version})' if story.version else '')),
            ('Status', state.runtime_status.name),
            ('Stalled', story.stall),
            ('Created', f'{moments.timestamp(state.created_at)} ({moments.age(state.created_at, now)} ago)'),
            ('Updated', f'{moments.timestamp(state.last_updated_at)} ({moments.age(state.last_updated_at, now)} ago)'),
            ('Ran for', None if not (story.started and story.ended) else moments.short(story.ended - story.started)),
            ('Parent', story.parent_instance_id or None),
            ('Input', state.serialized_input),
            ('Metadata', json.dumps(state.metadata) if state.metadata else None),
            ('Output', state.serialized_output),
            ('Custom status', state.serialized_custom_status),
            ('Patches', ', '.join(story.patches) or None),
            ('Failure', None if failure is None else _failure(failure)),
            ('History', story.length),
            ('Waits for', _waits(state, story)),
            ('Children', '\n'.join(f'{c.instance_id}  {c.name}  {c.status.value}' for c in story.children) or None),
        ]
    )
    return OK


def _history(options: argparse.Namespace) -> int:
    with connect(options) as sidecar:
        found(sidecar, options.instance_id, payloads=False)
        events = sidecar.history(options.instance_id)
    if options.output in ('json', 'yaml'):
        write_data([json_format.MessageToDict(event) for event in events], options.output)
        return OK
    width = None if options.output == 'short' else 10_000
    write_table(['TYPE', 'NAME', 'EVENTID', 'ELAPSED', 'STATUS', 'DETAILS'], event_rows(events, width))
    return OK


def event_rows(events: list[pb.HistoryEvent], width: int | None = None) -> Iterator[list[str]]:
    """The events as rows of a table: type, name, event id, time since the start, status, details."""
    begun: datetime | None = None
    names = _names(events)
    for event in events:
        kind = event.WhichOneof('eventType')
        at = event.timestamp.ToDatetime()
        begun = begun or at
        body: Any = getattr(event, kind) if kind else None
        status, details = _told(kind or '', body)
        name = getattr(body, 'name', '') or names.get(getattr(body, 'taskScheduledId', 0), '')
        yield [
            f'{kind[0].upper()}{kind[1:]}' if kind else 'unknown',
            name,
            str(event.eventId) if event.eventId >= 0 else '-',
            moments.short(at - begun),
            status,
            clipped(details, width),
        ]


def _names(events: list[pb.HistoryEvent]) -> dict[int, str]:
    """What each action was called, for the events that tell of its end."""
    return {
        event.eventId: event.taskScheduled.name or event.childWorkflowInstanceCreated.name
        for event in events
        if event.WhichOneof('eventType') in ('taskScheduled', 'childWorkflowInstanceCreated')
    }


def _told(kind: str, body: Any) -> tuple[str, str]:
    """The status and the details of an event, in its row."""
    if kind == 'executionCompleted':
        status = pb.OrchestrationStatus.Name(body.workflowStatus).removeprefix('ORCHESTRATION_STATUS_')
        return status, _failure_of(body) or body.result.value
    if kind in ('taskFailed', 'childWorkflowInstanceFailed'):
        return 'FAILED', f'of event {body.taskScheduledId}: {_failure_of(body)}'
    if kind in ('taskCompleted', 'childWorkflowInstanceCompleted'):
        return 'COMPLETED', f'of event {body.taskScheduledId}: {body.result.value}'
    if kind == 'executionStalled':
        return 'STALLED', f'{pb.StalledReason.Name(body.reason)} {body.description}'
    if kind == 'timerCreated':
        origin = body.WhichOneof('origin') or ''
        what = {
            'externalEvent': f"wait for event '{body.externalEvent.name}'",
            'activityRetry': 'before the next attempt of an activity',
            'childWorkflowRetry': 'before the next attempt of a child workflow',
        }.get(origin, '')
        due = body.fireAt.ToDatetime()
        return '', ' '.join(filter(None, [what, '' if due.year == 9999 else f'until {moments.timestamp(due)}']))
    if kind == 'timerFired':
        return '', f'of event {body.timerId}'
    if kind == 'childWorkflowInstanceCreated':
        return '', f'{body.instanceId} {_input_of(body)}'
    if kind in ('executionStarted', 'taskScheduled'):
        return '', _input_of(body)
    if kind == 'detachedWorkflowInstanceCreated':
        return '', body.instanceId
    if kind == 'workflowStarted' and body.HasField('version'):
        return '', ' '.join(filter(None, [body.version.name, *(f'patch {patch}' for patch in body.version.patches)]))
    return '', str(body.input.value) if hasattr(body, 'input') else ''


def _input_of(body: Any) -> str:
    text = body.input.value
    metadata = metadata_of(text)
    return f'{payload_of(text) or ""}{f" with metadata {json.dumps(metadata)}" if metadata else ""}'.strip()


def _failure_of(body: Any) -> str:
    details = body.failureDetails
    return f'{details.errorType}: {details.errorMessage}' if body.HasField('failureDetails') else ''


def _tree(options: argparse.Namespace) -> int:
    with connect(options) as sidecar:
        for line in _branch(sidecar, options.instance_id, options.depth):
            write(line)
    return OK


def _branch(sidecar: Sidecar, instance_id: str, depth: int) -> Iterator[str]:
    state = sidecar.state(instance_id, payloads=False)
    if state is None:
        raise NotFound(instance_id)
    yield f'{instance_id}  {state.name}  {state.runtime_status.name}'
    yield from _below(sidecar, instance_id, depth, '', {instance_id})


def _below(sidecar: Sidecar, instance_id: str, depth: int, margin: str, seen: set[str]) -> Iterator[str]:
    children = sidecar.story(instance_id).children
    if children and depth <= 0:
        yield f'{margin}└─ ... {len(children)} children: see --depth'
        return
    states = {state.instance_id: state for state in sidecar.states(child.instance_id for child in children)}
    for number, child in enumerate(children, 1):
        is_last = number == len(children)
        state = states.get(child.instance_id)
        status = state.runtime_status.name if state is not None else 'in another app, or purged'
        app = f' (app {child.app_id})' if child.app_id else ''
        yield f'{margin}{"└─" if is_last else "├─"} {child.instance_id}  {child.name}  {status}{app}'
        if state is not None and child.instance_id not in seen:
            seen.add(child.instance_id)
            below = margin + ('   ' if is_last else '│  ')
            yield from _below(sidecar, child.instance_id, depth - 1, below, seen)


def _result(options: argparse.Namespace) -> int:
    with connect(options) as sidecar:
        state = found(sidecar, options.instance_id)
        if is_to_wait(options) and state.runtime_status not in ENDED:
            state = wait_for_end(options, sidecar, options.instance_id) or state
    if state.runtime_status not in ENDED:
        tell(f"The workflow '{state.instance_id}' is {state.runtime_status.name}: --wait waits for its end.")
        return NO
    return write_result(state)


def _waits(state: WorkflowState, story: Story) -> str | None:
    if state.runtime_status in ENDED:
        return None
    if state.runtime_status is OrchestrationStatus.SUSPENDED:
        return 'a resume (it is suspended)'
    if state.runtime_status is OrchestrationStatus.PENDING:
        return 'its start'
    return '\n'.join(step.describe() for step in story.waits_for) or 'its worker: the next turn is due'


def _failure(failure: FailureDetails) -> str:
    return '\n'.join(filter(None, [str(failure), failure.stack_trace]))


def _story_data(story: Story) -> dict[str, Any]:
    return {
        'version': story.version or None,
        'patches': story.patches,
        'parent_instance_id': story.parent_instance_id or None,
        'stalled': story.stall,
        'events': story.events,
        'turns': story.turns,
        'waits_for': [
            {'kind': step.kind.value, 'name': step.name, 'told': step.describe()} for step in story.waits_for
        ],
        'steps': [_step_data(step) for step in story.steps],
    }


def _step_data(step: Step) -> dict[str, Any]:
    data: dict[str, Any] = {
        'kind': step.kind.value,
        'name': step.name,
        'event_id': step.event_id,
        'status': step.status.value,
        'started': step.started.isoformat() + 'Z',
        'ended': None if step.ended is None else step.ended.isoformat() + 'Z',
    }
    if step.kind in (StepKind.ACTIVITY, StepKind.CHILD):
        data['attempts'] = len(step.attempts)
    if step.instance_id:
        data['instance_id'] = step.instance_id
    if step.status is StepStatus.FAILED and step.failure is not None:
        data['failure'] = {'type': step.failure.error_type, 'message': step.failure.message}
    return data
