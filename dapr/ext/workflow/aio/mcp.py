"""The client for asyncio that lists the tools of MCP servers. The twin of the one in `mcp`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Set
from types import TracebackType

import grpc

from dapr.ext.workflow.aio.dapr_workflow_client import DaprWorkflowClient
from dapr.ext.workflow.mcp import Listing, MCPToolDef, ToolLists

__all__ = ['DaprMCPClient', 'MCPToolDef']


class DaprMCPClient(ToolLists):
    """Lists the tools of MCP servers that the sidecar has MCPServer resources for.

    Args:
        timeout_in_seconds: How long a connect may take in all, in seconds. Default: 60.
        allowed_tools: The names of the tools to keep. None (default): all.
        wf_client: The client (of `aio`) to run workflows with; it stays open. None (default): one is made, as
            `DaprWorkflowClient()` is, and `aclose` ends it.

    Raises:
        ValueError: The timeout is zero or less, or a setting cannot be read.
    """

    def __init__(
        self,
        *,
        timeout_in_seconds: float = 60,
        allowed_tools: Set[str] | None = None,
        wf_client: DaprWorkflowClient | None = None,
    ) -> None:
        super().__init__(timeout_in_seconds=timeout_in_seconds, allowed_tools=allowed_tools)
        self._owns_client = wf_client is None
        self._client = DaprWorkflowClient() if wf_client is None else wf_client

    async def __aenter__(self) -> DaprMCPClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Ends the workflow client, unless it was given one. What was listed stays."""
        if self._owns_client:
            await self._client.aclose()

    async def connect(self, mcpserver_name: str) -> None:
        """Lists the tools of a server, and remembers them in place of those of an earlier connect to it.

        A sidecar that cannot be reached, or is not ready, is waited for.

        Args:
            mcpserver_name: The name of the MCPServer resource.

        Raises:
            ValueError: The name is empty.
            ListToolsTimeoutError: The tools are not there in time; a RuntimeError and a TimeoutError.
            RuntimeError: The tools cannot be listed; the message says why.
            grpc.RpcError: The sidecar refuses, or cannot be reached in time.
        """
        listing = Listing(mcpserver_name, self._timeout, time.monotonic)
        await self._start(listing)
        left = listing.remaining()
        with listing.in_time():
            state = await self._client.wait_for_workflow_completion(
                instance_id=listing.instance_id, timeout_in_seconds=left, fetch_payloads=True
            )
        self._keep(mcpserver_name, listing.read(state))

    async def _start(self, listing: Listing) -> None:
        while True:
            try:
                await self._client.schedule_new_workflow(
                    workflow=listing.workflow, input=listing.input, instance_id=listing.instance_id
                )
            except grpc.RpcError as error:
                delay = listing.delay_after(error)
            else:
                return
            if delay is None:
                return
            await asyncio.sleep(delay)
