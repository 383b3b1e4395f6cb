"""Threads of a pool that do nothing but wait, and are lent back to it meanwhile.

An activity that waits for a workflow holds its thread. When the activities of that workflow need threads of the same
pool, all of them would stand still as soon as there are as many such waits as threads. So a wait of a client tells the
pool that its thread belongs to, if it belongs to one, and the pool may have one thread more while it lasts.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Lender(Protocol):
    """A pool that can do with one thread more while one of its own waits."""

    def lend(self) -> AbstractContextManager[None]:
        """While it is entered, the calling thread does not count as one of the pool."""
        ...


class _ThisThread(threading.local):
    pool: Lender | None = None


_this_thread = _ThisThread()


def belong_to(pool: Lender) -> None:
    """Makes the calling thread one of a pool's, for good."""
    _this_thread.pool = pool


@contextmanager
def lent_while_waiting() -> Iterator[None]:
    """For a block that only waits: lends the calling thread to its pool, if it belongs to one."""
    pool = _this_thread.pool
    if pool is None:
        yield
    else:
        with pool.lend():
            yield
