"""Continue-as-new: a new run under the same id, with or without the events that no one has waited for."""

from __future__ import annotations

import threading
from typing import Any

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.client import TaskHubGrpcClient
from tests.support.e2e import NewId, NewWorker, Workflow, completed, outline, run, serve, wait
from tests.support.scenarios import echo


def counting(ctx: task.OrchestrationContext, n: int) -> Workflow:
    n = yield ctx.call_activity(echo, input=n)
    if n < 5:
        ctx.continue_as_new(n + 1)
        return None
    return n


def test_each_run_begins_with_an_empty_history(client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId) -> None:
    serve(new_worker, [counting], [echo])
    instance_id = new_id()

    assert run(client, counting, instance_id, 0) == 5

    assert outline(client, instance_id) == [
        *('workflowStarted', 'executionStarted', 'taskScheduled 1'),
        *('workflowStarted', 'taskCompleted 1', 'executionCompleted 2'),
    ]
    started = client.get_instance_history(instance_id)[1].executionStarted
    assert (started.name, started.input.value) == ('counting', '5')


def test_events_that_no_one_has_waited_for_go_over_into_the_next_run(
    client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    payloads = [0, '', False, [], None, 'last']

    def collecting(ctx: task.OrchestrationContext, seen: list[Any]) -> Workflow:
        if not seen:
            yield ctx.wait_for_external_event('go')
        seen.append((yield ctx.wait_for_external_event('TICK')))
        if seen[-1] != 'last':
            ctx.continue_as_new(seen, save_events=True)
        return seen

    serve(new_worker, [collecting])
    instance_id = client.schedule_new_orchestration(collecting, input=[], instance_id=new_id())
    for payload in payloads:
        client.raise_orchestration_event(instance_id, 'tick', data=payload)
    client.raise_orchestration_event(instance_id, 'go')

    seen = completed(client, instance_id)

    assert seen == payloads
    assert [type(value) for value in seen] == [type(payload) for payload in payloads]
    assert outline(client, instance_id) == [
        *('workflowStarted', 'executionStarted', 'eventRaised tick', 'executionCompleted 2')
    ]


def test_without_being_told_to_keep_them_the_next_run_begins_without_events_and_actions(
    client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    noted: list[str] = []
    is_second_run = threading.Event()

    def note(ctx: task.ActivityContext, value: str) -> None:
        noted.append(value)
        is_second_run.set()

    def forgetful(ctx: task.OrchestrationContext, is_second: bool) -> Workflow:
        if not is_second:
            yield ctx.wait_for_external_event('go')
            ctx.call_activity(note, input='dropped')
            ctx.continue_as_new(True)
            return None
        yield ctx.call_activity(note, input='second run')
        return (yield ctx.wait_for_external_event('tick'))

    serve(new_worker, [forgetful], [note])
    instance_id = client.schedule_new_orchestration(forgetful, input=False, instance_id=new_id())
    client.raise_orchestration_event(instance_id, 'tick', data='early')
    client.raise_orchestration_event(instance_id, 'go')
    wait(is_second_run)
    client.raise_orchestration_event(instance_id, 'tick', data='late')

    assert completed(client, instance_id) == 'late'
    assert noted == ['second run']
