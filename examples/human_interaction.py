"""A workflow that waits for a person, but not for ever: an event against a timeout.

Small purchases need no one. A large one waits for the event `Approval`; who does not answer in time has said no.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from dapr.ext.workflow._durabletask import client, task, worker


@dataclass
class Purchase:
    product: str
    cost: float


def send_for_approval(ctx: task.ActivityContext, purchase: Any) -> None:
    print(f'  please approve {purchase.product} for {purchase.cost:.2f}')


def place_order(ctx: task.ActivityContext, purchase: Any) -> str:
    return f'ordered {purchase.product}'


def purchase_workflow(ctx: task.OrchestrationContext, purchase: Any) -> Generator[task.Task[Any], Any, Any]:
    if purchase.cost >= 1000:
        yield ctx.call_activity(send_for_approval, input=purchase)
        try:
            approval = yield ctx.wait_for_external_event('Approval', timeout=timedelta(seconds=3))
        except TimeoutError:
            return 'no answer in time'
        if not approval['approved']:
            return f'refused by {approval["by"]}'
    return (yield ctx.call_activity(place_order, input=purchase))


def main() -> None:
    with worker.TaskHubGrpcWorker() as w, client.TaskHubGrpcClient() as c:
        w.add_orchestrator(purchase_workflow)
        w.add_activity(send_for_approval)
        w.add_activity(place_order)
        w.start()

        def outcome(instance_id: str) -> str | None:
            state = c.wait_for_orchestration_completion(instance_id, timeout=30)
            assert state is not None
            state.raise_if_failed()
            return state.serialized_output

        small = c.schedule_new_orchestration(purchase_workflow, input=Purchase('a keyboard', 80))
        print(f'small purchase: {outcome(small)}')

        approved = c.schedule_new_orchestration(purchase_workflow, input=Purchase('a server', 9000))
        c.raise_orchestration_event(approved, 'Approval', data={'approved': True, 'by': 'Ada'})
        print(f'approved: {outcome(approved)}')

        refused = c.schedule_new_orchestration(purchase_workflow, input=Purchase('a yacht', 900000))
        c.raise_orchestration_event(refused, 'approval', data={'approved': False, 'by': 'Grace'})  # case is no matter
        print(f'refused: {outcome(refused)}')

        forgotten = c.schedule_new_orchestration(purchase_workflow, input=Purchase('a sofa', 1500))
        print(f'forgotten: {outcome(forgotten)}')


if __name__ == '__main__':
    main()
