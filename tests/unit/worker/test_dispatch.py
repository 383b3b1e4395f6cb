"""Pools and limits."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dapr.ext.workflow._durabletask import dispatch as dispatch_module
from dapr.ext.workflow._durabletask.dispatch import ConcurrencyOptions, Dispatcher, join_all
from dapr.ext.workflow._durabletask.internal.lending import lent_while_waiting
from dapr.ext.workflow._durabletask.status import Slots
from tests.support.fake_sidecar import DEADLINE_SECONDS

LOGGER = logging.getLogger('tests.worker')
CPUS = os.cpu_count() or 1


class Jobs:
    """Jobs that wait for the test, and a note of how many ran at once."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.most = 0
        self.go_on = threading.Event()
        self._running = 0
        self._changed = threading.Condition()

    def run(self, argument: Any) -> None:
        self._begin()
        assert self.go_on.wait(DEADLINE_SECONDS)
        self._end(argument)

    async def run_async(self, argument: Any) -> Any:
        self._begin()
        while not self.go_on.is_set():
            await asyncio.sleep(0.001)
        with self._changed:
            self._running -= 1
        return argument

    def answer(self, argument: Any) -> None:
        with self._changed:
            self.done.append(argument)
            self._changed.notify_all()

    def wait_for_running(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._running == count, DEADLINE_SECONDS), self._running

    def wait_for_done(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.done) == count, DEADLINE_SECONDS), self.done

    def _begin(self) -> None:
        with self._changed:
            self._running += 1
            self.most = max(self.most, self._running)
            self._changed.notify_all()

    def _end(self, argument: Any) -> None:
        with self._changed:
            self._running -= 1
        self.answer(argument)


@pytest.fixture
def jobs() -> Jobs:
    return Jobs()


@pytest.fixture
def new_dispatcher(jobs: Jobs) -> Iterator[Callable[..., Dispatcher]]:
    """Makes dispatchers; all are closed in the end."""
    dispatchers: list[Dispatcher] = []

    def make(**limits: int) -> Dispatcher:
        dispatchers.append(Dispatcher(ConcurrencyOptions(**limits), LOGGER))
        return dispatchers[-1]

    yield make
    jobs.go_on.set()
    for dispatcher in dispatchers:
        dispatcher.close()
        if not dispatcher.join(time.monotonic() + DEADLINE_SECONDS):
            dispatcher.abandon()


def _names(dispatcher: Dispatcher) -> list[str]:
    return [thread.name for thread in dispatcher.threads()]


@pytest.mark.parametrize('value', [None, 0, -1])
def test_limits_that_are_not_positive_are_the_defaults(value: int | None) -> None:
    options = ConcurrencyOptions(value, value, value)
    assert options.maximum_concurrent_activity_work_items == 100 * CPUS
    assert options.maximum_concurrent_orchestration_work_items == 100 * CPUS
    assert options.maximum_thread_pool_workers == CPUS + 4


def test_limits_are_kept_as_given() -> None:
    options = ConcurrencyOptions(1, 2, 3)
    assert options.maximum_concurrent_activity_work_items == 1
    assert options.maximum_concurrent_orchestration_work_items == 2
    assert options.maximum_thread_pool_workers == 3


def test_threads_are_made_when_there_is_work_for_them(new_dispatcher: Callable[..., Dispatcher], jobs: Jobs) -> None:
    dispatcher = new_dispatcher(maximum_thread_pool_workers=8)
    assert dispatcher.threads() == []
    jobs.go_on.set()
    for count in range(1, 21):
        dispatcher.activity(jobs.run, count)
        jobs.wait_for_done(count)
    # One at a time; a thread that has just answered may not be idle yet when the next one comes.
    assert len(dispatcher.threads()) <= 2
    assert _names(dispatcher)[0] == 'dapr-workflow-activity-1'


@pytest.mark.parametrize('kind', ['turn', 'activity'])
def test_no_more_than_the_limit_run_at_once_and_all_run(
    new_dispatcher: Callable[..., Dispatcher], jobs: Jobs, kind: str
) -> None:
    dispatcher = new_dispatcher(maximum_concurrent_orchestration_work_items=3, maximum_thread_pool_workers=3)
    for number in range(12):
        getattr(dispatcher, kind)(jobs.run, number)
    jobs.wait_for_running(3)
    jobs.go_on.set()
    jobs.wait_for_done(12)
    assert jobs.most == 3
    assert len(dispatcher.threads()) == 3
    assert sorted(jobs.done) == list(range(12))


def test_the_limit_of_activities_holds_for_sync_ones_too(new_dispatcher: Callable[..., Dispatcher], jobs: Jobs) -> None:
    dispatcher = new_dispatcher(maximum_concurrent_activity_work_items=1, maximum_thread_pool_workers=8)
    for number in range(4):
        dispatcher.activity(jobs.run, number)
    jobs.go_on.set()
    jobs.wait_for_done(4)
    assert jobs.most == 1


