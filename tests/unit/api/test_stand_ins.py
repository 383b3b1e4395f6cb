"""What apps and packages put in the place of the engine's clients and worker in their own tests.

A stand-in is looked up on its module when a client is made, takes what the engine of dapr 1.19.0 takes and no more, and
what it answers is what the caller gets.
"""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from dapr.ext.workflow import DaprWorkflowClient, WorkflowRuntime, aio
from dapr.ext.workflow._durabletask import client as engine
from dapr.ext.workflow._durabletask import worker as engine_worker
from dapr.ext.workflow._durabletask.aio import client as async_engine


class Refusal(grpc.RpcError):
    """An error as tests make them: its code is a word."""

    def __init__(self, details: str | None) -> None:
        self._details = details

    def code(self) -> Any:
        return 'UNKNOWN'

    def details(self) -> str | None:
        return self._details


class StandIn:
    """The calls of an engine's client: each answers its own name."""

    details: str | None = 'no such instance exists'

    def raise_orchestration_event(self, instance_id: str, event_name: str, *, data: Any = None) -> str:
        return 'raised'

    def terminate_orchestration(self, instance_id: str, *, output: Any = None, recursive: bool = True) -> str:
        return 'terminated'

    def suspend_orchestration(self, instance_id: str) -> str:
        return 'suspended'

    def resume_orchestration(self, instance_id: str) -> str:
        return 'resumed'

    def purge_orchestration(self, instance_id: str, recursive: bool = True) -> str:
        return 'purged'

    def get_orchestration_state(self, instance_id: str, *, fetch_payloads: bool) -> Any:
        raise Refusal(self.details)


class AsyncStandIn:
    """The same for asyncio."""

    def __init__(self, stand_in: StandIn) -> None:
        self._stand_in = stand_in

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any, **kwargs: Any) -> Any:
            return getattr(self._stand_in, name)(*args, **kwargs)

        return call


@pytest.fixture
def stand_in() -> StandIn:
    return StandIn()


@pytest.fixture(params=['sync', 'aio'])
def call(request: pytest.FixtureRequest, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Calls a method of a client that has the stand-in for its engine."""
    if request.param == 'sync':
        monkeypatch.setattr(engine, 'TaskHubGrpcClient', lambda **_: stand_in)
        client = DaprWorkflowClient()
        return lambda name, *args, **kwargs: getattr(client, name)(*args, **kwargs)
    monkeypatch.setattr(async_engine, 'AsyncTaskHubGrpcClient', lambda **_: AsyncStandIn(stand_in))
    twin = aio.DaprWorkflowClient()
    return lambda name, *args, **kwargs: asyncio.run(getattr(twin, name)(*args, **kwargs))


def test_the_caller_gets_what_the_stand_in_answers(call: Any) -> None:
    assert call('raise_workflow_event', 'i', 'go', data=1) == 'raised'
    assert call('terminate_workflow', 'i', output=1) == 'terminated'
    assert call('pause_workflow', 'i') == 'suspended'
    assert call('resume_workflow', 'i') == 'resumed'
    assert call('purge_workflow', 'i') == 'purged'


def test_an_error_that_says_that_there_is_no_such_instance_is_none(call: Any) -> None:
    assert call('get_workflow_state', 'i') is None


@pytest.mark.parametrize('details', ['something else', None])
def test_any_other_error_is_raised(call: Any, stand_in: StandIn, details: str | None) -> None:
    stand_in.details = details
    with pytest.raises(Refusal):
        call('get_workflow_state', 'i')


class OnlyStarts:
    """A worker that does not tell whether it is ready."""

    def __init__(self, **_: Any) -> None:
        self.is_started = False

    def start(self) -> None:
        self.is_started = True

    def stop(self) -> None: ...


def test_a_worker_that_does_not_tell_whether_it_is_ready_is_started_and_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[OnlyStarts] = []

    def make(**options: Any) -> OnlyStarts:
        made.append(OnlyStarts(**options))
        return made[-1]

    monkeypatch.setattr(engine_worker, 'TaskHubGrpcWorker', make)
    runtime = WorkflowRuntime()
    runtime.start()
    assert made[0].is_started
    assert runtime.wait_for_worker_ready(10) is False
