"""Histories are fetched from a sidecar, of workflows that have ended and of those that run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from dapr.ext.workflow import DaprWorkflowContext, WorkflowNotFoundError
from dapr.ext.workflow.testing import Replayer, WorkflowEnvironment, WorkflowHistory


def waits(ctx: DaprWorkflowContext, word: str) -> Any:
    heard = yield ctx.wait_for_external_event('go')
    return f'{word} {heard}'


@pytest.fixture
def env() -> Iterator[WorkflowEnvironment]:
    with WorkflowEnvironment.start_time_skipping() as env:
        env.runtime(workflows=[waits]).start()
        yield env


def test_a_running_workflow_and_then_the_whole(env: WorkflowEnvironment) -> None:
    env.client.schedule_new_workflow(waits, input='heard', instance_id='one')
    env.client.wait_for_workflow_start('one')
    running = WorkflowHistory.fetch(env.client, 'one')
    env.client.raise_workflow_event('one', 'go', data='it')
    env.client.wait_for_workflow_completion('one')
    whole = asyncio.run(fetched(env, 'one'))

    assert (running.is_finished, whole.is_finished) == (False, True)
    assert whole.events[: len(running)] == running.events
    for history in (running, whole):
        Replayer([waits]).replay_workflow(history)


async def fetched(env: WorkflowEnvironment, instance_id: str) -> WorkflowHistory:
    try:
        return await WorkflowHistory.afetch(env.aio_client, instance_id)
    finally:
        await env.aio_client.aclose()


def test_there_is_none(env: WorkflowEnvironment) -> None:
    with pytest.raises(WorkflowNotFoundError):
        WorkflowHistory.fetch(env.client, 'nobody')