def test_a_thread_that_only_waits_is_lent_to_the_others(new_dispatcher: Callable[..., Dispatcher], jobs: Jobs) -> None:
    dispatcher = new_dispatcher(maximum_thread_pool_workers=2)
    ends = threading.Event()
    lent: list[threading.Thread] = []

    def only_wait(_: Any) -> None:
        lent.append(threading.current_thread())
        with lent_while_waiting():
            assert ends.wait(DEADLINE_SECONDS)

    for number in range(5):
        dispatcher.activity(only_wait, number)
    for number in range(6):
        dispatcher.activity(jobs.run, number)
    jobs.wait_for_running(2)
    assert len(lent) == 5
    assert dispatcher.slots()[1] == Slots('activity', 2, 2)
    ends.set()
    assert join_all(lent, time.monotonic() + DEADLINE_SECONDS)  # above the limit they end
    jobs.go_on.set()
    jobs.wait_for_done(6)
    for number in range(6, 12):
        dispatcher.activity(jobs.run, number)
    jobs.wait_for_done(12)
    assert jobs.most == 2


def test_no_more_threads_are_lent_than_activities_may_run(
    new_dispatcher: Callable[..., Dispatcher], jobs: Jobs
) -> None:
    dispatcher = new_dispatcher(maximum_thread_pool_workers=1, maximum_concurrent_activity_work_items=3)

    def only_wait(argument: Any) -> None:
        with lent_while_waiting():
            jobs.run(argument)

    for number in range(9):
        dispatcher.activity(only_wait, number)
    jobs.wait_for_running(3)
    jobs.go_on.set()
    jobs.wait_for_done(9)
    assert jobs.most == 3


def test_a_wait_on_a_thread_of_its_own_is_no_matter_of_a_pool() -> None:
    with lent_while_waiting():
        pass


def test_turn_threads_are_capped(new_dispatcher: Callable[..., Dispatcher], jobs: Jobs) -> None:
    dispatcher = new_dispatcher(maximum_concurrent_orchestration_work_items=10_000)
    for number in range(100):
        dispatcher.turn(jobs.run, number)
    jobs.wait_for_running(dispatch_module.MAX_TURN_THREADS)
    jobs.go_on.set()
    jobs.wait_for_done(100)


def test_async_activities_run_at_once_up_to_their_limit_on_one_thread(
    new_dispatcher: Callable[..., Dispatcher], jobs: Jobs
) -> None:
    dispatcher = new_dispatcher(maximum_concurrent_activity_work_items=5, maximum_thread_pool_workers=1)
    for number in range(12):
        dispatcher.async_activity(jobs.run_async, jobs.answer, number)
    jobs.wait_for_running(5)
    assert _names(dispatcher) == ['dapr-workflow-async-activities']
    jobs.go_on.set()
    jobs.wait_for_done(12)
    assert jobs.most == 5
    assert sorted(jobs.done) == list(range(12))


def test_no_place_waits_behind_another(new_dispatcher: Callable[..., Dispatcher], jobs: Jobs) -> None:
    dispatcher = new_dispatcher(
        maximum_concurrent_activity_work_items=1,
        maximum_concurrent_orchestration_work_items=1,
        maximum_thread_pool_workers=1,
    )
    others = Jobs()
    others.go_on.set()
    dispatcher.activity(jobs.run, 'blocks the activities')
    jobs.wait_for_running(1)
    dispatcher.turn(others.run, 'turn')
    dispatcher.async_activity(others.run_async, others.answer, 'async')
    others.wait_for_done(2)
    assert jobs.done == []


def test_answers_of_async_activities_do_not_block_their_loop(
    new_dispatcher: Callable[..., Dispatcher], jobs: Jobs
) -> None:
    dispatcher = new_dispatcher()
    others = Jobs()
    others.go_on.set()
    dispatcher.async_activity(others.run_async, jobs.run, 'a slow answer')
    jobs.wait_for_running(1)
    dispatcher.async_activity(others.run_async, others.answer, 'a quick one')
    others.wait_for_done(1)


@pytest.mark.parametrize('error', [ValueError('a fault of ours'), SystemExit(1)])
def test_a_job_that_raises_does_not_end_its_thread(
    new_dispatcher: Callable[..., Dispatcher],
    jobs: Jobs,
    caplog: pytest.LogCaptureFixture,
    error: BaseException,
) -> None:
    def fail(_: Any) -> None:
        raise error

    async def fail_async(_: Any) -> None:
        await asyncio.sleep(0)
        raise error

    dispatcher = new_dispatcher(maximum_thread_pool_workers=1, maximum_concurrent_activity_work_items=1)
    jobs.go_on.set()
    dispatcher.activity(fail, None)
    dispatcher.activity(jobs.run, 'sync')
    dispatcher.async_activity(fail_async, jobs.answer, None)
    dispatcher.async_activity(jobs.run_async, jobs.answer, 'async')
    jobs.wait_for_done(2)
    assert 'A job of dapr-workflow-activity-1 failed' in caplog.text


