"""What each call sends and what it makes of the answer; every test runs for the sync and the asyncio client."""

from __future__ import annotations

import inspect
import logging
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import grpc
import pytest
from google.protobuf import timestamp_pb2, wrappers_pb2

from dapr.ext.workflow._durabletask import client as client_module
from dapr.ext.workflow._durabletask.aio.client import AsyncTaskHubGrpcClient
from dapr.ext.workflow._durabletask.client import (
    OrchestrationFailedError,
    OrchestrationIdReuseAction,
    OrchestrationStatus,
    TaskHubGrpcClient,
    WorkflowIdReusePolicy,
    WorkflowState,
)
from dapr.ext.workflow._durabletask.internal import helpers
from dapr.ext.workflow._durabletask.internal import protos as pb
from tests.support.scripted_sidecar import ScriptedSidecar

FALSY = [(0, '0'), ('', '""'), (False, 'false'), ([], '[]'), ({}, '{}'), (0.0, '0.0')]
NEW_ID = re.compile('[0-9a-f]{32}')


@dataclass
class Order:
    item: str


def an_orchestrator(ctx: Any, order: Any) -> Any:
    yield


def value(text: str) -> wrappers_pb2.StringValue:
    return wrappers_pb2.StringValue(value=text)


def a_state(**fields: Any) -> pb.GetInstanceResponse:
    state = pb.WorkflowState(instanceId='i', name='an_orchestrator', **fields)
    return pb.GetInstanceResponse(exists=True, workflowState=state)


class TestSchedule:
    def test_an_orchestrator_goes_by_its_name_and_gets_a_new_id(self, client: Any, sidecar: ScriptedSidecar) -> None:
        assert client.schedule_new_orchestration(an_orchestrator) == 'from-sidecar'
        request = sidecar.last.request
        assert request.name == 'an_orchestrator'
        assert NEW_ID.fullmatch(request.instanceId)
        assert not request.HasField('input')
        assert not request.HasField('scheduledStartTimestamp')
        assert not request.HasField('router')
        assert not request.HasField('parentTraceContext')
        assert not request.enforceUniqueInstanceId

    def test_everything_that_is_given_is_sent(self, client: Any, sidecar: ScriptedSidecar) -> None:
        client.schedule_new_orchestration(
            'by name', input=Order('tea'), instance_id='i', app_id='other-app', enforce_unique_instance_id=True
        )
        assert sidecar.last.request == pb.CreateInstanceRequest(
            name='by name',
            instanceId='i',
            input=value('{"item": "tea", "__durabletask_autoobject__": true}'),
            version=value(''),
            enforceUniqueInstanceId=True,
            router=pb.TaskRouter(targetAppID='other-app'),
        )

    @pytest.mark.parametrize(('payload', 'encoded'), FALSY)
    def test_falsy_inputs_are_inputs(self, client: Any, sidecar: ScriptedSidecar, payload: Any, encoded: str) -> None:
        client.schedule_new_orchestration('x', input=payload)
        assert sidecar.last.request.input == value(encoded)

    @pytest.mark.parametrize(
        'start_at',
        [
            datetime(2030, 1, 2, 3, 4, 5, 6),
            datetime(2030, 1, 2, 3, 4, 5, 6, timezone.utc),
            datetime(2030, 1, 2, 5, 34, 5, 6, timezone(timedelta(hours=2, minutes=30))),
        ],
    )
    def test_start_time_is_utc_unless_it_says_otherwise(
        self, client: Any, sidecar: ScriptedSidecar, start_at: datetime
    ) -> None:
        client.schedule_new_orchestration('x', start_at=start_at)
        expected = timestamp_pb2.Timestamp(seconds=1893553445, nanos=6000)
        assert sidecar.last.request.scheduledStartTimestamp == expected

    def test_an_empty_instance_id_is_a_mistake(self, client: Any, sidecar: ScriptedSidecar) -> None:
        with pytest.raises(ValueError, match='non-empty instance id'):
            client.schedule_new_orchestration('x', instance_id='')
        assert sidecar.received == []

    def test_an_id_that_is_taken_is_the_sidecars_error(self, client: Any, sidecar: ScriptedSidecar) -> None:
        sidecar.script(
            'StartInstance', (grpc.StatusCode.ALREADY_EXISTS, "an active workflow with ID 'i' already exists")
        )
        with pytest.raises(grpc.RpcError, match='already exists') as raised:
            client.schedule_new_orchestration('x', instance_id='i')
        assert raised.value.code() is grpc.StatusCode.ALREADY_EXISTS

    def test_a_nameless_orchestrator_is_refused(self, client: Any, sidecar: ScriptedSidecar) -> None:
        with pytest.raises(ValueError, match='A non-empty orchestrator name is required'):
            client.schedule_new_orchestration('')
        with pytest.raises(ValueError, match='lambda'):
            client.schedule_new_orchestration(lambda ctx, _: None)
        assert sidecar.received == []

    def test_an_input_that_cannot_be_encoded_is_refused(self, client: Any, sidecar: ScriptedSidecar) -> None:
        with pytest.raises(TypeError, match=r'set is not JSON serializable.*sorted'):
            client.schedule_new_orchestration('x', input={1, 2})
        assert sidecar.received == []

    def test_a_reuse_policy_is_taken_and_said_to_have_no_effect(
        self, client: Any, sidecar: ScriptedSidecar, caplog: pytest.LogCaptureFixture
    ) -> None:
        policy = WorkflowIdReusePolicy(OrchestrationIdReuseAction.TERMINATE, [OrchestrationStatus.RUNNING])
        with caplog.at_level(logging.WARNING, logger='durabletask-client'):
            client.schedule_new_orchestration('x', reuse_id_policy=policy)
        assert len(sidecar.received) == 1
        assert 'reuse_id_policy has no effect' in caplog.text


