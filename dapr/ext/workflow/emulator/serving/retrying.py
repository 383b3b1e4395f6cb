"""What failed is tried again, later each time."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Final, Protocol

__all__ = ['Backoffs', 'Scheduled', 'Scheduler']

_FIRST_SECONDS: Final = 0.5
_LONGEST_SECONDS: Final = 30.0


class Scheduled(Protocol):
    """A call to come."""

    def cancel(self) -> object:
        """Has it not come."""


class Scheduler(Protocol):
    """Calls functions later, one at a time. An asyncio event loop is one."""

    def time(self) -> float:
        """Its clock, in seconds; it never goes back."""

    def call_soon(self, callback: Callable[..., object], *args: Any) -> Scheduled:
        """Calls a function when what runs now is over."""

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Scheduled:
        """Calls a function after so many seconds."""


class Backoffs:
    """How long each thing that failed has to wait: 0.5 s, doubled with each failure in a row, up to 30 s."""

    def __init__(self) -> None:
        self._failures: dict[Hashable, int] = {}

    def failed(self, what: Hashable) -> float:
        """Counts a failure.

        Returns:
            After how many seconds to try again.
        """
        count = self._failures.get(what, 0)
        self._failures[what] = count + 1
        # The exponent is bounded before the power is taken: a disk can stay full for long.
        return min(_LONGEST_SECONDS, _FIRST_SECONDS * 2.0 ** min(count, 16))

    def succeeded(self, what: Hashable) -> None:
        """Forgets its failures."""
        if self._failures:
            self._failures.pop(what, None)
