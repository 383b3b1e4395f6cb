"""Durable timers."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone
from itertools import pairwise

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.client import TaskHubGrpcClient
from tests.support.e2e import NewId, NewWorker, Workflow, outline, run, serve, wait


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


def test_a_call_that_takes_longer_than_it_was_given_fails_and_its_result_is_ignored(
    client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    is_let_go = threading.Event()

    def slow(ctx: task.ActivityContext, _: None) -> str:
        wait(is_let_go)
        return 'late'

    def quick(ctx: task.ActivityContext, _: None) -> str:
        return 'quick'

    def let_go(ctx: task.ActivityContext, _: None) -> None:
        is_let_go.set()

    def impatient(ctx: task.OrchestrationContext, _: None) -> Workflow:
        late = ctx.call_activity(slow, timeout=0.2)
        in_time = yield ctx.call_activity(quick, timeout=timedelta(hours=1))
        try:
            yield late
        except TimeoutError as error:
            told = str(error)
        yield ctx.call_activity(let_go)
        yield ctx.create_timer(timedelta(milliseconds=100))  # the late result comes by
        return [in_time, told]

    serve(new_worker, [impatient], [slow, quick, let_go])
    instance_id = new_id()

    in_time, told = run(client, impatient, instance_id)

    assert in_time == 'quick'
    assert told.startswith("call_activity('slow') took longer than it was given (timeout: 0.2)")
    history = outline(client, instance_id)
    assert 'timerFired 2' in history
    assert 'timerCreated 4' in history
