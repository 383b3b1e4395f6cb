"""A clock that stands still until it is moved: what time is for a test."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Final

__all__ = ['StandingClock']

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


class StandingClock:
    """A clock for `Emulator(clock=...)` that shows the same moment until it is moved. Any thread may use it.

    It never goes back. Those who have subscribed are told of each move, on the thread that makes it, so an emulator
    fires what is due at once.

    Args:
        start: What it shows first (without a time zone: UTC). None (default): now, in whole seconds.
    """

    def __init__(self, start: datetime | None = None) -> None:
        if start is None:
            self._now = float(int(time.time()))
        else:
            self._now = (_aware(start) - _EPOCH).total_seconds()
        self._running_since: float | None = None
        self._lock = threading.Lock()
        self._subscribers: list[Callable[[], None]] = []

    def __call__(self) -> float:
        """The moment, in seconds since the epoch."""
        with self._lock:
            return self._read()

    @property
    def is_standing(self) -> bool:
        """Whether it shows the same moment until it is moved, and not how time goes by."""
        return self._running_since is None

    def now(self) -> datetime:
        """The moment, with time zone UTC."""
        return _EPOCH + timedelta(seconds=self())

    def move_to(self, moment: float) -> None:
        """Has it show a moment, in seconds since the epoch; one that is over changes nothing."""
        with self._lock:
            if self._running_since is not None:
                self._now += max(0.0, moment - self._read())
            else:
                self._now = max(self._now, moment)
        self._tell()

    def advance(self, by: timedelta) -> None:
        """Moves it ahead; by nothing, when that is negative."""
        self.move_to(self() + by.total_seconds())

    def run(self) -> None:
        """From now on it goes as time does."""
        with self._lock:
            if self._running_since is None:
                self._running_since = time.monotonic()
        self._tell()

    def stand(self) -> None:
        """From now on it stands, where it is."""
        with self._lock:
            self._now = self._read()
            self._running_since = None
        self._tell()

    def subscribe(self, on_move: Callable[[], None]) -> Callable[[], None]:
        """Has a function called after each move.

        Returns:
            A function that ends that.
        """
        self._subscribers.append(on_move)

        def unsubscribe() -> None:
            if on_move in self._subscribers:
                self._subscribers.remove(on_move)

        return unsubscribe

    def _read(self) -> float:
        if self._running_since is None:
            return self._now
        return self._now + time.monotonic() - self._running_since

    def _tell(self) -> None:
        for on_move in tuple(self._subscribers):
            on_move()


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment
