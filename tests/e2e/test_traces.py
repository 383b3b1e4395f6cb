"""One trace through a client, a production daprd with tracing on, and a worker: every span has its place."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dapr.ext.workflow._durabletask import task, tracing
from dapr.ext.workflow._durabletask.client import TaskHubGrpcClient
from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker
from tests.support.e2e import DEADLINE, Workflow, completed
from tools.daprd_sidecar import Daprd
from tools.go_sidecar import Sidecar

trace = pytest.importorskip('opentelemetry.trace')
sdk = pytest.importorskip('opentelemetry.sdk.trace')
export = pytest.importorskip('opentelemetry.sdk.trace.export')
memory = pytest.importorskip('opentelemetry.sdk.trace.export.in_memory_span_exporter')

from dapr.ext.workflow.observability import WorkerSpans  # noqa: E402


class Zipkin:
    """Takes daprd's spans, as Zipkin does."""

    def __init__(self) -> None:
        self.spans: list[dict[str, Any]] = []
        changed = self._changed = threading.Condition()
        spans = self.spans

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                given = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
                with changed:
                    spans.extend(given)
                    changed.notify_all()
                self.send_response(202)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.url = f'http://127.0.0.1:{self._server.server_port}/api/v2/spans'

    def __enter__(self) -> Zipkin:
        self._thread = threading.Thread(target=self._server.serve_forever, name='zipkin')
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(DEADLINE)

    def wait_for(self, *names: str) -> None:
        with self._changed:
            found = self._changed.wait_for(lambda: set(names) <= {span['name'] for span in self.spans}, DEADLINE)
            assert found, sorted(span['name'] for span in self.spans)


@pytest.fixture
def zipkin() -> Iterator[Zipkin]:
    with Zipkin() as zipkin:
        yield zipkin


@pytest.fixture
def traced(sidecar: Sidecar, zipkin: Zipkin, tmp_path: Path) -> Iterator[Daprd]:
    """A daprd that traces everything."""
    if not isinstance(sidecar, Daprd):
        pytest.skip('only daprd traces')
    tracing_on = {'samplingRate': '1', 'zipkin': {'endpointAddress': zipkin.url}}
    configuration = {
        'apiVersion': 'dapr.io/v1alpha1',
        'kind': 'Configuration',
        'metadata': {'name': 'traced'},
        'spec': {'tracing': tracing_on},
    }
    path = tmp_path / 'traced.yaml'
    path.write_text(json.dumps(configuration))
    daprd = Daprd(sidecar.build, options=['--config', str(path)])
    with daprd:
        yield daprd


def test_the_spans_of_client_daprd_and_worker_are_one_tree(
    traced: Daprd, zipkin: Zipkin, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter, provider = memory.InMemorySpanExporter(), sdk.TracerProvider()
    provider.add_span_processor(export.SimpleSpanProcessor(exporter))
    otel = tracing._opentelemetry()
    assert otel is not None
    monkeypatch.setattr(otel, 'tracer', provider.get_tracer(tracing.SCOPE))
    tracer = provider.get_tracer('app')
    seen: list[int] = []

    def order(ctx: task.OrchestrationContext, amount: int) -> Workflow:
        seen.append(trace.get_current_span().get_span_context().span_id)
        return (yield ctx.call_activity(charge, input=amount))

    def charge(ctx: task.ActivityContext, amount: int) -> str:
        with tracer.start_as_current_span('the bank'):
            return f'charged {amount}'

    with (
        TaskHubGrpcWorker(host_address=traced.address, listeners=[WorkerSpans(provider)]) as worker,
        TaskHubGrpcClient(host_address=traced.address) as client,
    ):
        worker.add_orchestrator(order)
        worker.add_activity(charge)
        worker.start()
        with tracer.start_as_current_span('a request') as request:
            instance_id = client.schedule_new_orchestration(order, input=7)
        assert completed(client, instance_id) == 'charged 7'
    zipkin.wait_for('orchestration||order', 'activity||charge')
    provider.shutdown()

    ours = {span.name: span for span in exporter.get_finished_spans()}
    theirs = {span['name']: span for span in zipkin.spans}
    root = f'{request.get_span_context().trace_id:032x}'
    assert {f'{span.context.trace_id:032x}' for span in ours.values()} == {root}
    assert {theirs[name]['traceId'] for name in ('orchestration||order', 'activity||charge')} == {root}
    run, activity = int(theirs['orchestration||order']['id'], 16), int(theirs['activity||charge']['id'], 16)
    assert seen == [run]
    assert ours['worker turn: order'].parent.span_id == run
    assert ours['activity: charge'].parent.span_id == activity
    assert ours['the bank'].parent.span_id == ours['activity: charge'].context.span_id
    # Each of ours has a name that none of daprd's has.
    assert not ours.keys() & theirs.keys()
