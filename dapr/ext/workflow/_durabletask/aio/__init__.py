"""The asyncio side of the engine."""

from __future__ import annotations

from dapr.ext.workflow._durabletask.aio.client import AsyncTaskHubGrpcClient

__all__ = ['AsyncTaskHubGrpcClient']
