"""The tools of an MCP server: listed, checked and called. A worker stands for daprd, whose workflows these are."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from dapr.ext.workflow import DaprMCPClient, DaprWorkflowClient, DaprWorkflowContext, WorkflowRuntime, aio
from dapr.ext.workflow.mcp_schema import create_pydantic_model_from_schema
from tests.support.e2e import DEADLINE, NewId
from tools.go_sidecar import Sidecar

TOOL = {
    'name': 'get_forecast',
    'description': 'The weather to come.',
    'inputSchema': {'type': 'object', 'properties': {'city': {'type': 'string'}}, 'required': ['city']},
}


@pytest.fixture
def address(sidecar: Sidecar) -> Iterator[list[str]]:
    """The host and the port of a sidecar with a server named weather, and with an app that asks it."""
    if sidecar.build.is_daprd:
        pytest.skip('daprd runs these workflows itself and gives them to no worker; it would need an MCP server to ask')
    host, port = sidecar.address.split(':')
    runtime = WorkflowRuntime(host, port)

    @runtime.workflow(name='dapr.internal.mcp.weather.ListTools')
    def list_tools(ctx: DaprWorkflowContext, request: Any) -> dict[str, Any]:
        return {'tools': [TOOL]} if request['mcpServerName'] == 'weather' else {'tools': None}

    @runtime.workflow(name='dapr.internal.mcp.weather.CallTool.get_forecast')
    def call_tool(ctx: DaprWorkflowContext, request: Any) -> dict[str, Any]:
        return {'isError': False, 'content': [{'type': 'text', 'text': f'sun in {request["arguments"]["city"]}'}]}

    @runtime.workflow(name='dapr.internal.mcp.broken.ListTools')
    def fail(ctx: DaprWorkflowContext, request: Any) -> None:
        raise ConnectionError('the MCP server does not answer')

    @runtime.workflow(name='ask')
    def ask(ctx: DaprWorkflowContext, call: Any) -> Generator[Any, Any, str]:
        answer = yield ctx.call_child_workflow(call['workflow'], input={'arguments': call['arguments']})
        return str(answer['content'][0]['text'])

    with runtime:
        yield [host, port]


def test_a_workflow_calls_a_tool_that_was_listed(address: list[str], new_id: NewId) -> None:
    with DaprWorkflowClient(address[0], address[1]) as client:
        mcp = DaprMCPClient(timeout_in_seconds=int(DEADLINE), wf_client=client)
        mcp.connect('weather')
        (tool,) = mcp.get_all_tools()
        arguments = create_pydantic_model_from_schema(tool.input_schema, tool.name)(city='Oslo')
        call = {'workflow': tool.call_tool_workflow, 'arguments': arguments.model_dump()}

        instance_id = client.schedule_new_workflow('ask', input=call, instance_id=new_id())
        state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=int(DEADLINE))

        assert state is not None
        assert state.serialized_output == '"sun in Oslo"'


def test_what_goes_wrong_in_the_server_is_told(address: list[str]) -> None:
    with DaprWorkflowClient(address[0], address[1]) as client:
        mcp = DaprMCPClient(timeout_in_seconds=int(DEADLINE), wf_client=client)

        with pytest.raises(RuntimeError, match="'broken' ended with status 'FAILED': the MCP server does not answer"):
            mcp.connect('broken')
        with pytest.raises(RuntimeError, match="'unheard-of' ended with status 'FAILED'"):
            mcp.connect('unheard-of')


def test_asyncio_lists_the_same_tools(address: list[str]) -> None:
    async def run() -> list[str]:
        client = aio.DaprWorkflowClient(address[0], address[1])
        mcp = aio.DaprMCPClient(timeout_in_seconds=int(DEADLINE), wf_client=client)
        await mcp.connect('weather')
        await client.aclose()
        return [tool.call_tool_workflow for tool in mcp.get_all_tools()]

    assert asyncio.run(run()) == ['dapr.internal.mcp.weather.CallTool.get_forecast']
