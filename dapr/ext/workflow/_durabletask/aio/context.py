"""The context that async workflows are given: the engine's, with futures in place of tasks."""

from __future__ import annotations

import asyncio
import inspect
import logging
import random
import sys
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, overload

from dapr.ext.workflow._durabletask.async_failures import ContinuedAsNew, WorkflowTimeoutError, WorkflowValidationError
from dapr.ext.workflow._durabletask.call_logging import CallLogger
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
from dapr.ext.workflow._durabletask.metadata import WorkflowExecutionInfo
from dapr.ext.workflow._durabletask.propagation import PropagatedHistory, PropagationScope
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext
from dapr.ext.workflow._durabletask.replay.futures import CallFuture, EventFuture, WorkflowFuture, WorkflowTask
from dapr.ext.workflow._durabletask.replay.loop import WorkflowLoop
from dapr.ext.workflow._durabletask.retry import RetryPolicy
from dapr.ext.workflow._durabletask.task import Task

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

T = TypeVar('T')
TActivityContext = TypeVar('TActivityContext')
TGeneratorContext = TypeVar('TGeneratorContext')

Duration = float | timedelta | datetime
"""Seconds, a duration, or a moment (without a time zone: UTC)."""


@dataclass(frozen=True)
class WorkflowInfo:
    """What a workflow is and where it stands, as it was when it was asked for.

    Attributes:
        instance_id: The id of the instance.
        workflow_name: The name that the workflow is registered by.
        parent_instance_id: The id of the workflow that started it as its child, or None.
        current_utc_datetime: The logical time (naive, UTC).
        is_replaying: Whether the code that asked has run before.
        is_suspended: Whether the workflow is suspended: never, while its code runs.
        history_event_sequence: The id of what it has asked for last; 0 when it has asked for nothing.
        version_name: The version of the workflow, or None when it has no versions.
        inbound_metadata: The metadata that it was started with; empty: none.
    """

    instance_id: str
    workflow_name: str
    parent_instance_id: str | None
    current_utc_datetime: datetime
    is_replaying: bool
    is_suspended: bool
    history_event_sequence: int
    version_name: str | None
    inbound_metadata: dict[str, str] = field(default_factory=dict)


class Winner(Generic[T]):
    """The awaitable that ended first, where that is not a future itself: it compares equal to it, and has its result.

    Args:
        awaitable: What was given.
        task: The task that was made of it.
    """

    __slots__ = ('_awaitable', '_task')

    def __init__(self, awaitable: Awaitable[T], task: asyncio.Future[T]) -> None:
        self._awaitable = awaitable
        self._task = task

    def get_result(self) -> T:
        """The result, or raises what it failed with."""
        return self._task.result()

    result = get_result

    def exception(self) -> BaseException | None:
        """What it failed with, or None."""
        return self._task.exception()

    def done(self) -> bool:
        """True: it has ended."""
        return self._task.done()

    def __await__(self) -> Generator[Any, None, T]:
        return self._task.__await__()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Winner):
            return self._task is other._task
        return other is self._awaitable or other is self._task

    def __hash__(self) -> int:
        return hash(self._task)


