"""How long a retry waits, and what ends the retries."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.internal.failure_details import new_failure_details
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
from dapr.ext.workflow._durabletask.task import NonRetryableError, RetryPolicy, TaskFailedError
from tests.support.engine import (
    Driver,
    Event,
    child_failed,
    failure,
    failure_of,
    kinds,
    task_failed,
    timer_fired,
)
from tests.support.scenarios import Workflow


def _seconds(*seconds: float) -> list[timedelta]:
    return [timedelta(seconds=value) for value in seconds]


def _policy(attempts: int = 6, **more: Any) -> RetryPolicy:
    return RetryPolicy(first_retry_interval=timedelta(seconds=2), max_number_of_attempts=attempts, **more)


def _driver(policy: RetryPolicy, *, is_child: bool = False) -> Driver:
    def workflow(ctx: Context, _: None) -> Workflow:
        if is_child:
            yield ctx.call_sub_orchestrator('flaky', retry_policy=policy)
        else:
            yield ctx.call_activity('flaky', retry_policy=policy)

    driver = Driver(workflow)
    driver.start()
    return driver


@pytest.mark.parametrize(
    ('policy', 'waits'),
    [
        (_policy(), _seconds(2, 2, 2, 2, 2)),
        (_policy(backoff_coefficient=None), _seconds(2, 2, 2, 2, 2)),
        (_policy(backoff_coefficient=2), _seconds(2, 4, 8, 16, 32)),
        (_policy(backoff_coefficient=1.5), _seconds(2, 3, 4.5, 6.75, 10.125)),
        (_policy(backoff_coefficient=2, max_retry_interval=timedelta(seconds=10)), _seconds(2, 4, 8, 10, 10)),
        (_policy(max_retry_interval=timedelta(seconds=1)), _seconds(1, 1, 1, 1, 1)),
        (
            _policy(backoff_coefficient=1e300, max_retry_interval=timedelta(hours=1)),
            _seconds(2, 3600, 3600, 3600, 3600),
        ),
        (_policy(3, backoff_coefficient=2), _seconds(2, 4)),
        (_policy(1), []),
    ],
)
@pytest.mark.parametrize('is_child', [False, True], ids=['activity', 'child'])
def test_the_waits_between_attempts(policy: RetryPolicy, waits: list[timedelta], is_child: bool) -> None:
    driver = _driver(policy, is_child=is_child)
    fail = child_failed if is_child else task_failed
    number = 1
    for wait in waits:
        (timer,) = driver.turn(fail(number)).actions
        assert timer.createTimer.fireAt.ToDatetime() == driver.now + wait
        driver.turn(timer_fired(number + 1), after=wait)
        number += 2
    assert failure_of(driver.turn(fail(number))).errorType == 'TaskFailedError'


def test_a_wait_beyond_all_dates_ends_with_them() -> None:
    driver = _driver(_policy(backoff_coefficient=1e300))
    driver.turn(task_failed(1))
    driver.turn(timer_fired(2))
    (timer,) = driver.turn(task_failed(3)).actions
    assert timer.createTimer.fireAt.ToDatetime().year == datetime.max.year


@pytest.mark.parametrize(
    ('timeout', 'waits'),
    [
        (0, []),
        (1, []),
        (1.001, [1]),
        (7, [1, 2]),  # the third wait would bring them to it
        (7.001, [1, 2, 4]),
        (11, [1, 2, 4]),
        (11.001, [1, 2, 4, 4]),  # as the longest wait allows, not 8
        (None, [1, 2, 4, 4, 4]),
    ],
)
@pytest.mark.parametrize('is_child', [False, True], ids=['activity', 'child'])
@pytest.mark.parametrize('lasts', [0, 3600], ids=['at once', 'after an hour'])
def test_all_waits_together_stay_below_the_timeout_however_long_attempts_last(
    timeout: float | None, waits: list[float], is_child: bool, lasts: int
) -> None:
    policy = RetryPolicy(
        first_retry_interval=timedelta(seconds=1),
        max_number_of_attempts=6,
        backoff_coefficient=2,
        max_retry_interval=timedelta(seconds=4),
        retry_timeout=None if timeout is None else timedelta(seconds=timeout),
    )
    driver = _driver(policy, is_child=is_child)
    fail = child_failed if is_child else task_failed
    number = 1
    for wait in _seconds(*waits):
        (timer,) = driver.turn(fail(number), after=timedelta(seconds=lasts)).actions
        assert timer.createTimer.fireAt.ToDatetime() == driver.now + wait
        driver.turn(timer_fired(number + 1), after=wait)
        number += 2
    assert failure_of(driver.turn(fail(number), after=timedelta(seconds=lasts))).errorType == 'TaskFailedError'


def test_the_next_delay_may_be_asked_for_any_number_of_times() -> None:
    retried: task.RetryableTask[None] = task.RetryableTask(
        _policy(retry_timeout=timedelta(seconds=5)), datetime(2026, 1, 1), False, 'flaky'
    )
    assert [retried.compute_next_delay() for _ in range(2)] == _seconds(2, 2)
    retried.increment_attempt_count()
    assert [retried.compute_next_delay() for _ in range(2)] == _seconds(2, 2)
    retried.increment_attempt_count()
    assert [retried.compute_next_delay() for _ in range(2)] == [None, None]


class SpecialError(ValueError):
    pass


class Final(NonRetryableError):
    pass


def through_a_child(error: Exception) -> pb.TaskFailureDetails:
    """The failure of a child workflow that has failed by an activity's error, and of that one's parent by it."""
    details = new_failure_details(error)
    for _ in range(2):
        details = new_failure_details(TaskFailedError('failed', details))
    return details


def caused_by(cause: Exception) -> pb.TaskFailureDetails:
    error = KeyError('x')
    error.__cause__ = cause
    return new_failure_details(error)


@pytest.mark.parametrize(
    ('listed', 'details', 'is_retried'),
    [
        (None, failure(), True),
        ([], failure(), True),
        (['ValueError'], failure(), False),
        ([ValueError], failure(), False),
        (['KeyError', ValueError], failure(), False),
        (['KeyError', TypeError], failure(), True),
        ([ValueError], failure(error_type='SpecialError'), True),  # from a worker that sends no bases
        ([ValueError], new_failure_details(SpecialError()), False),
        ([Exception], new_failure_details(SpecialError()), False),
        ([KeyError], new_failure_details(SpecialError()), True),
        (None, new_failure_details(Final()), False),
        ([ValueError], through_a_child(ValueError()), False),
        ([LookupError], through_a_child(KeyError()), False),
        (None, through_a_child(Final()), False),
        (['TaskFailedError'], through_a_child(KeyError()), False),
        ([ValueError], through_a_child(KeyError()), True),
        ([ValueError], caused_by(ValueError()), True),  # a cause is not what has failed
        ([SpecialError], failure(error_type='SpecialError'), False),
        (['valueerror'], failure(), True),
        (None, failure(error_type='NonRetryableError'), False),
        ([NonRetryableError], failure(), True),
        (None, failure(final=True), False),
        (['KeyError'], failure(final=True), False),
    ],
)
@pytest.mark.parametrize('fail', [task_failed, child_failed])
def test_what_ends_the_retries_at_once(
    listed: list[str | type[BaseException]] | None,
    details: pb.TaskFailureDetails,
    is_retried: bool,
    fail: Callable[[int, pb.TaskFailureDetails], Event],
) -> None:
    driver = _driver(_policy(non_retryable_error_types=listed), is_child=fail is child_failed)
    results = driver.turn(fail(1, details))
    if is_retried:
        assert kinds(results) == [(2, 'createTimer')]
    else:
        assert failure_of(results).errorType == 'TaskFailedError'
        assert kinds(results) == [(2, 'completeWorkflow')]


def test_a_later_attempt_can_end_them_too() -> None:
    driver = _driver(_policy(non_retryable_error_types=['KeyError']))
    driver.turn(task_failed(1))
    driver.turn(timer_fired(2))
    assert kinds(driver.turn(task_failed(3, failure(error_type='KeyError')))) == [(4, 'completeWorkflow')]


@pytest.mark.parametrize(
    ('given', 'said'),
    [
        ({'first_retry_interval': timedelta(seconds=-1)}, 'first_retry_interval'),
        ({'max_number_of_attempts': 0}, 'max_number_of_attempts'),
        ({'backoff_coefficient': 0.5}, 'backoff_coefficient'),
        ({'max_retry_interval': timedelta(seconds=-1)}, 'max_retry_interval'),
        ({'retry_timeout': timedelta(seconds=-1)}, 'retry_timeout'),
    ],
)
def test_values_out_of_range_are_refused_by_name(given: dict[str, Any], said: str) -> None:
    values: dict[str, Any] = {'first_retry_interval': timedelta(seconds=1), 'max_number_of_attempts': 1, **given}
    with pytest.raises(ValueError, match=f'{said} must be'):
        RetryPolicy(**values)


def test_a_policy_shows_what_it_was_made_of() -> None:
    policy = _policy(
        4,
        backoff_coefficient=2.0,
        max_retry_interval=timedelta(seconds=9),
        retry_timeout=timedelta(seconds=30),
        non_retryable_error_types=[KeyError, 'Mine'],
    )
    assert policy.first_retry_interval == timedelta(seconds=2)
    assert policy.max_number_of_attempts == 4
    assert policy.backoff_coefficient == 2.0
    assert policy.max_retry_interval == timedelta(seconds=9)
    assert policy.retry_timeout == timedelta(seconds=30)
    assert policy.non_retryable_error_types == frozenset({'KeyError', 'Mine'})
    assert task.is_error_non_retryable('Mine', policy)
    assert not task.is_error_non_retryable('ValueError', policy)


@pytest.mark.parametrize(('given', 'names'), [([], None), (None, None), (['', 'Mine'], {'Mine'})])
def test_types_that_name_nothing_are_left_out(given: list[str] | None, names: set[str] | None) -> None:
    policy = task.RetryPolicy(
        first_retry_interval=timedelta(seconds=2), max_number_of_attempts=4, non_retryable_error_types=given
    )
    assert policy.non_retryable_error_types == names
