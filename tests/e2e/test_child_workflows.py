"""Child workflows: their results, their failures, and what is done to a whole family."""

from __future__ import annotations

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.client import OrchestrationStatus, TaskHubGrpcClient
from tests.support.e2e import DEADLINE, NewId, NewWorker, Workflow, ended, failure, outline, run, serve, steps
from tests.support.scenarios import echo, failing, forever
from tools.go_sidecar import Sidecar


def doubling(ctx: task.OrchestrationContext, number: int) -> Workflow:
    return (yield ctx.call_activity(echo, input=number)) * 2


def test_children_give_their_results(client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId) -> None:
    def parent(ctx: task.OrchestrationContext, _: None) -> Workflow:
        first = yield ctx.call_sub_orchestrator(doubling, input=1)
        named = yield ctx.call_sub_orchestrator('doubling', input=2, instance_id=ctx.instance_id + '-named')
        many = yield task.when_all([ctx.call_sub_orchestrator(doubling, input=n) for n in range(10)])
        return [first, named, many]

    serve(new_worker, [parent, doubling], [echo])
    instance_id = new_id()

    assert run(client, parent, instance_id) == [2, 4, [n * 2 for n in range(10)]]

    assert outline(client, instance_id)[:5] == [
        *('workflowStarted', 'executionStarted', 'childWorkflowInstanceCreated 1'),
        *('workflowStarted', 'childWorkflowInstanceCompleted 1'),
    ]
    for child_id in (f'{instance_id}:0001', f'{instance_id}-named', f'{instance_id}:000c'):
        assert steps(client, child_id)[-1] == 'executionCompleted 2'
    started = client.get_instance_history(f'{instance_id}:000c')[1].executionStarted
    assert started.parentInstance.workflowInstance.instanceId == instance_id
    assert started.parentInstance.taskScheduledId == 12


def test_a_childs_failure_is_raised_where_it_is_awaited_and_fails_a_parent_that_lets_it_pass(
    client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    def catching(ctx: task.OrchestrationContext, _: None) -> Workflow:
        try:
            yield ctx.call_sub_orchestrator(failing)
        except task.TaskFailedError as error:
            return [error.details.error_type, error.details.message, str(error)]

    def careless(ctx: task.OrchestrationContext, _: None) -> Workflow:
        return (yield ctx.call_sub_orchestrator(failing))

    serve(new_worker, [catching, careless, failing], [echo])
    caught, passed = new_id(), new_id()

    assert run(client, catching, caught) == [
        'RuntimeError',
        'on purpose',
        "Sub-orchestration task #1 failed: on purpose (RuntimeError in the workflow 'failing')",
    ]
    assert 'childWorkflowInstanceFailed 1' in outline(client, caught)

    client.schedule_new_orchestration(careless, instance_id=passed)
    assert failure(client, passed) == ('TaskFailedError', 'Sub-orchestration task #1 failed: on purpose')
    assert failure(client, f'{passed}:0001') == ('RuntimeError', 'on purpose')


def grandparent(ctx: task.OrchestrationContext, _: None) -> Workflow:
    yield ctx.call_sub_orchestrator(parent_of_two)


def parent_of_two(ctx: task.OrchestrationContext, _: None) -> Workflow:
    yield task.when_all([ctx.call_sub_orchestrator(forever) for _ in range(2)])


def start_family(client: TaskHubGrpcClient, instance_id: str) -> list[str]:
    """Starts a grandparent; returns the ids of the whole family once all have started."""
    client.schedule_new_orchestration(grandparent, instance_id=instance_id)
    family = [instance_id, *(f'{instance_id}:{path}' for path in ('0001', '0001:0001', '0001:0002'))]
    for member in family:  # daprd starts a child before it has committed the turn of its parent
        client.wait_for_orchestration_start(member, timeout=DEADLINE)
    return family


def test_a_family_is_terminated_and_purged_as_one(
    client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    serve(new_worker, [grandparent, parent_of_two, forever])
    family = start_family(client, new_id())

    client.terminate_orchestration(family[0], output='enough', recursive=True)

    states = [ended(client, member) for member in family]
    assert {state.runtime_status for state in states} == {OrchestrationStatus.TERMINATED}
    assert states[0].serialized_output == '"enough"'
    assert steps(client, family[0])[-2:] == ['executionTerminated', 'executionCompleted 2']

    assert client.purge_orchestration(family[0], recursive=True) == len(family)
    assert [client.get_orchestration_state(member) for member in family] == [None] * len(family)


def test_children_outlive_a_parent_that_is_terminated_and_purged_alone(
    sidecar: Sidecar, client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    serve(new_worker, [grandparent, parent_of_two, forever])
    oldest, *others = start_family(client, new_id())

    client.terminate_orchestration(oldest, recursive=False)

    assert ended(client, oldest).runtime_status is OrchestrationStatus.TERMINATED
    assert client.purge_orchestration(oldest, recursive=False) == 1
    for member in others:
        state = client.get_orchestration_state(member)
        assert state is not None
        assert state.runtime_status is OrchestrationStatus.RUNNING
    if sidecar.build.is_daprd:
        # Their ends would be sent to the parent that is gone, again and again; on daprd they never end.
        assert client.purge_orchestration(others[0], recursive=True, force=True) == len(others)
        return
    client.terminate_orchestration(others[0], recursive=True)
    for member in others:
        assert ended(client, member).runtime_status is OrchestrationStatus.TERMINATED
