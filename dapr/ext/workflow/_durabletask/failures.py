"""Failures as a workflow sees them: what went wrong in a task, and the errors that the engine raises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dapr.ext.workflow._durabletask.internal import protos as pb


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
    """

    # On the class, so that those that were pickled by versions without them have them.
    _inner_failure: FailureDetails | None = None
    _is_non_retriable: bool = False
    _task_name: str | None = None
    _attempt: int | None = None

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
    ) -> None:
        self._message = message
        self._error_type = error_type
        self._stack_trace = stack_trace
        self._inner_failure = inner_failure
        self._is_non_retriable = is_non_retriable
        self._task_name = task_name
        self._attempt = attempt

    @classmethod
    def from_proto(
        cls, details: pb.TaskFailureDetails, *, task_name: str | None = None, attempt: int | None = None
    ) -> FailureDetails:
        """Reads a failure with its causes as it is on the wire.

        Args:
            details: The message.
            task_name: What has failed.
            attempt: Which attempt of it.
        """
        return cls(
            details.errorMessage,
            details.errorType,
            details.stackTrace.value or None,
            inner_failure=cls.from_proto(details.innerFailure) if details.HasField('innerFailure') else None,
            is_non_retriable=details.isNonRetriable,
            task_name=task_name,
            attempt=attempt,
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
        """The activity or child workflow that failed; None in inner failures, and in what a client reads."""
        return self._task_name

    @property
    def attempt(self) -> int | None:
        """Which attempt failed last, from 1 on; None in inner failures, and in what a client reads."""
        return self._attempt

    def __str__(self) -> str:
        parts = []
        failure: FailureDetails | None = self
        while failure is not None:
            typed = failure._error_type or 'an unnamed error'
            parts.append(f'{typed}: {failure._message}' if failure._message else typed)
            failure = failure._inner_failure
        return ', caused by '.join(parts)

    def __repr__(self) -> str:
        return f'FailureDetails(error_type={self._error_type!r}, message={self._message!r})'


class TaskFailedError(Exception):
    """Raised into a workflow where it waits for an activity or a child workflow that failed.

    Args:
        message: The message of this error.
        details: The failure, as it came from the sidecar (`TaskFailureDetails`) or as it was read.
    """

    def __init__(self, message: str, details: pb.TaskFailureDetails | FailureDetails) -> None:
        super().__init__(message)
        self._details = details if isinstance(details, FailureDetails) else FailureDetails.from_proto(details)

    def __reduce__(self) -> tuple[Any, ...]:
        return remade, (type(self), self.args, self.__dict__)

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
