"""Which app an action comes from and which it goes to."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
from tests.support.engine import Driver, execution_started, output, task_completed, task_scheduled, workflow_started
from tests.support.scenarios import Workflow


def _asks(ctx: Context, _: None) -> Workflow:
    ctx.call_sub_orchestrator('own')
    ctx.call_activity('own')
    ctx.call_sub_orchestrator('other', app_id='other-app')
    ctx.call_activity('other', app_id='other-app')
    ctx.create_timer(timedelta(seconds=1))
    ctx.wait_for_external_event('e')
    yield ctx.wait_for_external_event('e', timeout=timedelta(seconds=1))


@pytest.mark.parametrize(
    ('router', 'source'),
    [
        (pb.TaskRouter(sourceAppID='caller', targetAppID='me'), 'me'),  # called by another app
        (pb.TaskRouter(sourceAppID='me'), 'me'),
        (pb.TaskRouter(sourceAppID='me', targetAppID=''), 'me'),
        (pb.TaskRouter(targetAppID='me'), 'me'),
        (pb.TaskRouter(), ''),
        (None, ''),
    ],
)
def test_actions_come_from_the_app_that_was_started_and_go_to_the_one_named(
    router: pb.TaskRouter | None, source: str
) -> None:
    actions = Driver(_asks, router=router).start().actions
    to_own, to_other = pb.TaskRouter(sourceAppID=source), pb.TaskRouter(sourceAppID=source, targetAppID='other-app')
    assert [action.router for action in actions[:4]] == [to_own, to_own, to_other, to_other]
    assert [action.router.HasField('targetAppID') for action in actions[:4]] == [False, False, True, True]


def test_timers_carry_no_router() -> None:
    actions = Driver(_asks, router=pb.TaskRouter(sourceAppID='me')).start().actions
    timers = [action for action in actions if action.HasField('createTimer')]
    assert len(timers) == 3
    assert not any(action.HasField('router') for action in timers)


@pytest.mark.parametrize(('source', 'target', 'expected'), [('caller', 'me', 'me'), ('me', None, 'me')])
def test_the_completion_comes_from_the_app_too(source: str, target: str | None, expected: str) -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        return (yield ctx.call_activity('a'))

    driver = Driver(workflow, router=pb.TaskRouter(sourceAppID=source, targetAppID=target))
    driver.start()
    (completed,) = driver.turn(task_completed(1)).actions
    assert completed.router == pb.TaskRouter(sourceAppID=expected)


def test_the_app_is_known_to_the_workflow_and_in_replay() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.call_activity('a')
        yield ctx.call_activity('b')
        return ctx.app_id

    driver = Driver(workflow)
    started = execution_started('workflow', router=pb.TaskRouter(sourceAppID='caller', targetAppID='me'))
    driver.committed = [workflow_started(), started, task_scheduled(1, 'a')]
    (action,) = driver.turn(task_completed(1)).actions
    assert action.router.sourceAppID == 'me'
    assert output(driver.turn(task_completed(2))) == 'me'


def test_an_app_that_is_not_known_is_an_empty_text() -> None:
    def workflow(ctx: Context, _: None) -> str:
        return ctx.app_id

    assert output(Driver(workflow).start()) == ''


def test_only_the_starts_router_counts() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.call_activity('a')
        yield ctx.call_activity('b')

    driver = Driver(workflow, router=pb.TaskRouter(sourceAppID='me'))
    driver.start()
    result = task_completed(1)
    result.router.sourceAppID = 'worker-of-the-activity'
    (action,) = driver.turn(result).actions
    assert action.router.sourceAppID == 'me'
