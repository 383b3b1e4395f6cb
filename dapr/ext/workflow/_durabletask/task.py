"""What workflow code holds and waits for: tasks and their composites.

A task is a promise of the engine: it is made by a call on the context (`call_activity`, `create_timer`, ...), the
workflow yields it, and the engine completes it when the event that resolves it comes by. Nothing here knows the wire.

The names that workflow and activity code imports from here, the orchestrator's context, policies and errors among them,
live in modules of their own (`contexts`, `retry`, `failures`) and are re-exported; they say that they are of this one.
"""

from __future__ import annotations

import reprlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar, cast

from dapr.ext.workflow._durabletask import forgotten_yield
from dapr.ext.workflow._durabletask.call_logging import ACTIVITY_LOGGER, CallLogger
from dapr.ext.workflow._durabletask.call_types import TInput, TOutput
from dapr.ext.workflow._durabletask.contexts import (
    Activity,
    OrchestrationContext,
    Orchestrator,
    get_name,
)
from dapr.ext.workflow._durabletask.failures import (
    FailureDetails,
    NonDeterminismError,
    NonRetryableError,
    TaskCancelledError,
    TaskFailedError,
    WorkflowStateError,
)
from dapr.ext.workflow._durabletask.internal.homes import claim
from dapr.ext.workflow._durabletask.metadata import ActivityExecutionInfo
from dapr.ext.workflow._durabletask.propagation import PropagatedHistory, PropagationScope
from dapr.ext.workflow._durabletask.retry import RetryPolicy, is_error_non_retryable

if TYPE_CHECKING:
    from dapr.ext.workflow._durabletask.internal import protos as pb

__all__ = [
    'Activity',
    'ActivityContext',
    'CompletableTask',
    'CompositeTask',
    'ExternalEventWithTimeoutTask',
    'FailureDetails',
    'NonDeterminismError',
    'NonRetryableError',
    'OrchestrationContext',
    'Orchestrator',
    'PropagatedHistory',
    'PropagationScope',
    'RetryPolicy',
    'RetryableTask',
    'TInput',
    'TOutput',
    'Task',
    'TaskCancelledError',
    'TaskFailedError',
    'TimerTask',
    'WhenAllTask',
    'WhenAnyTask',
    'WorkflowStateError',
    'get_name',
    'is_error_non_retryable',
    'when_all',
    'when_any',
]

claim(
    __name__,
    FailureDetails,
    NonDeterminismError,
    NonRetryableError,
    OrchestrationContext,
    RetryPolicy,
    TaskCancelledError,
    TaskFailedError,
    WorkflowStateError,
)

T = TypeVar('T')
T_co = TypeVar('T_co', covariant=True)


class Parent(Protocol):
    """What a task tells of its end: its composite, or the future that stands for it in async code."""

    @property
    def _is_complete(self) -> bool: ...

    def on_child_completed(self, task: Task[Any]) -> None: ...


