"""The example for Prometheus and Grafana: it runs, and its dashboard asks for nothing that a scrape does not give."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dapr.ext.workflow._durabletask.history.stats import (
    HistoryCacheEvictions,
    HistoryCacheMisses,
    HistoryCacheStats,
    StickyEvictions,
    StickyMisses,
    StickyStats,
)
from dapr.ext.workflow._durabletask.listener import ActivityRecord, TurnRecord
from dapr.ext.workflow._durabletask.status import Slots

exporter = pytest.importorskip('opentelemetry.exporter.prometheus')
prometheus = pytest.importorskip('prometheus_client')
sdk = pytest.importorskip('opentelemetry.sdk.metrics')

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / 'examples' / 'observability'


class Worker:
    """One that has done everything once."""

    sticky_execution_stats = StickyStats(1, StickyMisses(cold=1), StickyEvictions(ttl=1), 1, 1)
    history_cache_stats = HistoryCacheStats(1, HistoryCacheMisses(cold=1), 1, 1, HistoryCacheEvictions(ttl=1), 1, 1)

    def status(self) -> Any:
        return SimpleNamespace(is_connected=True, slots=(Slots('turn', 1, 2),), waiting_turns=1, waiting_activities=1)


@pytest.fixture
def scrape() -> Iterator[str]:
    """What Prometheus gets of a worker that has done everything once."""
    from dapr.ext.workflow.observability import WorkflowMetrics

    reader = exporter.PrometheusMetricReader()
    provider = sdk.MeterProvider([reader])
    metrics, worker = WorkflowMetrics(provider), Worker()
    turn = TurnRecord('i', 1.0)
    turn.workflow_name, turn.outcome, turn.sticky, turn.miss_reason = 'order', 'failed', 'miss', 'cold'
    turn.replayed = turn.ended = 2.0
    turn.new_events = turn.replayed_events = turn.input_bytes = 1
    metrics.worker_started(worker)
    metrics.turn_ended(turn)
    metrics.activity_ended(ActivityRecord('charge', 'i', 1, False, 1.0, 2.0, 'failed', 3.0, 1, 1))
    metrics.received(1)
    metrics.reconnecting('ended')
    metrics.answer_failed('turn', 'error')
    yield prometheus.generate_latest().decode()
    metrics.worker_stopped(worker)
    provider.shutdown()


def dashboard() -> dict[str, Any]:
    read: dict[str, Any] = json.loads((FOLDER / 'dashboard.json').read_text())
    return read


def queries() -> Iterator[str]:
    board = dashboard()
    yield from (target['expr'] for panel in board['panels'] for target in panel.get('targets', ()))
    yield from (v['definition'] for v in board['templating']['list'] if v['type'] == 'query')


def test_every_metric_that_the_dashboard_names_is_scraped_with_the_labels_that_it_asks_for(scrape: str) -> None:
    samples: dict[str, set[str]] = {}
    for name, labels in re.findall(r'^(dapr_workflow_\w+)\{(.*)\} ', scrape, re.MULTILINE):
        samples.setdefault(name, {'job'}).update(re.findall(r'(\w+)="', labels))
    named: set[str] = set()
    for query in queries():
        names = set(re.findall(r'dapr_workflow_\w+', query))
        assert names, query
        named |= names
        labels = set(re.findall(r'(\w+)=~?"', query))
        for by in re.findall(r'by \(([^)]*)\)', query):
            labels |= {label.strip() for label in by.split(',')}
        for name in names:
            assert name in samples, f'{name} is not scraped'
            assert labels <= samples[name], f'{name} has no {labels - samples[name]}'
    assert len(named) > 20


def test_nothing_that_is_scraped_is_missing_from_the_dashboard(scrape: str) -> None:
    shown = ' '.join(queries())
    kinds = dict(re.findall(r'^# TYPE (dapr_workflow_\w+) (\w+)$', scrape, re.MULTILINE))
    left_out = {name for name in kinds if name not in shown}
    # Figures for those who look into the history cache; they are in the guide.
    assert left_out == {
        'dapr_workflow_history_cache_hits_total',
        'dapr_workflow_history_cache_fetches_total',
        'dapr_workflow_history_cache_fetch_failures_total',
    }


def test_the_panels_have_places_of_their_own() -> None:
    panels = dashboard()['panels']
    assert len({panel['id'] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for place in (panel['gridPos'] for panel in panels):
        cells = {
            (x, y)
            for x in range(place['x'], place['x'] + place['w'])
            for y in range(place['y'], place['y'] + place['h'])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_the_example_runs() -> None:
    bare = {name: value for name, value in os.environ.items() if not name.startswith('DAPR_')}
    done = subprocess.run(
        [sys.executable, str(FOLDER / 'prometheus.py'), '--once'],
        env={**bare, 'PYTHONPATH': str(ROOT), 'METRICS_PORT': '0'},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # The first order fails for sure, the others now and then.
    assert re.search(r'dapr_workflow_turn_duration_seconds_count\{.*outcome="failed".*\} [1-5]\.0', done.stdout)
    assert re.search(r'dapr_workflow_stream_connected\{.*\} 1\.0', done.stdout)
