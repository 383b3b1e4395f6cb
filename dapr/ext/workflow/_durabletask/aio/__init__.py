"""The asyncio side of the engine."""

from __future__ import annotations

from dapr.ext.workflow._durabletask.aio.client import AsyncTaskHubGrpcClient
from dapr.ext.workflow._durabletask.aio.context import AsyncWorkflowContext
from dapr.ext.workflow._durabletask.async_failures import (
    AsyncWorkflowError,
    NonDeterminismWarning,
    SandboxViolationError,
    WorkflowTimeoutError,
    WorkflowValidationError,
)

__all__ = [
    'AsyncTaskHubGrpcClient',
    'AsyncWorkflowContext',
    'AsyncWorkflowError',
    'NonDeterminismWarning',
    'SandboxViolationError',
    'WorkflowTimeoutError',
    'WorkflowValidationError',
]
