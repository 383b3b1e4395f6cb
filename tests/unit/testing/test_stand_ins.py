"""Stand-ins for activities and child workflows, and what they say of their calls."""

from __future__ import annotations

from collections.abc import Generator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from dapr.ext.workflow import DaprWorkflowContext, DataConverter, RetryPolicy, WorkflowActivityContext
from dapr.ext.workflow.aio import AsyncWorkflowContext
from dapr.ext.workflow.testing import ActivityEnvironment, WorkflowEnvironment


def charge(ctx: Any, amount: int) -> str:
    raise AssertionError('the real one must not be called')


async def refund(ctx: Any, amount: int) -> str:
    raise AssertionError('the real one must not be called')


def shipping(ctx: Any, item: str) -> Any:
    yield ctx.call_activity('never there')


def order(ctx: Any, amount: int) -> Any:
    policy = RetryPolicy(first_retry_interval=timedelta(minutes=1), max_number_of_attempts=3)
    charged = yield ctx.call_activity(charge, input=amount, retry_policy=policy)
    shipped = yield ctx.call_child_workflow(shipping, input='tea')
    return [charged, shipped]


async def async_order(ctx: AsyncWorkflowContext, amount: int) -> Any:
    return await ctx.call_activity(refund, input=amount)


@pytest.fixture
def env() -> Any:
    with WorkflowEnvironment.start_time_skipping() as env:
        yield env


def test_a_stand_in_answers_and_remembers_its_calls(env: WorkflowEnvironment) -> None:
    charged = env.mock_activity(charge, returns='paid')
    shipped = env.mock_workflow(shipping, returns='sent')

    assert env.run(order, input=5) == ['paid', 'sent']
    charged.assert_called_once_with(5)
    shipped.assert_called_with('tea')
    assert charged.calls[0].instance_id


def with_headers(ctx: DaprWorkflowContext, amount: int) -> Any:
    ctx.set_metadata({'tenant': 'acme'})
    charged = yield ctx.call_activity(charge, input=amount)
    shipped = yield ctx.call_child_workflow(shipping, input='tea', metadata={})
    return [charged, shipped]


def test_a_stand_in_sees_the_input_and_its_metadata_apart(env: WorkflowEnvironment) -> None:
    charged = env.mock_activity(charge, side_effect=lambda ctx, amount: f'{amount} {ctx.get_metadata()}')
    shipped = env.mock_workflow(shipping, side_effect=lambda ctx, item: [item, ctx.execution_info.inbound_metadata])

    assert env.run(with_headers, input=5) == ["5 {'tenant': 'acme'}", ['tea', {}]]
    charged.assert_called_once_with(5)
    assert (charged.calls[0].metadata, shipped.calls[0].metadata) == ({'tenant': 'acme'}, {})


def test_an_activity_by_itself_is_given_metadata_and_a_span() -> None:
    def tells(ctx: WorkflowActivityContext, _: Any) -> Any:
        return [ctx.get_metadata(), ctx.trace_parent, ctx.trace_state]

    given = ActivityEnvironment(metadata={'a': 'b'}, trace_parent='00-1-2-01', trace_state='c=d')

    assert given.run(tells) == [{'a': 'b'}, '00-1-2-01', 'c=d']
    assert ActivityEnvironment().run(tells) == [{}, None, None]


def test_an_error_is_retried_as_one_of_the_activity_would_be(env: WorkflowEnvironment) -> None:
    env.mock_workflow('shipping', returns='sent')
    failing = env.mock_activity('charge', raises=ConnectionError('down'), times=2)
    working = env.mock_activity('charge', returns='at last')
    begun = env.now()

    assert env.run(order, input=1)[0] == 'at last'
    assert (failing.call_count, working.call_count) == (2, 1)
    assert env.now() - begun >= timedelta(minutes=2)


def test_a_side_effect_is_called_with_the_context_and_the_input(env: WorkflowEnvironment) -> None:
    env.mock_workflow(shipping, side_effect=['first'])
    env.mock_activity(charge, side_effect=lambda ctx, amount: f'{ctx.workflow_id is not None} {amount}')

    assert env.run(order, input=7) == ['True 7', 'first']


