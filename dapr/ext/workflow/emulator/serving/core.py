"""What all listeners of an emulator share: the backend, and those who act on what it tells."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Sequence

from dapr.ext.workflow.emulator.seam import ActivityWork, Caller, Key
from dapr.ext.workflow.emulator.serving.alarm import Alarm
from dapr.ext.workflow.emulator.serving.dispatch import DEFAULT_LEASE_SECONDS, DEFAULT_PING_SECONDS, Dispatcher
from dapr.ext.workflow.emulator.serving.losses import Losses
from dapr.ext.workflow.emulator.serving.skipping import TimeSkipping
from dapr.ext.workflow.emulator.serving.waits import Waits
from dapr.ext.workflow.emulator.state.backend import Backend
from dapr.ext.workflow.emulator.state.store import Store

__all__ = ['Core']


class Core:
    """The backend and its observers. It is made and used on one event loop, so nothing in it takes a lock.

    Args:
        store: The database; the core closes it.
        loop: The event loop.
        apps: The apps that it plays; none: the one that takes everything.
        clock: The time that timers and events go by, in seconds since the epoch. Default: the system's.
        lease_seconds: How long a turn's answer is waited for. Default: 120.
        ping_seconds: The time between two health pings. Default: 30.
        time_skipping: Moves the clock, which is its own, when there is nothing to do. Default: time is not skipped.
        logger: Where failures are told.
        losses: Which answers are to be lost. Default: none.

    Attributes:
        backend: The instances.
        dispatcher: The worker streams.
        waits: Those who wait for an instance.
    """

    def __init__(
        self,
        store: Store,
        loop: asyncio.AbstractEventLoop,
        logger: logging.Logger,
        *,
        apps: Sequence[str] = (),
        clock: Callable[[], float] = time.time,
        lease_seconds: float = DEFAULT_LEASE_SECONDS,
        ping_seconds: float = DEFAULT_PING_SECONDS,
        time_skipping: TimeSkipping | None = None,
        losses: Losses | None = None,
    ) -> None:
        self._time_skipping = time_skipping
        self.backend = Backend(store, self, clock=clock, apps=apps)
        self.waits = Waits(self._look_at_time)
        self.dispatcher = Dispatcher(
            self.backend,
            loop,
            logger,
            lease_seconds=lease_seconds,
            ping_seconds=ping_seconds,
            on_sent=self._look_at_time,
            losses=losses,
        )
        self._alarm = Alarm(self, clock, loop, logger)
        self.backend.recover()
        self._alarm.changed()
        if time_skipping is not None:
            time_skipping.attach(loop, self)

    def clock_moved(self) -> None:
        """Fires what is due by now: the clock was set."""
        self._alarm.changed()

    def shut_down(self) -> None:
        """Ends streams and waits. Other calls that are in flight may still end as they should."""
        if self._time_skipping is not None:
            self._time_skipping.detach()
        self._alarm.close()
        self.dispatcher.close()
        self.waits.close()

    def close(self) -> None:
        """Closes the database."""
        self.backend.close()

    # -- what the backend tells ----------------------------------------------------------------------------------------

    def turn_ready(self, key: Key) -> None:
        self.dispatcher.turns.ready(key)

    def turn_dropped(self, key: Key) -> None:
        self.dispatcher.turns.dropped(key)
        self._look_at_time()

    def activity_ready(self, work: ActivityWork) -> None:
        self.dispatcher.activities.ready(work)

    def activity_dropped(self, row_id: int) -> None:
        self.dispatcher.activities.dropped(row_id)
        self._look_at_time()

    def started(self, key: Key) -> None:
        self.waits.started(key)

    def advanced(self, key: Key) -> None:
        self.waits.advanced(key)

    def ended(self, key: Key) -> None:
        self.dispatcher.turns.ended(key)
        self.waits.ended(key)

    def timers_changed(self) -> None:
        self._alarm.changed()
        self._look_at_time()

    # -- timers, for the alarm; and what the skipping of time goes by ------------------------------------------------

    def next_timer_at(self) -> float | None:
        return self.backend.next_timer_at()

    def fire_timers(self) -> None:
        self.backend.fire_timers()
        self._look_at_time()

    @property
    def waiting(self) -> int:
        return len(self.waits)

    @property
    def waiting_activities(self) -> set[Caller]:
        return self.waits.callers

    def is_idle(self, waiting: Collection[Caller]) -> bool:
        return self.dispatcher.is_idle(waiting)

    def _look_at_time(self) -> None:
        if self._time_skipping is not None:
            self._time_skipping.changed()
