"""Functions and contexts with interceptors around them. A runtime without interceptors makes none of them."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from types import FrameType
from typing import Any, NoReturn

from dapr.ext.workflow._durabletask.contexts import OrchestrationContext
from dapr.ext.workflow._durabletask.internal.shared import is_async_callable
from dapr.ext.workflow._durabletask.metadata import checked
from dapr.ext.workflow._durabletask.propagation import PropagationScope
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext
from dapr.ext.workflow._durabletask.replay.futures import CallFuture
from dapr.ext.workflow._durabletask.replay.loop import WorkflowLoop
from dapr.ext.workflow._durabletask.task import Task
from dapr.ext.workflow.aio.async_workflow_context import AsyncWorkflowContext
from dapr.ext.workflow.dapr_workflow_context import DaprWorkflowContext
from dapr.ext.workflow.interceptors import (
    CallActivityRequest,
    CallChildWorkflowRequest,
    ContinueAsNewRequest,
    ExecuteActivityRequest,
    ExecuteWorkflowRequest,
    RuntimeInterceptor,
    ScheduleWorkflowRequest,
    SendEventRequest,
    WorkflowOutboundInterceptor,
    as_coroutine,
    as_generator,
    composed,
    methods_of,
    result_of,
)
from dapr.ext.workflow.naming import name_of
from dapr.ext.workflow.retry_policy import RetryPolicy
from dapr.ext.workflow.values.annotations import layers
from dapr.ext.workflow.workflow_activity_context import Activity
from dapr.ext.workflow.workflow_context import Workflow

Function = Callable[..., Any]


class Outbound:
    """The interceptors around the calls of a runtime's workflows, by what they are around.

    Args:
        interceptors: The first one is the outermost.
    """

    def __init__(self, interceptors: Sequence[WorkflowOutboundInterceptor[Any, Any]] | None) -> None:
        self.call_activity = methods_of(interceptors, 'call_activity')
        self.call_child_workflow = methods_of(interceptors, 'call_child_workflow')
        self.continue_as_new = methods_of(interceptors, 'continue_as_new')
        self.schedule_new_workflow = methods_of(interceptors, 'schedule_new_workflow')
        self.send_event = methods_of(interceptors, 'send_event')

    def __bool__(self) -> bool:
        return any(vars(self).values())


class _Intercepted:
    """The calls of a context, each through its interceptors; `super()` is the context as it is without them."""

    __slots__ = ()

    _outbound: Outbound

    def call_activity(
        self,
        activity: Activity | str,
        *,
        input: Any = None,
        retry_policy: RetryPolicy | None = None,
        app_id: str | None = None,
        propagation: PropagationScope | None = None,
        return_type: Any = None,
        timeout: float | timedelta | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Any:
        call: Any = super().call_activity  # type: ignore[misc]  # the context's
        name = name_of(activity)

        def last(request: CallActivityRequest[Any]) -> Any:
            return call(
                activity if request.activity_name == name else request.activity_name,
                input=request.input,
                retry_policy=request.retry_policy,
                app_id=request.app_id,
                propagation=request.propagation,
                return_type=return_type,
                timeout=request.timeout,
                metadata=request.metadata,
            )

        request = CallActivityRequest(
            name, input, retry_policy, app_id, self, propagation, timeout, self._effective(metadata)
        )
        return composed(self._outbound.call_activity, last)(request)

    def call_child_workflow(
        self,
        workflow: Workflow | str,
        *,
        input: Any = None,
        instance_id: str | None = None,
        retry_policy: RetryPolicy | None = None,
        app_id: str | None = None,
        propagation: PropagationScope | None = None,
        return_type: Any = None,
        timeout: float | timedelta | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Any:
        call: Any = super().call_child_workflow  # type: ignore[misc]
        name = name_of(workflow)

        def last(request: CallChildWorkflowRequest[Any]) -> Any:
            return call(
                workflow if request.workflow_name == name else request.workflow_name,
                input=request.input,
                instance_id=request.instance_id,
                retry_policy=request.retry_policy,
                app_id=request.app_id,
                propagation=request.propagation,
                return_type=return_type,
                timeout=request.timeout,
                metadata=request.metadata,
            )

        request = CallChildWorkflowRequest(
            name, input, instance_id, retry_policy, app_id, self, propagation, timeout, self._effective(metadata)
        )
        return composed(self._outbound.call_child_workflow, last)(request)

    def schedule_new_workflow(
        self,
        workflow: Workflow | str,
        *,
        input: Any = None,
        instance_id: str | None = None,
        start_at: datetime | timedelta | None = None,
        app_id: str | None = None,
        app_namespace: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Any:
        call: Any = super().schedule_new_workflow  # type: ignore[misc]
        name = name_of(workflow)

        def last(request: ScheduleWorkflowRequest[Any]) -> Any:
            return call(
                workflow if request.workflow_name == name else request.workflow_name,
                input=request.input,
                instance_id=request.instance_id,
                start_at=request.start_at,
                app_id=request.app_id,
                app_namespace=request.app_namespace,
                metadata=request.metadata,
            )

        now: datetime = self.current_utc_datetime  # type: ignore[attr-defined]
        request = ScheduleWorkflowRequest(
            name,
            input,
            instance_id,
            now + start_at if isinstance(start_at, timedelta) else start_at,
            app_id=app_id,
            metadata=self._effective(metadata),
            app_namespace=app_namespace,
            workflow_ctx=self,
        )
        return composed(self._outbound.schedule_new_workflow, last)(request)

    def send_event(self, instance_id: str, name: str, data: Any = None) -> None:
        call: Any = super().send_event  # type: ignore[misc]
        composed(
            self._outbound.send_event, lambda request: call(request.instance_id, request.event_name, request.data)
        )(SendEventRequest(instance_id, name, data, self))

    def _continue_as_new(self, input: Any, save_events: bool, metadata: Mapping[str, str] | None) -> None:
        call: Any = super().continue_as_new  # type: ignore[misc]
        composed(
            self._outbound.continue_as_new,
            lambda request: call(request.input, save_events=request.save_events, metadata=request.metadata),
        )(ContinueAsNewRequest(input, save_events, self, self._effective(metadata)))

    def _effective(self, metadata: Mapping[str, str] | None) -> dict[str, str] | None:
        """What goes with a call if no interceptor says otherwise; None: nothing."""
        given: dict[str, str] = self.get_metadata() if metadata is None else checked(metadata)  # type: ignore[attr-defined]
        return given or ({} if metadata is not None else None)


class InterceptedWorkflowContext(_Intercepted, DaprWorkflowContext):
    """A `DaprWorkflowContext` whose calls go through interceptors."""

    def __init__(self, outbound: Outbound, ctx: OrchestrationContext) -> None:
        self._outbound = outbound
        super().__init__(ctx)

    def continue_as_new(
        self, new_input: Any, *, save_events: bool = False, metadata: Mapping[str, str] | None = None
    ) -> None:
        self._continue_as_new(new_input, save_events, metadata)

    call_sub_orchestrator = _Intercepted.call_child_workflow  # a name of the engine's


class InterceptedAsyncWorkflowContext(_Intercepted, AsyncWorkflowContext):
    """An `AsyncWorkflowContext` whose calls go through interceptors."""

    __slots__ = ('_caller', '_outbound')

    def __init__(
        self, outbound: Outbound, context: _RuntimeOrchestrationContext, loop: WorkflowLoop, sandbox_mode: str = 'off'
    ) -> None:
        self._outbound = outbound
        self._caller: FrameType | None = None
        super().__init__(context, loop, sandbox_mode)

    def call_activity(self, activity: Activity | str, **options: Any) -> Any:
        self._caller = sys._getframe(1)
        try:
            return super().call_activity(activity, **options)
        finally:
            self._caller = None

    def call_child_workflow(self, workflow: Workflow | str, **options: Any) -> Any:
        self._caller = sys._getframe(1)
        try:
            return super().call_child_workflow(workflow, **options)
        finally:
            self._caller = None

    activity = call_activity
    call_sub_orchestrator = call_child_workflow
    sub_orchestrator = call_child_workflow

    def continue_as_new(
        self, input: Any, *, save_events: bool = False, metadata: Mapping[str, str] | None = None
    ) -> NoReturn:
        self._continue_as_new(input, save_events, metadata)
        raise RuntimeError('An interceptor has kept a workflow from going on as new: call next(request), or raise.')

    def _future(self, task: Task[Any], method: str, target: Any) -> CallFuture[Any]:
        # A call that is never awaited is told with the line of the workflow, not with that of an interceptor.
        return self._begun(CallFuture(loop=self._loop), task, method, target, self._caller or sys._getframe(2))


class Interceptions:
    """The interceptors of a runtime, put around each function that it registers.

    Args:
        runtime: Those around what runs. Default: none.
        outbound: Those around what workflows ask for. Default: none.
    """

    def __init__(
        self,
        runtime: Sequence[RuntimeInterceptor[Any, Any]] | None = None,
        outbound: Sequence[WorkflowOutboundInterceptor[Any, Any]] | None = None,
    ) -> None:
        self._workflow = methods_of(runtime, 'execute_workflow')
        self._activity = methods_of(runtime, 'execute_activity')
        calls = Outbound(outbound)
        self.context: Callable[..., Any] = partial(InterceptedWorkflowContext, calls) if calls else DaprWorkflowContext
        self.async_context: Callable[..., Any] = (
            partial(InterceptedAsyncWorkflowContext, calls) if calls else AsyncWorkflowContext
        )

    def workflow(self, call: Function) -> Function:
        """A call of a generator workflow, or of a plain one, with what is around it."""
        if not self._workflow:
            return call
        run = composed(self._workflow, lambda request: call(request.ctx, request.input))
        return lambda ctx, inp: as_generator(run(ExecuteWorkflowRequest(ctx, inp, _inbound(ctx))))

    def async_workflow(self, call: Function) -> Function:
        """A call of an async workflow, with what is around it."""
        if not self._workflow:
            return call
        run = composed(self._workflow, lambda request: call(request.ctx, request.input))
        return lambda ctx, inp: as_coroutine(run(ExecuteWorkflowRequest(ctx, inp, _inbound(ctx))))

    def activity(self, fn: Function, call: Function) -> Function:
        """A call of a sync activity, with what is around it. It gives a coroutine where the activity does: one that is
        a sync wrapper of an async function."""
        if not self._activity:
            return call
        run = composed(self._activity, lambda request: call(request.ctx, request.input))
        if any(map(is_async_callable, layers(fn))) or not any(map(inspect.iscoroutinefunction, self._activity)):
            return lambda ctx, inp: run(ExecuteActivityRequest(ctx, inp, _inbound(ctx)))
        what = f"the activity '{getattr(fn, '__name__', repr(fn))}'"
        return lambda ctx, inp: result_of(run(ExecuteActivityRequest(ctx, inp, _inbound(ctx))), what)

    def async_activity(self, call: Function) -> Function:
        """A call of an async activity, with what is around it; to be awaited."""
        if not self._activity:
            return call
        run = composed(self._activity, lambda request: call(request.ctx, request.input))

        async def intercepted(ctx: Any, inp: Any) -> Any:
            result = run(ExecuteActivityRequest(ctx, inp, _inbound(ctx)))
            return await result if inspect.isawaitable(result) else result

        return intercepted


def _inbound(ctx: Any) -> dict[str, str] | None:
    """What came beside the input; None: nothing. Contexts of tests need not know it."""
    info = getattr(ctx, 'execution_info', None)
    return None if info is None else info.inbound_metadata or None
