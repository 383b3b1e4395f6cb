"""Many activities at once, in a number that is known only while the workflow runs; their results in one place."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from typing import Any

from dapr.ext.workflow._durabletask import client, task, worker


def list_orders(ctx: task.ActivityContext, count: int) -> list[str]:
    return [f'order-{number:03}' for number in range(count)]


def weigh_order(ctx: task.ActivityContext, order: str) -> int:
    """Stands for something slow: the weight of an order in grams."""
    return int(hashlib.sha256(order.encode()).hexdigest()[:4], 16)


def weigh_all(ctx: task.OrchestrationContext, count: int) -> Generator[task.Task[Any], Any, dict[str, int]]:
    orders: list[str] = yield ctx.call_activity(list_orders, input=count)
    weights: list[int] = yield task.when_all([ctx.call_activity(weigh_order, input=order) for order in orders])
    return {'orders': len(orders), 'grams': sum(weights)}


def main() -> None:
    with worker.TaskHubGrpcWorker() as w, client.TaskHubGrpcClient() as c:
        w.add_orchestrator(weigh_all)
        w.add_activity(list_orders)
        w.add_activity(weigh_order)
        w.start()
        instance_id = c.schedule_new_orchestration(weigh_all, input=20)
        state = c.wait_for_orchestration_completion(instance_id, timeout=30)
        assert state is not None
        state.raise_if_failed()
        print(f'{instance_id} completed: {state.serialized_output}')


if __name__ == '__main__':
    main()
