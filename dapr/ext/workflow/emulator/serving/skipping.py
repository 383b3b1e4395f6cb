"""Time that is skipped: the clock of a test moves on when there is nothing else to do.

The rule, in full:

1. While nobody waits, time stands still. Those who wait are: a client for an instance to start or to end (or for the
   first turn of one that it starts), and who sleeps by this clock, a test or an activity.
2. While there is something to do, time stands still, too: a turn or an activity that is ready (even when no worker is
   there to take it) or was sent to a worker and is not answered. An activity that itself waits, in the sense of 1, is
   nothing to do, as long as it waits.
3. Otherwise the clock jumps to what comes first: a timer of a workflow (retries, timeouts and scheduled starts are
   timers), or the end of a sleep. Timers that are due fire before anyone awakes; those who sleep awake one at a time,
   activities before others, and the next one only when there is nothing to do again.

All of this is known on the emulator's one event loop, and is looked at when it changes: nothing polls, and a slow
machine changes nothing. What a wait was for is settled together with what ends it: an activity that is answered counts
as running again before it can know. What takes real time in an activity (`time.sleep`, a request) takes none here.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
from collections.abc import Collection
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

from dapr.ext.workflow.emulator.clock import StandingClock
from dapr.ext.workflow.emulator.seam import Caller

__all__ = ['Skipped', 'TimeSkipping']


class Skipped(Protocol):
    """What time is skipped for: the emulator's core."""

    @property
    def waiting(self) -> int:
        """How many wait for an instance."""

    @property
    def waiting_activities(self) -> set[Caller]:
        """The activities among them."""

    def is_idle(self, waiting: Collection[Caller]) -> bool:
        """Whether there is nothing to do, but for these activities, which wait."""

    def next_timer_at(self) -> float | None:
        """When the next timer is due, in seconds since the epoch, or None."""


@dataclass(order=True, slots=True)
class _Sleeper:
    due: float
    is_other: bool  # than an activity: those awake first
    number: int
    caller: Caller | None = field(compare=False)
    future: Future[None] = field(compare=False)


class TimeSkipping:
    """Skips time for one emulator, which is given it as `Emulator(time_skipping=...)`. Its methods may be called from
    any thread, unless they say otherwise.

    Args:
        clock: The clock that is moved. None (default): a new one.
    """

    def __init__(self, clock: StandingClock | None = None) -> None:
        self.clock = clock or StandingClock()
        self._lock = threading.Lock()
        self._pauses = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._core: Skipped | None = None
        # These belong to the loop.
        self._sleepers: list[_Sleeper] = []
        self._numbers = itertools.count()
        self._is_look_due = False
        self._alarm: asyncio.TimerHandle | None = None

    def sleep(self, seconds: float, caller: Caller | None = None) -> Future[None]:
        """A sleep by the clock.

        Args:
            seconds: How long.
            caller: The activity that sleeps; None (default): none does.

        Returns:
            What is done at its end. It fails with RuntimeError when the emulator stops first. Cancel it to give up.

        Raises:
            RuntimeError: The emulator does not run.
        """
        future: Future[None] = Future()
        with self._lock:
            loop = self._loop
            if loop is None:
                raise RuntimeError('the emulator does not run: its time stands still')
            loop.call_soon_threadsafe(self._add, self.clock() + max(0.0, seconds), caller, future)
        return future

    def pause(self) -> None:
        """From now on the clock goes as time does, until `resume` was called as often."""
        with self._lock:
            self._pauses += 1
            self.clock.run()
        self._look_from_outside()

    def resume(self) -> None:
        """Ends a `pause`: with the last one of them time is skipped again."""
        with self._lock:
            self._pauses -= 1
            if not self._pauses:
                self.clock.stand()
        self._look_from_outside()

    def end_sleeps(self) -> None:
        """Ends all sleeps with RuntimeError, and those that come: the test is over."""
        with self._lock:
            loop, self._loop = self._loop, None
            if loop is not None:
                loop.call_soon_threadsafe(self.detach)

    # What the emulator calls, on its loop

    def attach(self, loop: asyncio.AbstractEventLoop, core: Skipped) -> None:
        """The emulator starts."""
        self._core = core
        with self._lock:
            self._loop = loop

    def detach(self) -> None:
        """The emulator stops: nobody sleeps any longer."""
        with self._lock:
            self._loop = None
        self._core = None
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        sleepers, self._sleepers = self._sleepers, []
        for sleeper in sleepers:
            if sleeper.future.set_running_or_notify_cancel():
                sleeper.future.set_exception(RuntimeError('the emulator has stopped'))

    def changed(self) -> None:
        """Something has changed that the rule goes by: looks whether time moves, when what runs now is over."""
        if not self._is_look_due and self._loop is not None:
            self._is_look_due = True
            self._loop.call_soon(self._look)

    # Inside, on the loop

    def _add(self, due: float, caller: Caller | None, future: Future[None]) -> None:
        if self._loop is None:
            if future.set_running_or_notify_cancel():
                future.set_exception(RuntimeError('the emulator has stopped'))
            return
        heapq.heappush(self._sleepers, _Sleeper(due, caller is None, next(self._numbers), caller, future))
        self.changed()

    def _look(self) -> None:
        self._is_look_due = False
        core = self._core
        if core is None:
            return
        while self._sleepers and self._sleepers[0].future.cancelled():
            heapq.heappop(self._sleepers)
        if not self.clock.is_standing:
            self._wake_as_time_goes_by()
            return
        if not self._sleepers and not core.waiting:
            return
        asleep = {sleeper.caller for sleeper in self._sleepers if sleeper.caller is not None}
        if not core.is_idle(core.waiting_activities | asleep):
            return
        moments = [self._sleepers[0].due] if self._sleepers else []
        timer = core.next_timer_at()
        if timer is not None:
            moments.append(timer)
        if not moments:
            return
        moment, now = min(moments), self.clock()
        if moment > now:
            self.clock.move_to(moment)  # fires the timers, later on this loop
            self.changed()
        elif timer is None or timer > now:
            self._wake_first()

    def _wake_first(self) -> None:
        sleeper = heapq.heappop(self._sleepers)
        if sleeper.future.set_running_or_notify_cancel():
            sleeper.future.set_result(None)
        self.changed()

    def _wake_as_time_goes_by(self) -> None:
        now = self.clock()
        while self._sleepers and self._sleepers[0].due <= now:
            self._wake_first()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._sleepers and self._loop is not None:
            self._alarm = self._loop.call_later(self._sleepers[0].due - now, self.changed)

    def _look_from_outside(self) -> None:
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self.changed)
