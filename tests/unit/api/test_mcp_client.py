"""The clients that list the tools of MCP servers, against a sidecar on the wire; and when time is over, on a clock."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from dapr.ext import workflow
from dapr.ext.workflow import DaprMCPClient, MCPToolDef, aio
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.mcp import Listing, ListToolsTimeoutError
from tests.support.scripted_sidecar import ScriptedSidecar, running

FORECAST = {
    'name': 'get_forecast',
    'description': 'The weather to come.',
    'inputSchema': {'type': 'object', 'properties': {'city': {'type': 'string'}}},
}
ALERTS = {'name': 'get_alerts'}


@pytest.fixture
def sidecar() -> Iterator[ScriptedSidecar]:
    with running() as scripted:
        yield scripted


class Made:
    """Makes MCP clients of one kind for the sidecar; those of asyncio are run to the end of each call."""

    def __init__(self, kind: str, sidecar: ScriptedSidecar) -> None:
        self.kind = kind
        self._host, _, self._port = sidecar.address.partition(':')
        self._loop = asyncio.new_event_loop()
        self._workflow_clients: list[Any] = []

    def __call__(self, **arguments: Any) -> Any:
        package: Any = aio if self.kind == 'aio' else workflow
        client = package.DaprWorkflowClient(self._host, self._port)
        self._workflow_clients.append(client)
        return package.DaprMCPClient(wf_client=client, **arguments)

    def run(self, result: Any) -> Any:
        return self._loop.run_until_complete(result) if asyncio.iscoroutine(result) else result

    def finish(self) -> None:
        for client in self._workflow_clients:
            self.run(client.close() if self.kind == 'sync' else client.aclose())
        self._loop.close()


@pytest.fixture(params=['sync', 'aio'])
def made(request: pytest.FixtureRequest, sidecar: ScriptedSidecar) -> Iterator[Made]:
    maker = Made(request.param, sidecar)
    yield maker
    maker.finish()


def ended(output: Any, status: Any = pb.ORCHESTRATION_STATUS_COMPLETED, **fields: Any) -> pb.GetInstanceResponse:
    state = pb.WorkflowState(workflowStatus=status, **fields)
    if output is not None:
        state.output.value = output if isinstance(output, str) else json.dumps(output)
    return pb.GetInstanceResponse(exists=True, workflowState=state)


def gives(sidecar: ScriptedSidecar, *tools: Any) -> None:
    sidecar.script('WaitForInstanceCompletion', ended({'tools': list(tools)}))


def received(sidecar: ScriptedSidecar, method: str) -> list[Any]:
    return [call for call in sidecar.received if call.method == method]


class TestConnect:
    def test_it_runs_the_workflow_that_lists_the_servers_tools(self, sidecar: ScriptedSidecar, made: Made) -> None:
        gives(sidecar)

        made.run(made(timeout_in_seconds=50).connect('weather'))

        (start,) = received(sidecar, 'StartInstance')
        (wait,) = received(sidecar, 'WaitForInstanceCompletion')
        assert start.request.name == 'dapr.internal.mcp.weather.ListTools'
        assert json.loads(start.request.input.value) == {'mcpServerName': 'weather'}
        assert wait.request.instanceId == start.request.instanceId
        assert wait.request.getInputsAndOutputs
        assert 40 < wait.time_remaining <= 51

    def test_the_tools_are_kept_with_the_workflows_that_call_them(self, sidecar: ScriptedSidecar, made: Made) -> None:
        gives(sidecar, FORECAST, ALERTS)
        client = made()

        assert made.run(client.connect('weather')) is None

        assert client.get_all_tools() == [
            MCPToolDef(
                'get_forecast',
                'The weather to come.',
                {'type': 'object', 'properties': {'city': {'type': 'string'}}},
                'weather',
                'dapr.internal.mcp.weather.CallTool.get_forecast',
            ),
            MCPToolDef('get_alerts', '', {}, 'weather', 'dapr.internal.mcp.weather.CallTool.get_alerts'),
        ]

    @pytest.mark.parametrize('output', [{'tools': []}, {'tools': None}, {}, None, 'null'])
    def test_a_server_may_have_no_tools(self, sidecar: ScriptedSidecar, made: Made, output: Any) -> None:
        sidecar.script('WaitForInstanceCompletion', ended(output))
        client = made()

        made.run(client.connect('empty'))

        assert (client.get_all_tools(), client.get_connected_servers()) == ([], ['empty'])

    def test_what_a_tool_lacks_is_empty(self, sidecar: ScriptedSidecar, made: Made) -> None:
        gives(sidecar, {'name': None, 'description': None, 'inputSchema': None})
        client = made()

        made.run(client.connect('s'))

        assert client.get_all_tools() == [MCPToolDef('', '', {}, 's', 'dapr.internal.mcp.s.CallTool.')]

    def test_tools_that_are_not_allowed_are_left_out(self, sidecar: ScriptedSidecar, made: Made) -> None:
        gives(sidecar, FORECAST, ALERTS)
        some, none = made(allowed_tools={'get_alerts', 'other'}), made(allowed_tools=set())
        for client in (some, none):
            made.run(client.connect('weather'))

        assert [tool.name for tool in some.get_all_tools()] == ['get_alerts']
        assert none.get_all_tools() == []

    def test_servers_add_up_and_a_second_connect_replaces_the_first(self, sidecar: ScriptedSidecar, made: Made) -> None:
        client = made()
        for server, tool in [('weather', FORECAST), ('files', {'name': 'search'}), ('weather', ALERTS)]:
            gives(sidecar, tool)
            made.run(client.connect(server))

        assert client.get_connected_servers() == ['weather', 'files']
        assert [tool.name for tool in client.get_all_tools()] == ['get_alerts', 'search']
        assert [tool.name for tool in client.get_server_tools('files')] == ['search']
        assert client.get_server_tools('unheard of') == []

    def test_the_lists_are_the_callers(self, sidecar: ScriptedSidecar, made: Made) -> None:
        gives(sidecar, ALERTS)
        client = made()
        made.run(client.connect('weather'))

        client.get_all_tools().clear()
        client.get_server_tools('weather').clear()
        client.get_connected_servers().clear()

        assert len(client.get_all_tools()) == len(client.get_server_tools('weather')) == 1
        assert client.get_connected_servers() == ['weather']


class TestFailures:
    @pytest.mark.parametrize('name', ['', '  ', None])
    def test_an_empty_name_is_refused(self, sidecar: ScriptedSidecar, made: Made, name: Any) -> None:
        with pytest.raises(ValueError, match='mcpserver_name must be a non-empty string'):
            made.run(made().connect(name))
        assert sidecar.received == []

    @pytest.mark.parametrize('timeout', [0, -1])
    def test_no_time_is_refused(self, made: Made, timeout: int) -> None:
        with pytest.raises(ValueError, match=f'must be a positive integer.*got {timeout}'):
            made(timeout_in_seconds=timeout)

    def test_a_workflow_that_failed_says_why(self, sidecar: ScriptedSidecar, made: Made) -> None:
        failure = pb.TaskFailureDetails(errorType='Error', errorMessage='no such server')
        failed = ended(None, pb.ORCHESTRATION_STATUS_FAILED, failureDetails=failure)
        sidecar.script('WaitForInstanceCompletion', failed)
        client = made()

        with pytest.raises(RuntimeError, match="for MCPServer 'weather' ended with status 'FAILED': no such server"):
            made.run(client.connect('weather'))
        assert client.get_connected_servers() == []

    def test_so_does_one_that_was_terminated(self, sidecar: ScriptedSidecar, made: Made) -> None:
        sidecar.script('WaitForInstanceCompletion', ended('"enough"', pb.ORCHESTRATION_STATUS_TERMINATED))

        with pytest.raises(RuntimeError, match=r"ended with status 'TERMINATED': \"enough\""):
            made.run(made().connect('weather'))

    @pytest.mark.parametrize(
        ('output', 'reason'),
        [
            ('{{{', 'returned malformed JSON'),
            ('[]', 'no list of tools'),
            ('"x"', 'no list of tools'),
            ({'tools': {'a': 1}}, 'no list of tools'),
            ({'tools': ['x']}, 'no list of tools'),
        ],
    )
    def test_what_is_no_list_of_tools_is_an_error(
        self, sidecar: ScriptedSidecar, made: Made, output: Any, reason: str
    ) -> None:
        sidecar.script('WaitForInstanceCompletion', ended(output))

        with pytest.raises(RuntimeError, match=reason):
            made.run(made().connect('weather'))

    @pytest.mark.parametrize(
        'answer', [pb.GetInstanceResponse(exists=False), (grpc.StatusCode.UNKNOWN, 'no such instance exists')]
    )
    def test_a_workflow_that_is_not_there_in_time_is_both_kinds_of_error(
        self, sidecar: ScriptedSidecar, made: Made, answer: Any
    ) -> None:
        sidecar.script('WaitForInstanceCompletion', answer)

        with pytest.raises(RuntimeError, match=r"MCPServer 'weather' timed out after 0.05 s\. Check that") as raised:
            made.run(made(timeout_in_seconds=0.05).connect('weather'))
        assert isinstance(raised.value, TimeoutError)

    def test_a_refusal_is_raised_at_once(self, sidecar: ScriptedSidecar, made: Made) -> None:
        sidecar.script('StartInstance', (grpc.StatusCode.PERMISSION_DENIED, 'no'))

        with pytest.raises(grpc.RpcError, match='no'):
            made.run(made().connect('weather'))
        assert len(sidecar.received) == 1

    def test_a_sidecar_that_is_not_ready_is_asked_again(
        self, sidecar: ScriptedSidecar, made: Made, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr('dapr.ext.workflow.mcp._RETRY_SECONDS', 0.001)
        not_yet = [
            (grpc.StatusCode.UNAVAILABLE, 'not yet'),
            (grpc.StatusCode.CANCELLED, 'stopping'),
            (grpc.StatusCode.FAILED_PRECONDITION, 'no actors'),
        ]
        sidecar.script('StartInstance', *not_yet, pb.CreateInstanceResponse(instanceId='i'))
        gives(sidecar, ALERTS)
        client = made()

        made.run(client.connect('weather'))

        starts = received(sidecar, 'StartInstance')
        assert len(starts) == 4
        assert len({start.request.instanceId for start in starts}) == 1
        assert len(client.get_all_tools()) == 1

    def test_a_start_that_was_heard_although_it_failed_counts(
        self, sidecar: ScriptedSidecar, made: Made, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr('dapr.ext.workflow.mcp._RETRY_SECONDS', 0.001)
        exists = (grpc.StatusCode.ALREADY_EXISTS, 'an active workflow with that ID already exists')
        sidecar.script('StartInstance', (grpc.StatusCode.CANCELLED, 'cut off'), exists)
        gives(sidecar, ALERTS)
        client = made()

        made.run(client.connect('weather'))

        assert len(client.get_all_tools()) == 1

    def test_an_id_that_is_taken_at_first_is_an_error(self, sidecar: ScriptedSidecar, made: Made) -> None:
        sidecar.script('StartInstance', (grpc.StatusCode.ALREADY_EXISTS, 'taken'))

        with pytest.raises(grpc.RpcError, match='taken'):
            made.run(made().connect('weather'))


class Unavailable(grpc.RpcError):
    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE


class TestTime:
    """A listing on a clock that the test moves on."""

    @pytest.fixture
    def clock(self) -> list[float]:
        return [100.0]

    @pytest.fixture
    def listing(self, clock: list[float]) -> Listing:
        return Listing('weather', 2, lambda: clock[0])

    def test_attempts_are_half_a_second_apart_and_the_last_one_ends_with_the_time(
        self, clock: list[float], listing: Listing
    ) -> None:
        assert listing.delay_after(Unavailable()) == 0.5
        clock[0] += 1.75
        assert listing.delay_after(Unavailable()) == 0.25

    def test_the_error_of_the_last_attempt_is_raised(self, clock: list[float], listing: Listing) -> None:
        clock[0] += 2

        with pytest.raises(Unavailable):
            listing.delay_after(Unavailable())

    def test_the_wait_has_what_the_start_has_left(self, clock: list[float], listing: Listing) -> None:
        clock[0] += 1.5
        assert listing.remaining() == 0.5
        clock[0] += 0.5
        with pytest.raises(ListToolsTimeoutError):
            listing.remaining()


class TestWorkflowClients:
    def test_one_that_is_given_stays_open(self, sidecar: ScriptedSidecar, made: Made) -> None:
        client = made()

        made.run(client.close() if made.kind == 'sync' else client.aclose())

        gives(sidecar)
        made.run(client.connect('weather'))

    def test_one_that_is_made_is_for_the_address_of_the_environment_and_is_closed(
        self, sidecar: ScriptedSidecar, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv('DAPR_GRPC_ENDPOINT', sidecar.address)
        gives(sidecar, ALERTS)

        with DaprMCPClient() as client:
            client.connect('weather')
        with pytest.raises(ValueError, match='closed'):
            client.connect('weather')
        assert len(client.get_all_tools()) == 1

    def test_so_it_is_for_asyncio(self, sidecar: ScriptedSidecar, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv('DAPR_GRPC_ENDPOINT', sidecar.address)
        gives(sidecar, ALERTS)

        async def run() -> aio.DaprMCPClient:
            async with aio.DaprMCPClient() as client:
                await client.connect('weather')
            with pytest.raises(ValueError, match='closed'):
                await client.connect('weather')
            return client

        assert len(asyncio.run(run()).get_all_tools()) == 1


def test_tools_are_frozen_and_need_a_name_and_a_description_only() -> None:
    tool = MCPToolDef('n', 'd')

    assert (tool.input_schema, tool.server_name, tool.call_tool_workflow) == ({}, '', '')
    with pytest.raises(AttributeError):
        tool.name = 'other'  # type: ignore[misc]
