"""The calls of both clients, on instances in every state."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TypeAlias

import grpc
import pytest

from dapr.ext.workflow._durabletask.aio.client import AsyncTaskHubGrpcClient
from dapr.ext.workflow._durabletask.client import OrchestrationStatus, WorkflowState
from tests.support.e2e import DEADLINE, NewId, NewWorker, serve, with_client
from tests.support.scenarios import chain, echo, forever
from tools.go_sidecar import Sidecar

Client: TypeAlias = AsyncTaskHubGrpcClient
RunScenario: TypeAlias = Callable[[Callable[[Client], Awaitable[None]]], None]


@pytest.fixture(params=['sync', 'async'])
def run_scenario(request: pytest.FixtureRequest, sidecar: Sidecar, new_worker: NewWorker) -> RunScenario:
    """Runs a scenario with one of the clients, beside a worker."""
    serve(new_worker, [chain, forever], [echo])
    return lambda scenario: asyncio.run(with_client(request.param, sidecar.address, scenario))


async def ended(client: Client, instance_id: str) -> WorkflowState:
    state = await client.wait_for_orchestration_completion(instance_id, timeout=DEADLINE)
    assert state is not None
    return state


async def refusal(call: Awaitable[object]) -> tuple[grpc.StatusCode, str]:
    """The code and the words by which the sidecar refuses a call."""
    with pytest.raises(grpc.RpcError) as refused:
        await call
    return refused.value.code(), refused.value.details() or ''


def test_states_histories_and_lists(run_scenario: RunScenario, new_id: NewId) -> None:
    async def scenario(client: Client) -> None:
        running = await client.schedule_new_orchestration(forever, instance_id=new_id())
        done = await client.schedule_new_orchestration('chain', input=1)
        await ended(client, done)

        state = await client.get_orchestration_state(running)
        assert state is not None
        assert (state.instance_id, state.name) == (running, 'forever')
        assert state.runtime_status is OrchestrationStatus.RUNNING
        assert (state.serialized_input, state.serialized_output, state.failure_details) == (None, None, None)

        state = await client.get_orchestration_state(done)
        assert state is not None
        assert (state.runtime_status, state.serialized_input) == (OrchestrationStatus.COMPLETED, '1')
        assert state.serialized_output == '[0]'
        age = datetime.now(timezone.utc).replace(tzinfo=None) - state.created_at
        assert timedelta(0) <= age < timedelta(minutes=5)
        state.raise_if_failed()

        state = await client.get_orchestration_state(done, fetch_payloads=False)
        assert state is not None
        assert (state.serialized_input, state.serialized_output) == (None, None)

        history = await client.get_instance_history(done)
        assert history[1].executionStarted.name == 'chain'
        assert history[-1].executionCompleted.result.value == '[0]'
        assert history[0].timestamp.ToDatetime() <= history[-1].timestamp.ToDatetime()

        page = await client.list_instance_ids()
        assert {running, done} <= set(page.instanceIds)
        assert not page.HasField('continuationToken')

    run_scenario(scenario)


def test_ids_come_in_pages_of_the_size_asked_for_but_all_at_once_from_the_go_sidecar(
    run_scenario: RunScenario, sidecar: Sidecar, new_id: NewId
) -> None:
    async def scenario(client: Client) -> None:
        ids = {await client.schedule_new_orchestration(chain, input=0, instance_id=new_id()) for _ in range(3)}
        page = await client.list_instance_ids(page_size=2)
        pages = [list(page.instanceIds)]
        while page.HasField('continuationToken'):
            page = await client.list_instance_ids(page_size=2, continuation_token=page.continuationToken)
            pages.append(list(page.instanceIds))

        found = [instance_id for instances in pages for instance_id in instances]
        assert len(found) == len(set(found))
        assert ids <= set(found)
        if sidecar.build.answers_as_daprd:
            assert [len(instances) for instances in pages[:-1]] == [2] * (len(pages) - 1)
        else:
            assert len(pages) == 1

    run_scenario(scenario)


def test_calls_on_an_instance_that_is_not_there(run_scenario: RunScenario, new_id: NewId) -> None:
    async def scenario(client: Client) -> None:
        missing = new_id()
        assert await client.get_orchestration_state(missing) is None
        no_such_instance = (grpc.StatusCode.UNKNOWN, 'no such instance exists')
        assert await refusal(client.suspend_orchestration(missing)) == no_such_instance
        assert await refusal(client.resume_orchestration(missing)) == no_such_instance
        for call in (client.terminate_orchestration(missing), client.purge_orchestration(missing)):
            code, words = await refusal(call)
            assert code is grpc.StatusCode.UNKNOWN
            assert 'no such instance exists' in words

    run_scenario(scenario)


def test_the_history_of_an_instance_that_is_not_there_is_none_but_an_empty_one_on_the_go_sidecar(
    run_scenario: RunScenario, sidecar: Sidecar, new_id: NewId
) -> None:
    async def scenario(client: Client) -> None:
        missing = new_id()
        if sidecar.build.answers_as_daprd:
            assert await refusal(client.get_instance_history(missing)) == (
                grpc.StatusCode.NOT_FOUND,
                f"workflow instance '{missing}' not found",
            )
        else:
            assert await client.get_instance_history(missing) == []

    run_scenario(scenario)


def test_an_event_for_an_instance_that_is_not_there_is_refused_but_kept_for_it_by_the_go_sidecar(
    run_scenario: RunScenario, sidecar: Sidecar, new_id: NewId
) -> None:
    async def scenario(client: Client) -> None:
        to_come = new_id()
        early = client.raise_orchestration_event(to_come, 'go', data='early')
        if sidecar.build.answers_as_daprd:
            assert await refusal(early) == (grpc.StatusCode.UNKNOWN, 'no such instance exists')
        else:
            await early
        await client.schedule_new_orchestration(forever, instance_id=to_come)
        await client.raise_orchestration_event(to_come, 'go', data='late')
        if sidecar.build.answers_as_daprd:
            await client.raise_orchestration_event(to_come, 'go', data='later')
        output = (await ended(client, to_come)).serialized_output
        assert output == ('["late", "later"]' if sidecar.build.answers_as_daprd else '["early", "late"]')

    run_scenario(scenario)


def test_calls_on_an_instance_that_has_ended_have_no_effect(run_scenario: RunScenario, new_id: NewId) -> None:
    async def scenario(client: Client) -> None:
        instance_id = await client.schedule_new_orchestration(chain, input=1, instance_id=new_id())
        before = await ended(client, instance_id)

        await client.raise_orchestration_event(instance_id, 'go', data=1)
        await client.suspend_orchestration(instance_id)
        await client.resume_orchestration(instance_id)
        await client.terminate_orchestration(instance_id, output='never')

        after = await client.get_orchestration_state(instance_id)
        assert after is not None
        assert replace(after, last_updated_at=before.last_updated_at) == before

    run_scenario(scenario)


def test_purging(run_scenario: RunScenario, new_id: NewId) -> None:
    async def scenario(client: Client) -> None:
        instance_id = await client.schedule_new_orchestration(forever, instance_id=new_id())
        code, words = await refusal(client.purge_orchestration(instance_id))
        assert code is grpc.StatusCode.UNKNOWN
        assert 'orchestration has not yet completed' in words
        await client.terminate_orchestration(instance_id)
        await ended(client, instance_id)

        assert await client.purge_orchestration(instance_id) == 1

        assert await client.get_orchestration_state(instance_id) is None
        assert instance_id not in (await client.list_instance_ids()).instanceIds
        await client.schedule_new_orchestration(chain, input=2, instance_id=instance_id)
        assert (await ended(client, instance_id)).serialized_output == '[0, 1]'

    run_scenario(scenario)


def test_purging_by_force_takes_what_runs_but_not_from_the_go_sidecar(
    run_scenario: RunScenario, sidecar: Sidecar, new_id: NewId
) -> None:
    async def scenario(client: Client) -> None:
        instance_id = await client.schedule_new_orchestration(forever, instance_id=new_id())
        if sidecar.build.answers_as_daprd:
            assert await client.purge_orchestration(instance_id, force=True) == 1
            assert await client.get_orchestration_state(instance_id) is None
        else:
            code, words = await refusal(client.purge_orchestration(instance_id, force=True))
            assert code is grpc.StatusCode.UNKNOWN
            assert 'orchestration has not yet completed' in words
            await client.terminate_orchestration(instance_id)

    run_scenario(scenario)


def taken_id(sidecar: Sidecar) -> grpc.StatusCode:
    """What an id is refused with that another instance has: the older Go sidecar has no code of its own for it."""
    return grpc.StatusCode.ALREADY_EXISTS if sidecar.build.sends_deltas else grpc.StatusCode.UNKNOWN


def test_the_id_of_an_instance_that_runs_is_taken(run_scenario: RunScenario, sidecar: Sidecar, new_id: NewId) -> None:
    async def scenario(client: Client) -> None:
        running = await client.schedule_new_orchestration(forever, instance_id=new_id())

        for is_unique in (False, True):
            code, words = await refusal(
                client.schedule_new_orchestration(
                    chain, input=3, instance_id=running, enforce_unique_instance_id=is_unique
                )
            )
            assert code is taken_id(sidecar)
            assert 'already exists' in words

        await client.terminate_orchestration(running)

    run_scenario(scenario)


def test_the_id_of_an_instance_that_has_ended_is_free_but_not_if_it_has_to_be_unique_or_on_the_go_sidecar(
    run_scenario: RunScenario, sidecar: Sidecar, new_id: NewId
) -> None:
    async def scenario(client: Client) -> None:
        done = await client.schedule_new_orchestration(chain, input=0, instance_id=new_id())
        before = await ended(client, done)

        def again(is_unique: bool) -> Awaitable[str]:
            return client.schedule_new_orchestration(
                chain, input=3, instance_id=done, enforce_unique_instance_id=is_unique
            )

        if sidecar.build.is_daprd:  # 1.18.1 heeds the wish for a unique id only while the instance runs
            assert await again(is_unique=True) == done
            assert (await ended(client, done)).serialized_output == '[0, 1, 2]'
            return
        code, words = await refusal(again(is_unique=True))
        assert code is taken_id(sidecar)
        assert ('enforces instance ID uniqueness' if sidecar.build.answers_as_daprd else 'already exists') in words
        assert await client.get_orchestration_state(done) == before

        if sidecar.build.answers_as_daprd:
            assert await again(is_unique=False) == done
            assert (await ended(client, done)).serialized_output == '[0, 1, 2]'
        else:
            code, words = await refusal(again(is_unique=False))
            assert code is taken_id(sidecar)
            assert 'already exists' in words
            assert await client.get_orchestration_state(done) == before

    run_scenario(scenario)


def test_an_ended_instance_runs_again_from_one_of_its_events_but_not_on_the_go_sidecar(
    run_scenario: RunScenario, sidecar: Sidecar, new_id: NewId
) -> None:
    async def scenario(client: Client) -> None:
        instance_id = await client.schedule_new_orchestration(chain, input=2, instance_id=new_id())
        await ended(client, instance_id)

        if sidecar.build.answers_as_daprd:
            again = await client.rerun_orchestration_from_event(instance_id, 2, input='again', overwrite_input=True)
            assert (await ended(client, again)).serialized_output == '[0, "again"]'
            return

        with pytest.raises(grpc.RpcError) as refused:
            await client.rerun_orchestration_from_event(instance_id, 1)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert 'does not have RerunWorkflowFromEvent: that needs Dapr' in str(refused.value)

    run_scenario(scenario)


def test_a_workflow_can_be_scheduled_for_later(run_scenario: RunScenario, new_id: NewId) -> None:
    async def scenario(client: Client) -> None:
        start_at = datetime.now(timezone.utc) + timedelta(seconds=1)
        instance_id = await client.schedule_new_orchestration(chain, input=1, instance_id=new_id(), start_at=start_at)

        state = await client.get_orchestration_state(instance_id)
        assert state is not None
        assert state.runtime_status is OrchestrationStatus.PENDING

        assert (await ended(client, instance_id)).serialized_output == '[0]'
        started = (await client.get_instance_history(instance_id))[0].timestamp.ToDatetime(timezone.utc)
        assert started >= start_at

    run_scenario(scenario)


def test_waits_end_with_what_they_wait_for_or_with_their_time(run_scenario: RunScenario, new_id: NewId) -> None:
    async def scenario(client: Client) -> None:
        running, missing = new_id(), new_id()

        # Begun before the instance is there. Without a limit: 0 and None are both none.
        start = asyncio.create_task(client.wait_for_orchestration_start(running, timeout=None))
        end = asyncio.create_task(client.wait_for_orchestration_completion(running, timeout=0))
        await client.schedule_new_orchestration(forever, instance_id=running)
        state = await asyncio.wait_for(start, DEADLINE)
        assert state is not None
        assert (state.instance_id, state.runtime_status) == (running, OrchestrationStatus.RUNNING)

        message = f"Timed-out waiting for the orchestration to complete: '{running}' did not within 0.2 s"
        with pytest.raises(TimeoutError, match=message):
            await client.wait_for_orchestration_completion(running, timeout=0.2)
        for wait, awaited in (
            (client.wait_for_orchestration_start, 'start'),
            (client.wait_for_orchestration_completion, 'complete'),
        ):
            with pytest.raises(TimeoutError, match=f"orchestration to {awaited}: '{missing}' did not"):
                await wait(missing, timeout=0.2)

        await client.terminate_orchestration(running, output={'a': [0]})
        state = await asyncio.wait_for(end, DEADLINE)
        assert state is not None
        assert (state.runtime_status, state.serialized_output) == (OrchestrationStatus.TERMINATED, '{"a": [0]}')
        # An instance that has ended has started.
        state = await client.wait_for_orchestration_start(running, fetch_payloads=True, timeout=DEADLINE)
        assert state is not None
        assert state.serialized_output == '{"a": [0]}'
        state = await client.wait_for_orchestration_completion(running, fetch_payloads=False, timeout=DEADLINE)
        assert state is not None
        assert state.serialized_output is None

    run_scenario(scenario)
