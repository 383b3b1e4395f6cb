"""The client for blocking code: starts, watches and steers orchestrations."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from threading import Condition, Event
from types import TracebackType
from typing import Any, Final, TypeVar

import grpc

from dapr.ext.workflow._durabletask.clients import requests as requests
from dapr.ext.workflow._durabletask.clients.conversation import (
    RETRY_TIMEOUT,
    Conversation,
    Limits,
    Pause,
    Send,
    carry_out,
    wait_for_sidecar,
)
from dapr.ext.workflow._durabletask.clients.requests import Operation, checked_seconds, new_task_router
from dapr.ext.workflow._durabletask.clients.starting import start
from dapr.ext.workflow._durabletask.clients.state import (
    OrchestrationFailedError,
    OrchestrationIdReuseAction,
    OrchestrationStatus,
    WorkflowIdReusePolicy,
    WorkflowState,
    new_orchestration_state,
)
from dapr.ext.workflow._durabletask.clients.waits import wait
from dapr.ext.workflow._durabletask.contexts import Orchestrator, get_name
from dapr.ext.workflow._durabletask.internal import orchestrator_service_pb2_grpc as stubs
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.internal import shared
from dapr.ext.workflow._durabletask.internal.grpc_interceptor import DefaultClientInterceptorImpl
from dapr.ext.workflow._durabletask.internal.homes import claim
from dapr.ext.workflow._durabletask.internal.lending import lent_while_waiting
from dapr.ext.workflow._durabletask.internal.payloads import PLAIN, Payloads
from dapr.ext.workflow._durabletask.transport.advice import advise
from dapr.ext.workflow._durabletask.transport.call_metadata import with_call_metadata
from dapr.ext.workflow._durabletask.transport.gevent_hint import tell_of_gevent
from dapr.ext.workflow._durabletask.transport.settings import outgoing_metadata

__all__ = [
    'OrchestrationFailedError',
    'OrchestrationIdReuseAction',
    'OrchestrationStatus',
    'TaskHubGrpcClient',
    'WorkflowIdReusePolicy',
    'WorkflowState',
    'new_orchestration_state',
    'new_task_router',
]

claim(
    __name__,
    OrchestrationFailedError,
    OrchestrationIdReuseAction,
    OrchestrationStatus,
    WorkflowIdReusePolicy,
    WorkflowState,
)

# How long `close` lets calls that are in flight end by themselves before it cancels them.
_CLOSE_GRACE_SECONDS: Final = 0.5

T = TypeVar('T')


class TaskHubGrpcClient:
    """A client of a sidecar's orchestrations. Threads can share one.

    Every call raises `grpc.RpcError` when the sidecar refuses it or cannot be reached (where the cause is known, its
    text says what to do), ValueError when an id or a name is empty or the client is closed, and TypeError when a
    payload cannot be encoded as JSON. `app_id`, where a call takes it, is the app that owns the instance; None is the
    sidecar's own.

    Args:
        host_address: The sidecar's address (`host:port`, or any form of `settings.parse_endpoint`). None (default): by
            the environment, else localhost:4001.
        metadata: Key and value pairs that go with every call, beside `DAPR_API_TOKEN`, which they beat. Default: none.
        log_handler: Where log records go. Default: see `internal.logging.get_logger`.
        log_formatter: Their format. Default: time, logger, level and message.
        secure_channel: Whether to use TLS even where the address does not say so. Default: False.
        interceptors: gRPC interceptors that calls go through, the first one first. Default: none.
        channel_options: gRPC channel options; they beat those of the environment key by key. Default: none.
        channel: A channel to use instead of making one; it stays open when the client is closed, and all of the above
            but the logging is the channel's own affair. Default: None.
        call_timeout: The deadline of each call but the waits, which have their own, in seconds. None (default): none.
        payloads: How values become payloads. Default: as plain JSON.
        retry_timeout: For how many seconds a call is made again that the sidecar cannot take yet: there is no
            connection, no worker of the app is connected, or its actors are being placed. Calls that may have had an
            effect are not repeated, but for StartInstance, which is looked up first. Default: 10. 0: they fail at once.

    Raises:
        ValueError: The address, or a variable of the environment, cannot be read; the message says which.
    """

    def __init__(
        self,
        *,
        host_address: str | None = None,
        metadata: list[tuple[str, str]] | None = None,
        log_handler: logging.Handler | None = None,
        log_formatter: logging.Formatter | None = None,
        secure_channel: bool = False,
        interceptors: Sequence[shared.ClientInterceptor] | None = None,
        channel_options: Sequence[tuple[str, Any]] | None = None,
        channel: grpc.Channel | None = None,
        call_timeout: float | None = None,
        payloads: Payloads = PLAIN,
        retry_timeout: float = RETRY_TIMEOUT,
    ) -> None:
        self._payloads = payloads
        self._logger = shared.get_logger('client', log_handler, log_formatter)
        self._limits = Limits(
            checked_seconds(call_timeout, 'call_timeout'), checked_seconds(retry_timeout, 'retry_timeout') or 0.0
        )
        self._owns_channel = channel is None
        self._host_address = None
        if channel is None:
            self._host_address = host_address or shared.get_default_host_address()
            chain = list(interceptors or ())
            outgoing = outgoing_metadata(metadata)
            if outgoing:
                chain.append(DefaultClientInterceptorImpl(outgoing))
            tell_of_gevent(self._logger)
            # Looked up on its module each time: packages replace it to make channels of their own.
            channel = shared.get_grpc_channel(
                host_address=self._host_address,
                secure_channel=secure_channel,
                interceptors=chain or None,
                options=channel_options,
            )
        self._channel = channel
        self._stub = stubs.TaskHubSidecarServiceStub(channel)
        self._in_flight = 0
        self._ended = Condition()
        self._closed = Event()

    @property
    def address(self) -> str | None:
        """The sidecar's address, as host:port; None for a client that was given a channel."""
        return self._host_address

    def __enter__(self) -> TaskHubGrpcClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the client, and its channel unless it was given one. Closing again does nothing.

        Calls of other threads that do not end within half a second are cancelled with the channel, and raise as later
        calls do.
        """
        with self._ended:
            if self._closed.is_set():
                return
            self._closed.set()
            # A call that begins on a closed channel can crash the process: those let through get on their way first.
            self._ended.wait_for(lambda: self._in_flight == 0, _CLOSE_GRACE_SECONDS)
        if self._owns_channel:
            try:
                self._channel.close()
            except Exception:  # as dapr 1.19.0: whoever closes is through with it, and may have an error of its own
                self._logger.debug('The channel could not be closed.', exc_info=True)

    def wait_for_sidecar(self, timeout: float = 60) -> None:
        """Waits until the sidecar answers: a connection is there. Workflows need a worker as well.

        Args:
            timeout: For how many seconds at most. Default: 60.

        Raises:
            SidecarUnavailableError: It has not answered within the time.
            grpc.RpcError: It refuses, as with a wrong API token.
        """
        self._hold(wait_for_sidecar(timeout, self._logger))

    def schedule_new_orchestration(
        self,
        orchestrator: Orchestrator[Any, Any] | str,
        *,
        input: Any | None = None,
        instance_id: str | None = None,
        start_at: datetime | None = None,
        reuse_id_policy: WorkflowIdReusePolicy | None = None,
        app_id: str | None = None,
        enforce_unique_instance_id: bool = False,
        timeout: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        """Starts an orchestration. Returns when its first turn has run, or at once when it is scheduled for later.

        Args:
            orchestrator: The orchestrator function, or the name that it is registered by.
            input: Its input; None (default): none.
            instance_id: The instance id. None (default): a new one.
            start_at: When it starts (without a time zone: UTC). None (default): now.
            reuse_id_policy: Without effect, since the wire has no place for it; a warning is logged.
            app_id: The app that is to run it.
            enforce_unique_instance_id: Whether the id of an instance that has ended is refused, too. Default: False, it
                is replaced.
            timeout: For how many seconds at most. None (default): the client's `call_timeout`. What has been created by
                then stays, and starts when a worker takes it.
            metadata: What goes with the input, as headers do; the orchestration finds it in its `execution_info`. None
                (default): nothing.

        Returns:
            The instance id.

        Raises:
            ValueError: The orchestrator has no name, or the instance id is empty.
            WorkflowAlreadyExistsError: An instance of that id is running.
            WorkflowTimeoutError: The time is over.
        """
        name = orchestrator if isinstance(orchestrator, str) else get_name(orchestrator)
        if reuse_id_policy is not None:
            requests.warn_of_reuse_policy(self._logger)
        operation = requests.schedule(
            name, input, instance_id, start_at, enforce_unique_instance_id, app_id, self._payloads, metadata
        )
        return self._hold(start(operation, self._limits, checked_seconds(timeout), self._logger))

    def get_orchestration_state(
        self, instance_id: str, *, fetch_payloads: bool = True, app_id: str | None = None
    ) -> WorkflowState | None:
        """The state of an instance.

        Args:
            instance_id: The instance id.
            fetch_payloads: Whether input, output and custom status are fetched, too. Default: True.
            app_id: The app that owns the instance.

        Returns:
            The state, or None when there is no such instance.
        """
        return self._call(requests.get_state(instance_id, fetch_payloads, app_id))

    def wait_for_orchestration_start(
        self,
        instance_id: str,
        *,
        fetch_payloads: bool = False,
        timeout: float | None = 0,
        app_id: str | None = None,
        raise_on_stalled: bool = False,
    ) -> WorkflowState | None:
        """Waits until an instance has started; also for one that is not there yet.

        What is transient is waited out: a sidecar that is out of reach, starting or stopping.

        Args:
            instance_id: The instance id.
            fetch_payloads: Whether input, output and custom status are fetched, too. Default: False.
            timeout: For how many seconds to wait. 0 (default) or None: without a limit.
            app_id: The app that owns the instance.
            raise_on_stalled: Whether a stalled instance ends the wait; it is looked for every second. Default: False,
                it may go on when another worker connects.

        Returns:
            The state; None when the sidecar says that there is no such instance.

        Raises:
            WorkflowTimeoutError: The time is over; a TimeoutError, too. It says how the instance stands.
            WorkflowStalledError: It is stalled, and `raise_on_stalled` says so.
            grpc.RpcError: The sidecar refuses; or, without a limit, it has been out of reach for 30 s.
        """
        operation = requests.wait_for_start(instance_id, fetch_payloads, timeout, app_id)
        with lent_while_waiting():
            return self._hold(wait(operation, raise_on_stalled, self._logger))

    def wait_for_orchestration_completion(
        self,
        instance_id: str,
        *,
        fetch_payloads: bool = True,
        timeout: float | None = 0,
        app_id: str | None = None,
        raise_on_stalled: bool = False,
    ) -> WorkflowState | None:
        """Waits until an instance has ended, in whatever way; else as `wait_for_orchestration_start`.

        Args:
            instance_id: The instance id.
            fetch_payloads: Whether input, output and custom status are fetched, too. Default: True.
            timeout: For how many seconds to wait. 0 (default) or None: without a limit.
            app_id: The app that owns the instance.
            raise_on_stalled: Whether a stalled instance ends the wait; it is looked for every second. Default: False,
                it may go on when another worker connects.

        Returns:
            The state; None when the sidecar says that there is no such instance.

        Raises:
            WorkflowTimeoutError: The time is over; a TimeoutError, too. It says how the instance stands.
            WorkflowStalledError: It is stalled, and `raise_on_stalled` says so.
            grpc.RpcError: The sidecar refuses; or, without a limit, it has been out of reach for 30 s.
        """
        operation = requests.wait_for_completion(instance_id, fetch_payloads, timeout, app_id)
        with lent_while_waiting():
            return self._hold(wait(operation, raise_on_stalled, self._logger))

    def raise_orchestration_event(
        self, instance_id: str, event_name: str, *, data: Any | None = None, app_id: str | None = None
    ) -> None:
        """Sends an event to an instance; without effect when it has ended.

        Args:
            instance_id: The instance id.
            event_name: The event's name; orchestrators wait for it without regard to upper and lower case.
            data: Its payload; None (default): none.
            app_id: The app that owns the instance.
        """
        self._call(requests.raise_event(instance_id, event_name, data, app_id, self._payloads))

    def terminate_orchestration(
        self, instance_id: str, *, output: Any | None = None, recursive: bool = True, app_id: str | None = None
    ) -> None:
        """Ends an instance from outside; without effect when it has ended.

        Args:
            instance_id: The instance id.
            output: Its output; None (default): none.
            recursive: Whether its children are ended, too. Default: True.
            app_id: The app that owns the instance.
        """
        self._call(requests.terminate(instance_id, output, recursive, app_id, self._payloads))

    def suspend_orchestration(self, instance_id: str, *, app_id: str | None = None) -> None:
        """Lets an instance stand still until it is resumed; without effect when it has ended."""
        self._call(requests.suspend(instance_id, app_id))

    def resume_orchestration(self, instance_id: str, *, app_id: str | None = None) -> None:
        """Lets a suspended instance go on; without effect when it has ended."""
        self._call(requests.resume(instance_id, app_id))

    def purge_orchestration(
        self, instance_id: str, recursive: bool = True, *, app_id: str | None = None, force: bool = False
    ) -> int:
        """Removes an instance that has ended, with its history.

        Args:
            instance_id: The instance id.
            recursive: Whether its children go, too. Default: True.
            app_id: The app that owns the instance.
            force: Whether it goes even when it has not ended. Default: False.

        Returns:
            How many instances are gone.
        """
        return self._call(requests.purge(instance_id, recursive, force, app_id))

    def list_instance_ids(
        self, *, page_size: int | None = None, continuation_token: str | None = None
    ) -> pb.ListInstanceIDsResponse:
        """A page of the ids of all instances.

        Args:
            page_size: How many to give at most, from 1. None (default): as many as the sidecar chooses.
            continuation_token: That of the page before; None (default): the first page.

        Returns:
            The page: `instanceIds`, and `continuationToken` unless it is the last one.

        Raises:
            ValueError: The page size is out of range.
        """
        return self._call(requests.list_ids(page_size, continuation_token))

    def get_instance_history(self, instance_id: str) -> list[pb.HistoryEvent]:
        """The history of an instance, oldest event first."""
        return self._call(requests.get_history(instance_id))

    def rerun_orchestration_from_event(
        self,
        instance_id: str,
        event_id: int,
        *,
        new_instance_id: str | None = None,
        input: Any | None = None,
        overwrite_input: bool = False,
        new_child_instance_id: str | None = None,
        app_id: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        """Runs an instance that has ended again, as a new one, from one of its events on.

        Args:
            instance_id: The instance id.
            event_id: The id of the event (`HistoryEvent.eventId`) to run again.
            new_instance_id: The id of the new instance. None (default): one that the sidecar makes up.
            input: The event's new input, when `overwrite_input` says so.
            overwrite_input: Whether the event gets the new input, be it None. Default: False, the old one stays.
            new_child_instance_id: The new id of the child, when the event created one. None (default): a made-up one.
            app_id: The app that owns the instance.
            metadata: What goes with the new input, as headers do. None (default): nothing; what the old input had is
                gone with it.

        Returns:
            The new instance's id.

        Raises:
            ValueError: The event id is out of range, or metadata is given and no new input.
            grpc.RpcError: With NOT_FOUND when there is no such instance or event, or it cannot be run again; with
                INVALID_ARGUMENT when the instance has not ended; with ALREADY_EXISTS when the new id is taken.
        """
        return self._call(
            requests.rerun(
                instance_id,
                event_id,
                new_instance_id,
                input,
                overwrite_input,
                new_child_instance_id,
                app_id,
                self._payloads,
                metadata,
            )
        )

    def _call(self, operation: Operation[T]) -> T:
        return self._hold(carry_out(operation, self._limits, self._logger))

    def _hold(self, conversation: Conversation[T]) -> T:
        reply: Callable[[], Send | Pause] = partial(next, conversation)
        while True:
            try:
                step = reply()
            except StopIteration as end:
                result: T = end.value
                return result
            if isinstance(step, Pause):
                self._closed.wait(step.seconds)
                reply = partial(next, conversation)
                continue
            try:
                reply = partial(conversation.send, self._send(step))
            except grpc.RpcError as error:
                reply = partial(conversation.throw, error)

    def _send(self, call: Send) -> Any:
        with self._on_its_way(call):
            method = getattr(self._stub, call.method)
            limit = {} if call.timeout is None else {'timeout': call.timeout}
            return method(call.request, **with_call_metadata(limit))

    @contextmanager
    def _on_its_way(self, call: Send) -> Iterator[None]:
        """Counts a call while it is in flight, so that the channel is not closed below it."""
        with self._ended:
            self._check_open()
            self._in_flight += 1
        try:
            yield
        except grpc.RpcError as error:
            self._check_open(error)
            known = advise(error, call.method, self._host_address, call.request)
            if known is error:
                raise
            raise known from error
        finally:
            with self._ended:
                self._in_flight -= 1
                self._ended.notify_all()

    def _check_open(self, cause: BaseException | None = None) -> None:
        if self._closed.is_set():
            raise requests.closed_error() from cause
