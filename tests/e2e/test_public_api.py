"""What an app imports, on real sidecars: `dapr.ext.workflow` from start to end."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from dapr.ext.workflow import (
    DaprWorkflowClient,
    DaprWorkflowContext,
    RetryPolicy,
    WorkflowActivityContext,
    WorkflowRuntime,
    WorkflowStatus,
    aio,
    when_all,
)
from tests.support.e2e import DEADLINE, NewId
from tools.go_sidecar import Sidecar

Workflow = Generator[Any, Any, Any]


class Order(BaseModel):
    id: int
    items: list[str]


def test_an_app_runs_its_workflows(sidecar: Sidecar, new_id: NewId) -> None:
    host, port = sidecar.address.split(':')
    runtime = WorkflowRuntime(host, port)
    attempts: list[str] = []

    @runtime.activity(name='weigh')
    def weigh_item(ctx: WorkflowActivityContext, item: str) -> int:
        return len(item)

    @runtime.activity
    async def charge(ctx: WorkflowActivityContext, order: Order) -> str:
        attempts.append(ctx.workflow_id)
        if len(attempts) == 1:
            raise ConnectionError('the bank does not answer')
        return f'charged order {order.id}'

    @runtime.workflow
    def packing(ctx: DaprWorkflowContext, items: list[str]) -> Workflow:
        return sum((yield when_all([ctx.call_activity(weigh_item, input=item) for item in items])))

    @runtime.workflow(name='orders')
    def process(ctx: DaprWorkflowContext, order: Order) -> Workflow:
        grams = yield ctx.call_child_workflow(packing, input=order.items)
        approved = yield ctx.wait_for_external_event('approval', timeout=timedelta(seconds=30))
        policy = RetryPolicy(first_retry_interval=timedelta(milliseconds=10), max_number_of_attempts=3)
        paid = yield ctx.call_activity(charge, input=order, retry_policy=policy)
        ctx.set_custom_status('paid')
        return [grams, approved, paid]

    runtime.start()
    try:
        runtime.wait_for_worker_ready(timeout=DEADLINE)
        client = DaprWorkflowClient(host, port)
        instance_id = client.schedule_new_workflow(
            process, input=Order(id=7, items=['pen', 'paper']), instance_id=new_id()
        )
        client.raise_workflow_event(instance_id, 'Approval', data=False)
        state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=int(DEADLINE))
        assert state is not None
        assert state.runtime_status is WorkflowStatus.COMPLETED, state
        assert state.serialized_output == '[8, false, "charged order 7"]'
        assert state.serialized_custom_status == 'paid'
        assert len(attempts) == 2
        assert client.get_workflow_state('there-is-none-of-this-name') is None
        client.close()
        asyncio.run(_ask_again(host, port, instance_id))
    finally:
        runtime.shutdown()


async def _ask_again(host: str, port: str, instance_id: str) -> None:
    client = aio.DaprWorkflowClient(host, port)
    try:
        state = await client.wait_for_workflow_completion(instance_id, timeout_in_seconds=int(DEADLINE))
        assert state is not None
        assert state.serialized_output == '[8, false, "charged order 7"]'
    finally:
        await client.aclose()


@pytest.mark.own_mode
def test_a_runtime_tells_what_it_keeps(sidecar: Sidecar) -> None:
    host, port = sidecar.address.split(':')
    runtime = WorkflowRuntime(host, port, disable_sticky_execution=False)

    @runtime.workflow(name='two_steps_in_a_kept_workflow')
    def two_steps(ctx: DaprWorkflowContext, _: None) -> Any:
        for _number in range(2):
            yield ctx.call_activity('nothing_to_do')

    @runtime.activity(name='nothing_to_do')
    def nothing(ctx: WorkflowActivityContext) -> None:
        return None

    with runtime, DaprWorkflowClient(host, port) as client:
        instance_id = client.schedule_new_workflow(two_steps)
        assert client.wait_for_workflow_completion(instance_id, timeout_in_seconds=60) is not None
        stats = runtime.sticky_execution_stats
    assert (stats.hits, stats.misses.total, stats.running) == (2, 0, 0)
    assert runtime.history_cache_stats.entries == 0
