"""Calls that run in steps: each on a thread of its own, and only one at a time, so that a test decides how they mix."""

from __future__ import annotations

import threading
from collections.abc import Callable

_DEADLINE_SECONDS = 60.0


class Stepped:
    """A call that stops wherever it calls `pause`, until `advance` lets it go on.

    Args:
        call: What is run.

    Attributes:
        is_over: Whether it has returned, or raised.
    """

    def __init__(self, call: Callable[[], object]) -> None:
        self.is_over = False
        self._call = call
        self._error: BaseException | None = None
        self._may_go_on = threading.Semaphore(0)
        self._has_stopped = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, name='stepped call', daemon=True)
        self._is_started = False

    def advance(self) -> None:
        """Runs it to its next pause, or its end; raises what it raises."""
        if self._is_started:
            self._may_go_on.release()
        else:
            self._is_started = True
            self._thread.start()
        assert self._has_stopped.acquire(timeout=_DEADLINE_SECONDS), 'it neither pauses nor ends'
        if self.is_over:
            self._thread.join(_DEADLINE_SECONDS)
            if self._error is not None:
                raise self._error

    def pause(self) -> None:
        """Called from within: stops here."""
        self._has_stopped.release()
        assert self._may_go_on.acquire(timeout=_DEADLINE_SECONDS), 'it was left alone in a pause'

    def _run(self) -> None:
        try:
            self._call()
        except BaseException as error:
            self._error = error
        finally:
            self.is_over = True
            self._has_stopped.release()
