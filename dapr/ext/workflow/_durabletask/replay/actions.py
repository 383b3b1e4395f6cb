"""What a workflow's code asked for, kept as little as it takes to match it with history and to send it once.

In a replay nearly every action is met by its event in the history and never sent: so a message is made only when the
turn is over and the action is still there.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar

from dapr.ext.workflow._durabletask.deterministic import deterministic_uuid_v5
from dapr.ext.workflow._durabletask.internal import helpers
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.propagation import PropagationScope
from dapr.ext.workflow._durabletask.task import CompletableTask, RetryableTask

_EPOCH = datetime(1970, 1, 1)


class Action:
    """Something that the code asked for and that the history confirms by an event with the action's id.

    Attributes:
        name: What was called, where that has a name: history must say the same.
        optional: Whether histories may lack it, see `CreateTimer`.
        clock: The event that set the time of the call, while that is of use. It keeps the whole request it came in.
    """

    # What the code called to ask for it: the words of a NonDeterminismError.
    method: ClassVar[str]

    name: str = ''
    optional: bool = False
    clock: pb.HistoryEvent | None = None

    def describe(self) -> str:
        """The call, as an error message shows it."""
        return f"{self.method}('{self.name}')" if self.name else self.method

    def renumber(self, instance_id: str, action_id: int) -> None:
        """Takes note that the action has another id now; only some kinds derive anything from it."""

    def let_go_of_clock(self, instance_id: str) -> None:
        """Takes from the event what the action may need when it is sent, and lets it go."""
        self.clock = None

    def to_message(self, instance_id: str, action_id: int, source_app_id: str | None) -> pb.WorkflowAction:
        """The message that asks the sidecar for it."""
        raise NotImplementedError


class Awaited(Action):
    """An action that has an outcome, which the history says later.

    Attributes:
        task: What the workflow holds of it.
    """

    task: CompletableTask[Any]


class ScheduleTask(Awaited):
    """`call_activity`.

    What all attempts of an activity have in common is a UUID of the call's logical time and a counter. It is worked out
    when the action is sent, unless a retry has brought it along; till then the time is in the event that set the clock.
    """

    method = 'call_activity'

    app_id: str | None = None
    propagation: PropagationScope | None = None
    execution_id: str = ''

    def __init__(
        self,
        task: CompletableTask[Any],
        name: str,
        encoded_input: str | None,
        clock: pb.HistoryEvent,
        guid_counter: int,
    ) -> None:
        self.task = task
        self.name = name
        self.encoded_input = encoded_input
        self.clock = clock
        self.guid_counter = guid_counter

    def let_go_of_clock(self, instance_id: str) -> None:
        if self.clock is not None:
            if not self.execution_id:
                called_at = logical_time(self.clock)
                self.execution_id = str(deterministic_uuid_v5(instance_id, called_at, self.guid_counter))
            self.clock = None

    def to_message(self, instance_id: str, action_id: int, source_app_id: str | None) -> pb.WorkflowAction:
        self.let_go_of_clock(instance_id)
        return helpers.new_schedule_task_action(
            action_id,
            self.name,
            self.encoded_input,
            router_to(source_app_id, self.app_id),
            self.execution_id,
            self.propagation,
        )


class CreateChildWorkflow(Awaited):
    """`call_sub_orchestrator`. The default instance id follows from the action's id."""

    method = 'call_sub_orchestrator'

    def __init__(
        self,
        task: CompletableTask[Any],
        name: str,
        instance_id: str,
        has_default_id: bool,
        encoded_input: str | None,
        app_id: str | None,
        propagation: PropagationScope | None,
        is_retry: bool = False,
    ) -> None:
        self.task = task
        self.name = name
        self.instance_id = instance_id
        self.has_default_id = has_default_id
        self.encoded_input = encoded_input
        self.app_id = app_id
        self.propagation = propagation
        self.is_retry = is_retry

    def renumber(self, instance_id: str, action_id: int) -> None:
        if self.has_default_id:
            self.instance_id = default_child_id(instance_id, action_id)
            if isinstance(self.task, RetryableTask):
                self.task._instance_id = self.instance_id

    def to_message(self, instance_id: str, action_id: int, source_app_id: str | None) -> pb.WorkflowAction:
        message = helpers.new_create_child_workflow_action(
            action_id,
            self.name,
            self.instance_id,
            self.encoded_input,
            router_to(source_app_id, self.app_id),
            self.propagation,
        )
        if self.is_retry:
            message.createChildWorkflow.retryParentInstanceInfo.instanceID = self.instance_id
        return message


class CreateTimer(Awaited):
    """`create_timer`, the timeout of a wait, or the wait before a retry. Carries no router.

    An optional timer stands for a wait without a limit: it never fires, and histories written before it was invented
    do not have it (see `_RuntimeOrchestrationContext.drop_optional_timer`).
    """

    method = 'create_timer'

    def __init__(
        self, task: CompletableTask[Any], fire_at: datetime | None, origin: helpers.TimerOrigin | None
    ) -> None:
        self.task = task
        self.fire_at = fire_at
        self.origin = origin
        self.optional = fire_at is None

    def to_message(self, instance_id: str, action_id: int, source_app_id: str | None) -> pb.WorkflowAction:
        fire_at = helpers.OPTIONAL_TIMER_FIRE_AT if self.fire_at is None else self.fire_at
        return helpers.new_create_timer_action(action_id, fire_at, self.origin)


class Message(Action):
    """An action without an outcome: nothing comes back, so it is of use even when the run ends in the same turn.

    What it says is made into a message at once, since it is sent nearly always, and since the code is to be told of
    what no message can hold while it still runs.

    Args:
        name: What was called.
        instance_id: The instance that it is for.
        message: What asks the sidecar for it; it has no id yet.
    """

    def __init__(self, name: str, instance_id: str, message: pb.WorkflowAction) -> None:
        self.name = name
        self.instance_id = instance_id
        self.message = message

    def describe(self) -> str:
        return f"{self.method}('{self.name}') for the instance '{self.instance_id}'"

    def to_message(self, instance_id: str, action_id: int, source_app_id: str | None) -> pb.WorkflowAction:
        self.message.id = action_id
        return self.message


class CreateDetachedWorkflow(Message):
    """`schedule_new_workflow`."""

    method = 'schedule_new_workflow'


class SendEvent(Message):
    """`send_event`."""

    method = 'send_event'


def logical_time(clock: pb.HistoryEvent) -> datetime:
    """The moment that an event is stamped with, as logical time: naive, UTC, in whole microseconds."""
    timestamp = clock.timestamp
    return _EPOCH + timedelta(0, timestamp.seconds, timestamp.nanos // 1000)


def default_child_id(instance_id: str, action_id: int) -> str:
    """The instance id of a child workflow that was given none."""
    return f'{instance_id}:{action_id:04x}'


def router_to(source_app_id: str | None, target_app_id: str | None, namespace: str | None = None) -> pb.TaskRouter:
    """Where an action comes from, and which app is to carry it out; None: this one."""
    return pb.TaskRouter(sourceAppID=source_app_id or '', targetAppID=target_app_id, targetAppNamespace=namespace)
