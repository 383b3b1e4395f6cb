"""Activities one after the other: each gets what the one before returned."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from dapr.ext.workflow._durabletask import client, task, worker


def greet(ctx: task.ActivityContext, city: str) -> str:
    return f'Hello {city}!'


def greet_cities(ctx: task.OrchestrationContext, cities: list[str]) -> Generator[task.Task[Any], Any, list[str]]:
    greetings = []
    for city in cities:
        greetings.append((yield ctx.call_activity(greet, input=city)))
    return greetings


def main() -> None:
    with worker.TaskHubGrpcWorker() as w, client.TaskHubGrpcClient() as c:
        w.add_orchestrator(greet_cities)
        w.add_activity(greet)
        w.start()
        instance_id = c.schedule_new_orchestration(greet_cities, input=['Tokyo', 'Seattle', 'London'])
        state = c.wait_for_orchestration_completion(instance_id, timeout=30)
        assert state is not None
        state.raise_if_failed()
        print(f'{instance_id} completed: {state.serialized_output}')


if __name__ == '__main__':
    main()
