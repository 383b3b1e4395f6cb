"""The tools of MCP servers, which daprd (1.18 and newer) offers to workflows as child workflows.

For each MCPServer resource daprd has a workflow that lists its tools, `dapr.internal.mcp.<server>.ListTools`, and one
for each tool, `dapr.internal.mcp.<server>.CallTool.<tool>`, which takes `{'arguments': {...}}`. The clients run the
first and remember what it gives; a workflow then calls `ctx.call_child_workflow(tool.call_tool_workflow, input=...)`.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final

import grpc

from dapr.ext.workflow._durabletask.clients.waits import is_transient
from dapr.ext.workflow._durabletask.transport.errors import status_of
from dapr.ext.workflow.dapr_workflow_client import DaprWorkflowClient
from dapr.ext.workflow.workflow_state import WorkflowState, WorkflowStatus

__all__ = ['MCP_WORKFLOW_PREFIX', 'DaprMCPClient', 'ListToolsTimeoutError', 'MCPToolDef', 'ToolLists']

MCP_WORKFLOW_PREFIX: Final = 'dapr.internal.mcp.'

_RETRY_SECONDS: Final = 0.5


@dataclass(frozen=True)
class MCPToolDef:
    """A tool of an MCP server.

    Attributes:
        name: Its name.
        description: What it does, in the server's words.
        input_schema: The JSON schema of its arguments; `mcp_schema` makes a pydantic model of it. Default: empty.
        server_name: The MCPServer resource that it belongs to. Default: ''.
        call_tool_workflow: The name of the workflow that calls it. Default: ''.
    """

    name: str
    description: str
    input_schema: dict[str, Any] = field(default_factory=dict)
    server_name: str = ''
    call_tool_workflow: str = ''


class ListToolsTimeoutError(RuntimeError, TimeoutError):
    """The tools of an MCP server were not listed in time."""


class ToolLists:
    """The tools of the servers that were connected to. What the client for blocking code and that for asyncio share.

    Args:
        timeout_in_seconds: How long a connect may take in all, in seconds. Default: 60.
        allowed_tools: The names of the tools to keep. None (default): all.

    Raises:
        ValueError: The timeout is zero or less.
    """

    def __init__(self, *, timeout_in_seconds: float = 60, allowed_tools: Set[str] | None = None) -> None:
        if timeout_in_seconds <= 0:
            raise ValueError(
                f'timeout_in_seconds must be a positive integer, or another number above 0; got {timeout_in_seconds}.'
            )
        self._timeout = timeout_in_seconds
        self._allowed_tools = None if allowed_tools is None else frozenset(allowed_tools)
        self._tools: dict[str, list[MCPToolDef]] = {}

    def get_all_tools(self) -> list[MCPToolDef]:
        """The tools of all servers, in the order of the first connects."""
        return [tool for tools in self._tools.values() for tool in tools]

    def get_server_tools(self, server_name: str) -> list[MCPToolDef]:
        """The tools of one server; none when it was not connected to."""
        return list(self._tools.get(server_name, ()))

    def get_connected_servers(self) -> list[str]:
        """The names of the servers that were connected to."""
        return list(self._tools)

    def _keep(self, server: str, listed: list[MCPToolDef]) -> None:
        allowed = self._allowed_tools
        self._tools[server] = [tool for tool in listed if allowed is None or tool.name in allowed]


class Listing:
    """One run of a server's ListTools workflow: what it is started with, how it is waited for, what it gave.

    Args:
        server: The name of the MCPServer resource.
        timeout: How long it may take in all, in seconds.
        clock: Seconds, from anywhere.

    Raises:
        ValueError: The name is empty.
    """

    def __init__(self, server: str, timeout: float, clock: Callable[[], float]) -> None:
        if not server or not server.strip():
            raise ValueError('mcpserver_name must be a non-empty string: the name of an MCPServer resource.')
        self.workflow = f'{MCP_WORKFLOW_PREFIX}{server}.ListTools'
        self.input = {'mcpServerName': server}
        # One for all attempts: an attempt that failed for the client may have been heard by the sidecar.
        self.instance_id = str(uuid.uuid4())
        self._server = server
        self._title = f"ListTools workflow for MCPServer '{server}'"
        self._timeout = timeout
        self._clock = clock
        self._deadline = clock() + timeout
        self._has_tried = False

    def delay_after(self, error: grpc.RpcError) -> float | None:
        """The seconds to wait before the next attempt to start it; None when an earlier attempt did start it.

        Raises:
            grpc.RpcError: The error itself, when another attempt would not help or the time is over.
        """
        if self._has_tried and status_of(error) is grpc.StatusCode.ALREADY_EXISTS:
            return None
        self._has_tried = True
        if not is_transient(error):
            raise error
        left = self._deadline - self._clock()
        if left <= 0:
            raise error
        return min(_RETRY_SECONDS, left)

    def remaining(self) -> float:
        """The seconds that are left for it to complete.

        Raises:
            ListToolsTimeoutError: None are left.
        """
        left = self._deadline - self._clock()
        if left <= 0:
            raise self._timed_out()
        return left

    @contextmanager
    def in_time(self) -> Iterator[None]:
        """Within it, a wait that is over is the error that says so of this workflow."""
        try:
            yield
        except TimeoutError as error:
            raise self._timed_out() from error

    def read(self, state: WorkflowState | None) -> list[MCPToolDef]:
        """The tools that it gave.

        Raises:
            ListToolsTimeoutError: There is no state.
            RuntimeError: It did not complete, or what it gave is no list of tools.
        """
        if state is None:
            raise self._timed_out()
        if state.runtime_status is not WorkflowStatus.COMPLETED:
            details = state.failure_details
            why = details.full_message if details is not None else state.serialized_output
            raise RuntimeError(
                f"{self._title} ended with status '{state.runtime_status.name}': {why or 'nothing says why'}"
            )
        tools = _tools_in(self._decoded(state.serialized_output))
        if tools is None:
            raise RuntimeError(f'{self._title} gave no list of tools: {state.serialized_output}')
        return [self._tool(tool) for tool in tools]

    def _decoded(self, output: str | None) -> Any:
        try:
            return json.loads(output) if output else None
        except ValueError as error:
            raise RuntimeError(f'{self._title} returned malformed JSON: {error}') from error

    def _tool(self, tool: dict[str, Any]) -> MCPToolDef:
        name = tool.get('name') or ''
        return MCPToolDef(
            name=name,
            description=tool.get('description') or '',
            input_schema=tool.get('inputSchema') or {},
            server_name=self._server,
            call_tool_workflow=f'{MCP_WORKFLOW_PREFIX}{self._server}.CallTool.{name}',
        )

    def _timed_out(self) -> ListToolsTimeoutError:
        return ListToolsTimeoutError(
            f'{self._title} timed out after {self._timeout:g} s. Check that the sidecar has loaded an MCPServer '
            'resource of that name, and reaches its server.'
        )


def _tools_in(answer: Any) -> list[dict[str, Any]] | None:
    """The tools in what the workflow gave; None when that is of another form."""
    if answer is None:
        return []
    tools = answer.get('tools') or [] if isinstance(answer, dict) else None  # Go writes an empty list as null
    return tools if isinstance(tools, list) and all(isinstance(tool, dict) for tool in tools) else None


class DaprMCPClient(ToolLists):
    """Lists the tools of MCP servers that the sidecar has MCPServer resources for.

    Args:
        timeout_in_seconds: How long a connect may take in all, in seconds. Default: 60.
        allowed_tools: The names of the tools to keep. None (default): all.
        wf_client: The client to run workflows with; it stays open. None (default): one is made, as
            `DaprWorkflowClient()` is, and `close` ends it.

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

    def __enter__(self) -> DaprMCPClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the workflow client, unless it was given one. What was listed stays."""
        if self._owns_client:
            self._client.close()

    def connect(self, mcpserver_name: str) -> None:
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
        self._start(listing)
        left = listing.remaining()
        with listing.in_time():
            state = self._client.wait_for_workflow_completion(
                instance_id=listing.instance_id, timeout_in_seconds=left, fetch_payloads=True
            )
        self._keep(mcpserver_name, listing.read(state))

    def _start(self, listing: Listing) -> None:
        while True:
            try:
                self._client.schedule_new_workflow(
                    workflow=listing.workflow, input=listing.input, instance_id=listing.instance_id
                )
            except grpc.RpcError as error:
                delay = listing.delay_after(error)
            else:
                return
            if delay is None:
                return
            time.sleep(delay)
