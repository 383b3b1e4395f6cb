"""What an activity may know of the call it was made by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from dapr.ext.workflow._durabletask.contexts import ActivityContext
from dapr.ext.workflow._durabletask.propagation import PropagatedHistory

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

    def get_inner_context(self) -> ActivityContext:
        """The engine's context."""
        return self.__obj

    def get_propagated_history(self) -> PropagatedHistory | None:
        """The history that the workflow has sent along, or None."""
        return self.__obj.get_propagated_history()


# Called with a WorkflowActivityContext and, when it takes one, the input.
Activity: TypeAlias = Callable[..., Any]
