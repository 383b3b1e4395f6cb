"""The service over gRPC: what it refuses and how, waits, and workers' streams."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty

from dapr.ext.workflow._durabletask.internal import helpers, orchestrator_service_pb2
from dapr.ext.workflow._durabletask.internal import orchestrator_service_pb2_grpc as stubs
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator import Emulator
from dapr.ext.workflow.emulator.errors import StoreError
from dapr.ext.workflow.emulator.state.backend import Backend

DEADLINE = 20.0
SERVICE = orchestrator_service_pb2.DESCRIPTOR.services_by_name['TaskHubSidecarService']
COMPLETED = pb.ORCHESTRATION_STATUS_COMPLETED


@pytest.fixture(scope='module')
def emulator() -> Iterator[Emulator]:
    with Emulator(apps=['orders', 'billing']) as emulator:
        yield emulator


@pytest.fixture
def channel(emulator: Emulator) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(emulator.address, [('grpc.max_receive_message_length', -1)]) as channel:
        yield channel


@pytest.fixture
def stub(channel: grpc.Channel) -> stubs.TaskHubSidecarServiceStub:
    return stubs.TaskHubSidecarServiceStub(channel)


_ids = itertools.count()


@pytest.fixture
def new_id() -> str:
    return f'wf-{next(_ids)}'


def refusal(call: Callable[[], Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as refused:
        call()
    return refused.value.code(), refused.value.details() or ''


class Worker:
    """A worker that answers each turn with the completion of its workflow."""

    def __init__(self, stub: stubs.TaskHubSidecarServiceStub) -> None:
        self.items: list[pb.WorkItem] = []
        self._stub = stub
        self._stream = stub.GetWorkItems(pb.GetWorkItemsRequest())
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        try:
            for item in self._stream:
                self.items.append(item)
                action = helpers.new_complete_workflow_action(1, COMPLETED, '"done"')
                self._stub.CompleteWorkflowTask(
                    pb.WorkflowResponse(
                        instanceId=item.workflowRequest.instanceId,
                        completionToken=item.completionToken,
                        actions=[action],
                    ),
                    timeout=DEADLINE,
                )
        except grpc.RpcError:
            return

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.cancel()
        self._thread.join(DEADLINE)


# What is refused


@pytest.mark.parametrize('method', [m.name for m in SERVICE.methods])
def test_each_call_of_the_contract_is_served(method: str, channel: grpc.Channel) -> None:
    assert refusal(lambda: raw(channel, method, b'\xff'))[0] is not grpc.StatusCode.UNIMPLEMENTED


def raw(channel: grpc.Channel, method: str, data: bytes) -> bytes:
    call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f'/TaskHubSidecarService/{method}')
    return call(data, timeout=DEADLINE)


@pytest.mark.parametrize('method', [m.name for m in SERVICE.methods])
def test_what_is_no_message_is_refused(method: str, channel: grpc.Channel) -> None:
    code, words = refusal(lambda: raw(channel, method, b'\xff'))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert SERVICE.methods_by_name[method].input_type.name in words


def test_a_call_that_is_not_in_the_contract_is_unimplemented(channel: grpc.Channel) -> None:
    assert refusal(lambda: raw(channel, 'CreateTaskHub', b''))[0] is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    ('method', 'request_'),
    [
        ('StartInstance', pb.CreateInstanceRequest(name='x')),
        ('StartInstance', pb.CreateInstanceRequest(instanceId='x')),
        ('GetInstance', pb.GetInstanceRequest()),
        ('WaitForInstanceStart', pb.GetInstanceRequest()),
        ('WaitForInstanceCompletion', pb.GetInstanceRequest()),
        ('RaiseEvent', pb.RaiseEventRequest(name='x')),
        ('RaiseEvent', pb.RaiseEventRequest(instanceId='x')),
        ('TerminateInstance', pb.TerminateRequest()),
        ('SuspendInstance', pb.SuspendRequest()),
        ('ResumeInstance', pb.ResumeRequest()),
        ('PurgeInstances', pb.PurgeInstancesRequest()),
        ('PurgeInstances', pb.PurgeInstancesRequest(instanceId='')),
        ('RerunWorkflowFromEvent', pb.RerunWorkflowFromEventRequest()),
        ('GetInstanceHistory', pb.GetInstanceHistoryRequest()),
        ('ListInstanceIDs', pb.ListInstanceIDsRequest(continuationToken='no token of ours')),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value).strip().replace('\n', ' ') or 'empty',
)
def test_what_lacks_what_it_needs_is_malformed(
    method: str, request_: Any, stub: stubs.TaskHubSidecarServiceStub
) -> None:
    code, words = refusal(lambda: getattr(stub, method)(request_, timeout=DEADLINE))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert words


def test_a_message_over_4_mib_is_refused_in_daprds_words(stub: stubs.TaskHubSidecarServiceStub, new_id: str) -> None:
    request = pb.CreateInstanceRequest(instanceId=new_id, name='x')
    request.input.value = 'x' * 4 * 1024 * 1024
    assert refusal(lambda: stub.StartInstance(request, timeout=DEADLINE)) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        f'grpc: received message larger than max ({request.ByteSize()} vs. 4194304)',
    )
    assert not stub.GetInstance(pb.GetInstanceRequest(instanceId=new_id)).exists


def test_a_message_far_over_the_limit_is_refused_before_it_is_read(channel: grpc.Channel) -> None:
    code, _ = refusal(lambda: raw(channel, 'Hello', b'x' * (65 * 1024 * 1024)))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_what_is_sent_is_not_limited(stub: stubs.TaskHubSidecarServiceStub, new_id: str) -> None:
    request = pb.CreateInstanceRequest(instanceId=new_id, name='x')
    request.input.value = 'x' * (3 * 1024 * 1024)
    with Worker(stub):
        stub.StartInstance(request, timeout=DEADLINE)
        stub.WaitForInstanceCompletion(pb.GetInstanceRequest(instanceId=new_id), timeout=DEADLINE)
        for _ in range(2):
            event = pb.RaiseEventRequest(instanceId=new_id, name='x')
            stub.RaiseEvent(event, timeout=DEADLINE)
    state = stub.GetInstance(pb.GetInstanceRequest(instanceId=new_id, getInputsAndOutputs=True), timeout=DEADLINE)
    assert len(state.workflowState.input.value) == 3 * 1024 * 1024


@pytest.mark.parametrize(
    ('method', 'request_'),
    [
        ('CompleteWorkflowTask', pb.WorkflowResponse(instanceId='never', completionToken='never')),
        ('CompleteOrchestratorTask', pb.WorkflowResponse(instanceId='never')),
        ('CompleteActivityTask', pb.ActivityResponse(instanceId='never', taskId=3, completionToken='never')),
        ('CompleteActivityTask', pb.ActivityResponse()),
    ],
)
def test_answers_to_what_was_never_asked_are_dropped(
    method: str, request_: Any, stub: stubs.TaskHubSidecarServiceStub
) -> None:
    assert getattr(stub, method)(request_, timeout=DEADLINE) == pb.CompleteTaskResponse()


@pytest.mark.parametrize('error', [StoreError('database or disk is full'), RuntimeError('a fault of ours')])
def test_a_call_that_fails_here_says_so_and_the_next_one_is_served(
    error: Exception,
    stub: stubs.TaskHubSidecarServiceStub,
    new_id: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise error

    request = pb.GetInstanceRequest(instanceId=new_id)
    with monkeypatch.context() as patch:
        patch.setattr(Backend, 'get_instance', fail)
        code, words = refusal(lambda: stub.GetInstance(request, timeout=DEADLINE))
    # A worker takes RESOURCE_EXHAUSTED for a message that is too large.
    assert code is grpc.StatusCode.INTERNAL
    assert str(error) in words
    assert [record.levelname for record in caplog.records] == ['ERROR']
    assert not stub.GetInstance(request, timeout=DEADLINE).exists


def test_a_router_names_the_app_that_is_meant(
    emulator: Emulator, stub: stubs.TaskHubSidecarServiceStub, new_id: str
) -> None:
    router = pb.TaskRouter(targetAppID='billing')
    later = time.time() + 3600
    request = pb.CreateInstanceRequest(instanceId=new_id, name='x', router=router)
    request.scheduledStartTimestamp.FromSeconds(int(later))
    stub.StartInstance(request, timeout=DEADLINE)

    assert not stub.GetInstance(pb.GetInstanceRequest(instanceId=new_id)).exists
    assert stub.GetInstance(pb.GetInstanceRequest(instanceId=new_id, router=router)).exists
    with grpc.insecure_channel(emulator.address_of('billing')) as channel:
        assert stubs.TaskHubSidecarServiceStub(channel).GetInstance(pb.GetInstanceRequest(instanceId=new_id)).exists

    code, words = refusal(
        lambda: stub.GetInstance(pb.GetInstanceRequest(instanceId=new_id, router=pb.TaskRouter(targetAppID='shipping')))
    )
    assert code is grpc.StatusCode.NOT_FOUND
    assert 'shipping' in words
    assert 'billing' in words


# Waiting


def test_a_start_and_the_waits_return_when_it_is_so(stub: stubs.TaskHubSidecarServiceStub, new_id: str) -> None:
    request = pb.GetInstanceRequest(instanceId=new_id, getInputsAndOutputs=True)
    with ThreadPoolExecutor() as threads:
        start = threads.submit(stub.WaitForInstanceStart, request, timeout=DEADLINE)
        end = threads.submit(stub.WaitForInstanceCompletion, request, timeout=DEADLINE)
        created = threads.submit(stub.StartInstance, pb.CreateInstanceRequest(instanceId=new_id, name='x'), DEADLINE)
        while not stub.GetInstance(request).exists:
            pass
        assert not created.done(), 'no worker has run its first turn'
        with Worker(stub):
            assert created.result(DEADLINE).instanceId == new_id
            assert start.result(DEADLINE).exists
            assert end.result(DEADLINE).workflowState.output.value == '"done"'


def test_a_scheduled_start_returns_at_once(stub: stubs.TaskHubSidecarServiceStub, new_id: str) -> None:
    request = pb.CreateInstanceRequest(instanceId=new_id, name='x')
    request.scheduledStartTimestamp.FromSeconds(int(time.time()) + 3600)
    assert stub.StartInstance(request, timeout=DEADLINE).instanceId == new_id
    state = stub.GetInstance(pb.GetInstanceRequest(instanceId=new_id)).workflowState
    assert state.workflowStatus == pb.ORCHESTRATION_STATUS_PENDING


class ByHand:
    """A worker whose turns the test takes and answers, of an instance that has begun."""

    def __init__(self, stub: stubs.TaskHubSidecarServiceStub, instance_id: str, threads: ThreadPoolExecutor) -> None:
        self._stub, self._instance_id = stub, instance_id
        self._stream = stub.GetWorkItems(pb.GetWorkItemsRequest())
        request = pb.CreateInstanceRequest(instanceId=instance_id, name='x')
        created = threads.submit(stub.StartInstance, request, DEADLINE)
        self.answer(self.take())
        created.result(DEADLINE)

    def take(self) -> pb.WorkItem:
        """The next turn."""
        return next(item for item in self._stream if item.workflowRequest.instanceId == self._instance_id)

    def answer(self, item: pb.WorkItem) -> None:
        """Answers a turn: the workflow waits on."""
        answer = pb.WorkflowResponse(instanceId=self._instance_id, completionToken=item.completionToken)
        self._stub.CompleteWorkflowTask(answer, timeout=DEADLINE)

    def vanish(self) -> None:
        """Goes, whatever it has taken."""
        self._stream.cancel()


def status(stub: stubs.TaskHubSidecarServiceStub, instance_id: str) -> int:
    request = pb.GetInstanceRequest(instanceId=instance_id)
    return int(stub.GetInstance(request, timeout=DEADLINE).workflowState.workflowStatus)


def test_a_suspend_returns_when_the_instance_is_suspended(stub: stubs.TaskHubSidecarServiceStub, new_id: str) -> None:
    with ThreadPoolExecutor() as threads:
        worker = ByHand(stub, new_id, threads)
        suspended = threads.submit(stub.SuspendInstance, pb.SuspendRequest(instanceId=new_id), DEADLINE)
        item = worker.take()
        stub.Hello(Empty(), timeout=DEADLINE)  # what was to return has returned by now
        assert not suspended.done()
        worker.answer(item)
        suspended.result(DEADLINE)
        assert status(stub, new_id) == pb.ORCHESTRATION_STATUS_SUSPENDED
        worker.vanish()


def test_without_a_worker_nothing_is_waited_for(stub: stubs.TaskHubSidecarServiceStub, new_id: str) -> None:
    with ThreadPoolExecutor() as threads:
        worker = ByHand(stub, new_id, threads)
        suspended = threads.submit(stub.SuspendInstance, pb.SuspendRequest(instanceId=new_id), DEADLINE)
        worker.take()
        worker.vanish()
        suspended.result(DEADLINE)
    stub.ResumeInstance(pb.ResumeRequest(instanceId=new_id), timeout=DEADLINE)
    stub.TerminateInstance(pb.TerminateRequest(instanceId=new_id), timeout=DEADLINE)
    assert status(stub, new_id) == pb.ORCHESTRATION_STATUS_RUNNING
    with Worker(stub):
        stub.WaitForInstanceCompletion(pb.GetInstanceRequest(instanceId=new_id), timeout=DEADLINE)


def test_what_is_purged_is_not_waited_for(stub: stubs.TaskHubSidecarServiceStub, new_id: str) -> None:
    with ThreadPoolExecutor() as threads:
        worker = ByHand(stub, new_id, threads)
        suspended = threads.submit(stub.SuspendInstance, pb.SuspendRequest(instanceId=new_id), DEADLINE)
        worker.take()
        stub.PurgeInstances(pb.PurgeInstancesRequest(instanceId=new_id, force=True), timeout=DEADLINE)
        suspended.result(DEADLINE)
        worker.vanish()


def test_a_wait_ends_with_the_callers_deadline(
    emulator: Emulator, stub: stubs.TaskHubSidecarServiceStub, new_id: str
) -> None:
    request = pb.GetInstanceRequest(instanceId=new_id)
    for wait in (stub.WaitForInstanceStart, stub.WaitForInstanceCompletion):
        code, _ = refusal(lambda wait=wait: wait(request, timeout=0.05))  # type: ignore[misc]
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_thousand_clients_wait_at_once_without_a_thread_each(
    stub: stubs.TaskHubSidecarServiceStub, new_id: str
) -> None:
    threads = threading.active_count()
    request = pb.GetInstanceRequest(instanceId=new_id)
    waits = [stub.WaitForInstanceCompletion.future(request, timeout=DEADLINE) for _ in range(1_000)]
    stub.Hello(Empty(), timeout=DEADLINE)  # the same connection: by now they are all there, or nearly
    assert threading.active_count() <= threads + 2
    with Worker(stub):
        stub.StartInstance(pb.CreateInstanceRequest(instanceId=new_id, name='x'), timeout=DEADLINE)
        assert {wait.result(DEADLINE).workflowState.workflowStatus for wait in waits} == {COMPLETED}


# Streams


def test_a_worker_that_vanishes_leaves_its_work_to_the_next_one(
    stub: stubs.TaskHubSidecarServiceStub, new_id: str
) -> None:
    with ThreadPoolExecutor() as threads:
        first = stub.GetWorkItems(pb.GetWorkItemsRequest())
        created = threads.submit(stub.StartInstance, pb.CreateInstanceRequest(instanceId=new_id, name='x'), DEADLINE)
        lost = next(first)
        first.cancel()
        with Worker(stub) as worker:
            assert created.result(DEADLINE).instanceId == new_id
    [item] = [item for item in worker.items if item.workflowRequest.instanceId == new_id]
    assert item.completionToken != lost.completionToken


class Told(logging.Handler):
    """Sets an event when a message that begins so is logged."""

    def __init__(self, beginning: str) -> None:
        super().__init__()
        self.event = threading.Event()
        self._beginning = beginning

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith(self._beginning):
            self.event.set()


def test_a_worker_that_vanishes_with_items_on_their_way_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    gone = Told('A worker is gone')
    logger = logging.getLogger('dapr.ext.workflow.emulator')
    caplog.set_level(logging.INFO, logger.name)
    with Emulator() as emulator, grpc.insecure_channel(emulator.address) as channel:
        client = stubs.TaskHubSidecarServiceStub(channel)
        small_window = [
            ('grpc.http2.lookahead_bytes', 1024),
            ('grpc.http2.bdp_probe', 0),
            ('grpc.use_local_subchannel_pool', 1),
        ]
        with grpc.insecure_channel(emulator.address, small_window) as workers_channel:
            items = stubs.TaskHubSidecarServiceStub(workers_channel).GetWorkItems(pb.GetWorkItemsRequest())
            starts = []
            for number in range(10):
                request = pb.CreateInstanceRequest(instanceId=f'large-{number}', name='x')
                request.input.value = 'x' * 300_000
                starts.append(client.StartInstance.future(request, timeout=DEADLINE))
            next(items)  # this worker reads no further, so that the others are on their way
            deadline = time.monotonic() + DEADLINE
            for number in range(10):
                state = pb.GetInstanceRequest(instanceId=f'large-{number}')
                while not client.GetInstance(state, timeout=DEADLINE).exists:
                    assert time.monotonic() < deadline
            logger.addHandler(gone)
        assert gone.event.wait(DEADLINE)
        logger.removeHandler(gone)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_streams_that_come_and_go_do_no_harm(stub: stubs.TaskHubSidecarServiceStub, new_id: str) -> None:
    for _ in range(100):
        stub.GetWorkItems(pb.GetWorkItemsRequest()).cancel()
    with Worker(stub):
        stub.StartInstance(pb.CreateInstanceRequest(instanceId=new_id, name='x'), timeout=DEADLINE)
