"""Tests of the shop's orders: months of waiting in milliseconds. `pytest` in this folder runs them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dapr.ext.workflow.testing import ActivityEnvironment, Replayer, WorkflowEnvironment, WorkflowHistory
from orders import Order, approval, charge, purchase, remind, runtime

LAMP, CAR = Order('a lamp', 99), Order('a car', 20_000)


# --8<-- [start:first]
def test_a_small_order_is_charged_at_once(workflow_env: WorkflowEnvironment) -> None:
    bank = workflow_env.mock_activity(charge, returns='receipt 1')

    assert workflow_env.run(purchase, input=LAMP) == 'sold: receipt 1'
    bank.assert_called_once_with(LAMP)


# --8<-- [end:first]
# --8<-- [start:time]
def test_who_does_not_answer_is_reminded_each_week(workflow_env: WorkflowEnvironment) -> None:
    reminder = workflow_env.mock_activity(remind)
    begun = workflow_env.now()

    assert workflow_env.run(purchase, input=CAR, workflows=[approval]) == 'refused'
    assert reminder.call_count == 4
    assert workflow_env.now() - begun == timedelta(weeks=4)


def test_an_approval_in_the_second_week(workflow_env: WorkflowEnvironment) -> None:
    workflow_env.mock_activity(charge, returns='receipt 2')
    reminder = workflow_env.mock_activity(remind)
    workflow_env.runtime(like=runtime).start()

    client = workflow_env.client
    client.schedule_new_workflow(purchase, input=CAR, instance_id='car')
    workflow_env.sleep(timedelta(days=10))
    client.raise_workflow_event('car-ok', 'approved', data=True)

    state = client.wait_for_workflow_completion('car')
    assert state is not None
    assert state.output(str) == 'sold: receipt 2'
    reminder.assert_called_once_with('a car')


# --8<-- [end:time]
# --8<-- [start:failures]
def test_a_bank_that_is_down_for_a_while(workflow_env: WorkflowEnvironment) -> None:
    workflow_env.mock_activity(charge, raises=ConnectionError('down'), times=3)

    assert workflow_env.run(purchase, input=LAMP, activities=[charge]).startswith('sold: receipt for 99')


def test_a_worker_that_dies_before_its_answer_arrives(workflow_env: WorkflowEnvironment) -> None:
    workflow_env.lose_turn(purchase, 2)
    workflow_env.lose_result(charge)

    assert workflow_env.run(purchase, input=LAMP, activities=[charge]).startswith('sold: ')


# --8<-- [end:failures]
# --8<-- [start:activity]
def test_the_bank_is_given_the_key_of_the_call() -> None:
    assert ActivityEnvironment(task_execution_id='k-1').run(charge, LAMP) == 'receipt for 99 (k-1)'


# --8<-- [end:activity]
# --8<-- [start:replay]
@pytest.mark.parametrize('order', [LAMP, CAR], ids=lambda order: order.article)
def test_what_runs_today_can_be_replayed(workflow_env: WorkflowEnvironment, order: Order) -> None:
    workflow_env.mock_workflow(approval, returns=True)
    workflow_env.run(purchase, input=order, activities=[charge], instance_id='i')

    history = WorkflowHistory.fetch(workflow_env.client, 'i')

    Replayer(workflows=[runtime]).replay_workflow(history)


# --8<-- [end:replay]
