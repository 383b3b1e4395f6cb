"""How a wait for an orchestration outlives what gets in its way, and how it ends."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

import grpc

from dapr.ext.workflow._durabletask.clients.requests import WaitOperation, is_missing_instance
from dapr.ext.workflow._durabletask.transport.errors import describe, status_of

_FIRST_DELAY: Final = 0.05
_LONGEST_DELAY: Final = 1.0
_PATIENCE: Final = 30.0
# How often in a row a call may come back cancelled at once: a sidecar that stops cancels the calls that are in flight,
# and then cannot be reached; when it goes on, it is the wait that somebody (an interceptor, a proxy) cancels.
_MOST_CANCELLATIONS: Final = 3

# What passes: no connection, a sidecar that is not ready for workflows yet, one that stops.
_TRANSIENT: Final = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.CANCELLED}
)


def is_transient(error: grpc.RpcError) -> bool:
    """Whether the call may do better when it is made again, a little later."""
    return status_of(error) in _TRANSIENT


class Waiting:
    """What to do about a wait as time and errors come by: go on, and when, or end it.

    What is transient is tried again after 50 ms, then after twice as long each time, up to 1 s: a sidecar that is out
    of reach, starting or stopping, and an instance that is not there yet (the Go sidecar says so; daprd waits).

    Args:
        operation: The wait.
        logger: Is told, once, that something is in the way.
        clock: Seconds, from anywhere.
    """

    def __init__(
        self, operation: WaitOperation, logger: logging.Logger, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._operation = operation
        self._logger = logger
        self._clock = clock
        self._deadline = None if operation.timeout is None else clock() + operation.timeout
        self._delay = _FIRST_DELAY
        self._called_at = clock()
        self._is_first_call = True
        self._cancellations = 0
        self._cut_off_since: float | None = None
        self._in_the_way: grpc.RpcError | None = None

    def remaining(self) -> float | None:
        """The seconds that are left for the call that is made now, or None for no limit.

        Raises:
            TimeoutError: None are left. It says what was in the way, if anything was, and has that for its cause.
        """
        self._called_at = self._clock()
        left = self._left()
        # The first call has the very time that was asked for, not what is left of it after a microsecond.
        is_first, self._is_first_call = self._is_first_call, False
        return self._operation.timeout if is_first else left

    def delay_after(self, error: grpc.RpcError) -> float:
        """The seconds to wait before the next call.

        Raises:
            TimeoutError: The time is over, as in `remaining`.
            grpc.RpcError: The error itself, when another call would not help; when it is the fourth call in a row that
                was cancelled at once; or, of a wait without a limit, when the sidecar has been out of reach for 30 s.
        """
        status = status_of(error)
        lasted = self._clock() - self._called_at >= _LONGEST_DELAY
        self._cancellations = 0 if lasted or status is not grpc.StatusCode.CANCELLED else self._cancellations + 1
        if status is not grpc.StatusCode.DEADLINE_EXCEEDED:
            self._in_the_way = error
        elif lasted:  # a shorter call may not have had a connection: what was in the way may still be
            self._in_the_way = None
        # A deadline is ours, or lies in between (a proxy's, an interceptor's) and ends the call but not the wait.
        if status is grpc.StatusCode.DEADLINE_EXCEEDED or is_missing_instance(error):
            self._cut_off_since = None
        elif is_transient(error) and self._cancellations <= _MOST_CANCELLATIONS:
            self._check_patience(error)
        else:
            if status is grpc.StatusCode.CANCELLED:
                self._left()  # the sidecar's way to end a call whose time is over: that is a timeout
            raise error
        if lasted:
            self._delay = _FIRST_DELAY  # the call itself was wait enough
        delay, self._delay = self._delay, min(self._delay * 2, _LONGEST_DELAY)
        left = self._left()
        return delay if left is None else min(delay, left)

    def _left(self) -> float | None:
        if self._deadline is None:
            return None
        left = self._deadline - self._clock()
        if left <= 0:
            raise self._timed_out() from self._in_the_way
        return left

    def _check_patience(self, error: grpc.RpcError) -> None:
        now = self._clock()
        # A call that lasted longer than it takes to find no sidecar was with one: what cut it off is new.
        if self._cut_off_since is None or now - self._called_at >= _PATIENCE:
            self._cut_off_since = now
            self._logger.warning(
                "Waiting for orchestration '%s' to %s: the sidecar cannot be asked (%s); trying again.",
                self._operation.instance_id,
                self._operation.awaited,
                describe(error),
            )
        elif self._deadline is None and now - self._cut_off_since >= _PATIENCE:
            raise error

    def _timed_out(self) -> TimeoutError:
        operation = self._operation
        in_the_way = self._in_the_way
        return TimeoutError(
            f'Timed-out waiting for the orchestration to {operation.awaited}: '
            f"'{operation.instance_id}' did not within {operation.timeout:g} s."
            + ('' if in_the_way is None else f' The calls failed: {describe(in_the_way)}')
        )
