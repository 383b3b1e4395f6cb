"""The trace that a work item belongs to, for whoever traces inside an activity.

OpenTelemetry is no dependency: where it is not installed, nothing happens.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from typing import Any

from dapr.ext.workflow._durabletask.internal import protos as pb


def trace_context(request: pb.ActivityRequest) -> AbstractContextManager[None]:
    """Makes the sidecar's span of an activity the current one: spans made inside become its children.

    Where the request names no span, the current one stays.
    """
    otel = _opentelemetry() if request.HasField('parentTraceContext') else None
    return nullcontext() if otel is None else _attached(request.parentTraceContext, *otel)


@contextmanager
def _attached(parent: pb.TraceContext, context: Any, propagator: Any) -> Iterator[None]:
    carrier = {'traceparent': parent.traceParent}
    if parent.traceState.value:
        carrier['tracestate'] = parent.traceState.value
    token = context.attach(propagator.extract(carrier))
    try:
        yield
    finally:
        context.detach(token)


@lru_cache(maxsize=1)
def _opentelemetry() -> tuple[Any, Any] | None:
    try:
        context = importlib.import_module('opentelemetry.context')
        tracecontext = importlib.import_module('opentelemetry.trace.propagation.tracecontext')
    except ImportError:
        return None
    return context, tracecontext.TraceContextTextMapPropagator()
