"""Durable timers: one timer of the event loop, set to the earliest of them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, Protocol

from dapr.ext.workflow.emulator.serving.retrying import Backoffs, Scheduled, Scheduler

__all__ = ['Alarm', 'TimerSource']

# The loop's clock stands still while the machine sleeps, and no one tells it when the wall clock is set: with timers
# pending it looks that often.
_LONGEST_WAIT_SECONDS: Final = 60.0


class TimerSource(Protocol):
    """Where durable timers are: the backend."""

    def next_timer_at(self) -> float | None:
        """When the earliest is due, in seconds since the epoch; None: there is none."""

    def fire_timers(self) -> None:
        """Fires those that are due."""


class Alarm:
    """Has timers fired when they are due. It is used on the event loop only.

    Args:
        timers: The timers.
        clock: The time, in seconds since the epoch, that they go by.
        scheduler: The event loop.
        logger: Where failures are told.
    """

    def __init__(
        self,
        timers: TimerSource,
        clock: Callable[[], float],
        scheduler: Scheduler,
        logger: logging.Logger,
    ) -> None:
        self._timers = timers
        self._clock = clock
        self._scheduler = scheduler
        self._logger = logger
        self._handle: Scheduled | None = None
        self._is_set_anew = False
        self._closed = False
        self._backoffs = Backoffs()

    def changed(self) -> None:
        """Looks for the earliest timer anew, as soon as what runs now is over."""
        if not self._is_set_anew and not self._closed:
            self._is_set_anew = True
            self._scheduler.call_soon(self._set)

    def close(self) -> None:
        """Fires nothing any more."""
        self._closed = True
        self._cancel()

    def _set(self) -> None:
        self._is_set_anew = False
        self._cancel()
        if self._closed:
            return
        try:
            due = self._timers.next_timer_at()
        except Exception as error:
            self._try_again('looked for', error)
            return
        if due is not None:
            delay = min(max(0.0, due - self._clock()), _LONGEST_WAIT_SECONDS)
            self._handle = self._scheduler.call_later(delay, self._ring)

    def _ring(self) -> None:
        self._handle = None
        try:
            self._timers.fire_timers()
        except Exception as error:
            self._try_again('fired', error)
            return
        self._backoffs.succeeded('timers')
        self.changed()

    def _try_again(self, what: str, error: Exception) -> None:
        delay = self._backoffs.failed('timers')
        self._logger.error("Timers can't be %s: %s. It is tried again in %g s.", what, error, delay)
        self._handle = self._scheduler.call_later(delay, self._ring)

    def _cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
