"""Workers and sidecars that go away in mid-run and come back."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from contextlib import closing
from typing import Any

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.aio.client import AsyncTaskHubGrpcClient
from dapr.ext.workflow._durabletask.client import TaskHubGrpcClient
from dapr.ext.workflow._durabletask.worker import ConcurrencyOptions
from tests.support.e2e import DEADLINE, NewId, NewWorker, Workflow, completed, run, serve, steps, wait, with_client
from tests.support.interceptors import GeneratorInterceptor
from tests.support.scenarios import chain, echo
from tools.go_sidecar import Sidecar


def end_leases(sidecar: Sidecar) -> None:
    """Ends what a killed Go sidecar still holds; by itself it would take two minutes to run out."""
    if sidecar.build.answers_as_daprd:
        return  # what those two hold ends with their process
    with closing(sqlite3.connect(sidecar.database)) as database, database:
        for table in ('Instances', 'NewTasks'):
            database.execute(f'UPDATE {table} SET LockedBy = NULL, LockExpiration = NULL')


def worker_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith('dapr-workflow')]


def test_a_worker_that_is_stopped_delivers_what_it_runs_and_goes_on_after_its_next_start(
    sidecar: Sidecar, client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    calls: list[int] = []
    running, release = threading.Event(), threading.Event()

    def step(ctx: task.ActivityContext, number: int) -> int:
        calls.append(number)
        if number == 1:
            running.set()
            wait(release)
        return number

    def stepping(ctx: task.OrchestrationContext, _: None) -> Workflow:
        results = []
        for number in range(3):
            results.append((yield ctx.call_activity(step, input=number)))
            yield ctx.wait_for_external_event(f'go {number}')
        return results

    worker = serve(new_worker, [stepping], [step])
    instance_id = client.schedule_new_orchestration(stepping, instance_id=new_id())
    client.raise_orchestration_event(instance_id, 'go 0')
    wait(running)
    stopping = threading.Thread(target=worker.stop)
    stopping.start()
    release.set()
    stopping.join(DEADLINE)
    assert not worker.is_worker_ready()
    assert worker_threads() == []
    if sidecar.build.is_daprd:  # it takes no event while no worker is connected
        worker.start()
        client.wait_for_orchestration_start(instance_id, timeout=DEADLINE)
    client.raise_orchestration_event(instance_id, 'go 1')
    client.raise_orchestration_event(instance_id, 'go 2')

    if not sidecar.build.is_daprd:
        worker.start()

    assert completed(client, instance_id) == [0, 1, 2]
    assert calls == [0, 1, 2]  # what ran while it stopped was not run again


def test_workflows_and_those_who_wait_for_them_outlive_a_killed_sidecar(
    sidecar: Sidecar, client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    is_mid_run = threading.Event()

    def step(ctx: task.ActivityContext, number: int) -> int:
        if number == 3:
            is_mid_run.set()
        return number

    def stepping(ctx: task.OrchestrationContext, _: None) -> Workflow:
        results = []
        for number in range(6):
            results.append((yield ctx.call_activity(step, input=number)))
        return [*results, (yield ctx.wait_for_external_event('go'))]

    async def wait_for_first(client: AsyncTaskHubGrpcClient) -> None:
        state = await client.wait_for_orchestration_completion(ids[0], timeout=DEADLINE)
        assert state is not None
        outputs.append(json.loads(state.serialized_output or 'null'))

    outputs: list[Any] = []
    serve(new_worker, [stepping], [step])
    ids = [client.schedule_new_orchestration(stepping, instance_id=new_id()) for _ in range(3)]
    waiting = [
        threading.Thread(target=lambda: asyncio.run(with_client('sync', sidecar.address, wait_for_first))),
        threading.Thread(target=lambda: asyncio.run(with_client('async', sidecar.address, wait_for_first))),
    ]
    for thread in waiting:
        thread.start()
    wait(is_mid_run)

    sidecar.kill()
    end_leases(sidecar)
    sidecar.start()

    # A wait outlives what is in the way; other calls may find the channel still waiting before it connects anew.
    client.wait_for_orchestration_start(ids[0], timeout=DEADLINE)
    for instance_id in ids:
        client.raise_orchestration_event(instance_id, 'go', data='gone')
    for thread in waiting:
        thread.join(DEADLINE)
    assert [completed(client, instance_id) for instance_id in ids] == [[0, 1, 2, 3, 4, 5, 'gone']] * 3
    assert outputs == [[0, 1, 2, 3, 4, 5, 'gone']] * 2
    for instance_id in ids:
        history = steps(client, instance_id)
        assert len(history) == len(set(history))  # whatever was run twice counted once


def test_the_result_of_an_activity_that_ran_when_the_sidecar_was_killed(
    sidecar: Sidecar, client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    """The first call's result is ready after the restart only, and goes out on the new connection.

    By then the restarted sidecar has dispatched the activity a second time. The newer sidecar tells the two apart by
    their completion tokens and takes the second result; the older one sends no tokens and takes what comes first.
    """
    calls: list[str] = []
    is_running, is_running_again, is_delivered = (threading.Event() for _ in range(3))

    def slow(ctx: task.ActivityContext, _: None) -> str:
        calls.append('first' if not calls else 'second')
        if calls == ['first']:
            is_running.set()
            wait(is_running_again)
            return 'first'
        is_running_again.set()
        wait(is_delivered)
        return 'second'

    def next_on_the_thread(ctx: task.ActivityContext, _: None) -> None:
        is_delivered.set()

    def waiting_for_slow(ctx: task.OrchestrationContext, _: None) -> Workflow:
        return (yield ctx.call_activity(slow))

    def follow_up(ctx: task.OrchestrationContext, _: None) -> Workflow:
        yield ctx.call_activity(next_on_the_thread)

    # Both threads run `slow`: the activity that lets the second call end runs where the first one was delivered.
    options = ConcurrencyOptions(maximum_thread_pool_workers=2)
    serve(new_worker, [waiting_for_slow, follow_up], [slow, next_on_the_thread], concurrency_options=options)
    instance_id = client.schedule_new_orchestration(waiting_for_slow, instance_id=new_id())
    wait(is_running)

    sidecar.kill()
    end_leases(sidecar)
    sidecar.start()

    wait(is_running_again)
    run(client, follow_up, new_id())
    assert completed(client, instance_id) == ('second' if sidecar.build.sends_deltas else 'first')
    assert calls == ['first', 'second']
    assert steps(client, instance_id) == [
        'executionStarted',
        'taskScheduled 1',
        'taskCompleted 1',
        'executionCompleted 2',
    ]


def test_a_worker_that_starts_before_its_sidecar(
    sidecar: Sidecar, client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    sidecar.stop()
    worker = new_worker()
    worker.add_orchestrator(chain)
    worker.add_activity(echo)
    starting = threading.Thread(target=worker.start)
    starting.start()
    assert not worker.is_worker_ready()

    sidecar.start()

    starting.join(DEADLINE)
    assert worker.is_worker_ready()
    assert run(client, chain, new_id(), 2) == [0, 1]


def test_with_interceptors_that_hide_the_stream_a_worker_reconnects_and_stops_all_the_same(
    sidecar: Sidecar, client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    worker = serve(new_worker, [chain], [echo], interceptors=[GeneratorInterceptor()])
    instance_id = client.schedule_new_orchestration(chain, input=2, instance_id=new_id())
    assert completed(client, instance_id) == [0, 1]

    sidecar.kill()
    sidecar.start()

    client.wait_for_orchestration_start(instance_id, timeout=DEADLINE)
    assert run(client, chain, new_id(), 2) == [0, 1]
    worker.stop()
    assert worker_threads() == []
