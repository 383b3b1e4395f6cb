"""Actions are numbered from 1 in program order, and an ending takes the next number and drops what is pending."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
from tests.support.engine import (
    Driver,
    child_completed,
    completion,
    event_raised,
    kinds,
    output,
    task_completed,
    timer_fired,
)
from tests.support.scenarios import Workflow


def test_ids_count_up_from_one_over_all_kinds_of_actions() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        ctx.call_activity('a')
        ctx.create_timer(timedelta(seconds=1))
        ctx.call_sub_orchestrator('c')
        ctx.wait_for_external_event('limited', timeout=timedelta(seconds=1))
        ctx.wait_for_external_event('unlimited')
        ctx.wait_for_external_event('at once', timeout=timedelta(0))  # makes no timer, so takes no id
        yield ctx.call_activity('b')

    assert kinds(Driver(workflow).start()) == [
        (1, 'scheduleTask'),
        (2, 'createTimer'),
        (3, 'createChildWorkflow'),
        (4, 'createTimer'),
        (5, 'createTimer'),
        (6, 'scheduleTask'),
    ]


def test_ids_go_on_over_turns_and_each_action_goes_out_once() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        pending = ctx.call_activity('pending')
        first = yield ctx.call_activity('first')
        second = yield ctx.call_activity('second')
        return [first, second, (yield pending)]

    driver = Driver(workflow)
    assert kinds(driver.start()) == [(1, 'scheduleTask'), (2, 'scheduleTask')]
    assert kinds(driver.turn(task_completed(2, 'f'))) == [(3, 'scheduleTask')]
    assert kinds(driver.turn()) == []
    assert kinds(driver.turn(task_completed(3, 's'))) == []
    ended = driver.turn(task_completed(1, 'p'))
    assert kinds(ended) == [(4, 'completeWorkflow')]
    assert output(ended) == ['f', 's', 'p']


def test_results_go_to_the_calls_they_belong_to_in_whatever_order_they_come() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        tasks: list[task.Task[Any]] = [
            ctx.call_activity('a'),
            ctx.call_sub_orchestrator('c'),
            ctx.create_timer(timedelta(seconds=1)),
            ctx.wait_for_external_event('e'),
            ctx.call_activity('a'),
        ]
        return (yield task.when_all(tasks))

    driver = Driver(workflow)
    driver.start()
    driver.turn(task_completed(5, 'fifth'), event_raised('e', '"fourth"'))
    driver.turn(child_completed(2, 'second'))
    assert output(driver.turn(timer_fired(3), task_completed(1, 'first'))) == [
        'first',
        'second',
        None,
        'fourth',
        'fifth',
    ]


def _returns(ctx: Context) -> str:
    return 'done'


def _raises(ctx: Context) -> None:
    raise RuntimeError('on purpose')


def _continues(ctx: Context) -> None:
    ctx.continue_as_new(1)


@pytest.mark.parametrize(
    ('ending', 'status'),
    [
        (_returns, pb.ORCHESTRATION_STATUS_COMPLETED),
        (_raises, pb.ORCHESTRATION_STATUS_FAILED),
        (_continues, pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW),
    ],
)
def test_an_ending_takes_the_next_id_and_drops_every_pending_action(
    ending: Callable[[Context], Any], status: pb.OrchestrationStatus.ValueType
) -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.call_activity('awaited')
        ctx.call_activity('dropped')
        ctx.create_timer(timedelta(seconds=1))
        ctx.call_sub_orchestrator('dropped')
        return ending(ctx)

    driver = Driver(workflow)
    driver.start()
    ended = driver.turn(task_completed(1))
    assert kinds(ended) == [(5, 'completeWorkflow')]
    assert completion(ended).workflowStatus == status


def test_a_workflow_that_asks_for_nothing_completes_under_id_one() -> None:
    def plain(ctx: Context, value: int) -> int:
        return value + 1

    def generator(ctx: Context, value: int) -> Workflow:
        return value + 1
        yield

    for workflow in (plain, generator):
        ended = Driver(workflow, '41').start()
        assert kinds(ended) == [(1, 'completeWorkflow')]
        assert output(ended) == 42


@pytest.mark.parametrize(('before', 'expected'), [(0, 'abc:0001'), (9, 'abc:000a'), (0xFF, 'abc:0100')])
def test_the_default_id_of_a_child_is_made_of_the_actions_id_in_hex(before: int, expected: str) -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        for _number in range(before):
            ctx.create_timer(timedelta(seconds=1))
        yield ctx.call_sub_orchestrator('child')

    action = Driver(workflow).start().actions[-1]
    assert (action.id, action.createChildWorkflow.instanceId) == (before + 1, expected)


def test_a_childs_own_id_is_kept_as_given() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.call_sub_orchestrator('child', input=[], instance_id='mine')

    child = Driver(workflow).start().actions[0].createChildWorkflow
    assert (child.name, child.instanceId, child.input.value) == ('child', 'mine', '[]')
