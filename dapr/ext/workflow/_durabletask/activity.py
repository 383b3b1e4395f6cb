"""Activities: from a work item to its answer."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

from dapr.ext.workflow._durabletask.call_logging import current_call
from dapr.ext.workflow._durabletask.internal import helpers, shared
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.internal.payloads import PLAIN, Payloads
from dapr.ext.workflow._durabletask.listener import ActivityRecord, Listeners, size_of
from dapr.ext.workflow._durabletask.metadata import opened
from dapr.ext.workflow._durabletask.propagation import PropagatedHistory
from dapr.ext.workflow._durabletask.replay.errors import ActivityNotRegisteredError, near_names
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from dapr.ext.workflow._durabletask.running import RunningWork
from dapr.ext.workflow._durabletask.task import ActivityContext
from dapr.ext.workflow._durabletask.tracing import ActivitySpan, begin_span

Activity = Callable[..., Any]


class _ActivityExecutor:
    """Calls activities: input decoded, result encoded.

    Args:
        logger: The worker's.
        shutting_down: Set when the worker is stopping, for the activities to see. Default: it never is.
        known: The activities that are registered, for the error about one that is not. Default: none.
        payloads: How values become payloads. Default: as plain JSON.
    """

    def __init__(
        self,
        logger: logging.Logger,
        shutting_down: threading.Event | None = None,
        known: Mapping[str, Activity] | None = None,
        payloads: Payloads = PLAIN,
    ) -> None:
        self._payloads = payloads
        self._logger = logger
        self._shutting_down = shutting_down
        self._known = {} if known is None else known

    def execute(
        self,
        fn: Activity | None,
        orchestration_id: str,
        name: str,
        task_id: int,
        encoded_input: str | None,
        task_execution_id: str = '',
        propagated_history: PropagatedHistory | None = None,
        *,
        attempt: int = 1,
        trace: pb.TraceContext | None = None,
        hand_over: Callable[[Awaitable[Any], ActivityContext], None] | None = None,
    ) -> str | None:
        """Runs a sync activity.

        Args:
            fn: The activity, called with an `ActivityContext` and its input; None: it is not registered.
            orchestration_id: The instance id of the workflow that scheduled it.
            name: The name it was scheduled by.
            task_id: The id of the action that scheduled it.
            encoded_input: Its input as JSON; None or empty for none.
            task_execution_id: What all attempts of this call have in common. Default: not known.
            propagated_history: The history that the workflow sent along. Default: none.
            attempt: Which attempt of the call this is, as far as is known. Default: the first.
            trace: The sidecar's span of it. Default: none is known.
            hand_over: Takes what it returns where that is to be awaited, as with a sync wrapper of an async function,
                and the activity's context. Default: that is an error.

        Returns:
            The result as JSON; None when the activity returned None, and when what it returned was handed over.

        Raises:
            ActivityNotRegisteredError: `fn` is None.
            ValueError: The input is not JSON.
            TypeError: The result cannot be encoded.
            RuntimeError: The activity is an async one after all, which its type did not show.
            Exception: What the activity raised.
        """
        activity = self._registered(fn, name)
        metadata = None
        if encoded_input:
            encoded_input, metadata = opened(encoded_input)
        context = self._context(
            orchestration_id, name, task_id, task_execution_id, propagated_history, attempt, trace, metadata
        )
        with _logged_as(context):
            result = activity(context, self._input(activity, encoded_input))
        if hand_over is not None and inspect.isawaitable(result):
            hand_over(result, context)
            return None
        if inspect.iscoroutine(result):
            result.close()  # else Python warns, somewhere later, that it was never awaited
            raise RuntimeError(
                f"Activity '{name}' returned a coroutine on the sync path: it was called as a sync one, since it does "
                "not look like an async one. Define it with 'async def', or use functools.wraps in what wraps it."
            )
        return self._encoded(name, result)

    async def awaited(self, name: str, awaitable: Awaitable[Any], context: ActivityContext) -> str | None:
        """Awaits what a sync activity has handed over; result and errors as for `execute`."""
        with _logged_as(context):
            result = await awaitable
        return self._encoded(name, result)

    async def execute_async(
        self,
        fn: Activity | None,
        orchestration_id: str,
        name: str,
        task_id: int,
        encoded_input: str | None,
        task_execution_id: str = '',
        propagated_history: PropagatedHistory | None = None,
        *,
        attempt: int = 1,
        trace: pb.TraceContext | None = None,
    ) -> str | None:
        """Runs an async activity; a sync one is called as well. Arguments, result and errors as for `execute`."""
        activity = self._registered(fn, name)
        metadata = None
        if encoded_input:
            encoded_input, metadata = opened(encoded_input)
        context = self._context(
            orchestration_id, name, task_id, task_execution_id, propagated_history, attempt, trace, metadata
        )
        with _logged_as(context):
            result = activity(context, self._input(activity, encoded_input))
            if inspect.isawaitable(result):
                result = await result
        return self._encoded(name, result)

    def _context(
        self,
        orchestration_id: str,
        name: str,
        task_id: int,
        task_execution_id: str,
        propagated_history: PropagatedHistory | None,
        attempt: int,
        trace: pb.TraceContext | None,
        metadata: dict[str, str] | None,
    ) -> ActivityContext:
        return ActivityContext(
            orchestration_id,
            task_id,
            task_execution_id,
            propagated_history,
            name=name,
            attempt=attempt,
            shutting_down=self._shutting_down,
            metadata=metadata,
            trace_parent=None if trace is None else trace.traceParent,
            trace_state=None if trace is None else trace.traceState.value,
        )

    def _registered(self, fn: Activity | None, name: str) -> Activity:
        if fn is None:
            raise ActivityNotRegisteredError(
                f"Activity function named '{name}' was not registered! Register it with this worker before the worker "
                'starts, and check that the workflow that schedules it means this app.' + near_names(name, self._known)
            )
        return fn

    def _input(self, activity: Activity, encoded_input: str | None) -> Any:
        return self._payloads.decode_input(activity, encoded_input) if encoded_input else None

    def _encoded(self, name: str, result: Any) -> str | None:
        if result is None:
            return None
        try:
            return self._payloads.encode(result)
        except Exception as error:
            raise TypeError(f"The result of the activity '{name}' cannot be encoded as JSON: {error}") from error


class ActivityAnswers(Protocol):
    """Sends the answer of an activity; `Completions` does."""

    def complete_activity(self, response: pb.ActivityResponse) -> bool: ...


class FailedAttempts:
    """How often calls have failed in this worker: what it knows of the number of an attempt.

    Kept for the latest calls alone; it is nothing but a number in a log that is lost with the others.

    Args:
        limit: For how many calls. Default: 10,000.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        # The failed tasks of each call, by its task execution id. One that is dispatched twice is one attempt.
        self._failed: OrderedDict[str, set[int]] = OrderedDict()

    def number(self, request: pb.ActivityRequest) -> int:
        """Which attempt a request is, from 1 on."""
        failed = self._failed.get(request.taskExecutionId) if self._failed else None
        return 1 if failed is None else 1 + len(failed - {request.taskId})

    def add(self, request: pb.ActivityRequest) -> None:
        """Takes note that the attempt has failed."""
        if request.taskExecutionId:
            with self._lock:
                self._failed.setdefault(request.taskExecutionId, set()).add(request.taskId)
                self._failed.move_to_end(request.taskExecutionId)
                if len(self._failed) > self._limit:
                    self._failed.popitem(last=False)