class TestState:
    def test_all_of_it_is_read(self, client: Any, sidecar: ScriptedSidecar) -> None:
        sidecar.script(
            'GetInstance',
            a_state(
                workflowStatus=pb.ORCHESTRATION_STATUS_FAILED,
                createdTimestamp=timestamp_pb2.Timestamp(seconds=1, nanos=2000),
                lastUpdatedTimestamp=timestamp_pb2.Timestamp(seconds=3),
                input=value('1'),
                output=value('""'),
                customStatus=value('half way'),
                failureDetails=pb.TaskFailureDetails(
                    errorType='KeyError', errorMessage='gone', stackTrace=value('at 1')
                ),
            ),
        )
        state = client.get_orchestration_state('i')
        assert sidecar.last.request == pb.GetInstanceRequest(instanceId='i', getInputsAndOutputs=True)
        details = state.failure_details
        assert (details.error_type, details.message, details.stack_trace) == ('KeyError', 'gone', 'at 1')
        assert state == WorkflowState(
            instance_id='i',
            name='an_orchestrator',
            runtime_status=OrchestrationStatus.FAILED,
            created_at=datetime(1970, 1, 1, 0, 0, 1, 2),
            last_updated_at=datetime(1970, 1, 1, 0, 0, 3),
            serialized_input='1',
            serialized_output='""',
            serialized_custom_status='half way',
            failure_details=details,
        )
        with pytest.raises(OrchestrationFailedError, match="Orchestration 'i' failed: gone") as raised:
            state.raise_if_failed()
        assert raised.value.failure_details is details

    def test_what_is_not_there_is_none(self, client: Any, sidecar: ScriptedSidecar) -> None:
        sidecar.script('GetInstance', a_state(workflowStatus=pb.ORCHESTRATION_STATUS_PENDING))
        state = client.get_orchestration_state('i', fetch_payloads=False, app_id='other-app')
        assert sidecar.last.request == pb.GetInstanceRequest(
            instanceId='i', router=pb.TaskRouter(targetAppID='other-app')
        )
        assert state.runtime_status is OrchestrationStatus.PENDING
        assert state.created_at == datetime(1970, 1, 1)
        assert (state.serialized_input, state.serialized_output, state.serialized_custom_status) == (None,) * 3
        assert state.failure_details is None
        state.raise_if_failed()

    def test_a_missing_instance_is_none(self, client: Any, sidecar: ScriptedSidecar) -> None:
        assert client.get_orchestration_state('i') is None

    def test_a_failure_without_details_is_a_failure(self, client: Any, sidecar: ScriptedSidecar) -> None:
        sidecar.script('GetInstance', a_state(workflowStatus=pb.ORCHESTRATION_STATUS_FAILED))
        with pytest.raises(OrchestrationFailedError, match='no details'):
            client.get_orchestration_state('i').raise_if_failed()

    def test_a_status_of_a_newer_sidecar_is_a_status(self, client: Any, sidecar: ScriptedSidecar) -> None:
        sidecar.script('GetInstance', a_state(workflowStatus=99))
        status = client.get_orchestration_state('i').runtime_status
        assert (status.name, status.value) == ('UNKNOWN_99', 99)
        assert status is client.get_orchestration_state('i').runtime_status
        assert status not in list(OrchestrationStatus)
        assert str(OrchestrationStatus.RUNNING) == 'RUNNING'


