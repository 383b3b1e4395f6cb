"""Activities: from a work item to its answer."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any, Protocol

from dapr.ext.workflow._durabletask.internal import helpers, shared
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.internal.json_codec import decode_input
from dapr.ext.workflow._durabletask.propagation import PropagatedHistory
from dapr.ext.workflow._durabletask.replay.errors import ActivityNotRegisteredError
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from dapr.ext.workflow._durabletask.task import ActivityContext
from dapr.ext.workflow._durabletask.tracing import trace_context

Activity = Callable[..., Any]


class _ActivityExecutor:
    """Calls activities: input decoded, result encoded.

    Args:
        logger: Where each call is told, at debug level.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def execute(
        self,
        fn: Activity | None,
        orchestration_id: str,
        name: str,
        task_id: int,
        encoded_input: str | None,
        task_execution_id: str = '',
        propagated_history: PropagatedHistory | None = None,
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

        Returns:
            The result as JSON; None when the activity returned None.

        Raises:
            ActivityNotRegisteredError: `fn` is None.
            ValueError: The input is not JSON.
            TypeError: The result cannot be encoded.
            RuntimeError: The activity is an async one after all, which its type did not show.
            Exception: What the activity raised.
        """
        activity = self._registered(fn, name)
        context = ActivityContext(orchestration_id, task_id, task_execution_id, propagated_history)
        result = activity(context, decode_input(activity, encoded_input))
        if inspect.iscoroutine(result):
            result.close()  # else Python warns, somewhere later, that it was never awaited
            raise RuntimeError(
                f"The activity '{name}' returned a coroutine, but it was called as a sync one, since it does not look "
                "like an async one: define it with 'async def', or use functools.wraps in what wraps it."
            )
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
    ) -> str | None:
        """Runs an async activity; a sync one is called as well. Arguments, result and errors as for `execute`."""
        activity = self._registered(fn, name)
        context = ActivityContext(orchestration_id, task_id, task_execution_id, propagated_history)
        result = activity(context, decode_input(activity, encoded_input))
        return self._encoded(name, await result if inspect.isawaitable(result) else result)

    def _registered(self, fn: Activity | None, name: str) -> Activity:
        if fn is None:
            raise ActivityNotRegisteredError(
                f"An activity named '{name}' is not registered with this worker. Register it before the worker starts, "
                'and check that the workflow that schedules it means this app.'
            )
        return fn

    def _encoded(self, name: str, result: Any) -> str | None:
        if result is None:
            return None
        try:
            return shared.to_json(result)
        except Exception as error:
            raise TypeError(f"The result of the activity '{name}' cannot be encoded as JSON: {error}") from error


class ActivityAnswers(Protocol):
    """Sends the answer of an activity; `Completions` does."""

    def complete_activity(self, response: pb.ActivityResponse) -> bool: ...


class Activities:
    """Serves activity work items, on whichever threads or event loop it is called on.

    Args:
        registry: The activities, by name.
        answers: Sends an answer; it may block.
        logger: Where failures of activities are told.
    """

    def __init__(self, registry: _Registry, answers: ActivityAnswers, logger: logging.Logger) -> None:
        self._registry = registry
        self._answers = answers
        self._logger = logger
        self._executor = _ActivityExecutor(logger)

    def is_async(self, item: pb.WorkItem) -> bool:
        """Whether the activity of a work item runs on the event loop."""
        fn = self._registry.get_activity(item.activityRequest.name)
        return fn is not None and shared.is_async_callable(fn)

    def serve(self, item: pb.WorkItem) -> None:
        """Runs a sync activity and answers. Never raises."""
        request = item.activityRequest
        response = _response(item)
        try:
            with trace_context(request):
                fn = self._registry.get_activity(request.name)
                _set_result(response, self._executor.execute(fn, *_arguments(request)))
        except BaseException as error:  # SystemExit too: it must not end the pool's thread
            self._set_failure(request, response, error)
        self._answers.complete_activity(response)

    async def serve_async(self, item: pb.WorkItem) -> pb.ActivityResponse:
        """Runs an async activity and returns its answer, since sending it would block the event loop. Never raises:
        an activity that is cancelled has failed."""
        request = item.activityRequest
        response = _response(item)
        try:
            with trace_context(request):
                fn = self._registry.get_activity(request.name)
                _set_result(response, await self._executor.execute_async(fn, *_arguments(request)))
        except BaseException as error:  # SystemExit too: it must not end the event loop
            self._set_failure(request, response, error)
        return response

    def answer(self, response: pb.ActivityResponse) -> None:
        """Sends what `serve_async` returned. Never raises."""
        self._answers.complete_activity(response)

    def _set_failure(self, request: pb.ActivityRequest, response: pb.ActivityResponse, error: BaseException) -> None:
        details = helpers.new_failure_details(error)
        response.failureDetails.CopyFrom(details)
        self._logger.warning(
            "%s: the activity '%s' (task %d) failed with %s: %s",
            request.workflowInstance.instanceId,
            request.name,
            request.taskId,
            details.errorType,
            details.errorMessage,
            exc_info=error if self._logger.isEnabledFor(logging.DEBUG) else None,
        )


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


def _set_result(response: pb.ActivityResponse, encoded_result: str | None) -> None:
    if encoded_result is not None:
        response.result.value = encoded_result
