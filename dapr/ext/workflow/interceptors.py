"""Interceptors: code of the app's around the starts of workflows, their runs, the calls that they make, and activities.

Three kinds, by the names of python-sdk#827, each with a base class that passes everything on:

- `ClientInterceptor` is around `schedule_new_workflow` of a client.
- `RuntimeInterceptor` is around each run of a workflow, and each activity.
- `WorkflowOutboundInterceptor` is around what a workflow asks for: activities, child workflows, continue_as_new,
  detached workflows, events for others.

A method gets a request and `next`. It may look at the request, give `next` another one (`dataclasses.replace`), raise,
or do something before and after; what it returns is what the caller gets. The first interceptor of a list is the
outermost one. Each method may be written in any of three ways, whatever the workflow or the activity is written in:

- A plain method that returns what `next(request)` gives. For a workflow or an async activity that is what is going to
  run, and not its result: there is no "after" in a plain method.
- A generator: `result = yield from next(request)`. For workflows.
- An async method: `result = await next(request)`. For workflows and activities, sync ones, too, and for clients; around
  what is sync it must await nothing else.

What is around a workflow runs again with each replay, as the workflow does, and must be deterministic as it is:
`request.is_replaying` says whether the code that runs now has run before.

gRPC interceptors (`interceptors=`) are another thing: they see the calls to the sidecar.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, Protocol, TypeVar, cast

from dapr.ext.workflow._durabletask.propagation import PropagationScope
from dapr.ext.workflow.retry_policy import RetryPolicy

__all__ = [
    'BaseClientInterceptor',
    'BaseRuntimeInterceptor',
    'BaseWorkflowOutboundInterceptor',
    'CallActivityRequest',
    'CallChildWorkflowRequest',
    'ClientInterceptor',
    'ContinueAsNewRequest',
    'ExecuteActivityRequest',
    'ExecuteWorkflowRequest',
    'RuntimeInterceptor',
    'ScheduleWorkflowRequest',
    'SendEventRequest',
    'WorkflowOutboundInterceptor',
]

TInput = TypeVar('TInput')
TWorkflowInput = TypeVar('TWorkflowInput')
TActivityInput = TypeVar('TActivityInput')

Next = Callable[[Any], Any]


# What is asked for


class _Outbound:
    workflow_ctx: Any

    @property
    def is_replaying(self) -> bool:
        """Whether the code that is running now has run before. False in a request that was made without a context."""
        return self.workflow_ctx is not None and bool(self.workflow_ctx.is_replaying)


@dataclass
class ScheduleWorkflowRequest(_Outbound, Generic[TInput]):
    """A workflow that a client starts, or a detached one that a workflow starts.

    Attributes:
        workflow_name: The name that it is registered by.
        input: Its input; None: there is none.
        instance_id: Its instance id; None: a new one, or one that is made of that of the workflow that starts it.
        start_at: When it starts; None: now.
        reuse_id_policy: Deprecated, and without effect.
        app_id: The app that is to run it; None: the sidecar's own.
        timeout: For how many seconds it may take to start; None: as long as the client's calls may take. A workflow
            does not wait for it.
        metadata: What goes with the input, as headers do; None: nothing (of a workflow's: what it has set).
        app_namespace: The Dapr namespace of the app, of a workflow's; None: its own.
        workflow_ctx: The context of the workflow that starts it; None: a client does.
    """

    workflow_name: str
    input: TInput
    instance_id: str | None = None
    start_at: datetime | None = None
    reuse_id_policy: Any = None
    app_id: str | None = None
    timeout: float | None = None
    metadata: dict[str, str] | None = None
    app_namespace: str | None = None
    workflow_ctx: Any = None


@dataclass
class ExecuteWorkflowRequest(Generic[TInput]):
    """A run of a workflow that begins, or is replayed.

    Attributes:
        ctx: Its context: a `DaprWorkflowContext`, or an `AsyncWorkflowContext` for one in `async def`.
        input: Its input; None: there is none.
        metadata: What came with the input, as headers do; None: nothing.
    """

    ctx: Any
    input: TInput
    metadata: dict[str, str] | None = None

    @property
    def is_replaying(self) -> bool:
        """Whether the code that is running now has run before."""
        return bool(self.ctx.is_replaying)


@dataclass
class ExecuteActivityRequest(Generic[TInput]):
    """An activity that begins.

    Attributes:
        ctx: Its context, a `WorkflowActivityContext`.
        input: Its input; None: there is none.
        metadata: What came with the input, as headers do; None: nothing.
    """

    ctx: Any
    input: TInput
    metadata: dict[str, str] | None = None


@dataclass
class CallActivityRequest(_Outbound, Generic[TInput]):
    """An activity that a workflow calls.

    Attributes:
        activity_name: The name that it is registered by.
        input: Its input; None: there is none.
        retry_policy: How it is tried again when it fails; None: not at all.
        app_id: The app that runs it; None: the workflow's own.
        workflow_ctx: The workflow's context.
        propagation: How much of the workflow's history goes with it; None: none.
        timeout: How long the whole call may take: a timedelta, or seconds; None: no limit.
        metadata: What goes with the input, as headers do; None: what the workflow has set; {}: nothing.
    """

    activity_name: str
    input: TInput
    retry_policy: RetryPolicy | None = None
    app_id: str | None = None
    workflow_ctx: Any = None
    propagation: PropagationScope | None = None
    timeout: float | timedelta | None = None
    metadata: dict[str, str] | None = None


@dataclass
class CallChildWorkflowRequest(_Outbound, Generic[TInput]):
    """A child workflow that a workflow starts.

    Attributes:
        workflow_name: The name that it is registered by.
        input: Its input; None: there is none.
        instance_id: Its instance id; None: one that is made of its parent's.
        retry_policy: How it is tried again when it fails; None: not at all.
        app_id: The app that runs it; None: the workflow's own.
        workflow_ctx: The workflow's context.
        propagation: How much of the workflow's history goes with it; None: none.
        timeout: How long the whole call may take: a timedelta, or seconds; None: no limit.
        metadata: What goes with the input, as headers do; None: what the workflow has set; {}: nothing.
    """

    workflow_name: str
    input: TInput
    instance_id: str | None = None
    retry_policy: RetryPolicy | None = None
    app_id: str | None = None
    workflow_ctx: Any = None
    propagation: PropagationScope | None = None
    timeout: float | timedelta | None = None
    metadata: dict[str, str] | None = None


@dataclass
class ContinueAsNewRequest(_Outbound, Generic[TInput]):
    """A new run that a workflow goes on as.

    Attributes:
        input: The input of the new run; None: there is none.
        save_events: Whether events that no one has waited for go over into the new run.
        workflow_ctx: The workflow's context.
        metadata: What goes with the input of the new run; None: what the workflow has set; {}: nothing.
    """

    input: TInput
    save_events: bool = False
    workflow_ctx: Any = None
    metadata: dict[str, str] | None = None


@dataclass
class SendEventRequest(_Outbound):
    """An event that a workflow raises on another instance.

    Attributes:
        instance_id: The instance that waits for it.
        event_name: The event's name.
        data: Its payload; None: there is none.
        workflow_ctx: The workflow's context.
    """

    instance_id: str
    event_name: str
    data: Any = None
    workflow_ctx: Any = None


# Who may have a say in it


class ClientInterceptor(Protocol, Generic[TInput]):
    """Is around what a client starts. Given to `DaprWorkflowClient(client_interceptors=[...])`, sync or asyncio."""

    def schedule_new_workflow(
        self, request: ScheduleWorkflowRequest[TInput], next: Callable[[ScheduleWorkflowRequest[TInput]], Any]
    ) -> Any:
        """Around `schedule_new_workflow`; `next` gives the new instance's id, which is to be returned."""


class RuntimeInterceptor(Protocol, Generic[TWorkflowInput, TActivityInput]):
    """Is around what a runtime runs. Given to `WorkflowRuntime(runtime_interceptors=[...])`."""

    def execute_workflow(
        self,
        request: ExecuteWorkflowRequest[TWorkflowInput],
        next: Callable[[ExecuteWorkflowRequest[TWorkflowInput]], Any],
    ) -> Any:
        """Around a run of a workflow; `next` gives what runs it: a generator, or a coroutine."""

    def execute_activity(
        self,
        request: ExecuteActivityRequest[TActivityInput],
        next: Callable[[ExecuteActivityRequest[TActivityInput]], Any],
    ) -> Any:
        """Around an activity; `next` gives its result, or a coroutine of it for one in `async def`."""


class WorkflowOutboundInterceptor(Protocol, Generic[TWorkflowInput, TActivityInput]):
    """Is around what workflows ask for. Given to `WorkflowRuntime(outbound_interceptors=[...])`. Plain methods alone:
    what `next` gives is what the workflow waits for, and `next` can be called once or not at all.

    It may also have `schedule_new_workflow` and `send_event`, which are no part of python-sdk#827: see
    `BaseWorkflowOutboundInterceptor`.
    """

    def call_activity(
        self, request: CallActivityRequest[TActivityInput], next: Callable[[CallActivityRequest[TActivityInput]], Any]
    ) -> Any:
        """Around `ctx.call_activity`; `next` gives its task (in a workflow in `async def`: its future)."""

    def call_child_workflow(
        self,
        request: CallChildWorkflowRequest[TWorkflowInput],
        next: Callable[[CallChildWorkflowRequest[TWorkflowInput]], Any],
    ) -> Any:
        """Around `ctx.call_child_workflow`; `next` gives its task, or its future."""

    def continue_as_new(
        self,
        request: ContinueAsNewRequest[TWorkflowInput],
        next: Callable[[ContinueAsNewRequest[TWorkflowInput]], Any],
    ) -> Any:
        """Around `ctx.continue_as_new`; in a workflow in `async def`, `next` does not return."""


class BaseClientInterceptor(Generic[TInput]):
    """A `ClientInterceptor` that passes everything on: derive from it, and override what you need."""

    def schedule_new_workflow(
        self, request: ScheduleWorkflowRequest[TInput], next: Callable[[ScheduleWorkflowRequest[TInput]], Any]
    ) -> Any:
        return next(request)


class BaseRuntimeInterceptor(Generic[TWorkflowInput, TActivityInput]):
    """A `RuntimeInterceptor` that passes everything on: derive from it, and override what you need."""

    def execute_workflow(
        self,
        request: ExecuteWorkflowRequest[TWorkflowInput],
        next: Callable[[ExecuteWorkflowRequest[TWorkflowInput]], Any],
    ) -> Any:
        return next(request)

    def execute_activity(
        self,
        request: ExecuteActivityRequest[TActivityInput],
        next: Callable[[ExecuteActivityRequest[TActivityInput]], Any],
    ) -> Any:
        return next(request)


class BaseWorkflowOutboundInterceptor(Generic[TWorkflowInput, TActivityInput]):
    """A `WorkflowOutboundInterceptor` that passes everything on: derive from it, and override what you need."""

    def call_activity(
        self, request: CallActivityRequest[TActivityInput], next: Callable[[CallActivityRequest[TActivityInput]], Any]
    ) -> Any:
        return next(request)

    def call_child_workflow(
        self,
        request: CallChildWorkflowRequest[TWorkflowInput],
        next: Callable[[CallChildWorkflowRequest[TWorkflowInput]], Any],
    ) -> Any:
        return next(request)

    def continue_as_new(
        self,
        request: ContinueAsNewRequest[TWorkflowInput],
        next: Callable[[ContinueAsNewRequest[TWorkflowInput]], Any],
    ) -> Any:
        return next(request)

    def schedule_new_workflow(
        self,
        request: ScheduleWorkflowRequest[TWorkflowInput],
        next: Callable[[ScheduleWorkflowRequest[TWorkflowInput]], Any],
    ) -> Any:
        """Around `ctx.schedule_new_workflow`; `next` gives the new instance's id, which is to be returned."""
        return next(request)

    def send_event(self, request: SendEventRequest, next: Callable[[SendEventRequest], Any]) -> Any:
        """Around `ctx.send_event`; `next` gives nothing."""
        return next(request)


# How they are put together

_BASES = (BaseClientInterceptor, BaseRuntimeInterceptor, BaseWorkflowOutboundInterceptor)


def methods_of(interceptors: Sequence[Any] | None, name: str) -> tuple[Callable[[Any, Next], Any], ...]:
    """The methods of that name that do something, in the order of the interceptors: a base class's own is left out."""
    inherited = [vars(base).get(name) for base in _BASES]
    return tuple(
        getattr(interceptor, name)
        for interceptor in interceptors or ()
        if hasattr(interceptor, name) and getattr(type(interceptor), name, None) not in [*filter(None, inherited)]
    )


def composed(methods: Sequence[Callable[[Any, Next], Any]], last: Next) -> Next:
    """One function of a request: the methods around `last`, the first one outermost."""
    call = last
    for method in reversed(methods):
        goes_through = inspect.isgeneratorfunction(method) or inspect.iscoroutinefunction(method)
        call = _around(method, _stepping(call) if goes_through else call)
    return call


def as_generator(running: Any) -> Any:
    """What runs a generator workflow: a generator, made of a coroutine where an interceptor has put one around it."""
    return _drive(running) if inspect.iscoroutine(running) else running


def as_coroutine(running: Any) -> Any:
    """What runs what is async: a coroutine, made of a generator where an interceptor has put one around it."""
    return _await(running) if isinstance(running, Generator) else running


def result_of(running: Any, what: str) -> Any:
    """The result of something sync that an async interceptor may be around.

    Args:
        running: The result, or the interceptor's coroutine.
        what: What it is around, for the error.

    Raises:
        RuntimeError: The interceptor awaits something else.
    """
    if not inspect.iscoroutine(running):
        return running
    try:
        running.send(None)
    except StopIteration as stop:
        return stop.value
    running.close()
    raise RuntimeError(
        f'An async interceptor awaits something else than next(request) around {what}, which is not async and has no '
        'event loop: await nothing else there, or make it async.'
    )


class _Steps:
    """What `next` gives to an interceptor that is a generator or async: it can be gone through either way."""

    __slots__ = ('_running',)

    def __init__(self, running: Any) -> None:
        self._running = running

    def __iter__(self) -> Generator[Any, Any, Any]:
        running = self._running
        if isinstance(running, Generator):
            return running
        if hasattr(running, '__await__'):
            return cast('Generator[Any, Any, Any]', running.__await__())
        return _nothing_to_run(running)

    __await__ = __iter__


def _nothing_to_run(result: Any) -> Generator[Any, Any, Any]:
    return result
    yield


def _stepping(call: Next) -> Next:
    return lambda request: _Steps(call(request))


def _around(method: Callable[[Any, Next], Any], call: Next) -> Next:
    return lambda request: method(request, call)


def _drive(coroutine: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
    return (yield from coroutine.__await__())


async def _await(generator: Generator[Any, Any, Any]) -> Any:
    return await _Steps(generator)
