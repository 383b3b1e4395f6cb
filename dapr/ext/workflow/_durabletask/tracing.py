"""Where activities, workflows and the worker's own calls stand in a trace.

Where OpenTelemetry's SDK is set up, each activity has a span `activity: <name>` below the sidecar's, with the scope and
the attributes that `dapr` 1.19.0 gives it, and its answer is sent within it. With OpenTelemetry's API alone the
sidecar's span is the current one. OpenTelemetry is no dependency: where it is not installed, nothing happens.

In a workflow's code the current span is the sidecar's of its run, to be read and not written to. What the worker does
on its own account (Hello, the stream, turns' answers) belongs to no trace: `untraced` keeps an instrumentation of gRPC
from making spans of it, each of which would be a trace of its own.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
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
        trace = request.parentTraceContext
        parent = otel.extracted(trace.traceParent, trace.traceState.value)
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


def see_run(trace_parent: str, trace_state: str) -> None:
    """Makes the sidecar's span of a workflow's run the current one, for as long as the running context lasts, which is
    that of the workflow's code.

    Args:
        trace_parent: The span, as a traceparent header.
        trace_state: The tracestate header; '' for none.
    """
    if 'opentelemetry.trace' not in sys.modules:  # the app does not trace
        return
    otel = _opentelemetry()
    if otel is not None:
        otel.context.attach(otel.extracted(trace_parent, trace_state))


def untraced() -> AbstractContextManager[None]:
    """Within it, OpenTelemetry's instrumentation of gRPC makes no spans on this thread."""
    if 'opentelemetry.instrumentation.grpc' not in sys.modules:
        return _NOTHING
    otel = _opentelemetry()
    return _NOTHING if otel is None else otel.suppressed()


_NOTHING: Final[AbstractContextManager[None]] = nullcontext()


class _OpenTelemetry:
    """The parts of OpenTelemetry that are used. Raises ImportError where it is not installed."""

    def __init__(self) -> None:
        self.context: Any = importlib.import_module('opentelemetry.context')
        self.trace: Any = importlib.import_module('opentelemetry.trace')
        tracecontext: Any = importlib.import_module('opentelemetry.trace.propagation.tracecontext')
        self.propagator = tracecontext.TraceContextTextMapPropagator()
        # Finds the app's provider by itself, whenever the app sets one.
        self.tracer = self.trace.get_tracer(SCOPE)

    def extracted(self, trace_parent: str, trace_state: str) -> Any:
        carrier = {'traceparent': trace_parent}
        if trace_state:
            carrier['tracestate'] = trace_state
        return self.propagator.extract(carrier)

    @contextmanager
    def suppressed(self) -> Iterator[None]:
        # The key that OpenTelemetry's instrumentations ask for, by its plain name: the other one is private.
        token = self.context.attach(self.context.set_value('suppress_instrumentation', True))
        try:
            yield
        finally:
            self.context.detach(token)

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
