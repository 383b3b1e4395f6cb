"""Two apps, and a workflow of one that calls an activity and a workflow of the other.

Each app has a sidecar of its own. Here one emulator plays both, and both apps are in this one process. On Dapr each is
a program of its own, started by `dapr run --app-id orders -- python ...`, whose `WorkflowRuntime()` finds its sidecar
by itself. Calls to other apps are for daprd and the emulator; the standalone Go sidecar runs everything in one app. So
this example always starts an emulator.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from dapr.ext.workflow import DaprWorkflowClient, DaprWorkflowContext, WorkflowActivityContext, WorkflowRuntime
from dapr.ext.workflow.emulator import Emulator


def order(ctx: DaprWorkflowContext, amount: int) -> Generator[Any, Any, str]:
    # By their names: the code of the other app is not here to be imported.
    receipt = yield ctx.call_activity('charge', input=amount, app_id='billing')
    invoice = yield ctx.call_child_workflow('invoice', input=receipt, app_id='billing')
    thanks: str = yield ctx.call_activity(thank, input=invoice)
    return thanks


def thank(ctx: WorkflowActivityContext, invoice: str) -> str:
    return f'orders: thanks, with {invoice}'


def charge(ctx: WorkflowActivityContext, amount: int) -> str:
    return f'a receipt for {amount}'


def invoice(ctx: DaprWorkflowContext, receipt: str) -> Generator[Any, Any, str]:
    written: str = yield ctx.call_activity(write_invoice, input=receipt)
    return written


def write_invoice(ctx: WorkflowActivityContext, receipt: str) -> str:
    return f'an invoice by billing, after {receipt}'


def runtime_of(address: str) -> WorkflowRuntime:
    host, _, port = address.rpartition(':')
    return WorkflowRuntime(host=host, port=port)


def main() -> None:
    with Emulator(apps=('orders', 'billing')) as emulator:
        orders = runtime_of(emulator.address_of('orders'))
        orders.register_workflow(order)
        orders.register_activity(thank)
        billing = runtime_of(emulator.address_of('billing'))
        billing.register_workflow(invoice)
        billing.register_activity(charge)
        billing.register_activity(write_invoice)

        host, _, port = emulator.address_of('orders').rpartition(':')
        with orders, billing, DaprWorkflowClient(host=host, port=port) as client:
            instance_id = client.schedule_new_workflow(order, input=42)
            state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=30)
            assert state is not None
            print(f'{state.runtime_status.name}: {state.serialized_output}')


if __name__ == '__main__':
    main()
