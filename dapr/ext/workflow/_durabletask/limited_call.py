"""Calls with a limit in time: the call, against a durable timer of the workflow's.

The protocol cannot cancel anything. So when the time is over the call goes on where it runs, and its result is ignored
when it comes; and when the call has ended first its timer stays in the history, and means nothing when it fires.

The limit is for the whole call: with a retry policy, for all its attempts and the waits between them (what Temporal
calls schedule-to-close). When it is over, no further attempt is made.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from dapr.ext.workflow._durabletask.task import CompletableTask, CompositeTask, Task, TimerTask

T = TypeVar('T')


def duration_of(timeout: Any) -> timedelta:
    """The limit of a call as a duration.

    Args:
        timeout: A timedelta, or seconds.

    Raises:
        TypeError: It is neither.
        ValueError: It is not more than zero, or longer than a timedelta can be.
    """
    duration = timeout
    if isinstance(timeout, (int, float)) and not isinstance(timeout, bool):
        try:
            duration = timedelta(seconds=timeout) if math.isfinite(timeout) else timedelta(0)
        except OverflowError:
            duration = timedelta(0)
    if not isinstance(duration, timedelta):
        raise TypeError(
            f'timeout must be a timedelta or a number of seconds, not {type(timeout).__name__}: {timeout!r}.'
        )
    if duration <= timedelta(0):
        raise ValueError(
            f'timeout is {timeout!r}; it must be more than zero, and no longer than a timedelta can be. None stands '
            'for no limit.'
        )
    return duration


class LimitedCallTask(CompositeTask[T]):
    """A call of an activity or a child workflow, against a timer.

    Args:
        call: Ends when the call does, after the last attempt.
        timer: Ends when the time is over.
        timeout: The limit as it was given, for the error's message.
        error_type: What it fails with when the time is over.
        on_end: Called with whether the call has ended in time, so that what is left of the other can be let go of.
    """

    def __init__(
        self,
        call: CompletableTask[T],
        timer: TimerTask,
        timeout: object,
        error_type: type[TimeoutError],
        on_end: Callable[[bool], None],
    ) -> None:
        self._call = call
        self._timeout = timeout
        self._error_type = error_type
        self._on_end = on_end
        super().__init__([call, timer])

    def describe(self) -> str:
        return self._call.describe()

    @property
    def _read(self) -> Callable[[str], Any] | None:
        """What reads the call's result, as that of the call itself."""
        return self._call._read

    @_read.setter
    def _read(self, read: Callable[[str], Any] | None) -> None:
        self._call._read = read

    def on_child_completed(self, task: Task[Any]) -> None:
        """Takes note that the call has ended, or that the time is over."""
        if self._is_complete:
            return
        is_in_time = task is self._call
        if not is_in_time:
            self._exception = self._error_type(
                f'{self.describe()} took longer than it was given (timeout: {self._timeout}). It goes on where it '
                'runs, and its result will be ignored.'
            )
        elif task._exception is not None:
            self._exception = task._exception
        else:
            self._result = task._result
        self._on_end(is_in_time)
        self._end()
