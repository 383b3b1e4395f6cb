"""Where an environment's workflows run: on an emulator of its own, or on a sidecar that is there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import wait
from datetime import datetime, timedelta, timezone
from os import PathLike
from typing import Protocol

from dapr.ext.workflow.emulator.clock import StandingClock
from dapr.ext.workflow.emulator.serving.losses import Losses
from dapr.ext.workflow.emulator.serving.server import Emulator
from dapr.ext.workflow.emulator.serving.skipping import TimeSkipping
from dapr.ext.workflow.testing.callers import CURRENT

__all__ = ['EmulatedPlace', 'LocalPlace', 'Place', 'SidecarPlace']

_EPOCH = datetime(1970, 1, 1)


class Place(Protocol):
    """Where workflows run, and whose time they go by."""

    @property
    def app_names(self) -> Sequence[str]:
        """The apps that there are; '' for the only one."""

    @property
    def skips_time(self) -> bool:
        """Whether the clock is the test's."""

    def start(self) -> None:
        """Begins."""

    @property
    def losses(self) -> Losses | None:
        """Where it is ordered that answers get lost; None: that cannot be had."""

    def end_sleeps(self) -> None:
        """Ends all sleeps: the test is over."""

    def stop(self) -> None:
        """Ends."""

    def address_of(self, app: str) -> str:
        """The address of an app's sidecar, as host:port."""

    def now(self) -> datetime:
        """The time (naive, UTC)."""

    def sleep(self, seconds: float, limit: float | None) -> None:
        """Sleeps; raises TimeoutError after `limit` seconds of real time."""

    async def asleep(self, seconds: float, limit: float | None) -> None:
        """The same for asyncio."""

    def pause(self) -> None:
        """From now on the clock goes as time does, until `resume` was called as often."""

    def resume(self) -> None:
        """Ends a pause."""


class _RealTime:
    skips_time = False

    def end_sleeps(self) -> None:
        """Nobody sleeps by this clock."""

    def now(self) -> datetime:
        return datetime.now(timezone.utc).replace(tzinfo=None)

    def sleep(self, seconds: float, limit: float | None) -> None:
        time.sleep(seconds)

    async def asleep(self, seconds: float, limit: float | None) -> None:
        await asyncio.sleep(seconds)

    def pause(self) -> None:
        """The clock goes as time does already."""

    def resume(self) -> None:
        """As before."""


class SidecarPlace(_RealTime):
    """A sidecar that is there; it is neither started nor stopped.

    Args:
        address: Its address, as host:port.
    """

    app_names: Sequence[str] = ('',)
    losses: Losses | None = None

    def __init__(self, address: str) -> None:
        self._address = address

    def start(self) -> None:
        """It runs."""

    def stop(self) -> None:
        """It goes on."""

    def address_of(self, app: str) -> str:
        return self._address


class LocalPlace(_RealTime):
    """An emulator, in real time.

    Args:
        db: Its file, or None.
        apps: The apps that it plays; none: one.
    """

    def __init__(self, db: str | PathLike[str] | None, apps: Sequence[str]) -> None:
        self.app_names: Sequence[str] = tuple(apps) or ('',)
        self.losses: Losses | None = Losses()
        self.emulator = Emulator(db=db, apps=apps, losses=self.losses)

    def start(self) -> None:
        self.emulator.start()

    def stop(self) -> None:
        self.emulator.stop()

    def address_of(self, app: str) -> str:
        return self.emulator.address_of(app)


class EmulatedPlace:
    """An emulator whose time is skipped.

    Args:
        start_at: What its clock shows first; None: now.
        db: Its file, or None.
        apps: The apps that it plays; none: one.
    """

    skips_time = True

    def __init__(self, start_at: datetime | None, db: str | PathLike[str] | None, apps: Sequence[str]) -> None:
        self.app_names: Sequence[str] = tuple(apps) or ('',)
        self._skipping = TimeSkipping(StandingClock(start_at))
        self.losses: Losses | None = Losses()
        self.emulator = Emulator(db=db, apps=apps, time_skipping=self._skipping, losses=self.losses)

    def start(self) -> None:
        self.emulator.start()

    def end_sleeps(self) -> None:
        self._skipping.end_sleeps()

    def stop(self) -> None:
        self.emulator.stop()

    def address_of(self, app: str) -> str:
        return self.emulator.address_of(app)

    def now(self) -> datetime:
        return _EPOCH + timedelta(seconds=self._skipping.clock())

    def sleep(self, seconds: float, limit: float | None) -> None:
        future = self._skipping.sleep(seconds, CURRENT.get())
        try:
            done, _ = wait((future,), limit)
        except BaseException:  # Ctrl-C
            future.cancel()
            raise
        if not done and future.cancel():
            raise TimeoutError
        future.result()

    async def asleep(self, seconds: float, limit: float | None) -> None:
        future = self._skipping.sleep(seconds, CURRENT.get())
        try:
            await asyncio.wait_for(asyncio.wrap_future(future), limit)
        except asyncio.TimeoutError:  # TimeoutError itself from Python 3.11 on
            raise TimeoutError from None

    def pause(self) -> None:
        self._skipping.pause()

    def resume(self) -> None:
        self._skipping.resume()
