"""Where workflows, turns and the worker's own calls stand in a trace."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from dapr.ext.workflow import DaprWorkflowClient, DaprWorkflowContext, WorkflowActivityContext, WorkflowRuntime
from dapr.ext.workflow._durabletask import tracing
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker
from dapr.ext.workflow.aio import AsyncWorkflowContext
from dapr.ext.workflow.emulator import Emulator
from tests.support.engine import START, execution_started, task_completed, task_scheduled, workflow_started
from tests.support.fake_sidecar import FakeSidecar

trace = pytest.importorskip('opentelemetry.trace')
sdk = pytest.importorskip('opentelemetry.sdk.trace')

from dapr.ext.workflow.observability import WorkerSpans  # noqa: E402

NewWorker = Callable[..., TaskHubGrpcWorker]
Run = Generator[Any, Any, Any]

TRACE = 0x0AF7651916CD43DD8448EB211C80319C
CALLERS_SPAN = 0xB7AD6B7169203331
RUNS_SPAN = 0x00F067AA0BA902B7
CALLERS = f'00-{TRACE:032x}-{CALLERS_SPAN:016x}-01'

pytestmark = pytest.mark.own_mode


@pytest.fixture
def provider() -> Iterator[Any]:
    provider = sdk.TracerProvider()
    yield provider
    provider.shutdown()


@pytest.fixture
def spans(provider: Any) -> Any:
    export = pytest.importorskip('opentelemetry.sdk.trace.export')
    memory = pytest.importorskip('opentelemetry.sdk.trace.export.in_memory_span_exporter')
    exporter = memory.InMemorySpanExporter()
    provider.add_span_processor(export.SimpleSpanProcessor(exporter))
    return exporter


def turn(number: int, *, traced: str = CALLERS, name: str = 'flow') -> pb.WorkItem:
    """The first turn of a workflow, or the one after its activity."""
    started = execution_started(name, '1')
    if traced:
        started.executionStarted.parentTraceContext.traceParent = traced
        started.executionStarted.parentTraceContext.traceState.value = 'shop=1'
        started.executionStarted.workflowSpanID.value = f'{RUNS_SPAN:016x}'
    first = [workflow_started(), started]
    request = pb.WorkflowRequest(instanceId='abc', newEvents=first)
    if number == 2:
        request = pb.WorkflowRequest(
            instanceId='abc',
            pastEvents=[*first, task_scheduled(1, 'echo')],
            newEvents=[workflow_started(START + timedelta(seconds=1)), task_completed(1, 2)],
        )
    return pb.WorkItem(completionToken=str(number), workflowRequest=request)


def worker_of(new_worker: NewWorker, seen: list[Any], **options: Any) -> TaskHubGrpcWorker:
    def look(ctx: Any) -> None:
        context = trace.get_current_span().get_span_context()
        recording = trace.get_current_span().is_recording()
        seen.append(
            (context.trace_id, context.span_id, recording, ctx.trace_parent, ctx.trace_state, ctx.workflow_span_id)
        )

    def flow(ctx: Any, value: Any) -> Run:
        look(ctx)
        yield ctx.call_activity('echo', input=value)
        look(ctx)

    async def flow_async(ctx: AsyncWorkflowContext, value: Any) -> None:
        look(ctx)
        await ctx.call_activity('echo', input=value)
        look(ctx)

    worker = new_worker(**options)
    worker.add_orchestrator(flow)
    worker.add_async_orchestrator(flow_async)
    return worker


@pytest.mark.parametrize('name', ['flow', 'flow_async'])
@pytest.mark.parametrize('sticky', [True, False], ids=['sticky', 'replayed'])
def test_a_workflow_sees_the_sidecars_span_of_its_run(
    new_worker: NewWorker, sidecar: FakeSidecar, name: str, sticky: bool
) -> None:
    seen: list[Any] = []
    worker = worker_of(new_worker, seen, disable_sticky_execution=not sticky)
    worker.start()
    for number in (1, 2):
        sidecar.push(turn(number, name=name))
        sidecar.wait_for_answers(number)
    assert len(seen) == (2 if sticky else 3)
    assert set(seen) == {(TRACE, RUNS_SPAN, False, CALLERS, 'shop=1', f'{RUNS_SPAN:016x}')}
    assert not trace.get_current_span().get_span_context().is_valid


def test_a_workflow_that_is_not_traced_sees_no_span(new_worker: NewWorker, sidecar: FakeSidecar) -> None:
    seen: list[Any] = []
    worker_of(new_worker, seen).start()
    sidecar.push(turn(1, traced=''))
    sidecar.wait_for_answers(1)
    assert seen == [(0, 0, False, None, None, None)]


def test_turns_and_replays_have_spans_below_the_run(
    new_worker: NewWorker, sidecar: FakeSidecar, spans: Any, provider: Any
) -> None:
    worker = worker_of(new_worker, [], listeners=[WorkerSpans(provider)])
    worker.start()
    sidecar.push(turn(2))
    sidecar.wait_for_answers(1)
    worker.stop()
    replay, whole = spans.get_finished_spans()
    assert (whole.name, replay.name) == ('worker turn: flow', 'worker replay: flow')
    assert (whole.context.trace_id, whole.parent.span_id) == (TRACE, RUNS_SPAN)
    assert replay.parent.span_id == whole.context.span_id
    assert whole.start_time == replay.start_time < replay.end_time < whole.end_time
    assert whole.instrumentation_scope.name == 'dapr.ext.workflow.worker'
    assert dict(whole.attributes) == {
        'dapr.workflow.name': 'flow',
        'dapr.workflow.instance_id': 'abc',
        'dapr.workflow.outcome': 'completed',
        'dapr.workflow.sticky': 'miss',
        'dapr.workflow.new_events': 2,
    }
    assert dict(replay.attributes) == {'dapr.workflow.replayed_events': 3, 'dapr.workflow.miss_reason': 'cold'}


@pytest.mark.parametrize('traced', ['', CALLERS[:-2] + '00'], ids=['without a trace', 'not sampled'])
def test_what_is_not_traced_has_no_span(
    new_worker: NewWorker, sidecar: FakeSidecar, spans: Any, provider: Any, traced: str
) -> None:
    worker = worker_of(new_worker, [], listeners=[WorkerSpans(provider)])
    worker.start()
    sidecar.push(turn(1, traced=traced))
    sidecar.wait_for_answers(1)
    worker.stop()
    assert spans.get_finished_spans() == ()


def test_with_instrumented_grpc_each_span_has_its_place_and_none_is_there_twice(
    spans: Any, provider: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The app's own span is the root of everything; what the worker does on its own account has no span."""
    instrumentation = pytest.importorskip('opentelemetry.instrumentation.grpc')
    otel = tracing._opentelemetry()
    assert otel is not None
    monkeypatch.setattr(otel, 'tracer', provider.get_tracer(tracing.SCOPE))
    tracer = provider.get_tracer('app')
    # It knows the provider of the process alone, which can be set only once.
    made = partial(instrumentation.client_interceptor, provider)
    monkeypatch.setattr(instrumentation, 'client_interceptor', lambda tracer_provider, **options: made(**options))
    instrumentor = instrumentation.GrpcInstrumentorClient()
    instrumentor.instrument()
    try:
        with Emulator() as emulator:
            port = emulator.address.rpartition(':')[2]
            runtime = WorkflowRuntime('127.0.0.1', port, listeners=[WorkerSpans(provider)])

            @runtime.workflow
            def order(ctx: DaprWorkflowContext, value: int) -> Run:
                yield ctx.call_activity(charge, input=value)
                return (yield ctx.call_activity(ship, input=value))

            @runtime.activity
            def charge(ctx: WorkflowActivityContext, value: int) -> None:
                with tracer.start_as_current_span('the bank'):
                    pass

            @runtime.activity
            async def ship(ctx: WorkflowActivityContext, value: int) -> None:
                with tracer.start_as_current_span('the van'):
                    pass

            with runtime, DaprWorkflowClient('127.0.0.1', port) as client:
                with tracer.start_as_current_span('a request'):
                    instance_id = client.schedule_new_workflow(order, input=1)
                client.wait_for_workflow_completion(instance_id, timeout_in_seconds=20)
    finally:
        instrumentor.uninstrument()
    found = spans.get_finished_spans()
    names = {span.context.span_id: span.name for span in found}
    tree = sorted((span.name, names.get(span.parent.span_id) if span.parent else None) for span in found)
    service = '/TaskHubSidecarService'
    assert tree == [
        (f'{service}/CompleteActivityTask', 'activity: charge'),
        (f'{service}/CompleteActivityTask', 'activity: ship'),
        (f'{service}/StartInstance', 'a request'),
        (f'{service}/WaitForInstanceCompletion', None),  # the app asks for it outside of its span
        ('a request', None),
        ('activity: charge', 'a request'),
        ('activity: ship', 'a request'),
        ('the bank', 'activity: charge'),
        ('the van', 'activity: ship'),
        *[('worker turn: order', 'a request')] * 3,
    ]
