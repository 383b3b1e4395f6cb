"""An instance is started once, whatever gets in between; what the sidecar cannot take yet is tried again."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta, timezone
from typing import Any

import grpc
import pytest
from google.protobuf import timestamp_pb2, wrappers_pb2

from dapr.ext.workflow import (
    SidecarUnavailableError,
    WorkerNotConnectedError,
    WorkflowAlreadyExistsError,
    WorkflowTimeoutError,
)
from dapr.ext.workflow._durabletask.clients import starting
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.metadata import sealed
from tests.support.scripted_sidecar import ScriptedSidecar, Twin

NO_WORKER = (
    grpc.StatusCode.UNKNOWN,
    'failed to create actor: actor type dapr.internal.default.shop.workflow not registered',
)
NO_PLACE = (
    grpc.StatusCode.FAILED_PRECONDITION,
    'failed to lookup actor: api error: code = FailedPrecondition desc = did not find address for actor '
    'dapr.internal.default.shop.workflow/i',
)
HALF_READ = (
    grpc.StatusCode.UNKNOWN,
    "workflow 'i': inbox key 'inbox-000000' declared in metadata (inboxLength=1) but missing from state store "
    '(transient store read failure or partial save?)',
)
CLOSING = (
    grpc.StatusCode.UNKNOWN,
    "failed to invoke reminder for workflow 'i': actor is closed, cannot handle lock",
)
LOST = (grpc.StatusCode.UNAVAILABLE, 'Socket closed')
DROPPED = (grpc.StatusCode.CANCELLED, 'Stream removed (RST_STREAM (Received RST_STREAM with error code 8))')
UNANSWERED = (grpc.StatusCode.DEADLINE_EXCEEDED, 'Deadline Exceeded')
TAKEN = (grpc.StatusCode.ALREADY_EXISTS, "an active workflow with ID 'i' already exists")
STARTED = pb.CreateInstanceResponse(instanceId='i')
MISSING = pb.GetInstanceResponse(exists=False)


def instance(
    status: pb.OrchestrationStatus.ValueType = pb.ORCHESTRATION_STATUS_RUNNING,
    age: timedelta = timedelta(0),
    payload: str = '1',
    name: str = 'w',
) -> pb.GetInstanceResponse:
    created = timestamp_pb2.Timestamp()
    created.FromDatetime(datetime.now(timezone.utc).replace(tzinfo=None) - age)
    return pb.GetInstanceResponse(
        exists=True,
        workflowState=pb.WorkflowState(
            instanceId='i',
            name=name,
            workflowStatus=status,
            createdTimestamp=created,
            input=wrappers_pb2.StringValue(value=payload),
        ),
    )


def asked(sidecar: ScriptedSidecar) -> list[str]:
    return [call.method for call in sidecar.received]


@pytest.fixture
def short_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, '_ATTEMPT_SECONDS', 0.2)


class TestWhatPasses:
    @pytest.mark.parametrize(
        'obstacle',
        [NO_WORKER, NO_PLACE, CLOSING, HALF_READ],
        ids=['no worker', 'no place', 'closing', 'half read'],
    )
    @pytest.mark.parametrize(
        ('method', 'answer', 'call'),
        [
            ('StartInstance', STARTED, lambda client: client.schedule_new_orchestration('w')),
            ('RaiseEvent', pb.RaiseEventResponse(), lambda client: client.raise_orchestration_event('i', 'e')),
            ('TerminateInstance', pb.TerminateResponse(), lambda client: client.terminate_orchestration('i')),
            ('SuspendInstance', pb.SuspendResponse(), lambda client: client.suspend_orchestration('i')),
            ('ResumeInstance', pb.ResumeResponse(), lambda client: client.resume_orchestration('i')),
            ('PurgeInstances', pb.PurgeInstancesResponse(), lambda client: client.purge_orchestration('i')),
            ('GetInstance', instance(), lambda client: client.get_orchestration_state('i')),
            ('WaitForInstanceStart', instance(), lambda client: client.wait_for_orchestration_start('i')),
            ('WaitForInstanceCompletion', instance(), lambda client: client.wait_for_orchestration_completion('i')),
        ],
        ids=lambda value: value if isinstance(value, str) else '',
    )
    def test_a_call_that_was_refused_before_it_had_an_effect_is_made_again(
        self, client: Any, sidecar: ScriptedSidecar, obstacle: Any, method: str, answer: Any, call: Any
    ) -> None:
        sidecar.script(method, obstacle, obstacle, answer)
        call(client)
        assert asked(sidecar) == [method] * 3

    @pytest.mark.parametrize(
        ('method', 'call'),
        [
            ('RaiseEvent', lambda client: client.raise_orchestration_event('i', 'e')),
            ('TerminateInstance', lambda client: client.terminate_orchestration('i')),
            ('SuspendInstance', lambda client: client.suspend_orchestration('i')),
            ('ResumeInstance', lambda client: client.resume_orchestration('i')),
            ('PurgeInstances', lambda client: client.purge_orchestration('i')),
            ('RerunWorkflowFromEvent', lambda client: client.rerun_orchestration_from_event('i', 1)),
        ],
    )
    def test_a_call_that_may_have_had_its_effect_is_not(
        self, client: Any, sidecar: ScriptedSidecar, method: str, call: Any
    ) -> None:
        sidecar.script(method, LOST)
        with pytest.raises(grpc.RpcError, match='Socket closed'):
            call(client)
        assert asked(sidecar) == [method]

    def test_what_only_reads_is(self, client: Any, sidecar: ScriptedSidecar) -> None:
        sidecar.script('GetInstance', LOST, DROPPED, instance())
        assert client.get_orchestration_state('i') is not None

    def test_it_is_given_up_within_its_bound_and_says_what_to_do(self, twin: Twin, sidecar: ScriptedSidecar) -> None:
        sidecar.script('SuspendInstance', NO_WORKER)
        client = twin.new(host_address=sidecar.address, retry_timeout=0.3)
        with pytest.raises(WorkerNotConnectedError) as raised:
            client.suspend_orchestration('i')
        assert "No worker of app 'shop' is connected" in str(raised.value)
        assert 'start its WorkflowRuntime' in str(raised.value)
        assert raised.value.code() is grpc.StatusCode.UNKNOWN
        assert 2 <= len(sidecar.received) <= 4  # at 0, 0.05, 0.15

    def test_a_bound_of_0_is_none(self, twin: Twin, sidecar: ScriptedSidecar) -> None:
        sidecar.script('SuspendInstance', NO_WORKER)
        with pytest.raises(WorkerNotConnectedError):
            twin.new(host_address=sidecar.address, retry_timeout=0).suspend_orchestration('i')
        assert len(sidecar.received) == 1

    def test_the_deadline_of_calls_is_that_of_all_attempts(self, twin: Twin, sidecar: ScriptedSidecar) -> None:
        sidecar.script('SuspendInstance', NO_WORKER)
        with pytest.raises(WorkerNotConnectedError):
            twin.new(host_address=sidecar.address, call_timeout=0.2).suspend_orchestration('i')
        assert len(sidecar.received) <= 3

    def test_after_a_second_it_is_told_once(
        self, twin: Twin, sidecar: ScriptedSidecar, caplog: pytest.LogCaptureFixture
    ) -> None:
        sidecar.script('SuspendInstance', NO_WORKER)
        client = twin.new(host_address=sidecar.address, retry_timeout=3.5)
        with caplog.at_level(logging.WARNING), pytest.raises(WorkerNotConnectedError):
            client.suspend_orchestration('i')
        (record,) = caplog.records
        assert "No worker of app 'shop' is connected" in record.getMessage()


class TestOnceOnly:
    def test_an_answer_that_never_comes_is_not_waited_for_when_the_instance_is_there(
        self, client: Any, sidecar: ScriptedSidecar, short_attempts: None
    ) -> None:
        sidecar.script('StartInstance', UNANSWERED)
        sidecar.script('GetInstance', instance())
        assert client.schedule_new_orchestration('w', input=1, instance_id='i') == 'i'
        assert asked(sidecar).count('StartInstance') == 1

    @pytest.mark.parametrize('failure', [UNANSWERED, LOST, DROPPED], ids=['unanswered', 'lost', 'dropped'])
    def test_when_it_is_not_there_it_is_sent_again_in_a_way_that_starts_no_second_run(
        self, client: Any, sidecar: ScriptedSidecar, failure: Any
    ) -> None:
        sidecar.script('StartInstance', failure, STARTED)
        sidecar.script('GetInstance', MISSING)
        assert client.schedule_new_orchestration('w', input=1, instance_id='i') == 'i'
        first, second = [call.request for call in sidecar.received if call.method == 'StartInstance']
        assert (first.enforceUniqueInstanceId, second.enforceUniqueInstanceId) == (False, True)
        assert first.instanceId == second.instanceId

    def test_one_with_metadata_is_known_again(
        self, client: Any, sidecar: ScriptedSidecar, short_attempts: None
    ) -> None:
        sidecar.script('StartInstance', UNANSWERED)
        sidecar.script('GetInstance', instance(payload=sealed('1', {'tenant': 'acme'})))
        assert client.schedule_new_orchestration('w', input=1, instance_id='i', metadata={'tenant': 'acme'}) == 'i'
        assert asked(sidecar).count('StartInstance') == 1

    def test_the_id_is_taken_by_the_first_attempt(self, client: Any, sidecar: ScriptedSidecar) -> None:
        sidecar.script('StartInstance', LOST, TAKEN)
        sidecar.script('GetInstance', MISSING, instance())
        assert client.schedule_new_orchestration('w', input=1, instance_id='i') == 'i'

    @pytest.mark.parametrize(
        'other',
        [
            instance(payload='2'),
            instance(payload=sealed('1', {'tenant': 'acme'})),
            instance(age=timedelta(minutes=1)),
            instance(name='x'),
        ],
        ids=['other input', 'other metadata', 'older', 'other name'],
    )
    def test_the_id_is_taken_by_another(self, client: Any, sidecar: ScriptedSidecar, other: Any) -> None:
        sidecar.script('StartInstance', LOST, TAKEN)
        sidecar.script('GetInstance', MISSING, other)
        with pytest.raises(WorkflowAlreadyExistsError):
            client.schedule_new_orchestration('w', input=1, instance_id='i')

    def test_taken_at_once_is_the_callers_to_know(self, client: Any, sidecar: ScriptedSidecar) -> None:
        sidecar.script('StartInstance', TAKEN)
        with pytest.raises(WorkflowAlreadyExistsError, match="with the id 'i' already"):
            client.schedule_new_orchestration('w', input=1, instance_id='i')
        assert asked(sidecar) == ['StartInstance']

    def test_an_ended_run_of_the_id_does_not_count_as_ours(self, client: Any, sidecar: ScriptedSidecar) -> None:
        sidecar.script('StartInstance', LOST, STARTED)
        sidecar.script('GetInstance', instance(pb.ORCHESTRATION_STATUS_COMPLETED, timedelta(hours=1)))
        assert client.schedule_new_orchestration('w', input=1, instance_id='i') == 'i'
        assert not sidecar.last.request.enforceUniqueInstanceId  # the id is to be used again

    def test_one_that_is_there_and_not_started_is_waited_for_and_told(
        self, client: Any, sidecar: ScriptedSidecar, caplog: pytest.LogCaptureFixture
    ) -> None:
        sidecar.script('StartInstance', UNANSWERED)
        sidecar.script('GetInstance', instance(pb.ORCHESTRATION_STATUS_PENDING))
        sidecar.script('WaitForInstanceStart', UNANSWERED, NO_WORKER, instance())
        with caplog.at_level(logging.WARNING):
            assert client.schedule_new_orchestration('w', input=1, instance_id='i') == 'i'
        assert asked(sidecar).count('StartInstance') == 1
        (record,) = caplog.records
        assert "Scheduling workflow 'w' as 'i' takes long. It has not started: no worker" in record.getMessage()

    def test_its_time_limit_says_what_is_in_the_way(
        self, client: Any, sidecar: ScriptedSidecar, short_attempts: None
    ) -> None:
        sidecar.script('StartInstance', UNANSWERED)
        sidecar.script('GetInstance', instance(pb.ORCHESTRATION_STATUS_PENDING))
        sidecar.script('WaitForInstanceStart', UNANSWERED)
        with pytest.raises(
            WorkflowTimeoutError, match=r'has not started within 0\.5 s\. It has not started: no worker'
        ):
            client.schedule_new_orchestration('w', input=1, instance_id='i', timeout=0.5)

    def test_a_sidecar_that_answers_nothing_and_has_nothing_is_given_up(
        self, twin: Twin, sidecar: ScriptedSidecar
    ) -> None:
        sidecar.script('StartInstance', UNANSWERED)
        sidecar.script('GetInstance', MISSING)
        with pytest.raises(WorkflowTimeoutError, match='It has created no such instance: no worker'):
            twin.new(host_address=sidecar.address, retry_timeout=2).schedule_new_orchestration('w')


class TestWaitingForTheSidecar:
    def test_one_that_answers_is_there(self, client: Any, sidecar: ScriptedSidecar) -> None:
        sidecar.script('Hello', LOST, UNANSWERED, pb.PurgeInstancesResponse())
        client.wait_for_sidecar(5)
        assert asked(sidecar) == ['Hello'] * 3

    def test_one_that_does_not_is_unavailable(self, twin: Twin) -> None:
        with pytest.raises(SidecarUnavailableError, match=r'has not answered within 0\.3 s\. No connection') as raised:
            twin.new(host_address='127.0.0.1:1').wait_for_sidecar(0.3)
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE

    def test_one_that_refuses_is_not_waited_for(self, client: Any, sidecar: ScriptedSidecar) -> None:
        sidecar.script('Hello', (grpc.StatusCode.UNAUTHENTICATED, 'no'))
        with pytest.raises(grpc.RpcError, match='API token'):
            client.wait_for_sidecar(5)
        assert len(sidecar.received) == 1
