"""The spans of activities, where OpenTelemetry's SDK is set up: as dapr 1.19.0 has them, and nothing beside them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest

from dapr.ext.workflow._durabletask import tracing
from dapr.ext.workflow._durabletask.activity import Activities
from dapr.ext.workflow._durabletask.dispatch import ConcurrencyOptions, Dispatcher
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from tests.support.work_items import activity_item

trace = pytest.importorskip('opentelemetry.trace')
sdk = pytest.importorskip('opentelemetry.sdk.trace')

LOGGER = logging.getLogger('tests.spans')
TRACE = 0x0AF7651916CD43DD8448EB211C80319C
SIDECARS_SPAN = 0xB7AD6B7169203331


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Where the spans of a provider end up that is the worker's alone: a process can set its own only once."""
    export = pytest.importorskip('opentelemetry.sdk.trace.export')
    memory = pytest.importorskip('opentelemetry.sdk.trace.export.in_memory_span_exporter')
    exporter, provider = memory.InMemorySpanExporter(), sdk.TracerProvider()
    provider.add_span_processor(export.SimpleSpanProcessor(exporter))
    otel = tracing._opentelemetry()
    assert otel is not None
    monkeypatch.setattr(otel, 'tracer', provider.get_tracer(tracing.SCOPE))
    yield exporter
    provider.shutdown()


class Answers:
    """Notes the span in which an answer is sent."""

    def __init__(self) -> None:
        self.spans: list[Any] = []

    def complete_activity(self, response: pb.ActivityResponse) -> bool:
        self.spans.append(trace.get_current_span())
        return True


def serve(fn: Any, *, on_loop: bool) -> Answers:
    registry, answers = _Registry(), Answers()
    registry.add_named_activity('charge', fn)
    activities = Activities(registry, answers, LOGGER)
    item = activity_item('charge', task_id=3)
    item.activityRequest.parentTraceContext.traceParent = f'00-{TRACE:032x}-{SIDECARS_SPAN:016x}-01'
    if on_loop:
        activities.answer(asyncio.run(activities.serve_async(item)))
    else:
        activities.serve(item)
    return answers


both = pytest.mark.parametrize('on_loop', [False, True], ids=['sync', 'async'])


@both
def test_an_activity_has_a_span_below_the_sidecars_and_is_answered_in_it(spans: Any, on_loop: bool) -> None:
    inside: list[Any] = []
    answers = serve(lambda ctx, _: inside.append(trace.get_current_span()), on_loop=on_loop)
    (span,) = spans.get_finished_spans()
    assert span.name == 'activity: charge'
    assert span.instrumentation_scope.name == 'dapr.ext.workflow._durabletask.worker'
    assert dict(span.attributes) == {
        'dapr.ext.workflow._durabletask.task.instance_id': 'abc',
        'dapr.ext.workflow._durabletask.task.id': 3,
        'dapr.ext.workflow._durabletask.activity.name': 'charge',
    }
    assert (span.context.trace_id, span.parent.span_id) == (TRACE, SIDECARS_SPAN)
    for current in [*inside, *answers.spans]:
        assert current.get_span_context() == span.context
    assert len(inside) == len(answers.spans) == 1
    assert not trace.get_current_span().get_span_context().is_valid


@both
def test_a_failure_is_on_the_span(spans: Any, on_loop: bool) -> None:
    def charge(ctx: Any, _: Any) -> None:
        raise ValueError('declined')

    serve(charge, on_loop=on_loop)
    (span,) = spans.get_finished_spans()
    assert (span.status.status_code, span.status.description) == (trace.StatusCode.ERROR, 'ValueError: declined')
    assert span.events[0].name == 'exception'


def test_async_activities_do_not_inherit_what_was_current_where_they_were_dispatched() -> None:
    seen: list[Any] = []
    dispatcher = Dispatcher(ConcurrencyOptions(), LOGGER)

    async def run(_: Any) -> None:
        seen.append(trace.get_current_span().get_span_context().is_valid)

    engines = trace.NonRecordingSpan(trace.SpanContext(TRACE, SIDECARS_SPAN, False))
    with trace.use_span(engines):
        dispatcher.async_activity(run, lambda _: None, None)
        dispatcher.close()
        assert dispatcher.join(time.monotonic() + 20)
    assert seen == [False]