# Stands here since dapr-agents parses the source of this module, and looks in it for this class and its properties.
class ActivityContext:
    """What an activity may know of the call it was made by.

    Args:
        orchestration_id: The id of the workflow instance.
        task_id: The id of the action that scheduled the activity.
        task_execution_id: What all attempts of one call have in common: a key for idempotence.
        propagated_history: The history that the workflow has sent along, or None.
        name: The name that the activity was called by. Default: not known.
        attempt: Which attempt of the call this is, as far as its worker knows. Default: the first.
        shutting_down: Set when the worker is stopping. Default: it is not.
        metadata: What came with the call beside its input. Default: nothing.
        trace_parent: The sidecar's span of the activity, as a W3C `traceparent`. Default: nothing is traced.
        trace_state: The W3C `tracestate` that goes with it. Default: none.
    """

    # Never, in an activity: for `call_logging`.
    is_replaying = False

    def __init__(
        self,
        orchestration_id: str,
        task_id: int,
        task_execution_id: str = '',
        propagated_history: PropagatedHistory | None = None,
        *,
        name: str = '',
        attempt: int = 1,
        shutting_down: threading.Event | None = None,
        metadata: dict[str, str] | None = None,
        trace_parent: str | None = None,
        trace_state: str | None = None,
    ) -> None:
        self._orchestration_id = orchestration_id
        self._task_id = task_id
        self._task_execution_id = task_execution_id
        self._propagated_history = propagated_history
        self._name = name
        self._attempt = attempt
        self._shutting_down = shutting_down
        self._metadata = metadata
        self._trace_parent = trace_parent
        self._trace_state = trace_state

    @property
    def orchestration_id(self) -> str:
        """The id of the workflow instance that called the activity."""
        return self._orchestration_id

    @property
    def task_id(self) -> int:
        """The id of the action that scheduled the activity; another one at each attempt."""
        return self._task_id

    @property
    def task_execution_id(self) -> str:
        """What all attempts of one call have in common."""
        return self._task_execution_id

    @property
    def activity_name(self) -> str:
        """The name that the activity was called by."""
        return self._name

    @property
    def attempt(self) -> int:
        """Which attempt of its call this is, from 1 on, as far as this worker knows.

        No sidecar tells the number. The worker counts the attempts that have failed in it; those that another worker
        ran, or this one before it was restarted, are not among them. Use it for logs and metrics, not for decisions.
        """
        return self._attempt

    @property
    def is_shutting_down(self) -> bool:
        """Whether the worker is stopping: an activity that takes long should come to an end, or raise, so that the
        process ends in time. What is not answered then is run again by another worker, or after the restart."""
        return self._shutting_down is not None and self._shutting_down.is_set()

    @property
    def trace_parent(self) -> str | None:
        """The sidecar's span of the activity, as a W3C `traceparent`; None where nothing is traced."""
        return self._trace_parent or None

    @property
    def trace_state(self) -> str | None:
        """The W3C `tracestate` that goes with it, or None."""
        return self._trace_state or None

    @property
    def execution_info(self) -> ActivityExecutionInfo:
        """What the activity was called with beside its input, `inbound_metadata` among it."""
        return ActivityExecutionInfo(
            self._orchestration_id,
            self._name,
            self._task_id,
            self._attempt,
            self.get_metadata(),
            self.trace_parent,
            self.trace_state,
        )

    def get_metadata(self) -> dict[str, str]:
        """A copy of what came with the call beside its input, as headers do; empty: nothing."""
        return dict(self._metadata or ())

    def get_headers(self) -> dict[str, str]:
        """The same as `get_metadata`."""
        return self.get_metadata()

    @property
    def logger(self) -> CallLogger:
        """A logger for the activity's code, whose records go to `dapr.workflow.activity`, with `activity_name`,
        `instance_id`, `task_id` and `attempt`."""
        return CallLogger(ACTIVITY_LOGGER, self)

    def log_fields(self) -> dict[str, object]:
        """What the records of `logger` have beside the usual."""
        return {
            'activity_name': self._name,
            'instance_id': self._orchestration_id,
            'task_id': self._task_id,
            'attempt': self._attempt,
        }

    def get_propagated_history(self) -> PropagatedHistory | None:
        """The history that the workflow has sent along, or None."""
        return self._propagated_history


class _Seen:
    """Stands where a parent stands, in tasks that had ended when the code asked for them."""

    _is_complete = True

    def on_child_completed(self, task: Task[Any]) -> None:
        """Nothing: the task has ended."""


SEEN: Parent = _Seen()


