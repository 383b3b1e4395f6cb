"""The clients of an environment: those of apps, whose waits end when a test hangs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from dapr.ext.workflow._durabletask.clients.requests import checked_seconds
from dapr.ext.workflow.aio.dapr_workflow_client import DaprWorkflowClient as AsyncDaprWorkflowClient
from dapr.ext.workflow.converter import DataConverter
from dapr.ext.workflow.dapr_workflow_client import DaprWorkflowClient
from dapr.ext.workflow.workflow_state import WorkflowState

__all__ = ['AsyncEnvironmentClient', 'EnvironmentClient', 'Limit']


Limit = Callable[[str, float], AbstractContextManager[float]]
"""Given what is waited for and the limit that the caller has set (0: none), enters the wait with the limit that holds;
what hangs then is raised as `WorkflowHangsError`."""


class EnvironmentClient(DaprWorkflowClient):
    """A client whose waits have the limit of an environment.

    Args:
        host: The sidecar's host.
        port: Its port.
        limit: The limit.
        seconds: The same for calls that do not wait for an instance, in seconds; None: none.
        data_converter: As of `DaprWorkflowClient`.
    """

    def __init__(
        self, host: str, port: int, limit: Limit, seconds: float | None, data_converter: DataConverter | None = None
    ) -> None:
        super().__init__(host, port, call_timeout=seconds, data_converter=data_converter)
        self._limit = limit

    def schedule_new_workflow(self, workflow: Any, **options: Any) -> str:
        with self._limit('the first turn of a new workflow', 0):
            return super().schedule_new_workflow(workflow, **options)

    def wait_for_workflow_start(
        self, instance_id: str, *, timeout_in_seconds: float = 0, **options: Any
    ) -> WorkflowState | None:
        with self._limit(f"the start of '{instance_id}'", _limit_of(timeout_in_seconds)) as seconds:
            return super().wait_for_workflow_start(instance_id, timeout_in_seconds=seconds, **options)

    def wait_for_workflow_completion(
        self, instance_id: str, *, timeout_in_seconds: float = 0, **options: Any
    ) -> WorkflowState | None:
        with self._limit(f"the end of '{instance_id}'", _limit_of(timeout_in_seconds)) as seconds:
            return super().wait_for_workflow_completion(instance_id, timeout_in_seconds=seconds, **options)


class AsyncEnvironmentClient(AsyncDaprWorkflowClient):
    """The same for asyncio."""

    def __init__(
        self, host: str, port: int, limit: Limit, seconds: float | None, data_converter: DataConverter | None = None
    ) -> None:
        super().__init__(host, port, call_timeout=seconds, data_converter=data_converter)
        self._limit = limit

    async def schedule_new_workflow(self, workflow: Any, **options: Any) -> str:
        with self._limit('the first turn of a new workflow', 0):
            return await super().schedule_new_workflow(workflow, **options)

    async def wait_for_workflow_start(
        self, instance_id: str, *, timeout_in_seconds: float = 0, **options: Any
    ) -> WorkflowState | None:
        with self._limit(f"the start of '{instance_id}'", _limit_of(timeout_in_seconds)) as seconds:
            return await super().wait_for_workflow_start(instance_id, timeout_in_seconds=seconds, **options)

    async def wait_for_workflow_completion(
        self, instance_id: str, *, timeout_in_seconds: float = 0, **options: Any
    ) -> WorkflowState | None:
        with self._limit(f"the end of '{instance_id}'", _limit_of(timeout_in_seconds)) as seconds:
            return await super().wait_for_workflow_completion(instance_id, timeout_in_seconds=seconds, **options)


def _limit_of(timeout_in_seconds: float | None) -> float:
    return checked_seconds(timeout_in_seconds, 'timeout_in_seconds') or 0
