"""What clients do to a running workflow: suspend it, resume it, end it; and what it says of itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.client import OrchestrationStatus, TaskHubGrpcClient
from tests.support.e2e import NewId, NewWorker, TurnWatch, Workflow, completed, ended, serve, steps
from tests.support.scenarios import echo, forever


def test_a_suspended_workflow_stands_still_until_it_is_resumed_each_time_anew(
    client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    def obedient(ctx: task.OrchestrationContext, _: None) -> Workflow:
        results = []
        for _i in range(2):
            value = yield ctx.wait_for_external_event('go')
            results.append((yield ctx.call_activity(echo, input=value)))
        yield ctx.wait_for_external_event('stop')
        return results

    watch = TurnWatch()
    serve(new_worker, [obedient], [echo], interceptors=[watch])
    instance_id = client.schedule_new_orchestration(obedient, instance_id=new_id())
    turns = 1
    for number in range(2):
        client.suspend_orchestration(instance_id)
        turns += 1
        watch.wait_for_turns(instance_id, turns)
        client.suspend_orchestration(instance_id)  # once more is as good as once
        turns += 1
        watch.wait_for_turns(instance_id, turns)
        client.raise_orchestration_event(instance_id, 'go', data=number)
        turns += 1

        # Each of these turns was dispatched, so the one before it is committed.
        while_suspended = watch.wait_for_turns(instance_id, turns)[-3:]
        state = client.get_orchestration_state(instance_id)
        assert state is not None
        assert state.runtime_status is OrchestrationStatus.SUSPENDED
        assert [list(turn.actions) for turn in while_suspended] == [[], [], []]

        client.resume_orchestration(instance_id)
        turns += 2  # the resume, and the activity's result
        watch.wait_for_turns(instance_id, turns)
    client.resume_orchestration(instance_id)  # of one that is not suspended
    client.raise_orchestration_event(instance_id, 'stop')

    assert completed(client, instance_id) == [0, 1]
    history = steps(client, instance_id)
    first = history.index('executionSuspended')
    assert history[first : first + 6] == [
        *('executionSuspended', 'executionSuspended', 'eventRaised go', 'executionResumed'),
        *('taskScheduled 2', 'taskCompleted 2'),
    ]


def test_steering_calls_return_when_the_state_shows_it(
    client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    serve(new_worker, [forever])
    seen = []
    for _i in range(10):
        instance_id = client.schedule_new_orchestration(forever, instance_id=new_id())
        for steer in (client.suspend_orchestration, client.resume_orchestration, client.terminate_orchestration):
            steer(instance_id)
            state = client.get_orchestration_state(instance_id)
            assert state is not None
            seen.append(state.runtime_status)

    status = OrchestrationStatus
    assert seen == [status.SUSPENDED, status.RUNNING, status.TERMINATED] * 10


def test_a_suspended_workflow_can_be_terminated(
    client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    serve(new_worker, [forever])
    instance_id = client.schedule_new_orchestration(forever, instance_id=new_id())

    client.suspend_orchestration(instance_id)
    client.raise_orchestration_event(instance_id, 'go', data=1)
    client.terminate_orchestration(instance_id, output='enough')

    state = ended(client, instance_id)
    assert (state.runtime_status, state.serialized_output) == (OrchestrationStatus.TERMINATED, '"enough"')


def test_a_terminated_workflow_has_the_output_it_was_given_falsy_or_not(
    client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    given: list[Any] = [0, '', False, [], {'a': 1}, None]
    outputs = {new_id(): output for output in given}
    serve(new_worker, [forever])
    for instance_id, output in outputs.items():
        client.schedule_new_orchestration(forever, instance_id=instance_id)
        client.terminate_orchestration(instance_id, output=output)

    for instance_id, output in outputs.items():
        state = ended(client, instance_id)
        serialized = None if output is None else json.dumps(output)
        assert (state.runtime_status, state.serialized_output) == (OrchestrationStatus.TERMINATED, serialized)
        assert steps(client, instance_id)[-2:] == ['executionTerminated', 'executionCompleted 2']


def test_a_workflow_shows_its_custom_status(client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId) -> None:
    def telling(ctx: task.OrchestrationContext, _: None) -> Workflow:
        ctx.set_custom_status('half way')
        yield ctx.wait_for_external_event('go')
        with pytest.warns(DeprecationWarning, match='a non-str value to set_custom_status'):
            ctx.set_custom_status({'done': True})

    serve(new_worker, [telling])
    instance_id = client.schedule_new_orchestration(telling, instance_id=new_id())

    state = client.wait_for_orchestration_start(instance_id, fetch_payloads=True, timeout=30)
    assert state is not None
    assert (state.name, state.runtime_status) == ('telling', OrchestrationStatus.RUNNING)
    assert state.serialized_custom_status == 'half way'

    client.raise_orchestration_event(instance_id, 'go')
    state = ended(client, instance_id)
    assert state.runtime_status is OrchestrationStatus.COMPLETED
    assert state.serialized_custom_status == '{"done": true}'
