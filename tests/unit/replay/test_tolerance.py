"""Whatever a sidecar sends, newer, odd or broken, is ignored or fails the one workflow; nothing escapes the engine."""

from __future__ import annotations

import logging

import pytest

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.replay import handlers
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
from dapr.ext.workflow._durabletask.replay.executor import _OrchestrationExecutor
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from tests.support.engine import (
    Driver,
    Event,
    completion,
    event_raised,
    execution_started,
    failure_of,
    kinds,
    output,
    resumed,
    suspended,
    task_completed,
    task_scheduled,
    terminated,
    timer_created,
    timer_fired,
    workflow_started,
)
from tests.support.scenarios import Workflow

LOGGER = logging.getLogger('tests.tolerance')


def _two_steps(ctx: Context, _: None) -> Workflow:
    return [(yield ctx.call_activity('a')), (yield ctx.wait_for_external_event('go'))]


def _raw(*fields: bytes) -> Event:
    return Event.FromString(b''.join(fields))


SIDECAR_ONLY = [
    Event(eventId=7, executionStalled=pb.ExecutionStalledEvent(reason=pb.PATCH_MISMATCH, description='x')),
    Event(eventId=7, eventSent=pb.EventSentEvent(instanceId='other', name='go')),
    Event(eventId=7, workflowCompleted=pb.WorkflowCompletedEvent()),
    Event(eventId=1, detachedWorkflowInstanceCreated=pb.DetachedWorkflowInstanceCreatedEvent(instanceId='other')),
    Event(eventId=7, continueAsNew=pb.ContinueAsNewEvent()),
    Event(eventId=7, executionCompleted=pb.ExecutionCompletedEvent()),
]
UNKNOWN = [
    Event(),  # no kind at all
    Event(eventId=1),
    _raw(b'\x08\x01', b'\x92\x01\x02\x08\x01'),  # field 18: a kind that was taken back
    _raw(b'\xc2\x3e\x02\x08\x01'),  # field 1000: a kind of the future
]


def _name(event: Event) -> str:
    return event.WhichOneof('eventType') or 'unknown'


@pytest.mark.parametrize('event', [*SIDECAR_ONLY, *UNKNOWN], ids=_name)
def test_events_that_are_of_no_concern_to_a_workflow_change_nothing_anywhere(event: Event) -> None:
    driver = Driver(_two_steps)
    assert kinds(driver.batch(event, workflow_started(), event, driver._started, event)) == [(1, 'scheduleTask')]
    driver.committed.append(event)
    assert kinds(driver.turn(event, task_completed(1, 'x'), event)) == [(2, 'createTimer')]
    assert kinds(driver.turn(suspended(), event)) == []
    assert kinds(driver.turn(event, resumed(), event)) == []
    driver.committed.append(event)
    assert output(driver.turn(event, event_raised('go', '1'), event)) == ['x', 1]


def test_every_kind_of_the_contract_has_its_place() -> None:
    known = {field.name for field in Event.DESCRIPTOR.oneofs_by_name['eventType'].fields}
    assert set(handlers.RUNNING) == set(handlers.SUSPENDED) == set(handlers.ENDED) == {*known, None}


@pytest.mark.parametrize('event', UNKNOWN)
def test_an_unknown_kind_is_logged_when_it_is_new_and_not_in_replay(
    event: Event, caplog: pytest.LogCaptureFixture
) -> None:
    registry = _Registry()
    registry.add_orchestrator(_two_steps)
    executor = _OrchestrationExecutor(registry, LOGGER)
    started = [workflow_started(), execution_started('_two_steps')]
    with caplog.at_level(logging.WARNING, LOGGER.name):
        executor.execute('abc', [], [*started, event])
        (record,) = caplog.records
        assert 'abc' in record.getMessage()
        assert 'kind' in record.getMessage()
        caplog.clear()
        executor.execute('abc', [*started, event, task_scheduled(1, 'a')], [workflow_started()])
    assert caplog.records == []


