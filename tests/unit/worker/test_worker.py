"""The worker as a whole, against a sidecar that does what the test tells it."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

from dapr.ext.workflow._durabletask import worker as worker_module
from dapr.ext.workflow._durabletask.internal import helpers, shared
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.transport import stream as stream_module
from dapr.ext.workflow._durabletask.worker import ConcurrencyOptions, TaskHubGrpcWorker
from tests.support.engine import execution_started, task_completed, task_scheduled, workflow_started
from tests.support.fake_sidecar import DEADLINE_SECONDS, FakeSidecar
from tests.support.interceptors import GeneratorInterceptor

ROOT = Path(__file__).resolve().parent.parent.parent.parent

NewWorker = Callable[..., TaskHubGrpcWorker]


class Gate:
    """Where user code waits until the test lets it go on."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def wait_until_reached(self) -> None:
        assert self.reached.wait(DEADLINE_SECONDS)

    def open(self) -> None:
        self.opened.set()

    def pass_through(self) -> None:
        self.reached.set()
        assert self.opened.wait(DEADLINE_SECONDS)

    async def pass_through_async(self) -> None:
        self.reached.set()
        while not self.opened.is_set():
            await asyncio.sleep(0.001)


def _turn(name: str = 'flow', token: str = 'token', encoded_input: str | None = None) -> pb.WorkItem:
    events = [workflow_started(), execution_started(name, encoded_input)]
    return pb.WorkItem(completionToken=token, workflowRequest=pb.WorkflowRequest(instanceId='abc', newEvents=events))


def _activity(name: str, encoded_input: str | None = None, task_id: int = 3, token: str = 'token') -> pb.WorkItem:
    request = pb.ActivityRequest(
        name=name,
        taskId=task_id,
        workflowInstance=pb.WorkflowInstance(instanceId='abc'),
        input=helpers.get_string_value(encoded_input),
    )
    return pb.WorkItem(completionToken=token, activityRequest=request)


def echo(ctx: Any, value: Any) -> Any:
    return value


async def echo_async(ctx: Any, value: Any) -> Any:
    await asyncio.sleep(0)
    return value


def flow(ctx: Any, value: Any) -> Any:
    result = yield ctx.call_activity(echo, input=value)
    return result


def _worker_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith('dapr-workflow')]


def _in_thread(run: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=run)
    thread.start()
    return thread


def _join(thread: threading.Thread) -> None:
    thread.join(DEADLINE_SECONDS)
    assert not thread.is_alive()


# Serving


