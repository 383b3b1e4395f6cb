"""What a client sends, and what it does about errors, without the sending and waiting: both clients share it.

A conversation is a generator. It yields a `Send`, and gets the answer or has the call's error raised where it stands;
it yields a `Pause`; what it returns is what the client's method returns. The two clients differ in how they carry out
these two steps, and in nothing else.

A plain call (`carry_out`) is made again, within its deadline and for `retry_timeout` seconds at most, when what was in
the way passes (`transport.obstacles`):

- No connection, no worker, no place for the app's actors: the call had no effect, so any call is made again.
- The connection was lost, or the sidecar went away, on the way: the call may have had its effect. What only reads
  (GetInstance, GetInstanceHistory, ListInstanceIDs, Hello) is made again, and so are waits. RaiseEvent is not: an event
  would come twice. Nor are SuspendInstance and ResumeInstance (they would undo what somebody has said in between),
  PurgeInstances and TerminateInstance (the id may be in use again, by another run), and RerunWorkflowFromEvent (a
  second run).
- StartInstance has a conversation of its own, `clients.starting`, which finds out what has become of it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

import grpc
from google.protobuf.message import Message

from dapr.ext.workflow._durabletask.clients.requests import Operation, hello
from dapr.ext.workflow._durabletask.internal.arguments import seconds, wrong_type
from dapr.ext.workflow._durabletask.transport.errors import SidecarUnavailableError, describe
from dapr.ext.workflow._durabletask.transport.obstacles import Obstacle, obstacle_of

RETRY_TIMEOUT: Final = 10.0
"""For how many seconds calls are made again that the sidecar cannot take yet, unless a client is told otherwise."""
_FIRST_DELAY: Final = 0.05
_LONGEST_DELAY: Final = 1.0
# What passes within this is not told.
_TOLD_AFTER: Final = 1.0
_HELLO_SECONDS: Final = 5.0

T = TypeVar('T')


@dataclass(frozen=True, slots=True)
class Send:
    """Make a call.

    Attributes:
        method: The method of `TaskHubSidecarService`.
        request: Its request.
        timeout: Its deadline in seconds; None: none.
    """

    method: str
    request: Message
    timeout: float | None


@dataclass(frozen=True, slots=True)
class Pause:
    """Let time pass, unless the client is closed meanwhile.

    Attributes:
        seconds: How many.
    """

    seconds: float


Conversation: TypeAlias = 'Generator[Send | Pause, Any, T]'


@dataclass(frozen=True, slots=True)
class Limits:
    """How long the calls of a client may take, in seconds.

    Attributes:
        call_timeout: The deadline of a call, with all that is made again; None: none.
        retry_timeout: For how long a call is made again that the sidecar cannot take yet. 0: it is not.
    """

    call_timeout: float | None = None
    retry_timeout: float = RETRY_TIMEOUT


class Trying:
    """What to do about the obstacles of one call: make it again, and when, or give it up.

    Args:
        what: What is being done, for the log: a sentence's beginning.
        limits: How long it may take.
        logger: Is told once, after a second, what is in the way.
        clock: Seconds, from anywhere.
    """

    def __init__(
        self, what: str, limits: Limits, logger: logging.Logger, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._what = what
        self._limits = limits
        self._logger = logger
        self._clock = clock
        self._deadline = None if limits.call_timeout is None else clock() + limits.call_timeout
        self._delay = _FIRST_DELAY
        self._since: float | None = None
        self._is_told = False

    def remaining(self) -> float | None:
        """The seconds that are left for the call; None: no limit."""
        return None if self._deadline is None else max(self._deadline - self._clock(), 0.0)

    def delay_after(self, error: grpc.RpcError) -> float | None:
        """The seconds to wait before the call is made again; None: it is given up."""
        now = self._clock()
        if self._since is None:
            self._since, self._delay = now, _FIRST_DELAY
        give_up = self._since + self._limits.retry_timeout
        if self._deadline is not None:
            give_up = min(give_up, self._deadline)
        if now + self._delay >= give_up:
            return None
        if now - self._since >= _TOLD_AFTER and not self._is_told:
            self._is_told = True
            self._logger.warning(
                '%s: %s Trying again, for %.3g s in all.', self._what, describe(error), give_up - self._since
            )
        delay, self._delay = self._delay, min(self._delay * 2, _LONGEST_DELAY)
        return delay


def carry_out(operation: Operation[T], limits: Limits, logger: logging.Logger) -> Conversation[T]:
    """Makes a call, and makes it again while that is harmless and may help.

    Raises:
        grpc.RpcError: What the call ended with.
    """
    trying = Trying(f'{operation.method} is not taken yet', limits, logger)
    timeout = limits.call_timeout
    while True:
        try:
            answer = yield Send(operation.method, operation.request, timeout)
        except grpc.RpcError as error:
            delay = trying.delay_after(error) if _may_repeat(error, operation) else None
            if delay is None:
                return operation.read_error(error)
        else:
            return operation.read(answer)
        yield Pause(delay)
        timeout = trying.remaining()


def wait_for_sidecar(timeout: float, logger: logging.Logger) -> Conversation[None]:
    """Waits until the sidecar answers.

    Raises:
        SidecarUnavailableError: It has not within the time.
        grpc.RpcError: It answers, and refuses.
        TypeError: The time is no number of seconds.
    """
    if timeout is None:
        raise wrong_type('timeout', timeout, 'a number of seconds')
    seconds('timeout', timeout)
    trying = Trying('Waiting for the sidecar', Limits(timeout, timeout), logger)
    operation = hello()
    while True:
        left = trying.remaining() or 0.0
        try:
            yield Send(operation.method, operation.request, min(left, _HELLO_SECONDS))
        except grpc.RpcError as error:
            obstacle = obstacle_of(error)
            timed_out = error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            if not timed_out and obstacle not in (Obstacle.NO_CONNECTION, Obstacle.LOST):
                raise
            delay = trying.delay_after(error)
            if delay is None:
                raise SidecarUnavailableError(
                    f'The sidecar has not answered within {timeout:g} s. {describe(error)}',
                    grpc.StatusCode.UNAVAILABLE,
                ) from error
        else:
            return
        yield Pause(delay)


def _may_repeat(error: grpc.RpcError, operation: Operation[Any]) -> bool:
    obstacle = obstacle_of(error)
    return obstacle is not None and (obstacle.is_harmless or (obstacle is Obstacle.LOST and operation.only_reads))
