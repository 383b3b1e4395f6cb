"""asyncio: async workflows, and clients."""

from dapr.ext.workflow._durabletask.async_failures import (
    AsyncWorkflowError,
    NonDeterminismWarning,
    SandboxViolationError,
    WorkflowTimeoutError,
    WorkflowValidationError,
)
from dapr.ext.workflow.aio.async_workflow_context import AsyncWorkflowContext
from dapr.ext.workflow.aio.dapr_workflow_client import DaprWorkflowClient
from dapr.ext.workflow.aio.mcp import DaprMCPClient
from dapr.ext.workflow.mcp import MCPToolDef

__all__ = [
    'AsyncWorkflowContext',
    'AsyncWorkflowError',
    'DaprMCPClient',
    'DaprWorkflowClient',
    'MCPToolDef',
    'NonDeterminismWarning',
    'SandboxViolationError',
    'WorkflowTimeoutError',
    'WorkflowValidationError',
]
