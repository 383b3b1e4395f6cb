"""Activities: in turn, at once, in composites, sync and async, and those that fail."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import Any

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.client import TaskHubGrpcClient
from dapr.ext.workflow._durabletask.deterministic import DeterministicContextMixin
from tests.support.e2e import NewId, NewWorker, Workflow, outline, run, serve, steps
from tests.support.scenarios import chain, echo, fan


def test_a_chain_takes_one_turn_for_each_result(
    client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    serve(new_worker, [chain], [echo])
    instance_id = new_id()

    assert run(client, chain, instance_id, 3) == [0, 1, 2]

    assert outline(client, instance_id) == [
        *('workflowStarted', 'executionStarted', 'taskScheduled 1'),
        *('workflowStarted', 'taskCompleted 1', 'taskScheduled 2'),
        *('workflowStarted', 'taskCompleted 2', 'taskScheduled 3'),
        *('workflowStarted', 'taskCompleted 3', 'executionCompleted 4'),
    ]


def test_fifty_activities_at_once_give_their_results_in_order(
    client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    serve(new_worker, [fan], [echo])
    instance_id = new_id()

    assert run(client, fan, instance_id, 50) == list(range(50))

    history = steps(client, instance_id)
    assert history[:51] == ['executionStarted', *(f'taskScheduled {i}' for i in range(1, 51))]
    assert sorted(history[51:-1]) == sorted(f'taskCompleted {i}' for i in range(1, 51))
    assert history[-1] == 'executionCompleted 51'


def test_composites_in_composites(client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId) -> None:
    def nested(ctx: task.OrchestrationContext, _: None) -> Workflow:
        late = ctx.create_timer(timedelta(hours=1))
        numbers = task.when_all([ctx.call_activity(echo, input=i) for i in range(3)])
        words = task.when_all([task.when_all([ctx.call_activity(echo, input=w)]) for w in ('a', 'b')])
        both = task.when_all([numbers, words])
        winner = yield task.when_any([late, both])
        empty = yield task.when_all([])
        return [winner is both, both.get_result(), late.is_complete, empty]

    serve(new_worker, [nested], [echo])
    instance_id = new_id()

    assert run(client, nested, instance_id) == [True, [[0, 1, 2], [['a'], ['b']]], False, []]

    # The timer that no one waits for any more does not keep the workflow from ending.
    history = steps(client, instance_id)
    assert 'timerCreated 1' in history
    assert history[-1] == 'executionCompleted 7'


def test_async_activities_run_at_once_on_one_event_loop(
    client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    arrived: list[int] = []
    all_there = asyncio.Event()

    async def meet(ctx: task.ActivityContext, number: int) -> list[Any]:
        arrived.append(number)
        if len(arrived) == 5:
            all_there.set()
        await asyncio.wait_for(all_there.wait(), 30)
        return [number, threading.get_ident()]

    def meeting(ctx: task.OrchestrationContext, _: None) -> Workflow:
        return (yield task.when_all([ctx.call_activity(meet, input=i) for i in range(5)]))

    serve(new_worker, [meeting], [meet])

    results = run(client, meeting, new_id())

    assert [number for number, _ in results] == [0, 1, 2, 3, 4]
    assert len({thread for _, thread in results}) == 1


def test_a_failed_activity_is_raised_where_it_is_awaited(
    client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    def sync_broken(ctx: task.ActivityContext, _: None) -> None:
        raise KeyError('sync')

    async def async_broken(ctx: task.ActivityContext, _: None) -> None:
        raise LookupError('async')

    def catching(ctx: task.OrchestrationContext, _: None) -> Workflow:
        caught = []
        for activity in (sync_broken, async_broken):
            try:
                yield ctx.call_activity(activity)
            except task.TaskFailedError as error:
                trace = error.details.stack_trace or ''
                caught.append([error.details.error_type, error.details.message, activity.__name__ in trace, str(error)])
        return caught

    serve(new_worker, [catching], [sync_broken, async_broken])
    instance_id = new_id()

    where = f'{instance_id}: Activity task'
    assert run(client, catching, instance_id) == [
        ['KeyError', "'sync'", True, f"{where} #1 failed: 'sync' (KeyError in the activity 'sync_broken')"],
        ['LookupError', 'async', True, f"{where} #2 failed: async (LookupError in the activity 'async_broken')"],
    ]
    assert [line for line in steps(client, instance_id) if line.startswith('task')] == [
        'taskScheduled 1',
        'taskFailed 1',
        'taskScheduled 2',
        'taskFailed 2',
    ]


def test_what_a_workflow_asks_of_its_context_stays_the_same_in_every_turn(
    client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    asked: list[list[Any]] = []

    def curious(ctx: task.OrchestrationContext, _: None) -> Workflow:
        assert isinstance(ctx, DeterministicContextMixin)
        answers = [ctx.instance_id, str(ctx.new_guid()), ctx.random().random(), ctx.current_utc_datetime.isoformat()]
        asked.append(answers)
        yield ctx.call_activity(echo, input=1)
        yield ctx.call_activity(echo, input=2)
        return [answers, ctx.current_utc_datetime.isoformat()]

    serve(new_worker, [curious], [echo])
    instance_id = new_id()

    answers, later = run(client, curious, instance_id)

    assert all(each == answers for each in asked)
    assert answers[0] == instance_id
    assert answers[3] < later
