"""The worker as a whole: what it serves, and how."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.worker import ConcurrencyOptions, TaskHubGrpcWorker
from tests.support.engine import execution_started, task_completed, task_scheduled, workflow_started
from tests.support.fake_sidecar import DEADLINE_SECONDS, FakeSidecar
from tests.support.work_items import activity_item, echo, echo_async, flow, turn_item

NewWorker = Callable[..., TaskHubGrpcWorker]


def test_turns_and_activities_are_served(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    worker = new_worker()
    assert worker.add_orchestrator(flow) == 'flow'
    assert worker.add_activity(echo) == 'echo'
    worker.add_activity(echo_async)
    worker.start()
    assert worker.is_worker_ready()
    sidecar.push(turn_item(encoded_input='5', token='turn'))
    (action,) = sidecar.answer(0).actions
    assert (action.scheduleTask.name, action.scheduleTask.input.value) == ('echo', '5')
    sidecar.push(activity_item('echo', '5', token='sync'))
    assert sidecar.answer(1).result.value == '5'
    sidecar.push(activity_item('echo_async', '[0]', token='async'))
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


def test_a_workflow_that_fails_is_told_in_the_log(
    sidecar: FakeSidecar, new_worker: NewWorker, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(ctx: Any, _: Any) -> None:
        raise KeyError('on purpose')

    worker = new_worker()
    worker.add_orchestrator(failing)
    worker.start()
    sidecar.push(turn_item('failing'))
    sidecar.answer()
    assert "abc: the workflow has failed with KeyError: 'on purpose'\n" in caplog.text
    assert caplog.text.count("raise KeyError('on purpose')") == 1


def test_names_that_are_not_registered_are_answered(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    new_worker().start()
    sidecar.push(turn_item('nowhere'))
    failure = sidecar.answer(0).actions[0].completeWorkflow.failureDetails
    assert failure.errorType == 'OrchestratorNotRegisteredError'
    assert "'nowhere'" in failure.errorMessage
    sidecar.push(activity_item('neither'))
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
    newer_field = activity_item('echo', '1').SerializeToString() + b'\xa0\x06\x05'  # field 100 beside a known kind
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
        activity_item('echo', '{bad'),
        b'\xff\xff\xff',
    ]
    sidecar.push(*bad, turn_item(token='good'))
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
    sidecar.push(activity_item('echo', large))
    assert sidecar.answer(0).result.value == large
    sidecar.push(turn_item(encoded_input=large))
    assert sidecar.answer(1).actions[0].scheduleTask.input.value == large


def test_a_result_that_the_sidecar_refuses_for_its_size_becomes_a_failure() -> None:
    with FakeSidecar(max_receive=4 * 1024 * 1024) as sidecar, TaskHubGrpcWorker(host_address=sidecar.address) as worker:
        worker.add_activity(echo)
        worker.start()
        # The limit is the sidecar's for what it receives; it sends what it likes.
        sidecar.push(activity_item('echo', json.dumps('x' * 5_000_000)))
        assert 'larger than max' in sidecar.answer(0).failureDetails.errorMessage
        sidecar.push(activity_item('echo', '1'))
        assert sidecar.answer(1).result.value == '1'


def test_activities_may_wait_for_workflows_even_when_all_do(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    turns = threading.Semaphore(0)

    def schedule_and_wait(ctx: Any, token: str) -> str:
        sidecar.push(turn_item('quick', token))
        assert turns.acquire(timeout=DEADLINE_SECONDS)
        return token

    def quick(ctx: Any, _: Any) -> str:
        return 'done'

    worker = new_worker(concurrency_options=ConcurrencyOptions(maximum_thread_pool_workers=2))
    worker.add_orchestrator(quick)
    worker.add_activity(schedule_and_wait)
    worker.start()
    sidecar.push(*(activity_item('schedule_and_wait', f'"{n}"', n) for n in range(1, 5)))
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
    sidecar.push(*(activity_item('meet', str(n), n) for n in range(50)))
    sidecar.wait_for_answers(50)
    assert sorted(answer.message.taskId for answer in sidecar.answers) == list(range(50))
