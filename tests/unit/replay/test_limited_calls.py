"""Calls with a limit in time: when it ends them, and what comes of the other end."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from dapr.ext.workflow import DaprWorkflowContext
from dapr.ext.workflow._durabletask.aio import WorkflowTimeoutError
from dapr.ext.workflow._durabletask.contexts import OrchestrationContext
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from dapr.ext.workflow._durabletask.retry import RetryPolicy
from dapr.ext.workflow._durabletask.task import when_all, when_any
from dapr.ext.workflow.values.payloads import payloads_of
from tests.support.async_engine import Context as AsyncContext
from tests.support.async_engine import driver as async_driver
from tests.support.async_engine import running_instance
from tests.support.engine import (
    START,
    Driver,
    child_completed,
    child_failed,
    event_raised,
    failure_of,
    kinds,
    output,
    resumed,
    suspended,
    task_completed,
    task_failed,
    timer_fired,
)
from tests.support.scenarios import Workflow

POLICY = RetryPolicy(first_retry_interval=timedelta(seconds=1), max_number_of_attempts=3)


def limited(method: str = 'call_activity', **options: Any) -> Driver:
    """A call with a limit of ten seconds; then the workflow waits for an event, so that later events are seen."""

    def workflow(ctx: Context, _: None) -> Workflow:
        try:
            result = yield getattr(ctx, method)('slow', **{'timeout': 10, **options})
        except Exception as error:
            result = [type(error).__name__, str(error)]
        yield ctx.wait_for_external_event('end')
        return result

    return Driver(workflow)


TOLD = (
    "{}('slow') took longer than it was given (timeout: 10). It goes on where it runs, and its result will be ignored."
)


@pytest.mark.parametrize('timeout', [10, 10.0, timedelta(seconds=10)])
@pytest.mark.parametrize(
    ('method', 'action'), [('call_activity', 'scheduleTask'), ('call_sub_orchestrator', 'createChildWorkflow')]
)
def test_a_limit_is_a_timer_after_the_call(method: str, action: str, timeout: Any) -> None:
    started = limited(method, timeout=timeout).start()
    assert kinds(started) == [(1, action), (2, 'createTimer')]
    timer = started.actions[1].createTimer
    assert timer.fireAt.ToDatetime() == START + timedelta(seconds=11)
    assert timer.WhichOneof('origin') == 'createTimer'


def test_without_a_limit_nothing_is_asked_for_beside_the_call() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield when_all([ctx.call_activity('a', timeout=None), ctx.call_sub_orchestrator('b', timeout=None)])

    assert kinds(Driver(workflow).start()) == [(1, 'scheduleTask'), (2, 'createChildWorkflow')]


@pytest.mark.parametrize(
    ('method', 'completed', 'name'),
    [
        ('call_activity', task_completed, 'call_activity'),
        ('call_sub_orchestrator', child_completed, 'call_child_workflow'),
    ],
)
def test_a_call_that_ends_late_has_failed_and_its_result_is_ignored(
    method: str, completed: Callable[..., pb.HistoryEvent], name: str
) -> None:
    driver = limited(method)
    driver.start()
    assert kinds(driver.turn(timer_fired(2))) == [(3, 'createTimer')]
    assert kinds(driver.turn(completed(1, 'late'))) == []
    assert output(driver.turn(event_raised('end'))) == ['TimeoutError', TOLD.format(name)]


def test_a_timer_that_fires_after_the_call_has_ended_is_ignored() -> None:
    driver = limited()
    driver.start()
    assert kinds(driver.turn(task_completed(1, 'in time'))) == [(3, 'createTimer')]
    assert kinds(driver.turn(timer_fired(2))) == []
    assert output(driver.turn(event_raised('end'))) == 'in time'


def test_a_workflow_that_is_kept_does_not_keep_the_timers_of_calls_that_have_ended() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        for _number in range(3):
            yield ctx.call_activity('quick', timeout=timedelta(days=9))
        yield ctx.call_activity('last')

    driver = Driver(workflow)
    driver.start()
    for action_id in (1, 3, 5):
        driver.turn(task_completed(action_id))
    assert list(running_instance(driver).context._unresolved) == [7]


@pytest.mark.parametrize('is_in_time', [False, True])
def test_of_two_ends_in_one_batch_the_first_counts(is_in_time: bool) -> None:
    ends = [timer_fired(2), task_completed(1, 'done')]
    driver = limited()
    driver.start()
    driver.turn(*(reversed(ends) if is_in_time else ends))
    result = output(driver.turn(event_raised('end')))
    assert result == 'done' if is_in_time else result[0] == 'TimeoutError'


def test_a_call_that_fails_in_time_fails_as_ever() -> None:
    driver = limited()
    driver.start()
    driver.turn(task_failed(1))
    kind, message = output(driver.turn(timer_fired(2), event_raised('end')))
    assert kind == 'TaskFailedError'
    assert 'Activity task #1 failed: boom' in message


def test_a_limit_that_is_not_caught_fails_the_workflow() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.call_activity('slow', timeout=10)

    driver = Driver(workflow)
    driver.start()
    details = failure_of(driver.turn(timer_fired(2)))
    assert (details.errorType, details.errorMessage) == ('TimeoutError', TOLD.format('call_activity'))


# With a retry policy the limit is for all attempts


def test_attempts_within_the_limit_are_one_call() -> None:
    driver = limited(retry_policy=POLICY)
    assert kinds(driver.start()) == [(1, 'scheduleTask'), (2, 'createTimer')]
    assert kinds(driver.turn(task_failed(1))) == [(3, 'createTimer')]
    assert kinds(driver.turn(timer_fired(3))) == [(4, 'scheduleTask')]
    driver.turn(task_completed(4, 'at last'))
    assert kinds(driver.turn(timer_fired(2))) == []
    assert output(driver.turn(event_raised('end'))) == 'at last'


@pytest.mark.parametrize('method', ['call_activity', 'call_sub_orchestrator'])
def test_a_limit_that_is_over_during_the_wait_before_an_attempt_makes_no_further_one(method: str) -> None:
    driver = limited(method, retry_policy=POLICY)
    driver.start()
    driver.turn(task_failed(1) if method == 'call_activity' else child_failed(1))
    assert kinds(driver.turn(timer_fired(2))) == [(4, 'createTimer')]
    assert kinds(driver.turn(timer_fired(3))) == []
    assert output(driver.turn(event_raised('end')))[0] == 'TimeoutError'


def test_an_attempt_that_fails_after_the_limit_is_not_tried_again() -> None:
    driver = limited(retry_policy=POLICY)
    driver.start()
    driver.turn(task_failed(1))
    driver.turn(timer_fired(3))
    driver.turn(timer_fired(2))
    assert kinds(driver.turn(task_failed(4))) == []
    assert output(driver.turn(event_raised('end')))[0] == 'TimeoutError'


# In composites, and beside other rules


def test_calls_with_limits_are_tasks_like_others_in_composites() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        slow, quick = ctx.call_activity('slow', timeout=10), ctx.call_activity('quick', timeout=10)
        winner = yield when_any([slow, quick])
        assert winner is quick
        try:
            yield when_all([slow, quick])
        except TimeoutError:
            return [quick.get_result(), slow.is_failed, str(slow.get_exception()), repr(slow)]

    driver = Driver(workflow)
    assert [action.id for action in driver.start().actions] == [1, 2, 3, 4]
    driver.turn(task_completed(3, 'quick'))
    assert output(driver.turn(timer_fired(2))) == [
        'quick',
        True,
        TOLD.format('call_activity'),
        "<Task call_activity('slow'): failed with TimeoutError>",
    ]


def test_time_stands_still_for_a_workflow_that_is_suspended() -> None:
    driver = limited()
    driver.start()
    driver.turn(suspended())
    driver.turn(timer_fired(2))
    driver.turn(task_completed(1, 'done'))
    driver.turn(resumed())
    assert output(driver.turn(event_raised('end')))[0] == 'TimeoutError'  # its timer was first


def test_optional_timers_that_a_history_lacks_move_the_ids_of_limits() -> None:
    """In a history of an older worker the wait has no timer: the call and its limit have the ids before."""

    def workflow(ctx: Context, _: None) -> Workflow:
        ctx.wait_for_external_event('never')
        try:
            return (yield ctx.call_activity('slow', timeout=10))
        except TimeoutError:
            return 'over'

    for late in (timer_fired(2), task_completed(1, 'in time')):
        driver = Driver(workflow)
        started = driver.start()
        assert [action.id for action in started.actions] == [1, 2, 3]
        driver.close()
        old = Driver(workflow)
        old.committed = [
            *driver.committed[:2],
            *(event for event in _renumbered(driver.committed[3:])),
        ]
        assert output(old.turn(late)) == ('over' if late.HasField('timerFired') else 'in time')


def _renumbered(events: list[pb.HistoryEvent]) -> list[pb.HistoryEvent]:
    for event in events:
        event.eventId -= 1
    return events


def test_a_result_is_read_as_the_type_that_was_asked_for() -> None:
    @dataclasses.dataclass
    class Price:
        cents: int

    def workflow(ctx: OrchestrationContext, _: None) -> Workflow:
        public = DaprWorkflowContext(ctx)
        first = yield public.call_activity('price', return_type=list[int], timeout=10)
        second = yield public.call_child_workflow('price', return_type=set[int], timeout=timedelta(seconds=10))
        third = yield ctx.call_activity('price', return_type=set[int], timeout=10, retry_policy=POLICY)
        return [type(value).__name__ for value in (first, second, third)]

    registry = _Registry()
    registry.payloads = payloads_of(None)
    registry.add_orchestrator(workflow)
    driver = Driver(workflow, registry=registry)
    driver.start()
    driver.turn(task_completed(1, [1]))
    driver.turn(child_completed(3, [1]))
    assert output(driver.turn(task_completed(5, [1]))) == ['list', 'set', 'set']


@pytest.mark.parametrize('timeout', ['10', True, datetime(2026, 1, 1), [], object()])
@pytest.mark.parametrize('method', ['call_activity', 'call_sub_orchestrator'])
def test_a_limit_of_a_wrong_type_is_refused_by_name(method: str, timeout: Any) -> None:
    kind, message = output(_refused(method, timeout))
    assert kind == 'TypeError'
    assert message.startswith(f'timeout must be a timedelta or a number of seconds, not {type(timeout).__name__}: ')


@pytest.mark.parametrize('timeout', [0, -1, 0.0, timedelta(0), -timedelta(1), math.nan, math.inf, 1e300])
@pytest.mark.parametrize('method', ['call_activity', 'call_sub_orchestrator'])
def test_a_limit_that_makes_no_sense_is_refused_by_name(method: str, timeout: Any) -> None:
    kind, message = output(_refused(method, timeout))
    assert kind == 'ValueError'
    assert message.startswith(f'timeout is {timeout!r}; it must be more than zero')


def _refused(method: str, timeout: Any) -> Any:
    """What a workflow sees that goes on after the refusal: nothing was asked for."""

    def workflow(ctx: Context, _: None) -> Any:
        try:
            getattr(ctx, method)('a', timeout=timeout)
        except Exception as error:
            return [type(error).__name__, str(error)]

    return Driver(workflow).start()


def test_a_limit_beyond_all_dates_is_at_their_end() -> None:
    started = limited(timeout=timedelta.max).start()
    assert started.actions[1].createTimer.fireAt.ToDatetime() == datetime.max


# In async workflows


@pytest.mark.parametrize('method', ['call_activity', 'call_child_workflow'])
def test_an_async_workflow_gets_the_error_of_its_other_limits(method: str) -> None:
    async def workflow(ctx: AsyncContext, _: None) -> Any:
        try:
            return await getattr(ctx, method)('slow', timeout=10)
        except WorkflowTimeoutError as error:
            return str(error)

    late = async_driver(workflow)
    assert [kind for _, kind in kinds(late.start())][1] == 'createTimer'
    assert output(late.turn(timer_fired(2))) == TOLD.format(method)
    in_time = async_driver(workflow)
    in_time.start()
    done = task_completed if method == 'call_activity' else child_completed
    assert output(in_time.turn(done(1, 'in time'))) == 'in time'


def test_an_async_call_that_was_cancelled_ignores_both_ends() -> None:
    async def workflow(ctx: AsyncContext, _: None) -> Any:
        slow = ctx.call_activity('slow', timeout=timedelta(seconds=10))
        slow.cancel()
        return await ctx.call_activity('quick')

    for ends in ([timer_fired(2), task_completed(1)], [task_completed(1), timer_fired(2)]):
        driver = async_driver(workflow)
        driver.start()
        for end in ends:
            assert kinds(driver.turn(end)) == []
        assert output(driver.turn(task_completed(3, 'quick'))) == 'quick'
