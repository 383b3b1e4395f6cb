"""What a workflow sends and gets nothing back from: detached workflows, and events for other instances."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from dapr.ext.workflow import DaprWorkflowContext
from dapr.ext.workflow._durabletask.aio import AsyncWorkflowContext
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
from dapr.ext.workflow._durabletask.replay.instance import ExecutionResults
from tests.support import async_engine
from tests.support.engine import (
    Driver,
    detached_created,
    event_raised,
    event_sent,
    failure_of,
    kinds,
    output,
    task_completed,
    task_scheduled,
    terminated,
    timer_fired,
    workflow_started,
)
from tests.support.scenarios import Workflow


def _detached(results: ExecutionResults) -> list[tuple[str, str, str]]:
    asked = [action.createDetachedWorkflow for action in results.actions if action.HasField('createDetachedWorkflow')]
    return [(one.instanceId, one.name, one.input.value) for one in asked]


def test_a_detached_workflow_has_its_id_at_once_and_its_own_count_of_default_ids() -> None:
    def parent(ctx: Context, _: None) -> Workflow:
        first = ctx.schedule_new_workflow('job', input={'n': 1})
        named = ctx.schedule_new_workflow('job', instance_id='mine')
        yield ctx.call_activity('step')
        return [first, named, ctx.schedule_new_workflow(parent)]

    driver = Driver(parent)
    started = driver.start()

    assert _detached(started) == [('abc-0', 'job', '{"n": 1}'), ('mine', 'job', '')]
    assert [number for number, _ in kinds(started)] == [1, 2, 3]
    ended = driver.turn(task_completed(3))
    assert _detached(ended) == [('abc-1', 'parent', '')]
    assert [action.WhichOneof('workflowActionType') for action in ended.actions][-1] == 'completeWorkflow'


def test_it_starts_although_its_parent_ends_or_fails_in_the_same_turn() -> None:
    def ending(ctx: Context, _: None) -> str:
        return ctx.schedule_new_workflow('job')

    def failing(ctx: Context, _: None) -> None:
        ctx.schedule_new_workflow('job')
        raise ValueError('on purpose')

    for workflow, status in (
        (ending, pb.ORCHESTRATION_STATUS_COMPLETED),
        (failing, pb.ORCHESTRATION_STATUS_FAILED),
    ):
        results = Driver(workflow).start()
        assert kinds(results) == [(1, 'createDetachedWorkflow'), (2, 'completeWorkflow')]
        assert results.actions[1].completeWorkflow.workflowStatus == status


def test_it_does_not_start_when_its_parent_is_terminated() -> None:
    def parent(ctx: Context, _: None) -> Workflow:
        ctx.schedule_new_workflow('job')
        yield ctx.call_activity('step')

    assert kinds(Driver(parent).start(terminated())) == [(3, 'completeWorkflow')]


def test_a_sidecar_forgets_it_at_a_continue_as_new_so_that_goes_out_in_the_next_turn() -> None:
    def eternal(ctx: Context, number: int) -> None:
        ctx.send_event('other', 'go')
        ctx.schedule_new_workflow('job', instance_id=f'job-{number}')
        ctx.continue_as_new(number + 1)

    driver = Driver(eternal, '1')
    first = driver.start()
    assert kinds(first) == [(1, 'sendEvent'), (2, 'createDetachedWorkflow'), (3, 'createTimer')]
    assert first.actions[2].createTimer.fireAt.ToDatetime() == driver.now

    driver.close()
    driver._running, driver._stands_at = None, 0  # a worker keeps no run that has ended
    ended = driver.turn(timer_fired(3))
    assert kinds(ended) == [(4, 'completeWorkflow')]
    assert ended.actions[0].completeWorkflow.result.value == '2'


def test_what_is_asked_for_after_a_continue_as_new_is_not_sent() -> None:
    def eternal(ctx: Context, _: None) -> None:
        ctx.continue_as_new(None)
        ctx.schedule_new_workflow('job')

    (action,) = Driver(eternal).start().actions
    assert action.HasField('completeWorkflow')


def test_one_that_was_confirmed_before_holds_no_continue_as_new_up() -> None:
    def eternal(ctx: Context, _: None) -> Workflow:
        ctx.schedule_new_workflow('job')
        yield ctx.call_activity('step')
        ctx.continue_as_new(None)

    driver = Driver(eternal)
    driver.start()
    assert kinds(driver.turn(task_completed(2))) == [(3, 'completeWorkflow')]


@pytest.mark.parametrize(
    'when', [timedelta(hours=1), datetime(2024, 2, 3, 6, 5, 7, 700000, tzinfo=timezone(timedelta(hours=1)))]
)
def test_the_moment_of_its_start_and_the_app_that_runs_it(when: Any) -> None:
    def parent(ctx: Context, _: None) -> str:
        return ctx.schedule_new_workflow('job', start_at=when, app_id='other', app_namespace='ns')

    driver = Driver(parent, router=pb.TaskRouter(sourceAppID='us', targetAppID='us'))
    action = driver.start().actions[0]
    assert action.createDetachedWorkflow.scheduledStartTimestamp.ToDatetime() == datetime(2024, 2, 3, 5, 5, 7, 700000)
    assert action.router == pb.TaskRouter(sourceAppID='us', targetAppID='other', targetAppNamespace='ns')


def test_an_event_goes_to_another_instance() -> None:
    def sender(ctx: Context, _: None) -> None:
        ctx.send_event('other', 'Go', {'n': 1})
        ctx.send_event('other', 'bare')

    first, second = (action.sendEvent for action in Driver(sender).start().actions[:2])
    assert first == pb.SendEventAction(
        instance=pb.WorkflowInstance(instanceId='other'), name='Go', data=StringValue(value='{"n": 1}')
    )
    assert not second.HasField('data')


@pytest.mark.parametrize(
    ('arguments', 'error'),
    [
        ({'instance_id': ''}, 'ValueError: instance_id must not be empty'),
        ({'instance_id': 5}, 'TypeError: instance_id must be a str, not int'),
        ({'app_id': 5}, 'TypeError: app_id must be a str'),
        ({'app_namespace': 'ns'}, 'ValueError: app_namespace says where the app app_id is'),
        ({'start_at': 5}, 'TypeError: start_at must be a datetime or a timedelta'),
        ({'instance_id': '\ud800'}, 'UnicodeEncodeError'),
    ],
)
def test_wrong_arguments_of_a_start_are_told_at_the_call(arguments: dict[str, Any], error: str) -> None:
    def parent(ctx: Context, _: None) -> str:
        try:
            return ctx.schedule_new_workflow('job', **arguments)
        except Exception as told:
            return f'{type(told).__name__}: {told}'

    assert output(Driver(parent).start()).startswith(error)


@pytest.mark.parametrize(
    ('instance_id', 'name', 'error'),
    [
        ('', 'go', 'instance_id must not be empty.'),
        ('other', '', 'name must not be empty.'),
        (None, 'go', 'instance_id must be a str, not NoneType: None.'),
        ('other', 5, 'name must be a str, not int: 5.'),
    ],
)
def test_wrong_arguments_of_an_event_are_told_at_the_call(instance_id: Any, name: Any, error: str) -> None:
    def sender(ctx: Context, _: None) -> str:
        try:
            ctx.send_event(instance_id, name)
        except (TypeError, ValueError) as told:
            return str(told)
        return ''

    assert output(Driver(sender).start()) == error


def test_an_event_that_a_sidecar_hands_over_as_it_was_sent_is_raised() -> None:
    def receiver(ctx: Context, _: None) -> Workflow:
        first = yield ctx.wait_for_external_event('go')
        return [first, (yield ctx.wait_for_external_event('GO'))]

    driver = Driver(receiver)
    driver.start(event_sent(7, 'abc', 'Go', '1'))
    assert output(driver.turn(event_sent(1, 'abc', 'go', '2'))) == [1, 2]


def test_a_workflow_can_send_itself_an_event() -> None:
    def both(ctx: Context, _: None) -> Workflow:
        ctx.send_event(ctx.instance_id, 'go', 5)
        return (yield ctx.wait_for_external_event('go'))

    handed_over = Driver(both)
    assert kinds(handed_over.start()) == [(1, 'sendEvent'), (2, 'createTimer')]
    assert output(handed_over.turn(event_sent(1, 'abc', 'go', '5'))) == 5
    raised = Driver(both)
    raised.start()
    assert output(raised.turn(event_raised('go', '5'))) == 5


def test_a_replay_that_sends_something_else_is_found_out() -> None:
    def parent(ctx: Context, _: None) -> Workflow:
        ctx.schedule_new_workflow('job', instance_id='this')
        yield ctx.call_activity('step')

    driver = Driver(parent)
    driver.committed = [workflow_started(), driver._started, detached_created(1, 'that'), task_scheduled(2, 'step')]
    failed = failure_of(driver.turn(task_completed(2)))
    assert failed.errorType == 'NonDeterminismError'
    assert "the history says schedule_new_workflow for the instance 'that'" in failed.errorMessage
    assert "the code called schedule_new_workflow('job') for the instance 'this'" in failed.errorMessage


def test_nothing_is_sent_by_a_replay_that_went_astray() -> None:
    def parent(ctx: Context, _: None) -> Workflow:
        ctx.schedule_new_workflow('job')
        yield ctx.call_activity('step')

    driver = Driver(parent)
    driver.committed = [workflow_started(), driver._started, task_scheduled(1, 'step')]
    assert kinds(driver.turn(task_completed(1))) == [(3, 'completeWorkflow')]


def test_the_public_contexts_have_both() -> None:
    def job(ctx: DaprWorkflowContext, number: int) -> int:
        return number

    def parent(ctx: Context, _: None) -> str:
        public = DaprWorkflowContext(ctx)
        public.send_event('other', 'go', 1)
        return public.schedule_new_workflow(job, input=3, instance_id='x')

    results = Driver(parent).start()
    assert kinds(results)[:2] == [(1, 'sendEvent'), (2, 'createDetachedWorkflow')]
    assert _detached(results) == [('x', 'job', '3')]


def test_async_workflows_have_both() -> None:
    async def parent(ctx: AsyncWorkflowContext, _: None) -> str:
        ctx.send_event('other', 'go', 1)
        return ctx.schedule_new_workflow('job', input=3)

    results = async_engine.started(parent)
    assert kinds(results) == [(1, 'sendEvent'), (2, 'createDetachedWorkflow'), (3, 'completeWorkflow')]
    assert _detached(results) == [('abc-0', 'job', '3')]


def test_an_async_workflow_that_continues_as_new_lets_it_start_before() -> None:
    async def parent(ctx: AsyncWorkflowContext, _: None) -> None:
        ctx.schedule_new_workflow('job')
        ctx.continue_as_new(None)

    assert kinds(async_engine.started(parent)) == [(1, 'createDetachedWorkflow'), (2, 'createTimer')]
