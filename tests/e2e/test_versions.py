"""Workflows whose code changes while instances of them are running: the worker comes back with newer code."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.client import OrchestrationStatus, TaskHubGrpcClient
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker
from dapr.ext.workflow.doctor import examine
from tests.support.e2e import NewId, NewWorker, TurnWatch, Workflow, completed, failure, outline, wait_for_stall
from tests.support.scenarios import echo
from tools.go_sidecar import Sidecar


def versions_told(client: TaskHubGrpcClient, instance_id: str) -> list[pb.WorkflowVersion]:
    """What the turns of an instance have said of its version, where they said anything."""
    events = client.get_instance_history(instance_id)
    return [e.workflowStarted.version for e in events if e.workflowStarted.HasField('version')]


def before(ctx: task.OrchestrationContext, _: None) -> Workflow:
    yield ctx.wait_for_external_event('go')
    return [(yield ctx.call_activity(echo, input='old'))]


def after(ctx: task.OrchestrationContext, _: None) -> Workflow:
    is_new = ctx.is_patched('new-path')
    yield ctx.wait_for_external_event('go')
    results = [(yield ctx.call_activity(echo, input='new' if is_new else 'old'))]
    if ctx.is_patched('one-more'):
        results.append((yield ctx.call_activity(echo, input='more')))
    return results


def test_patches_change_new_instances_only_and_are_written_into_their_history(
    sidecar: Sidecar, client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    def serve(workflow: Callable[..., Workflow]) -> TaskHubGrpcWorker:
        worker = new_worker()
        worker._registry.add_named_orchestrator('delivery', workflow)
        worker.add_activity(echo)
        worker.start()
        return worker

    old, new = new_id(), new_id()
    with serve(before):
        client.schedule_new_orchestration('delivery', instance_id=old)

    with serve(after):
        client.schedule_new_orchestration('delivery', instance_id=new)
        for instance_id in (old, new):
            client.raise_orchestration_event(instance_id, 'go')

        # What comes after the restart is new code's place for the old instance, too.
        assert completed(client, old) == ['old', 'more']
        assert completed(client, new) == ['new', 'more']

    told = [[list(version.patches) for version in versions_told(client, id)] for id in (old, new)]
    if sidecar.build.answers_as_daprd:  # daprd writes down what a turn has told for the first time
        assert told == [[['one-more']], [['new-path'], ['one-more']]]
    else:
        assert told == [
            [['one-more'], ['one-more']],
            [['new-path'], ['new-path'], ['new-path', 'one-more'], ['new-path', 'one-more']],
        ]


def test_a_change_that_is_not_guarded_fails_the_instances_that_run(
    client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    def changed(ctx: task.OrchestrationContext, _: None) -> Workflow:
        yield ctx.call_activity('more', input='too early')
        yield ctx.wait_for_external_event('go')

    def unchanged(ctx: task.OrchestrationContext, _: None) -> Workflow:
        yield ctx.create_timer(timedelta(hours=1))

    with new_worker() as worker:
        worker._registry.add_named_orchestrator('delivery', unchanged)
        worker.start()
        instance_id = client.schedule_new_orchestration('delivery', instance_id=new_id())

    with new_worker() as worker:
        worker._registry.add_named_orchestrator('delivery', changed)
        worker.start()
        client.raise_orchestration_event(instance_id, 'go')
        kind, message = failure(client, instance_id)

    assert kind == 'NonDeterminismError'
    assert "the history says create_timer, the code called call_activity('more')" in message
    assert 'is_patched' in message  # what to do


def told_by_doctor(sidecar: Sidecar, instance_id: str) -> str:
    """Why the instance is stalled, in the doctor's words."""
    host, _, port = sidecar.address.partition(':')
    lines = list(examine(host=host, port=port, instance_id=instance_id))
    assert [line.name for line in lines if line.wrong] == ['instance']
    return next(line.text for line in lines if line.name == 'stalled')