def test_turns_and_activities_are_served(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    worker = new_worker()
    assert worker.add_orchestrator(flow) == 'flow'
    assert worker.add_activity(echo) == 'echo'
    worker.add_activity(echo_async)
    worker.start()
    assert worker.is_worker_ready()
    sidecar.push(_turn(encoded_input='5', token='turn'))
    (action,) = sidecar.answer(0).actions
    assert (action.scheduleTask.name, action.scheduleTask.input.value) == ('echo', '5')
    sidecar.push(_activity('echo', '5', token='sync'))
    assert sidecar.answer(1).result.value == '5'
    sidecar.push(_activity('echo_async', '[0]', token='async'))
    assert sidecar.answer(2).result.value == '[0]'
    past = [workflow_started(), execution_started('flow', '5'), task_scheduled(1, 'echo')]
    request = pb.WorkflowRequest(
        instanceId='abc', pastEvents=past, newEvents=[workflow_started(), task_completed(1, 5)]
    )
    sidecar.push(pb.WorkItem(completionToken='last', workflowRequest=request))
    assert sidecar.answer(3).actions[0].completeWorkflow.result.value == '5'
    assert [answer.message.completionToken for answer in sidecar.answers] == ['turn', 'sync', 'async', 'last']


def test_the_capabilities_are_those_that_the_worker_has(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    for disabled, capabilities in (
        (False, [pb.WORKER_CAPABILITY_HEALTH_PING, pb.WORKER_CAPABILITY_STATEFUL_HISTORY]),
        (True, [pb.WORKER_CAPABILITY_HEALTH_PING]),
    ):
        with new_worker(disable_stateful_history=disabled) as worker:
            worker.start()
            assert sidecar.capabilities == capabilities


def test_names_that_are_not_registered_are_answered(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    new_worker().start()
    sidecar.push(_turn('nowhere'))
    failure = sidecar.answer(0).actions[0].completeWorkflow.failureDetails
    assert failure.errorType == 'OrchestratorNotRegisteredError'
    assert "'nowhere'" in failure.errorMessage
    sidecar.push(_activity('neither'))
    failure = sidecar.answer(1).failureDetails
    assert failure.errorType == 'ActivityNotRegisteredError'
    assert "'neither'" in failure.errorMessage


def test_what_the_worker_does_not_know_is_told_once_and_passed_over(
    sidecar: FakeSidecar, new_worker: NewWorker, caplog: pytest.LogCaptureFixture
) -> None:
    worker = new_worker()
    worker.add_activity(echo)
    worker.start()
    newer_kind = b'\x7a\x02\x08\x01' + pb.WorkItem(completionToken='token').SerializeToString()  # field 15
    other_kind = b'\xa2\x01\x02\x08\x01'  # field 20
    newer_field = _activity('echo', '1').SerializeToString() + b'\xa0\x06\x05'  # field 100 beside a known kind
    sidecar.push(newer_kind, newer_kind, pb.WorkItem(), other_kind, pb.WorkItem(healthPing=pb.HealthPing()))
    sidecar.push(newer_field)
    assert sidecar.answer().result.value == '1'
    told = [message for message in caplog.messages if 'does not know' in message]
    assert [message.split('(')[1].split(')')[0] for message in told] == ['field 15', 'empty', 'field 20']
    assert sidecar.calls['GetWorkItems'] == 1
    assert len(sidecar.answers) == 1


def test_bad_items_do_not_keep_the_next_one_from_being_served(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    worker = new_worker()
    worker.add_orchestrator(flow)
    worker.add_activity(echo)
    worker.start()
    bad: list[pb.WorkItem | bytes] = [
        pb.WorkItem(workflowRequest=pb.WorkflowRequest()),
        pb.WorkItem(workflowRequest=pb.WorkflowRequest(instanceId='abc', newEvents=[task_completed(-7)])),
        pb.WorkItem(activityRequest=pb.ActivityRequest()),
        _activity('echo', '{bad'),
        b'\xff\xff\xff',
    ]
    sidecar.push(*bad, _turn(token='good'))
    sidecar.wait_for_answers(5)
    good = next(answer.message for answer in sidecar.answers if answer.message.completionToken == 'good')
    assert good.actions[0].scheduleTask.name == 'echo'
    assert sidecar.calls['GetWorkItems'] == 1


def test_twenty_megabytes_go_in_and_out(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    large = json.dumps('x' * 20_000_000)
    worker = new_worker()
    worker.add_orchestrator(flow)
    worker.add_activity(echo)
    worker.start()
    sidecar.push(_activity('echo', large))
    assert sidecar.answer(0).result.value == large
    sidecar.push(_turn(encoded_input=large))
    assert sidecar.answer(1).actions[0].scheduleTask.input.value == large


def test_a_result_that_the_sidecar_refuses_for_its_size_becomes_a_failure() -> None:
    with FakeSidecar(max_receive=4 * 1024 * 1024) as sidecar, TaskHubGrpcWorker(host_address=sidecar.address) as worker:
        worker.add_activity(echo)
        worker.start()
        # The limit is the sidecar's for what it receives; it sends what it likes.
        sidecar.push(_activity('echo', json.dumps('x' * 5_000_000)))
        assert 'larger than max' in sidecar.answer(0).failureDetails.errorMessage
        sidecar.push(_activity('echo', '1'))
        assert sidecar.answer(1).result.value == '1'


def test_activities_may_wait_for_workflows_even_when_all_do(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    turns = threading.Semaphore(0)

    def schedule_and_wait(ctx: Any, token: str) -> str:
        sidecar.push(_turn('quick', token))
        assert turns.acquire(timeout=DEADLINE_SECONDS)
        return token

    def quick(ctx: Any, _: Any) -> str:
        return 'done'

    worker = new_worker(concurrency_options=ConcurrencyOptions(maximum_thread_pool_workers=2))
    worker.add_orchestrator(quick)
    worker.add_activity(schedule_and_wait)
    worker.start()
    sidecar.push(*(_activity('schedule_and_wait', f'"{n}"', n) for n in range(1, 5)))
    for count in (2, 4):  # as many as there are threads wait at once
        sidecar.wait_for_calls('CompleteWorkflowTask', count)
        turns.release(2)
    sidecar.wait_for_calls('CompleteActivityTask', 4)


def test_async_activities_run_side_by_side(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    arrived: list[int] = []

    async def meet(ctx: Any, number: int) -> int:
        arrived.append(number)
        while len(arrived) < 50:
            await asyncio.sleep(0.001)
        return number

    worker = new_worker(concurrency_options=ConcurrencyOptions(50, None, 1))
    worker.add_activity(meet)
    worker.start()
    sidecar.push(*(_activity('meet', str(n), n) for n in range(50)))
    sidecar.wait_for_answers(50)
    assert sorted(answer.message.taskId for answer in sidecar.answers) == list(range(50))


# Connecting


def test_each_connection_is_made_by_the_function_that_packages_replace(
    sidecar: FakeSidecar, new_worker: NewWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[Any, ...]] = []
    original = shared.get_grpc_channel

    def replacement(*arguments: Any) -> grpc.Channel:
        made.append(arguments)
        return original(*arguments)

    interceptor = GeneratorInterceptor()
    worker = new_worker(interceptors=[interceptor], channel_options=[('grpc.primary_user_agent', 'mine')])
    monkeypatch.setattr(shared, 'get_grpc_channel', replacement)
    worker.start()
    sidecar.drop_streams()
    sidecar.wait_for_calls('GetWorkItems', 2)
    for address, secure, interceptors, options in made:
        assert (address, secure, interceptors) == (sidecar.address, False, [interceptor])
        assert ('grpc.primary_user_agent', 'mine') in options
        keys = [key for key, _ in options]
        assert len(set(keys)) == len(keys)
    assert len(made) == 2


def test_the_callers_channel_options_beat_the_workers(new_worker: NewWorker) -> None:
    worker = new_worker(channel_options=[('grpc.use_local_subchannel_pool', 0)])
    assert [option for option in worker._channel_options if option[0] == 'grpc.use_local_subchannel_pool'] == [
        ('grpc.use_local_subchannel_pool', 0)
    ]


def test_metadata_and_api_token_go_out_with_every_call(
    sidecar: FakeSidecar, new_worker: NewWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('DAPR_API_TOKEN', 'secret')
    worker = new_worker(metadata=[('app', 'orders')])
    worker.start()
    sidecar.push(_turn(), _activity('echo'))
    sidecar.wait_for_answers(2)
    assert set(sidecar.metadata) == {'Hello', 'GetWorkItems', 'CompleteWorkflowTask', 'CompleteActivityTask'}
    for metadata in sidecar.metadata.values():
        assert (metadata['app'], metadata['dapr-api-token']) == ('orders', 'secret')


@pytest.mark.parametrize('interceptors', [[], [GeneratorInterceptor()]], ids=['plain', 'generators'])
def test_a_result_goes_out_on_the_connection_that_is_there_when_it_is_ready(
    sidecar: FakeSidecar, new_worker: NewWorker, interceptors: list[Any]
) -> None:
    gate = Gate()

    def slow_flow(ctx: Any, _: Any) -> str:
        gate.pass_through()
        return 'done'

    worker = new_worker(interceptors=interceptors)
    worker.add_orchestrator(slow_flow)
    worker.start()
    sidecar.push(_turn('slow_flow', 'of the first stream'))
    gate.wait_until_reached()
    sidecar.stop()  # vanishes in the middle of the turn
    sidecar.start()
    sidecar.wait_for_stream(2)
    gate.open()
    assert sidecar.answer().completionToken == 'of the first stream'
    first, second = sidecar.stream_peers
    assert first != second
    assert sidecar.answers[0].peer == second


def test_a_result_that_is_ready_while_cut_off_waits_for_the_connection(
    sidecar: FakeSidecar, new_worker: NewWorker, failed_attempt: threading.Event
) -> None:
    gate = Gate()

    def slow(ctx: Any, _: Any) -> str:
        gate.pass_through()
        return 'done'

    worker = new_worker()
    worker.add_activity(slow)
    worker.start()
    sidecar.push(_activity('slow'))
    gate.wait_until_reached()
    sidecar.refuse_streams = grpc.StatusCode.UNAVAILABLE
    sidecar.stop()
    assert failed_attempt.wait(DEADLINE_SECONDS)
    gate.open()
    sidecar.start()
    sidecar.wait_for_calls('GetWorkItems', 2)
    assert not worker.is_worker_ready()
    sidecar.refuse_streams = None
    assert sidecar.answer().result.value == '"done"'


def test_a_worker_is_not_ready_while_it_is_cut_off(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    worker = new_worker()
    assert not worker.is_worker_ready()
    assert not worker.wait_until_ready(0)
    worker.start()
    assert worker.is_worker_ready()
    sidecar.refuse_streams = grpc.StatusCode.UNAVAILABLE
    sidecar.drop_streams()
    sidecar.wait_for_calls('GetWorkItems', 3)
    assert not worker.wait_until_ready(0.01)
    sidecar.refuse_streams = None
    assert worker.wait_until_ready(DEADLINE_SECONDS)
    assert worker.is_worker_ready()
    worker.stop()
    assert not worker.is_worker_ready()


# Starting


def test_start_waits_for_a_sidecar_that_comes_later(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    sidecar.stop()
    worker = new_worker()
    thread = _in_thread(worker.start)
    sidecar.start()
    _join(thread)
    assert worker.is_worker_ready()


@pytest.mark.parametrize('address', ['127.0.0.1:1', 'no-such-host.invalid:4001'], ids=['refused', 'does not resolve'])
def test_stop_ends_a_start_that_reaches_no_one(
    new_worker: NewWorker, failed_attempt: threading.Event, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    worker = new_worker(host_address=address)
    raised = threading.Event()

    def start() -> None:
        with pytest.raises(RuntimeError, match=f"stopped before the sidecar at '{address}'"):
            worker.start()
        raised.set()

    thread = _in_thread(start)
    assert failed_attempt.wait(DEADLINE_SECONDS)
    worker.stop()
    _join(thread)
    assert raised.is_set()
    assert _worker_threads() == []
    assert 'UNAVAILABLE' in caplog.text


def test_stop_ends_a_start_whose_hello_has_no_answer(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    sidecar.hold_hello = True
    worker = new_worker()
    raised = threading.Event()

    def start() -> None:
        with pytest.raises(RuntimeError, match='stopped before'):
            worker.start()
        raised.set()

    thread = _in_thread(start)
    sidecar.wait_for_calls('Hello')
    worker.stop()
    _join(thread)
    assert raised.is_set()
    assert _worker_threads() == []


def test_stop_ends_a_start_that_has_only_begun(
    sidecar: FakeSidecar, new_worker: NewWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    original = shared.get_grpc_channel

    def slow(*arguments: Any) -> grpc.Channel:
        gate.pass_through()
        return original(*arguments)

    monkeypatch.setattr(shared, 'get_grpc_channel', slow)
    sidecar.hold_hello = True
    worker = new_worker()
    starting = _in_thread(partial(_start_until_stopped, worker, threading.Event()))
    gate.wait_until_reached()
    stopping = _in_thread(worker.stop)
    stopping.join(0.05)  # nothing is left to stop for one that does not see the start
    gate.open()
    _join(stopping)
    _join(starting)
    assert _worker_threads() == []


def test_an_interrupted_start_leaves_nothing_running(new_worker: NewWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> bool:
        raise KeyboardInterrupt

    worker = new_worker()
    with monkeypatch.context() as patch:
        patch.setattr(stream_module.WorkItemStream, 'wait_until_open', interrupt)
        with pytest.raises(KeyboardInterrupt):
            worker.start()
    assert _worker_threads() == []
    worker.start()


def test_a_setting_that_cannot_be_read_is_raised_by_start(
    new_worker: NewWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = new_worker()
    with monkeypatch.context() as patch:
        patch.setenv('DAPR_GRPC_KEEPALIVE_ENABLED', 'perhaps')
        with pytest.raises(ValueError, match='DAPR_GRPC_KEEPALIVE_ENABLED'):
            worker.start()
    assert _worker_threads() == []
    worker.add_activity(echo)  # it is not running
    worker.start()


def test_a_running_worker_takes_no_start_and_no_registrations(new_worker: NewWorker) -> None:
    worker = new_worker()
    worker.start()
    with pytest.raises(RuntimeError, match='running already'):
        worker.start()
    with pytest.raises(RuntimeError, match='Orchestrators cannot be added while the worker is running'):
        worker.add_orchestrator(flow)
    with pytest.raises(RuntimeError, match='Activities cannot be added while the worker is running'):
        worker.add_activity(echo)
    worker.stop()
    worker.add_orchestrator(flow)
    worker.add_activity(echo)


# Stopping


def test_stop_does_nothing_on_a_worker_that_is_not_running(new_worker: NewWorker) -> None:
    worker = new_worker()
    worker.stop()
    worker.start()
    worker.stop()
    worker.stop()


def test_a_worker_is_stopped_at_the_end_of_its_block(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    with new_worker() as worker:
        worker.start()
    assert not worker.is_worker_ready()
    assert _worker_threads() == []
    sidecar.wait_for(lambda: not sidecar.open_streams)


def test_a_stopped_worker_can_be_started_again(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    worker = new_worker()
    worker.add_activity(echo)
    worker.add_activity(echo_async)
    for count in range(3):
        worker.start()
        assert worker.is_worker_ready()
        sidecar.push(_activity('echo', str(count)), _activity('echo_async', str(count)))
        sidecar.wait_for_answers(2 * count + 2)
        worker.stop()
        assert _worker_threads() == []
    assert sorted(answer.message.result.value for answer in sidecar.answers) == ['0', '0', '1', '1', '2', '2']


@pytest.mark.parametrize('kind', ['turn', 'activity', 'async'])
@pytest.mark.parametrize('interceptors', [[], [GeneratorInterceptor()]], ids=['plain', 'generators'])
def test_what_is_running_is_finished_and_answered_before_the_stream_ends(
    sidecar: FakeSidecar, new_worker: NewWorker, kind: str, interceptors: list[Any]
) -> None:
    gate = Gate()

    def slow_flow(ctx: Any, _: Any) -> str:
        gate.pass_through()
        return 'done'

    def slow(ctx: Any, _: Any) -> str:
        gate.pass_through()
        return 'done'

    async def slow_async(ctx: Any, _: Any) -> str:
        await gate.pass_through_async()
        return 'done'

    worker = new_worker(interceptors=interceptors)
    worker.add_orchestrator(slow_flow)
    worker.add_activity(slow)
    worker.add_activity(slow_async)
    worker.start()
    sidecar.push({'turn': _turn('slow_flow'), 'activity': _activity('slow'), 'async': _activity('slow_async')}[kind])
    gate.wait_until_reached()
    stopping = _in_thread(worker.stop)
    gate.open()
    _join(stopping)
    assert len(sidecar.answers) == 1
    assert _worker_threads() == []
    sidecar.wait_for(lambda: not sidecar.open_streams)


@pytest.mark.parametrize('kind', ['turn', 'activity'])
def test_code_that_never_returns_does_not_hold_up_the_stop(
    sidecar: FakeSidecar, new_worker: NewWorker, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    gate = Gate()

    def stuck_flow(ctx: Any, _: Any) -> None:
        gate.pass_through()

    def stuck(ctx: Any, _: Any) -> None:
        gate.pass_through()

    worker = new_worker(stop_timeout=0.05)
    worker.add_orchestrator(stuck_flow)
    worker.add_activity(stuck)
    worker.start()
    sidecar.push(_turn('stuck_flow') if kind == 'turn' else _activity('stuck'))
    gate.wait_until_reached()
    worker.stop()
    assert f'dapr-workflow-{kind}-1' in caplog.text
    assert _worker_threads() == [f'dapr-workflow-{kind}-1']
    worker.start()  # a new life, with threads of its own
    gate.open()
    sidecar.push(_activity('echo'))
    sidecar.wait_for_answers(1)


def test_async_code_that_never_returns_is_cancelled(
    sidecar: FakeSidecar, new_worker: NewWorker, caplog: pytest.LogCaptureFixture
) -> None:
    reached, cancelled = threading.Event(), threading.Event()

    async def stuck(ctx: Any, _: Any) -> None:
        reached.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    worker = new_worker(stop_timeout=0.05)
    worker.add_activity(stuck)
    worker.start()
    sidecar.push(_activity('stuck'))
    assert reached.wait(DEADLINE_SECONDS)
    worker.stop()
    assert cancelled.is_set()
    assert _worker_threads() == []
    assert sidecar.answers == []
    assert 'still busy' not in caplog.text


def test_a_sidecar_that_takes_no_answers_does_not_hold_up_the_stop(
    sidecar: FakeSidecar, new_worker: NewWorker, caplog: pytest.LogCaptureFixture
) -> None:
    sidecar.hold_answers = True
    worker = new_worker(stop_timeout=0.05)
    worker.start()
    sidecar.push(_activity('echo'), _turn())
    sidecar.wait_for(lambda: sidecar.calls['CompleteActivityTask'] and sidecar.calls['CompleteWorkflowTask'])
    worker.stop()
    assert 'still busy' in caplog.text
    sidecar.stop()  # ends the calls, and with them the threads and the channel


@pytest.mark.parametrize('kind', ['turn', 'activity', 'async'])
def test_the_worker_can_be_stopped_by_what_it_runs(sidecar: FakeSidecar, new_worker: NewWorker, kind: str) -> None:
    stopped = threading.Event()

    def stop_flow(ctx: Any, _: Any) -> None:
        worker.stop()
        stopped.set()

    def stop_it(ctx: Any, _: Any) -> None:
        worker.stop()
        stopped.set()

    async def stop_async(ctx: Any, _: Any) -> None:
        worker.stop()
        stopped.set()

    worker = new_worker()
    worker.add_orchestrator(stop_flow)
    worker.add_activity(stop_it)
    worker.add_activity(stop_async)
    worker.start()
    sidecar.push({'turn': _turn('stop_flow'), 'activity': _activity('stop_it'), 'async': _activity('stop_async')}[kind])
    assert stopped.wait(DEADLINE_SECONDS)
    assert not worker.is_worker_ready()
    sidecar.wait_for(lambda: not sidecar.open_streams)


def test_a_second_stop_waits_for_the_first(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    gate = Gate()

    def slow(ctx: Any, _: Any) -> None:
        gate.pass_through()

    worker = new_worker()
    worker.add_activity(slow)
    worker.start()
    sidecar.push(_activity('slow'))
    gate.wait_until_reached()
    stops = [_in_thread(worker.stop) for _ in range(3)]
    gate.open()
    for stop in stops:
        _join(stop)
    assert _worker_threads() == []


def test_two_that_stop_the_worker_do_not_wait_for_each_other(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    gate, done = Gate(), threading.Event()

    def stop_it(ctx: Any, _: Any) -> None:
        gate.pass_through()
        worker.stop()  # while the main thread's stop waits for this activity
        done.set()

    worker = new_worker()
    worker.add_activity(stop_it)
    worker.start()
    sidecar.push(_activity('stop_it'))
    gate.wait_until_reached()
    stopping = _in_thread(worker.stop)
    gate.open()
    _join(stopping)
    assert done.is_set()


def test_items_that_come_while_stopping_are_left_to_the_sidecar(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    gate = Gate()

    def slow(ctx: Any, _: Any) -> None:
        gate.pass_through()

    worker = new_worker(concurrency_options=ConcurrencyOptions(maximum_thread_pool_workers=1))
    worker.add_activity(slow)
    worker.start()
    sidecar.push(_activity('slow', token='runs'), _activity('slow', token='waits'))
    gate.wait_until_reached()
    stopping = _in_thread(worker.stop)
    gate.open()
    _join(stopping)
    assert [answer.message.completionToken for answer in sidecar.answers] in (['runs'], ['runs', 'waits'])


# Threads


def test_threads_are_named_and_their_number_does_not_grow_with_reconnects(
    sidecar: FakeSidecar, new_worker: NewWorker
) -> None:
    worker = new_worker()
    worker.start()
    names = set()
    for count in range(2, 12):
        sidecar.drop_streams()
        sidecar.wait_for_stream(count)
        names.add(tuple(sorted(_worker_threads())))
    assert names == {('dapr-workflow-history-janitor', 'dapr-workflow-keepalive', 'dapr-workflow-stream')}


@pytest.mark.parametrize('activity', ['quick', 'stuck'])
def test_a_process_ends_though_its_worker_was_not_stopped(sidecar: FakeSidecar, activity: str) -> None:
    script = f"""
import threading
from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker

reached = threading.Event()

def quick(ctx, value):
    reached.set()

def stuck(ctx, value):
    reached.set()
    threading.Event().wait()

worker = TaskHubGrpcWorker(host_address='{sidecar.address}')
worker.add_activity(quick)
worker.add_activity(stuck)
worker.start()
assert reached.wait({DEADLINE_SECONDS})
"""
    sidecar.push(_activity(activity))
    ended = subprocess.run(
        [sys.executable, '-c', script], cwd=ROOT, timeout=DEADLINE_SECONDS, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, '')


# OpenTelemetry


@pytest.mark.usefixtures('instrumented')
def test_the_worker_runs_reconnects_and_stops_under_opentelemetry(
    sidecar: FakeSidecar, new_worker: NewWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = new_worker(keepalive_interval=0.01)
    worker.add_activity(echo)
    worker.start()
    sidecar.push(_activity('echo', '1'))
    assert sidecar.answer(0).result.value == '1'
    # A stream that cannot be cancelled is given up when the sidecar falls silent.
    monkeypatch.setattr(stream_module, 'HELLO_TIMEOUT_SECONDS', 0.05)
    sidecar.hold_hello = True
    sidecar.wait_for(lambda: not sidecar.open_streams)
    sidecar.hold_hello = False
    sidecar.wait_for(lambda: sidecar.open_streams)
    sidecar.push(_activity('echo', '2'))
    assert sidecar.answer(1).result.value == '2'
    worker.stop()
    assert _worker_threads() == []
    sidecar.wait_for(lambda: not sidecar.open_streams)


@pytest.mark.usefixtures('instrumented')
def test_stop_ends_every_step_of_starting_under_opentelemetry(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    worker = new_worker(stop_timeout=1)
    for _ in range(20):
        starting = threading.Event()
        thread = _in_thread(partial(_start_until_stopped, worker, starting))
        assert starting.wait(DEADLINE_SECONDS)
        while thread.is_alive():  # a stop that comes before the start ends nothing
            worker.stop()
        assert _worker_threads() == []


def _start_until_stopped(worker: TaskHubGrpcWorker, starting: threading.Event) -> None:
    starting.set()
    with contextlib.suppress(RuntimeError):  # it is open already, or it is not
        worker.start()


# The surface


def test_the_constructor_is_the_contracts(new_worker: NewWorker) -> None:
    parameters = inspect.signature(TaskHubGrpcWorker).parameters.values()
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters)
    assert {parameter.name: parameter.default for parameter in parameters} == {
        'host_address': None,
        'metadata': None,
        'log_handler': None,
        'log_formatter': None,
        'secure_channel': False,
        'interceptors': None,
        'concurrency_options': None,
        'channel_options': None,
        'stop_timeout': 30.0,
        'keepalive_interval': 30.0,
        'disable_stateful_history': False,
        'history_cache_ttl': 3600.0,
        'history_cache_max_instances': 100_000,
        'history_cache_max_bytes': 0,
    }
    options = ConcurrencyOptions(7)
    assert new_worker(concurrency_options=options).concurrency_options is options
    assert isinstance(new_worker().concurrency_options, ConcurrencyOptions)


def test_names_that_others_import_from_the_worker_are_there() -> None:
    for name in worker_module.__all__:
        assert hasattr(worker_module, name)