class Task(Generic[T_co]):
    """A result that may not be there yet. A workflow yields it to wait for it."""

    # Defaults of the class, not set in an __init__: a replay makes a task for each action of a history.
    _result: T_co
    _is_complete: bool = False
    _exception: BaseException | None = None
    _parent: Parent | None = None

    # What was called for it, and by which name, for people to read.
    _method: ClassVar[str] = ''
    _name: str = ''

    def describe(self) -> str:
        """The call that gave the task, as messages show it."""
        method = self._method or type(self).__name__
        return f'{method}({self._name!r})' if self._name else method

    def __repr__(self) -> str:
        if not self._is_complete:
            state = 'not complete'
        else:
            state = 'complete' if self._exception is None else f'failed with {type(self._exception).__name__}'
        return f'<Task {self.describe()}: {state}>'

    def __str__(self) -> str:
        forgotten_yield.tell(f'{self.describe()} was made a text of', stacklevel=3)
        return f"{self!r} (did you forget 'yield'?)"

    def __format__(self, spec: str) -> str:
        forgotten_yield.tell(f'{self.describe()} was formatted into a text', stacklevel=3)
        return format(f"{self!r} (did you forget 'yield'?)", spec)

    def __bool__(self) -> bool:
        forgotten_yield.tell(f'{self.describe()} was taken for true or false; a task is always true', stacklevel=3)
        return True

    @property
    def is_complete(self) -> bool:
        """Whether the task has ended, well or not."""
        return self._is_complete

    @property
    def is_failed(self) -> bool:
        """Whether the task has ended with an error."""
        return self._exception is not None

    def get_result(self) -> T_co:
        """The result.

        Raises:
            ValueError: The task has not completed.
            Exception: What the task failed with, most often `TaskFailedError`.
        """
        if not self._is_complete:
            raise ValueError(
                f"The task has not completed. It is {self.describe()}: yield it first, as in 'result = yield task'."
            )
        if self._parent is None:
            self._parent = SEEN
        if self._exception is not None:
            raise self._exception
        return self._result

    def get_exception(self) -> BaseException:
        """What the task failed with.

        Raises:
            ValueError: The task has not failed.
        """
        if self._exception is None:
            raise ValueError('The task has not failed.')
        if self._parent is None:
            self._parent = SEEN
        return self._exception

    def cancel(self, exc: Exception | None = None) -> bool:
        """Takes back a wait for an external event, or a timer, that is of no use any more.

        It ends with `TaskCancelledError`. A wait is taken out of the queue for its event, so the next event of that
        name goes to a later wait. Nothing goes to the sidecar, which has no word for it: a timer stays in the history.

        Args:
            exc: What the task ends with. None (default): a `TaskCancelledError`.

        Returns:
            True; False if the task had ended before, which changes nothing.

        Raises:
            TypeError: It is neither a wait nor a timer, but a call, which nothing can call back, or a composite.
        """
        if self._is_complete:
            return False
        raise TypeError(
            f'{self.describe()} cannot be cancelled: only waits for external events and timers can. A call that was '
            'made goes on: leave it, or give it a timeout. Of a composite, cancel what it is made of.'
        )

    def _end(self) -> None:
        """Marks the task as ended and tells the composite that waits for it."""
        self._is_complete = True
        if self._parent is not None:
            self._parent.on_child_completed(self)


class CompletableTask(Task[T]):
    """A task that the engine completes: an activity, a child workflow, an external event."""

    # What reads its payload, where the code has said of which type it is.
    _read: Callable[[str], Any] | None = None

    def complete(self, result: T) -> None:
        """Ends the task with a result.

        Raises:
            ValueError: The task has already completed.
        """
        if self._is_complete:
            raise ValueError('The task has already completed.')
        self._result = result
        self._is_complete = True  # `_end`, without a call: this is what most events of a history come to
        if self._parent is not None:
            self._parent.on_child_completed(self)

    def fail(self, message: str, details: pb.TaskFailureDetails | FailureDetails) -> None:
        """Ends the task with a `TaskFailedError`.

        Raises:
            ValueError: The task has already completed.
        """
        if self._is_complete:
            raise ValueError('The task has already completed.')
        self.cancel(TaskFailedError(message, details))

    def cancel(self, exc: Exception | None = None) -> bool:
        """Ends the task with the given error, which the engine does to any task. Without one, see `Task.cancel`."""
        if exc is None:
            return super().cancel()
        if self._is_complete:
            return False
        self._exception = exc
        self._end()
        return True


class ActivityTask(CompletableTask[T]):
    """A call of an activity."""

    _method = 'call_activity'


class ChildWorkflowTask(CompletableTask[T]):
    """A call of a child workflow."""

    _method = 'call_child_workflow'


class EventTask(CompletableTask[T]):
    """The wait for an external event, without its limit in time."""

    _method = 'wait_for_external_event'


