"""Both clients: what goes out, and what comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from typing import Any

import grpc
import pytest

from dapr.ext.workflow import (
    DaprWorkflowClient,
    DataConversionError,
    WorkflowHistoryEventType,
    WorkflowStatus,
    aio,
    alternate_name,
)
from dapr.ext.workflow._durabletask.internal import helpers
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.metadata import opened
from tests.support.scripted_sidecar import ScriptedSidecar, running

COMPLETED = pb.GetInstanceResponse(
    exists=True,
    workflowState=pb.WorkflowState(instanceId='i', name='n', workflowStatus=pb.ORCHESTRATION_STATUS_COMPLETED),
)


@pytest.fixture
def sidecar() -> Iterator[ScriptedSidecar]:
    with running() as scripted:
        yield scripted


class Blocking:
    """The asyncio client, each call of which is run to its end."""

    def __init__(self, client: aio.DaprWorkflowClient, loop: asyncio.AbstractEventLoop) -> None:
        self._client, self._loop = client, loop

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        return lambda *args, **kwargs: self._loop.run_until_complete(method(*args, **kwargs))

    def iter_workflow_instance_ids(self, **kwargs: Any) -> list[str]:
        async def gather() -> list[str]:
            return [found async for found in self._client.iter_workflow_instance_ids(**kwargs)]

        return self._loop.run_until_complete(gather())


@pytest.fixture
def api_timeout() -> str:
    """What DAPR_API_TIMEOUT_SECONDS is; a test gives its own as a parameter."""
    return ''


@pytest.fixture(params=['sync', 'aio'])
def client(
    request: pytest.FixtureRequest, sidecar: ScriptedSidecar, api_timeout: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    monkeypatch.setenv('DAPR_API_TIMEOUT_SECONDS', api_timeout)
    host, port = sidecar.address.split(':')
    if request.param == 'sync':
        with DaprWorkflowClient(host, port) as made:
            yield made
        return
    loop = asyncio.new_event_loop()
    twin = aio.DaprWorkflowClient(host, port)
    yield Blocking(twin, loop)
    loop.run_until_complete(twin.aclose())
    loop.close()


def test_a_workflow_is_scheduled_by_the_name_it_goes_by(sidecar: ScriptedSidecar, client: Any) -> None:
    def flow(ctx: Any) -> None: ...

    assert client.schedule_new_workflow(alternate_name('alt')(flow), input=0, instance_id='i') == 'from-sidecar'
    request = sidecar.last.request
    assert (request.name, request.instanceId, request.input.value) == ('alt', 'i', '0')
    client.schedule_new_workflow('by-name')
    assert sidecar.last.request.name == 'by-name'


def test_a_reuse_policy_is_warned_of(client: Any) -> None:
    with pytest.warns(DeprecationWarning, match='reuse_id_policy'):
        client.schedule_new_workflow('w', reuse_id_policy=object())


@pytest.mark.parametrize(
    'answer', [pb.GetInstanceResponse(exists=False), (grpc.StatusCode.UNKNOWN, 'no such instance exists')]
)
def test_a_missing_instance_has_no_state(sidecar: ScriptedSidecar, client: Any, answer: Any) -> None:
    sidecar.script('GetInstance', answer)

    assert client.get_workflow_state('i') is None


def test_other_errors_are_raised(sidecar: ScriptedSidecar, client: Any) -> None:
    sidecar.script('GetInstance', (grpc.StatusCode.PERMISSION_DENIED, 'no'))

    with pytest.raises(grpc.RpcError, match='no'):
        client.get_workflow_state('i')


@pytest.mark.parametrize('what', ['get_workflow_state', 'wait_for_workflow_start', 'wait_for_workflow_completion'])
def test_states_come_back_as_this_apis(sidecar: ScriptedSidecar, client: Any, what: str) -> None:
    for method in ('GetInstance', 'WaitForInstanceStart', 'WaitForInstanceCompletion'):
        sidecar.script(method, COMPLETED)

    state = getattr(client, what)('i', fetch_payloads=False, app_id='app')

    assert (state.instance_id, state.name, state.runtime_status) == ('i', 'n', WorkflowStatus.COMPLETED)
    assert not sidecar.last.request.getInputsAndOutputs
    assert sidecar.last.request.router.targetAppID == 'app'


@pytest.mark.parametrize('what', ['wait_for_workflow_start', 'wait_for_workflow_completion'])
def test_a_wait_that_is_over_is_a_timeout(sidecar: ScriptedSidecar, client: Any, what: str) -> None:
    for method in ('WaitForInstanceStart', 'WaitForInstanceCompletion'):
        sidecar.script(method, (grpc.StatusCode.UNKNOWN, 'no such instance exists'))

    with pytest.raises(TimeoutError):
        getattr(client, what)('i', timeout_in_seconds=0.05)


@pytest.mark.parametrize(('api_timeout', 'is_limited'), [('', False), ('60', True)])
def test_the_deadline_that_is_set_is_that_of_every_call_but_the_waits(
    sidecar: ScriptedSidecar, client: Any, is_limited: bool
) -> None:
    for method in ('WaitForInstanceStart', 'WaitForInstanceCompletion'):
        sidecar.script(method, COMPLETED)
    for call in (client.get_workflow_state, client.pause_workflow):
        call('i')
        assert (sidecar.last.time_remaining < 61) == is_limited
    for wait in (client.wait_for_workflow_start, client.wait_for_workflow_completion):
        wait('i', timeout_in_seconds=0)
        assert sidecar.last.time_remaining > 1e6


def test_steering_calls(sidecar: ScriptedSidecar, client: Any) -> None:
    client.raise_workflow_event('i', 'go', data=False)
    assert (sidecar.last.request.name, sidecar.last.request.input.value) == ('go', 'false')
    client.terminate_workflow('i', output=0, recursive=False)
    assert (sidecar.last.request.output.value, sidecar.last.request.recursive) == ('0', False)
    client.pause_workflow('i')
    assert sidecar.last.method == 'SuspendInstance'
    client.resume_workflow('i', app_id='app')
    assert (sidecar.last.method, sidecar.last.request.router.targetAppID) == ('ResumeInstance', 'app')
    assert client.purge_workflow('i', False) == 3
    assert (sidecar.last.request.instanceId, sidecar.last.request.recursive) == ('i', False)


def test_ids_come_page_by_page_to_the_last_one(sidecar: ScriptedSidecar, client: Any) -> None:
    pages = {
        '': pb.ListInstanceIDsResponse(instanceIds=['a', 'b'], continuationToken='t'),
        't': pb.ListInstanceIDsResponse(instanceIds=['c']),
    }
    sidecar.script('ListInstanceIDs', lambda request, context: pages[request.continuationToken])

    assert list(client.iter_workflow_instance_ids()) == ['a', 'b', 'c']
    assert [call.request.pageSize for call in sidecar.received] == [1024, 1024]
    page = client.list_workflow_instance_ids(page_size=2)
    assert (page.instance_ids, page.continuation_token) == (['a', 'b'], 't')
    with pytest.raises(ValueError, match='page_size'):
        client.list_workflow_instance_ids(page_size=0)


STARTED = datetime(2026, 1, 1)


def stands(age: int, status: pb.OrchestrationStatus.ValueType) -> pb.GetInstanceResponse:
    """An instance that was created so many days before 2026."""
    state = pb.WorkflowState(name='n', workflowStatus=status)
    state.createdTimestamp.FromDatetime(STARTED - timedelta(days=age))
    return pb.GetInstanceResponse(exists=True, workflowState=state)


# By the id: those that have ended are a day apart.
INSTANCES = {
    'new': stands(0, pb.ORCHESTRATION_STATUS_COMPLETED),
    'failed': stands(1, pb.ORCHESTRATION_STATUS_FAILED),
    'terminated': stands(2, pb.ORCHESTRATION_STATUS_TERMINATED),
    'running': stands(2, pb.ORCHESTRATION_STATUS_RUNNING),
    'stalled': stands(2, pb.ORCHESTRATION_STATUS_STALLED),
    'old': stands(3, pb.ORCHESTRATION_STATUS_COMPLETED),
    'gone': pb.GetInstanceResponse(exists=False),
}


@pytest.fixture
def many(sidecar: ScriptedSidecar) -> ScriptedSidecar:
    """A sidecar with the instances above, on two pages."""
    ids = list(INSTANCES)
    pages = {
        '': pb.ListInstanceIDsResponse(instanceIds=ids[:4], continuationToken='t'),
        't': pb.ListInstanceIDsResponse(instanceIds=ids[4:]),
    }
    sidecar.script('ListInstanceIDs', lambda request, context: pages[request.continuationToken])
    sidecar.script('GetInstance', lambda request, context: INSTANCES[request.instanceId])
    sidecar.script('PurgeInstances', pb.PurgeInstancesResponse(deletedInstanceCount=2))
    return sidecar


def purges(sidecar: ScriptedSidecar) -> list[Any]:
    return [call.request for call in sidecar.received if call.method == 'PurgeInstances']


@pytest.mark.parametrize(
    ('choice', 'chosen'),
    [
        ({}, ['new', 'failed', 'terminated', 'old']),
        ({'created_to': STARTED - timedelta(days=2)}, ['terminated', 'old']),
        ({'created_from': (STARTED - timedelta(days=1)).replace(tzinfo=timezone.utc)}, ['new', 'failed']),
        (
            {'created_from': STARTED - timedelta(days=2), 'created_to': STARTED - timedelta(hours=1)},
            ['failed', 'terminated'],
        ),
        ({'created_to': STARTED.replace(tzinfo=timezone(timedelta(hours=1)))}, ['failed', 'terminated', 'old']),
        ({'older_than': timedelta(days=10_000)}, []),
        ({'statuses': [WorkflowStatus.FAILED]}, ['failed']),
        ({'statuses': {WorkflowStatus.STALLED}, 'force': True}, ['stalled']),
        ({'statuses': ()}, []),
    ],
)
def test_a_purge_of_many_takes_those_that_fit_by_age_and_status(
    many: ScriptedSidecar, client: Any, choice: dict[str, Any], chosen: list[str]
) -> None:
    assert client.purge_workflows(**choice) == 2 * len(chosen)
    assert [request.instanceId for request in purges(many)] == chosen
    assert all(request.recursive for request in purges(many))
    assert {request.force for request in purges(many)} <= {choice.get('force', False)}


def test_a_purge_of_many_leaves_what_is_refused_and_goes_on(many: ScriptedSidecar, client: Any) -> None:
    """One runs again meanwhile, and another is gone already."""
    many.script(
        'PurgeInstances',
        (grpc.StatusCode.UNKNOWN, 'orchestration has not yet completed'),
        (grpc.StatusCode.UNKNOWN, 'no such instance exists'),
        pb.PurgeInstancesResponse(deletedInstanceCount=1),
    )
    assert client.purge_workflows(recursive=False) == 2
    assert [(request.instanceId, request.recursive) for request in purges(many)] == [
        ('new', False),
        ('failed', False),
        ('terminated', False),
        ('old', False),
    ]


def test_a_purge_of_many_ends_with_an_error_of_another_kind(many: ScriptedSidecar, client: Any) -> None:
    many.script('PurgeInstances', (grpc.StatusCode.PERMISSION_DENIED, 'no'))
    with pytest.raises(grpc.RpcError):
        client.purge_workflows()
    assert len(purges(many)) == 1


def test_a_purge_by_age_and_by_date_at_once_is_refused(many: ScriptedSidecar, client: Any) -> None:
    with pytest.raises(ValueError, match='older_than and created_to say the same'):
        client.purge_workflows(older_than=timedelta(1), created_to=STARTED)
    assert many.received == []


def test_a_custom_status_is_read_as_the_type_that_is_asked_for(sidecar: ScriptedSidecar, client: Any) -> None:
    state = pb.WorkflowState(instanceId='i', customStatus=helpers.get_string_value('["2026-01-01"]'))
    sidecar.script('GetInstance', pb.GetInstanceResponse(exists=True, workflowState=state))
    found = client.get_workflow_state('i')
    assert (found.custom_status(), found.custom_status(list[date])) == (['2026-01-01'], [date(2026, 1, 1)])
    with pytest.raises(DataConversionError, match="custom status of the workflow 'i'"):
        found.custom_status(int)


def test_a_custom_status_that_is_no_json_says_so_where_it_is_read(sidecar: ScriptedSidecar, client: Any) -> None:
    state = pb.WorkflowState(instanceId='i', customStatus=helpers.get_string_value('waiting'))
    sidecar.script('GetInstance', pb.GetInstanceResponse(exists=True, workflowState=state))
    found = client.get_workflow_state('i')
    assert found.serialized_custom_status == 'waiting'
    with pytest.raises(ValueError, match='custom status'):
        found.custom_status()


def test_a_token_that_comes_again_ends_the_pages(sidecar: ScriptedSidecar, client: Any) -> None:
    sidecar.script('ListInstanceIDs', pb.ListInstanceIDsResponse(instanceIds=['a'], continuationToken='t'))

    assert list(client.iter_workflow_instance_ids(page_size=None)) == ['a', 'a']


def test_the_history_is_read(sidecar: ScriptedSidecar, client: Any) -> None:
    event = helpers.new_task_scheduled_event(1, 'act')
    sidecar.script('GetInstanceHistory', pb.GetInstanceHistoryResponse(events=[event]))

    (read,) = client.get_workflow_history('i')

    assert (read.event_id, read.event_type, read.name) == (1, WorkflowHistoryEventType.TASK_SCHEDULED, 'act')


def test_a_rerun_keeps_the_input_unless_one_is_given(sidecar: ScriptedSidecar, client: Any) -> None:
    assert client.rerun_workflow_from_event('i', 1, new_child_workflow_instance_id='c') == 'rerun-id'
    request = sidecar.last.request
    assert (request.overwriteInput, request.newChildWorkflowInstanceID) == (False, 'c')
    client.rerun_workflow_from_event('i', 1, input=None)
    assert (sidecar.last.request.overwriteInput, sidecar.last.request.HasField('input')) == (True, False)
    client.rerun_workflow_from_event('i', 1, input=0)
    assert sidecar.last.request.input.value == '0'


def test_a_rerun_sends_metadata_along_with_a_new_input_alone(sidecar: ScriptedSidecar, client: Any) -> None:
    client.rerun_workflow_from_event('i', 1, input=0, metadata={'tenant': 'a'})
    assert opened(sidecar.last.request.input.value) == ('0', {'tenant': 'a'})
    client.rerun_workflow_from_event('i', 1, input=None, metadata={'tenant': 'a'})
    assert opened(sidecar.last.request.input.value) == (None, {'tenant': 'a'})
    with pytest.raises(ValueError, match='metadata goes with a new input'):
        client.rerun_workflow_from_event('i', 1, metadata={'tenant': 'a'})