def test_an_instance_waits_for_the_patches_that_it_began_with(
    sidecar: Sidecar, client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    watch = TurnWatch()

    def serve(workflow: Callable[..., Workflow]) -> TaskHubGrpcWorker:
        worker = new_worker(interceptors=[watch])
        worker._registry.add_named_orchestrator('delivery', workflow)
        worker.add_activity(echo)
        worker.start()
        return worker

    with serve(after):
        instance_id = client.schedule_new_orchestration('delivery', instance_id=new_id())
        assert list(watch.wait_for_turns(instance_id, 1)[0].version.patches) == ['new-path']

    with serve(before):  # a deployment that was taken back
        client.raise_orchestration_event(instance_id, 'go')
        watch.wait_for_turns(instance_id, 2)
        if sidecar.build.answers_as_daprd:
            assert wait_for_stall(client, instance_id).reason == pb.PATCH_MISMATCH
            state = client.get_orchestration_state(instance_id)
            assert state is not None
            assert state.runtime_status is OrchestrationStatus.STALLED
            assert 'PATCH_MISMATCH' in told_by_doctor(sidecar, instance_id)
        else:  # the stalling is daprd's own: the Go sidecar's backend runs what it gets
            assert completed(client, instance_id) == ['old']
            return

    with serve(after):
        assert completed(client, instance_id) == ['new', 'more']
    assert outline(client, instance_id).count('executionStalled') == 1


def report_1(ctx: task.OrchestrationContext, _: None) -> Workflow:
    yield ctx.wait_for_external_event('go')
    return 'version 1'


def report_2(ctx: task.OrchestrationContext, _: None) -> Workflow:
    yield ctx.wait_for_external_event('go')
    return 'version 2'


def test_instances_keep_the_version_they_began_with_and_wait_where_it_is_missing(
    sidecar: Sidecar, client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    watch = TurnWatch()

    def serve(**versions: Callable[..., Workflow]) -> TaskHubGrpcWorker:
        worker = new_worker(interceptors=[watch])
        for name, workflow in versions.items():
            worker._registry.add_named_orchestrator('report', workflow, version_name=name, is_latest=True)
        worker.start()
        return worker

    old, stalled, new = new_id(), new_id(), new_id()
    with serve(v1=report_1):
        for instance_id in (old, stalled):
            client.schedule_new_orchestration('report', instance_id=instance_id)

    with serve(v2=report_2):
        client.raise_orchestration_event(stalled, 'go')
        answers = watch.wait_for_turns(stalled, 2)
        assert [a.WhichOneof('workflowActionType') for a in answers[1].actions] == ['workflowVersionNotAvailable']
        if sidecar.build.answers_as_daprd:
            assert wait_for_stall(client, stalled).reason == pb.VERSION_NOT_AVAILABLE
            state = client.get_orchestration_state(stalled)
            assert state is not None
            assert state.runtime_status is OrchestrationStatus.STALLED
            assert 'VERSION_NOT_AVAILABLE' in told_by_doctor(sidecar, stalled)

    with serve(v1=report_1, v2=report_2):
        client.schedule_new_orchestration('report', instance_id=new)
        for instance_id in (old, new):
            client.raise_orchestration_event(instance_id, 'go')
        assert completed(client, old) == 'version 1'
        assert completed(client, new) == 'version 2'

        if not sidecar.build.answers_as_daprd:
            # daprd runs a stalled instance again as soon as a worker has the version. The Go sidecar has committed the
            # turn without a word of its being stalled, and only the next event wakes the instance.
            state = client.get_orchestration_state(stalled)
            assert state is not None
            assert state.runtime_status is OrchestrationStatus.RUNNING
            assert outline(client, stalled) == [
                *('workflowStarted', 'executionStarted', 'timerCreated 1', 'workflowStarted', 'eventRaised go')
            ]
            client.raise_orchestration_event(stalled, 'anything')
        assert completed(client, stalled) == 'version 1'

    assert {version.name for version in versions_told(client, old)} == {'v1'}
    assert {version.name for version in versions_told(client, stalled)} == {'v1'}
    assert {version.name for version in versions_told(client, new)} == {'v2'}
