"""What a workflow does its work through."""

from __future__ import annotations

import logging
import random
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict, TypeVar, overload

from dapr.ext.workflow._durabletask.call_logging import CallLogger
from dapr.ext.workflow._durabletask.call_types import (
    InputOf,
    TakesInput,
    TakesNoInput,
    TInput,
    TOutput,
    TResult,
    TReturned,
    WithInput,
    WithoutInput,
)
from dapr.ext.workflow._durabletask.metadata import WorkflowExecutionInfo
from dapr.ext.workflow._durabletask.propagation import PropagatedHistory, PropagationScope
from dapr.ext.workflow._durabletask.task import Task
from dapr.ext.workflow.retry_policy import RetryPolicy
from dapr.ext.workflow.workflow_activity_context import Activity, WorkflowActivityContext

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from dapr.ext.workflow._durabletask.contexts import CallOptions, ChildOptions
    from dapr.ext.workflow.dapr_workflow_context import DaprWorkflowContext
    from dapr.ext.workflow.schedule_types import ScheduledWithInput, ScheduledWithoutInput

__all__ = ['Workflow', 'WorkflowContext']

T = TypeVar('T')


class DetachedOptions(TypedDict, total=False):
    """What is said of the start of a detached workflow beside its input, for type checkers."""

    instance_id: str | None
    start_at: datetime | timedelta | None
    app_id: str | None
    app_namespace: str | None
    metadata: Mapping[str, str] | None


