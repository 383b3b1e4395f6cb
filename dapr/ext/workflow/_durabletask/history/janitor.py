"""The thread that lets go of what is kept between turns."""

from __future__ import annotations

import threading
from typing import Protocol

# It wakes for the next expiry; what was used meanwhile expires later, so it may find nothing to do. With nothing to
# expire it sleeps for the TTL: what is put or given back meanwhile expires no earlier.
MAX_SLEEP_SECONDS = 60.0


class Swept(Protocol):
    """What has something to let go of, now and then."""

    @property
    def ttl(self) -> float: ...

    def sweep_expired(self) -> None: ...

    def next_expiry(self) -> float | None: ...


class Janitor:
    """Sweeps from `start` to `stop`, and once more then.

    Args:
        stores: What it sweeps.
    """

    def __init__(self, *stores: Swept) -> None:
        self._stores = stores
        self._woken = threading.Event()
        self._is_stopping = False
        self.threads: list[threading.Thread] = []

    def start(self) -> None:
        """Starts the thread, if there is anything to sweep."""
        if not self._stores:
            return
        thread = threading.Thread(target=self._work, name='dapr-workflow-history-janitor', daemon=True)
        self.threads.append(thread)
        thread.start()

    def stop(self) -> None:
        """Ends the thread. Join `threads` after it."""
        self._is_stopping = True
        self._woken.set()

    def wake(self) -> None:
        """Has it sweep now."""
        self._woken.set()

    def _work(self) -> None:
        is_last = False
        while not is_last:
            self._woken.wait(min(MAX_SLEEP_SECONDS, *map(_sleep_seconds, self._stores)))
            self._woken.clear()
            is_last = self._is_stopping  # a stop that comes during the sweep has one more
            for store in self._stores:
                store.sweep_expired()


def _sleep_seconds(store: Swept) -> float:
    next_expiry = store.next_expiry()
    return store.ttl if next_expiry is None else next_expiry
