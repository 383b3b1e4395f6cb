"""From a generator to a coroutine: what becomes of the instances that are running."""

from __future__ import annotations

from dapr.ext.workflow import DaprWorkflowContext
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from dapr.ext.workflow.adapters import adapt_workflow
from dapr.ext.workflow.aio import AsyncWorkflowContext
from tests.support.engine import Driver, failure_of, output, task_completed
from tests.support.scenarios import Workflow


def order_v1(ctx: DaprWorkflowContext, item: str) -> Workflow:
    yield ctx.call_activity('reserve', input=item)
    yield ctx.call_activity('charge', input=item)
    return 'by the generator'


async def order_v2(ctx: AsyncWorkflowContext, item: str) -> str:
    await ctx.call_activity('reserve', input=item)
    await ctx.call_activity('charge', input=item)
    return 'by the coroutine'


async def order_in_another_order(ctx: AsyncWorkflowContext, item: str) -> None:
    await ctx.call_activity('charge', input=item)
    await ctx.call_activity('reserve', input=item)


def registered(*versions: tuple[str | None, object]) -> _Registry:
    """Workflows of one name; the last version is the latest."""
    registry = _Registry()
    for version, workflow in versions:
        registry.add_named_orchestrator('order_v1', adapt_workflow(workflow), version, True)  # type: ignore[arg-type]
    return registry


def deployed(begun_on: _Registry, ends_on: _Registry) -> Driver:
    """An instance that has begun on one registry and goes on with another."""
    driver = Driver(order_v1, '"lamp"', registry=begun_on)
    driver.start()
    driver.close()
    driver.registry, driver._stands_at = ends_on, 0
    return driver


def test_with_a_version_what_began_on_the_generator_ends_on_it() -> None:
    driver = deployed(registered(('v1', order_v1)), registered(('v1', order_v1), ('v2', order_v2)))
    driver.turn(task_completed(1))
    assert output(driver.turn(task_completed(2))) == 'by the generator'


def test_what_begins_now_runs_as_a_coroutine() -> None:
    driver = Driver(order_v1, '"lamp"', registry=registered(('v1', order_v1), ('v2', order_v2)))
    driver.start()
    driver.turn(task_completed(1))
    assert output(driver.turn(task_completed(2))) == 'by the coroutine'


def test_without_a_version_the_latest_replays_it() -> None:
    driver = deployed(registered((None, order_v1)), registered(('v1', order_v1), ('v2', order_v2)))
    driver.turn(task_completed(1))
    assert output(driver.turn(task_completed(2))) == 'by the coroutine'


def test_and_fails_where_it_asks_for_something_else() -> None:
    driver = deployed(registered((None, order_v1)), registered((None, order_in_another_order)))
    assert failure_of(driver.turn(task_completed(1))).errorType == 'NonDeterminismError'
