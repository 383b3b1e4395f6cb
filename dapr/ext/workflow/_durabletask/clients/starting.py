"""How a client starts an instance, so that it is started once, whatever comes in between.

StartInstance ends when the first turn has run. With no worker connected, sidecars keep the call waiting (the Go one,
the emulator) or refuse it (daprd); in its first seconds, and right after one worker has gone and another has come,
daprd 1.18 was seen to leave it without an answer for minutes. So the call is made for a few seconds at a time, and then
it is looked up what has become of it:

- The instance is there and ours: it is not sent again. What is left is to wait until it has started.
- There is none of that id: the call is made again, now with enforceUniqueInstanceId, which refuses it if the first one
  arrives late and its run ends in that moment. Without it the second call would start a second run.
- The id belongs to a run that is over (ids may be used again): the call is made again as it was. While the first one's
  run is under way the sidecar answers ALREADY_EXISTS, and it is looked up again.

An instance is ours when its id was made up for this call; else when it has our name and input and was created since
the call began, by clocks that may differ by two seconds. ALREADY_EXISTS to the first call is the caller's to know.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Final

import grpc

from dapr.ext.workflow._durabletask.clients import requests
from dapr.ext.workflow._durabletask.clients.conversation import Conversation, Limits, Pause, Send, Trying
from dapr.ext.workflow._durabletask.clients.explaining import explain, look
from dapr.ext.workflow._durabletask.clients.requests import StartOperation
from dapr.ext.workflow._durabletask.clients.state import OrchestrationStatus, WorkflowState
from dapr.ext.workflow._durabletask.metadata import metadata_of, payload_of
from dapr.ext.workflow._durabletask.transport.errors import WorkflowTimeoutError, status_of
from dapr.ext.workflow._durabletask.transport.obstacles import Obstacle, obstacle_of

# How long a sidecar may take over a call before it is looked up what has become of it.
_ATTEMPT_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 5.0
_CLOCKS_DIFFER: Final = timedelta(seconds=2)
_EPOCH: Final = datetime(1970, 1, 1)
_UNANSWERED: Final = (
    'It has created no such instance: no worker of the app is connected (start its WorkflowRuntime), or one has just '
    'come or gone.'
)


def start(
    operation: StartOperation,
    limits: Limits,
    timeout: float | None,
    logger: logging.Logger,
    clock: Callable[[], float] = time.monotonic,
) -> Conversation[str]:
    """Starts an instance, and waits until its first turn has run, unless it is scheduled for later.

    Args:
        operation: What to start.
        limits: Those of the client.
        timeout: For how many seconds at most; None: the client's `call_timeout`.
        logger: Is told once, after some seconds, what is in the way.
        clock: Seconds, from anywhere.

    Returns:
        The instance id.

    Raises:
        WorkflowTimeoutError: The time is over.
        grpc.RpcError: The sidecar refuses, or cannot take the call for longer than `retry_timeout`.
    """
    return (yield from _Starting(operation, limits, timeout, logger, clock).run())


class _Starting:
    def __init__(
        self,
        operation: StartOperation,
        limits: Limits,
        timeout: float | None,
        logger: logging.Logger,
        clock: Callable[[], float],
    ) -> None:
        self._operation = operation
        self._request = operation.request
        self._logger = logger
        self._timeout = limits.call_timeout if timeout is None else timeout
        what = f"Scheduling workflow '{self._request.name}' as '{operation.instance_id}'"
        self._what = what
        # A limit of the caller's own is for all of it, what is in the way included.
        patience = limits.retry_timeout if timeout is None or limits.retry_timeout == 0 else timeout
        self._patience = patience
        self._clock = clock
        self._trying = Trying(what, Limits(self._timeout, patience), logger, clock)
        self._began = datetime.now(timezone.utc).replace(tzinfo=None)
        self._is_uncertain = False
        self._is_told = False
        self._unanswered_since: float | None = None

    def run(self) -> Conversation[str]:
        while True:
            try:
                answer = yield Send(self._operation.method, self._request, self._attempt_seconds())
                return self._operation.read(answer)
            except grpc.RpcError as error:
                delay, failed = self._delay_after(error), error
            if delay:
                yield Pause(delay)
            if self._is_uncertain:
                found = yield from self._look()
                if found is None:
                    # There was none of that id: what comes to be of it from now on is refused a second run.
                    self._request.enforceUniqueInstanceId = True
                elif self._is_ours(found):
                    return (yield from self._wait(found))
                elif status_of(failed) is grpc.StatusCode.ALREADY_EXISTS:
                    raise failed
            yield from self._check_time(failed)

    def _delay_after(self, error: grpc.RpcError) -> float:
        status = status_of(error)
        if status is grpc.StatusCode.DEADLINE_EXCEEDED:
            self._is_uncertain = True
            return 0.0
        if status is grpc.StatusCode.ALREADY_EXISTS and self._is_uncertain:
            return 0.1
        obstacle = obstacle_of(error)
        if obstacle is Obstacle.LOST:
            self._is_uncertain = True
        elif obstacle is None or not obstacle.is_harmless:
            raise error
        delay = self._trying.delay_after(error)
        if delay is None:
            raise error
        return delay

    def _look(self) -> Conversation[WorkflowState | None]:
        """The instance that has the id now; None: there is none."""
        operation = requests.get_state(self._operation.instance_id, True, self._operation.app_id)
        while True:
            try:
                answer = yield Send(operation.method, operation.request, self._limited(_LOOK_SECONDS))
                return operation.read(answer)
            except grpc.RpcError as error:
                if requests.is_missing_instance(error):
                    return None
                timed_out = status_of(error) is grpc.StatusCode.DEADLINE_EXCEEDED
                if not timed_out and obstacle_of(error) is None:
                    raise
                yield from self._check_time(error)
                delay = self._trying.delay_after(error)
                if delay is None:
                    raise
                yield Pause(delay)

    def _is_ours(self, state: WorkflowState) -> bool:
        operation, request = self._operation, self._request
        if operation.has_new_id:
            return True
        sent = request.input.value
        if (state.serialized_input or '', state.metadata) != (payload_of(sent) or '', metadata_of(sent)):
            return False
        if state.name not in ('', request.name):
            return False
        # One that is scheduled for later has no date yet.
        return state.created_at in (_EPOCH, datetime.min) or state.created_at >= self._began - _CLOCKS_DIFFER

    def _wait(self, state: WorkflowState) -> Conversation[str]:
        """Waits until our instance has started, which cannot be lost any more."""
        operation = requests.wait_for_start(self._operation.instance_id, False, None, self._operation.app_id)
        is_later = self._request.HasField('scheduledStartTimestamp')
        while state.runtime_status is OrchestrationStatus.PENDING and not is_later:
            yield from self._tell()
            try:
                yield Send(operation.method, operation.request, self._attempt_seconds())
                break
            except grpc.RpcError as error:
                timed_out = status_of(error) is grpc.StatusCode.DEADLINE_EXCEEDED
                if not timed_out and obstacle_of(error) is None and not requests.is_missing_instance(error):
                    raise
                yield Pause(0.0 if timed_out else 1.0)
            if self._is_over:
                raise (yield from self._timed_out())
        return self._operation.instance_id

    def _attempt_seconds(self) -> float:
        return self._limited(_ATTEMPT_SECONDS)

    def _limited(self, seconds: float) -> float:
        left = self._trying.remaining()
        return seconds if left is None else min(seconds, left)

    @property
    def _is_over(self) -> bool:
        left = self._trying.remaining()
        return left is not None and left <= 0

    def _check_time(self, failed: grpc.RpcError) -> Conversation[None]:
        """Ends it when the time is over, or the sidecar has left call after call without an answer."""
        if self._is_over:
            raise (yield from self._timed_out()) from failed
        if status_of(failed) is not grpc.StatusCode.DEADLINE_EXCEEDED:
            return
        now = self._clock()
        if self._unanswered_since is None:
            self._unanswered_since = now - _ATTEMPT_SECONDS
        if now - self._unanswered_since >= self._patience:
            seconds = now - self._unanswered_since
            raise WorkflowTimeoutError(
                f'{self._what}: the sidecar has not answered within {seconds:.3g} s. {_UNANSWERED}',
                grpc.StatusCode.DEADLINE_EXCEEDED,
            ) from failed
        self._tell_once(_UNANSWERED)

    def _timed_out(self) -> Conversation[WorkflowTimeoutError]:
        operation = self._operation
        state = None
        with suppress(grpc.RpcError):
            state = yield from look(operation.instance_id, operation.app_id)
        is_ours = state is not None and self._is_uncertain
        why = (yield from explain(operation.instance_id, operation.app_id)) if is_ours else _UNANSWERED
        return WorkflowTimeoutError(
            f"Timed-out scheduling workflow '{self._request.name}': '{operation.instance_id}' has not started within "
            f'{self._timeout:g} s. {why}'.rstrip(),
            grpc.StatusCode.DEADLINE_EXCEEDED,
        )

    def _tell(self) -> Conversation[None]:
        if not self._is_told:
            self._tell_once((yield from explain(self._operation.instance_id, self._operation.app_id)))

    def _tell_once(self, why: str) -> None:
        if not self._is_told:
            self._is_told = True
            self._logger.warning('%s takes long. %s', self._what, why)
