"""The clients for blocking code and for asyncio cannot drift apart: calls, signatures, docstrings, what they send."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from dapr.ext.workflow import DaprWorkflowClient, aio
from dapr.ext.workflow._durabletask.aio.client import AsyncTaskHubGrpcClient
from dapr.ext.workflow._durabletask.client import TaskHubGrpcClient
from dapr.ext.workflow._durabletask.internal import protos as pb
from tests.support.scripted_sidecar import ANSWERS, ScriptedSidecar, Twin

PAIRS: list[tuple[type, type]] = [
    (TaskHubGrpcClient, AsyncTaskHubGrpcClient),
    (DaprWorkflowClient, aio.DaprWorkflowClient),
]
# How a client ends differs: what is closed, and what becomes of calls that are in flight.
ENDS = {'close', 'aclose'}


def public(client: type) -> dict[str, Callable[..., Any]]:
    return {
        name: value
        for name, value in inspect.getmembers(client, inspect.isfunction)
        if not name.startswith('_') and name not in ENDS
    }


def parameters(function: Callable[..., Any]) -> list[tuple[str, Any, Any, Any]]:
    return [
        (found.name, found.kind, found.default, found.annotation)
        for found in inspect.signature(function).parameters.values()
    ]


CALLS = [(sync, twin, name) for sync, twin in PAIRS for name in public(sync)]


@pytest.mark.parametrize(('sync', 'twin'), PAIRS)
def test_they_have_the_same_calls(sync: type, twin: type) -> None:
    assert public(sync).keys() == public(twin).keys()


@pytest.mark.parametrize(('sync', 'twin', 'name'), CALLS)
def test_a_call_takes_and_says_the_same(sync: type, twin: type, name: str) -> None:
    one, other = public(sync)[name], public(twin)[name]
    assert parameters(one) == parameters(other)
    assert inspect.getdoc(one) == inspect.getdoc(other)
    assert inspect.iscoroutinefunction(other) or inspect.isasyncgenfunction(other)
    assert not inspect.iscoroutinefunction(one)


@pytest.mark.parametrize(('sync', 'twin'), PAIRS)
def test_they_are_made_with_the_same(sync: type, twin: type) -> None:
    names = [[name for name, *_ in parameters(client.__init__)] for client in (sync, twin)]  # type: ignore[misc]
    assert names[0] == names[1]


ARGUMENTS: dict[str, tuple[Any, ...]] = {
    'schedule_new_orchestration': ('w',),
    'list_instance_ids': (),
    'raise_orchestration_event': ('i', 'e'),
    'rerun_orchestration_from_event': ('i', 1),
    'wait_for_sidecar': (1,),
}
SCRIPTS: dict[str, list[Any]] = {
    'answered': [],
    'refused': [(grpc.StatusCode.PERMISSION_DENIED, 'no')],
    'lost': [(grpc.StatusCode.UNAVAILABLE, 'Socket closed')],
    'no worker, then one': [(grpc.StatusCode.UNKNOWN, 'actor type dapr.internal.default.a.workflow not registered')],
}
METHODS = {
    'schedule_new_orchestration': 'StartInstance',
    'get_orchestration_state': 'GetInstance',
    'wait_for_orchestration_start': 'WaitForInstanceStart',
    'wait_for_orchestration_completion': 'WaitForInstanceCompletion',
    'raise_orchestration_event': 'RaiseEvent',
    'terminate_orchestration': 'TerminateInstance',
    'suspend_orchestration': 'SuspendInstance',
    'resume_orchestration': 'ResumeInstance',
    'purge_orchestration': 'PurgeInstances',
    'list_instance_ids': 'ListInstanceIDs',
    'get_instance_history': 'GetInstanceHistory',
    'rerun_orchestration_from_event': 'RerunWorkflowFromEvent',
    'wait_for_sidecar': 'Hello',
}
ENDED = pb.GetInstanceResponse(
    exists=True, workflowState=pb.WorkflowState(instanceId='i', workflowStatus=pb.ORCHESTRATION_STATUS_COMPLETED)
)


@pytest.mark.parametrize('script', SCRIPTS)
@pytest.mark.parametrize('name', public(TaskHubGrpcClient))
def test_a_call_sends_and_comes_to_the_same(sidecar: ScriptedSidecar, name: str, script: str) -> None:
    method = METHODS[name]
    seen = []
    for kind in ('sync', 'aio'):
        twin = Twin(kind)
        answer = ENDED if 'Wait' in method or method == 'GetInstance' else ANSWERS[method]
        sidecar.script(method, *SCRIPTS[script], answer)
        sidecar.received.clear()
        client = twin.new(host_address=sidecar.address, retry_timeout=1)
        try:
            outcome = str(getattr(client, name)(*ARGUMENTS.get(name, ('i',))))
        except grpc.RpcError as error:
            outcome = f'{error.code()}: {error.details()}'
        finally:
            twin.finish()
        seen.append((outcome, [call.method for call in sidecar.received]))
    assert seen[0] == seen[1]
