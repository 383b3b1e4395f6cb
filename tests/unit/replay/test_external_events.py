"""External events go to who waits for their name, in order; what no one waits for is kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
from tests.support.engine import Driver, event_raised, kinds, output, task_completed
from tests.support.scenarios import Workflow


@pytest.mark.parametrize(
    ('awaited', 'raised'),
    [('go', 'go'), ('go', 'GO'), ('Go', 'gO'), ('Straße', 'STRASSE'), ('ΣΊΣΥΦΟΣ', 'σίσυφος'), ('', '')],
)
@pytest.mark.parametrize('is_first', [False, True], ids=['wait first', 'event first'])
def test_names_are_compared_case_folded(awaited: str, raised: str, is_first: bool) -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.call_activity('before')
        value = yield ctx.wait_for_external_event(awaited)
        return value

    driver = Driver(workflow)
    driver.start()
    if is_first:
        driver.turn(event_raised(raised, '1'))
        assert output(driver.turn(task_completed(1))) == 1
    else:
        driver.turn(task_completed(1))
        assert output(driver.turn(event_raised(raised, '1'))) == 1


def test_the_timer_of_a_wait_keeps_the_name_as_written() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        limited = ctx.wait_for_external_event('Straße', timeout=timedelta(seconds=1))
        yield task.when_all([limited, ctx.wait_for_external_event('GO')])

    limited, unlimited = Driver(workflow).start().actions
    assert limited.createTimer.externalEvent.name == 'Straße'
    assert unlimited.createTimer.externalEvent.name == 'GO'


def test_other_names_wake_no_one() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        return (yield ctx.wait_for_external_event('go'))

    driver = Driver(workflow)
    driver.start()
    assert kinds(driver.turn(event_raised('go on', '1'), event_raised('g', '2'))) == []
    assert output(driver.turn(event_raised('go', '3'))) == 3


def test_same_named_events_go_to_the_waiters_in_order() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        waits = [ctx.wait_for_external_event(name) for name in ('go', 'other', 'GO', 'Go')]
        return (yield task.when_all(waits))

    driver = Driver(workflow)
    driver.start()
    driver.turn(event_raised('Go', '1'), event_raised('go', '2'))
    driver.turn(event_raised('GO', '3'))
    assert output(driver.turn(event_raised('other', '4'))) == [1, 4, 2, 3]


def test_the_order_of_the_yields_does_not_matter_the_order_of_the_calls_does() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        first = ctx.wait_for_external_event('go')
        second = ctx.wait_for_external_event('go')
        return [(yield second), (yield first)]

    driver = Driver(workflow)
    driver.start()
    driver.turn(event_raised('go', '"a"'))
    assert output(driver.turn(event_raised('go', '"b"'))) == ['b', 'a']


def test_events_without_a_waiter_are_kept_in_order() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.call_activity('before')
        got = []
        for name in ('go', 'other', 'go', 'Go'):
            got.append((yield ctx.wait_for_external_event(name)))
        return got

    driver = Driver(workflow)
    driver.start(event_raised('go', '1'))  # came with the start
    driver.turn(event_raised('GO', '2'), event_raised('other', '3'))
    assert kinds(driver.turn(task_completed(1))) == [(2, 'createTimer')]  # one wait only had to wait
    assert output(driver.turn(event_raised('go', '4'))) == [1, 3, 2, 4]


@pytest.mark.parametrize('timeout', [None, timedelta(0), timedelta(seconds=5), timedelta(seconds=-1)])
def test_a_kept_event_is_given_at_once_and_takes_no_timer(timeout: timedelta | None) -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.call_activity('before')
        return (yield ctx.wait_for_external_event('go', timeout=timeout))

    driver = Driver(workflow)
    driver.start()
    driver.turn(event_raised('go', '7'))
    ended = driver.turn(task_completed(1))
    assert kinds(ended) == [(2, 'completeWorkflow')]
    assert output(ended) == 7


@pytest.mark.parametrize('timeout', [None, timedelta(seconds=5)])
@pytest.mark.parametrize('is_first', [False, True], ids=['wait first', 'event first'])
@pytest.mark.parametrize(
    ('encoded', 'expected'),
    [('0', 0), ('""', ''), ('false', False), ('[]', []), ('null', None), ('', None), (None, None), ('0.0', 0.0)],
)
def test_falsy_payloads_arrive_as_they_were_sent(
    encoded: str | None, expected: Any, is_first: bool, timeout: timedelta | None
) -> None:
    got: list[Any] = []

    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.call_activity('before')
        got.append((yield ctx.wait_for_external_event('go', timeout=timeout)))

    driver = Driver(workflow)
    driver.start()
    if is_first:
        driver.turn(event_raised('go', encoded))
        driver.turn(task_completed(1))
    else:
        driver.turn(task_completed(1))
        driver.turn(event_raised('go', encoded))
    assert got
    assert all(type(value) is type(expected) and value == expected for value in got)


def test_an_abandoned_wait_still_takes_its_event() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        abandoned = ctx.wait_for_external_event('go')
        yield task.when_any([abandoned, ctx.call_activity('faster')])
        later = yield ctx.wait_for_external_event('go')
        return [abandoned.get_result(), later]

    driver = Driver(workflow)
    driver.start()
    driver.turn(task_completed(2))
    driver.turn(event_raised('go', '1'))
    assert output(driver.turn(event_raised('go', '2'))) == [1, 2]


def test_a_wait_can_be_given_its_event_before_it_is_yielded() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        wait = ctx.wait_for_external_event('go')
        yield ctx.call_activity('a')
        return (yield wait)

    driver = Driver(workflow)
    driver.start()
    driver.turn(event_raised('go', '"early"'))
    assert output(driver.turn(task_completed(2))) == 'early'