class TestEventsAndSteering:
    @pytest.mark.parametrize(('payload', 'encoded'), FALSY)
    def test_falsy_payloads_are_payloads(
        self, client: Any, sidecar: ScriptedSidecar, payload: Any, encoded: str
    ) -> None:
        client.raise_orchestration_event('i', 'Done', data=payload)
        assert sidecar.last.request == pb.RaiseEventRequest(instanceId='i', name='Done', input=value(encoded))
        client.terminate_orchestration('i', output=payload)
        assert sidecar.last.request == pb.TerminateRequest(instanceId='i', output=value(encoded), recursive=True)
        client.rerun_orchestration_from_event('i', 0, input=payload, overwrite_input=True)
        assert sidecar.last.request == pb.RerunWorkflowFromEventRequest(
            sourceInstanceID='i', input=value(encoded), overwriteInput=True
        )

    def test_none_is_no_payload(self, client: Any, sidecar: ScriptedSidecar) -> None:
        client.raise_orchestration_event('i', 'Done', app_id='a')
        assert sidecar.last.request == pb.RaiseEventRequest(
            instanceId='i', name='Done', router=pb.TaskRouter(targetAppID='a')
        )
        client.terminate_orchestration('i', recursive=False, app_id='a')
        assert sidecar.last.request == pb.TerminateRequest(instanceId='i', router=pb.TaskRouter(targetAppID='a'))

    def test_suspend_and_resume(self, client: Any, sidecar: ScriptedSidecar) -> None:
        client.suspend_orchestration('i')
        assert (sidecar.last.method, sidecar.last.request) == ('SuspendInstance', pb.SuspendRequest(instanceId='i'))
        client.resume_orchestration('i', app_id='a')
        assert sidecar.last.method == 'ResumeInstance'
        assert sidecar.last.request == pb.ResumeRequest(instanceId='i', router=pb.TaskRouter(targetAppID='a'))

    def test_purge(self, client: Any, sidecar: ScriptedSidecar) -> None:
        assert client.purge_orchestration('i') == 3
        assert sidecar.last.request == pb.PurgeInstancesRequest(instanceId='i', recursive=True)
        client.purge_orchestration('i', False, app_id='a', force=True)
        assert sidecar.last.request == pb.PurgeInstancesRequest(
            instanceId='i', force=True, router=pb.TaskRouter(targetAppID='a')
        )


class TestListsHistoryAndRerun:
    def test_a_page_of_ids(self, client: Any, sidecar: ScriptedSidecar) -> None:
        page = pb.ListInstanceIDsResponse(instanceIds=['a', 'b'], continuationToken='next')
        sidecar.script('ListInstanceIDs', page)
        assert client.list_instance_ids() == page
        assert sidecar.last.request == pb.ListInstanceIDsRequest()
        client.list_instance_ids(page_size=5, continuation_token='this')
        assert sidecar.last.request == pb.ListInstanceIDsRequest(pageSize=5, continuationToken='this')

    @pytest.mark.parametrize('page_size', [0, -1, 2**32])
    def test_a_page_size_out_of_range_is_refused(self, client: Any, sidecar: ScriptedSidecar, page_size: int) -> None:
        with pytest.raises(ValueError, match=f'page_size must be between 1 and .*, got {page_size}'):
            client.list_instance_ids(page_size=page_size)
        assert sidecar.received == []

    def test_history_is_a_list_of_events(self, client: Any, sidecar: ScriptedSidecar) -> None:
        events = [helpers.new_execution_started_event('x', 'i'), helpers.new_task_scheduled_event(1, 'a')]
        sidecar.script('GetInstanceHistory', pb.GetInstanceHistoryResponse(events=events))
        assert client.get_instance_history('i') == events
        assert sidecar.last.request == pb.GetInstanceHistoryRequest(instanceId='i')

    def test_rerun_as_it_was(self, client: Any, sidecar: ScriptedSidecar) -> None:
        # An input counts only where the caller says that it replaces the old one.
        assert client.rerun_orchestration_from_event('i', 3, input=1) == 'rerun-id'
        assert sidecar.last.request == pb.RerunWorkflowFromEventRequest(sourceInstanceID='i', eventID=3)

    def test_rerun_with_everything_changed(self, client: Any, sidecar: ScriptedSidecar) -> None:
        client.rerun_orchestration_from_event(
            'i', 3, new_instance_id='n', overwrite_input=True, new_child_instance_id='c', app_id='a'
        )
        assert sidecar.last.request == pb.RerunWorkflowFromEventRequest(
            sourceInstanceID='i',
            eventID=3,
            newInstanceID='n',
            overwriteInput=True,
            newChildWorkflowInstanceID='c',
            router=pb.TaskRouter(targetAppID='a'),
        )

    @pytest.mark.parametrize('name', ['new_instance_id', 'new_child_instance_id'])
    def test_an_empty_id_for_a_rerun_is_refused(self, client: Any, sidecar: ScriptedSidecar, name: str) -> None:
        with pytest.raises(ValueError, match=f'{name} must be a non-empty ID or None'):
            client.rerun_orchestration_from_event('i', 1, **{name: ''})
        assert sidecar.received == []

    @pytest.mark.parametrize('event_id', [-1, 2**32])
    def test_an_event_without_an_id_is_refused(self, client: Any, sidecar: ScriptedSidecar, event_id: int) -> None:
        with pytest.raises(ValueError, match=f'event_id must be between 0 and .*, got {event_id}'):
            client.rerun_orchestration_from_event('i', event_id)
        assert sidecar.received == []


