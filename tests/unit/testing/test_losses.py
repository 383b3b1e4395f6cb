"""Failures on order: answers that get lost."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from typing import Any

import pytest

from dapr.ext.workflow import DaprWorkflowContext, RetryPolicy, WorkflowActivityContext
from dapr.ext.workflow.testing import WorkflowEnvironment, WorkflowHistory

Run = Generator[Any, Any, Any]


def add(ctx: WorkflowActivityContext, number: int) -> int:
    return number + 1


class Recorded:
    """A workflow of three activities, and how each of its turns began."""

    def __init__(self) -> None:
        self.replays: list[bool] = []

    def steps(self, ctx: DaprWorkflowContext, number: int) -> Run:
        self.replays.append(ctx.is_replaying)
        for _ in range(3):
            number = yield ctx.call_activity(add, input=number)
        yield ctx.create_timer(timedelta(days=1))
        return number


@pytest.mark.parametrize('turn', [1, 2, 4, 5])
def test_a_worker_that_is_lost_in_a_turn_leaves_a_workflow_that_is_replayed_and_goes_on(turn: int) -> None:
    recorded = Recorded()
    with WorkflowEnvironment.start_time_skipping() as env:
        env.lose_turn('steps', turn)
        runtime = env.runtime(workflows={'steps': recorded.steps}, activities=[add])
        runtime.start()
        instance_id = env.client.schedule_new_workflow('steps', input=1)
        state = env.client.wait_for_workflow_completion(instance_id)
        history = WorkflowHistory.fetch(env.client, instance_id)
    assert state is not None
    assert state.output() == 4
    # Run from the start once more, and once alone.
    assert recorded.replays == [False, turn > 1]
    assert sum(event.HasField('taskScheduled') for event in history.events) == 3


def test_every_run_loses_the_turn_once() -> None:
    recorded = Recorded()
    with WorkflowEnvironment.start_time_skipping() as env:
        env.lose_turn('steps', 2)
        env.runtime(workflows={'steps': recorded.steps}, activities=[add]).start()
        for _ in range(2):
            instance_id = env.client.schedule_new_workflow('steps', input=1)
            assert env.client.wait_for_workflow_completion(instance_id) is not None
    assert recorded.replays == [False, True, False, True]


def test_an_activity_whose_result_is_lost_runs_again_and_is_no_failure() -> None:
    calls: list[str] = []

    def charge(ctx: WorkflowActivityContext, amount: int) -> str:
        calls.append(ctx.task_execution_id)
        return f'charged {amount}'

    def pays(ctx: DaprWorkflowContext, amount: int) -> Run:
        return (yield ctx.call_activity(charge, input=amount))

    with WorkflowEnvironment.start_time_skipping() as env:
        env.lose_result(charge, times=2)
        assert env.run(pays, input=7, activities=[charge]) == 'charged 7'
        assert env.run(pays, input=8, activities=[charge]) == 'charged 8'
    assert len(calls) == 4
    assert len(set(calls)) == 2  # the same key for the attempts of one call


def test_the_next_attempt_of_an_activity_fails_by_a_stand_in_for_one_call() -> None:
    def pays(ctx: DaprWorkflowContext, number: int) -> Run:
        policy = RetryPolicy(first_retry_interval=timedelta(hours=1), max_number_of_attempts=2)
        return (yield ctx.call_activity(add, input=number, retry_policy=policy))

    with WorkflowEnvironment.start_time_skipping() as env:
        begun = env.now()
        env.mock_activity(add, raises=ConnectionError('down'), times=1)
        assert env.run(pays, input=1, activities=[add]) == 2
        assert env.now() - begun >= timedelta(hours=1)


def test_what_makes_no_sense_is_refused() -> None:
    with WorkflowEnvironment.start_time_skipping() as env:
        with pytest.raises(ValueError, match='turn is 0'):
            env.lose_turn('steps', 0)
        with pytest.raises(ValueError, match='times is None'):
            env.lose_result(add, times=None)  # type: ignore[arg-type]
        with (
            WorkflowEnvironment.from_client(env.client) as outside,
            pytest.raises(ValueError, match='a sidecar of the environment itself'),
        ):
            outside.lose_result(add)