def test_closing_drops_what_has_not_begun_and_takes_no_more(
    new_dispatcher: Callable[..., Dispatcher], jobs: Jobs
) -> None:
    dispatcher = new_dispatcher(maximum_concurrent_activity_work_items=1, maximum_thread_pool_workers=1)
    dispatcher.activity(jobs.run, 'runs')
    dispatcher.async_activity(jobs.run_async, jobs.answer, 'runs too')
    jobs.wait_for_running(2)
    dispatcher.activity(jobs.run, 'waits')
    dispatcher.async_activity(jobs.run_async, jobs.answer, 'waits too')
    dispatcher.close()
    dispatcher.activity(jobs.run, 'comes late')
    dispatcher.turn(jobs.run, 'comes late')
    dispatcher.async_activity(jobs.run_async, jobs.answer, 'comes late')
    assert not dispatcher.join(time.monotonic() + 0.01)
    jobs.go_on.set()
    assert dispatcher.join(time.monotonic() + DEADLINE_SECONDS)
    assert sorted(jobs.done) == ['runs', 'runs too']
    assert not any(thread.is_alive() for thread in dispatcher.threads())


def test_a_dispatcher_that_was_never_used_closes(new_dispatcher: Callable[..., Dispatcher]) -> None:
    dispatcher = new_dispatcher()
    dispatcher.close()
    assert dispatcher.join(time.monotonic())
    dispatcher.abandon()


def test_abandoning_cancels_async_activities(new_dispatcher: Callable[..., Dispatcher], jobs: Jobs) -> None:
    cancelled = threading.Event()

    async def never(_: Any) -> None:
        try:
            jobs._begin()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    dispatcher = new_dispatcher()
    dispatcher.async_activity(never, jobs.answer, None)
    jobs.wait_for_running(1)
    dispatcher.close()
    assert not dispatcher.join(time.monotonic() + 0.01)
    dispatcher.abandon()
    assert cancelled.is_set()
    assert dispatcher.join(time.monotonic() + DEADLINE_SECONDS)


def test_what_async_activities_leave_on_the_loop_is_ended_with_it(
    new_dispatcher: Callable[..., Dispatcher], jobs: Jobs
) -> None:
    ended = threading.Event()
    left: list[asyncio.Task[None]] = []

    async def background() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def leave_a_task(argument: Any) -> Any:
        left.append(asyncio.create_task(background()))
        await asyncio.to_thread(threading.current_thread)
        return argument

    dispatcher = new_dispatcher()
    dispatcher.async_activity(leave_a_task, jobs.answer, 'done')
    jobs.wait_for_done(1)
    dispatcher.close()
    assert dispatcher.join(time.monotonic() + DEADLINE_SECONDS)
    assert ended.is_set()


def test_a_task_that_ends_the_loop_does_not_end_the_others(
    new_dispatcher: Callable[..., Dispatcher], jobs: Jobs, caplog: pytest.LogCaptureFixture
) -> None:
    async def leave_an_exit(argument: Any) -> Any:
        async def leave() -> None:
            raise SystemExit(1)

        task = asyncio.create_task(leave())
        while not task.done():
            await asyncio.sleep(0)
        task.exception()
        return argument

    dispatcher = new_dispatcher()
    dispatcher.async_activity(leave_an_exit, jobs.answer, 'first')
    jobs.wait_for_done(1)
    assert 'ended its event loop; it is started again' in caplog.text


@pytest.mark.parametrize('kind', ['turn', 'activity'])
def test_joining_from_a_job_does_not_wait_for_itself(
    new_dispatcher: Callable[..., Dispatcher], jobs: Jobs, kind: str
) -> None:
    dispatcher = new_dispatcher()

    def close(_: Any) -> None:
        dispatcher.close()
        jobs.answer(dispatcher.join(time.monotonic() + DEADLINE_SECONDS))

    getattr(dispatcher, kind)(close, None)
    jobs.wait_for_done(1)
    assert jobs.done == [True]


def test_joining_from_an_async_activity_does_not_wait_for_its_loop(
    new_dispatcher: Callable[..., Dispatcher], jobs: Jobs
) -> None:
    dispatcher = new_dispatcher()

    async def close(_: Any) -> None:
        dispatcher.close()
        jobs.answer(dispatcher.join(time.monotonic() + DEADLINE_SECONDS))

    dispatcher.async_activity(close, jobs.answer, None)
    jobs.wait_for_done(1)
    assert jobs.done == [True]
