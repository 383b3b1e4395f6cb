"""A worker whose metrics Prometheus scrapes, and Grafana shows by the dashboard beside this file.

    pip install '.[otel]' opentelemetry-sdk opentelemetry-exporter-prometheus
    python examples/observability/prometheus.py

It runs on the sidecar that the environment names, else on an emulator that it starts, and gives itself some work to do:
orders, some of which fail. See http://127.0.0.1:9464/metrics, have Prometheus scrape it, and import dashboard.json into
Grafana. With `--once` it runs a few orders, prints what a scrape gets, and ends.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import urllib.request
from collections.abc import Generator
from typing import Any

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import set_meter_provider
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import start_http_server

from dapr.ext.workflow import DaprWorkflowClient, DaprWorkflowContext, WorkflowActivityContext, WorkflowRuntime
from dapr.ext.workflow.emulator import Emulator
from dapr.ext.workflow.observability import WorkflowMetrics

PORT = int(os.environ.get('METRICS_PORT', '9464'))

set_meter_provider(MeterProvider([PrometheusMetricReader()]))
if not any(os.environ.get(name) for name in ('DAPR_GRPC_ENDPOINT', 'DAPR_GRPC_PORT')):
    emulator = Emulator()
    emulator.start()  # it stops with the process
    os.environ['DAPR_GRPC_ENDPOINT'] = emulator.address
runtime = WorkflowRuntime(listeners=[WorkflowMetrics()])


@runtime.workflow
def order(ctx: DaprWorkflowContext, amount: int) -> Generator[Any, Any, Any]:
    yield ctx.call_activity(charge, input=amount)
    return (yield ctx.call_activity(ship, input=amount))


@runtime.activity
def charge(ctx: WorkflowActivityContext, amount: int) -> None:
    if amount > 900:
        raise ValueError('the card is refused')


@runtime.activity
async def ship(ctx: WorkflowActivityContext, amount: int) -> str:
    return f'{amount} pieces are on their way'


def work(client: DaprWorkflowClient, orders: int | None, stopping: threading.Event) -> None:
    """Makes orders, one after the other, until there were so many or it is stopping."""
    made = 0
    while not stopping.is_set() and made != orders:
        instance_id = client.schedule_new_workflow(order, input=1000 if made == 0 else random.randint(1, 1000))
        client.wait_for_workflow_completion(instance_id, timeout_in_seconds=30)
        made += 1


def main() -> None:
    server, serving = start_http_server(PORT, addr='127.0.0.1')
    stopping = threading.Event()
    try:
        with runtime, DaprWorkflowClient() as client:
            if '--once' in sys.argv:
                work(client, 5, stopping)
                with urllib.request.urlopen(f'http://127.0.0.1:{server.server_port}/metrics', timeout=10) as answer:
                    print(answer.read().decode())
            else:
                signal.signal(signal.SIGTERM, lambda *_: stopping.set())
                signal.signal(signal.SIGINT, lambda *_: stopping.set())
                print(f'http://127.0.0.1:{server.server_port}/metrics')
                work(client, None, stopping)
    finally:
        server.shutdown()
        serving.join()


if __name__ == '__main__':
    main()
