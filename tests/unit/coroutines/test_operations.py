"""The operations of async workflows in the log, where the environment asks for them."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import pytest

from dapr.ext.workflow._durabletask.replay.operations import are_told
from dapr.ext.workflow._durabletask.retry import RetryPolicy
from tests.support.async_engine import Context, driver
from tests.support.engine import Driver, task_completed, task_failed, timer_fired

POLICY = RetryPolicy(first_retry_interval=timedelta(seconds=1), max_number_of_attempts=2)


async def workflow(ctx: Context, _: None) -> str:
    ctx.set_custom_status('begun')
    price, _slept = await asyncio.gather(ctx.call_activity('price', input='lamp'), asyncio.sleep(60))
    try:
        await ctx.call_activity('charge', retry_policy=POLICY)
    except Exception as error:
        ctx.send_event('boss', 'failed', type(error).__name__)
    return str(price)


def run(through: Driver) -> None:
    through.start()
    through.turn(task_completed(1, 99))
    through.turn(timer_fired(2))
    through.turn(task_failed(3))
    through.turn(timer_fired(4))
    results = through.turn(task_failed(5))
    assert [action.WhichOneof('workflowActionType') for action in results.actions] == ['sendEvent', 'completeWorkflow']


TOLD = [
    '1: asks for activity \'price\' with input "lamp"',
    '2: asks for a timer until 2024-02-03 04:06:07 UTC',
    'sets its custom status: begun',
    '1: activity \'price\' with input "lamp" has ended: 99',
    '2: a timer until 2024-02-03 04:06:07 UTC has ended: None',
    "3: asks for activity 'charge'",
    "3: activity 'charge' has failed: TaskFailedError: abc: Activity task #5 failed: boom (ValueError in the activity "
    "'charge', attempt 2)",
    "6: asks for the sending of event 'failed' to instance 'boss' with input \"TaskFailedError\"",
    'the workflow completed with "99"',
]


@pytest.mark.parametrize('variable', ['DAPR_WF_DEBUG', 'DT_DEBUG'])
def test_each_operation_is_told_once_and_not_again_in_replay(
    variable: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(variable, '1')
    through = driver(workflow)
    with caplog.at_level(logging.INFO, 'dapr.workflow.workflow'):
        run(through)

    # The driver has two engines: one that is kept, and one that replays all before each turn.
    messages = [record.getMessage() for record in caplog.records]
    assert sorted(messages) == sorted(2 * TOLD)
    assert {vars(record)['instance_id'] for record in caplog.records} == {'abc'}
    through.close()


def test_nothing_is_told_by_default(caplog: pytest.LogCaptureFixture) -> None:
    through = driver(workflow)
    with caplog.at_level(logging.DEBUG):
        run(through)

    assert not [record for record in caplog.records if record.name == 'dapr.workflow.workflow']
    through.close()


def test_a_workflow_takes_the_same_course(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = driver(workflow)
    run(plain)
    monkeypatch.setenv('DAPR_WF_DEBUG', 'yes')
    logged = driver(workflow)
    run(logged)

    assert logged.committed == plain.committed
    for each in (plain, logged):
        each.close()


def test_a_workflow_that_is_closed_half_way_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('DAPR_WF_DEBUG', '1')
    closed = []

    async def waits(ctx: Context, _: None) -> None:
        try:
            await ctx.call_activity('a')
        finally:
            closed.append(True)

    through = driver(waits)
    through.start()
    closed.clear()
    through.close()
    assert closed == [True]


@pytest.mark.parametrize(
    ('value', 'expected'), [('1', True), ('true', True), ('', False), ('0', False), ('off', False), (' False ', False)]
)
def test_the_variable_says_so(value: str, expected: bool) -> None:
    assert are_told({'DAPR_WF_DEBUG': value}) is expected
    assert are_told({'DT_DEBUG': value}) is expected
    assert not are_told({})
