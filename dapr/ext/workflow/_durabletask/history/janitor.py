"""The thread that lets expired histories go."""

from __future__ import annotations

import threading

from dapr.ext.workflow._durabletask.history.cache import _WorkflowHistoryCache

# It wakes for the next expiry; a history that was used meanwhile expires later, so it may find nothing to do. With
# nothing to expire it sleeps for the TTL: what is put or given back meanwhile expires no earlier.
MAX_SLEEP_SECONDS = 60.0


class Janitor:
    """Sweeps a cache from `start` to `stop`.

    Args:
        cache: The cache.
    """

    def __init__(self, cache: _WorkflowHistoryCache) -> None:
        self._cache = cache
        self._stopped = threading.Event()
        self.threads: list[threading.Thread] = []

    def start(self) -> None:
        """Starts the thread."""
        thread = threading.Thread(target=self._work, name='dapr-workflow-history-janitor', daemon=True)
        self.threads.append(thread)
        thread.start()

    def stop(self) -> None:
        """Ends the thread. Join `threads` after it."""
        self._stopped.set()

    def _work(self) -> None:
        while not self._stopped.wait(self._sleep_seconds()):
            self._cache.sweep_expired()

    def _sleep_seconds(self) -> float:
        next_expiry = self._cache.next_expiry()
        return min(MAX_SLEEP_SECONDS, self._cache.ttl if next_expiry is None else next_expiry)
