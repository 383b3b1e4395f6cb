"""Detached workflows and events from workflow to workflow, on the sidecars that can; the others are told."""

from __future__ import annotations

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.client import OrchestrationStatus, TaskHubGrpcClient
from tests.support.e2e import NewId, NewWorker, Workflow, completed, ended, outline, run, serve
from tools.go_sidecar import Sidecar


def _can_detach(sidecar: Sidecar) -> bool:
    return sidecar.build.is_emulator or sidecar.build.sends_deltas  # both are new in daprd 1.19, durabletask-go 0.14


def job(ctx: task.OrchestrationContext, number: int) -> int:
    return number * 2


def test_a_detached_workflow_runs_although_its_parent_has_ended(
    client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId, sidecar: Sidecar
) -> None:
    def parent(ctx: task.OrchestrationContext, number: int) -> str:
        return ctx.schedule_new_workflow(job, input=number)

    if not _can_detach(sidecar) and not sidecar.build.is_daprd:
        return  # durabletask-go 0.12 runs such a turn again and again, and has no call that says what it is
    serve(new_worker, [parent, job])
    instance_id = new_id()
    if not _can_detach(sidecar):
        client.schedule_new_orchestration(parent, input=4, instance_id=instance_id)
        state = ended(client, instance_id)
        assert state.runtime_status is OrchestrationStatus.FAILED
        assert state.failure_details is not None
        assert state.failure_details.error_type == 'UnsupportedBySidecarError'
        assert 'needs daprd 1.19' in state.failure_details.message
        return

    assert run(client, parent, instance_id, 4) == f'{instance_id}-0'

    assert completed(client, f'{instance_id}-0') == 8
    assert outline(client, instance_id)[-2:] == ['detachedWorkflowInstanceCreated 1', 'executionCompleted 2']
    started = next(
        event.executionStarted
        for event in client.get_instance_history(f'{instance_id}-0')
        if event.HasField('executionStarted')
    )
    assert not started.HasField('parentInstance')


def test_what_a_workflow_starts_before_it_continues_as_new_is_not_lost(
    client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId, sidecar: Sidecar
) -> None:
    def eternal(ctx: task.OrchestrationContext, number: int) -> int:
        if number < 3:
            ctx.schedule_new_workflow(job, input=number, instance_id=f'{ctx.instance_id}-job-{number}')
            ctx.continue_as_new(number + 1)
        return number

    if not _can_detach(sidecar):
        return  # the test above tells what comes of it
    serve(new_worker, [eternal, job])
    instance_id = new_id()

    assert run(client, eternal, instance_id, 0) == 3
    assert [completed(client, f'{instance_id}-job-{number}') for number in range(3)] == [0, 2, 4]


def test_a_workflow_sends_another_an_event(
    client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId, sidecar: Sidecar
) -> None:
    def receiver(ctx: task.OrchestrationContext, _: None) -> Workflow:
        return (yield ctx.wait_for_external_event('Go'))

    def sender(ctx: task.OrchestrationContext, target: str) -> str:
        ctx.send_event(target, 'go', {'from': ctx.instance_id})
        return 'sent'

    serve(new_worker, [receiver, sender])
    waiting, sending = new_id(), new_id()
    client.schedule_new_orchestration(receiver, instance_id=waiting)
    client.schedule_new_orchestration(sender, input=waiting, instance_id=sending)
    if sidecar.build.is_daprd:
        state = ended(client, sending)
        assert state.failure_details is not None
        assert 'not carried out by daprd' in state.failure_details.message
        client.terminate_orchestration(waiting)
        return

    assert completed(client, sending) == 'sent'
    assert completed(client, waiting) == {'from': sending}
