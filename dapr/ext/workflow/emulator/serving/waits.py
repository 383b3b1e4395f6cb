"""Those who wait for an instance to start, to end, or to take note of what they have sent: a future each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Final, TypeAlias

from dapr.ext.workflow.emulator.seam import Caller, Key

__all__ = ['CALLER', 'ShuttingDown', 'Waits']

CALLER: Final[ContextVar[Caller | None]] = ContextVar('CALLER', default=None)
"""The activity that makes the call which runs now, where that is known."""

_Futures: TypeAlias = 'dict[Key, set[asyncio.Future[None]]]'


class ShuttingDown(Exception):
    """The emulator stops; what was waited for may still come, but not from this process."""


class Waits:
    """Who waits for which instance. It is used on the event loop only.

    A wait costs one future, and nothing happens for it until it ends. Whether the instance is there does not matter:
    it may come.

    Args:
        on_change: Called when there is one more wait.
    """

    def __init__(self, on_change: Callable[[], None] = lambda: None) -> None:
        self._on_change = on_change
        self._starts: _Futures = {}
        self._ends: _Futures = {}
        self._turns: _Futures = {}
        self._callers: dict[asyncio.Future[None], Caller] = {}
        self._closed = False

    def __len__(self) -> int:
        """How many wait."""
        return sum(len(waiters) for futures in self._all() for waiters in futures.values())

    @property
    def callers(self) -> set[Caller]:
        """The activities that wait, as far as they are known."""
        return {caller for future, caller in self._callers.items() if not future.done()}

    async def until_started(self, key: Key, is_started: Callable[[Key], bool]) -> None:
        """Waits until an instance has started.

        Args:
            key: The instance.
            is_started: Whether it has, now.

        Raises:
            ShuttingDown: The emulator stops first.
        """
        await self._until(self._starts, key, is_started)

    async def until_ended(self, key: Key, is_ended: Callable[[Key], bool]) -> None:
        """Waits until an instance has ended; the rest as with `until_started`."""
        await self._until(self._ends, key, is_ended)

    async def until_heeded(self, key: Key, is_heeded: Callable[[Key], bool]) -> None:
        """Waits until an instance has taken note of an event; the rest as with `until_started`."""
        await self._until(self._turns, key, is_heeded)

    def advanced(self, key: Key) -> None:
        """Wakes those who wait for a turn of an instance."""
        _wake(self._turns.pop(key, ()))

    def look_again(self) -> None:
        """Wakes all who wait for turns: of a worker that has gone, or of instances that are purged, none will come."""
        for key in [*self._turns]:
            self.advanced(key)

    def started(self, key: Key) -> None:
        """Wakes those who wait for the start of an instance."""
        _wake(self._starts.pop(key, ()))

    def ended(self, key: Key) -> None:
        """Wakes all who wait for an instance."""
        self.started(key)
        self.advanced(key)
        _wake(self._ends.pop(key, ()))

    def close(self) -> None:
        """Ends all waits, those that come later too, with `ShuttingDown`."""
        self._closed = True
        for futures in self._all():
            for waiters in futures.values():
                _wake(waiters)
            futures.clear()

    def _all(self) -> tuple[_Futures, ...]:
        return self._starts, self._ends, self._turns

    async def _until(self, futures: _Futures, key: Key, is_so: Callable[[Key], bool]) -> None:
        # Asked again after each wake-up: by then the instance may be purged, or be a new one of the same id.
        while not is_so(key):
            if self._closed:
                raise ShuttingDown
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            futures.setdefault(key, set()).add(future)
            caller = CALLER.get()
            if caller is not None:
                self._callers[future] = caller
            self._on_change()
            try:
                await future
            except asyncio.CancelledError:
                # The caller is gone, or its deadline has come.
                waiters = futures.get(key, set())
                waiters.discard(future)
                if not waiters:
                    futures.pop(key, None)
                raise
            finally:
                self._callers.pop(future, None)


def _wake(waiters: Iterable[asyncio.Future[None]]) -> None:
    for future in waiters:
        if not future.done():
            future.set_result(None)
