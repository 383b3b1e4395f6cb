"""The workers: what each of those says of itself that serve their status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from dapr.ext.workflow.cli import moments
from dapr.ext.workflow.dashboard.html import Child, Markup, el
from dapr.ext.workflow.dashboard.page import View, badge, facts, frame, instance_url, table
from dapr.ext.workflow.inspection.worker_status import NoAnswer, standing, status


def workers_page(view: View, addresses: Sequence[str]) -> str:
    """The page."""
    if not addresses:
        content: Child = el(
            'section',
            el('p', 'No worker was named to this dashboard.'),
            el(
                'p',
                'A worker serves its status with ',
                el('code', 'StatusServer(runtime, port=9400)'),
                ' (dapr.ext.workflow.status_server). Name it with ',
                el('code', 'dapr-workflow dashboard --worker 127.0.0.1:9400'),
                '.',
            ),
            class_='card',
        )
    else:
        with ThreadPoolExecutor(len(addresses)) as threads:
            content = [_worker(a, found) for a, found in zip(addresses, threads.map(_asked, addresses), strict=True)]
    return frame(view, 'Workers', el('h1', 'Workers'), content, path='/workers')


def _asked(address: str) -> Mapping[str, Any] | str:
    try:
        return status(address)
    except NoAnswer as error:
        return str(error)


def _worker(address: str, found: Mapping[str, Any] | str) -> Markup:
    if isinstance(found, str):
        return el(
            'section', el('h2', address), el('p', f'It cannot be asked: {found}', class_='problem'), class_='card'
        )
    sticky: Mapping[str, Any] = found.get('sticky') or {}
    hits, misses = _number(sticky.get('hits')), _sum(sticky.get('misses'))
    asked = hits + misses
    return el(
        'section',
        el('h2', address, ' ', badge('CONNECTED' if found.get('is_connected') else 'CUT OFF')),
        facts(
            [
                ('Sidecar', str(found.get('address', '-'))),
                ('Connected for', _length(found.get('connected_for'))),
                ('Cut off for', _length(found.get('cut_off_for'))),
                ('Last error', found.get('last_error') and str(found['last_error'])),
                ('Turns waiting', str(found.get('waiting_turns', '-'))),
                ('Activities waiting', str(found.get('waiting_activities', '-'))),
                ('Parked workflows', str(sticky.get('running', '-'))),
                ('Turns without a replay', f'{hits} of {asked} ({hits / asked:.0%})' if asked else None),
            ]
        ),
        table(
            ['Runs now', 'Name', 'Instance', 'For'],
            [
                *_running('turn', found.get('turns'), 'workflow_name'),
                *_running('activity', found.get('activities'), 'activity_name'),
            ],
            caption='What runs now',
        ),
        class_='card',
    )


def _running(kind: str, running: Any, name: str) -> list[list[Child]]:
    return [
        [kind, str(work.get(name, '-')), _link(str(work.get('instance_id', '-'))), _length(work.get('seconds')) or '-']
        for work in (running if isinstance(running, list) else ())
    ]


def _link(instance_id: str) -> Markup:
    return el('a', instance_id, href=instance_url(instance_id))


def _length(seconds: Any) -> str | None:
    return moments.short(timedelta(seconds=seconds)) if isinstance(seconds, int | float) else None


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _sum(value: Any) -> int:
    return sum(map(_number, value.values())) if isinstance(value, dict) else _number(value)


def where_it_stands(addresses: Sequence[str], instance_id: str) -> Markup | None:
    """Where the code of an instance stands, as the first worker says that keeps it; None when none does."""
    for address in addresses:
        try:
            found = standing(address, instance_id)
        except NoAnswer:
            continue
        if found is not None:
            tasks = [
                el('li', str(task.get('name')), el('pre', '\n'.join(map(str, task.get('lines') or ()))))
                for task in found.get('tasks') or ()
            ]
            return el('section', el('h2', 'Where its code stands'), el('ul', *tasks), class_='card')
    return None
