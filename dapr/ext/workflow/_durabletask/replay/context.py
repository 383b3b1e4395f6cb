"""The context that a running orchestrator is given: it records what the code asks for and answers from what is known.

One object for the life of a running workflow, used by one thread at a time. It owns what the code has done (actions,
waiters, patches, status, completion); `WorkflowInstance` owns the generator and feeds events in.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from dapr.ext.workflow._durabletask.contexts import get_name
from dapr.ext.workflow._durabletask.deterministic import deterministic_uuid_v5
from dapr.ext.workflow._durabletask.internal import helpers
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.internal.arguments import check, check_flag, wrong_type
from dapr.ext.workflow._durabletask.internal.json_faults import not_encodable
from dapr.ext.workflow._durabletask.internal.payloads import PLAIN, Payloads, unreadable
from dapr.ext.workflow._durabletask.internal.timer import naive_utc
from dapr.ext.workflow._durabletask.limited_call import LimitedCallTask, duration_of
from dapr.ext.workflow._durabletask.metadata import checked, sealed
from dapr.ext.workflow._durabletask.propagation import PropagationScope
from dapr.ext.workflow._durabletask.replay.actions import (
    Action,
    Awaited,
    CreateChildWorkflow,
    CreateDetachedWorkflow,
    CreateTimer,
    Message,
    ScheduleTask,
    SendEvent,
    default_child_id,
    router_to,
)
from dapr.ext.workflow._durabletask.replay.facts import RunFacts
from dapr.ext.workflow._durabletask.replay.mailbox import Mailbox
from dapr.ext.workflow._durabletask.retry import RetryPolicy
from dapr.ext.workflow._durabletask.task import (
    ActivityTask,
    ChildWorkflowTask,
    CompletableTask,
    EventTask,
    ExternalEventWithTimeoutTask,
    RetryableTask,
    Task,
    TimerTask,
)

_AnyAction = TypeVar('_AnyAction', bound=Action)

# Of how many calls that ended before the code asked for them it is known whether it ever did.
_UNSEEN = 64


class Completion(NamedTuple):
    """How the run ended."""

    status: pb.OrchestrationStatus.ValueType
    encoded_result: str | None = None
    failure: pb.TaskFailureDetails | None = None
    save_events: bool = False


# How a run ends when its code comes to an end.
_OWN_ENDINGS = (pb.ORCHESTRATION_STATUS_COMPLETED, pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW)


class _RuntimeOrchestrationContext(RunFacts):
    """See `OrchestrationContext` for what workflow code may call.

    Args:
        instance_id: The id of the workflow instance.
        payloads: How values become payloads. Default: as plain JSON.

    Attributes:
        timeout_error: What calls fail with whose time is over; async workflows have one of their own.
    """

    timeout_error: type[TimeoutError] = TimeoutError

    # Most workflows wait for no event, and are sent none.
    _mailbox: Mailbox | None = None

    # What ended while the code waited for something else, and had not asked for it: the latest, for `forgotten`. None
    # until there is some, since a deque takes its room when it is made.
    _unseen: deque[tuple[int, Awaited]] | None = None

    def __init__(self, instance_id: str, payloads: Payloads = PLAIN) -> None:
        super().__init__(instance_id)
        self._payloads = payloads

        # Ids count up with each action, in program order. `actions` are those not confirmed by history (what goes out
        # when the turn ends); `unresolved` those whose task has not ended.
        self._sequence_number = 0
        self._actions: dict[int, Action] = {}
        self._unresolved: dict[int, Awaited] = {}
        # Detached workflows have default ids of their own count.
        self._detached_count = 0
        # Whether the code has sent a message, which not all sidecars can carry out; most code sends none.
        self.sends_messages = False
        # The timer between the turn of the last messages and that of the continue-as-new; 0: there is none.
        self.last_timer_id = 0

        self._notices: list[str] = []
        # What is to be done when the events that were given are gone through: an event loop leaves the thread.
        self._leave: Callable[[], None] | None = None

        self._encoded_custom_status: str | None = None
        self._completion: Completion | None = None

    # What the code may ask for

    def set_custom_status(self, custom_status: Any) -> None:
        if custom_status is not None and not isinstance(custom_status, str):
            warnings.warn(
                'Passing a non-str value to set_custom_status is deprecated and will be removed in a future version. '
                'Serialize your value to a JSON string before calling; until then it is encoded for you.',
                DeprecationWarning,
                stacklevel=2,
            )
            custom_status = self._encoded(custom_status, 'custom status')
        self._encoded_custom_status = custom_status

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
        # Taken first, and gone even if this raises and the code goes on: what comes next then has the id and the UUID
        # that it has in the histories of other workers.
        action_id = self._sequence_number = self._sequence_number + 1
        guid_counter = self._guid_counter
        self._guid_counter = guid_counter + 1
        name = activity if isinstance(activity, str) else get_name(activity)
        encoded_input = None
        if input is not None:
            try:  # `_encoded`, without a call
                encoded_input = self._payloads.encode(input)
            except Exception as error:
                told = not_encodable(f"input of call_activity('{name}')", input, error, self._payloads.encode)
                raise told from error
        if metadata is not None or self._metadata is not None:
            encoded_input = self._with_metadata(encoded_input, metadata)
        if app_id is not None or propagation is not None:
            _check_options(app_id, propagation)
        limit = None if timeout is None else duration_of(timeout)
        if retry_policy is not None:
            check('retry_policy', retry_policy, RetryPolicy)
            now = self.current_utc_datetime
            execution_id = str(deterministic_uuid_v5(self._instance_id, now, guid_counter))
            retryable: RetryableTask[Any] = RetryableTask(
                retry_policy, now, False, name, encoded_input, execution_id, app_id=app_id, propagation=propagation
            )
            self._schedule_attempt(retryable, action_id)
            if return_type is not None:
                retryable._read = self._payloads.reader(return_type)
            return retryable if limit is None else self._limited(retryable, limit, timeout)
        # The UUID is worked out if the action is sent.
        task: CompletableTask[Any] = ActivityTask()
        task._name = name
        action = ScheduleTask(task, name, encoded_input, self._clock, guid_counter)
        if app_id is not None:
            action.app_id = app_id
        if propagation is not None:
            action.propagation = propagation
        self._actions[action_id] = self._unresolved[action_id] = action  # `_record`, without a call
        if return_type is not None:
            task._read = self._payloads.reader(return_type)
        return task if limit is None else self._limited(task, limit, timeout)

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
        action_id = self._next_id()
        name = orchestrator if isinstance(orchestrator, str) else get_name(orchestrator)
        encoded_input = None if input is None else self._encoded(input, f"input of call_child_workflow('{name}')")
        encoded_input = self._with_metadata(encoded_input, metadata)
        _check_options(app_id, propagation)
        check('instance_id', instance_id, str)
        check('retry_policy', retry_policy, RetryPolicy)
        limit = None if timeout is None else duration_of(timeout)
        child_id = instance_id or default_child_id(self._instance_id, action_id)
        task: CompletableTask[Any]
        if retry_policy is None:
            task = ChildWorkflowTask()
            task._name = name
        else:
            task = RetryableTask(
                retry_policy,
                self.current_utc_datetime,
                True,
                name,
                encoded_input,
                instance_id=child_id,
                app_id=app_id,
                propagation=propagation,
            )
        action = CreateChildWorkflow(task, name, child_id, not instance_id, encoded_input, app_id, propagation)
        self._record(action_id, action)
        if return_type is not None:
            task._read = self._payloads.reader(return_type)
        return task if limit is None else self._limited(task, limit, timeout)

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
        action_id = self._next_id()
        name = workflow if isinstance(workflow, str) else get_name(workflow)
        encoded_input = None if input is None else self._encoded(input, f"input of schedule_new_workflow('{name}')")
        encoded_input = self._with_metadata(encoded_input, metadata)
        check('instance_id', instance_id, str)
        check('app_id', app_id, str)
        check('app_namespace', app_namespace, str)
        if instance_id == '':
            raise ValueError('instance_id must not be empty; leave it out for the default id.')
        if app_namespace is not None and not app_id:
            raise ValueError('app_namespace says where the app app_id is: give app_id, too.')
        moment = None if start_at is None else self._moment('start_at', start_at)
        if instance_id is None:
            instance_id = f'{self._instance_id}-{self._detached_count}'
            self._detached_count += 1
        router = router_to(self._app_id, app_id, app_namespace)
        message = helpers.new_create_detached_workflow_action(name, instance_id, encoded_input, moment, router)
        self._send(action_id, CreateDetachedWorkflow(name, instance_id, message))
        return instance_id

    def send_event(self, instance_id: str, name: str, data: Any = None) -> None:
        action_id = self._next_id()
        for argument, value in (('instance_id', instance_id), ('name', name)):
            if not isinstance(value, str):
                raise wrong_type(argument, value, 'a str')
            if not value:
                raise ValueError(f'{argument} must not be empty.')
        encoded = None if data is None else self._encoded(data, f"data of send_event('{name}')")
        message = helpers.new_send_event_action(instance_id, name, encoded, router_to(self._app_id, None))
        self._send(action_id, SendEvent(name, instance_id, message))

    def create_timer(self, fire_at: datetime | timedelta) -> Task[None]:
        action_id = self._next_id()
        timer = self._start_timer(action_id, self._moment('fire_at', fire_at), pb.TimerOriginCreateTimer())
        timer._name = str(fire_at)
        timer._let_go = self._give_up
        return timer

    def wait_for_external_event(
        self, name: str, *, timeout: datetime | timedelta | None = None, data_type: Any = None
    ) -> Task[Any]:
        if not isinstance(name, str):
            raise wrong_type('name', name, 'a str')
        event_task: CompletableTask[Any] = EventTask()
        event_task._name = name
        if data_type is not None:
            event_task._read = self._payloads.reader(data_type)
        event = self._mail().take(name)
        if event is not None:
            self._give_event(event_task, event.name, event.encoded)
            return event_task
        if isinstance(timeout, timedelta) and timeout == timedelta(0):
            event_task.cancel(
                TimeoutError(f'Wait for external event {name!r} canceled immediately due to zero timeout')
            )
            return event_task
        action_id = self._next_id()
        unlimited = timeout is None or (isinstance(timeout, timedelta) and timeout < timedelta(0))
        fire_at = None if timeout is None or unlimited else self._moment('timeout', timeout)
        timer = self._start_timer(action_id, fire_at, pb.TimerOriginExternalEvent(name=name))
        mailbox = self._mail()
        mailbox.wait(name, event_task, action_id)
        wait: ExternalEventWithTimeoutTask[Any] = ExternalEventWithTimeoutTask(
            event_task, timer, name, timeout, lambda: mailbox.withdraw(name, event_task)
        )
        wait._let_go = self.withdraw_wait
        return wait

    def continue_as_new(
        self, new_input: Any, *, save_events: bool = False, metadata: Mapping[str, str] | None = None
    ) -> None:
        check_flag('save_events', save_events)
        if self._completion is None:
            encoded = None if new_input is None else self._encoded(new_input, 'input of continue_as_new')
            self._completion = Completion(
                pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW,
                self._with_metadata(encoded, metadata),
                save_events=save_events,
            )
            if self._unsent():
                # A sidecar that gets a continue-as-new forgets what else was asked for in that turn. So they go in a
                # turn before it, and this timer, which is over at once, brings about the next.
                fire_at = naive_utc(self.current_utc_datetime)
                self.last_timer_id = self._next_id()
                self._actions[self.last_timer_id] = CreateTimer(TimerTask(), fire_at, pb.TimerOriginCreateTimer())

    @property
    def waits_for_event(self) -> bool:
        """Whether the code waits for an external event."""
        return self._mailbox is not None and self._mailbox.has_waiters

    # What the engine does on behalf of events

    def schedule_next_attempt(self, task: RetryableTask[Any]) -> None:
        """Schedules the next attempt of a call under a retry policy, under a new action id."""
        self._schedule_attempt(task, self._next_id())

    def _schedule_attempt(self, task: RetryableTask[Any], action_id: int) -> None:
        if task._is_sub_orch:
            assert task._instance_id is not None
            child = CreateChildWorkflow(
                task,
                task._task_name,
                task._instance_id,
                False,
                task._encoded_input,
                task._app_id,
                task._propagation,
                is_retry=True,
            )
            self._record(action_id, child)
        else:
            action = ScheduleTask(task, task._task_name, task._encoded_input, self._clock, 0)
            action.execution_id = task._task_execution_id
            action.app_id = task._app_id
            action.propagation = task._propagation
            self._record(action_id, action)

    def start_retry_timer(self, task: RetryableTask[Any], delay: timedelta) -> None:
        """Starts the wait before the next attempt."""
        origin: helpers.TimerOrigin
        if task._is_sub_orch:
            origin = pb.TimerOriginChildWorkflowRetry(instanceId=task._instance_id or '')
        else:
            origin = pb.TimerOriginActivityRetry(taskExecutionId=task._task_execution_id)
        self._start_timer(self._next_id(), self._after(delay), origin).set_retryable_parent(task)

    def receive_event(self, name: str, encoded: str | None) -> None:
        """Gives an external event to who has waited longest for its name; without a waiter, it is kept."""
        waiter = self._mail().deliver(name, encoded)
        if waiter is not None:
            self.forget_timer(waiter.timer_id, waiter.task._parent)
            self._give_event(waiter.task, name, encoded)

    def buffer_event(self, name: str, encoded: str | None) -> None:
        """Keeps an external event for a later wait, or for the next run."""
        self._mail().keep(name, encoded)

    def forget_timer(self, action_id: int, parent: object) -> None:
        """Lets go of a timer that no one waits for any more. It is in the history all the same, and means nothing when
        it fires.

        Args:
            action_id: Its action's id when it was made.
            parent: What waited for it.
        """
        action = self._unresolved.get(action_id)
        # Where ids have moved, the one that was noted may be another action's.
        if action is not None and action.task._parent is parent:
            del self._unresolved[action_id]

    def withdraw_wait(self, wait: Task[Any]) -> None:
        """Takes back a wait for an external event that is of no use any more, so that it takes no event from others."""
        if isinstance(wait, ExternalEventWithTimeoutTask) and not wait._is_complete:
            waiter = self._mail().withdraw(wait._event_name, wait._event_task)
            if waiter is not None:
                self.forget_timer(waiter.timer_id, waiter.task._parent)

    def note(self, text: str) -> None:
        """Takes note of something odd but harmless, for the log; in replay, it was noted when it was new."""
        if not self._is_replaying:
            self._notices.append(f'{self._instance_id}: {text}')

    def drop_optional_timer(self, action_id: int) -> bool:
        """Takes back the optional timer that the code made at this id, if it is one that history does not know.

        A history written before optional timers were invented gave the id to what came next: all higher ids move down
        by one.

        Returns:
            Whether there was one.
        """
        action = self._actions.get(action_id)
        if not isinstance(action, CreateTimer) or not action.optional:
            return False
        del self._actions[action_id]
        self._unresolved.pop(action_id, None)  # not there if it has fired, which only a broken history says
        self._actions = self._shifted_down(self._actions, action_id)
        self._unresolved = self._shifted_down(self._unresolved, action_id)
        for shifted_id, shifted in self._actions.items():
            if shifted_id >= action_id:
                shifted.renumber(self._instance_id, shifted_id)
        self._sequence_number -= 1
        return True

    def forgotten(self) -> list[tuple[int, Task[Any]]]:
        """What the code has asked for and not waited for, in the order of its calls, now that it has ended.

        What it waited for is complete, or belongs to a composite that is. Of calls that ended while the code waited for
        something else the latest are known.

        Returns:
            The id of the (first) call's action, and the task or the composite that is not waited for.
        """
        if not self._unresolved and not self._unseen:
            return []
        found: dict[Task[Any], int] = {}
        for action_id, action in sorted([*self._unresolved.items(), *(self._unseen or ())], key=_id_of):
            root: Task[Any] = action.task
            if isinstance(root, TimerTask) and root._retryable_parent is not None:
                root = root._retryable_parent
            while isinstance(root._parent, Task):
                root = root._parent
            # One that is complete was waited for, unless it is a call that nobody has looked at since.
            if root._parent is None and (not root._is_complete or root is action.task):
                found.setdefault(root, action_id)
        return [(action_id, task) for task, action_id in found.items()]

    def note_unseen(self, action_id: int, action: Awaited) -> None:
        """Takes note of what has ended while the code waits for something else."""
        if self._unseen is None:
            self._unseen = deque(maxlen=_UNSEEN)
        self._unseen.append((action_id, action))

    def let_go_of_clock(self) -> None:
        super().let_go_of_clock()
        if self._unseen:
            unseen = [each for each in self._unseen if each[1].task._parent is None]
            self._unseen = deque(unseen, _UNSEEN) if unseen else None

    def take_actions(self) -> list[pb.WorkflowAction]:
        """The messages of what the code has asked for and history has not confirmed, in program order.

        Raises:
            ValueError: A call was given an argument that no message can hold.
        """
        completion = self._completion
        if completion is None:
            return [self._message(action_id, action) for action_id, action in self._actions.items()]
        unsent = []
        if self.sends_messages and completion.status != pb.ORCHESTRATION_STATUS_TERMINATED:
            unsent = [self._message(action_id, action) for action_id, action in self._unsent()]
            if unsent and completion.status == pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW:
                return [*unsent, self._message(self.last_timer_id, self._actions[self.last_timer_id])]
        return [
            *unsent,
            helpers.new_complete_workflow_action(
                self._sequence_number + 1,
                completion.status,
                completion.encoded_result,
                completion.failure,
                self._carryover_events() if completion.save_events else None,
                pb.TaskRouter(sourceAppID=self._app_id) if self._app_id else None,
            ),
        ]

    def _unsent(self) -> list[tuple[int, Message]]:
        """The messages that history has not confirmed: they are sent even when the run ends in the same turn."""
        if not self.sends_messages:
            return []
        return [(action_id, action) for action_id, action in self._actions.items() if isinstance(action, Message)]

    def drop_pending(self) -> None:
        """Forgets what the code has asked for: it was led astray, since its replay and the history differ."""
        self._actions.clear()

    def set_complete(
        self, result: Any, status: pb.OrchestrationStatus.ValueType, is_result_encoded: bool = False
    ) -> None:
        """Ends the run with a result; without effect when it has ended. A result that cannot be encoded fails it."""
        if self._completion is not None:
            return
        try:
            encoded = result if is_result_encoded or result is None else self._encoded(result, 'output of the workflow')
        except Exception as error:
            self.set_failed(error)
        else:
            self._completion = Completion(status, encoded)

    def set_failed(self, error: BaseException) -> None:
        """Ends the run with an error; without effect when it has ended."""
        if self._completion is None:
            self._completion = Completion(pb.ORCHESTRATION_STATUS_FAILED, failure=helpers.new_failure_details(error))

    def retract_completion(self) -> bool:
        """Takes back an ending that the code came to by itself, and not by an error.

        Returns:
            Whether there was one.
        """
        if self._completion is None or self._completion.status not in _OWN_ENDINGS:
            return False
        self._completion = None
        return True

    def set_terminated(self, encoded_output: str | None) -> None:
        """Ends the run because a client said so; that beats a continue-as-new of the same turn, and nothing else."""
        ended = self._completion
        if ended is None or ended.status == pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW:
            self._completion = Completion(pb.ORCHESTRATION_STATUS_TERMINATED, encoded_output)

    # Inside

    def _encoded(self, value: Any, what: str) -> str | None:
        try:
            return self._payloads.encode(value)
        except Exception as error:
            raise not_encodable(what, value, error, self._payloads.encode) from error

    def _with_metadata(self, encoded: str | None, metadata: Mapping[str, str] | None) -> str | None:
        """An input with the metadata that goes with it: what is given, else what is set."""
        chosen = self._metadata if metadata is None else checked(metadata)
        return sealed(encoded, chosen) if chosen else encoded

    def _give_event(self, waiter: CompletableTask[Any], name: str, encoded: str | None) -> None:
        # Read here and not before: what nobody waits for may be anything, since anybody may send it.
        if not encoded:
            waiter.complete(None)
            return
        try:
            value = (waiter._read or self._payloads.decode)(encoded)
        except Exception as error:
            waiter.cancel(unreadable(f"payload of the external event '{name}'", error))
        else:
            waiter.complete(value)

    def _message(self, action_id: int, action: Action) -> pb.WorkflowAction:
        try:
            return action.to_message(self._instance_id, action_id, self._app_id)
        except (AttributeError, OverflowError, TypeError, ValueError) as error:
            raise ValueError(
                f'{action.describe()}, action {action_id}, cannot be sent: {error}. Names, instance ids and app ids '
                'must be str, without lone surrogates; a propagation is a PropagationScope.'
            ) from error

    def _next_id(self) -> int:
        self._sequence_number += 1
        return self._sequence_number

    def _send(self, action_id: int, message: Message) -> None:
        if self._completion is None:  # after its end, code asks in vain
            self.sends_messages = True
            self._actions[action_id] = message

    def _record(self, action_id: int, action: Awaited) -> None:
        self._actions[action_id] = action
        self._unresolved[action_id] = action

    def _start_timer(self, action_id: int, fire_at: datetime | None, origin: helpers.TimerOrigin) -> TimerTask:
        timer = TimerTask()
        self._record(action_id, CreateTimer(timer, fire_at, origin))
        return timer

    def _limited(self, call: CompletableTask[Any], limit: timedelta, timeout: object) -> Task[Any]:
        action_id = self._next_id()
        timer = self._start_timer(action_id, self._after(limit), pb.TimerOriginCreateTimer())

        def let_go(is_in_time: bool) -> None:
            if is_in_time:
                self.forget_timer(action_id, limited)
            else:
                self._give_up(call)

        limited = LimitedCallTask(call, timer, timeout, self.timeout_error, let_go)
        return limited

    def _give_up(self, call: CompletableTask[Any]) -> None:
        """Lets go of what is outstanding of a call or a timer: for a call under a retry policy, the attempt that runs,
        or the wait before the next one."""
        for action_id, action in self._unresolved.items():
            task = action.task
            if task is call or (isinstance(task, TimerTask) and task._retryable_parent is call):
                del self._unresolved[action_id]
                return

    def _after(self, delay: timedelta) -> datetime:
        try:
            return self.current_utc_datetime + delay
        except OverflowError:  # a delay without bounds ends where dates do
            return datetime.max

    def _moment(self, argument: str, when: datetime | timedelta) -> datetime:
        try:
            if isinstance(when, timedelta):
                return naive_utc(self.current_utc_datetime) + when
            if isinstance(when, datetime):
                return naive_utc(when)
        except OverflowError as error:
            raise OverflowError(
                f'{argument} is {when!r}, which is outside of what dates can be (years 1 to 9999, in UTC).'
            ) from error
        raise TypeError(f'{argument} must be a datetime or a timedelta, not {type(when).__name__}: {when!r}.')

    def _mail(self) -> Mailbox:
        mailbox = self._mailbox
        if mailbox is None:
            mailbox = self._mailbox = Mailbox()
        return mailbox

    def _carryover_events(self) -> list[pb.HistoryEvent]:
        kept = () if self._mailbox is None else self._mailbox.kept()
        return [helpers.new_event_raised_event(event.name, event.encoded) for event in kept]

    @staticmethod
    def _shifted_down(numbered: dict[int, _AnyAction], above: int) -> dict[int, _AnyAction]:
        return {(number - 1 if number > above else number): action for number, action in numbered.items()}


def _check_options(app_id: object, propagation: object) -> None:
    check('app_id', app_id, str)
    check('propagation', propagation, PropagationScope)


def _id_of(numbered: tuple[int, Awaited]) -> int:
    return numbered[0]
