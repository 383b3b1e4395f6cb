"""What all pages have in common: the frame, and the small pieces that they are made of."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from dapr.ext.workflow._durabletask.client import OrchestrationStatus
from dapr.ext.workflow.cli import moments
from dapr.ext.workflow.dashboard.html import Child, Markup, el, join

_PAGES = (('/', 'Instances'), ('/load', 'Load'), ('/workers', 'Workers'))


@dataclass(frozen=True, slots=True)
class View:
    """What a page needs to know beside what it shows.

    Attributes:
        address: The sidecar's.
        form_token: What forms carry.
        read_only: Whether there are any.
        problem: Why what is shown may be old, or None.
        told: What the last action has come to, or None.
        payloads: Makes a payload readable; None: payloads are not shown.
        version: The version of the snapshot that it shows: the script looks for newer ones. None: it stays as it is.
        now: This moment (naive, UTC).
    """

    address: str
    form_token: str
    read_only: bool
    problem: str | None
    told: str | None
    payloads: Callable[[str], str] | None
    version: int | None
    now: datetime


def frame(view: View, title: str, *content: Child, path: str = '') -> str:
    """A whole page."""
    links = [el('a', name, href=target, aria_current='page' if target == path else None) for target, name in _PAGES]
    return '<!doctype html>\n' + el(
        'html',
        el(
            'head',
            el('meta', charset='utf-8'),
            el('meta', name='viewport', content='width=device-width, initial-scale=1'),
            el('meta', name='color-scheme', content='light dark'),
            el('title', f'{title} - Dapr workflows'),
            el('link', rel='icon', href='/static/icon.svg'),
            el('link', rel='stylesheet', href='/static/style.css'),
            el('script', src='/static/live.js', defer=True),
        ),
        el(
            'body',
            el('a', 'Skip to the content', href='#content', class_='skip'),
            el(
                'header',
                el('a', 'Dapr workflows', href='/', class_='brand'),
                el('nav', *links, aria_label='Pages'),
                el('span', view.address, class_='address', title='The sidecar'),
                el('span', '', id='live', role='status', class_='live'),
            ),
            el(
                'main',
                el('p', view.told, class_='told', role='status') if view.told else None,
                el('p', f'The sidecar cannot be asked: {view.problem}', class_='problem', role='alert')
                if view.problem
                else None,
                *content,
                id='content',
                tabindex='-1',
            ),
            data_version=view.version,
        ),
        lang='en',
    )


def url(path: str, **query: object) -> str:
    """A path with a query; what is None or empty is left out."""
    present = {name: value for name, value in query.items() if value not in (None, '')}
    return f'{path}?{urlencode(present, doseq=True)}' if present else path


def instance_url(instance_id: str, **query: object) -> str:
    """Where an instance is shown."""
    return url('/instance', id=instance_id, **query)


def badge(status: OrchestrationStatus | str) -> Markup:
    """A status, in its colour."""
    name = status.name if isinstance(status, OrchestrationStatus) else status
    return el('span', name, class_=f'badge {name.lower().replace(" ", "-")}')


def moment(at: datetime | None, now: datetime) -> Markup | str:
    """A moment, as how long ago it was; the exact one is its title."""
    text = moments.timestamp(at)
    if at is None or text == '-':
        return '-'
    ago = f'{moments.short(now - at)} ago' if now >= at else f'in {moments.short(at - now)}'
    return el('time', ago, datetime=text, title=text)


def table(headings: Sequence[Child], rows: Iterable[Sequence[Child]], *, caption: str, class_: str = '') -> Markup:
    """A table that may be wider than the screen."""
    return el(
        'div',
        el(
            'table',
            el('caption', caption, class_='unseen'),
            el('thead', el('tr', *(el('th', heading, scope='col') for heading in headings))),
            el('tbody', *(el('tr', *(el('td', cell) for cell in row)) for row in rows)),
            class_=class_ or None,
        ),
        class_='wide',
        tabindex='0',
        role='region',
        aria_label=caption,
    )


def facts(pairs: Iterable[tuple[str, Child]]) -> Markup:
    """Names and values; those that are None are left out."""
    return el('dl', *(join((el('dt', name), el('dd', value))) for name, value in pairs if value is not None))


def payload(view: View, text: str | None, summary: str = '') -> Markup | None:
    """A payload, folded when it is long."""
    if text is None:
        return None
    if view.payloads is None:
        return el('em', f'hidden ({len(text)} characters)')
    shown = pretty(view.payloads(text))
    if '\n' not in shown and len(shown) <= 80:
        return el('code', shown)
    first = summary or (shown if len(shown) < 60 else ' '.join(shown.split())[:57] + '...')
    return el('details', el('summary', el('code', first)), el('pre', shown, tabindex='0'))


def pretty(text: str) -> str:
    """A text, indented where it is JSON."""
    try:
        data: Any = json.loads(text)
    except ValueError:
        return text
    return json.dumps(data, indent=2, ensure_ascii=False) if isinstance(data, dict | list) else text


def form(view: View, action: str, *content: Child, back: str, class_: str = '') -> Markup | None:
    """A form that changes something; none in a dashboard that is read-only."""
    if view.read_only:
        return None
    return el(
        'form',
        el('input', type='hidden', name='csrf', value=view.form_token),
        el('input', type='hidden', name='back', value=back),
        *content,
        method='post',
        action=f'/actions/{action}',
        class_=class_ or None,
    )


def field(label: str, name: str, **attributes: object) -> Markup:
    """A field of a form, with its label."""
    return el('label', el('span', label), el('input', name=name, **attributes))


def choice(label: str, name: str, options: Iterable[tuple[str, str]], chosen: str = '') -> Markup:
    """A choice of a form, with its label."""
    made = [el('option', text, value=value, selected=value == chosen) for value, text in options]
    return el('label', el('span', label), el('select', *made, name=name))
