"""Interceptors around starts, runs, calls and activities: order, styles, replays, and what they may change."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from dapr.ext import workflow as wf
from dapr.ext.workflow import DaprWorkflowClient, DaprWorkflowContext, WorkflowActivityContext, WorkflowRuntime
from dapr.ext.workflow.aio import AsyncWorkflowContext
from dapr.ext.workflow.aio import DaprWorkflowClient as AsyncDaprWorkflowClient
from dapr.ext.workflow.emulator import Emulator
from dapr.ext.workflow.interceptors import composed, methods_of

Run = Generator[Any, Any, Any]


class App:
    """A runtime and a client on an emulator."""

    def __init__(self, emulator: Emulator, **options: Any) -> None:
        self.port = emulator.address.rpartition(':')[2]
        self.runtime = WorkflowRuntime('127.0.0.1', self.port, **options)
        for workflow in (sums, sums_async, plain, forever):
            self.runtime.register_workflow(workflow)
        for activity in (double, double_async):
            self.runtime.register_activity(activity)

    def run(self, workflow: Callable[..., Any], input: Any = None, **client_options: Any) -> Any:
        with self.runtime, DaprWorkflowClient('127.0.0.1', self.port, **client_options) as client:
            return ended(client, client.schedule_new_workflow(workflow, input=input))


def ended(client: DaprWorkflowClient, instance_id: str) -> wf.WorkflowState:
    state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=20)
    assert state is not None
    return state


def double(ctx: WorkflowActivityContext, value: int) -> int:
    return 2 * value


async def double_async(ctx: WorkflowActivityContext, value: int) -> int:
    await asyncio.sleep(0)
    return 2 * value


def sums(ctx: DaprWorkflowContext, value: int) -> Run:
    first = yield ctx.call_activity(double, input=value)
    second = yield ctx.call_activity(double_async, input=value)
    return first + second


async def sums_async(ctx: AsyncWorkflowContext, value: int) -> int:
    return await ctx.call_activity(double, input=value) + await ctx.call_activity(double_async, input=value)


def plain(ctx: DaprWorkflowContext, value: int) -> int:
    return value


def forever(ctx: DaprWorkflowContext, value: int) -> Run:
    yield ctx.create_timer(timedelta(milliseconds=1))
    if value >= 3:
        return value
    ctx.continue_as_new(value + 1)


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


def test_interceptors_are_around_each_other_in_order() -> None:
    told: list[str] = []

    class Named(wf.BaseRuntimeInterceptor[Any, Any]):
        def __init__(self, name: str) -> None:
            self.name = name

        def execute_activity(self, request: Any, next: Any) -> Any:
            told.append(f'{self.name} before')
            result = next(request)
            told.append(f'{self.name} after')
            return result

    methods = methods_of([Named('outer'), wf.BaseRuntimeInterceptor(), Named('inner')], 'execute_activity')
    assert len(methods) == 2  # a base class's own is left out
    composed(methods, lambda request: told.append(f'the activity {request}'))(1)
    assert told == ['outer before', 'inner before', 'the activity 1', 'inner after', 'outer after']


class Plain(wf.BaseRuntimeInterceptor[Any, Any]):
    def execute_workflow(self, request: Any, next: Any) -> Any:
        return next(replace(request, input=request.input + 100))

    def execute_activity(self, request: Any, next: Any) -> Any:
        return next(replace(request, input=request.input + 1))


class Generators(Plain):
    def execute_workflow(self, request: Any, next: Any) -> Any:
        return (yield from next(replace(request, input=request.input + 100))) + 0.5


class Async(wf.BaseRuntimeInterceptor[Any, Any]):
    async def execute_workflow(self, request: Any, next: Any) -> Any:
        return await next(replace(request, input=request.input + 100)) + 0.5

    async def execute_activity(self, request: Any, next: Any) -> Any:
        return await next(replace(request, input=request.input + 1)) + 1


@pytest.mark.parametrize('workflow', [sums, sums_async, plain])
@pytest.mark.parametrize(
    ('interceptors', 'summed', 'passed'),
    [
        ([Plain()], 404, 100),
        ([Generators()], 404.5, 100.5),
        ([Async()], 406.5, 100.5),
        ([Async(), Generators(), Plain()], 1215, 301),
        ([Plain(), Generators(), Async()], 1215, 301),
    ],
    ids=['plain', 'generator', 'async', 'async outermost', 'plain outermost'],
)
def test_each_style_is_around_each_kind_of_workflow_and_activity(
    emulator: Emulator, workflow: Any, interceptors: list[Any], summed: float, passed: float
) -> None:
    """Each adds 100 to the workflow's input and 1 to each activity's; those that see results add to them."""
    for disable_sticky_execution in (False, True):
        app = App(emulator, runtime_interceptors=interceptors, disable_sticky_execution=disable_sticky_execution)
        state = app.run(workflow, 0)
        assert state.runtime_status is wf.WorkflowStatus.COMPLETED, state.failure_details
        assert float(state.serialized_output or 'nan') == (passed if workflow is plain else summed)


class Outbound(wf.BaseWorkflowOutboundInterceptor[Any, Any]):
    """Notes what is asked for, and whether it is new."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def call_activity(self, request: wf.CallActivityRequest[Any], next: Any) -> Any:
        self.asked.append((request.activity_name, request.input, request.is_replaying))
        return next(replace(request, input=request.input + 1, activity_name='double'))

    def call_child_workflow(self, request: wf.CallChildWorkflowRequest[Any], next: Any) -> Any:
        self.asked.append((request.workflow_name, request.input, request.instance_id))
        return next(replace(request, instance_id='the child'))

    def continue_as_new(self, request: wf.ContinueAsNewRequest[Any], next: Any) -> Any:
        self.asked.append(('continue_as_new', request.input))
        return next(replace(request, input=request.input + 10))


