"""Large payloads: what fits goes through, what does not fails with a message, and the worker goes on."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.client import TaskHubGrpcClient
from dapr.ext.workflow._durabletask.internal import protos as pb
from tests.support.e2e import NewId, NewWorker, Workflow, completed, failure, run, serve, steps, wait_for_stall
from tests.support.scenarios import chain, echo
from tools.go_sidecar import Sidecar

MB = 1_000_000
# What the sidecar takes in one message.
LIMIT = 4 * 1024 * 1024


def enlarge(ctx: task.ActivityContext, size: int) -> str:
    return 'x' * size


def test_results_of_megabytes_go_through_and_histories_of_twenty_but_on_daprd(
    sidecar: Sidecar, client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    def large(ctx: task.OrchestrationContext, text: str) -> Workflow:
        echoed = yield ctx.call_activity(echo, input=text)
        # A message of the sidecar's may be larger than the 4 MiB that gRPC takes by default.
        many = yield task.when_all([ctx.call_activity(enlarge, input=4 * MB + n) for n in range(5)])
        return [echoed, [len(each) for each in many]]

    serve(new_worker, [large], [echo, enlarge])
    text = 'é' + 'x' * MB
    instance_id = new_id()

    if sidecar.build.is_daprd:  # it sends no history that nears its limit, and stalls the workflow instead
        client.schedule_new_orchestration(large, input=text, instance_id=instance_id)
        stalled = wait_for_stall(client, instance_id)
        assert stalled.reason == pb.PAYLOAD_SIZE_EXCEEDED
        client.purge_orchestration(instance_id, force=True)
        return
    assert run(client, large, instance_id, text) == [text, [4 * MB + n for n in range(5)]]

    assert steps(client, instance_id)[-1] == 'executionCompleted 7'
    assert sum(event.ByteSize() for event in client.get_instance_history(instance_id)) > 20 * MB


def test_a_result_that_the_sidecar_does_not_take_is_a_failure_that_says_so(
    client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    def large_activity_result(ctx: task.OrchestrationContext, size: int) -> Workflow:
        try:
            yield ctx.call_activity(enlarge, input=size)
        except task.TaskFailedError as error:
            return [error.details.error_type, error.details.message]

    def large_result(ctx: task.OrchestrationContext, size: int) -> str:
        return 'x' * size

    def large_inputs(ctx: task.OrchestrationContext, size: int) -> Workflow:
        half = 'x' * (size // 2)
        yield task.when_all([ctx.call_activity(echo, input=half) for _ in range(2)])

    serve(new_worker, [large_activity_result, large_result, large_inputs, chain], [echo, enlarge])
    ids = [
        client.schedule_new_orchestration(workflow, input=LIMIT, instance_id=new_id())
        for workflow in (large_activity_result, large_result, large_inputs)
    ]

    kind, message = completed(client, ids[0])
    failures: list[tuple[str, Any]] = [(kind, message), failure(client, ids[1]), failure(client, ids[2])]

    for kind, message in failures:
        assert kind == 'ResultTooLargeError'
        assert f'vs. {LIMIT}' in message  # what the sidecar said
        assert 'large data' in message  # what to do
    assert run(client, chain, new_id(), 1) == [0]


def test_an_input_that_the_sidecar_does_not_take_is_refused_to_its_sender(
    client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    serve(new_worker, [chain], [echo])
    instance_id = new_id()

    with pytest.raises(grpc.RpcError) as refused:
        client.schedule_new_orchestration(chain, input='x' * LIMIT, instance_id=instance_id)

    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert client.get_orchestration_state(instance_id) is None
