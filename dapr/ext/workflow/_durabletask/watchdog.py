"""Tells of workflow code, and of async activities, that block: each once, with the stack of their thread.

One thread, which sleeps while nothing runs. A turn pays a few stores for it (`running`), and nothing for being watched.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Final, Protocol

from dapr.ext.workflow._durabletask.running import RunningWork

DEFAULT_LIMIT_SECONDS: Final = 2.0
# Code of this package, and the files that threads and event loops run in.
_NOT_THE_APPS: Final = (
    str(Path(__file__).resolve().parent.parent),
    threading.__file__,
    str(Path(asyncio.__file__).parent),
)


class WatchedLoop(Protocol):
    """The event loop of async activities; `dispatch.EventLoop` is."""

    @property
    def thread_id(self) -> int | None: ...

    def silent_for(self) -> float: ...


class Watchdog:
    """Watches from `start` to `stop`.

    Args:
        running: What runs.
        loop: The event loop of async activities.
        logger: Where it is told.
        limit: After how many seconds a turn, or a callback on the loop, counts as blocking.
    """

    def __init__(self, running: RunningWork, loop: WatchedLoop, logger: logging.Logger, limit: float) -> None:
        self._running = running
        self._loop = loop
        self._logger = logger
        self._limit = limit
        self._woken = threading.Event()
        self._is_stopping = False
        self._is_loop_told = False
        self.threads: list[threading.Thread] = []

    def start(self) -> None:
        """Starts the thread."""
        self._running.on_busy = self._woken.set
        thread = threading.Thread(target=self._work, name='dapr-workflow-watchdog', daemon=True)
        self.threads.append(thread)
        thread.start()

    def stop(self) -> None:
        """Ends the thread. Join `threads` after it."""
        self._is_stopping = True
        self._running.on_busy = None
        self._woken.set()

    def check(self) -> None:
        """Looks once."""
        now = time.monotonic()
        for turn in self._running.turns():
            blocked_for = now - turn.started
            if blocked_for >= self._limit and not turn.is_told:
                turn.is_told = True
                self._logger.warning(
                    "%s: a turn of the workflow '%s' has been running for %.1f s. A workflow that blocks holds up the "
                    'others: it must do I/O, sleeping and long computations in activities. It is here:\n%s',
                    turn.instance_id,
                    turn.name,
                    blocked_for,
                    stack_of(turn.thread),
                )
        silent_for = self._loop.silent_for() if any(run.is_async for run in self._running.activities()) else 0.0
        if silent_for < self._limit:
            self._is_loop_told = False
        elif not self._is_loop_told:
            self._is_loop_told = True
            names = sorted({run.name for run in self._running.activities() if run.is_async})
            self._logger.warning(
                'The event loop of async activities has been blocked for %.1f s, and all of them with it (running: '
                '%s). An async activity must await what takes long, or leave it to a thread (asyncio.to_thread). It is '
                'here:\n%s',
                silent_for,
                ', '.join(names),
                stack_of(self._loop.thread_id),
            )

    def _work(self) -> None:
        while not self._is_stopping:
            self._woken.wait(self._sleep_seconds())
            self._woken.clear()
            if not self._is_stopping:
                self.check()

    def _sleep_seconds(self) -> float | None:
        if self._running.is_empty:
            self._running.is_idle = True
            if self._running.is_empty:  # what begins from now on wakes it
                return None
        self._running.is_idle = False
        return self._limit / 4


def stack_of(thread_id: int | None) -> str:
    """Where a thread is, from the app's code on; all of its stack when it is in none of the app's."""
    frame = None if thread_id is None else sys._current_frames().get(thread_id)
    if frame is None:
        return '  (it has ended meanwhile)'
    stack = traceback.extract_stack(frame)
    first = next((index for index, line in enumerate(stack) if not line.filename.startswith(_NOT_THE_APPS)), 0)
    return ''.join(traceback.format_list(list(stack)[first:])).rstrip()
