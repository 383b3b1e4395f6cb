"""Failures as a workflow sees them: what went wrong in a task, and the errors that the engine raises."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Literal, cast

if TYPE_CHECKING:
    from dapr.ext.workflow._durabletask.internal import protos as pb

TaskKind = Literal['activity', 'workflow']

# What a stack trace begins with where a failure is passed on: there is no field for what has failed.
_PLACE: Final = re.compile(r"In the (activity|workflow) '(.*)'(?:, attempt (\d+))?:\n")


def remade(kind: type[BaseException], args: tuple[Any, ...], state: dict[str, Any]) -> BaseException:
    """An error as it was before it was pickled or copied, whatever its constructor takes; for `__reduce__`."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class FailureDetails:
    """What is known of a failure: its message, the name of its type, where it came from, and what caused it.

    `str(details)` is the type and the message, as Python shows an error, with those of its causes.

    Args:
        message: The error's message.
        error_type: The name of the error's type in the process that raised it, without its module.
        stack_trace: The stack trace there, or None when it sent none.
        inner_failure: The failure that caused this one, or None.
        is_non_retriable: Whether the failing side knows that another attempt would fail alike. Default: False.
        task_name: The activity or the child workflow that failed, or None where that is not known.
        attempt: Which attempt of it failed last, from 1 on, or None where that is not known.
        task_kind: Which of both it is, or None where that is not known.
    """

    # On the class, so that those that were pickled by versions without them have them.
    _inner_failure: FailureDetails | None = None
    _is_non_retriable: bool = False
    _task_name: str | None = None
    _attempt: int | None = None
    _task_kind: TaskKind | None = None

    def __init__(
        self,
        message: str,
        error_type: str,
        stack_trace: str | None,
        *,
        inner_failure: FailureDetails | None = None,
        is_non_retriable: bool = False,
        task_name: str | None = None,
        attempt: int | None = None,
        task_kind: TaskKind | None = None,
    ) -> None:
        self._message = message
        self._error_type = error_type
        self._stack_trace = stack_trace
        self._inner_failure = inner_failure
        self._is_non_retriable = is_non_retriable
        self._task_name = task_name
        self._attempt = attempt
        self._task_kind = task_kind

    @classmethod
    def from_proto(
        cls,
        details: pb.TaskFailureDetails,
        *,
        task_name: str | None = None,
        attempt: int | None = None,
        task_kind: TaskKind | None = None,
    ) -> FailureDetails:
        """Reads a failure with its causes as it is on the wire.

        Args:
            details: The message.
            task_name: What has failed. None (default): what the message says of that.
            attempt: Which attempt of it.
            task_kind: Whether that is an activity or a workflow.
        """
        trace = details.stackTrace.value
        if task_name is None and (place := _PLACE.match(trace)) is not None:
            trace = trace[place.end() :]
            task_kind, task_name, attempt = cast('TaskKind', place[1]), place[2], int(place[3] or 1)
        return cls(
            details.errorMessage,
            details.errorType,
            trace or None,
            inner_failure=cls.from_proto(details.innerFailure) if details.HasField('innerFailure') else None,
            is_non_retriable=details.isNonRetriable,
            task_name=task_name,
            attempt=attempt,
            task_kind=task_kind,
        )

    @property
    def message(self) -> str:
        """The error's message."""
        return self._message

    @property
    def error_type(self) -> str:
        """The name of the error's type, without its module."""
        return self._error_type

    @property
    def stack_trace(self) -> str | None:
        """The stack trace of the process that raised it, or None."""
        return self._stack_trace

    @property
    def inner_failure(self) -> FailureDetails | None:
        """What caused it: the error's `__cause__` or `__context__`, the first member of an exception group, or the
        failure of the task that a workflow has failed by. None: nothing, or its worker sends no causes.
        """
        return self._inner_failure

    @property
    def is_non_retriable(self) -> bool:
        """Whether the failing side knows that another attempt would fail alike, as by a `NonRetryableError`."""
        return self._is_non_retriable

    @property
    def task_name(self) -> str | None:
        """The activity or child workflow that failed. None for what is none, or where the worker does not send it."""
        return self._task_name

    @property
    def attempt(self) -> int | None:
        """Which attempt of it failed last, from 1 on; None where `task_name` is."""
        return self._attempt

    @property
    def place(self) -> str:
        """What has failed, in words, as `in the activity 'charge', attempt 2`; empty where that is not known."""
        task = self._task()
        return f'in {task}' if task else ''

    @property
    def sent_trace(self) -> str | None:
        """The stack trace as it goes on to others, with what has failed before it: what `from_proto` reads."""
        task = self._task()
        return f'In {task}:\n{self._stack_trace or ""}' if task else self._stack_trace

    def _task(self) -> str:
        if self._task_name is None or self._task_kind is None:
            return ''
        attempt = f', attempt {self._attempt}' if (self._attempt or 1) > 1 else ''
        return f"the {self._task_kind} '{self._task_name}'{attempt}"

    @property
    def full_message(self) -> str:
        """The message; where a workflow has failed by one of its tasks, with the type and the place of that failure.

        On the wire there is the message alone, which is that of dapr 1.19.0, word for word: apps look for its words.
        """
        return f'{self._message}{self._failed_by()}'

    def _failed_by(self) -> str:
        """The types and places of the tasks that a workflow has failed by, the innermost first."""
        inner = self._inner_failure
        return inner._whereabouts() if inner is not None and self._error_type == TaskFailedError.__name__ else ''

    def _whereabouts(self) -> str:
        """Its type and place, behind those of what it has failed by."""
        if not self.place:
            return self._failed_by()
        own = f'{self._error_type} {self.place}' if self._message else self.place
        return f'{self._failed_by()} ({own})'

    def __str__(self) -> str:
        parts = []
        failure: FailureDetails | None = self
        while failure is not None:
            typed = failure._error_type or 'an unnamed error'
            part = f'{typed}: {failure._message}' if failure._message else typed
            parts.append(f'{part} ({failure.place})' if failure.place and failure is not self else part)
            failure = failure._inner_failure
        return ', caused by '.join(parts)

    def __repr__(self) -> str:
        return f'FailureDetails(error_type={self._error_type!r}, message={self._message!r})'


