"""Workflow clients for asyncio."""

from dapr.ext.workflow.aio.dapr_workflow_client import DaprWorkflowClient
from dapr.ext.workflow.aio.mcp import DaprMCPClient
from dapr.ext.workflow.mcp import MCPToolDef

__all__ = ['DaprMCPClient', 'DaprWorkflowClient', 'MCPToolDef']
