"""The timeline: what a workflow has asked for, as bars over time.

The picture is SVG made here. Beside it stands the same as a table, which is what a screen reader reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from dapr.ext.workflow.cli import moments
from dapr.ext.workflow.dashboard.html import Markup, el
from dapr.ext.workflow.dashboard.page import View, badge, instance_url, table
from dapr.ext.workflow.inspection.story import Step, StepKind, StepStatus, Story

ZOOMS: Final = (1, 2, 4, 8, 16)
ROWS: Final = 500
_ROW = 26
_TOP = 24
_NAMES = 210
_WIDTH = 790
_LEAST = 3.0


def timeline(view: View, instance_id: str, story: Story, zoom: int, *, failures_first: bool) -> Markup:
    """The timeline of an instance.

    Args:
        view: What pages need to know.
        instance_id: The instance.
        story: What has happened in it.
        zoom: How many times as wide as the page it is.
        failures_first: Whether what failed stands first; else all is in the order in which it was asked for.
    """
    if story.started is None or not story.steps:
        return el('p', 'It has asked for nothing yet.', class_='nothing')
    end = story.ended or max(view.now, story.started)
    steps: Sequence[Step] = story.steps
    if failures_first:
        steps = sorted(steps, key=lambda step: not _has_failed(step))
    shown = steps[:ROWS]
    failed = sum(map(_has_failed, story.steps))
    zooms = [
        el(
            'a',
            f'x{factor}',
            href=instance_url(instance_id, tab='timeline', zoom=factor, order=None if failures_first else 'time'),
            aria_current='true' if factor == zoom else None,
            aria_label=f'{factor} times as wide',
        )
        for factor in ZOOMS
    ]
    other = el(
        'a',
        'in order of time' if failures_first else 'failures first',
        href=instance_url(instance_id, tab='timeline', zoom=zoom, order='time' if failures_first else None),
    )
    told = f'{len(story.steps)} steps in {moments.short(end - story.started)}'
    told += f', {failed} with failures' if failed else ''
    told += f'; the first {ROWS} are shown' if len(steps) > ROWS else ''
    return el(
        'section',
        el('p', told, class_='count'),
        el('nav', el('span', 'Zoom'), *zooms, other if failed else None, class_='zooms', aria_label='Zoom and order'),
        el(
            'div',
            _picture(shown, story, end, zoom),
            class_='timeline',
            tabindex='0',
            role='region',
            aria_label='Timeline; the table below says the same',
        ),
        el('details', el('summary', 'As a table'), _as_table(shown)),
    )


def _picture(steps: Sequence[Step], story: Story, end: datetime, zoom: int) -> Markup:
    assert story.started is not None
    begun = story.started
    length = max((end - begun) / timedelta(milliseconds=1), 1.0)
    across = _WIDTH * zoom
    height = _TOP + _ROW * len(steps) + 8

    def x(at: datetime) -> float:
        return round(_NAMES + across * ((min(max(at, begun), end) - begun) / timedelta(milliseconds=1)) / length, 1)

    pauses = [
        el('rect', x=x(a), y=_TOP, width=max(x(b or end) - x(a), 1), height=height - _TOP, class_='pause')
        for a, b in story.pauses
    ]
    ticks = []
    for number in range(4 * zoom + 1):
        at = begun + (end - begun) * number / (4 * zoom)
        ticks.append(el('line', x1=x(at), x2=x(at), y1=_TOP - 4, y2=height, class_='tick'))
        ticks.append(el('text', moments.short(at - begun), x=x(at) + 3, y=14, class_='tick'))
    rows = [_row(step, _TOP + _ROW * number, x, end) for number, step in enumerate(steps)]
    return el(
        'svg',
        *pauses,
        *ticks,
        *rows,
        width=_NAMES + across + 44,
        height=height,
        role='img',
        aria_label=f'{len(steps)} steps as bars over time',
    )


def _row(step: Step, y: float, x: object, end: datetime) -> Markup:
    assert callable(x)
    name = step.name or step.kind.value
    clipped = name if len(name) <= 28 else f'{name[:27]}…'
    bars = [_bar(step, started, ended or end, y, x, kind) for started, ended, kind in _parts(step)]
    label = el('text', clipped, el('title', name), x=4, y=y + 17, class_='name')
    content = el('g', label, *bars, class_=f'step {_slug(step)}')
    if step.kind in (StepKind.CHILD, StepKind.DETACHED):
        return el('a', content, href=instance_url(step.instance_id))
    return content


def _parts(step: Step) -> list[tuple[datetime, datetime | None, str]]:
    """The bars of a step: for what has attempts, one for each, and the waits between them."""
    if not step.attempts:
        return [(step.started, step.ended, _slug(step))]
    parts: list[tuple[datetime, datetime | None, str]] = []
    for number, attempt in enumerate(step.attempts):
        status = 'failed' if attempt.failure is not None else 'open' if attempt.ended is None else 'completed'
        if attempt.ended is None and step.status is StepStatus.ABANDONED:
            status = 'abandoned'
        parts.append((attempt.started, attempt.ended, f'{step.kind.name.lower()} {status}'))
        if attempt.ended is not None and attempt.next_at is not None:
            later = step.attempts[number + 1].started if number + 1 < len(step.attempts) else None
            parts.append((attempt.ended, later, 'between'))
    return parts


def _bar(step: Step, started: datetime, ended: datetime, y: float, x: object, kind: str) -> Markup:
    assert callable(x)
    left = x(started)
    told = f'{step.kind.value} {step.name}: {step.status.value}, {moments.short(max(ended - started, timedelta()))}'
    if step.failure is not None:
        told += f'; {step.failure.error_type}: {step.failure.message}'
    return el(
        'rect',
        el('title', told),
        x=left,
        y=y + 4,
        width=max(round(x(ended) - left, 1), _LEAST),
        height=_ROW - 10,
        rx=3,
        class_=f'bar {kind}',
    )


def _as_table(steps: Sequence[Step]) -> Markup:
    rows = [
        (
            step.kind.value,
            step.name or '-',
            badge(step.status.value),
            el('time', f'{step.started:%H:%M:%S.%f}'[:12], datetime=moments.timestamp(step.started)),
            '-' if step.ended is None else moments.short(step.ended - step.started),
            len(step.attempts) or '-',
            '' if step.failure is None else f'{step.failure.error_type}: {step.failure.message}',
        )
        for step in steps
    ]
    headings = ['What', 'Name', 'Status', 'Began', 'Took', 'Attempts', 'Failure']
    return table(headings, rows, caption='Steps of the timeline')


def _has_failed(step: Step) -> bool:
    return step.status in (StepStatus.FAILED, StepStatus.TIMED_OUT) or any(a.failure for a in step.attempts)


def _slug(step: Step) -> str:
    return f'{step.kind.name.lower()} {step.status.name.lower().replace("_", "-")}'
