"""How long to wait before the next attempt to connect."""

from __future__ import annotations

import random
from collections.abc import Callable

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 15.0


class Backoff:
    """Delays that double from one to the next, up to a limit, each with jitter.

    The jitter takes up to a half of each delay away and never more, so that the number of attempts in any time has an
    upper bound, while workers that were cut off together do not all come back at once.

    Args:
        first: The first delay, in seconds, before jitter. Default: 0.5.
        longest: The limit, in seconds. Default: 15.
        uniform: Draws the jitter: a number between its two arguments. Default: `random.uniform`.
    """

    def __init__(
        self,
        first: float = FIRST_SECONDS,
        longest: float = LONGEST_SECONDS,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._first = first
        self._longest = longest
        self._uniform = uniform
        self._next = first

    @property
    def is_first(self) -> bool:
        """Whether no attempt has failed since the last one that succeeded for good."""
        return self._next == self._first

    def next_delay(self) -> float:
        """The delay before the next attempt, in seconds; the one after it is twice as long."""
        delay = self._next
        self._next = min(delay * 2, self._longest)
        return self._uniform(delay / 2, delay)

    def reset(self) -> None:
        """Begins anew with the first delay."""
        self._next = self._first
