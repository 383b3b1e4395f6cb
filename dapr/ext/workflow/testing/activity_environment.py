"""One activity, run by itself."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from threading import Event
from typing import Any

from dapr.ext.workflow._durabletask.metadata import checked
from dapr.ext.workflow._durabletask.propagation import PropagatedHistory
from dapr.ext.workflow._durabletask.task import ActivityContext
from dapr.ext.workflow.adapters import adapt_activity
from dapr.ext.workflow.converter import DataConverter
from dapr.ext.workflow.naming import name_of
from dapr.ext.workflow.values.annotations import result_type
from dapr.ext.workflow.values.payloads import payloads_of

__all__ = ['ActivityEnvironment']


class ActivityEnvironment:
    """Runs one activity, with a context of the test's. There is no workflow and no sidecar.

        assert ActivityEnvironment(attempt=2).run(charge, Order('a lamp')) == 'paid'

    Input and result go through JSON, as on their way to a worker and back, so that what cannot be encoded is found; the
    result is what a workflow would be given.

    Args:
        workflow_id: The instance id of the workflow that calls it. Default: 'test-workflow'.
        task_id: The id of the action that schedules it. Default: 1.
        task_execution_id: What all attempts of the call have in common. Default: 'test-execution'.
        attempt: Which attempt it is. Default: 1.
        propagated_history: The history that the workflow sends along. None (default): none.
        data_converter: As of `WorkflowRuntime`. None (default): `JsonDataConverter`.
        metadata: What comes with its input, as headers do. None (default): nothing.
        trace_parent: The sidecar's span of it, as a W3C `traceparent`. None (default): nothing is traced.
        trace_state: The W3C `tracestate` that goes with it. None (default): none.
    """

    def __init__(
        self,
        *,
        workflow_id: str = 'test-workflow',
        task_id: int = 1,
        task_execution_id: str = 'test-execution',
        attempt: int = 1,
        propagated_history: PropagatedHistory | None = None,
        data_converter: DataConverter | None = None,
        metadata: Mapping[str, str] | None = None,
        trace_parent: str | None = None,
        trace_state: str | None = None,
    ) -> None:
        self._payloads = payloads_of(data_converter)
        self._workflow_id = workflow_id
        self._task_id = task_id
        self._task_execution_id = task_execution_id
        self._attempt = attempt
        self._propagated_history = propagated_history
        self._metadata = None if metadata is None else checked(metadata)
        self._trace_parent = trace_parent
        self._trace_state = trace_state
        self._shutting_down = Event()

    def shut_down(self) -> None:
        """From now on the activity sees that its worker is stopping (`ctx.is_shutting_down`). From any thread."""
        self._shutting_down.set()

    def run(self, activity: Callable[..., Any], input: Any = None) -> Any:
        """Runs an activity, sync or async; an async one on an event loop of its own.

        Args:
            activity: The activity.
            input: Its input. None (default): none.

        Returns:
            Its result.

        Raises:
            TypeError: Input or result cannot be encoded as JSON.
            Exception: What it raises.
        """
        result = self._call(activity, input)
        return self._came_back(activity, asyncio.run(_awaited(result)) if inspect.isawaitable(result) else result)

    async def arun(self, activity: Callable[..., Any], input: Any = None) -> Any:
        """The same for asyncio: an async activity runs on the loop that is running."""
        result = self._call(activity, input)
        return self._came_back(activity, await result if inspect.isawaitable(result) else result)

    def _call(self, activity: Callable[..., Any], input: Any) -> Any:
        context = ActivityContext(
            self._workflow_id,
            self._task_id,
            self._task_execution_id,
            self._propagated_history,
            name=name_of(activity),
            attempt=self._attempt,
            shutting_down=self._shutting_down,
            metadata=self._metadata,
            trace_parent=self._trace_parent,
            trace_state=self._trace_state,
        )
        adapted = adapt_activity(activity)
        text = None if input is None else self._payloads.encode(input)
        return adapted(context, self._payloads.decode_input(adapted, text) if text else None)

    def _came_back(self, activity: Callable[..., Any], result: Any) -> Any:
        text = None if result is None else self._payloads.encode(result)
        if not text:
            return None
        target_type = result_type(activity)
        return self._payloads.decode(text) if target_type is None else self._payloads.reader(target_type)(text)


async def _awaited(awaitable: Any) -> Any:
    return await awaitable