def test_a_stand_in_for_an_async_activity_of_an_async_workflow(env: WorkflowEnvironment) -> None:
    refunded = env.mock_activity(refund, returns='back')

    assert env.run(async_order, input=3) == 'back'
    refunded.assert_called_once_with(3)


def test_a_stand_in_can_take_the_workflows_time(env: WorkflowEnvironment) -> None:
    env.mock_workflow(shipping, returns=None)
    env.mock_activity(charge, returns='paid', takes=timedelta(hours=5))
    begun = env.now()

    env.run(order, input=1)
    assert env.now() - begun >= timedelta(hours=5)


def test_what_is_neither_registered_nor_stood_in_for_fails_with_the_names_there_are(env: WorkflowEnvironment) -> None:
    env.mock_activity('chrage', returns='paid')
    with pytest.raises(Exception, match='chrage'):
        env.run(order, input=1)


def test_checks_say_what_the_calls_were(env: WorkflowEnvironment) -> None:
    charged = env.mock_activity(charge, returns='paid')
    env.mock_workflow(shipping, returns=None)
    charged.assert_not_called()
    with pytest.raises(AssertionError, match='was not called'):
        charged.assert_called()
    env.run(order, input=5)

    with pytest.raises(AssertionError, match=r'(?s)was called with 5 at last, not with 6.*Its calls'):
        charged.assert_called_with(6)
    with pytest.raises(AssertionError, match='was called once, not 2 times'):
        charged.assert_call_count(2)


@pytest.mark.parametrize('wrong', [{'returns': 1, 'raises': ValueError}, {'times': 0}])
def test_a_stand_in_that_makes_no_sense_is_refused(env: WorkflowEnvironment, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="'charge'"):
        env.mock_activity(charge, **wrong)


def told(ctx: WorkflowActivityContext, name: str) -> list[Any]:
    return [name, ctx.workflow_id, ctx.task_id]


async def told_async(ctx: WorkflowActivityContext) -> str:
    return ctx.workflow_id


def test_an_activity_runs_by_itself_with_a_context_of_the_tests() -> None:
    assert ActivityEnvironment(workflow_id='w', task_id=4).run(told, 'tea') == ['tea', 'w', 4]
    assert ActivityEnvironment().run(told_async) == 'test-workflow'


def test_what_cannot_be_encoded_is_found_without_a_sidecar() -> None:
    with pytest.raises(TypeError):
        ActivityEnvironment().run(told, object())


async def waits_for_the_end(ctx: WorkflowActivityContext) -> bool:
    return bool(ctx.is_shutting_down)


def test_an_activity_sees_that_its_worker_is_stopping() -> None:
    env = ActivityEnvironment()
    assert env.run(waits_for_the_end) is False
    env.shut_down()
    assert env.run(waits_for_the_end) is True


class TestTypedValues:
    """What a test is given is what the annotations say, as in production."""

    def test_outputs_inputs_of_stand_ins_and_results(self) -> None:
        def price(ctx: WorkflowActivityContext, day: date) -> Decimal:
            return Decimal(day.day)

        def flow(ctx: DaprWorkflowContext, day: date) -> Generator[Any, Any, list[Decimal]]:
            return [(yield ctx.call_activity(price, input=day)) + 1]

        with WorkflowEnvironment.start_time_skipping() as env:
            mock = env.mock_activity(price, returns=Decimal('4.20'))
            assert env.run(flow, input=date(2020, 1, 2)) == [Decimal('5.20')]
            mock.assert_called_once_with(date(2020, 1, 2))
        assert ActivityEnvironment().run(price, date(2020, 1, 2)) == Decimal(2)

    def test_a_converter_of_the_tests_own(self) -> None:
        class Shouting(DataConverter):
            def serialize(self, value: Any) -> str | None:
                return str(value).upper()

            def deserialize(self, text: str | None, target_type: Any = None) -> Any:
                return text

        def say(ctx: WorkflowActivityContext, what: str) -> str:
            return f'{what} and more'

        def flow(ctx: DaprWorkflowContext, what: str) -> Generator[Any, Any, str]:
            return (yield ctx.call_activity(say, input=what))  # type: ignore[no-any-return]

        with WorkflowEnvironment.start_time_skipping(data_converter=Shouting()) as env:
            assert env.run(flow, input='a word', activities=[say]) == 'A WORD AND MORE'
