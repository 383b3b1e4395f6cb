"""The context that async workflows are given: the engine's, with futures in place of tasks."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Callable, Coroutine, Generator, Mapping
from datetime import datetime, timedelta
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, overload

from dapr.ext.workflow._durabletask.aio.composites import Composites, Duration
from dapr.ext.workflow._durabletask.aio.facts import Facts
from dapr.ext.workflow._durabletask.async_failures import ContinuedAsNew, WorkflowTimeoutError
from dapr.ext.workflow._durabletask.call_types import (
    InputOf,
    TakesInput,
    TakesNoInput,
    TInput,
    TOutput,
    TResult,
    TReturned,
    WithInput,
    WithoutInput,
)
from dapr.ext.workflow._durabletask.contexts import CallOptions, ChildOptions, TPolicy
from dapr.ext.workflow._durabletask.propagation import PropagationScope
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext
from dapr.ext.workflow._durabletask.replay.futures import CallFuture, EventFuture, WorkflowFuture
from dapr.ext.workflow._durabletask.replay.loop import WorkflowLoop
from dapr.ext.workflow._durabletask.retry import RetryPolicy
from dapr.ext.workflow._durabletask.task import Task

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

TActivityContext = TypeVar('TActivityContext')
TGeneratorContext = TypeVar('TGeneratorContext')


class BaseAsyncWorkflowContext(Facts, Composites, Generic[TActivityContext, TGeneratorContext, TPolicy]):
    """What an async workflow does its work through.

    Calls are scheduled where they are made, in program order, and return futures, which may be awaited more than once
    and be in several composites. All of asyncio that needs no thread and no socket works in a workflow, too.

    Args:
        context: The engine's context.
        loop: The workflow's event loop.
    """

    __slots__ = ('_cleanups', '_context', '_loop', '_sandbox_mode')

    def __init__(self, context: _RuntimeOrchestrationContext, loop: WorkflowLoop, sandbox_mode: str = 'off') -> None:
        self._context = context
        context.timeout_error = WorkflowTimeoutError
        self._loop = loop
        self._sandbox_mode = sandbox_mode
        self._cleanups: list[Callable[[], Any]] | None = None

    # Calls

    @overload
    def call_activity(
        self,
        activity: TakesInput[TActivityContext, TInput, Coroutine[Any, Any, TOutput]],
        *,
        input: InputOf[TInput],
        **options: Unpack[CallOptions[TPolicy]],
    ) -> WorkflowFuture[TOutput]: ...
    @overload
    def call_activity(
        self,
        activity: TakesNoInput[TActivityContext, Coroutine[Any, Any, TOutput]],
        *,
        input: None = None,
        **options: Unpack[CallOptions[TPolicy]],
    ) -> WorkflowFuture[TOutput]: ...
    @overload
    def call_activity(
        self,
        activity: TakesInput[TActivityContext, None, Coroutine[Any, Any, TOutput]],
        *,
        input: None = None,
        **options: Unpack[CallOptions[TPolicy]],
    ) -> WorkflowFuture[TOutput]: ...
    @overload
    def call_activity(
        self,
        activity: WithInput[TActivityContext, TInput, TOutput],
        *,
        input: InputOf[TInput],
        **options: Unpack[CallOptions[TPolicy]],
    ) -> WorkflowFuture[TOutput]: ...
    @overload
    def call_activity(
        self,
        activity: WithoutInput[TActivityContext, TOutput],
        *,
        input: None = None,
        **options: Unpack[CallOptions[TPolicy]],
    ) -> WorkflowFuture[TOutput]: ...
    @overload
    def call_activity(
        self, activity: str, *, return_type: type[TReturned], input: Any = None, **options: Unpack[CallOptions[TPolicy]]
    ) -> WorkflowFuture[TReturned]: ...
    @overload
    def call_activity(
        self, activity: str, *, return_type: Any = None, input: Any = None, **options: Unpack[CallOptions[TPolicy]]
    ) -> WorkflowFuture[Any]: ...
    def call_activity(
        self,
        activity: Callable[..., Any] | str,
        *,
        input: Any = None,
        retry_policy: Any = None,
        app_id: str | None = None,
        propagation: PropagationScope | None = None,
        return_type: Any = None,
        timeout: float | timedelta | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> WorkflowFuture[Any]:
        """Schedules an activity.

        Args:
            activity: The activity's function, or the name that it is registered by.
            input: Its input, anything that can be encoded as JSON; None (default) for no input.
            retry_policy: How it is tried again when it fails; None (default): not at all.
            app_id: The Dapr app that runs it; None (default): this one.
            propagation: How much of the workflow's history goes with it; None (default): none.
            return_type: The type that the result is read as, as annotations have types. None (default): what the
                function's annotation says; where there is none, as JSON gives it.
            timeout: How long the whole call may take, all attempts under a retry policy and the waits between them
                included: a timedelta, or seconds. Then it raises `WorkflowTimeoutError`; the activity goes on. None
                (default): no limit.
            metadata: What goes with its input, as headers do, see `set_metadata`. None (default): what is set; {}:
                nothing.

        Returns:
            A future of its result. It raises `TaskFailedError` when the activity has failed.

        Raises:
            ValueError: The activity has no name.
        """
        task = self._context.call_activity(
            activity,
            input=input,
            retry_policy=retry_policy,
            app_id=app_id,
            propagation=propagation,
            return_type=return_type,
            timeout=timeout,
            metadata=metadata,
        )
        return self._future(task, 'call_activity', activity)

    @overload
    def call_child_workflow(
        self,
        workflow: WithInput[Self, TInput, Coroutine[Any, Any, TOutput]],
        *,
        input: InputOf[TInput],
        **options: Unpack[ChildOptions[TPolicy]],
    ) -> WorkflowFuture[TOutput]: ...
    @overload
    def call_child_workflow(
        self,
        workflow: TakesNoInput[Self, Coroutine[Any, Any, TOutput]],
        *,
        input: None = None,
        **options: Unpack[ChildOptions[TPolicy]],
    ) -> WorkflowFuture[TOutput]: ...
    @overload
    def call_child_workflow(
        self,
        workflow: TakesInput[Self, None, Coroutine[Any, Any, TOutput]],
        *,
        input: None = None,
        **options: Unpack[ChildOptions[TPolicy]],
    ) -> WorkflowFuture[TOutput]: ...
    @overload
    def call_child_workflow(
        self,
        workflow: TakesInput[TGeneratorContext, TInput, Generator[Any, Any, TOutput]],
        *,
        input: InputOf[TInput],
        **options: Unpack[ChildOptions[TPolicy]],
    ) -> WorkflowFuture[TOutput]: ...
    @overload
    def call_child_workflow(
        self,
        workflow: TakesNoInput[TGeneratorContext, Generator[Any, Any, TOutput]],
        *,
        input: None = None,
        **options: Unpack[ChildOptions[TPolicy]],
    ) -> WorkflowFuture[TOutput]: ...
    @overload
    def call_child_workflow(
        self,
        workflow: TakesInput[TGeneratorContext, None, Generator[Any, Any, TOutput]],
        *,
        input: None = None,
        **options: Unpack[ChildOptions[TPolicy]],
    ) -> WorkflowFuture[TOutput]: ...
    @overload
    def call_child_workflow(
        self,
        workflow: TakesInput[TGeneratorContext, TInput, TResult],
        *,
        input: InputOf[TInput],
        **options: Unpack[ChildOptions[TPolicy]],
    ) -> WorkflowFuture[TResult]: ...
    @overload
    def call_child_workflow(
        self,
        workflow: WithoutInput[TGeneratorContext, TResult],
        *,
        input: None = None,
        **options: Unpack[ChildOptions[TPolicy]],
    ) -> WorkflowFuture[TResult]: ...
    @overload
    def call_child_workflow(
        self,
        workflow: str,
        *,
        return_type: type[TReturned],
        input: Any = None,
        **options: Unpack[ChildOptions[TPolicy]],
    ) -> WorkflowFuture[TReturned]: ...
    @overload
    def call_child_workflow(
        self, workflow: str, *, return_type: Any = None, input: Any = None, **options: Unpack[ChildOptions[TPolicy]]
    ) -> WorkflowFuture[Any]: ...
    def call_child_workflow(
        self,
        workflow: Callable[..., Any] | str,
        *,
        input: Any = None,
        instance_id: str | None = None,
        retry_policy: Any = None,
        app_id: str | None = None,
        propagation: PropagationScope | None = None,
        return_type: Any = None,
        timeout: float | timedelta | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> WorkflowFuture[Any]:
        """Starts a child workflow.

        Args:
            workflow: The workflow's function, a generator or an async one, or the name that it is registered by.
            input: Its input, anything that can be encoded as JSON; None (default) for no input.
            instance_id: Its instance id; None (default): `<this instance>:<the action's id as 4 hex digits>`.
            retry_policy: How it is tried again when it fails; None (default): not at all.
            app_id: The Dapr app that runs it; None (default): this one.
            propagation: How much of the workflow's history goes with it; None (default): none.
            return_type: The type that the result is read as, as annotations have types. None (default): what the
                function's annotation says; where there is none, as JSON gives it.
            timeout: How long the whole call may take, all attempts under a retry policy and the waits between them
                included: a timedelta, or seconds. Then it raises `WorkflowTimeoutError`; the child goes on. None
                (default): no limit.
            metadata: What goes with its input, as headers do, see `set_metadata`. None (default): what is set; {}:
                nothing.

        Returns:
            A future of its output. It raises `TaskFailedError` when the child has failed.

        Raises:
            ValueError: The workflow has no name.
        """
        task = self._context.call_sub_orchestrator(
            workflow,
            input=input,
            instance_id=instance_id,
            retry_policy=retry_policy,
            app_id=app_id,
            propagation=propagation,
            return_type=return_type,
            timeout=timeout,
            metadata=metadata,
        )
        return self._future(task, 'call_child_workflow', workflow)

    activity = call_activity
    call_sub_orchestrator = call_child_workflow
    sub_orchestrator = call_child_workflow

    def schedule_new_workflow(
        self,
        workflow: Callable[..., Any] | str,
        *,
        input: Any = None,
        instance_id: str | None = None,
        start_at: datetime | timedelta | None = None,
        app_id: str | None = None,
        app_namespace: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        """Starts a workflow of its own: no child, and nothing of it comes back. See `schedule_new_workflow` of the
        context of generators. There is nothing to await.

        Args:
            workflow: The workflow's function, or the name that it is registered by.
            input: Its input, anything that can be encoded as JSON; None (default) for no input.
            instance_id: Its instance id; None (default): `<this instance>-<n>`, n counting such starts of this run from
                0.
            start_at: When it starts (without a time zone: UTC), or how long after the logical time; None (default): at
                once.
            app_id: The Dapr app that runs it; None (default): this one.
            app_namespace: The Dapr namespace of that app; None (default): this one's.
            metadata: What goes with its input, as headers do, see `set_metadata`. None (default): what is set; {}:
                nothing.

        Returns:
            Its instance id.

        Raises:
            TypeError: An argument is of a wrong type.
            ValueError: The workflow has no name, instance_id is empty, or app_namespace is given without app_id.
        """
        return self._context.schedule_new_workflow(
            workflow,
            input=input,
            instance_id=instance_id,
            start_at=start_at,
            app_id=app_id,
            app_namespace=app_namespace,
            metadata=metadata,
        )

    def send_event(self, instance_id: str, name: str, data: Any = None) -> None:
        """Raises an event on another workflow instance of this app; nothing comes back, and there is nothing to await.
        See `send_event` of the context of generators for the sidecars that can.

        Args:
            instance_id: The instance that waits for it.
            name: The event's name; case does not matter.
            data: Its payload, anything that can be encoded as JSON; None (default) for none.

        Raises:
            TypeError: An argument is of a wrong type.
            ValueError: instance_id or name is empty.
        """
        self._context.send_event(instance_id, name, data)

    def create_timer(self, fire_at: Duration) -> WorkflowFuture[None]:
        """A durable timer.

        Args:
            fire_at: When it fires (without a time zone: UTC), or how long after the logical time: a timedelta, or
                seconds.
        """
        when = fire_at if isinstance(fire_at, (datetime, timedelta)) else timedelta(seconds=fire_at)
        return self._future(self._context.create_timer(when), 'create_timer', '')

    def sleep(self, delay: Duration) -> WorkflowFuture[None]:
        """Waits for so many seconds, for a duration, or until a moment (without a time zone: UTC), on a durable timer.

        As with `asyncio.sleep`, a wait of no length makes no timer: it only lets other tasks go on.
        """
        if not isinstance(delay, (datetime, timedelta)):
            delay = timedelta(seconds=delay)
        if isinstance(delay, timedelta) and delay <= timedelta(0):
            future = self._loop.create_future()
            self._loop.call_soon(_end_if_waited_for, future)
            return future
        return self._future(self._context.create_timer(delay), 'sleep', '')

    @overload
    def wait_for_external_event(
        self, name: str, timeout: Duration | None = None, *, data_type: type[TReturned]
    ) -> WorkflowFuture[TReturned]: ...
    @overload
    def wait_for_external_event(
        self, name: str, timeout: Duration | None = None, *, data_type: Any = None
    ) -> WorkflowFuture[Any]: ...
    def wait_for_external_event(
        self, name: str, timeout: Duration | None = None, *, data_type: Any = None
    ) -> WorkflowFuture[Any]:
        """The wait for an event that a client raises. Cancelled, it takes no event from a later wait.

        Args:
            name: The event's name; case does not matter.
            timeout: How long (seconds or a timedelta), or until when (without a time zone: UTC), to wait; then it
                raises `WorkflowTimeoutError`, with 0 at once, unless the event is there already. None (default) or a
                negative duration: no limit.
            data_type: The type that its payload is read as, as annotations have types; one that cannot be read so
                raises where the event is waited for. None (default): as JSON gives it.
        """
        if not (timeout is None or isinstance(timeout, (datetime, timedelta))):
            timeout = timedelta(seconds=timeout)
        task = self._context.wait_for_external_event(name, timeout=timeout, data_type=data_type)
        future: EventFuture[Any] = EventFuture(loop=self._loop)
        future.withdraw = partial(self._context.withdraw_wait, task)
        return self._begun(future, task, 'wait_for_external_event', name, sys._getframe(1))

    # What it tells, and how it ends

    def set_custom_status(self, custom_status: Any) -> None:
        """Sets the status that clients see beside the workflow's state.

        Args:
            custom_status: A str goes out as it is: encode it as JSON if its readers expect JSON.
        """
        self._context.set_custom_status(custom_status)

    def continue_as_new(
        self, input: Any, *, save_events: bool = False, metadata: Mapping[str, str] | None = None
    ) -> NoReturn:
        """Ends this run, here, and starts the workflow again, under the same id, with a new input and no history.

        Args:
            input: The input of the new run.
            save_events: Whether events that no one has waited for go over into the new run. Default: they do not.
            metadata: What goes with the input of the new run. None (default): what is set; {}: nothing.
        """
        self._context.continue_as_new(input, save_events=save_events, metadata=metadata)
        self._loop.end()
        raise ContinuedAsNew

    def is_patched(self, patch_name: str) -> bool:
        """Whether the code after a change, called a patch, is to be run.

        False for an instance that had passed this place before the patch was there, True for all others.
        """
        return self._context.is_patched(patch_name)

    # Clean-up

    def add_cleanup(self, cleanup: Callable[[], Any]) -> None:
        """Has something done at the end of the `async with ctx:` block that is running, the last one first.

        Args:
            cleanup: Called without arguments; what it returns is awaited if that can be.
        """
        if self._cleanups is None:
            self._cleanups = []
        self._cleanups.append(cleanup)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        while self._cleanups:
            result = self._cleanups.pop()()
            if inspect.isawaitable(result):
                await result

    def get_debug_info(self) -> dict[str, Any]:
        """What can be told of the run for looking into it: where it stands and what it waits for."""
        context = self._context
        return {
            'instance_id': self.instance_id,
            'workflow_name': self.workflow_name,
            'is_replaying': self.is_replaying,
            'logical_time': self.current_utc_datetime.isoformat(),
            'last_action_id': context._sequence_number,
            'outstanding': {number: action.describe() for number, action in context._unresolved.items()},
            'tasks': [task.get_name() for task in self._loop.unfinished_tasks()],
            'sandbox_mode': self._sandbox_mode,
        }

    # Inside

    def _future(self, task: Task[Any], method: str, target: Any) -> CallFuture[Any]:
        """The future of a call that the workflow's code has made two calls above this one."""
        return self._begun(CallFuture(loop=self._loop), task, method, target, sys._getframe(2))

    def _begun(
        self, future: CallFuture[Any], task: Task[Any], method: str, target: Any, frame: FrameType
    ) -> CallFuture[Any]:
        loop = self._loop
        future._number = loop.count = loop.count + 1
        future.origin = (method, target, frame.f_code, frame.f_lasti)
        calls = loop.calls
        if len(calls) >= loop.keep_calls:
            calls = loop.prune_calls()
        calls.append(future)
        if task._is_complete:
            future.on_child_completed(task)
        else:
            task._parent = future
        return future


class AsyncWorkflowContext(BaseAsyncWorkflowContext[Any, Any, RetryPolicy]):
    """See `BaseAsyncWorkflowContext`."""

    __slots__ = ()


def _end_if_waited_for(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