class TaskFailedError(Exception):
    """Raised into a workflow where it waits for an activity or a child workflow that failed.

    `str(error)` is the message, and behind it the types and the places of what has failed.

    Args:
        message: The message of this error.
        details: The failure, as it came from the sidecar (`TaskFailureDetails`) or as it was read.
    """

    def __init__(self, message: str, details: pb.TaskFailureDetails | FailureDetails) -> None:
        super().__init__(message)
        self._details = details if isinstance(details, FailureDetails) else FailureDetails.from_proto(details)

    def __reduce__(self) -> tuple[Any, ...]:
        return remade, (type(self), self.args, self.__dict__)

    def __str__(self) -> str:
        return f'{self.message}{self._details._whereabouts()}'

    @property
    def message(self) -> str:
        """The message alone: what the workflow's failure says if nobody catches this."""
        return super().__str__()

    @property
    def details(self) -> FailureDetails:
        """The failure of the activity or child workflow."""
        return self._details


class TaskCancelledError(Exception):
    """A wait for an external event, or a timer, was waited for after the workflow had cancelled it."""


class NonDeterminismError(Exception):
    """The workflow's code did not do in replay what its history says it has done."""


class WorkflowStateError(Exception):
    """A workflow's state or history is not what the operation needs."""


class UnsupportedBySidecarError(Exception):
    """A workflow asked for something that the sidecar which runs it cannot do; the message says what to do instead."""


class NonRetryableError(Exception):
    """Raise it (or a subclass) in an activity or a child workflow to end its retries at once.

    The failure goes out marked as not to be retried, so that its type's name does not matter.
    """
