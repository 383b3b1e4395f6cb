"""The types of what `schedule_new_workflow` takes: workflows of every kind, and no activities. For checkers alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeAlias, TypedDict

from dapr.ext.workflow._durabletask.call_types import TakesInput, TakesNoInput, TInput, WithInput, WithoutInput
from dapr.ext.workflow.aio.async_workflow_context import AsyncWorkflowContext
from dapr.ext.workflow.dapr_workflow_context import DaprWorkflowContext

# What a workflow comes to is read from its state, so it does not matter here.
ScheduledWithInput: TypeAlias = (
    WithInput[DaprWorkflowContext, TInput, object] | TakesInput[AsyncWorkflowContext, TInput, object]
)
ScheduledWithoutInput: TypeAlias = (
    WithoutInput[DaprWorkflowContext, object]
    | TakesNoInput[AsyncWorkflowContext, object]
    | TakesInput[AsyncWorkflowContext, None, object]
)


class ScheduleOptions(TypedDict, total=False):
    """What is said of a workflow's start beside its input."""

    instance_id: str | None
    start_at: datetime | None
    reuse_id_policy: Any
    app_id: str | None
    timeout: float | None
    metadata: Mapping[str, str] | None