class WorkflowContext(ABC):
    """What a workflow does its work through.

    All it gives is the same in every replay. A workflow must take time, randomness and identifiers from here, and do
    everything else (I/O, clocks, threads) in activities.
    """

    @property
    @abstractmethod
    def instance_id(self) -> str:
        """The id of the workflow instance."""

    @property
    @abstractmethod
    def current_utc_datetime(self) -> datetime:
        """The logical time (naive, UTC); it only moves when the workflow is given new events."""

    @property
    @abstractmethod
    def is_replaying(self) -> bool:
        """Whether the code that is running now has run before."""

    # What follows is not abstract where contexts that tests of apps make of this class may not have it.

    @property
    def workflow_name(self) -> str:
        """The name that the workflow was started by."""
        raise NotImplementedError

    @property
    def app_id(self) -> str:
        """The Dapr app that runs the workflow, or '' when the sidecar did not say."""
        raise NotImplementedError

    @property
    def execution_id(self) -> str:
        """The id of this run: another one after `continue_as_new`; '' when the sidecar did not say."""
        raise NotImplementedError

    @property
    def trace_parent(self) -> str | None:
        """The span that the workflow was started from, as a W3C `traceparent`; None where nothing is traced."""
        raise NotImplementedError

    @property
    def trace_state(self) -> str | None:
        """The W3C `tracestate` that goes with it, or None."""
        raise NotImplementedError

    @property
    def workflow_span_id(self) -> str | None:
        """The id of the sidecar's span of this run, as 16 hexadecimal digits, or None. Where OpenTelemetry is set up,
        that span is the current one in the workflow's code, to be read: what is set on it goes nowhere."""
        raise NotImplementedError

    @property
    def orchestration_span_id(self) -> str | None:
        """The same as `workflow_span_id`."""
        return self.workflow_span_id

    @property
    def execution_info(self) -> WorkflowExecutionInfo:
        """What the workflow is and what it was started with, `inbound_metadata` among it, as it is now."""
        raise NotImplementedError

    def set_metadata(self, metadata: Mapping[str, str] | None) -> None:
        """Sets what goes with the inputs of the calls that follow, as headers go with a request: activities, child
        workflows, workflows that are started and the next run find it in their `execution_info`.

        What the workflow itself was started with is set to begin with. Workers of other libraries are given the
        input within an envelope where there is metadata: see the guide.

        Args:
            metadata: In place of what was set; None or {}: nothing goes along. Data converters do not see it, so it
                travels in the clear.

        Raises:
            TypeError: It is no mapping of str to str.
        """
        raise NotImplementedError

    def get_metadata(self) -> dict[str, str]:
        """A copy of what goes with calls; empty: nothing."""
        raise NotImplementedError

    def set_headers(self, metadata: Mapping[str, str] | None) -> None:
        """The same as `set_metadata`."""
        self.set_metadata(metadata)

    def get_headers(self) -> dict[str, str]:
        """The same as `get_metadata`."""
        return self.get_metadata()

    @property
    def parent_instance_id(self) -> str | None:
        """The id of the workflow that started this one as its child, or None."""
        raise NotImplementedError

    @property
    def logger(self) -> CallLogger:
        """A logger for the workflow's code: silent in replay, so that each line is logged once.

        Its records go to `dapr.workflow.workflow`, with `workflow_name`, `instance_id` and `execution_id`.
        """
        raise NotImplementedError

    def create_replay_safe_logger(self, logger: logging.Logger | logging.LoggerAdapter[Any]) -> CallLogger:
        """A logger of the app's, made silent in replay; its records have the same fields as those of `logger`.

        Args:
            logger: The logger, or an adapter of one.
        """
        raise NotImplementedError

    def now(self) -> datetime:
        """The workflow's logical time (naive, UTC): the same as `current_utc_datetime`."""
        raise NotImplementedError

    def now_with_sequence(self) -> datetime:
        """The logical time, and a microsecond more for each earlier call: unique, ordered stamps."""
        raise NotImplementedError

    def current_utc_datetime_with_sequence(self) -> datetime:
        """The same as `now_with_sequence`, which it shares its sequence with."""
        raise NotImplementedError

    def random(self) -> random.Random:
        """The stream of pseudo-random numbers of this run: the same object, further along, at each call.

        Each replay draws the same numbers.
        """
        raise NotImplementedError

    def random_int(self, min_value: int = 0, max_value: int = 2**31 - 1) -> int:
        """A pseudo-random integer in [min_value, max_value], the same in each replay.

        Raises:
            ValueError: min_value is greater than max_value.
        """
        raise NotImplementedError

    def random_string(self, length: int, *, alphabet: str | None = None) -> str:
        """A pseudo-random string, the same in each replay.

        Args:
            length: How many characters, not negative.
            alphabet: What they are taken from; default: ASCII letters and digits.

        Raises:
            ValueError: length is negative, or alphabet is empty.
        """
        raise NotImplementedError

    def random_choice(self, sequence: Sequence[T]) -> T:
        """A pseudo-random element of a sequence, the same in each replay.

        Raises:
            IndexError: The sequence is empty.
        """
        raise NotImplementedError

    def uuid4(self) -> uuid.UUID:
        """A new UUID, another one at each call, the same in each replay."""
        raise NotImplementedError

    def new_guid(self) -> uuid.UUID:
        """The same as `uuid4`, under the name that other SDKs have for it."""
        raise NotImplementedError

    @abstractmethod
    def set_custom_status(self, custom_status: Any) -> None:
        """Sets the status that clients see beside the workflow's state.

        Args:
            custom_status: A str goes out as it is: encode it as JSON if its readers expect JSON.
        """

    @overload
    def schedule_new_workflow(
        self, workflow: ScheduledWithInput[TInput], *, input: InputOf[TInput], **options: Unpack[DetachedOptions]
    ) -> str: ...
    @overload
    def schedule_new_workflow(
        self, workflow: ScheduledWithoutInput, *, input: None = None, **options: Unpack[DetachedOptions]
    ) -> str: ...
    @overload
    def schedule_new_workflow(self, workflow: str, *, input: Any = None, **options: Unpack[DetachedOptions]) -> str: ...
    def schedule_new_workflow(
        self,
        workflow: Workflow | str,
        *,
        input: Any = None,
        instance_id: str | None = None,
        start_at: datetime | timedelta | None = None,
        app_id: str | None = None,
        app_namespace: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        """Starts a workflow of its own: no child, and nothing of it comes back. It starts even when this workflow ends
        in the same turn, and lives on when this one is terminated or purged.

        Works with daprd from 1.19 on, durabletask-go from 0.14 on and the emulator. With an older daprd the workflow
        fails and says so.

        Args:
            workflow: The workflow's function, or the name that it is registered by.
            input: Its input, anything that can be encoded as JSON; None (default) for no input.
            instance_id: Its instance id; None (default): `<this instance>-<n>`, n counting such starts of this run from
                0. Give ids of your own in a workflow that continues as new. Where an instance of that id is running,
                nothing is started.
            start_at: When it starts (without a time zone: UTC), or how long after the logical time; None (default): at
                once.
            app_id: The Dapr app that runs it; None (default): this one.
            app_namespace: The Dapr namespace of that app; None (default): this one's.
            metadata: What goes with its input, as headers do, see `set_metadata`. None (default): what is set; {}:
                nothing.

        Returns:
            Its instance id.

        Raises:
            TypeError: An argument is of a wrong type.
            ValueError: The workflow has no name, instance_id is empty, or app_namespace is given without app_id.
        """
        raise NotImplementedError

    def send_event(self, instance_id: str, name: str, data: Any = None) -> None:
        """Raises an event on another workflow instance of this app; nothing comes back.

        Works with durabletask-go and the emulator. daprd does not deliver such events (dapr#8243): with it the workflow
        fails and says so; call `raise_workflow_event` of a client in an activity instead.

        Args:
            instance_id: The instance that waits for it.
            name: The event's name; case does not matter.
            data: Its payload, anything that can be encoded as JSON; None (default) for none.

        Raises:
            TypeError: An argument is of a wrong type.
            ValueError: instance_id or name is empty.
        """
        raise NotImplementedError

    @abstractmethod
    def create_timer(self, fire_at: datetime | timedelta) -> Task[None]:
        """A durable timer.

        Args:
            fire_at: When it fires (without a time zone: UTC), or how long after the logical time.
        """

    @overload
    @abstractmethod
    def call_activity(
        self,
        activity: TakesInput[WorkflowActivityContext, TInput, Coroutine[Any, Any, TOutput]],
        *,
        input: InputOf[TInput],
        **options: Unpack[CallOptions[RetryPolicy]],
    ) -> Task[TOutput]: ...
    @overload
    @abstractmethod
    def call_activity(
        self,
        activity: TakesNoInput[WorkflowActivityContext, Coroutine[Any, Any, TOutput]],
        *,
        input: None = None,
        **options: Unpack[CallOptions[RetryPolicy]],
    ) -> Task[TOutput]: ...
    @overload
    @abstractmethod
    def call_activity(
        self,
        activity: TakesInput[WorkflowActivityContext, None, Coroutine[Any, Any, TOutput]],
        *,
        input: None = None,
        **options: Unpack[CallOptions[RetryPolicy]],
    ) -> Task[TOutput]: ...
    @overload
    @abstractmethod
    def call_activity(
        self,
        activity: WithInput[WorkflowActivityContext, TInput, TOutput],
        *,
        input: InputOf[TInput],
        **options: Unpack[CallOptions[RetryPolicy]],
    ) -> Task[TOutput]: ...
    @overload
    @abstractmethod
    def call_activity(
        self,
        activity: WithoutInput[WorkflowActivityContext, TOutput],
        *,
        input: None = None,
        **options: Unpack[CallOptions[RetryPolicy]],
    ) -> Task[TOutput]: ...
    @overload
    @abstractmethod
    def call_activity(
        self,
        activity: str,
        *,
        return_type: type[TReturned],
        input: Any = None,
        **options: Unpack[CallOptions[RetryPolicy]],
    ) -> Task[TReturned]: ...
    @overload
    @abstractmethod
    def call_activity(
        self, activity: str, *, return_type: Any = None, input: Any = None, **options: Unpack[CallOptions[RetryPolicy]]
    ) -> Task[Any]: ...
    @abstractmethod
    def call_activity(
        self,
        activity: Activity | str,
        *,
        input: Any = None,
        retry_policy: RetryPolicy | None = None,
        app_id: str | None = None,
        propagation: PropagationScope | None = None,
        return_type: Any = None,
        timeout: float | timedelta | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Task[Any]:
        """Schedules an activity.

        Args:
            activity: The activity's function, or the name that it is registered by.
            input: Its input, anything that can be encoded as JSON; None (default) for no input.
            retry_policy: How it is tried again when it fails; None (default): not at all.
            app_id: The Dapr app that runs it; None (default): this one.
            propagation: How much of the workflow's history goes with it; None (default): none.
            return_type: The type that the result is read as, as annotations have types. None (default): what the
                function's annotation says; where there is none, as JSON gives it.
            timeout: How long the whole call may take, all attempts under a retry policy and the waits between them
                included: a timedelta, or seconds. Then the task fails with TimeoutError; the activity goes on. None
                (default): no limit.
            metadata: What goes with its input, as headers do, see `set_metadata`. None (default): what is set; {}:
                nothing.

        Raises:
            ValueError: The activity has no name.
        """

    @overload
    @abstractmethod
    def call_child_workflow(
        self,
        workflow: WithInput[DaprWorkflowContext, TInput, Generator[Any, Any, TOutput]],
        *,
        input: InputOf[TInput],
        **options: Unpack[ChildOptions[RetryPolicy]],
    ) -> Task[TOutput]: ...
    @overload
    @abstractmethod
    def call_child_workflow(
        self,
        workflow: TakesNoInput[DaprWorkflowContext, Generator[Any, Any, TOutput]],
        *,
        input: None = None,
        **options: Unpack[ChildOptions[RetryPolicy]],
    ) -> Task[TOutput]: ...
    @overload
    @abstractmethod
    def call_child_workflow(
        self,
        workflow: TakesInput[DaprWorkflowContext, None, Generator[Any, Any, TOutput]],
        *,
        input: None = None,
        **options: Unpack[ChildOptions[RetryPolicy]],
    ) -> Task[TOutput]: ...
    @overload
    @abstractmethod
    def call_child_workflow(
        self,
        workflow: TakesInput[DaprWorkflowContext, TInput, TResult],
        *,
        input: InputOf[TInput],
        **options: Unpack[ChildOptions[RetryPolicy]],
    ) -> Task[TResult]: ...
    @overload
    @abstractmethod
    def call_child_workflow(
        self,
        workflow: WithoutInput[DaprWorkflowContext, TResult],
        *,
        input: None = None,
        **options: Unpack[ChildOptions[RetryPolicy]],
    ) -> Task[TResult]: ...
    @overload
    @abstractmethod
    def call_child_workflow(
        self,
        workflow: str,
        *,
        return_type: type[TReturned],
        input: Any = None,
        **options: Unpack[ChildOptions[RetryPolicy]],
    ) -> Task[TReturned]: ...
    @overload
    @abstractmethod
    def call_child_workflow(
        self, workflow: str, *, return_type: Any = None, input: Any = None, **options: Unpack[ChildOptions[RetryPolicy]]
    ) -> Task[Any]: ...
    @abstractmethod
    def call_child_workflow(
        self,
        workflow: Workflow | str,
        *,
        input: Any = None,
        instance_id: str | None = None,
        retry_policy: RetryPolicy | None = None,
        app_id: str | None = None,
        propagation: PropagationScope | None = None,
        return_type: Any = None,
        timeout: float | timedelta | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Task[Any]:
        """Starts a child workflow.

        Args:
            workflow: The workflow's function, or the name that it is registered by.
            input: Its input, anything that can be encoded as JSON; None (default) for no input.
            instance_id: Its instance id; None (default): `<this instance>:<the action's id as 4 hex digits>`.
            retry_policy: How it is tried again when it fails; None (default): not at all.
            app_id: The Dapr app that runs it; None (default): this one.
            propagation: How much of the workflow's history goes with it; None (default): none.
            return_type: The type that the result is read as, as annotations have types. None (default): what the
                function's annotation says; where there is none, as JSON gives it.
            timeout: How long the whole call may take, all attempts under a retry policy and the waits between them
                included: a timedelta, or seconds. Then the task fails with TimeoutError; the child goes on. None
                (default): no limit.
            metadata: What goes with its input, as headers do, see `set_metadata`. None (default): what is set; {}:
                nothing.

        Raises:
            ValueError: The workflow has no name.
        """

    @overload
    @abstractmethod
    def wait_for_external_event(
        self, name: str, *, timeout: datetime | timedelta | None = None, data_type: type[TReturned]
    ) -> Task[TReturned]: ...
    @overload
    @abstractmethod
    def wait_for_external_event(
        self, name: str, *, timeout: datetime | timedelta | None = None, data_type: Any = None
    ) -> Task[Any]: ...
    @abstractmethod
    def wait_for_external_event(
        self, name: str, *, timeout: datetime | timedelta | None = None, data_type: Any = None
    ) -> Task[Any]:
        """The wait for an event that a client raises.

        Args:
            name: The event's name; case does not matter.
            timeout: How long, or until when (without a time zone: UTC), to wait; then the task fails with TimeoutError.
                None (default) or a negative duration: no limit.
            data_type: The type that its payload is read as, as annotations have types; one that cannot be read so
                raises where the event is waited for. None (default): as JSON gives it.
        """

    @abstractmethod
    def continue_as_new(
        self, new_input: Any, *, save_events: bool = False, metadata: Mapping[str, str] | None = None
    ) -> None:
        """Ends this run and starts the workflow again, under the same id, with a new input and no history.

        Args:
            new_input: The input of the new run.
            save_events: Whether events that no one has waited for go over into the new run. Default: they do not.
            metadata: What goes with the input of the new run. None (default): what is set; {}: nothing.
        """

    def is_patched(self, patch_name: str) -> bool:
        """Whether the code after a change, called a patch, is to be run.

        False for an instance that had passed this place before the patch was there, True for all others.
        """
        raise NotImplementedError

    @abstractmethod
    def get_propagated_history(self) -> PropagatedHistory | None:
        """The history that the caller of this workflow has sent along, or None."""


# Called with a context and, when it takes one, the input. A generator that yields tasks, or a plain function.
Workflow: TypeAlias = Callable[..., Any]
