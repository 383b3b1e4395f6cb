"""What an async workflow puts together of several awaitables: the first of them, all of them, within a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Generic, TypeVar

from dapr.ext.workflow._durabletask.async_failures import WorkflowTimeoutError, WorkflowValidationError
from dapr.ext.workflow._durabletask.replay.futures import WorkflowFuture, WorkflowTask
from dapr.ext.workflow._durabletask.replay.loop import WorkflowLoop

T = TypeVar('T')

Duration = float | timedelta | datetime
"""Seconds, a duration, or a moment (without a time zone: UTC)."""


class Winner(Generic[T]):
    """The awaitable that ended first, where that is not a future itself: it compares equal to it, and has its result.

    Args:
        awaitable: What was given.
        task: The task that was made of it.
    """

    __slots__ = ('_awaitable', '_task')

    def __init__(self, awaitable: Awaitable[T], task: asyncio.Future[T]) -> None:
        self._awaitable = awaitable
        self._task = task

    def get_result(self) -> T:
        """The result, or raises what it failed with."""
        return self._task.result()

    result = get_result

    def exception(self) -> BaseException | None:
        """What it failed with, or None."""
        return self._task.exception()

    def done(self) -> bool:
        """True: it has ended."""
        return self._task.done()

    def __await__(self) -> Generator[Any, None, T]:
        return self._task.__await__()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Winner):
            return self._task is other._task
        return other is self._awaitable or other is self._task

    def __hash__(self) -> int:
        return hash(self._task)


class Composites:
    """The part of an async workflow's context that puts awaitables together; its loop is that of the context."""

    __slots__ = ()

    _loop: WorkflowLoop

    def when_all(self, awaitables: Iterable[Awaitable[T]]) -> WorkflowFuture[list[T]]:
        """Ends when all have ended: with their results in order, or with the first failure, after all have ended.

        `gather`, as asyncio's, raises a failure as soon as it is there.
        """
        futures = [self._ensure(awaitable) for awaitable in awaitables]
        whole: WorkflowFuture[list[T]] = self._loop.create_future()
        if not futures:
            whole.set_result([])
            return whole
        left = len(futures)
        first: BaseException | None = None

        def ended(future: asyncio.Future[T]) -> None:
            nonlocal left, first
            left -= 1
            error: BaseException | None
            error = asyncio.CancelledError() if future.cancelled() else future.exception()
            first = first or error
            if left == 0 and not whole.done():
                if first is None:
                    whole.set_result([future.result() for future in futures])
                elif isinstance(first, asyncio.CancelledError):
                    whole.cancel()
                else:
                    whole.set_exception(first)

        for future in futures:
            future.add_done_callback(ended)
        return whole

    def when_any(self, awaitables: Iterable[Awaitable[T]]) -> WorkflowFuture[Any]:
        """Ends when the first one has; its result is that one, well ended or not. The others go on.

        Returns:
            A future of the winner, which compares equal to the awaitable that was given and has `get_result()`.
        """
        given = list(awaitables)
        return self._first(given, lambda index, future: _winner(given[index], future))

    def when_any_with_result(self, awaitables: Iterable[Awaitable[T]]) -> WorkflowFuture[tuple[int, T]]:
        """Ends when the first one has, with its place in the order given and its result; or with its failure."""
        return self._first(list(awaitables), lambda index, future: (index, future.result()))

    def _first(self, given: list[Any], outcome: Callable[[int, asyncio.Future[Any]], Any]) -> WorkflowFuture[Any]:
        if not given:
            raise WorkflowValidationError('when_any needs something to wait for: the list is empty.')
        race: WorkflowFuture[Any] = self._loop.create_future()

        def ended(index: int, future: asyncio.Future[Any]) -> None:
            if race.done():
                if not future.cancelled():
                    future.exception()  # it has lost, and its failure with it: nobody is to be told
                return
            try:
                race.set_result(outcome(index, future))
            except asyncio.CancelledError:
                race.cancel()
            except Exception as error:
                race.set_exception(error)

        for index, awaitable in enumerate(given):
            self._ensure(awaitable).add_done_callback(partial(ended, index))
        return race

    def gather(self, *awaitables: Awaitable[Any], return_exceptions: bool = False) -> asyncio.Future[list[Any]]:
        """As `asyncio.gather`: the results in order; the first failure at once, or with the results."""
        return asyncio.gather(*awaitables, return_exceptions=return_exceptions)

    def with_timeout(self, awaitable: Awaitable[T], timeout: Duration) -> WorkflowTask[T]:
        """Waits for something, for so long (seconds or a timedelta) or until then at most, and cancels it then.

        The durable timer is made now. What is cancelled stays in the history, and its result is ignored when it comes.

        Returns:
            A task of its result. It raises `WorkflowTimeoutError` when the time is over.
        """
        future = self._ensure(awaitable)
        is_over = False

        def over() -> None:
            nonlocal is_over
            is_over = future.cancel()

        timer = self._loop.call_at(self._moment(timeout), over)

        async def limited() -> T:
            try:
                return await future
            except asyncio.CancelledError:
                if is_over and future.cancelled():
                    raise WorkflowTimeoutError(f'It took longer than it was given (timeout: {timeout}).') from None
                raise
            finally:
                timer.cancel()

        return self._loop.create_task(limited())

    def wait_condition(self, predicate: Callable[[], Any], timeout: Duration | None = None) -> Awaitable[None]:
        """Waits until a condition holds that other tasks of the workflow bring about.

        Args:
            predicate: Called without arguments, now and whenever nothing else of the workflow can go on. It must only
                look, and depend on what the workflow has done alone.
            timeout: How long, or until when, to wait; then it raises `WorkflowTimeoutError`. None (default): no limit.
        """
        if predicate():
            future: WorkflowFuture[None] = self._loop.create_future()
            future.set_result(None)
            return future
        waiting = self._loop.wait_until(predicate)
        return waiting if timeout is None else self.with_timeout(waiting, timeout)

    def _ensure(self, awaitable: Awaitable[T]) -> asyncio.Future[T]:
        return asyncio.ensure_future(awaitable)

    def _moment(self, when: Duration) -> float:
        """A point in `loop.time()`."""
        if isinstance(when, datetime):
            return self._loop.seconds_at(when)
        return self._loop.time() + (when.total_seconds() if isinstance(when, timedelta) else when)


def _winner(awaitable: Awaitable[T], future: asyncio.Future[T]) -> Any:
    return future if future is awaitable else Winner(awaitable, future)
