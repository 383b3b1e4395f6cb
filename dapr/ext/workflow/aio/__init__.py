"""Workflow clients for asyncio."""

from dapr.ext.workflow.aio.dapr_workflow_client import DaprWorkflowClient

__all__ = ['DaprWorkflowClient']