CALLS_WITH_AN_ID = [
    ('get_orchestration_state', ()),
    ('wait_for_orchestration_start', ()),
    ('wait_for_orchestration_completion', ()),
    ('raise_orchestration_event', ('Done',)),
    ('terminate_orchestration', ()),
    ('suspend_orchestration', ()),
    ('resume_orchestration', ()),
    ('purge_orchestration', ()),
    ('get_instance_history', ()),
    ('rerun_orchestration_from_event', (1,)),
]


@pytest.mark.parametrize(('method', 'arguments'), CALLS_WITH_AN_ID)
def test_an_instance_id_is_required(
    client: Any, sidecar: ScriptedSidecar, method: str, arguments: tuple[Any, ...]
) -> None:
    with pytest.raises(ValueError, match='A non-empty instance id is required'):
        getattr(client, method)('', *arguments)
    with pytest.raises(TypeError, match='instance_id must be a str, not NoneType'):
        getattr(client, method)(None, *arguments)
    assert sidecar.received == []


def test_an_event_name_is_required(client: Any) -> None:
    with pytest.raises(ValueError, match='A non-empty event name is required'):
        client.raise_orchestration_event('i', '')


@pytest.mark.parametrize(('method', 'arguments'), [*CALLS_WITH_AN_ID[1:], ('schedule_new_orchestration', ())])
def test_a_refusal_reaches_the_caller(
    client: Any, sidecar: ScriptedSidecar, method: str, arguments: tuple[Any, ...]
) -> None:
    for name in (
        'StartInstance',
        'WaitForInstanceStart',
        'WaitForInstanceCompletion',
        'RaiseEvent',
        'PurgeInstances',
        'TerminateInstance',
        'SuspendInstance',
        'ResumeInstance',
        'GetInstanceHistory',
        'RerunWorkflowFromEvent',
    ):
        sidecar.script(name, (grpc.StatusCode.PERMISSION_DENIED, 'not you'))
    with pytest.raises(grpc.RpcError, match='not you') as raised:
        getattr(client, method)('i', *arguments)
    assert raised.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert len(sidecar.received) == 1


def test_the_twins_have_the_same_methods() -> None:
    def signatures(cls: type) -> dict[str, Any]:
        return {
            name: inspect.signature(member)
            for name, member in vars(cls).items()
            if inspect.isfunction(member) and not name.startswith('_')
        }

    sync, aio = signatures(TaskHubGrpcClient), signatures(AsyncTaskHubGrpcClient)
    assert sync.pop('close') == aio.pop('aclose')
    assert sync == aio
    assert all(inspect.iscoroutinefunction(getattr(AsyncTaskHubGrpcClient, name)) for name in aio)


def test_an_app_without_a_name_is_no_target() -> None:
    assert client_module.new_task_router(None) is None
    assert client_module.new_task_router('') is None
    assert client_module.new_task_router('a') == pb.TaskRouter(targetAppID='a')


def test_the_state_goes_by_the_id_that_was_asked_for() -> None:
    state = client_module.new_orchestration_state('asked', a_state())
    assert state is not None
    assert state.instance_id == 'asked'
    assert client_module.new_orchestration_state('asked', pb.GetInstanceResponse(exists=False)) is None
