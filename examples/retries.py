"""Retries: waits that grow, an error that is not worth a retry, and a failure that the workflow makes good."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from typing import Any

from dapr.ext.workflow._durabletask import client, task, worker

attempts: dict[str, int] = {}


class CardRefusedError(task.NonRetryableError):
    """No second attempt will change it."""


def charge_card(ctx: task.ActivityContext, order: dict[str, Any]) -> str:
    """Fails twice before it works, as services do. The execution id is the same at each attempt: a key to pass on."""
    count = attempts[ctx.task_execution_id] = attempts.get(ctx.task_execution_id, 0) + 1
    if order['card'] == 'stolen':
        raise CardRefusedError('the card was refused')
    if count < 3:
        raise ConnectionError(f'the bank did not answer (attempt {count})')
    return f'charged at attempt {count}'


def cancel_order(ctx: task.ActivityContext, order: dict[str, Any]) -> str:
    return f'cancelled order {order["id"]}'


def pay(ctx: task.OrchestrationContext, order: dict[str, Any]) -> Generator[task.Task[Any], Any, Any]:
    policy = task.RetryPolicy(
        first_retry_interval=timedelta(milliseconds=200),
        max_number_of_attempts=5,
        backoff_coefficient=2,
        max_retry_interval=timedelta(seconds=5),
        non_retryable_error_types=[CardRefusedError],
    )
    try:
        return (yield ctx.call_activity(charge_card, input=order, retry_policy=policy))
    except task.TaskFailedError as error:
        outcome: str = yield ctx.call_activity(cancel_order, input=order)
        return f'{outcome}: {error.details.message}'


def main() -> None:
    with worker.TaskHubGrpcWorker() as w, client.TaskHubGrpcClient() as c:
        w.add_orchestrator(pay)
        w.add_activity(charge_card)
        w.add_activity(cancel_order)
        w.start()
        for order in ({'id': 1, 'card': 'good'}, {'id': 2, 'card': 'stolen'}):
            instance_id = c.schedule_new_orchestration(pay, input=order)
            state = c.wait_for_orchestration_completion(instance_id, timeout=30)
            assert state is not None
            state.raise_if_failed()
            print(f'order {order["id"]}: {state.serialized_output}')


if __name__ == '__main__':
    main()
