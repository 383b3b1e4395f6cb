"""One instance: how it stands, its timeline, its history, its children, and what can be done to it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from google.protobuf import json_format

from dapr.ext.workflow._durabletask.client import OrchestrationStatus, WorkflowState
from dapr.ext.workflow._durabletask.failures import FailureDetails
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.cli import moments
from dapr.ext.workflow.cli.showing import event_rows
from dapr.ext.workflow.dashboard.html import Child, Markup, el
from dapr.ext.workflow.dashboard.page import (
    View,
    badge,
    facts,
    field,
    form,
    frame,
    instance_url,
    moment,
    payload,
    pretty,
    table,
    url,
)
from dapr.ext.workflow.dashboard.timeline import ZOOMS, timeline
from dapr.ext.workflow.dashboard.workers import where_it_stands
from dapr.ext.workflow.inspection.sidecar import ENDED, Sidecar
from dapr.ext.workflow.inspection.story import StepKind, Story, read

EVENTS: Final = 500
_TREE_DEPTH: Final = 6
_TREE_NODES: Final = 300
_TABS: Final = (('', 'Overview'), ('timeline', 'Timeline'), ('history', 'History'), ('tree', 'Family'))
_RERUNNABLE: Final = ('taskScheduled', 'childWorkflowInstanceCreated', 'timerCreated')


def instance_page(
    view: View,
    sidecar: Sidecar,
    state: WorkflowState,
    events: Sequence[pb.HistoryEvent],
    query: Mapping[str, str],
    workers: Sequence[str] = (),
) -> str:
    """The page of an instance; with workers named, also where its code stands."""
    tab = query.get('tab', '')
    story = read(events)
    here = instance_url(state.instance_id, tab=tab)
    zoom = next((factor for factor in ZOOMS if str(factor) == query.get('zoom')), 1)
    content: Child
    if tab == 'timeline':
        content = timeline(view, state.instance_id, story, zoom, failures_first=query.get('order') != 'time')
    elif tab == 'history':
        content = _history(view, state.instance_id, events, query)
    elif tab == 'tree':
        content = _family(sidecar, state, story)
    else:
        stands = None if state.runtime_status in ENDED else where_it_stands(workers, state.instance_id)
        content = [_overview(view, state, story), stands]
    tabs = [
        el('a', text, href=instance_url(state.instance_id, tab=name), aria_current='page' if name == tab else None)
        for name, text in _TABS
    ]
    return frame(
        view,
        state.instance_id,
        el('p', el('a', 'Instances', href='/'), ' / ', class_='path'),
        el('h1', state.instance_id, ' ', badge(state.runtime_status)),
        el('nav', *tabs, class_='tabs', aria_label='Parts of the instance'),
        content,
        _actions(view, state, story, events, here),
    )


def missing_page(view: View, instance_id: str) -> str:
    """The page of an instance that is not there."""
    return frame(
        view,
        'No such instance',
        el('h1', 'No such instance'),
        el('p', 'There is no instance ', el('code', instance_id), '. It may have been purged.'),
        el('p', el('a', 'All instances', href='/')),
    )


def _overview(view: View, state: WorkflowState, story: Story) -> Child:
    ran = (story.ended or view.now) - story.started if story.started is not None else None
    failure = state.failure_details
    return [
        _waits(view, state, story),
        _failure(failure) if failure is not None else None,
        el(
            'section',
            facts(
                [
                    ('Workflow', state.name + (f' (version {story.version})' if story.version else '')),
                    ('Created', moment(state.created_at, view.now)),
                    ('Last change', moment(state.last_updated_at, view.now)),
                    ('Ran for' if story.ended else 'Runs for', None if ran is None else moments.short(ran)),
                    ('Parent', _link(story.parent_instance_id)),
                    ('Custom status', payload(view, state.serialized_custom_status)),
                    ('Input', payload(view, state.serialized_input)),
                    ('Metadata', payload(view, json.dumps(state.metadata) if state.metadata else None)),
                    ('Output', payload(view, state.serialized_output)),
                    ('Patches', ', '.join(story.patches) or None),
                    ('History', story.length),
                    ('Run', el('code', story.execution_id) if story.execution_id else None),
                ]
            ),
            class_='card',
        ),
    ]


def _waits(view: View, state: WorkflowState, story: Story) -> Markup | None:
    if state.runtime_status in ENDED:
        return None
    items: list[Child]
    if story.stall is not None or state.runtime_status is OrchestrationStatus.STALLED:
        items = [f'help: it is stalled ({story.stall or "the history does not say why"})']
    elif state.runtime_status is OrchestrationStatus.SUSPENDED:
        items = ['a resume: it is suspended']
    elif state.runtime_status is OrchestrationStatus.PENDING:
        items = ['its start']
    else:
        items = [
            [
                step.describe(),
                ', for ',
                moments.short(max(view.now - step.started, view.now - view.now)),
                [' ', _link(step.instance_id)] if step.instance_id else None,
            ]
            for step in story.waits_for
        ] or ['its worker: the next turn is due']
    return el(
        'section',
        el('h2', 'Waits for'),
        el('ul', *(el('li', item) for item in items[:100])),
        el('p', f'and {len(items) - 100} more') if len(items) > 100 else None,
        class_='card waits',
    )


def _failure(failure: FailureDetails) -> Markup:
    return el(
        'section',
        el('h2', 'Failure'),
        el('p', el('strong', failure.error_type), ': ', failure.message),
        el('p', 'Caused by ', str(failure.inner_failure)) if failure.inner_failure is not None else None,
        el('details', el('summary', 'Stack trace'), el('pre', failure.stack_trace, tabindex='0'))
        if failure.stack_trace
        else None,
        class_='card failure',
    )


def _history(view: View, instance_id: str, events: Sequence[pb.HistoryEvent], query: Mapping[str, str]) -> Child:
    is_full = query.get('form') == 'full'
    pages = max(1, -(-len(events) // EVENTS))
    asked = query.get('page', '')
    number = min(max(int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 9 else 1, 1), pages)
    part = slice((number - 1) * EVENTS, number * EVENTS)
    rows = list(event_rows(list(events), None if view.payloads is not None else 1))[part]
    bare = view.payloads is None
    shown: list[list[Child]] = [
        [kind, name, event_id, elapsed, badge(status) if status else '', '(hidden)' if bare and details else details]
        for kind, name, event_id, elapsed, status, details in rows
    ]
    headings = ['Type', 'Name', 'Event', 'Elapsed', 'Status', 'Details']
    if is_full:
        headings.append('All of it')
        for row, event in zip(shown, events[part], strict=True):
            row.append(el('em', 'hidden') if bare else _folded(event))
    switch = el(
        'a',
        'Compact' if is_full else 'Full',
        href=instance_url(instance_id, tab='history', form=None if is_full else 'full', page=number),
    )
    download = None if bare else el('a', 'Download', href=url('/history.json', id=instance_id), download=True)
    turned = [
        el(
            'a',
            str(page),
            href=instance_url(instance_id, tab='history', form=query.get('form'), page=page),
            aria_current='true' if page == number else None,
        )
        for page in range(1, pages + 1)
    ]
    return [
        el('nav', switch, download, *(turned if pages > 1 else ()), class_='zooms', aria_label='Form and pages'),
        table(headings, shown, caption='History, oldest event first', class_='history'),
    ]


def _folded(event: pb.HistoryEvent) -> Markup:
    text = pretty(json_format.MessageToJson(event))
    return el('details', el('summary', 'JSON'), el('pre', text, tabindex='0'))


def _family(sidecar: Sidecar, state: WorkflowState, story: Story) -> Child:
    left = [_TREE_NODES]
    parent = story.parent_instance_id
    tree = el('ul', _node(sidecar, state, story, _TREE_DEPTH, left), class_='tree', role='tree')
    return [
        el('p', 'Its parent is ', _link(parent), '.') if parent else None,
        tree,
        el('p', f'Only {_TREE_NODES} of the family are shown.') if left[0] <= 0 else None,
    ]


def _node(sidecar: Sidecar, state: WorkflowState, story: Story, depth: int, left: list[int]) -> Markup:
    left[0] -= 1
    apart = [step for step in story.steps if step.kind in (StepKind.CHILD, StepKind.DETACHED)]
    states = {s.instance_id: s for s in sidecar.states(step.instance_id for step in apart)} if depth > 0 else {}
    below: list[Markup] = []
    for step in apart:
        if left[0] <= 0:
            break
        child = states.get(step.instance_id)
        if child is not None and depth > 0:
            below.append(_node(sidecar, child, sidecar.story(child.instance_id), depth - 1, left))
        else:
            left[0] -= 1
            where = f'in app {step.app_id}' if step.app_id else 'not looked at' if depth <= 0 else 'not here: purged'
            below.append(el('li', _link(step.instance_id), ' ', step.name, ' ', el('em', where), role='treeitem'))
    return el(
        'li',
        _link(state.instance_id),
        ' ',
        state.name,
        ' ',
        badge(state.runtime_status),
        el('ul', *below, role='group') if below else None,
        role='treeitem',
    )


def _actions(
    view: View, state: WorkflowState, story: Story, events: Sequence[pb.HistoryEvent], here: str
) -> Markup | None:
    if view.read_only:
        return None
    has_ended = state.runtime_status in ENDED
    made = list(_of_ended(view, state, events, here) if has_ended else _of_running(view, state, story, here))
    return el('section', el('h2', 'Actions'), el('div', *made, class_='actions'), class_='card')


def _of_running(view: View, state: WorkflowState, story: Story, here: str) -> Iterator[Markup | None]:
    key = el('input', type='hidden', name='id', value=state.instance_id)
    waited = [step.name for step in story.waits_for if step.kind is StepKind.WAIT]
    yield form(
        view,
        'raise-event',
        key,
        el('h3', 'Raise an event'),
        field('Name', 'name', required=True, list='waited', value=waited[0] if waited else '', autocomplete='off'),
        el('datalist', *(el('option', value=name) for name in dict.fromkeys(waited)), id='waited'),
        el('label', el('span', 'Payload, as JSON'), el('textarea', name='input', rows='3')),
        el('button', 'Raise', type='submit', class_='main'),
        back=here,
        class_='action',
    )
    is_suspended = state.runtime_status is OrchestrationStatus.SUSPENDED
    for what, text in (('resume', 'Resume'),) if is_suspended else (('suspend', 'Suspend'),):
        yield form(view, what, key, el('button', text, type='submit'), back=here, class_='action')
    yield form(
        view,
        'terminate',
        key,
        el('h3', 'Terminate'),
        field('Output, as JSON', 'input', autocomplete='off'),
        el('button', 'Terminate', type='submit', class_='danger'),
        back=here,
        class_='action',
    )
    if state.runtime_status is OrchestrationStatus.STALLED:
        yield form(
            view,
            'purge',
            key,
            el('input', type='hidden', name='force', value='yes'),
            el('button', 'Purge by force', type='submit', class_='danger'),
            back='/',
            class_='action',
        )


def _of_ended(
    view: View, state: WorkflowState, events: Sequence[pb.HistoryEvent], here: str
) -> Iterator[Markup | None]:
    key = el('input', type='hidden', name='id', value=state.instance_id)
    options = [
        (event.eventId, f'{event.eventId}: {kind} {getattr(_body(event), "name", "")}')
        for event in events
        if (kind := event.WhichOneof('eventType')) in _RERUNNABLE
    ]
    if options:
        chosen = [el('option', text, value=number) for number, text in options[:1000]]
        yield form(
            view,
            'rerun',
            key,
            el('h3', 'Run again, as a new instance'),
            el('label', el('span', 'From event'), el('select', *chosen, name='event')),
            field('New instance id', 'instance_id', placeholder='a made-up one', autocomplete='off'),
            el('label', el('span', "The event's new input, as JSON"), el('textarea', name='input', rows='2')),
            el('button', 'Run again', type='submit', class_='main'),
            back=here,
            class_='action',
        )
    yield form(
        view,
        'purge',
        key,
        el('h3', 'Purge'),
        el('p', 'Removes it, with its history and its children.'),
        el('button', 'Purge', type='submit', class_='danger'),
        back='/',
        class_='action',
    )


def _body(event: pb.HistoryEvent) -> Any:
    kind = event.WhichOneof('eventType')
    return getattr(event, kind) if kind else None


def _link(instance_id: str) -> Markup | None:
    return el('a', instance_id, href=instance_url(instance_id)) if instance_id else None
