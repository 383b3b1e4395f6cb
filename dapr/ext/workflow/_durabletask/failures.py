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
    """What is known of a failure: its message, the name of its type, and where it came from.

    Args:
        message: The error's message.
        error_type: The name of the error's type in the process that raised it, without its module.
        stack_trace: The stack trace there, or None when it sent none.
    """

    def __init__(self, message: str, error_type: str, stack_trace: str | None) -> None:
        self._message = message
        self._error_type = error_type
        self._stack_trace = stack_trace

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

    def __repr__(self) -> str:
        return f'FailureDetails(error_type={self._error_type!r}, message={self._message!r})'


class TaskFailedError(Exception):
    """Raised into a workflow where it waits for an activity or a child workflow that failed.

    Args:
        message: The message of this error.
        details: The failure as it came from the sidecar (`TaskFailureDetails`).
    """

    def __init__(self, message: str, details: pb.TaskFailureDetails) -> None:
        super().__init__(message)
        self._details = FailureDetails(
            details.errorMessage,
            details.errorType,
            details.stackTrace.value or None,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return remade, (type(self), self.args, self.__dict__)

    @property
    def details(self) -> FailureDetails:
        """The failure of the activity or child workflow."""
        return self._details


class NonDeterminismError(Exception):
    """The workflow's code did not do in replay what its history says it has done."""


class WorkflowStateError(Exception):
    """A workflow's state or history is not what the operation needs."""


class NonRetryableError(Exception):
    """Raise it (or a subclass) in an activity or a child workflow to end its retries at once."""
