"""The doctor on sidecars: whether they answer and send deltas, and that a probe leaves everything as it was."""

from __future__ import annotations

from dapr.ext.workflow._durabletask.client import TaskHubGrpcClient
from dapr.ext.workflow._durabletask.task import OrchestrationContext
from dapr.ext.workflow.doctor import examine
from dapr.ext.workflow.doctor.probe import NAME
from tests.support.e2e import DEADLINE, NewId, NewWorker, Workflow, completed, serve
from tools.go_sidecar import Sidecar


def examined(sidecar: Sidecar, *, probe: bool) -> dict[str, str]:
    """What the doctor says, by name; nothing may be wrong."""
    host, _, port = sidecar.address.partition(':')
    lines = list(examine(host=host, port=port, probe=probe))
    assert not [line for line in lines if line.wrong]
    return {line.name: line.text for line in lines}


def test_daprd_names_itself_and_others_leave_open_whether_they_send_deltas(sidecar: Sidecar) -> None:
    texts = examined(sidecar, probe=False)

    assert texts['answers'].startswith('yes, in ')
    if sidecar.build.is_daprd:
        assert texts['daprd'].startswith(f"{sidecar.build.version.removeprefix('daprd-')} of the app 'app', ")
        assert texts['deltas'].startswith('no')
    else:
        assert 'daprd' not in texts
        assert texts['deltas'].startswith('not known')
    reruns = sidecar.build.answers_as_daprd
    can, _, _cannot = texts['can'].partition('; not: ')
    assert ('to run an instance again from one of its events' in can) is reruns


def test_the_probe_tells_whether_deltas_come_and_leaves_no_instance(
    sidecar: Sidecar, client: TaskHubGrpcClient
) -> None:
    texts = examined(sidecar, probe=True)

    assert texts['deltas'].startswith('yes' if sidecar.build.sends_deltas else 'no')
    assert not [id for id in client.list_instance_ids().instanceIds if id.startswith(NAME)]


def test_work_that_comes_to_the_probe_goes_to_its_worker_afterwards(
    sidecar: Sidecar, client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    def waiting(ctx: OrchestrationContext, _: None) -> Workflow:
        yield ctx.wait_for_external_event('go')
        return 'done'

    worker = serve(new_worker, [waiting])
    instance_id = client.schedule_new_orchestration(waiting, instance_id=new_id())
    client.wait_for_orchestration_start(instance_id, timeout=DEADLINE)
    if sidecar.build.is_daprd:
        # Nothing happens to an instance while no worker is connected; but the doctor sees who is.
        assert 'it would be given work of the workers' in examined(sidecar, probe=True)['probe']
        return
    worker.stop()
    client.raise_orchestration_event(instance_id, 'go')

    assert 'work items of others came' in examined(sidecar, probe=True)['deltas']
    serve(new_worker, [waiting])
    assert completed(client, instance_id) == 'done'
