"""Where work items run: how many at once, and on which threads.

Three places, so that none waits behind another: workflow turns, sync activities, and one event loop for async
activities. An activity may thus schedule a workflow and wait for it, even when every activity thread does so.

Threads are made when there is work for them, and are daemons: user code that never returns must not keep the process
from ending. A work item crosses one queue, from the stream's reader to the thread that runs and answers it.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from dapr.ext.workflow._durabletask.internal.arguments import count
from dapr.ext.workflow._durabletask.internal.lending import belong_to
from dapr.ext.workflow._durabletask.status import Slots

# A turn's thread also waits for the sidecar to commit it, so there must be many more than cores; but with more than
# this many runnable at once, Python's threads only wait for each other.
MAX_TURN_THREADS = 32
# Threads that send the results of async activities: they do nothing but wait for the sidecar.
MAX_SEND_THREADS = 16
# What a thread of ours gets to end once nothing keeps it.
JOIN_SECONDS = 1.0


class ConcurrencyOptions:
    """How much a worker does at once. None (default), zero or less stand for the defaults.

    Args:
        maximum_concurrent_activity_work_items: Async activities at once, and a limit for sync ones too. Default: 100
            for each CPU.
        maximum_concurrent_orchestration_work_items: Workflow turns at once; more than 32 never are. Default: 100 for
            each CPU.
        maximum_thread_pool_workers: Threads for sync activities; one whose activity waits for a workflow by the
            client's `wait_for_...` does not count. Default: the number of CPUs plus 4.

    Raises:
        TypeError: One is no number.
        ValueError: One is no whole number.
    """

    def __init__(
        self,
        maximum_concurrent_activity_work_items: int | None = None,
        maximum_concurrent_orchestration_work_items: int | None = None,
        maximum_thread_pool_workers: int | None = None,
    ) -> None:
        cpus = os.cpu_count() or 1
        for argument, value in (
            ('maximum_concurrent_activity_work_items', maximum_concurrent_activity_work_items),
            ('maximum_concurrent_orchestration_work_items', maximum_concurrent_orchestration_work_items),
            ('maximum_thread_pool_workers', maximum_thread_pool_workers),
        ):
            count(argument, value)
        self.maximum_concurrent_activity_work_items = _or_default(maximum_concurrent_activity_work_items, 100 * cpus)
        self.maximum_concurrent_orchestration_work_items = _or_default(
            maximum_concurrent_orchestration_work_items, 100 * cpus
        )
        self.maximum_thread_pool_workers = _or_default(maximum_thread_pool_workers, cpus + 4)


def _or_default(value: int | None, default: int) -> int:
    return default if value is None or value <= 0 else int(value)


class ThreadPool:
    """Threads that each take one job after the other.

    A thread that only waits can be lent (see `lending`): then it is not counted, and another one may take its place.

    Args:
        name: What its threads are called, with a number.
        limit: How many threads there are at most, without those that are lent.
        logger: Where a job that raises is told.
        most: How many threads there are at most, with those that are lent. Default: as many as `limit`.
    """

    def __init__(self, name: str, limit: int, logger: logging.Logger, most: int | None = None) -> None:
        self.threads: list[threading.Thread] = []
        self._name = name
        self._limit = limit
        self._most = limit if most is None else most
        self._logger = logger
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[tuple[Callable[[Any], None], Any] | None] = queue.SimpleQueue()
        self._jobs = 0  # waiting or running
        self._working = 0  # threads that take jobs
        self._lent = 0  # of these, those that only wait
        self._made = 0
        self._closed = False

    def submit(self, run: Callable[[Any], None], argument: Any) -> None:
        """Has `run(argument)` called on a thread of the pool. Once the pool is closed, the job is dropped."""
        with self._lock:
            if self._closed:
                return
            self._grow_for(self._jobs + 1)
            self._jobs += 1
            self._queue.put((run, argument))

    @contextlib.contextmanager
    def lend(self) -> Iterator[None]:
        """While it is entered, the calling thread, one of the pool's, only waits: another one may take its place."""
        with self._lock:
            self._lent += 1
            if not self._closed:
                with contextlib.suppress(RuntimeError):  # no thread can be started: the wait goes on all the same
                    self._grow_for(self._jobs)
        try:
            yield
        finally:
            with self._lock:
                self._lent -= 1

    def _grow_for(self, jobs: int) -> None:
        """Starts a thread, if there are too few for so many jobs and it may have one more."""
        if jobs <= self._working or self._working >= self._capacity():
            return
        self._made += 1
        thread = threading.Thread(target=self._work, name=f'{self._name}-{self._made}', daemon=True)
        thread.start()
        self._working += 1
        self.threads = [*(each for each in self.threads if each.is_alive()), thread]

    def _capacity(self) -> int:
        return min(self._limit + self._lent, self._most)

    @property
    def waiting(self) -> int:
        """How many jobs wait for a thread."""
        return self._queue.qsize()

    def slots(self) -> tuple[int, int]:
        """How many jobs run, and how many can."""
        return max(0, min(self._limit, self._jobs - self._queue.qsize() - self._lent)), self._limit

    def close(self, *, finish: bool) -> None:
        """Takes no more jobs; the threads end after the one that they run.

        Args:
            finish: Whether the jobs that wait are still run. Otherwise they are dropped, also after an earlier `close`.
        """
        with self._lock:
            if not finish:
                self._drop_waiting()
            if not self._closed or not finish:
                self._closed = True
                for _ in self.threads:
                    self._queue.put(None)

    def _drop_waiting(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._queue.get_nowait()

    def _work(self) -> None:
        belong_to(self)
        while True:
            job = self._queue.get()
            if job is None:
                return
            run, argument = job
            try:
                run(argument)
            except BaseException:  # also SystemExit: a job must not end the thread of the others
                self._logger.exception('A job of %s failed.', threading.current_thread().name)
            del job, run, argument  # an idle thread keeps no work item alive
            with self._lock:
                self._jobs -= 1
                if self._working > self._capacity():  # one that was lent is back
                    self._working -= 1
                    return


class EventLoop:
    """An event loop on a thread of its own, made with the first job.

    Args:
        name: What its thread is called.
        limit: How many jobs run at once; the others wait, in order.
        logger: Where a job that raises is told.
    """

    def __init__(self, name: str, limit: int, logger: logging.Logger) -> None:
        self.threads: list[threading.Thread] = []
        self._name = name
        self._limit = limit
        self._logger = logger
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._asked_at: float | None = None
        # Both belong to the loop's thread.
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: deque[tuple[Callable[[Any], Coroutine[Any, Any, None]], Any]] = deque()

    def submit(self, run: Callable[[Any], Coroutine[Any, Any, None]], argument: Any) -> None:
        """Has `run(argument)` awaited on the loop. Once it is closed, the job is dropped."""
        with self._lock:
            if self._closed:
                return
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                thread = threading.Thread(target=self._run, args=(self._loop,), name=self._name, daemon=True)
                thread.start()
                self.threads.append(thread)
            self._loop.call_soon_threadsafe(self._admit, self._loop, run, argument)

    @property
    def waiting(self) -> int:
        """How many jobs wait for their turn."""
        return len(self._waiting)

    def slots(self) -> tuple[int, int]:
        """How many jobs run, and how many can."""
        return len(self._tasks), self._limit

    @property
    def thread_id(self) -> int | None:
        """The identifier of its thread; None while there is none."""
        return self.threads[-1].ident if self.threads else None

    def silent_for(self) -> float:
        """For how long the loop has not answered, in seconds: it is asked once each time it has. Ask now and then, on
        one thread."""
        if self._asked_at is None:
            loop = self._loop
            if loop is None:
                return 0.0
            self._asked_at = time.monotonic()
            try:
                loop.call_soon_threadsafe(self._answer)
            except RuntimeError:  # it has ended
                self._asked_at = None
                return 0.0
        asked_at = self._asked_at
        return 0.0 if asked_at is None else time.monotonic() - asked_at

    def _answer(self) -> None:
        self._asked_at = None

    def close(self) -> None:
        """Takes no more jobs, drops those that wait, and ends the loop after those that run."""
        with self._lock:
            was_open, self._closed = not self._closed, True
            if was_open and self._loop is not None:
                self._loop.call_soon_threadsafe(self._stop_taking, self._loop)

    def cancel(self) -> None:
        """Cancels the jobs that run. Call it after `close`."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._cancel_all)

    def _admit(
        self, loop: asyncio.AbstractEventLoop, run: Callable[[Any], Coroutine[Any, Any, None]], argument: Any
    ) -> None:
        if len(self._tasks) >= self._limit:
            self._waiting.append((run, argument))
            return
        # A context of its own, empty: this one is a copy of the reader's, or of the job's that has just ended.
        task = contextvars.Context().run(loop.create_task, run(argument))
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._done(loop, task))

    def _done(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._logger.error('A job of %s failed.', self._name, exc_info=error)
        if self._waiting:
            self._admit(loop, *self._waiting.popleft())
        elif self._closed and not self._tasks:
            loop.stop()

    def _stop_taking(self, loop: asyncio.AbstractEventLoop) -> None:
        self._waiting.clear()
        if not self._tasks:
            loop.stop()

    def _cancel_all(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            while not self._closed:
                try:
                    loop.run_forever()
                except BaseException:  # SystemExit in a task that an activity has left behind: the others go on
                    self._logger.exception('A task on %s ended its event loop; it is started again.', self._name)
            # What the jobs have left behind: tasks of their own, generators, executor threads.
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            if left:
                loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            asyncio.set_event_loop(None)
            loop.close()


class Dispatcher:
    """The three places where work items run, each within its limit."""

    def __init__(self, options: ConcurrencyOptions, logger: logging.Logger) -> None:
        """Makes them; no thread is started yet.

        Args:
            options: The limits.
            logger: Where internal errors are told.
        """
        activities = options.maximum_concurrent_activity_work_items
        turns = min(options.maximum_concurrent_orchestration_work_items, MAX_TURN_THREADS)
        threads = min(options.maximum_thread_pool_workers, activities)
        self._turns = ThreadPool('dapr-workflow-turn', turns, logger)
        self._sync_activities = ThreadPool('dapr-workflow-activity', threads, logger, activities)
        self._async_activities = EventLoop('dapr-workflow-async-activities', activities, logger)
        self._answers = ThreadPool('dapr-workflow-answer', min(activities, MAX_SEND_THREADS), logger)

    def turn(self, run: Callable[[Any], None], argument: Any) -> None:
        """Has a workflow turn run and answered by `run(argument)`."""
        self._turns.submit(run, argument)

    def activity(self, run: Callable[[Any], None], argument: Any) -> None:
        """Has a sync activity run and answered by `run(argument)`."""
        self._sync_activities.submit(run, argument)

    def async_activity(
        self, run: Callable[[Any], Coroutine[Any, Any, Any]], answer: Callable[[Any], None], argument: Any
    ) -> None:
        """Has an async activity run by `run(argument)`, and `answer` called, off the event loop, with what it gives."""

        async def run_then_answer(argument: Any) -> None:
            self._answers.submit(answer, await run(argument))

        self._async_activities.submit(run_then_answer, argument)

    def close(self) -> None:
        """Takes no more work and drops what has not begun; what runs goes on."""
        self._turns.close(finish=False)
        self._sync_activities.close(finish=False)
        self._async_activities.close()

    def join(self, deadline: float) -> bool:
        """Waits until all that runs is over and answered. Call it after `close`, as often as you like.

        The calling thread may be one of those that run: it does not wait for itself.

        Args:
            deadline: Until when, by `time.monotonic`.

        Returns:
            Whether all threads have ended.
        """
        running = [*self._turns.threads, *self._sync_activities.threads, *self._async_activities.threads]
        if not join_all(running, deadline):
            return False
        self._answers.close(finish=True)
        return join_all(self._answers.threads, deadline)

    def abandon(self) -> None:
        """Cancels async activities and drops all answers that are not on their way, and gives that a moment."""
        self._answers.close(finish=False)
        self._async_activities.cancel()
        join_all([*self._async_activities.threads, *self._answers.threads], time.monotonic() + JOIN_SECONDS)

    @property
    def async_loop(self) -> EventLoop:
        """Where async activities run."""
        return self._async_activities

    def waiting_turns(self) -> int:
        """How many turns wait for a thread."""
        return self._turns.waiting

    def slots(self) -> tuple[Slots, ...]:
        """How much runs now, by kind, and how much can."""
        return (
            Slots('turn', *self._turns.slots()),
            Slots('activity', *self._sync_activities.slots()),
            Slots('async_activity', *self._async_activities.slots()),
        )

    def waiting_activities(self) -> int:
        """How many activities, of both kinds, wait for their turn."""
        return self._sync_activities.waiting + self._async_activities.waiting

    def cancel_async(self) -> None:
        """Cancels the async activities that run; what they answer all the same is sent. Call it after `close`."""
        self._async_activities.cancel()

    def threads(self) -> list[threading.Thread]:
        """All threads that were made."""
        pools = (self._turns, self._sync_activities, self._async_activities, self._answers)
        return [thread for pool in pools for thread in pool.threads]


def join_all(threads: list[threading.Thread], deadline: float) -> bool:
    """Waits for threads other than the calling one, until a time by `time.monotonic`; returns whether all ended."""
    others = [thread for thread in threads if thread is not threading.current_thread()]
    for thread in others:
        thread.join(max(0.0, deadline - time.monotonic()))
    return not any(thread.is_alive() for thread in others)
