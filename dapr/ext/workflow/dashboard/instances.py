"""The list: filters, pages, and what is done to many at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from dapr.ext.workflow._durabletask.client import OrchestrationStatus, WorkflowState
from dapr.ext.workflow.cli import moments
from dapr.ext.workflow.dashboard.html import Markup, el
from dapr.ext.workflow.dashboard.page import View, badge, choice, field, form, frame, instance_url, moment, url
from dapr.ext.workflow.inspection.catalogue import Snapshot
from dapr.ext.workflow.inspection.sidecar import Filter

PAGE: Final = 50
_AGES: Final = (('', 'any'), ('5m', '5 minutes'), ('1h', 'an hour'), ('1d', 'a day'), ('7d', 'a week'))
_SHOWN: Final = (
    OrchestrationStatus.RUNNING,
    OrchestrationStatus.COMPLETED,
    OrchestrationStatus.FAILED,
    OrchestrationStatus.TERMINATED,
    OrchestrationStatus.PENDING,
    OrchestrationStatus.SUSPENDED,
    OrchestrationStatus.STALLED,
)
_BULK: Final = (('suspend', 'Suspend'), ('resume', 'Resume'), ('terminate', 'Terminate'), ('purge', 'Purge'))


def filter_of(query: Mapping[str, str], now: datetime) -> Filter:
    """What a query asks for; what cannot be read asks for nothing."""
    age = moments.duration(query.get('age', ''))
    status = query.get('status', '')
    known = OrchestrationStatus.__members__.get(status)
    return Filter(
        name=query.get('name', ''),
        statuses=frozenset() if known is None else frozenset({known}),
        created_from=None if age is None else now - age,
        id_part=query.get('id', ''),
    )


def list_page(view: View, snapshot: Snapshot, query: Mapping[str, str]) -> str:
    """The page of a query."""
    found = snapshot.matching(filter_of(query, view.now))
    pages = max(1, -(-len(found) // PAGE))
    number = min(max(_number(query.get('page', '')), 1), pages)
    chosen = found[(number - 1) * PAGE : number * PAGE]
    kept = {name: query[name] for name in ('name', 'status', 'age', 'id') if query.get(name)}
    here = url('/', **kept, page=number if number > 1 else None)
    total = len(snapshot.states)
    told = f'{len(found)} of {total} instances' if kept else f'{total} instances'
    return frame(
        view,
        'Instances',
        el('h1', 'Instances'),
        _counts(snapshot, kept),
        _filters(snapshot, kept),
        el('p', told + ('' if snapshot.is_complete else '; more are being read'), class_='count'),
        _rows(view, chosen, here) if chosen else _nothing(view, is_filtered=bool(kept)),
        _pager(kept, number, pages) if pages > 1 else None,
        _start(view, snapshot, here),
        path='/',
    )


def _counts(snapshot: Snapshot, kept: dict[str, str]) -> Markup:
    counts = snapshot.counts()
    others = {name: value for name, value in kept.items() if name != 'status'}
    links = [
        el(
            'a',
            badge(status),
            ' ',
            counts[status],
            href=url('/', **others, status=status.name),
            aria_current='true' if kept.get('status') == status.name else None,
        )
        for status in _SHOWN
        if counts[status]
    ]
    return el('nav', *links, class_='counts', aria_label='By status')


def _filters(snapshot: Snapshot, kept: dict[str, str]) -> Markup:
    names = snapshot.names()
    return el(
        'form',
        choice('Workflow', 'name', [('', 'all'), *((name, name) for name in names)], kept.get('name', '')),
        choice('Status', 'status', [('', 'any'), *((s.name, s.name) for s in _SHOWN)], kept.get('status', '')),
        choice('Created within', 'age', _AGES, kept.get('age', '')),
        field('Id contains', 'id', value=kept.get('id', ''), type='search', autocomplete='off'),
        el('button', 'Show', type='submit'),
        el('a', 'All', href='/') if kept else None,
        method='get',
        action='/',
        class_='filters',
        role='search',
    )


def _rows(view: View, states: Sequence[WorkflowState], here: str) -> Markup:
    is_choosing = not view.read_only
    headings = [*(['Choose'] if is_choosing else []), 'Instance', 'Workflow', 'Status', 'Created', 'Last change']
    rows = [
        el(
            'tr',
            el('td', el('input', type='checkbox', name='id', value=s.instance_id, aria_label=f'Choose {s.instance_id}'))
            if is_choosing
            else None,
            el('th', el('a', s.instance_id, href=instance_url(s.instance_id)), scope='row'),
            el('td', s.name or '-'),
            el('td', badge(s.runtime_status)),
            el('td', moment(s.created_at, view.now)),
            el('td', moment(s.last_updated_at, view.now)),
        )
        for s in states
    ]
    listed = el(
        'div',
        el(
            'table',
            el('caption', 'Instances, newest first', class_='unseen'),
            el('thead', el('tr', *(el('th', heading, scope='col') for heading in headings))),
            el('tbody', *rows),
            class_='choosing' if is_choosing else None,
        ),
        class_='wide',
        tabindex='0',
        role='region',
        aria_label='Instances',
    )
    buttons = [el('button', text, type='submit', name='what', value=what) for what, text in _BULK]
    bar = el('p', 'With those that are chosen: ', *buttons, class_='bar')
    return form(view, 'many', listed, bar, back=here) or listed


def _nothing(view: View, *, is_filtered: bool) -> Markup:
    if is_filtered:
        return el('p', 'No instance passes these filters.', class_='nothing')
    return el('p', 'There are no instances yet. Start one below, or from your app.', class_='nothing')


def _pager(kept: dict[str, str], number: int, pages: int) -> Markup:
    def link(text: str, to: int, rel: str) -> Markup:
        if not 1 <= to <= pages:
            return el('span', text, class_='off')
        return el('a', text, href=url('/', **kept, page=to if to > 1 else None), rel=rel)

    return el(
        'nav',
        link('Newer', number - 1, 'prev'),
        el('span', f'Page {number} of {pages}'),
        link('Older', number + 1, 'next'),
        class_='pager',
        aria_label='Pages of the list',
    )


def _start(view: View, snapshot: Snapshot, here: str) -> Markup | None:
    made = form(
        view,
        'start',
        field('Workflow', 'name', required=True, list='names', autocomplete='off'),
        el('datalist', *(el('option', value=name) for name in snapshot.names()), id='names'),
        field('Instance id', 'instance_id', placeholder='a new one', autocomplete='off'),
        el('label', el('span', 'Input, as JSON'), el('textarea', name='input', rows='3')),
        el('button', 'Start', type='submit', class_='main'),
        back=here,
        class_='action',
    )
    return None if made is None else el('details', el('summary', 'Start a workflow'), made, class_='card')


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 1