class RetryableTask(CompletableTask[T]):
    """A call of an activity or child workflow under a retry policy: one task over all its attempts.

    Args:
        retry_policy: The policy.
        start_time: The logical time at which the first attempt was scheduled.
        is_sub_orch: Whether it is a child workflow.
        task_name: The name of the activity or workflow.
        encoded_input: The input as it goes out at each attempt, or None.
        task_execution_id: What all attempts of an activity have in common.
        instance_id: The child workflow's id, the same at each attempt, or None.
        app_id: The app that runs it, or None for this one.
        propagation: How much history goes with it, or None.
    """

    def __init__(
        self,
        retry_policy: RetryPolicy,
        start_time: datetime,
        is_sub_orch: bool,
        task_name: str,
        encoded_input: str | None = None,
        task_execution_id: str = '',
        instance_id: str | None = None,
        app_id: str | None = None,
        propagation: PropagationScope | None = None,
    ) -> None:
        self._retry_policy = retry_policy
        self._start_time = start_time
        self._is_sub_orch = is_sub_orch
        self._task_name = task_name
        self._encoded_input = encoded_input
        self._task_execution_id = task_execution_id
        self._instance_id = instance_id
        self._app_id = app_id
        self._propagation = propagation
        self._name = task_name
        self._attempt_count = 1
        self._waited = timedelta(0)

    def describe(self) -> str:
        return f'{"call_child_workflow" if self._is_sub_orch else "call_activity"}({self._task_name!r})'

    def increment_attempt_count(self) -> None:
        """Counts a retry that begins, and the wait before it."""
        if self._retry_policy.retry_timeout is not None:  # else the sum is of no use, and may outgrow a timedelta
            self._waited += self.compute_next_delay() or timedelta(0)
        self._attempt_count += 1

    def compute_next_delay(self) -> timedelta | None:
        """The wait before the next attempt, after the current one has failed.

        Returns:
            The wait, or None when the policy allows no further attempt.
        """
        return self._retry_policy.delay_before_retry(self._attempt_count, self._waited)


class TimerTask(CompletableTask[None]):
    """A durable timer. One that stands for the wait before a retry knows the task that is to be tried again."""

    _method = 'create_timer'
    _retryable_parent: RetryableTask[Any] | None = None
    # Called when it is cancelled, so that its firing means nothing.
    _let_go: Callable[[CompletableTask[Any]], None] | None = None

    def set_retryable_parent(self, retryable_task: RetryableTask[Any]) -> None:
        """Makes the timer the wait before the next attempt of that task."""
        self._retryable_parent = retryable_task

    def cancel(self, exc: Exception | None = None) -> bool:
        if not self._is_complete and self._let_go is not None:
            self._let_go(self)
        return super().cancel(exc or _cancelled(self))


class CompositeTask(Task[T]):
    """A task over other tasks.

    Args:
        tasks: The tasks it is made of, each once.

    Raises:
        ValueError: A task is there twice, or is still awaited by another composite (a task tells one parent only).
    """

    _tasks: list[Task[Any]]

    def describe(self) -> str:
        count = len(self._tasks)
        return f'{self._method} of {count} task{"" if count == 1 else "s"}'

    def __init__(self, tasks: Sequence[Task[Any]]) -> None:
        children = list(_checked(self._method, tasks))
        if len({id(child) for child in children}) != len(children):
            raise ValueError(
                'the same task instance was passed to when_all/when_any more than once. A composite waits for each '
                'once: pass it once, and use its result as often as it is needed.'
            )
        for child in children:
            parent = child._parent
            if not child._is_complete and parent is not None and not parent._is_complete:
                raise ValueError(
                    'a pending task passed to when_all/when_any already belongs to another pending composite. A task '
                    'reports to one at a time: nest the two, or yield the first before making the second.'
                )
        self._tasks = children
        self._completed_tasks = 0
        for child in children:
            child._parent = self
            if child._is_complete:
                self.on_child_completed(child)

    def get_tasks(self) -> list[Task[Any]]:
        """The tasks that the composite is made of, in the order given."""
        return self._tasks

    def on_child_completed(self, task: Task[Any]) -> None:
        """Takes note that one of its tasks has ended. Each kind of composite says what that means."""
        raise NotImplementedError


class WhenAllTask(CompositeTask['list[T]']):
    """Ends when all its tasks have ended: with their results in order, or with the first failure."""

    _method = 'when_all'

    def __init__(self, tasks: Sequence[Task[T]]) -> None:
        super().__init__(tasks)
        if not self._tasks:
            self._result = []
            self._end()

    @property
    def pending_tasks(self) -> int:
        """How many of its tasks have not ended."""
        return len(self._tasks) - self._completed_tasks

    def get_completed_tasks(self) -> int:
        """How many of its tasks have ended."""
        return self._completed_tasks

    def on_child_completed(self, task: Task[Any]) -> None:
        """Takes note that one of its tasks has ended."""
        if self._is_complete:
            return
        self._completed_tasks += 1
        if task._exception is not None and self._exception is None:
            # Kept back until all have ended: the first failure is the one raised.
            self._exception = task._exception
        if self._completed_tasks == len(self._tasks):
            if self._exception is None:
                self._result = [child._result for child in self._tasks]
            self._end()

    @property
    def is_failed(self) -> bool:
        """Whether all its tasks have ended, and one of them with an error."""
        return self._is_complete and self._exception is not None

    def get_exception(self) -> BaseException:
        """The first failure among its tasks, once all have ended.

        Raises:
            ValueError: The composite has not failed.
        """
        if not self.is_failed:
            raise ValueError('The task has not failed.')
        return super().get_exception()


