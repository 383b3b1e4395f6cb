"""The metrics of a worker, as OpenTelemetry's SDK gets them."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from dapr.ext.workflow._durabletask.dispatch import ConcurrencyOptions
from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker
from tests.support.fake_sidecar import FakeSidecar
from tests.support.work_items import Gate, activity_item, echo, turn_item

sdk = pytest.importorskip('opentelemetry.sdk.metrics')
export = pytest.importorskip('opentelemetry.sdk.metrics.export')

from dapr.ext.workflow.observability import WorkflowMetrics  # noqa: E402

NewWorker = Callable[..., TaskHubGrpcWorker]

pytestmark = pytest.mark.own_mode


class Collected:
    """What one collection gives: each point by the metric's name and its attributes."""

    def __init__(self, reader: Any) -> None:
        data = reader.get_metrics_data()
        self.metrics = {
            metric.name: metric
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def point(self, name: str, **attributes: str) -> Any:
        wanted = {key.replace('_name', '.name'): value for key, value in attributes.items()}
        points = self.metrics[f'dapr.workflow.{name}'].data.data_points
        (found,) = [point for point in points if dict(point.attributes) == wanted]
        return found

    def value(self, name: str, **attributes: str) -> Any:
        return self.point(name, **attributes).value

    def all_attributes(self) -> set[str]:
        return {
            key for metric in self.metrics.values() for point in metric.data.data_points for key in point.attributes
        }


@pytest.fixture
def reader() -> Any:
    return export.InMemoryMetricReader()


@pytest.fixture
def metrics(reader: Any) -> Iterator[WorkflowMetrics]:
    provider = sdk.MeterProvider([reader])
    yield WorkflowMetrics(provider)
    provider.shutdown()


@pytest.fixture
def worker(metrics: WorkflowMetrics, new_worker: NewWorker) -> TaskHubGrpcWorker:
    def flow(ctx: Any, value: Any) -> Any:
        return (yield ctx.call_activity('echo', input=value))

    def empty(ctx: Any, value: Any) -> Any:
        return value

    worker = new_worker(
        listeners=[metrics],
        concurrency_options=ConcurrencyOptions(
            maximum_thread_pool_workers=2, maximum_concurrent_orchestration_work_items=3
        ),
    )
    for workflow in (flow, empty):
        worker.add_orchestrator(workflow)
    worker.add_activity(echo)
    return worker


def test_turns_and_activities_are_in_the_next_collection(
    worker: TaskHubGrpcWorker, sidecar: FakeSidecar, reader: Any
) -> None:
    worker.start()
    items = turn_item('flow'), activity_item('echo', '"abc"'), turn_item('empty', encoded_input='"abc"')
    sidecar.push(*items[:2])
    sidecar.wait_for_answers(2)
    sidecar.push(items[2])
    sidecar.wait_for_answers(3)
    worker.stop()  # then all is told
    collected = Collected(reader)
    turn = collected.point('turn.duration', workflow_name='flow', outcome='waiting', sticky='first')
    assert turn.count == 1
    assert 0 < turn.sum < 10
    assert turn.explicit_bounds[0] == 0.0001
    assert collected.point('turn.duration', workflow_name='empty', outcome='completed', sticky='first').count == 1
    assert collected.value('turn.events', workflow_name='flow', kind='new') == 2
    assert collected.point('activity.duration', activity_name='echo', outcome='completed').count == 1
    assert collected.point('activity.queue.duration', activity_name='echo').count == 1
    for kind in ('activity_input', 'activity_result'):
        assert collected.point('payload.size', activity_name='echo', kind=kind.replace('_', '.')).sum == 5
    assert collected.point('payload.size', workflow_name='empty', kind='workflow.result').sum == 5
    assert collected.value('stream.bytes') == sum(item.ByteSize() for item in items)
    assert collected.metrics['dapr.workflow.turn.duration'].unit == 's'
    assert collected.metrics['dapr.workflow.payload.size'].unit == 'By'


def test_what_a_worker_holds_and_does_now_is_read_when_it_is_collected(
    worker: TaskHubGrpcWorker, sidecar: FakeSidecar, reader: Any
) -> None:
    gate = Gate()

    def waits(ctx: Any, _: Any) -> None:
        gate.pass_through()

    worker.add_activity(waits)
    worker.start()
    sidecar.push(turn_item('flow'), activity_item('waits'))
    gate.wait_until_reached()
    sidecar.wait_for_answers(1)
    collected = Collected(reader)
    gate.open()
    assert collected.value('stream.connected') == 1
    assert collected.value('sticky.instances') == 1
    assert collected.value('sticky.bytes') > 0
    assert collected.value('slots.used', kind='activity') == 1
    assert collected.value('slots.available', kind='activity') == 1
    assert collected.value('slots.used', kind='async_activity') == 0
    assert collected.value('work_items.waiting', kind='activity') == 0
    assert collected.value('history_cache.instances') == 0
    sidecar.drop_streams()
    sidecar.wait_for_stream(2)
    worker.stop()
    collected = Collected(reader)
    assert collected.value('stream.connected') == 0
    assert collected.value('stream.reconnects', reason='unavailable') == 1
    assert collected.value('sticky.evictions', reason='reset') == 1
    assert 'dapr.workflow.slots.used' not in collected.metrics


def test_answers_that_fail_are_counted(worker: TaskHubGrpcWorker, sidecar: FakeSidecar, reader: Any) -> None:
    worker.start()
    sidecar.fail_answers.append(grpc.StatusCode.INTERNAL)
    sidecar.push(turn_item('flow'))
    sidecar.wait_for_calls('CompleteWorkflowTask')
    worker.stop()
    assert Collected(reader).value('answers.failed', kind='turn', reason='internal') == 1


def test_no_attribute_has_many_values(worker: TaskHubGrpcWorker, sidecar: FakeSidecar, reader: Any) -> None:
    worker.start()
    sidecar.push(turn_item('flow'), activity_item('echo', '1'))
    sidecar.wait_for_answers(2)
    worker.stop()
    assert Collected(reader).all_attributes() <= {
        'workflow.name',
        'activity.name',
        'outcome',
        'sticky',
        'reason',
        'kind',
    }


def test_its_thread_lives_as_long_as_its_workers(
    metrics: WorkflowMetrics, new_worker: NewWorker, sidecar: FakeSidecar
) -> None:
    def threads() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name == 'dapr-workflow-metrics']

    one, other = new_worker(listeners=[metrics]), new_worker(listeners=[metrics])
    assert threads() == []
    one.start()
    other.start()
    assert len(threads()) == 1
    one.stop()
    assert len(threads()) == 1
    other.stop()
    assert threads() == []
    one.start()
    assert len(threads()) == 1


