"""The context that async workflows are given: the engine's, by the names of this API."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, overload

from dapr.ext.workflow._durabletask.aio.context import BaseAsyncWorkflowContext
from dapr.ext.workflow._durabletask.call_types import InputOf, TInput, typed_as
from dapr.ext.workflow._durabletask.propagation import PropagationScope
from dapr.ext.workflow._durabletask.replay.futures import WorkflowFuture
from dapr.ext.workflow.dapr_workflow_context import DaprWorkflowContext
from dapr.ext.workflow.naming import name_of
from dapr.ext.workflow.retry_policy import RetryPolicy, engines_policy
from dapr.ext.workflow.values.annotations import result_type
from dapr.ext.workflow.workflow_activity_context import Activity, WorkflowActivityContext
from dapr.ext.workflow.workflow_context import DetachedOptions, Workflow

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from dapr.ext.workflow.schedule_types import ScheduledWithInput, ScheduledWithoutInput

__all__ = ['AsyncWorkflowContext']

_Base = BaseAsyncWorkflowContext[WorkflowActivityContext, DaprWorkflowContext, RetryPolicy]


class AsyncWorkflowContext(BaseAsyncWorkflowContext[WorkflowActivityContext, DaprWorkflowContext, RetryPolicy]):
    """What an async workflow does its work through.

    Calls are scheduled where they are made, in program order, and return futures, which may be awaited more than once
    and be in several composites. All of asyncio that needs no thread and no socket works in a workflow, too.
    """

    __slots__ = ()

    @typed_as(_Base.call_activity)
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
    ) -> WorkflowFuture[Any]:
        name = name_of(activity)
        task = self._context.call_activity(
            name,
            input=input,
            retry_policy=engines_policy(retry_policy),
            app_id=app_id,
            propagation=propagation,
            return_type=_type_of(activity) if return_type is None else return_type,
            timeout=timeout,
            metadata=metadata,
        )
        return self._future(task, 'call_activity', name)

    @typed_as(_Base.call_child_workflow)
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
    ) -> WorkflowFuture[Any]:
        name = name_of(workflow)
        task = self._context.call_sub_orchestrator(
            name,
            input=input,
            instance_id=instance_id,
            retry_policy=engines_policy(retry_policy),
            app_id=app_id,
            propagation=propagation,
            return_type=_type_of(workflow) if return_type is None else return_type,
            timeout=timeout,
            metadata=metadata,
        )
        return self._future(task, 'call_child_workflow', name)

    # Written out: with the type of the other context's method, mypy now and then finds fault with `self`.
    @overload  # type: ignore[override]  # of functions, it takes those alone that are workflows
    def schedule_new_workflow(
        self, workflow: ScheduledWithInput[TInput], *, input: InputOf[TInput], **options: Unpack[DetachedOptions]
    ) -> str: ...
    @overload
    def schedule_new_workflow(
        self, workflow: ScheduledWithoutInput, *, input: None = None, **options: Unpack[DetachedOptions]
    ) -> str: ...
    @overload
    def schedule_new_workflow(self, workflow: str, *, input: Any = None, **options: Unpack[DetachedOptions]) -> str: ...
    def schedule_new_workflow(self, workflow: Workflow | str, **options: Any) -> str:
        return super().schedule_new_workflow(name_of(workflow), **options)

    activity = call_activity
    call_sub_orchestrator = call_child_workflow
    sub_orchestrator = call_child_workflow


def _type_of(called: Activity | Workflow | str) -> Any:
    return None if isinstance(called, str) else result_type(called)
