"""`when_all` waits for all and raises the first failure; `when_any` gives the winner; both nest."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
from dapr.ext.workflow._durabletask.task import TaskFailedError, when_all, when_any
from tests.support.engine import (
    Driver,
    child_failed,
    event_raised,
    failure,
    failure_of,
    kinds,
    output,
    task_completed,
    task_failed,
    timer_fired,
)
from tests.support.scenarios import Workflow


def test_when_all_gives_the_results_in_the_order_of_the_tasks() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        return (yield when_all([ctx.call_activity(name) for name in 'abc']))

    driver = Driver(workflow)
    driver.start()
    assert kinds(driver.turn(task_completed(3, 'c'))) == []
    assert kinds(driver.turn(task_completed(1, 'a'))) == []
    assert output(driver.turn(task_completed(2, 'b'))) == ['a', 'b', 'c']


def test_when_all_raises_the_first_failure_after_all_have_ended() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        tasks = [ctx.call_activity('a'), ctx.call_sub_orchestrator('b'), ctx.call_activity('c')]
        try:
            yield when_all(tasks)
        except TaskFailedError as error:
            return [str(error), [each.is_complete for each in tasks]]

    driver = Driver(workflow)
    driver.start()
    assert kinds(driver.turn(task_failed(3, failure('first')))) == []
    assert kinds(driver.turn(task_completed(1))) == []
    ended = driver.turn(child_failed(2, failure('second')))
    told = "abc: Activity task #3 failed: first (ValueError in the activity 'c')"
    assert output(ended) == [told, [True, True, True]]


def test_when_any_gives_the_task_that_was_first() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        tasks = [ctx.call_activity(name) for name in 'abc']
        winner = yield when_any(tasks)
        return [tasks.index(winner), winner.get_result(), (yield tasks[0])]

    driver = Driver(workflow)
    driver.start()
    assert kinds(driver.turn(task_completed(2, 'b'), task_completed(3, 'c'))) == []
    assert output(driver.turn(task_completed(1, 'a'))) == [1, 'b', 'a']


def test_when_any_gives_a_winner_that_failed_and_raises_nothing() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        tasks = [ctx.call_activity(name) for name in 'ab']
        winner = yield when_any(tasks)
        assert winner is tasks[1]
        assert winner.is_failed
        try:
            winner.get_result()
        except TaskFailedError as error:
            return error.details.message

    driver = Driver(workflow)
    driver.start()
    assert output(driver.turn(task_failed(2, failure('lost')), task_completed(1))) == 'lost'


@pytest.mark.parametrize('composite', [when_all, when_any])
@pytest.mark.parametrize('is_tuple', [False, True])
def test_an_empty_composite_is_complete_at_once(composite: Callable[[Any], task.Task[Any]], is_tuple: bool) -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        empty = composite(() if is_tuple else [])
        assert empty.is_complete
        return [(yield empty), (yield when_all([composite([]), ctx.call_activity('a')]))]

    driver = Driver(workflow)
    driver.start()
    assert output(driver.turn(task_completed(1, 'a'))) == [[], [[], 'a']]


@pytest.mark.parametrize('composite', [when_all, when_any])
def test_a_task_twice_in_a_composite_is_an_error(composite: Callable[[Any], task.Task[Any]]) -> None:
    def workflow(ctx: Context, is_done: bool) -> Workflow:
        twice, other = ctx.call_activity('a'), ctx.call_activity('b')
        if is_done:
            yield twice
        composite([twice, other, twice])

    assert failure_of(Driver(workflow, 'false').start()).errorType == 'ValueError'
    driver = Driver(workflow, 'true')
    driver.start()
    assert failure_of(driver.turn(task_completed(1))).errorType == 'ValueError'


@pytest.mark.parametrize('first', [when_all, when_any])
@pytest.mark.parametrize('second', [when_all, when_any])
def test_a_pending_task_of_another_pending_composite_is_an_error(
    first: Callable[[Any], task.Task[Any]], second: Callable[[Any], task.Task[Any]]
) -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        shared = ctx.call_activity('a')
        yield when_any([first([shared, ctx.call_activity('b')]), second([ctx.call_activity('c'), shared])])

    details = failure_of(Driver(workflow).start())
    assert details.errorType == 'ValueError'
    assert 'composite' in details.errorMessage


def test_tasks_that_lost_a_race_can_be_raced_again() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        pending = [ctx.call_activity(name) for name in 'abc']
        order = []
        while pending:
            winner = yield when_any(pending)
            pending.remove(winner)
            order.append(winner.get_result())
        return order

    driver = Driver(workflow)
    driver.start()
    driver.turn(task_completed(3, 'c'))
    assert output(driver.turn(task_completed(1, 'a'), task_completed(2, 'b'))) == ['c', 'a', 'b']


def test_finished_tasks_can_be_put_into_any_number_of_composites() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        done = ctx.call_activity('a')
        yield done
        both = yield when_all([done, ctx.call_activity('b')])
        winner = yield when_any([ctx.call_activity('c'), done])
        return [both, winner is done, (yield when_all([done]))]

    driver = Driver(workflow)
    driver.start()
    driver.turn(task_completed(1, 'a'))
    assert output(driver.turn(task_completed(2, 'b'))) == [['a', 'b'], True, ['a']]


def test_composites_of_composites() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        timer = ctx.create_timer(timedelta(seconds=1))
        race: task.Task[Any] = when_any([ctx.call_activity('a'), ctx.wait_for_external_event('e')])
        everything = when_all([race, when_all([ctx.call_activity('b'), ctx.call_activity('c')])])
        winner = yield when_any([timer, everything])
        inner, rest = winner.get_result()
        return [winner is everything, inner.get_result(), rest]

    driver = Driver(workflow)
    driver.start()
    driver.turn(task_completed(4, 'b'))
    driver.turn(event_raised('e', '"e"'), task_completed(2, 'a'))
    assert output(driver.turn(task_completed(5, 'c'), timer_fired(1))) == [True, 'e', ['b', 'c']]


def test_a_failure_inside_a_nested_composite_comes_out_of_it() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        inner = when_all([ctx.call_activity('a'), ctx.call_activity('b')])
        winner = yield when_any([ctx.create_timer(timedelta(seconds=1)), inner])
        assert winner is inner
        assert winner.is_failed
        try:
            yield when_all([winner])
        except TaskFailedError as error:
            return error.details.message

    driver = Driver(workflow)
    driver.start()
    assert kinds(driver.turn(task_failed(1, failure('inside')))) == []  # the inner one has not ended: no winner yet
    assert output(driver.turn(task_completed(2))) == 'inside'


def test_what_a_composite_tells_of_itself() -> None:
    tasks: list[task.CompletableTask[int]] = [task.CompletableTask() for _number in range(3)]
    everything, race = when_all(tasks[:2]), when_any(tasks[2:])
    assert (everything.get_tasks(), everything.pending_tasks, everything.get_completed_tasks()) == (tasks[:2], 2, 0)
    tasks[0].cancel(KeyError('x'))
    tasks[2].complete(3)
    assert (everything.pending_tasks, everything.get_completed_tasks()) == (1, 1)
    assert (everything.is_complete, everything.is_failed) == (False, False)
    with pytest.raises(ValueError, match='not failed'):
        everything.get_exception()
    tasks[1].complete(1)
    assert (everything.is_complete, everything.is_failed) == (True, True)
    assert isinstance(everything.get_exception(), KeyError)
    with pytest.raises(KeyError):
        everything.get_result()
    assert (race.is_complete, race.is_failed, race.get_result()) == (True, False, tasks[2])


def test_what_a_task_tells_of_itself() -> None:
    done: task.CompletableTask[int] = task.CompletableTask()
    with pytest.raises(ValueError, match='not completed'):
        done.get_result()
    with pytest.raises(ValueError, match='not failed'):
        done.get_exception()
    done.complete(0)
    assert (done.is_complete, done.is_failed, done.get_result()) == (True, False, 0)
    with pytest.raises(ValueError, match='already completed'):
        done.complete(1)
    done.cancel(KeyError())  # too late
    with pytest.raises(ValueError, match='already completed'):
        done.fail('x', failure())
    assert (done.is_failed, done.get_result()) == (False, 0)