@pytest.mark.parametrize('workflow', [sums, sums_async])
def test_calls_go_through_outbound_interceptors_and_replays_are_marked(emulator: Emulator, workflow: Any) -> None:
    outbound = Outbound()
    app = App(emulator, outbound_interceptors=[outbound], disable_sticky_execution=True)
    assert app.run(workflow, 5).serialized_output == '24'
    assert outbound.asked == [
        ('double', 5, False),
        ('double', 5, True),
        ('double_async', 5, False),
        ('double', 5, True),
        ('double_async', 5, True),
    ]


async def parent_async(ctx: AsyncWorkflowContext, value: int) -> Any:
    return [await ctx.call_child_workflow(plain, input=value), await ctx.sub_orchestrator('plain', input=value)]


def parent(ctx: DaprWorkflowContext, value: int) -> Run:
    return [(yield ctx.call_child_workflow(plain, input=value)), (yield ctx.call_child_workflow('plain', input=value))]


@pytest.mark.parametrize('workflow', [parent, parent_async])
def test_child_workflows_go_through_them(emulator: Emulator, workflow: Any) -> None:
    outbound = Outbound()
    app = App(emulator, outbound_interceptors=[outbound])
    app.runtime.register_workflow(workflow)
    with app.runtime, DaprWorkflowClient('127.0.0.1', app.port) as client:
        state = ended(client, client.schedule_new_workflow(workflow, input=7))
        child = client.get_workflow_state('the child')
    assert state.serialized_output == '[7, 7]'
    assert child is not None
    assert outbound.asked == [('plain', 7, None), ('plain', 7, None)]


class Hurried(wf.BaseWorkflowOutboundInterceptor[Any, Any]):
    """Gives each call a limit of its own, and takes note of the one that it had."""

    def __init__(self) -> None:
        self.had: list[Any] = []

    def call_activity(self, request: Any, next: Any) -> Any:
        self.had.append(request.timeout)
        return next(replace(request, timeout=0.05))

    call_child_workflow = call_activity


def never(ctx: DaprWorkflowContext, _: Any) -> Run:
    yield ctx.wait_for_external_event('never')


def limits(ctx: DaprWorkflowContext, _: Any) -> Run:
    told = []
    for call in (ctx.call_child_workflow(never, timeout=60), ctx.call_child_workflow('never')):
        try:
            yield call
        except TimeoutError as error:
            told.append(type(error).__name__)
    return told


async def limits_async(ctx: AsyncWorkflowContext, _: Any) -> Any:
    told = []
    for call in (ctx.call_child_workflow(never, timeout=60), ctx.call_child_workflow('never')):
        try:
            await call
        except TimeoutError as error:
            told.append(type(error).__name__)
    return told


@pytest.mark.own_mode  # what is asked for is counted
@pytest.mark.parametrize(('workflow', 'error'), [(limits, 'TimeoutError'), (limits_async, 'WorkflowTimeoutError')])
def test_interceptors_see_and_set_the_limits_of_calls(emulator: Emulator, workflow: Any, error: str) -> None:
    hurried = Hurried()
    app = App(emulator, outbound_interceptors=[hurried], disable_sticky_execution=False)
    app.runtime.register_workflow(workflow)
    app.runtime.register_workflow(never)
    assert app.run(workflow).serialized_output == f'["{error}", "{error}"]'
    assert hurried.had == [60, None]