class BaseAsyncWorkflowContext(Generic[TActivityContext, TGeneratorContext, TPolicy]):
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

    # What it is

    @property
    def instance_id(self) -> str:
        """The id of the workflow instance."""
        return self._context.instance_id

    @property
    def workflow_name(self) -> str:
        """The name that the workflow is registered by."""
        return self._context.workflow_name

    @property
    def execution_id(self) -> str:
        """The id of this run: another one after `continue_as_new`; '' when the sidecar did not say."""
        return self._context.execution_id

    @property
    def logger(self) -> CallLogger:
        """A logger for the workflow's code: silent in replay, so that each line is logged once.

        Its records go to `dapr.workflow.workflow`, with `workflow_name`, `instance_id` and `execution_id`.
        """
        return self._context.logger

    def create_replay_safe_logger(self, logger: logging.Logger | logging.LoggerAdapter[Any]) -> CallLogger:
        """A logger of the app's, made silent in replay; its records have the same fields as those of `logger`."""
        return self._context.create_replay_safe_logger(logger)

    @property
    def trace_parent(self) -> str | None:
        """The span that the workflow was started from, as a W3C `traceparent`; None where nothing is traced."""
        return self._context.trace_parent

    @property
    def trace_state(self) -> str | None:
        """The W3C `tracestate` that goes with it, or None."""
        return self._context.trace_state

    @property
    def workflow_span_id(self) -> str | None:
        """The id of the sidecar's span of this run, as 16 hexadecimal digits, or None. Where OpenTelemetry is set up,
        that span is the current one in the workflow's code, to be read: what is set on it goes nowhere."""
        return self._context.workflow_span_id

    @property
    def orchestration_span_id(self) -> str | None:
        """The same as `workflow_span_id`."""
        return self.workflow_span_id

    @property
    def execution_info(self) -> WorkflowExecutionInfo:
        """What the workflow is and what it was started with, `inbound_metadata` among it, as it is now."""
        return self._context.execution_info

    def set_metadata(self, metadata: Mapping[str, str] | None) -> None:
        """Sets what goes with the inputs of the calls that follow, as headers go with a request: activities, child
        workflows, workflows that are started and the next run find it in their `execution_info`.

        What the workflow itself was started with is set to begin with. Workers of other libraries are given the
        input within an envelope where there is metadata: see the guide.

        Args:
            metadata: In place of what was set; None or {}: nothing goes along. Data converters do not see it, so it
                travels in the clear.

        Raises:
            TypeError: It is no mapping of str to str.
        """
        self._context.set_metadata(metadata)

    def get_metadata(self) -> dict[str, str]:
        """A copy of what goes with calls; empty: nothing."""
        return self._context.get_metadata()

    def set_headers(self, metadata: Mapping[str, str] | None) -> None:
        """The same as `set_metadata`."""
        self.set_metadata(metadata)

    def get_headers(self) -> dict[str, str]:
        """The same as `get_metadata`."""
        return self.get_metadata()

    @property
    def parent_instance_id(self) -> str | None:
        """The id of the workflow that started this one as its child, or None."""
        return self._context._parent_instance_id

    @property
    def app_id(self) -> str:
        """The Dapr app that runs the workflow, or '' when the sidecar did not say."""
        return self._context.app_id

    @property
    def current_utc_datetime(self) -> datetime:
        """The logical time (naive, UTC); it only moves when the workflow is given new events."""
        return self._context.current_utc_datetime

    @property
    def is_replaying(self) -> bool:
        """Whether the code that is running now has run before."""
        return self._context.is_replaying

    @property
    def is_suspended(self) -> bool:
        """Whether the workflow is suspended. Its code does not run then, so it sees False."""
        return False

    @property
    def history_event_sequence(self) -> int:
        """The id of what the workflow has asked for last, which its event in the history has; 0 before that."""
        return self._context._sequence_number

    @property
    def info(self) -> WorkflowInfo:
        """All of this as it is now."""
        return WorkflowInfo(
            self.instance_id,
            self.workflow_name,
            self.parent_instance_id,
            self.current_utc_datetime,
            self.is_replaying,
            self.is_suspended,
            self.history_event_sequence,
            self._context._version_name,
            dict(self._context._inbound_metadata or ()),
        )

    def get_propagated_history(self) -> PropagatedHistory | None:
        """The history that the caller of this workflow has sent along, or None."""
        return self._context.get_propagated_history()

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

    # Composites

    def when_all(self, awaitables: Iterable[Awaitable[T]]) -> WorkflowFuture[list[T]]:
        """Ends when all have ended: with their results in order, or with the first failure, after all have ended.

        `gather`, as asyncio's, raises a failure as soon as it is there.
        """
        futures = [self._ensure(awaitable) for awaitable in awaitables]
        whole: WorkflowFuture[list[T]] = self._loop.create_future()
        if not futures:
            whole.set_result([])
            return whole
        left = len(futures)
        first: BaseException | None = None

        def ended(future: asyncio.Future[T]) -> None:
            nonlocal left, first
            left -= 1
            error: BaseException | None
            error = asyncio.CancelledError() if future.cancelled() else future.exception()
            first = first or error
            if left == 0 and not whole.done():
                if first is None:
                    whole.set_result([future.result() for future in futures])
                elif isinstance(first, asyncio.CancelledError):
                    whole.cancel()
                else:
                    whole.set_exception(first)

        for future in futures:
            future.add_done_callback(ended)
        return whole

    def when_any(self, awaitables: Iterable[Awaitable[T]]) -> WorkflowFuture[Any]:
        """Ends when the first one has; its result is that one, well ended or not. The others go on.

        Returns:
            A future of the winner, which compares equal to the awaitable that was given and has `get_result()`.
        """
        given = list(awaitables)
        return self._first(given, lambda index, future: _winner(given[index], future))

    def when_any_with_result(self, awaitables: Iterable[Awaitable[T]]) -> WorkflowFuture[tuple[int, T]]:
        """Ends when the first one has, with its place in the order given and its result; or with its failure."""
        return self._first(list(awaitables), lambda index, future: (index, future.result()))

    def _first(self, given: list[Any], outcome: Callable[[int, asyncio.Future[Any]], Any]) -> WorkflowFuture[Any]:
        if not given:
            raise WorkflowValidationError('when_any needs something to wait for: the list is empty.')
        race: WorkflowFuture[Any] = self._loop.create_future()

        def ended(index: int, future: asyncio.Future[Any]) -> None:
            if race.done():
                if not future.cancelled():
                    future.exception()  # it has lost, and its failure with it: nobody is to be told
                return
            try:
                race.set_result(outcome(index, future))
            except asyncio.CancelledError:
                race.cancel()
            except Exception as error:
                race.set_exception(error)

        for index, awaitable in enumerate(given):
            self._ensure(awaitable).add_done_callback(partial(ended, index))
        return race

    def gather(self, *awaitables: Awaitable[Any], return_exceptions: bool = False) -> asyncio.Future[list[Any]]:
        """As `asyncio.gather`: the results in order; the first failure at once, or with the results."""
        return asyncio.gather(*awaitables, return_exceptions=return_exceptions)

    def with_timeout(self, awaitable: Awaitable[T], timeout: Duration) -> WorkflowTask[T]:
        """Waits for something, for so long (seconds or a timedelta) or until then at most, and cancels it then.

        The durable timer is made now. What is cancelled stays in the history, and its result is ignored when it comes.

        Returns:
            A task of its result. It raises `WorkflowTimeoutError` when the time is over.
        """
        future = self._ensure(awaitable)
        is_over = False

        def over() -> None:
            nonlocal is_over
            is_over = future.cancel()

        timer = self._loop.call_at(self._moment(timeout), over)

        async def limited() -> T:
            try:
                return await future
            except asyncio.CancelledError:
                if is_over and future.cancelled():
                    raise WorkflowTimeoutError(f'It took longer than it was given (timeout: {timeout}).') from None
                raise
            finally:
                timer.cancel()

        return self._loop.create_task(limited())

    def wait_condition(self, predicate: Callable[[], Any], timeout: Duration | None = None) -> Awaitable[None]:
        """Waits until a condition holds that other tasks of the workflow bring about.

        Args:
            predicate: Called without arguments, now and whenever nothing else of the workflow can go on. It must only
                look, and depend on what the workflow has done alone.
            timeout: How long, or until when, to wait; then it raises `WorkflowTimeoutError`. None (default): no limit.
        """
        if predicate():
            future: WorkflowFuture[None] = self._loop.create_future()
            future.set_result(None)
            return future
        waiting = self._loop.wait_until(predicate)
        return waiting if timeout is None else self.with_timeout(waiting, timeout)

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

    # The same in every replay

    def now(self) -> datetime:
        """The logical time (naive, UTC)."""
        return self._context.now()

    def random(self) -> random.Random:
        """The run's stream of pseudo-random numbers: the same object, further along, at each call."""
        return self._context.random()

    def random_int(self, min_value: int = 0, max_value: int = 2**31 - 1) -> int:
        """A pseudo-random integer in [min_value, max_value]."""
        return self._context.random_int(min_value, max_value)

    def random_string(self, length: int, *, alphabet: str | None = None) -> str:
        """A pseudo-random string; by default of ASCII letters and digits."""
        return self._context.random_string(length, alphabet=alphabet)

    def random_choice(self, sequence: Sequence[T]) -> T:
        """A pseudo-random element of a sequence."""
        return self._context.random_choice(sequence)

    def uuid4(self) -> uuid.UUID:
        """A new UUID, different at each call, the same in each replay."""
        return self._context.uuid4()

    def new_guid(self) -> uuid.UUID:
        """The same as `uuid4`."""
        return self._context.uuid4()

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

    def _ensure(self, awaitable: Awaitable[T]) -> asyncio.Future[T]:
        return asyncio.ensure_future(awaitable)

    def _moment(self, when: Duration) -> float:
        """A point in `loop.time()`."""
        if isinstance(when, datetime):
            return self._loop.seconds_at(when)
        return self._loop.time() + (when.total_seconds() if isinstance(when, timedelta) else when)


class AsyncWorkflowContext(BaseAsyncWorkflowContext[Any, Any, RetryPolicy]):
    """See `BaseAsyncWorkflowContext`."""

    __slots__ = ()


def _winner(awaitable: Awaitable[T], future: asyncio.Future[T]) -> Any:
    return future if future is awaitable else Winner(awaitable, future)


def _end_if_waited_for(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
