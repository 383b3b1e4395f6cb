"""How long a test may wait before it is taken for one that hangs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Final

import grpc

from dapr.ext.workflow.testing.errors import WorkflowHangsError

__all__ = ['DEFAULT_LIMIT', 'TimeLimit']

DEFAULT_LIMIT: Final = 30.0
"""Seconds of real time."""


class TimeLimit:
    """The limit of an environment.

    Args:
        seconds: How long a wait may take, of real time; None: as long as it likes.
        story: Tells what the test waits for.
    """

    def __init__(self, seconds: float | None, story: Callable[[], str]) -> None:
        self.seconds = seconds
        self._story = story

    @contextlib.contextmanager
    def waiting(self, what: str, seconds: float) -> Iterator[float]:
        """For a wait of a client, see `clients.Limit`.

        Raises:
            WorkflowHangsError: It took as long as the limit, which is less than the caller's own.
        """
        limit = self.seconds
        if limit is None or 0 < seconds <= limit:
            yield seconds
            return
        started = time.monotonic()
        try:
            yield limit
        except (TimeoutError, grpc.RpcError) as error:
            if isinstance(error, grpc.RpcError) and error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                raise
            raise self._hanging(what, started) from error

    @contextlib.contextmanager
    def sleeping(self) -> Iterator[None]:
        """For a sleep.

        Raises:
            WorkflowHangsError: It has ended with TimeoutError.
        """
        started = time.monotonic()
        try:
            yield
        except TimeoutError as error:
            raise self._hanging('its sleep', started) from error

    def _hanging(self, what: str, started: float) -> WorkflowHangsError:
        return WorkflowHangsError(
            f'The test hangs: after {time.monotonic() - started:.3g} s of real time it still waits for {what} '
            f'(time_limit sets another limit).\n{self._story()}'
        )
