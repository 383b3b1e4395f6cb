"""Workflows out of workflows: a parent starts a child for each region, and waits for all of them."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from dapr.ext.workflow._durabletask import client, task, worker


def count_stock(ctx: task.ActivityContext, warehouse: str) -> int:
    return len(warehouse) * 10


def count_region(ctx: task.OrchestrationContext, warehouses: list[str]) -> Generator[task.Task[Any], Any, int]:
    total = 0
    for warehouse in warehouses:
        total += yield ctx.call_activity(count_stock, input=warehouse)
    return total


def count_all(
    ctx: task.OrchestrationContext, regions: dict[str, list[str]]
) -> Generator[task.Task[Any], Any, dict[str, int]]:
    children: list[task.Task[int]] = [
        ctx.call_sub_orchestrator(count_region, input=warehouses, instance_id=f'{ctx.instance_id}-{region}')
        for region, warehouses in regions.items()
    ]
    totals: list[int] = yield task.when_all(children)
    return dict(zip(regions, totals, strict=True))


def main() -> None:
    with worker.TaskHubGrpcWorker() as w, client.TaskHubGrpcClient() as c:
        w.add_orchestrator(count_all)
        w.add_orchestrator(count_region)
        w.add_activity(count_stock)
        w.start()
        regions = {'north': ['Oslo', 'Bergen'], 'south': ['Rome', 'Naples', 'Bari']}
        instance_id = c.schedule_new_orchestration(count_all, input=regions)
        state = c.wait_for_orchestration_completion(instance_id, timeout=30)
        assert state is not None
        state.raise_if_failed()
        print(f'{instance_id} completed: {state.serialized_output}')


if __name__ == '__main__':
    main()