class Messenger(wf.BaseWorkflowOutboundInterceptor[Any, Any]):
    """Takes note of detached workflows and of events for others, and changes both."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def schedule_new_workflow(self, request: Any, next: Any) -> Any:
        self.seen.append((request.workflow_name, request.input, request.instance_id))
        assert request.start_at - request.workflow_ctx.current_utc_datetime == timedelta(milliseconds=2)
        return next(replace(request, instance_id='apart', metadata={'tenant': 'a'}))

    def send_event(self, request: Any, next: Any) -> Any:
        self.seen.append((request.instance_id, request.event_name, request.data))
        next(replace(request, data=request.data + 1))


def waiting(ctx: DaprWorkflowContext, _: Any) -> Run:
    return [(yield ctx.wait_for_external_event('go')), ctx.execution_info.inbound_metadata]


def starting(ctx: DaprWorkflowContext, _: Any) -> Run:
    started = ctx.schedule_new_workflow(waiting, input=1, start_at=timedelta(milliseconds=2))
    yield ctx.create_timer(timedelta(milliseconds=50))
    ctx.send_event(started, 'go', 41)
    return started


async def starting_async(ctx: AsyncWorkflowContext, _: Any) -> str:
    started = ctx.schedule_new_workflow(waiting, input=1, start_at=timedelta(milliseconds=2))
    await asyncio.sleep(0.05)
    ctx.send_event(started, 'go', 41)
    return started


@pytest.mark.own_mode  # what is asked for is counted
@pytest.mark.parametrize('workflow', [starting, starting_async])
def test_detached_workflows_and_events_for_others_go_through_them(emulator: Emulator, workflow: Any) -> None:
    messenger = Messenger()
    app = App(emulator, outbound_interceptors=[messenger], disable_sticky_execution=False)
    app.runtime.register_workflow(workflow)
    app.runtime.register_workflow(waiting)
    with app.runtime, DaprWorkflowClient('127.0.0.1', app.port) as client:
        assert ended(client, client.schedule_new_workflow(workflow)).serialized_output == '"apart"'
        assert ended(client, 'apart').serialized_output == '[42, {"tenant": "a"}]'
    assert messenger.seen == [('waiting', 1, None), ('apart', 'go', 41)]


async def forever_async(ctx: AsyncWorkflowContext, value: int) -> int:
    if value < 3:
        ctx.continue_as_new(value + 1)
    return value


@pytest.mark.parametrize('workflow', [forever, forever_async])
def test_going_on_as_new_goes_through_them(emulator: Emulator, workflow: Any) -> None:
    outbound = Outbound()
    app = App(emulator, outbound_interceptors=[outbound])
    if workflow is forever_async:
        app.runtime.register_workflow(workflow)
    assert app.run(workflow, 1).serialized_output == '12'
    assert outbound.asked == [('continue_as_new', 2)]


def test_an_interceptor_that_raises_fails_what_it_is_around(emulator: Emulator) -> None:
    class Refuses(wf.BaseRuntimeInterceptor[Any, Any]):
        def execute_activity(self, request: Any, next: Any) -> Any:
            raise PermissionError('not for you')

    details = App(emulator, runtime_interceptors=[Refuses()]).run(sums, 1).failure_details
    assert details is not None
    assert 'PermissionError' in details.message or 'not for you' in details.message

    class RefusesRuns(wf.BaseRuntimeInterceptor[Any, Any]):
        async def execute_workflow(self, request: Any, next: Any) -> Any:
            raise PermissionError('not for you')

    details = App(emulator, runtime_interceptors=[RefusesRuns()]).run(sums, 1).failure_details
    assert details is not None
    assert (details.error_type, details.message) == ('PermissionError', 'not for you')


def test_an_async_interceptor_must_not_wait_around_a_sync_activity(emulator: Emulator) -> None:
    class Waits(wf.BaseRuntimeInterceptor[Any, Any]):
        async def execute_activity(self, request: Any, next: Any) -> Any:
            await asyncio.sleep(0)
            return await next(request)

    details = App(emulator, runtime_interceptors=[Waits()]).run(sums, 1).failure_details
    assert details is not None
    assert (
        "An async interceptor awaits something else than next(request) around the activity 'double'" in details.message
    )


@pytest.mark.parametrize('interceptor', [Plain(), Async()], ids=['plain', 'async'])
def test_a_sync_wrapper_of_an_async_activity_has_them_around_it(emulator: Emulator, interceptor: Any) -> None:
    async def later(ctx: WorkflowActivityContext, value: int) -> int:
        await asyncio.sleep(0)
        return 2 * value

    @functools.wraps(later)
    def wrapper(*args: Any) -> Any:
        return later(*args)

    def calls(ctx: DaprWorkflowContext, value: int) -> Run:
        return (yield ctx.call_activity('later', input=value))

    app = App(emulator, runtime_interceptors=[interceptor])
    app.runtime.register_activity(wrapper)
    app.runtime.register_workflow(calls)
    state = app.run(calls, 0)
    assert state.runtime_status is wf.WorkflowStatus.COMPLETED, state.failure_details
    assert float(state.serialized_output or 'nan') == (202 if isinstance(interceptor, Plain) else 203.5)


class Starts(wf.BaseClientInterceptor[Any]):
    def schedule_new_workflow(self, request: wf.ScheduleWorkflowRequest[Any], next: Any) -> Any:
        return next(replace(request, instance_id=f'audited-{request.workflow_name}', input=request.input + 1))


class AsyncStarts(wf.BaseClientInterceptor[Any]):
    async def schedule_new_workflow(self, request: wf.ScheduleWorkflowRequest[Any], next: Any) -> Any:
        return await next(replace(request, instance_id=f'audited-{request.workflow_name}', input=request.input + 1))


@pytest.mark.parametrize('argument', ['client_interceptors', 'interceptors'])
@pytest.mark.parametrize('interceptor', [Starts(), AsyncStarts()], ids=['plain', 'async'])
def test_starts_go_through_the_interceptors_of_the_client(emulator: Emulator, interceptor: Any, argument: str) -> None:
    app = App(emulator)
    given: Any = {argument: [interceptor]}
    state = app.run(plain, 1, **given)
    assert (state.instance_id, state.serialized_output) == ('audited-plain', '2')

    async def from_asyncio() -> str:
        async with AsyncDaprWorkflowClient('127.0.0.1', app.port, **given) as client:
            instance_id = await client.schedule_new_workflow(plain, input=2)
            state = await client.wait_for_workflow_completion(instance_id, timeout_in_seconds=20)
            assert state is not None
            return f'{instance_id}: {state.serialized_output}'

    with app.runtime:
        assert asyncio.run(from_asyncio()) == 'audited-plain: 3'


def test_without_interceptors_nothing_is_wrapped(emulator: Emulator) -> None:
    kinds: list[type] = []

    def looks(ctx: DaprWorkflowContext, _: Any) -> None:
        kinds.append(type(ctx))

    app = App(emulator, runtime_interceptors=[], outbound_interceptors=[wf.BaseWorkflowOutboundInterceptor()])
    app.runtime.register_workflow(looks)
    app.run(looks)
    assert kinds == [DaprWorkflowContext]


def test_a_call_that_is_never_awaited_is_told_with_the_workflows_line(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    async def forgets(ctx: AsyncWorkflowContext, _: Any) -> None:
        ctx.call_activity(double, input=1)

    app = App(emulator, outbound_interceptors=[Outbound()])
    app.runtime.register_workflow(forgets)
    app.run(forgets)
    assert f'test_interceptors.py:{forgets.__code__.co_firstlineno + 1}' in caplog.text


# Headers that travel


class Headers(wf.BaseRuntimeInterceptor[Any, Any], wf.BaseWorkflowOutboundInterceptor[Any, Any]):
    """Notes what comes in, and has one more go out."""

    def __init__(self) -> None:
        self.came_in: list[tuple[str, Any]] = []
        self.go_out: list[Any] = []

    def execute_workflow(self, request: wf.ExecuteWorkflowRequest[Any], next: Callable[[Any], Any]) -> Any:
        if not request.is_replaying:
            self.came_in.append((request.ctx.workflow_name, request.metadata))
        return next(request)

    def execute_activity(self, request: wf.ExecuteActivityRequest[Any], next: Callable[[Any], Any]) -> Any:
        self.came_in.append((request.ctx.activity_name, request.metadata))
        return next(request)

    def call_activity(self, request: wf.CallActivityRequest[Any], next: Callable[[Any], Any]) -> Any:
        return self._out(request, next)

    def call_child_workflow(self, request: wf.CallChildWorkflowRequest[Any], next: Callable[[Any], Any]) -> Any:
        return self._out(request, next)

    def continue_as_new(self, request: wf.ContinueAsNewRequest[Any], next: Callable[[Any], Any]) -> Any:
        return self._out(request, next)

    def _out(self, request: Any, next: Callable[[Any], Any]) -> Any:
        if not request.is_replaying:
            self.go_out.append(request.metadata)
        return next(replace(request, metadata={**(request.metadata or {}), 'hop': type(request).__name__}))


def passes_on(ctx: DaprWorkflowContext, value: int) -> Run:
    assert (yield ctx.call_activity(double, input=value)) == 2 * value
    ctx.set_metadata({'tenant': 'acme'})
    return (yield ctx.call_child_workflow(sums, input=value))


async def passes_on_async(ctx: AsyncWorkflowContext, value: int) -> int:
    assert await ctx.call_activity(double, input=value) == 2 * value
    ctx.set_metadata({'tenant': 'acme'})
    return await ctx.call_child_workflow(sums, input=value)


@pytest.mark.parametrize('workflow', [passes_on, passes_on_async])
def test_headers_travel(emulator: Emulator, workflow: Callable[..., Any]) -> None:
    headers = Headers()
    app = App(emulator, runtime_interceptors=[headers], outbound_interceptors=[headers])
    app.runtime.register_workflow(passes_on)
    app.runtime.register_workflow(passes_on_async)

    state = app.run(workflow, 3)

    assert state.serialized_output == '12', state.failure_details
    child = {'tenant': 'acme', 'hop': 'CallChildWorkflowRequest'}
    call = {'tenant': 'acme', 'hop': 'CallActivityRequest'}
    assert headers.came_in == [
        (workflow.__name__, None),
        ('double', {'hop': 'CallActivityRequest'}),
        ('sums', child),
        ('double', call),
        ('double_async', call),
    ]
    assert headers.go_out == [None, {'tenant': 'acme'}, child, child]


def test_headers_travel_into_the_next_run(emulator: Emulator) -> None:
    headers = Headers()

    assert App(emulator, runtime_interceptors=[headers], outbound_interceptors=[headers]).run(
        forever, 2
    ).serialized_output == ('3')
    assert headers.came_in == [('forever', None), ('forever', {'hop': 'ContinueAsNewRequest'})]


class Tenant(wf.BaseClientInterceptor[Any]):
    def schedule_new_workflow(self, request: wf.ScheduleWorkflowRequest[Any], next: Callable[[Any], Any]) -> Any:
        return next(replace(request, metadata={**(request.metadata or {}), 'tenant': 'acme'}))


def tells(ctx: DaprWorkflowContext, value: int) -> Any:
    return [value, ctx.execution_info.inbound_metadata]


def test_a_client_sends_headers_along(emulator: Emulator) -> None:
    app = App(emulator)
    app.runtime.register_workflow(tells)
    with (
        app.runtime,
        DaprWorkflowClient('127.0.0.1', app.port) as plain,
        DaprWorkflowClient('127.0.0.1', app.port, client_interceptors=[Tenant()]) as intercepted,
    ):
        given = {'who': 'me'}
        for client, sent, came in (
            (plain, None, {}),
            (plain, {}, {}),
            (plain, given, given),
            (intercepted, None, {'tenant': 'acme'}),
            (intercepted, given, {'who': 'me', 'tenant': 'acme'}),
        ):
            state = ended(client, client.schedule_new_workflow(tells, input=3, metadata=sent))
            assert (state.output(), state.input(), state.metadata) == ([3, came], 3, came)
            assert state.to_json().get('metadata', {}) == came
        with pytest.raises(TypeError, match=r"metadata\['tries'\] must be a str, not int: 3"):
            plain.schedule_new_workflow(tells, input=3, metadata={'tries': 3})  # type: ignore[dict-item]


def test_an_asyncio_client_sends_headers_along(emulator: Emulator) -> None:
    app = App(emulator)
    app.runtime.register_workflow(tells)

    async def run(**options: Any) -> Any:
        async with AsyncDaprWorkflowClient('127.0.0.1', app.port, **options) as client:
            new_id = await client.schedule_new_workflow(tells, input=3, metadata={'who': 'me'})
            state = await client.wait_for_workflow_completion(new_id, timeout_in_seconds=20)
            assert state is not None
            return state.output()

    with app.runtime:
        assert asyncio.run(run()) == [3, {'who': 'me'}]
        assert asyncio.run(run(client_interceptors=[Tenant()])) == [3, {'who': 'me', 'tenant': 'acme'}]
