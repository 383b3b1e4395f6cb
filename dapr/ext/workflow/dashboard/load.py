"""Throughput and latency of the last minutes, from the instances that are known."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from statistics import quantiles
from typing import Final

from dapr.ext.workflow._durabletask.client import OrchestrationStatus, WorkflowState
from dapr.ext.workflow.cli import moments
from dapr.ext.workflow.dashboard.html import Markup, el
from dapr.ext.workflow.dashboard.page import View, frame, table
from dapr.ext.workflow.inspection.catalogue import Snapshot
from dapr.ext.workflow.inspection.sidecar import ENDED

MINUTES: Final = 15
_WIDTH, _HEIGHT = 720, 160


def load_page(view: View, snapshot: Snapshot) -> str:
    """The page."""
    since = view.now - timedelta(minutes=MINUTES)
    begun = [state for state in snapshot.states if state.created_at >= since]
    ended = [s for s in snapshot.states if s.runtime_status in ENDED and s.last_updated_at >= since]
    names = sorted({state.name for state in (*begun, *ended)}, key=str.casefold)
    return frame(
        view,
        'Load',
        el('h1', f'The last {MINUTES} minutes'),
        el('p', f'{len(begun)} instances started, {len(ended)} ended.', class_='count'),
        _chart(begun, ended, since),
        table(
            ['Workflow', 'Started', 'Completed', 'Failed', 'Median', '95 %', 'Slowest'],
            [_row(name, begun, ended) for name in names],
            caption='By workflow',
        )
        if names
        else el('p', 'Nothing has happened.', class_='nothing'),
        path='/load',
    )


def _row(name: str, begun: Sequence[WorkflowState], ended: Sequence[WorkflowState]) -> list[str]:
    own = [state for state in ended if state.name == name]
    took = sorted((s.last_updated_at - s.created_at).total_seconds() for s in own)
    cuts = quantiles(took, n=20, method='inclusive') if len(took) > 1 else took * 19
    times = (cuts[9], cuts[18], took[-1]) if took else ()
    failed = sum(state.runtime_status is OrchestrationStatus.FAILED for state in own)
    return [
        name or '-',
        str(sum(state.name == name for state in begun)),
        str(sum(state.runtime_status is OrchestrationStatus.COMPLETED for state in own)),
        str(failed),
        *(moments.short(timedelta(seconds=seconds)) for seconds in times),
        *(['-'] * (3 - len(times))),
    ]


def _chart(begun: Sequence[WorkflowState], ended: Sequence[WorkflowState], since: datetime) -> Markup:
    failed = [state for state in ended if state.runtime_status is OrchestrationStatus.FAILED]
    lines = (
        ('started', _per_minute([state.created_at for state in begun], since)),
        ('completed', _per_minute([state.last_updated_at for state in ended], since)),
        ('failed', _per_minute([state.last_updated_at for state in failed], since)),
    )
    top = max(1, *(max(counts) for _, counts in lines))
    step = _WIDTH / MINUTES
    bars = []
    for minute in range(MINUTES):
        for number, (kind, counts) in enumerate(lines):
            height = round((_HEIGHT - 30) * counts[minute] / top, 1)
            if height:
                told = f'{counts[minute]} {kind}, {MINUTES - minute} minutes ago'
                left = 30 + minute * step + number * step / 3.6
                bars.append(
                    el(
                        'rect',
                        el('title', told),
                        x=round(left, 1),
                        y=_HEIGHT - 20 - height,
                        width=round(step / 4, 1),
                        height=height,
                        class_=f'bar {kind}',
                    )
                )
    axis = [
        el('text', f'-{MINUTES - minute}m', x=round(30 + minute * step, 1), y=_HEIGHT - 4, class_='tick')
        for minute in range(0, MINUTES, 5)
    ]
    legend = el('p', *(el('span', kind, class_=f'key {kind}') for kind, _ in lines), class_='legend')
    picture = el(
        'svg',
        el('text', top, x=2, y=14, class_='tick'),
        *axis,
        *bars,
        viewBox=f'0 0 {_WIDTH + 40} {_HEIGHT}',
        role='img',
        aria_label='Instances started, ended and failed in each minute; the sums are in the table',
        class_='chart',
    )
    return el('section', legend, picture, class_='card')


def _per_minute(at: Sequence[datetime], since: datetime) -> list[int]:
    counts = [0] * MINUTES
    for moment in at:
        counts[min(max(int((moment - since).total_seconds() // 60), 0), MINUTES - 1)] += 1
    return counts
