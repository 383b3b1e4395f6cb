"""History that travels: an activity that looks at what its workflow, and that one's parent, have done.

A payment is made only when the history that comes with the call shows that the order was checked. Histories come
along on daprd 1.19 and newer, and on the emulator; elsewhere there is none, and the payment is refused.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from dapr.ext.workflow import (
    DaprWorkflowClient,
    DaprWorkflowContext,
    PropagationNotFoundError,
    PropagationScope,
    WorkflowActivityContext,
    WorkflowRuntime,
)
from local_sidecar import use_sidecar

use_sidecar()
runtime = WorkflowRuntime()


@runtime.workflow
def order(ctx: DaprWorkflowContext, is_checked: bool) -> Generator[Any, Any, str]:
    if is_checked:
        yield ctx.call_activity(check_stock, input='lamp')
    paid: str = yield ctx.call_child_workflow(checkout, propagation=PropagationScope.OWN_HISTORY)
    return paid


@runtime.workflow
def checkout(ctx: DaprWorkflowContext, _: None) -> Generator[Any, Any, str]:
    yield ctx.call_activity(open_till)
    # Its own history, and with LINEAGE also what was propagated to it.
    paid: str = yield ctx.call_activity(pay, propagation=PropagationScope.LINEAGE)
    return paid


@runtime.activity
def check_stock(ctx: WorkflowActivityContext, item: str) -> str:
    return f'{item} is there'


@runtime.activity
def open_till(ctx: WorkflowActivityContext) -> None:
    pass


@runtime.activity
def pay(ctx: WorkflowActivityContext) -> str:
    history = ctx.get_propagated_history()
    if history is None:
        return 'refused: no history came along'
    names = [workflow.name for workflow in history.get_workflows()]
    try:
        checked = history.get_last_workflow_by_name('order').get_last_activity_by_name('check_stock')
    except PropagationNotFoundError:
        return f'refused: nothing was checked in {" and ".join(sorted(names))}'
    return f'paid: {checked.output}'


def main() -> None:
    with runtime, DaprWorkflowClient() as client:
        for is_checked in (True, False):
            instance_id = client.schedule_new_workflow(order, input=is_checked)
            state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=30)
            assert state is not None
            print(f'{state.runtime_status.name}: {state.serialized_output}')


if __name__ == '__main__':
    main()
