"""A workflow that calls activities and workflows of another app, each app beside a daprd of its own.

The Go sidecar runs everything in one app, and one emulator plays several (tests/unit/emulator, the example multi_app).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.client import TaskHubGrpcClient
from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker
from tests.support.e2e import NewId, NewWorker, Workflow, failure, outline, run, serve
from tools.daprd_sidecar import Daprd
from tools.go_sidecar import Sidecar


@pytest.fixture
def billing(sidecar: Sidecar) -> Iterator[Daprd]:
    """A daprd of the app 'billing', with the same placement and scheduler as `sidecar`."""
    if not isinstance(sidecar, Daprd):
        pytest.skip('two apps need two daprd')
    other = Daprd(sidecar.build, app_id='billing', control_plane=sidecar.control_plane)
    with other:
        yield other


def charge(ctx: task.ActivityContext, amount: int) -> str:
    if amount < 0:
        raise ValueError(f'cannot charge {amount}')
    return f'a receipt for {amount}'


def invoice(ctx: task.OrchestrationContext, receipt: str) -> Workflow:
    written: str = yield ctx.call_activity(write, input=receipt)
    return written


def write(ctx: task.ActivityContext, receipt: str) -> str:
    return f'billing: {receipt}'


def order(ctx: task.OrchestrationContext, amount: int) -> Workflow:
    receipt = yield ctx.call_activity('charge', input=amount, app_id='billing')
    invoice = yield ctx.call_sub_orchestrator('invoice', input=receipt, app_id='billing')
    return (yield ctx.call_activity(thank, input=invoice))


def thank(ctx: task.ActivityContext, invoice: str) -> str:
    return f'thanks, with {invoice}'


def test_a_workflow_calls_what_runs_beside_another_daprd(
    billing: Daprd, client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    serve(new_worker, [order], [thank])
    paid, unpaid = new_id(), new_id()
    with (
        TaskHubGrpcWorker(host_address=billing.address) as worker,
        TaskHubGrpcClient(host_address=billing.address) as of_billing,
    ):
        worker.add_orchestrator(invoice)
        worker.add_activity(charge)
        worker.add_activity(write)
        worker.start()

        assert run(client, order, paid, 42) == 'thanks, with billing: a receipt for 42'
        client.schedule_new_orchestration(order, input=-1, instance_id=unpaid)
        assert failure(client, unpaid)[0] == 'TaskFailedError'

        # The child is an instance of the other app.
        assert f'{paid}:0002' in of_billing.list_instance_ids().instanceIds
        assert outline(of_billing, f'{paid}:0002')[-1] == 'executionCompleted 2'
