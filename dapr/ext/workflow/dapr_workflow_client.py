"""The client for blocking code: starts, watches and steers workflows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, overload

from grpc import RpcError

from dapr.ext.workflow._durabletask import client as engine
from dapr.ext.workflow._durabletask.clients.requests import check_new_id, checked_seconds
from dapr.ext.workflow._durabletask.metadata import checked
from dapr.ext.workflow.client_support import (
    as_state,
    engine_arguments,
    flag,
    given,
    rerun_input,
    unless_missing,
    warn_of_reuse_policy,
)
from dapr.ext.workflow.converter import DataConverter
from dapr.ext.workflow.interceptors import ClientInterceptor, ScheduleWorkflowRequest, composed, methods_of, result_of
from dapr.ext.workflow.logger import Logger, LoggerOptions
from dapr.ext.workflow.naming import name_of
from dapr.ext.workflow.purging import ENDED, Choice, is_left
from dapr.ext.workflow.util import api_timeout
from dapr.ext.workflow.values.payloads import payloads_of
from dapr.ext.workflow.workflow_context import Workflow
from dapr.ext.workflow.workflow_management import (
    UNSET,
    WorkflowHistoryEvent,
    WorkflowInstanceIdPage,
    read_event,
    read_page,
)
from dapr.ext.workflow.workflow_state import WorkflowState, WorkflowStatus

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from dapr.ext.workflow._durabletask.call_types import InputOf, TInput
    from dapr.ext.workflow._durabletask.internal import protos as pb
    from dapr.ext.workflow.schedule_types import ScheduledWithInput, ScheduledWithoutInput, ScheduleOptions

__all__ = ['DaprWorkflowClient']


class DaprWorkflowClient:
    """A client of the workflows of a sidecar. Threads can share one.

    Every call raises `grpc.RpcError` when the sidecar refuses it or cannot be reached (where the cause is known, its
    text says what to do), ValueError when an id or a name is empty or the client is closed, and TypeError when a
    payload cannot be encoded as JSON. `app_id`, where a call takes it, is the app that owns the instance; None is the
    sidecar's own.

    Args:
        host: The sidecar's host. None (default): see `util.getAddress`, for the port, too.
        port: The sidecar's gRPC port.
        logger_options: Where log records go, and which. Default: stderr, from INFO on.
        max_grpc_message_length: The limit of gRPC messages in both directions, in bytes. Default: the engine's own.
        call_timeout: The deadline of each call but the waits, which have their own, in seconds. None (default): what
            `DAPR_API_TIMEOUT_SECONDS` says, else none.
        data_converter: How inputs, outputs and events become payloads, and come back: the one of the workers. None
            (default): as JSON (`JsonDataConverter`).
        client_interceptors: What is around `schedule_new_workflow`, see the module `interceptors`; the first one is the
            outermost. Default: nothing.
        retry_timeout: For how many seconds a call is made again that the sidecar cannot take yet: there is no
            connection, no worker of the app is connected, or its actors are being placed. Nothing that may have had an
            effect is sent twice. None (default): 10. 0: calls fail at once.
        interceptors: Another name of `client_interceptors`, that of python-sdk#827; those given by it come after them.

    Raises:
        ValueError: A setting cannot be read; the message names it.
        TypeError: An argument is of a wrong type; the message names it, as those of all calls do.
    """

    def __init__(
        self,
        host: str | None = None,
        port: str | int | None = None,
        logger_options: LoggerOptions | None = None,
        max_grpc_message_length: int | None = None,
        *,
        call_timeout: float | None = None,
        data_converter: DataConverter | None = None,
        client_interceptors: Sequence[ClientInterceptor[Any]] | None = None,
        retry_timeout: float | None = None,
        interceptors: Sequence[ClientInterceptor[Any]] | None = None,
    ) -> None:
        around = [*(client_interceptors or ()), *(interceptors or ())]
        methods = methods_of(around, 'schedule_new_workflow')
        self._schedule = composed(methods, self._schedule_last) if methods else None
        self._logger = Logger('DaprWorkflowClient', logger_options)  # apps reach for it
        # Looked up on its module each time: tests of other packages put one of their own there.
        self.__obj = engine.TaskHubGrpcClient(
            **engine_arguments(host, port, logger_options, max_grpc_message_length),
            call_timeout=api_timeout() if call_timeout is None else call_timeout,
            payloads=payloads_of(data_converter),
            **given(retry_timeout=retry_timeout),
        )
        self._data_converter = data_converter

    @property
    def address(self) -> str | None:
        """The sidecar's address, as host:port; None for a client that was given a channel."""
        return self.__obj.address

    def wait_for_sidecar(self, timeout: float = 60) -> None:
        """Waits until the sidecar answers: a connection is there. Workflows need a worker as well.

        Args:
            timeout: For how many seconds at most. Default: 60.

        Raises:
            SidecarUnavailableError: It has not answered within the time.
            grpc.RpcError: It refuses, as with a wrong API token.
        """
        self.__obj.wait_for_sidecar(timeout)

    def __enter__(self) -> DaprWorkflowClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the client and its connection. Closing again does nothing."""
        self.__obj.close()

    @overload
    def schedule_new_workflow(
        self, workflow: ScheduledWithInput[TInput], *, input: InputOf[TInput], **options: Unpack[ScheduleOptions]
    ) -> str: ...
    @overload
    def schedule_new_workflow(
        self, workflow: ScheduledWithoutInput, *, input: None = None, **options: Unpack[ScheduleOptions]
    ) -> str: ...
    @overload
    def schedule_new_workflow(self, workflow: str, *, input: Any = None, **options: Unpack[ScheduleOptions]) -> str: ...
    def schedule_new_workflow(
        self,
        workflow: Workflow | str,
        *,
        input: Any = None,
        instance_id: str | None = None,
        start_at: datetime | None = None,
        reuse_id_policy: Any = None,
        app_id: str | None = None,
        timeout: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        """Starts a workflow. Returns when its first turn has run, or at once when it is scheduled for later.

        Args:
            workflow: The workflow's function, or the name that it is registered by.
            input: Its input, anything that can be encoded as JSON; None (default): none.
            instance_id: The instance id. None (default): a new one.
            start_at: When it starts (without a time zone: UTC). None (default): now.
            reuse_id_policy: Deprecated, and without effect.
            app_id: The app that is to run it.
            timeout: For how many seconds at most. None (default): the client's `call_timeout`. While no worker takes
                the instance the call waits, and a warning says so; what has been created by the end of the time
                stays, and starts when a worker takes it.
            metadata: What goes with the input, as headers do: the workflow finds it in its `execution_info`, and it
                goes on with what that calls. None (default): nothing.

        Returns:
            The instance id.

        Raises:
            ValueError: The workflow has no name, or the instance id is empty.
            WorkflowAlreadyExistsError: An instance of that id is running.
            WorkflowTimeoutError: The time is over.
            WorkerNotConnectedError: The sidecar refuses it, since no worker of the app is connected.
        """
        warn_of_reuse_policy(reuse_id_policy)
        if self._schedule is None:
            return self.__obj.schedule_new_orchestration(
                name_of(workflow),
                input=input,
                instance_id=instance_id,
                start_at=start_at,
                **given(app_id=app_id, timeout=timeout, metadata=metadata),
            )
        request = ScheduleWorkflowRequest(
            name_of(workflow),
            input,
            instance_id,
            start_at,
            reuse_id_policy,
            app_id,
            timeout,
            None if metadata is None else checked(metadata),
        )
        new_id: str = result_of(self._schedule(request), 'schedule_new_workflow')
        return new_id

    def _schedule_last(self, request: ScheduleWorkflowRequest[Any]) -> str:
        return self.__obj.schedule_new_orchestration(
            request.workflow_name,
            input=request.input,
            instance_id=request.instance_id,
            start_at=request.start_at,
            **given(app_id=request.app_id, timeout=request.timeout, metadata=request.metadata),
        )

    def get_workflow_state(
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
        with unless_missing():
            state = self.__obj.get_orchestration_state(
                instance_id, fetch_payloads=fetch_payloads, **given(app_id=app_id)
            )
            return as_state(state, self._data_converter)
        return None

    def wait_for_workflow_start(
        self,
        instance_id: str,
        *,
        fetch_payloads: bool = False,
        timeout_in_seconds: float = 0,
        app_id: str | None = None,
        raise_on_stalled: bool = False,
    ) -> WorkflowState | None:
        """Waits until an instance has started; also for one that is not there yet.

        Args:
            instance_id: The instance id.
            fetch_payloads: Whether input, output and custom status are fetched, too. Default: False.
            timeout_in_seconds: For how long to wait. 0 (default): without a limit.
            app_id: The app that owns the instance.
            raise_on_stalled: Whether a stalled instance ends the wait; it is looked for every second. Default: False,
                it may go on when another worker connects.

        Returns:
            The state; None when the sidecar says that there is no such instance.

        Raises:
            WorkflowTimeoutError: The time is over; a TimeoutError, too. It says how the instance stands.
            WorkflowStalledError: It is stalled, and `raise_on_stalled` says so.
        """
        return as_state(
            self.__obj.wait_for_orchestration_start(
                instance_id,
                fetch_payloads=fetch_payloads,
                timeout=checked_seconds(timeout_in_seconds, 'timeout_in_seconds'),
                **given(app_id=app_id),
                **flag('raise_on_stalled', raise_on_stalled),
            ),
            self._data_converter,
        )

    def wait_for_workflow_completion(
        self,
        instance_id: str,
        *,
        fetch_payloads: bool = True,
        timeout_in_seconds: float = 0,
        app_id: str | None = None,
        raise_on_stalled: bool = False,
    ) -> WorkflowState | None:
        """Waits until an instance has ended, in whatever way; else as `wait_for_workflow_start`.

        Args:
            instance_id: The instance id.
            fetch_payloads: Whether input, output and custom status are fetched, too. Default: True.
            timeout_in_seconds: For how long to wait. 0 (default): without a limit.
            app_id: The app that owns the instance.
            raise_on_stalled: Whether a stalled instance ends the wait; it is looked for every second. Default: False,
                it may go on when another worker connects.

        Returns:
            The state; None when the sidecar says that there is no such instance.

        Raises:
            WorkflowTimeoutError: The time is over; a TimeoutError, too. It says how the instance stands.
            WorkflowStalledError: It is stalled, and `raise_on_stalled` says so.
        """
        return as_state(
            self.__obj.wait_for_orchestration_completion(
                instance_id,
                fetch_payloads=fetch_payloads,
                timeout=checked_seconds(timeout_in_seconds, 'timeout_in_seconds'),
                **given(app_id=app_id),
                **flag('raise_on_stalled', raise_on_stalled),
            ),
            self._data_converter,
        )

    def raise_workflow_event(
        self, instance_id: str, event_name: str, *, data: Any = None, app_id: str | None = None
    ) -> None:
        """Sends an event to an instance; without effect when it has ended.

        Args:
            instance_id: The instance id.
            event_name: The event's name; workflows wait for it without regard to upper and lower case.
            data: Its payload; None (default): none.
            app_id: The app that owns the instance.
        """
        return self.__obj.raise_orchestration_event(instance_id, event_name, data=data, **given(app_id=app_id))

    def terminate_workflow(
        self, instance_id: str, *, output: Any = None, recursive: bool = True, app_id: str | None = None
    ) -> None:
        """Ends an instance from outside; without effect when it has ended. Sidecars answer when it has.

        Args:
            instance_id: The instance id.
            output: Its output; None (default): none.
            recursive: Whether its children are ended, too. Default: True.
            app_id: The app that owns the instance.
        """
        return self.__obj.terminate_orchestration(
            instance_id, output=output, recursive=recursive, **given(app_id=app_id)
        )

    def pause_workflow(self, instance_id: str, *, app_id: str | None = None) -> None:
        """Lets an instance stand still until it is resumed; without effect when it has ended.

        Sidecars answer when it stands still, which takes a turn of a worker.
        """
        return self.__obj.suspend_orchestration(instance_id, **given(app_id=app_id))

    def resume_workflow(self, instance_id: str, *, app_id: str | None = None) -> None:
        """Lets a paused instance go on; without effect when it has ended. Sidecars answer when it runs."""
        return self.__obj.resume_orchestration(instance_id, **given(app_id=app_id))

    def purge_workflow(
        self, instance_id: str, recursive: bool = True, *, app_id: str | None = None, force: bool = False
    ) -> int:
        """Removes an instance that has ended, with its history.

        Args:
            instance_id: The instance id.
            recursive: Whether its children go, too. Default: True.
            app_id: The app that owns the instance.
            force: Whether it goes even when it has not ended, as one that is stalled; what a worker does with it then
                is lost. Default: False.

        Returns:
            How many instances are gone.
        """
        return self.__obj.purge_orchestration(instance_id, recursive, **given(app_id=app_id), **flag('force', force))

    def purge_workflows(
        self,
        *,
        older_than: timedelta | None = None,
        created_from: datetime | None = None,
        created_to: datetime | None = None,
        statuses: Collection[WorkflowStatus] = ENDED,
        recursive: bool = True,
        force: bool = False,
    ) -> int:
        """Removes all instances that fit, one after the other. Needs a sidecar that can list them (Dapr 1.17).

        One that is refused, since it has begun to run again meanwhile, stays, and is not counted.

        Args:
            older_than: Those that were created longer ago than this. None (default): of any age.
            created_from: Those that were created then or later (without a time zone: UTC). None (default): of any age.
            created_to: Those that were created then or before (without a time zone: UTC). None (default): of any age.
            statuses: Those that have one of these. Default: those that have ended.
            recursive: Whether their children go, too. Default: True.
            force: Whether those go, too, that have not ended; `statuses` has to name what they are. Default: False.

        Returns:
            How many are gone, with their children as the sidecar counts them.

        Raises:
            ValueError: Both `older_than` and `created_to` are given, or the age is negative.
        """
        chosen = Choice(older_than, created_from, created_to, statuses, recursive, force)
        gone = 0
        # All ids first: what is removed from a list while it is read moves the pages.
        for instance_id in list(self.iter_workflow_instance_ids()):
            state = self.get_workflow_state(instance_id, fetch_payloads=False)
            if state is not None and chosen.fits(state):
                try:
                    gone += self.__obj.purge_orchestration(instance_id, recursive, **flag('force', force))
                except RpcError as error:
                    if not is_left(error):
                        raise
        return gone

    def get_workflow_history(self, instance_id: str) -> list[WorkflowHistoryEvent]:
        """The history of an instance, oldest event first."""
        return [read_event(event) for event in self._history_events(instance_id)]

    def _history_events(self, instance_id: str) -> list[pb.HistoryEvent]:
        """The same as the events of the wire: for the testing kit."""
        return self.__obj.get_instance_history(instance_id)

    def list_workflow_instance_ids(
        self, *, page_size: int | None = None, continuation_token: str | None = None
    ) -> WorkflowInstanceIdPage:
        """A page of the ids of all instances.

        Args:
            page_size: How many to give at most, from 1. None (default): as many as the sidecar chooses.
            continuation_token: That of the page before; None (default): the first page.

        Raises:
            ValueError: The page size is out of range.
        """
        return read_page(self.__obj.list_instance_ids(page_size=page_size, continuation_token=continuation_token))

    def iter_workflow_instance_ids(self, *, page_size: int | None = 1024) -> Iterator[str]:
        """The ids of all instances, fetched page by page while they are taken.

        Args:
            page_size: How many to fetch at once, from 1. Default: 1,024. None: as many as the sidecar chooses.

        Raises:
            ValueError: The page size is out of range.
        """
        token = None
        while True:
            page = self.list_workflow_instance_ids(page_size=page_size, continuation_token=token)
            yield from page.instance_ids
            # A sidecar that gives the same token again would have us turn in circles.
            if page.continuation_token is None or page.continuation_token == token:
                return
            token = page.continuation_token

    def rerun_workflow_from_event(
        self,
        instance_id: str,
        event_id: int,
        *,
        new_instance_id: str | None = None,
        input: Any = UNSET,
        new_child_workflow_instance_id: str | None = None,
        app_id: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        """Runs an instance that has ended again, as a new one, from one of its events on.

        Args:
            instance_id: The instance id.
            event_id: The id of the event (`WorkflowHistoryEvent.event_id`) to run again.
            new_instance_id: The id of the new instance. None (default): one that the sidecar makes up.
            input: The event's new input; None for none. UNSET (default): the old one stays.
            new_child_workflow_instance_id: The new id of the child, when the event created one. None (default): a
                made-up one.
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
        check_new_id('new_child_workflow_instance_id', new_child_workflow_instance_id)
        return self.__obj.rerun_orchestration_from_event(
            instance_id,
            event_id,
            new_instance_id=new_instance_id,
            new_child_instance_id=new_child_workflow_instance_id,
            **given(app_id=app_id, metadata=metadata),
            **rerun_input(input),
        )
