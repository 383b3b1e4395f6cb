"""Waiting for a person, but not for ever.

Small expenses need nobody. A large one waits for the event `decision`; what nobody decides in time goes to the boss.

The example decides by itself. With `by-hand` it waits for you, an hour at most: decide in the dashboard.

    dapr-workflow dev -- python examples/workflow/human_approval.py by-hand
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from dapr.ext.workflow import DaprWorkflowClient, DaprWorkflowContext, WorkflowActivityContext, WorkflowRuntime
from local_sidecar import use_sidecar

use_sidecar()
runtime = WorkflowRuntime()


@dataclass
class Expense:
    what: str
    amount: float
    days: float
    """How long a decision is waited for: seconds here, so that the example ends."""


@runtime.workflow
def approve(ctx: DaprWorkflowContext, expense: Any) -> Generator[Any, Any, str]:
    if expense.amount < 1000:
        return 'approved: it is small'
    yield ctx.call_activity(ask_for_decision, input=expense)
    try:
        decision = yield ctx.wait_for_external_event('decision', timeout=timedelta(seconds=expense.days))
    except TimeoutError:
        return 'handed to the boss: nobody decided'
    return f'{"approved" if decision["approved"] else "refused"} by {decision["by"]}'


@runtime.activity
def ask_for_decision(ctx: WorkflowActivityContext, expense: Any) -> None:
    print(f'  who approves {expense.what} for {expense.amount:.2f}?')


def main() -> None:
    with runtime, DaprWorkflowClient() as client:

        def outcome(instance_id: str, seconds: int = 30) -> str | None:
            state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=seconds)
            assert state is not None
            return f'{state.serialized_output}'

        small = client.schedule_new_workflow(approve, input=Expense('a pen', 3, days=30))
        print(f'a pen: {outcome(small)}')

        car = client.schedule_new_workflow(approve, input=Expense('a car', 30_000, days=30))
        client.raise_workflow_event(car, 'decision', data={'approved': True, 'by': 'Ada'})
        print(f'a car: {outcome(car)}')

        yacht = client.schedule_new_workflow(approve, input=Expense('a yacht', 900_000, days=30))
        client.raise_workflow_event(yacht, 'Decision', data={'approved': False, 'by': 'Ada'})  # case does not matter
        print(f'a yacht: {outcome(yacht)}')

        sofa = client.schedule_new_workflow(approve, input=Expense('a sofa', 2_000, days=0.5))
        print(f'a sofa: {outcome(sofa)}')

        if 'by-hand' in sys.argv[1:]:
            boat = client.schedule_new_workflow(approve, input=Expense('a boat', 70_000, days=3600), instance_id='boat')
            print('  you do: raise the event "decision" on the instance "boat", with {"approved": true, "by": "me"}')
            print(f'a boat: {outcome(boat, 3600)}')


if __name__ == '__main__':
    main()
