"""Durable timers."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from itertools import pairwise

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.client import TaskHubGrpcClient
from tests.support.e2e import NewId, NewWorker, Workflow, outline, run, serve


def test_timers_fire_when_they_are_due_and_logical_time_moves_with_them(
    client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    def sleeper(ctx: task.OrchestrationContext, _: None) -> Workflow:
        moments = [ctx.current_utc_datetime]
        yield ctx.create_timer(timedelta(milliseconds=300))
        moments.append(ctx.current_utc_datetime)
        yield ctx.create_timer(ctx.current_utc_datetime + timedelta(milliseconds=200))
        moments.append(ctx.current_utc_datetime)
        yield ctx.create_timer(datetime(2020, 1, 1, tzinfo=timezone.utc))  # long due
        return [(later - earlier).total_seconds() for earlier, later in pairwise(moments)]

    serve(new_worker, [sleeper])
    instance_id = new_id()

    first, second = run(client, sleeper, instance_id)

    assert 0.3 <= first < 30
    assert 0.2 <= second < 30
    assert outline(client, instance_id) == [
        *('workflowStarted', 'executionStarted', 'timerCreated 1'),
        *('workflowStarted', 'timerFired 1', 'timerCreated 2'),
        *('workflowStarted', 'timerFired 2', 'timerCreated 3'),
        *('workflowStarted', 'timerFired 3', 'executionCompleted 4'),
    ]


def test_a_timer_that_is_due_later_holds_no_one_up(
    client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    def race(ctx: task.OrchestrationContext, _: None) -> Workflow:
        late = ctx.create_timer(timedelta(hours=1))
        early = ctx.create_timer(timedelta(milliseconds=200))
        winner = yield task.when_any([late, early])
        return [winner is early, late.is_complete]

    serve(new_worker, [race])
    instance_id = new_id()

    assert run(client, race, instance_id) == [True, False]

    assert outline(client, instance_id) == [
        *('workflowStarted', 'executionStarted', 'timerCreated 1', 'timerCreated 2'),
        *('workflowStarted', 'timerFired 2', 'executionCompleted 3'),
    ]
