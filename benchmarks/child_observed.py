"""An app's runtime with what observes it, for `listening`: `child_observed.py ADDRESS WHAT`, where WHAT is `none`,
`metrics`, `logs` (three lines of JSON a workflow), or `all`: metrics, logs, spans, interceptors and a status server.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import Any

from measured import serve_measurements  # type: ignore[import-not-found]  # a sibling: this is run by path
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from dapr.ext.workflow import (
    BaseRuntimeInterceptor,
    BaseWorkflowOutboundInterceptor,
    DaprWorkflowContext,
    WorkflowActivityContext,
    WorkflowRuntime,
)
from dapr.ext.workflow.logger import LoggerOptions
from dapr.ext.workflow.observability import WorkerSpans, WorkflowMetrics
from dapr.ext.workflow.status_server import StatusServer


class _Nowhere(SpanExporter):
    def export(self, spans: Any) -> SpanExportResult:
        return SpanExportResult.SUCCESS


class _Around(BaseRuntimeInterceptor[Any, Any]):
    def execute_activity(self, request: Any, next: Callable[[Any], Any]) -> Any:
        return next(request)

    def execute_workflow(self, request: Any, next: Callable[[Any], Any]) -> Any:
        return next(request)


class _Outbound(BaseWorkflowOutboundInterceptor[Any, Any]):
    def call_activity(self, request: Any, next: Callable[[Any], Any]) -> Any:
        return next(request)


def echo(ctx: WorkflowActivityContext, value: Any) -> Any:
    if LOGS:
        ctx.logger.info('echoes %s', value)
    return value


def one_activity(ctx: DaprWorkflowContext, _: Any) -> Any:
    if LOGS:
        ctx.logger.info('begins')
    result = yield ctx.call_activity(echo, input=1)
    if LOGS:
        ctx.logger.info('ends with %s', result)
    return result


WHAT = sys.argv[2]
LOGS = WHAT in ('logs', 'all')


def _runtime(host: str, port: str) -> WorkflowRuntime:
    options: dict[str, Any] = {}
    if LOGS:
        app = logging.StreamHandler(open(os.devnull, 'w'))  # noqa: SIM115  # for as long as the process lives
        app.setFormatter(LoggerOptions(json=True).log_formatter)
        logging.basicConfig(level=logging.INFO, handlers=[app])
    if WHAT in ('metrics', 'all'):
        options['listeners'] = [WorkflowMetrics(MeterProvider([InMemoryMetricReader()]))]
    if WHAT == 'all':
        tracing = TracerProvider()
        tracing.add_span_processor(BatchSpanProcessor(_Nowhere()))
        options['listeners'].append(WorkerSpans(tracing))
        options['runtime_interceptors'] = [_Around()]
        options['outbound_interceptors'] = [_Outbound()]
    return WorkflowRuntime(host, port, **options)


def main() -> None:
    host, _, port = sys.argv[1].rpartition(':')
    runtime = _runtime(host, port)
    runtime.register_workflow(one_activity)
    runtime.register_activity(echo)
    with runtime:
        if WHAT == 'all':
            with StatusServer(runtime, port=0):
                serve_measurements()
        else:
            serve_measurements()


if __name__ == '__main__':
    main()
