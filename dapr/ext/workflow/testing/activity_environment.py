"""One activity, run by itself."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from threading import Event
from typing import Any

from dapr.ext.workflow._durabletask.internal.json_codec import decode_input, from_json, to_json
from dapr.ext.workflow._durabletask.propagation import PropagatedHistory
from dapr.ext.workflow._durabletask.task import ActivityContext
from dapr.ext.workflow.adapters import adapt_activity
from dapr.ext.workflow.naming import name_of

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
    """

    def __init__(
        self,
        *,
        workflow_id: str = 'test-workflow',
        task_id: int = 1,
        task_execution_id: str = 'test-execution',
        attempt: int = 1,
        propagated_history: PropagatedHistory | None = None,
    ) -> None:
        self._workflow_id = workflow_id
        self._task_id = task_id
        self._task_execution_id = task_execution_id
        self._attempt = attempt
        self._propagated_history = propagated_history
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
        return _through_json(asyncio.run(_awaited(result)) if inspect.isawaitable(result) else result)

    async def arun(self, activity: Callable[..., Any], input: Any = None) -> Any:
        """The same for asyncio: an async activity runs on the loop that is running."""
        result = self._call(activity, input)
        return _through_json(await result if inspect.isawaitable(result) else result)

    def _call(self, activity: Callable[..., Any], input: Any) -> Any:
        context = ActivityContext(
            self._workflow_id,
            self._task_id,
            self._task_execution_id,
            self._propagated_history,
            name=name_of(activity),
            attempt=self._attempt,
            shutting_down=self._shutting_down,
        )
        adapted = adapt_activity(activity)
        return adapted(context, decode_input(adapted, None if input is None else to_json(input)))


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


def _through_json(result: Any) -> Any:
    return None if result is None else from_json(to_json(result))
