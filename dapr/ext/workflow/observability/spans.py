"""Spans of a worker's turns and replays, for whoever wants to see in a trace what the worker did in it.

The sidecar has spans of its own: of a workflow's run, of its activities and timers. Those tell what happened; these
tell what it cost the worker. So they hang below the sidecar's span of the run, begin with `worker`, and are made for
runs that are traced alone: a turn without a trace would be a trace of its own.
"""

from __future__ import annotations

import time
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from dapr.ext.workflow._durabletask.listener import TurnRecord, WorkerListener
from dapr.ext.workflow._version import __version__

__all__ = ['WorkerSpans']

# The scope that they have, which is not the one of the activities' spans.
SCOPE: Final = 'dapr.ext.workflow.worker'

_PROPAGATOR: Final = TraceContextTextMapPropagator()


class WorkerSpans(WorkerListener):
    """Makes a span `worker turn: <name>` of each turn, and one `worker replay: <name>` below it where the turn had to
    fetch or replay a history. Give it to `WorkflowRuntime(listeners=[...])`.

    Attributes of the spans: `dapr.workflow.name`, `dapr.workflow.instance_id`, `dapr.workflow.outcome`,
    `dapr.workflow.sticky`, `dapr.workflow.new_events`; of a replay `dapr.workflow.replayed_events`, and
    `dapr.workflow.miss_reason`, if there is one. A turn that fails its workflow is in error.

    They are made on the thread of the turn, after its answer is sent, which takes some tens of microseconds.

    Args:
        tracer_provider: Whose tracer makes them. None (default): the one that the app sets, now or later.
    """

    def __init__(self, tracer_provider: trace.TracerProvider | None = None) -> None:
        self._tracer = trace.get_tracer(SCOPE, __version__, tracer_provider)

    def turn_ended(self, turn: TurnRecord) -> None:
        if not turn.trace_parent:
            return
        carrier = {'traceparent': turn.trace_parent}
        if turn.trace_state:
            carrier['tracestate'] = turn.trace_state
        # Records count by a clock that has no date.
        offset = time.time_ns() - time.perf_counter() * 1e9
        started, ended = (int(offset + moment * 1e9) for moment in (turn.started, turn.ended or turn.started))
        span = self._tracer.start_span(
            f'worker turn: {turn.workflow_name}',
            context=_PROPAGATOR.extract(carrier, context=Context()),
            start_time=started,
            attributes={
                'dapr.workflow.name': turn.workflow_name,
                'dapr.workflow.instance_id': turn.instance_id,
                'dapr.workflow.outcome': turn.outcome,
                'dapr.workflow.sticky': turn.sticky,
                'dapr.workflow.new_events': turn.new_events,
            },
        )
        if turn.replayed:
            attributes: dict[str, str | int] = {'dapr.workflow.replayed_events': turn.replayed_events}
            if turn.miss_reason:
                attributes['dapr.workflow.miss_reason'] = turn.miss_reason
            self._tracer.start_span(
                f'worker replay: {turn.workflow_name}',
                context=trace.set_span_in_context(span, Context()),
                start_time=started,
                attributes=attributes,
            ).end(int(offset + turn.replayed * 1e9))
        if turn.outcome == 'failed':
            span.set_status(trace.StatusCode.ERROR)
        span.end(ended)
