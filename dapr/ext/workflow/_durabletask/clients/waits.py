"""How a wait for an orchestration outlives what gets in its way, and how it ends.

A wait without a limit ends by itself only where the sidecar has been out of reach for half a minute; while no worker is
connected it goes on, as it does with sidecars that keep such a call waiting.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

import grpc

from dapr.ext.workflow._durabletask.clients.conversation import Conversation, Pause, Send
from dapr.ext.workflow._durabletask.clients.explaining import explain, look, stalled_error
from dapr.ext.workflow._durabletask.clients.requests import WaitOperation, is_missing_instance
from dapr.ext.workflow._durabletask.clients.state import OrchestrationStatus, WorkflowState
from dapr.ext.workflow._durabletask.internal.arguments import check_flag
from dapr.ext.workflow._durabletask.transport.errors import (
    WorkflowStalledError,
    WorkflowTimeoutError,
    describe,
    status_of,
)
from dapr.ext.workflow._durabletask.transport.obstacles import Obstacle, obstacle_of

_FIRST_DELAY: Final = 0.05
_LONGEST_DELAY: Final = 1.0
_PATIENCE: Final = 30.0
# How often in a row a call may come back cancelled at once: a sidecar that stops cancels the calls that are in flight,
# and then cannot be reached; when it goes on, it is the wait that somebody (an interceptor, a proxy) cancels.
_MOST_CANCELLATIONS: Final = 3
# How often a wait that is to end with a stalled instance looks for that: sidecars tell nobody who waits.
_STALL_SECONDS: Final = 1.0

# What passes: no connection, a sidecar that is not ready for workflows yet, one that stops.
_TRANSIENT: Final = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.CANCELLED}
)


def is_transient(error: grpc.RpcError) -> bool:
    """Whether the call may do better when it is made again, a little later."""
    return status_of(error) in _TRANSIENT


def wait(
    operation: WaitOperation, raise_on_stalled: bool, logger: logging.Logger
) -> Conversation[WorkflowState | None]:
    """Waits for an instance.

    Raises:
        WorkflowTimeoutError: The time is over. It says how the instance stands, as far as that can be found out.
        WorkflowStalledError: The instance is stalled, and that is to be raised.
        TypeError: `raise_on_stalled` is no bool.
        grpc.RpcError: See `Waiting.delay_after`.
    """
    check_flag('raise_on_stalled', raise_on_stalled)
    waiting = Waiting(operation, logger)
    try:
        while True:
            timeout = waiting.remaining()
            try:
                if raise_on_stalled:
                    state = yield from look(operation.instance_id, operation.app_id)
                    if state is not None and state.runtime_status is OrchestrationStatus.STALLED:
                        raise (yield from stalled_error(operation.instance_id))
                    timeout = _STALL_SECONDS if timeout is None else min(timeout, _STALL_SECONDS)
                return operation.read((yield Send(operation.method, operation.request, timeout)))
            except WorkflowStalledError:
                raise
            except grpc.RpcError as error:
                delay = waiting.delay_after(error)
            yield Pause(delay)
    except WorkflowTimeoutError as over:
        # Who cannot be asked need not be; and no time at all is not for asking.
        if waiting.is_cut_off or (operation.timeout or 0.0) <= 0:
            raise
        why = yield from explain(operation.instance_id, operation.app_id)
        raise WorkflowTimeoutError(f'{over} {why}'.rstrip(), grpc.StatusCode.DEADLINE_EXCEEDED) from over.__cause__


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
        self._has_no_worker = False

    @property
    def is_cut_off(self) -> bool:
        """Whether the last calls failed for want of a sidecar, or of workflows in it."""
        return self._cut_off_since is not None or self._has_no_worker

    def remaining(self) -> float | None:
        """The seconds that are left for the call that is made now, or None for no limit.

        Raises:
            WorkflowTimeoutError: None are left. It says what was in the way, if anything was, and has it for its cause.
        """
        self._called_at = self._clock()
        left = self._left()
        # The first call has the very time that was asked for, not what is left of it after a microsecond.
        is_first, self._is_first_call = self._is_first_call, False
        return self._operation.timeout if is_first else left

    def delay_after(self, error: grpc.RpcError) -> float:
        """The seconds to wait before the next call.

        Raises:
            WorkflowTimeoutError: The time is over, as in `remaining`.
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
        had_no_worker, self._has_no_worker = self._has_no_worker, False
        obstacle = obstacle_of(error)
        if (
            status is grpc.StatusCode.DEADLINE_EXCEEDED
            or is_missing_instance(error)
            or obstacle is Obstacle.BEING_SAVED
        ):
            self._cut_off_since = None
        elif obstacle in (Obstacle.NO_WORKER, Obstacle.BEING_PLACED):
            self._cut_off_since, self._has_no_worker = None, True
            if not had_no_worker:
                self._tell(error)
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
            self._tell(error)
        elif self._deadline is None and now - self._cut_off_since >= _PATIENCE:
            raise error

    def _tell(self, error: grpc.RpcError) -> None:
        self._logger.warning(
            "Waiting for workflow '%s' to %s: the sidecar cannot be asked (%s); trying again.",
            self._operation.instance_id,
            self._operation.awaited,
            describe(error),
        )

    def _timed_out(self) -> WorkflowTimeoutError:
        operation = self._operation
        in_the_way = self._in_the_way
        return WorkflowTimeoutError(
            f'Timed-out waiting for the orchestration to {operation.awaited}: '
            f"'{operation.instance_id}' did not within {operation.timeout:g} s."
            + ('' if in_the_way is None else f' The calls failed: {describe(in_the_way)}'),
            grpc.StatusCode.DEADLINE_EXCEEDED,
        )
