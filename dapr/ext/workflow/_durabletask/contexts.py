"""What an orchestrator may do. What an activity may know is in `task`, where packages look for it."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Generator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, overload

from typing_extensions import TypedDict

from dapr.ext.workflow._durabletask.call_logging import WORKFLOW_LOGGER, Call, CallLogger
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
from dapr.ext.workflow._durabletask.deterministic import DeterministicContextMixin

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from dapr.ext.workflow._durabletask.metadata import WorkflowExecutionInfo
    from dapr.ext.workflow._durabletask.propagation import PropagatedHistory, PropagationScope
    from dapr.ext.workflow._durabletask.retry import RetryPolicy
    from dapr.ext.workflow._durabletask.task import ActivityContext, Task


# The kind of policies that a context takes: the engine's, or the public one.
TPolicy = TypeVar('TPolicy')


class CallOptions(TypedDict, Generic[TPolicy], total=False):
    """What a call of an activity takes beside its input, for type checkers."""

    retry_policy: TPolicy | None
    app_id: str | None
    propagation: PropagationScope | None
    timeout: float | timedelta | None
    metadata: Mapping[str, str] | None


class ChildOptions(CallOptions[TPolicy], Generic[TPolicy], total=False):
    """What a call of a child workflow takes beside its input, for type checkers."""

    instance_id: str | None


class OrchestrationContext(DeterministicContextMixin, ABC):
    """What an orchestrator does its work through.

    All it gives is the same in every replay, `random()` and `new_guid()` included. An orchestrator must take time,
    randomness and identifiers from here, and do everything else (I/O, clocks, threads) in activities.
    """

    @property
    @abstractmethod
    def instance_id(self) -> str:
        """The id of the workflow instance."""

    @property
    @abstractmethod
    def current_utc_datetime(self) -> datetime:
        """The logical time (naive, UTC): when the batch of events that is being processed began. It only moves
        when the workflow is given new events."""

    @property
    @abstractmethod
    def is_replaying(self) -> bool:
        """Whether the code that is running now has run before, for events that are in the history already."""

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
        return CallLogger(WORKFLOW_LOGGER, self._for_loggers())

    def create_replay_safe_logger(self, logger: logging.Logger | logging.LoggerAdapter[Any]) -> CallLogger:
        """A logger of the app's, made silent in replay; its records have the same fields as those of `logger`."""
        return CallLogger(logger, self._for_loggers())

    def _for_loggers(self) -> Call:
        """What loggers ask whether they are to be silent."""
        return self

    def log_fields(self) -> dict[str, object]:
        """What the records of `logger` have beside the usual."""
        return {'instance_id': self.instance_id}

    @abstractmethod
    def set_custom_status(self, custom_status: Any) -> None:
        """Sets the status that clients see beside the workflow's state.

        Args:
            custom_status: A str goes out as it is: encode it as JSON if its readers expect JSON. None leaves the
                status unset. Anything else is encoded as JSON, with a DeprecationWarning.
        """

    def schedule_new_workflow(
        self,
        workflow: Callable[..., Any] | str,
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
        activity: TakesInput[ActivityContext, TInput, Coroutine[Any, Any, TOutput]],
        *,
        input: InputOf[TInput],
        **options: Unpack[CallOptions[RetryPolicy]],
    ) -> Task[TOutput]: ...
    @overload
    @abstractmethod
    def call_activity(
        self,
        activity: TakesNoInput[ActivityContext, Coroutine[Any, Any, TOutput]],
        *,
        input: None = None,
        **options: Unpack[CallOptions[RetryPolicy]],
    ) -> Task[TOutput]: ...
    @overload
    @abstractmethod
    def call_activity(
        self,
        activity: TakesInput[ActivityContext, None, Coroutine[Any, Any, TOutput]],
        *,
        input: None = None,
        **options: Unpack[CallOptions[RetryPolicy]],
    ) -> Task[TOutput]: ...
    @overload
    @abstractmethod
    def call_activity(
        self,
        activity: WithInput[ActivityContext, TInput, TOutput],
        *,
        input: InputOf[TInput],
        **options: Unpack[CallOptions[RetryPolicy]],
    ) -> Task[TOutput]: ...
    @overload
    @abstractmethod
    def call_activity(
        self,
        activity: WithoutInput[ActivityContext, TOutput],
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
        activity: Callable[..., Any] | str,
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
            activity: The activity's function, or its name.
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
        """

    @overload
    @abstractmethod
    def call_sub_orchestrator(
        self,
        orchestrator: WithInput[OrchestrationContext, TInput, Generator[Any, Any, TOutput]],
        *,
        input: InputOf[TInput],
        **options: Unpack[ChildOptions[RetryPolicy]],
    ) -> Task[TOutput]: ...
    @overload
    @abstractmethod
    def call_sub_orchestrator(
        self,
        orchestrator: TakesNoInput[OrchestrationContext, Generator[Any, Any, TOutput]],
        *,
        input: None = None,
        **options: Unpack[ChildOptions[RetryPolicy]],
    ) -> Task[TOutput]: ...
    @overload
    @abstractmethod
    def call_sub_orchestrator(
        self,
        orchestrator: TakesInput[OrchestrationContext, None, Generator[Any, Any, TOutput]],
        *,
        input: None = None,
        **options: Unpack[ChildOptions[RetryPolicy]],
    ) -> Task[TOutput]: ...
    @overload
    @abstractmethod
    def call_sub_orchestrator(
        self,
        orchestrator: TakesInput[OrchestrationContext, TInput, TResult],
        *,
        input: InputOf[TInput],
        **options: Unpack[ChildOptions[RetryPolicy]],
    ) -> Task[TResult]: ...
    @overload
    @abstractmethod
    def call_sub_orchestrator(
        self,
        orchestrator: WithoutInput[OrchestrationContext, TResult],
        *,
        input: None = None,
        **options: Unpack[ChildOptions[RetryPolicy]],
    ) -> Task[TResult]: ...
    @overload
    @abstractmethod
    def call_sub_orchestrator(
        self,
        orchestrator: str,
        *,
        return_type: type[TReturned],
        input: Any = None,
        **options: Unpack[ChildOptions[RetryPolicy]],
    ) -> Task[TReturned]: ...
    @overload
    @abstractmethod
    def call_sub_orchestrator(
        self,
        orchestrator: str,
        *,
        return_type: Any = None,
        input: Any = None,
        **options: Unpack[ChildOptions[RetryPolicy]],
    ) -> Task[Any]: ...
    @abstractmethod
    def call_sub_orchestrator(
        self,
        orchestrator: Callable[..., Any] | str,
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
            orchestrator: The workflow's function, or its name.
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
            timeout: How long, or until when (without a time zone: UTC), to wait. Then the task fails with
                TimeoutError; with `timedelta(0)` at once, unless the event is there already. None (default) or a
                negative duration: no limit.
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

    @abstractmethod
    def is_patched(self, patch_name: str) -> bool:
        """Whether the code after a change, called a patch, is to be run.

        False for an instance that had passed this place before the patch was there, True for all others; the answer
        stays the same for the rest of the instance's life.
        """

    @abstractmethod
    def get_propagated_history(self) -> PropagatedHistory | None:
        """The history that the caller of this workflow has sent along, or None."""


# An orchestrator is a generator that yields tasks, or a plain function that returns at once.
Orchestrator: TypeAlias = Callable[[OrchestrationContext, TInput], 'Generator[Task[Any], Any, TOutput] | TOutput']
Activity: TypeAlias = Callable[['ActivityContext', TInput], TOutput]


def get_name(fn: Callable[..., Any]) -> str:
    """The name under which a function is registered and called.

    Raises:
        ValueError: It has none, as a lambda or a `functools.partial`.
    """
    name: str | None = getattr(fn, '__name__', None)
    if name is None or name == '<lambda>':
        what = 'a lambda function' if name else repr(fn)
        raise ValueError(
            f'Cannot infer a name from {what}. Please provide a name explicitly: register it under a name, and call it '
            'by that name.'
        )
    return name
