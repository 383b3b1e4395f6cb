"""What goes wrong in workflows: each fails with a message that says what to do, and the worker serves the next one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import grpc
import pytest
from google.protobuf import wrappers_pb2

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.client import OrchestrationFailedError, TaskHubGrpcClient
from dapr.ext.workflow._durabletask.internal import orchestrator_service_pb2_grpc as stubs
from dapr.ext.workflow._durabletask.internal import protos as pb
from tests.support.e2e import NewId, NewWorker, Workflow, ended, failure, run, serve, steps
from tests.support.scenarios import chain, echo, forever
from tools.go_sidecar import Sidecar


def raising(ctx: task.OrchestrationContext, _: None) -> Workflow:
    yield ctx.call_activity(echo, input=1)
    raise LookupError('on purpose')


def raising_at_once(ctx: task.OrchestrationContext, _: None) -> None:
    raise LookupError('on purpose')


def unencodable(ctx: task.OrchestrationContext, _: None) -> Workflow:
    yield ctx.call_activity(echo, input=1)
    return {1, 2}


def unencodable_input(ctx: task.OrchestrationContext, _: None) -> Workflow:
    yield ctx.call_activity(echo, input=cast('Any', object()))


def calling_unencodable(ctx: task.OrchestrationContext, _: None) -> Workflow:
    yield ctx.call_activity(unencodable_result)


def unencodable_result(ctx: task.ActivityContext, _: None) -> Any:
    return {1, 2}


def calling_unregistered(ctx: task.OrchestrationContext, _: None) -> Workflow:
    yield ctx.call_activity('nowhere')


def starting_unregistered(ctx: task.OrchestrationContext, _: None) -> Workflow:
    yield ctx.call_sub_orchestrator('no_such_child')


def yielding_a_number(ctx: task.OrchestrationContext, _: None) -> Workflow:
    yield cast('task.Task[Any]', 42)


def test_a_workflow_fails_with_what_went_wrong(client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId) -> None:
    expected: dict[Callable[..., Any] | str, tuple[str, list[str]]] = {
        raising: ('LookupError', ['on purpose']),
        raising_at_once: ('LookupError', ['on purpose']),
        unencodable: ('TypeError', ['Object of type set is not JSON serializable', 'convert']),
        unencodable_input: ('TypeError', ['Object of type object is not JSON serializable']),
        calling_unencodable: ('TaskFailedError', ['Activity task #1 failed', 'Object of type set']),
        calling_unregistered: ('TaskFailedError', ['Activity task #1 failed', "'nowhere'"]),
        starting_unregistered: ('TaskFailedError', ['Sub-orchestration task #1 failed', "'no_such_child'"]),
        yielding_a_number: ('TypeError', ['42', 'must yield a task']),
        'no_such_workflow': ('OrchestratorNotRegisteredError', ["'no_such_workflow'"]),
    }
    workflows = [workflow for workflow in expected if not isinstance(workflow, str)]
    serve(new_worker, [*workflows, chain], [echo, unencodable_result])
    with ThreadPoolExecutor(len(expected)) as threads:
        started = threads.map(lambda w: client.schedule_new_orchestration(w, instance_id=new_id()), expected)

    for instance_id, (error_type, parts) in zip(started, expected.values(), strict=True):
        kind, message = failure(client, instance_id)
        assert kind == error_type, message
        assert all(part in message for part in parts), message
        assert steps(client, instance_id)[-1].startswith('executionCompleted')

    assert run(client, chain, new_id(), 1) == [0]


def test_a_failed_workflow_tells_where_it_failed(
    client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    serve(new_worker, [raising], [echo])
    state = ended(client, client.schedule_new_orchestration(raising, instance_id=new_id()))

    with pytest.raises(OrchestrationFailedError, match='failed: on purpose') as caught:
        state.raise_if_failed()

    details = caught.value.failure_details
    assert (details.error_type, details.message) == ('LookupError', 'on purpose')
    assert "raise LookupError('on purpose')" in (details.stack_trace or '')


def test_payloads_that_are_no_json_fail_the_workflow_that_is_given_them(
    sidecar: Sidecar, client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    serve(new_worker, [chain, forever], [echo])
    given, sent = new_id(), new_id()
    with grpc.insecure_channel(sidecar.address) as channel:
        stub = stubs.TaskHubSidecarServiceStub(channel)
        no_json = wrappers_pb2.StringValue(value='{not json')
        stub.StartInstance(pb.CreateInstanceRequest(instanceId=given, name='chain', input=no_json), timeout=30)
        client.schedule_new_orchestration(forever, instance_id=sent)
        stub.RaiseEvent(pb.RaiseEventRequest(instanceId=sent, name='go', input=no_json), timeout=30)

    for instance_id, part in ((given, "The input of 'chain' is not JSON"), (sent, "event 'go' is not JSON")):
        kind, message = failure(client, instance_id)
        assert kind == 'JSONDecodeError'
        assert part in message
    assert run(client, chain, new_id(), 1) == [0]