def test_the_thread_records_what_no_one_collects(
    worker: TaskHubGrpcWorker, metrics: WorkflowMetrics, sidecar: FakeSidecar, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = threading.Event()
    record = metrics._record_activity

    def note(activity: Any) -> None:
        record(activity)
        recorded.set()

    monkeypatch.setattr(metrics, '_record_activity', note)
    worker.start()
    for _ in range(2):  # it falls asleep in between, and is woken
        sidecar.push(activity_item('echo', '1'))
        assert recorded.wait(20)
        recorded.clear()


def test_the_docstring_names_every_metric(metrics: WorkflowMetrics) -> None:
    described: set[str] = set()
    last = ''
    for name in re.findall(r'`((?:dapr\.workflow)?\.[a-z_.]+)`', WorkflowMetrics.__doc__ or ''):
        full = name
        if name.startswith('.'):  # as the one before, but for its end
            full = last.rpartition('.')[0] + name
        described.add(full)
        last = full
    instruments = metrics._meter._instrument_id_instrument.values()  # type: ignore[attr-defined]
    assert described == {instrument.name for instrument in instruments}


def test_nothing_is_loaded_before_it_is_used() -> None:
    script = (
        'import sys; import dapr.ext.workflow.observability as o; from dapr.ext.workflow import WorkflowRuntime; '
        "assert not [m for m in sys.modules if m.startswith('opentelemetry')]; o.WorkerListener(); o.WorkflowMetrics; "
        "assert 'opentelemetry.sdk' not in sys.modules and 'opentelemetry.metrics' in sys.modules"
    )
    assert subprocess.run([sys.executable, '-c', script], timeout=60, check=False).returncode == 0


def test_where_opentelemetry_is_missing_the_error_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        'try:\n    from dapr.ext.workflow.observability import WorkflowMetrics\n'
        "except ImportError as error:\n    assert 'dapr-stateful-workflow[otel]' in str(error), error\n"
        'else:\n    raise SystemExit(1)'
    )
    assert subprocess.run([sys.executable, '-c', script], timeout=60, check=False).returncode == 0