class Served(NamedTuple):
    """What an async activity came to, to be sent where that blocks no one.

    Attributes:
        response: The answer.
        context: The context to send it in: the activity's own, with its span.
        span: Its span, ended when the answer is sent; None: there is none.
    """

    response: pb.ActivityResponse
    context: contextvars.Context
    span: ActivitySpan | None


OnLoop = Callable[[Callable[[Any], Coroutine[Any, Any, Any]], Callable[[Any], None], Any], None]
"""Has a function awaited on the event loop, and a second one called, off it, with what that gave: for an argument."""


class _HandedOver(NamedTuple):
    """What a sync activity has returned to be awaited, with all that goes on with it."""

    item: pb.WorkItem
    awaitable: Awaitable[Any]
    context: ActivityContext
    variables: contextvars.Context
    span: ActivitySpan | None
    started: float
    record: ActivityRecord | None


class Activities:
    """Serves activity work items, on whichever threads or event loop it is called on.

    Each activity has a context of its own (`contextvars`), empty but for its span and what `call_logging` finds it by:
    what one sets (a decimal context, a current span) is gone with it, and nothing of the engine's is in it.

    Args:
        registry: The activities, by name.
        answers: Sends an answer; it may block.
        logger: Where failures of activities are told, and each call at debug level.
        running: Takes note of what runs. Default: no one looks.
        shutting_down: Set when the worker is stopping. Default: it never is.
        on_loop: Runs what sync activities return to be awaited. Default: that is an error.
        listeners: Are told of each activity. Default: there are none.
    """

    def __init__(
        self,
        registry: _Registry,
        answers: ActivityAnswers,
        logger: logging.Logger,
        running: RunningWork | None = None,
        shutting_down: threading.Event | None = None,
        on_loop: OnLoop | None = None,
        listeners: Listeners | None = None,
    ) -> None:
        self._on_loop = on_loop
        self._registry = registry
        self._answers = answers
        self._logger = logger
        self._running = running or RunningWork()
        self._shutting_down = shutting_down or threading.Event()
        self._executor = _ActivityExecutor(logger, self._shutting_down, registry.activities, registry.payloads)
        self._failed_attempts = FailedAttempts()
        self._listeners = listeners if listeners is not None and listeners.want_activities else None

    def is_async(self, item: pb.WorkItem) -> bool:
        """Whether the activity of a work item runs on the event loop."""
        fn = self._registry.get_activity(item.activityRequest.name)
        return fn is not None and shared.is_async_callable(fn)

    def serve(self, item: pb.WorkItem, received: float = 0.0) -> None:
        """Runs a sync activity and answers. Never raises.

        Args:
            item: Its work item.
            received: When that came in, by `time.perf_counter`. Default: not known.
        """
        contextvars.Context().run(self._serve, item, received)

    def _serve(self, item: pb.WorkItem, received: float) -> None:
        request = item.activityRequest
        response = _response(item)
        record = self._record(request, received, is_async=False)
        span = begin_span(request)
        with self._running.activity(request, is_async=False):
            started = time.perf_counter()
            attempt = self._failed_attempts.number(request)
            try:
                fn = self._registry.get_activity(request.name)
                handed_over: list[tuple[Awaitable[Any], ActivityContext]] = []
                result = self._executor.execute(
                    fn,
                    *_arguments(request),
                    attempt=attempt,
                    trace=_trace(request),
                    hand_over=None if self._on_loop is None else lambda *given: handed_over.append(given),
                )
                if handed_over and self._on_loop is not None:
                    rest = _HandedOver(item, *handed_over[0], contextvars.copy_context(), span, started, record)
                    self._on_loop(self._serve_rest, self.answer, rest)
                    return
                _set_result(response, result)
                self._tell_completed(request, started)
            except BaseException as error:  # SystemExit too: it must not end the pool's thread
                self._set_failure(request, response, error, span)
            if record is not None:
                self._tell_listeners(record, request, response)
            self._answer(response, span)

    async def serve_async(self, item: pb.WorkItem, received: float = 0.0) -> Served | None:
        """Runs an async activity and returns its answer, since sending it would block the event loop. Never raises.

        Call it in a task whose context is its own. An activity that is cancelled has failed; but one that the worker
        cancels, since it is stopping, gets no answer (None), so that it is run again elsewhere. Arguments as for
        `serve`.
        """
        request = item.activityRequest
        attempt = self._failed_attempts.number(request)

        async def execute() -> str | None:
            fn = self._registry.get_activity(request.name)
            return await self._executor.execute_async(fn, *_arguments(request), attempt=attempt, trace=_trace(request))

        record = self._record(request, received, is_async=True)
        return await self._served(item, begin_span(request), time.perf_counter(), execute(), record)

    async def _serve_rest(self, rest: _HandedOver) -> Served | None:
        """The second half of a sync activity that has returned something to await: in the context of the first."""
        awaited = self._executor.awaited(rest.item.activityRequest.name, rest.awaitable, rest.context)
        task = rest.variables.run(asyncio.get_running_loop().create_task, awaited)
        return await self._served(rest.item, rest.span, rest.started, task, rest.record, rest.variables)

    async def _served(
        self,
        item: pb.WorkItem,
        span: ActivitySpan | None,
        started: float,
        result: Awaitable[str | None],
        record: ActivityRecord | None,
        variables: contextvars.Context | None = None,
    ) -> Served | None:
        request = item.activityRequest
        response = _response(item)
        with self._running.activity(request, is_async=True):
            try:
                _set_result(response, await result)
                self._tell_completed(request, started)
            except BaseException as error:  # SystemExit too: it must not end the event loop
                if isinstance(error, asyncio.CancelledError) and self._shutting_down.is_set():
                    self._tell_cancelled(request)
                    if span is not None:
                        span.end()
                    if record is not None:
                        record.outcome = 'cancelled'
                        self._tell_listeners(record, request, None)
                    return None
                self._set_failure(request, response, error, span)
        if record is not None:
            self._tell_listeners(record, request, response)
        return Served(response, variables or contextvars.copy_context(), span)

    def answer(self, served: Served | None) -> None:
        """Sends what `serve_async` returned. Never raises."""
        if served is not None:
            served.context.run(self._answer, served.response, served.span)

    def _answer(self, response: pb.ActivityResponse, span: ActivitySpan | None) -> None:
        try:
            self._answers.complete_activity(response)
        finally:
            if span is not None:
                span.end()

    def _record(self, request: pb.ActivityRequest, received: float, *, is_async: bool) -> ActivityRecord | None:
        if self._listeners is None:
            return None
        started = time.perf_counter()
        instance_id = request.workflowInstance.instanceId
        record = ActivityRecord(request.name, instance_id, request.taskId, is_async, received or started, started)
        if request.HasField('input'):
            record.input_bytes = size_of(request.input.value)
        return record

    def _tell_listeners(
        self, record: ActivityRecord, request: pb.ActivityRequest, response: pb.ActivityResponse | None
    ) -> None:
        record.ended = time.perf_counter()
        if response is not None:
            if response.HasField('failureDetails'):
                record.outcome = 'failed'
            elif response.HasField('result'):
                record.result_bytes = size_of(response.result.value)
        if self._listeners is not None:
            self._listeners.activity_ended(record)

    def _set_failure(
        self,
        request: pb.ActivityRequest,
        response: pb.ActivityResponse,
        error: BaseException,
        span: ActivitySpan | None,
    ) -> None:
        details = helpers.new_failure_details(error)
        response.failureDetails.CopyFrom(details)
        self._failed_attempts.add(request)
        if span is not None:
            span.failed(error)
        self._logger.warning(
            "%s: the activity '%s' (task %d) failed with %s: %s",
            request.workflowInstance.instanceId,
            request.name,
            request.taskId,
            details.errorType,
            details.errorMessage,
            exc_info=error,
        )

    def _tell_completed(self, request: pb.ActivityRequest, started: float) -> None:
        if self._logger.isEnabledFor(logging.DEBUG):
            self._logger.debug(
                "%s: the activity '%s' (task %d) completed in %.1f ms",
                request.workflowInstance.instanceId,
                request.name,
                request.taskId,
                1000 * (time.perf_counter() - started),
            )

    def _tell_cancelled(self, request: pb.ActivityRequest) -> None:
        self._logger.warning(
            "%s: the activity '%s' (task %d) was cancelled, since the worker is stopping; the sidecar will dispatch it "
            'again.',
            request.workflowInstance.instanceId,
            request.name,
            request.taskId,
        )


@contextmanager
def _logged_as(context: ActivityContext) -> Iterator[None]:
    token = current_call.set(context)
    try:
        yield
    finally:
        current_call.reset(token)


def _response(item: pb.WorkItem) -> pb.ActivityResponse:
    request = item.activityRequest
    return pb.ActivityResponse(
        instanceId=request.workflowInstance.instanceId,
        taskId=request.taskId,
        completionToken=item.completionToken,
    )


def _arguments(request: pb.ActivityRequest) -> tuple[str, str, int, str | None, str, PropagatedHistory | None]:
    """What the executor's methods take after the function, in order."""
    propagated = None
    if request.HasField('propagatedHistory'):
        propagated = PropagatedHistory.from_proto(request.propagatedHistory)
    encoded_input = request.input.value if request.HasField('input') else None
    instance_id = request.workflowInstance.instanceId
    return instance_id, request.name, request.taskId, encoded_input, request.taskExecutionId, propagated


def _trace(request: pb.ActivityRequest) -> pb.TraceContext | None:
    return request.parentTraceContext if request.HasField('parentTraceContext') else None


def _set_result(response: pb.ActivityResponse, encoded_result: str | None) -> None:
    if encoded_result is not None:
        response.result.value = encoded_result
