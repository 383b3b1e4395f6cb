"""Firing durable timers."""

from __future__ import annotations

import logging

import pytest

from dapr.ext.workflow.emulator.errors import StoreError
from dapr.ext.workflow.emulator.serving.alarm import Alarm
from tests.support.work_source import ManualLoop


class Timers:
    """The backend's side: when the timers are due, and when they fired, by the loop's clock.

    `skew` is what the wall clock is ahead of the loop's.
    """

    def __init__(self) -> None:
        self.loop = ManualLoop()
        self.due: list[float] = []
        self.fired: list[float] = []
        self.failures = 0
        self.skew = 1_000_000.0
        self.looks = 0
        self.alarm = Alarm(self, self.clock, self.loop, logging.getLogger('test'))

    def clock(self) -> float:
        return self.loop.now + self.skew

    def set(self, in_seconds: float) -> None:
        self.due.append(self.clock() + in_seconds)
        self.alarm.changed()

    def next_timer_at(self) -> float | None:
        self.looks += 1
        return min(self.due, default=None)

    def fire_timers(self) -> None:
        if self.failures:
            self.failures -= 1
            raise StoreError('database or disk is full')
        due = [at for at in self.due if at <= self.clock()]
        self.due = [at for at in self.due if at > self.clock()]
        self.fired += [self.loop.now] * len(due)


@pytest.fixture
def timers() -> Timers:
    return Timers()


def test_each_timer_fires_when_it_is_due(timers: Timers) -> None:
    for seconds in (5.0, 1.0, 3.0, 1.0):
        timers.set(seconds)
    timers.loop.run(10)
    assert timers.fired == [1.0, 1.0, 3.0, 5.0]


def test_what_is_overdue_fires_at_once(timers: Timers) -> None:
    timers.set(-100)
    timers.loop.run()
    assert timers.fired == [0.0]


def test_without_a_timer_nothing_is_done(timers: Timers) -> None:
    timers.alarm.changed()
    timers.loop.run(100_000)
    assert timers.looks == 1


def test_many_changes_at_once_are_one_look(timers: Timers) -> None:
    for _ in range(100):
        timers.set(50)
    timers.loop.run(1)
    assert timers.looks == 1


def test_a_clock_that_is_set_forward_is_seen_within_a_minute(timers: Timers) -> None:
    timers.set(3_600)
    timers.loop.run(1)
    timers.skew += 7_200
    timers.loop.run(60)
    assert timers.fired == [60.0]


def test_timers_that_cannot_be_fired_are_tried_again_later_each_time(
    timers: Timers, caplog: pytest.LogCaptureFixture
) -> None:
    timers.failures = 3
    timers.set(1)
    timers.loop.run(10)
    assert timers.fired == [1 + 0.5 + 1 + 2]
    assert [record.levelname for record in caplog.records] == ['ERROR'] * 3


def test_after_the_close_nothing_fires(timers: Timers) -> None:
    timers.set(1)
    timers.loop.run(0.5)
    timers.alarm.close()
    timers.set(0)
    timers.loop.run(10)
    assert timers.fired == []
