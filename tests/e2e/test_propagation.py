"""History that travels along with a call."""

from __future__ import annotations

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.client import TaskHubGrpcClient
from dapr.ext.workflow._durabletask.internal import protos as pb
from tests.support.e2e import NewId, NewWorker, Workflow, run, serve
from tools.go_sidecar import Sidecar


def test_a_call_asks_for_history_to_be_handed_on_which_the_go_sidecar_does_not_do(
    sidecar: Sidecar, client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    def has_history(ctx: task.ActivityContext, _: None) -> bool:
        return ctx.get_propagated_history() is not None

    def child(ctx: task.OrchestrationContext, _: None) -> bool:
        return ctx.get_propagated_history() is not None

    def parent(ctx: task.OrchestrationContext, _: None) -> Workflow:
        in_activity = yield ctx.call_activity(has_history, propagation=task.PropagationScope.OWN_HISTORY)
        in_child = yield ctx.call_sub_orchestrator(child, propagation=task.PropagationScope.LINEAGE)
        return [in_activity, in_child]

    serve(new_worker, [parent, child], [has_history])
    instance_id = new_id()

    assert run(client, parent, instance_id) == [sidecar.build.answers_as_daprd] * 2

    history = client.get_instance_history(instance_id)
    assert [
        getattr(event, kind).historyPropagationScope
        for event in history
        if (kind := event.WhichOneof('eventType')) in ('taskScheduled', 'childWorkflowInstanceCreated')
    ] == [pb.HISTORY_PROPAGATION_SCOPE_OWN_HISTORY, pb.HISTORY_PROPAGATION_SCOPE_LINEAGE]