def test_unknown_fields_of_known_events_are_ignored() -> None:
    unknown = b'\xc2\x3e\x02\x08\x01'  # field 1000
    result = task_completed(1, 'x')
    result.taskCompleted.MergeFromString(unknown)
    result.MergeFromString(unknown)
    start = Driver(_two_steps)._started
    start.executionStarted.MergeFromString(unknown)
    driver = Driver(_two_steps)
    assert kinds(driver.turn(start)) == [(1, 'scheduleTask')]
    assert kinds(driver.turn(result)) == [(2, 'createTimer')]


@pytest.mark.parametrize('is_new', [False, True])
def test_a_turn_without_new_events_asks_for_nothing_new(is_new: bool) -> None:
    driver = Driver(_two_steps)
    driver.start()
    assert kinds(driver.batch(*([workflow_started()] if is_new else []))) == []
    assert kinds(driver.turn(task_completed(1))) == [(2, 'createTimer')]


def test_a_turn_without_new_events_asks_again_for_what_was_lost() -> None:
    driver = Driver(_two_steps)
    driver.committed = [workflow_started(), driver._started]
    assert kinds(driver.batch()) == [(1, 'scheduleTask')]


NO_START: list[list[Event]] = [
    [],
    [workflow_started()],
    [workflow_started(), event_raised('go', '1')],
    [workflow_started(), task_completed(1, 'x')],
    [resumed()],
]


@pytest.mark.parametrize('events', NO_START, ids=lambda events: ' '.join(map(_name, events)) or 'none')
def test_nothing_goes_out_before_the_start_and_the_log_says_why(
    events: list[Event], caplog: pytest.LogCaptureFixture
) -> None:
    driver = Driver(_two_steps)
    with caplog.at_level(logging.WARNING, LOGGER.name):
        assert kinds(driver.batch(*events)) == []
    assert 'abc: There is no executionStarted in its history yet' in caplog.text


def test_an_event_that_comes_before_the_start_is_kept() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        return (yield ctx.wait_for_external_event('go'))

    driver = Driver(workflow)
    assert kinds(driver.turn(event_raised('go', '5'))) == []
    assert output(driver.turn(driver._started)) == 5


@pytest.mark.parametrize('past', [task_scheduled(1, 'a'), timer_created(1, workflow_started().timestamp.ToDatetime())])
def test_confirmations_before_the_start_are_a_mismatch(past: Event) -> None:
    driver = Driver(_two_steps)
    driver.committed = [workflow_started(), past]
    assert failure_of(driver.turn(driver._started)).errorType == 'NonDeterminismError'


def test_a_suspended_history_without_a_start_waits() -> None:
    driver = Driver(_two_steps)
    assert kinds(driver.batch(workflow_started(), suspended())) == []
    assert completion(driver.turn(terminated())).workflowStatus == pb.ORCHESTRATION_STATUS_TERMINATED


def test_a_second_start_is_ignored() -> None:
    driver = Driver(_two_steps)
    assert kinds(driver.start(driver._started, execution_started('another'))) == [(1, 'scheduleTask')]
    assert kinds(driver.turn(driver._started, task_completed(1))) == [(2, 'createTimer')]


def test_a_turn_can_begin_more_than_once() -> None:
    driver = Driver(_two_steps)
    driver.start()
    results = driver.batch(workflow_started(), workflow_started(), task_completed(1))
    assert kinds(results) == [(2, 'createTimer')]


def test_a_history_without_times_is_at_the_epoch() -> None:
    def workflow(ctx: Context, _: None) -> str:
        return ctx.current_utc_datetime.isoformat()

    driver = Driver(workflow)
    assert output(driver.batch(driver._started)) == '1970-01-01T00:00:00'


def test_events_after_the_end_of_a_history_change_nothing() -> None:
    def workflow(ctx: Context, _: None) -> str:
        return 'done'

    driver = Driver(workflow)
    driver.start()
    late = [event_raised('go', 'no JSON'), task_completed(1), timer_fired(9), suspended(), resumed(), driver._started]
    assert output(driver.turn(*late)) == 'done'


def test_an_optional_timer_that_fired_and_was_never_made_is_harmless() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        try:
            yield ctx.wait_for_external_event('go')
        except TimeoutError:
            return (yield ctx.call_activity('a'))

    driver = Driver(workflow)
    driver.committed = [workflow_started(), driver._started, timer_fired(1), task_scheduled(1, 'a')]
    assert output(driver.turn(task_completed(1, 'x'))) == 'x'
