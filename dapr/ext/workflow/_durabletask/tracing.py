"""The span of an activity, for whoever traces.

Where OpenTelemetry's SDK is set up, each activity has a span `activity: <name>` below the sidecar's, with the scope and
the attributes that `dapr` 1.19.0 gives it, and its answer is sent within it. With OpenTelemetry's API alone the
sidecar's span is the current one. OpenTelemetry is no dependency: where it is not installed, nothing happens.
"""

from __future__ import annotations

import importlib
from functools import lru_cache
from typing import Any, Final

from dapr.ext.workflow._durabletask.internal import protos as pb

# Names that dashboards and samplers know.
SCOPE: Final = 'dapr.ext.workflow._durabletask.worker'
_ATTRIBUTES: Final = 'dapr.ext.workflow._durabletask'


class ActivitySpan:
    """The span of one activity; `begin_span` makes it. It may be ended on any thread."""

    __slots__ = ('_otel', '_span')

    def __init__(self, otel: _OpenTelemetry, span: Any) -> None:
        self._otel = otel
        self._span = span

    def failed(self, error: BaseException) -> None:
        """Takes note that the activity has raised."""
        if self._span.is_recording():
            self._span.record_exception(error)
            self._span.set_status(self._otel.error(f'{type(error).__name__}: {_text(error)}'))

    def end(self) -> None:
        """Says that the activity is answered."""
        self._span.end()


def begin_span(request: pb.ActivityRequest) -> ActivitySpan | None:
    """Begins the span of an activity and makes it the current one, for as long as the running context lasts: call it in
    one that is the activity's own (`contextvars.Context.run`).

    Returns:
        The span, to be ended; None without OpenTelemetry.
    """
    otel = _opentelemetry()
    if otel is None:
        return None
    parent = None
    if request.HasField('parentTraceContext'):
        carrier = {'traceparent': request.parentTraceContext.traceParent}
        if request.parentTraceContext.traceState.value:
            carrier['tracestate'] = request.parentTraceContext.traceState.value
        parent = otel.propagator.extract(carrier)
    span = otel.tracer.start_span(
        f'activity: {request.name}',
        context=parent,
        attributes={
            f'{_ATTRIBUTES}.task.instance_id': request.workflowInstance.instanceId,
            f'{_ATTRIBUTES}.task.id': request.taskId,
            f'{_ATTRIBUTES}.activity.name': request.name,
        },
    )
    otel.context.attach(otel.trace.set_span_in_context(span, parent))
    return ActivitySpan(otel, span)


class _OpenTelemetry:
    """The parts of OpenTelemetry that are used. Raises ImportError where it is not installed."""

    def __init__(self) -> None:
        self.context: Any = importlib.import_module('opentelemetry.context')
        self.trace: Any = importlib.import_module('opentelemetry.trace')
        tracecontext: Any = importlib.import_module('opentelemetry.trace.propagation.tracecontext')
        self.propagator = tracecontext.TraceContextTextMapPropagator()
        # Finds the app's provider by itself, whenever the app sets one.
        self.tracer = self.trace.get_tracer(SCOPE)

    def error(self, description: str) -> Any:
        return self.trace.Status(self.trace.StatusCode.ERROR, description)


@lru_cache(maxsize=1)
def _opentelemetry() -> _OpenTelemetry | None:
    try:
        return _OpenTelemetry()
    except ImportError:
        return None


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # it is the app's
        return ''