class WhenAnyTask(CompositeTask['Task[T]']):
    """Ends when one of its tasks has ended; its result is that task, well ended or not."""

    _method = 'when_any'

    def __init__(self, tasks: Sequence[Task[T]]) -> None:
        super().__init__(tasks)
        if not self._tasks:
            # There is no winner to give; an empty list is what other SDKs' Python apps have always seen here.
            self._result = cast('Task[T]', [])
            self._end()

    def on_child_completed(self, task: Task[Any]) -> None:
        """Takes note that one of its tasks has ended: the first one wins."""
        if not self._is_complete:
            self._result = task
            self._end()


class ExternalEventWithTimeoutTask(CompositeTask[T]):
    """The wait for an external event, against a timer.

    Args:
        event_task: Ends when the event comes.
        timer_task: Ends when the wait has lasted too long.
        event_name: The event's name, for the error's message.
        timeout: How long, or until when, the wait lasts; for the error's message.
        on_timeout: Called when the timer was first, so that the waiter can be withdrawn.
    """

    def __init__(
        self,
        event_task: CompletableTask[T],
        timer_task: TimerTask,
        event_name: str,
        timeout: datetime | timedelta | None = None,
        on_timeout: Callable[[], object] | None = None,
    ) -> None:
        self._event_task = event_task
        self._timer_task = timer_task
        self._event_name = event_name
        self._timeout = timeout
        self._on_timeout = on_timeout
        super().__init__([event_task, timer_task])

    # Called when it is cancelled, so that it takes no event.
    _let_go: Callable[[Task[Any]], None] | None = None

    def describe(self) -> str:
        return f'wait_for_external_event({self._event_name!r})'

    def cancel(self, exc: Exception | None = None) -> bool:
        if self._is_complete:
            return False
        if self._let_go is not None:
            self._let_go(self)
        self._exception = exc or _cancelled(self)
        self._end()
        return True

    def on_child_completed(self, completed_task: Task[Any]) -> None:
        """Takes note that the event came, or that the time is up."""
        if self._is_complete:
            return
        if completed_task is self._event_task:
            if completed_task._exception is not None:
                self._exception = completed_task._exception
            else:
                self._result = completed_task._result
        else:
            if self._on_timeout is not None:
                self._on_timeout()
            after = f' after {self._timeout!r}' if self._timeout is not None else ''
            self._exception = TimeoutError(f'Timed out{after} waiting for external event {self._event_name!r}')
        self._end()


def _cancelled(task: Task[Any]) -> TaskCancelledError:
    return TaskCancelledError(f'{task.describe()} was cancelled by the workflow.')


def _checked(method: str, tasks: Iterable[Any]) -> Iterator[Task[Any]]:
    if isinstance(tasks, Task):
        raise TypeError(f'{method} takes a list of tasks, not {tasks!r} alone.')
    for index, task in enumerate(tasks):
        if not isinstance(task, Task):
            raise TypeError(
                f'{method} was given {reprlib.repr(task)} ({type(task).__name__}) at index {index}. It takes tasks: '
                'what call_activity, create_timer, when_all and the like return.'
            )
        yield task


def when_all(tasks: Sequence[Task[T]]) -> WhenAllTask[T]:
    """A task that ends when all the given ones have.

    Yielding it gives their results in the order given. If any of them failed, it raises the first failure, after all
    have ended. An empty list is complete at once.

    Raises:
        TypeError: Something in the list is no task.
        ValueError: A task is given twice, or belongs to another pending composite.
    """
    return WhenAllTask(tasks)


def when_any(tasks: Sequence[Task[T]]) -> WhenAnyTask[T]:
    """A task that ends when the first of the given ones has.

    Yielding it gives that task: `winner.get_result()` gives its result or raises its failure. The others go on. An
    empty list is complete at once, with an empty list as the result.

    Raises:
        TypeError: Something in the list is no task.
        ValueError: A task is given twice, or belongs to another pending composite.
    """
    return WhenAnyTask(tasks)
