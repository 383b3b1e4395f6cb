"""What an activity may know of the call it was made by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from dapr.ext.workflow._durabletask.call_logging import CallLogger
from dapr.ext.workflow._durabletask.metadata import ActivityExecutionInfo
from dapr.ext.workflow._durabletask.propagation import PropagatedHistory
from dapr.ext.workflow._durabletask.task import ActivityContext

__all__ = ['Activity', 'WorkflowActivityContext']


class WorkflowActivityContext:
    """What an activity may know of the call it was made by.

    Args:
        ctx: The engine's context.
    """

    def __init__(self, ctx: ActivityContext) -> None:
        self.__obj = ctx

    @property
    def workflow_id(self) -> str:
        """The instance id of the workflow that called the activity."""
        return self.__obj.orchestration_id

    @property
    def task_id(self) -> int:
        """The id of the action that scheduled the activity; another one at each attempt."""
        return self.__obj.task_id

    @property
    def task_execution_id(self) -> str:
        """What all attempts of one call have in common: a key for idempotence."""
        return self.__obj.task_execution_id

    @property
    def activity_name(self) -> str:
        """The name that the activity was called by."""
        return self.__obj.activity_name

    @property
    def attempt(self) -> int:
        """Which attempt of its call this is, from 1 on, as far as this worker knows.

        No sidecar tells the number. The worker counts the attempts that have failed in it; those that another worker
        ran, or this one before it was restarted, are not among them. Use it for logs and metrics, not for decisions.
        """
        return self.__obj.attempt

    @property
    def is_shutting_down(self) -> bool:
        """Whether the worker is stopping: an activity that takes long should come to an end, or raise, so that the
        process ends in time. What is not answered then is run again by another worker, or after the restart."""
        return self.__obj.is_shutting_down

    @property
    def trace_parent(self) -> str | None:
        """The sidecar's span of the activity, as a W3C `traceparent`; None where nothing is traced."""
        return self.__obj.trace_parent

    @property
    def trace_state(self) -> str | None:
        """The W3C `tracestate` that goes with it, or None."""
        return self.__obj.trace_state

    @property
    def execution_info(self) -> ActivityExecutionInfo:
        """What the activity was called with beside its input, `inbound_metadata` among it."""
        return self.__obj.execution_info

    def get_metadata(self) -> dict[str, str]:
        """A copy of what came with the call beside its input, as headers do; empty: nothing."""
        return self.__obj.get_metadata()

    def get_headers(self) -> dict[str, str]:
        """The same as `get_metadata`."""
        return self.__obj.get_metadata()

    @property
    def logger(self) -> CallLogger:
        """A logger for the activity's code, whose records go to `dapr.workflow.activity`, with `activity_name`,
        `instance_id`, `task_id` and `attempt`."""
        return self.__obj.logger

    def get_inner_context(self) -> ActivityContext:
        """The engine's context."""
        return self.__obj

    def get_propagated_history(self) -> PropagatedHistory | None:
        """The history that the workflow has sent along, or None."""
        return self.__obj.get_propagated_history()


# Called with a WorkflowActivityContext and, when it takes one, the input.
Activity: TypeAlias = Callable[..., Any]
