"""Several apps in one emulator, and the history that is handed on from one to the other."""

from __future__ import annotations

import grpc
import pytest

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator.errors import Refused
from dapr.ext.workflow.emulator.seam import Key
from tests.support.backend import BackendDriver, complete, kinds, schedule, start_child
from tests.support.backend_worker import BackendWorker, output
from tests.support.scenarios import Workflow, chain, echo

ORDERS = Key('orders', 'x')


def two_apps() -> BackendDriver:
    return BackendDriver(apps=('orders', 'billing'))


def test_an_instance_is_that_of_its_app_alone() -> None:
    driver = two_apps()
    for app in ('orders', 'billing'):
        driver.backend.create(app, pb.CreateInstanceRequest(instanceId='x', name=app))
    assert driver.ready == [Key('orders', 'x'), Key('billing', 'x')]
    driver.turn('x', complete(1))
    assert driver.status('x') == 'COMPLETED'
    assert not driver.backend.is_ended(Key('billing', 'x'))
    assert list(driver.backend.list_instance_ids('billing').instanceIds) == ['x']


def test_a_client_starts_an_instance_of_another_app_by_a_router() -> None:
    driver = two_apps()
    request = pb.CreateInstanceRequest(instanceId='x', name='wf', router=pb.TaskRouter(targetAppID='billing'))
    assert driver.backend.create('orders', request) == Key('billing', 'x')
    turn = driver.backend.begin_turn(Key('billing', 'x'))
    assert turn is not None
    assert turn.new_events[1].router == pb.TaskRouter(sourceAppID='orders', targetAppID='billing')

    request.router.targetAppID = 'shipping'
    with pytest.raises(Refused, match=r"no app 'shipping': this emulator plays 'orders', 'billing'") as refused:
        driver.backend.create('orders', request)
    assert refused.value.code is grpc.StatusCode.NOT_FOUND
    assert driver.backend.app_of('orders', pb.TaskRouter()) == 'orders'


def test_activities_and_children_run_in_the_app_they_are_for_and_their_results_come_back() -> None:
    driver = two_apps()
    driver.create()
    driver.turn('x', schedule(1, app='billing'), start_child(2, app='billing'))
    (work,) = driver.activities
    assert (work.app_id, work.owner) == ('billing', ORDERS)
    driver.run_activity()

    child = Key('billing', 'x:0002')
    assert child in driver.ready
    turn = driver.backend.begin_turn(child)
    assert turn is not None
    driver.answer(turn, schedule(1), complete(2, '"paid"'))
    assert driver.activities[0].app_id == 'billing'  # the child's own app

    batch = driver.begin('x').new_events
    assert kinds(batch) == ['workflowStarted', 'taskCompleted', 'childWorkflowInstanceCompleted']
    assert batch[1].router == pb.TaskRouter(sourceAppID='orders', targetAppID='billing')
    assert batch[2].router == pb.TaskRouter(sourceAppID='billing', targetAppID='orders')


def test_a_task_for_an_app_that_is_not_there_fails_with_the_next_turn() -> None:
    driver = two_apps()
    driver.create()
    driver.turn('x', schedule(1, app='shipping'), start_child(2, app='shipping'))
    assert driver.activities == []
    assert kinds(driver.begin('x').new_events) == ['workflowStarted', 'taskFailed', 'childWorkflowInstanceFailed']


def test_families_across_apps_are_terminated_and_purged_as_one() -> None:
    driver = two_apps()
    driver.create()
    driver.turn('x', start_child(1, 'child', app='billing'))
    driver.backend.terminate(ORDERS, None, True)
    driver.turn('x')
    child = driver.backend.begin_turn(Key('billing', 'child'))
    assert child is not None
    driver.answer(child)
    assert driver.backend.is_ended(Key('billing', 'child'))
    assert driver.backend.purge(ORDERS, recursive=True) == 2
    assert not driver.backend.get_instance(Key('billing', 'child'), payloads=False).exists


def test_stalled_instances_wait_for_a_worker_of_their_own_app() -> None:
    driver = two_apps()
    driver.create()
    driver.turn('x', pb.WorkflowAction(id=1, workflowVersionNotAvailable=pb.WorkflowVersionNotAvailableAction()))
    driver.backend.workers_changed('billing')
    assert driver.ready == []
    driver.backend.workers_changed('orders')
    assert driver.ready == [ORDERS]


def lineage(ctx: task.OrchestrationContext, _: None) -> Workflow:
    yield ctx.call_activity(echo, input=1)
    seen = yield ctx.call_activity(tell, propagation=task.PropagationScope.OWN_HISTORY)
    child = yield ctx.call_sub_orchestrator(child_of_lineage, propagation=task.PropagationScope.LINEAGE)
    unasked = yield ctx.call_activity(tell)
    return [seen, child, unasked]


def child_of_lineage(ctx: task.OrchestrationContext, _: None) -> Workflow:
    yield ctx.call_activity(echo, input=2)  # every turn is given it
    lineage_of_activity = yield ctx.call_activity(tell, propagation=task.PropagationScope.LINEAGE)
    own_of_activity = yield ctx.call_activity(tell, propagation=task.PropagationScope.OWN_HISTORY)
    handed_on = ctx.get_propagated_history()
    assert handed_on is not None
    names = [workflow.name for workflow in handed_on.get_workflows()]
    return [names, lineage_of_activity, own_of_activity]


def tell(ctx: task.ActivityContext, _: None) -> list[str] | None:
    handed_on = ctx.get_propagated_history()
    if handed_on is None:
        return None
    assert handed_on.get_app_ids() == ['app']
    assert handed_on.get_workflows()[-1].get_last_activity_by_name('echo').completed
    return [workflow.name for workflow in handed_on.get_workflows()]


def test_workers_read_the_history_that_is_handed_on() -> None:
    driver = BackendDriver()
    driver.create('x', 'lineage')
    BackendWorker([lineage, child_of_lineage, chain], [echo, tell]).run_to_end(driver)
    both = ['lineage', 'child_of_lineage']
    assert output(driver, 'x') == [['lineage'], [['lineage'], both, ['child_of_lineage']], None]
