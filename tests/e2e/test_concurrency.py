"""Many workflows at once, activities that wait for workflows, and two workers on one sidecar."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.aio.client import AsyncTaskHubGrpcClient
from dapr.ext.workflow._durabletask.client import OrchestrationStatus, TaskHubGrpcClient
from dapr.ext.workflow._durabletask.worker import ConcurrencyOptions
from tests.support.e2e import DEADLINE, NewId, NewWorker, Workflow, completed, run, serve, steps, wait
from tests.support.scenarios import chain, echo
from tools.go_sidecar import Sidecar


def test_a_hundred_workflows_at_once(sidecar: Sidecar, new_worker: NewWorker, new_id: NewId) -> None:
    async def run_one(client: AsyncTaskHubGrpcClient, number: int) -> tuple[OrchestrationStatus, str | None]:
        instance_id = await client.schedule_new_orchestration(chain, input=number % 4, instance_id=new_id())
        state = await client.wait_for_orchestration_completion(instance_id, timeout=DEADLINE)
        assert state is not None
        return state.runtime_status, state.serialized_output

    async def run_all() -> list[tuple[OrchestrationStatus, str | None]]:
        async with AsyncTaskHubGrpcClient(host_address=sidecar.address) as client:
            return await asyncio.gather(*(run_one(client, number) for number in range(100)))

    serve(new_worker, [chain], [echo])

    outputs = asyncio.run(run_all())

    expected = ['[]', '[0]', '[0, 1]', '[0, 1, 2]']
    assert outputs == [(OrchestrationStatus.COMPLETED, expected[number % 4]) for number in range(100)]


def test_activities_on_every_thread_can_wait_for_workflows(
    client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    threads = 3
    all_wait = threading.Barrier(threads)

    async def double(ctx: task.ActivityContext, number: int) -> int:
        return number * 2

    def inner(ctx: task.OrchestrationContext, number: int) -> Workflow:
        return (yield ctx.call_activity(double, input=number))

    def run_inner(ctx: task.ActivityContext, number: int) -> int:
        all_wait.wait(DEADLINE)
        result: int = run(client, inner, f'{ctx.orchestration_id}-{number}', number)
        return result

    def outer(ctx: task.OrchestrationContext, _: None) -> Workflow:
        return (yield task.when_all([ctx.call_activity(run_inner, input=n) for n in range(threads)]))

    # As few threads for turns, too: an activity that took one would leave none to run what it waits for.
    options = ConcurrencyOptions(
        maximum_thread_pool_workers=threads, maximum_concurrent_orchestration_work_items=threads
    )
    serve(new_worker, [outer, inner], [run_inner, double], concurrency_options=options)

    assert run(client, outer, new_id()) == [0, 2, 4]


def test_activities_that_wait_for_workflows_leave_threads_for_the_activities_of_these(
    client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    many, threads = 12, 2

    def double(ctx: task.ActivityContext, number: int) -> int:
        return number * 2

    def inner(ctx: task.OrchestrationContext, number: int) -> Workflow:
        return (yield ctx.call_activity(double, input=number))

    def run_inner(ctx: task.ActivityContext, number: int) -> int:
        result: int = run(client, inner, f'{ctx.orchestration_id}-{number}', number)
        return result

    def outer(ctx: task.OrchestrationContext, _: None) -> Workflow:
        return (yield task.when_all([ctx.call_activity(run_inner, input=n) for n in range(many)]))

    options = ConcurrencyOptions(maximum_thread_pool_workers=threads)
    serve(new_worker, [outer, inner], [run_inner, double], concurrency_options=options)

    assert run(client, outer, new_id()) == [number * 2 for number in range(many)]


def test_two_workers_share_the_work_and_one_goes_on_when_the_other_stops(
    client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    def names_itself(name: str) -> Callable[..., str]:
        def where(ctx: task.ActivityContext, _: None) -> str:
            return name

        return where

    both_took_part = threading.Event()

    def note(ctx: task.ActivityContext, _: None) -> None:
        both_took_part.set()

    def spread(ctx: task.OrchestrationContext, _: None) -> Workflow:
        seen: set[str] = set()
        while len(seen) < 2:
            seen.update((yield task.when_all([ctx.call_activity('where') for _i in range(5)])))
        yield ctx.call_activity(note)
        yield ctx.wait_for_external_event('one has stopped')
        return (yield task.when_all([ctx.call_activity('where') for _i in range(10)]))

    workers = {name: serve(new_worker, [spread], [names_itself(name), note]) for name in ('a', 'b')}
    instance_id = client.schedule_new_orchestration(spread, instance_id=new_id())
    wait(both_took_part)
    workers['a'].stop()
    client.raise_orchestration_event(instance_id, 'one has stopped')

    assert completed(client, instance_id) == ['b'] * 10

    history = steps(client, instance_id)
    assert len(history) == len(set(history))  # nothing was done twice
