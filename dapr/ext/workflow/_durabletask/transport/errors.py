"""Errors of calls, as they are told.

An error whose cause is known is a `WorkflowCallError` that is also of the type which gRPC raised: whatever caught that
one catches this one, and `code()` and `details()` are the sidecar's. Its subclasses are the kinds that apps tell apart.
All of them can be pickled and copied; what comes back is of the kind, with the same text, status and details, but
without gRPC's own type, whose state cannot be carried elsewhere.
"""

from __future__ import annotations

import types
from typing import Any, Final, TypeVar

import grpc

TError = TypeVar('TError', bound='WorkflowCallError')


class WorkflowCallError(grpc.RpcError):
    """The error of a call whose cause is known: its text says what is wrong and what to do about it.

    Args:
        message: What is wrong, and what to do.
        status: gRPC's status of the call. Default: UNKNOWN.
        details: What the sidecar said. Default: nothing.
    """

    def __init__(
        self, message: str, status: grpc.StatusCode = grpc.StatusCode.UNKNOWN, details: str | None = None
    ) -> None:
        super().__init__(message)
        self._message = message
        self._status = status
        self._said = details

    def code(self) -> grpc.StatusCode:
        """gRPC's status of the call."""
        return self._status

    def details(self) -> str:
        """What the sidecar said; '' where it was not asked, or said nothing."""
        return self._said or ''

    def __str__(self) -> str:
        return self._message if self._said is None else f'{self._message} ({self._status.name}: {self._said})'

    def __repr__(self) -> str:  # gRPC's own types tell their whole report
        return str(self)

    def __reduce__(self) -> tuple[Any, ...]:
        own = {name: value for name, value in self.__dict__.items() if name in _CARRIED}
        return _restore, (_kind_of(type(self)), own)


class WorkflowNotFoundError(WorkflowCallError):
    """There is no workflow instance of that id."""


class WorkflowAlreadyExistsError(WorkflowCallError):
    """The instance id is taken."""


class WorkflowTimeoutError(WorkflowCallError, TimeoutError):
    """The time for a call or a wait is over. Its text says what was waited for, and what was in the way."""


class WorkflowStalledError(WorkflowCallError):
    """The instance is stalled: it stands still until a worker can go on with it.

    Attributes:
        reason: Why, as the sidecar's history has it: 'PATCH_MISMATCH', 'VERSION_NOT_AVAILABLE',
            'PAYLOAD_SIZE_EXCEEDED'; None where it is not known.
        description: The sidecar's own words for it, or None.
    """

    reason: str | None = None
    description: str | None = None


class SidecarUnavailableError(WorkflowCallError):
    """There is no connection to the sidecar."""


class WorkerNotConnectedError(WorkflowCallError):
    """No worker of the app is connected to its sidecar, or the sidecar is not done yet with one that came or went."""


class PayloadTooLargeError(WorkflowCallError):
    """A message is larger than the sidecar, or this client, is set to take."""


# What an error of ours has beside what gRPC's types keep in theirs.
_CARRIED: Final = frozenset({'_message', '_status', '_said', 'reason', 'description'})
# One for each pair, so that errors of a kind stay of a kind.
_KNOWN_KINDS: Final[dict[tuple[type[WorkflowCallError], type[grpc.RpcError]], type[WorkflowCallError]]] = {}


def with_advice(error: grpc.RpcError, advice: str, kind: type[TError]) -> TError:
    """An error like the given one, whose text says what is wrong and what to do.

    Args:
        error: What the call ended with.
        advice: What is wrong, and what to do.
        kind: What the error is told as.
    """
    raised = type(error)
    if (kind, raised) not in _KNOWN_KINDS:
        # What nobody tells apart goes by gRPC's name, as ever.
        named: type = raised if kind is WorkflowCallError else kind
        _KNOWN_KINDS[kind, raised] = types.new_class(
            named.__name__, (kind, raised), exec_body=lambda body: body.update(__module__=named.__module__)
        )
    made: Any = _KNOWN_KINDS[kind, raised]
    # gRPC's types have constructors of all sorts. What their methods read is what these have set.
    known: TError = made.__new__(made, advice)
    known.__dict__.update(
        error.__dict__, _message=advice, _status=status_of(error) or grpc.StatusCode.UNKNOWN, _said=details_of(error)
    )
    return known


def status_of(error: BaseException) -> grpc.StatusCode | None:
    """The status that a call ended with; None for an error that is none of a call's."""
    code = getattr(error, 'code', None)
    status = code() if isinstance(error, grpc.RpcError) and callable(code) else None
    return status if isinstance(status, grpc.StatusCode) else None


def code_of(error: BaseException) -> str:
    """What went wrong, as one of few words: the name of a call's status in lower case, or 'error'."""
    status = status_of(error)
    return 'error' if status is None else status.name.lower()


def details_of(error: BaseException) -> str:
    """The details that a call ended with; '' where there are none."""
    details = getattr(error, 'details', None)
    return str(details() or '') if callable(details) else ''


def describe(error: BaseException) -> str:
    """One line about an error: a call's status and details instead of grpc's whole report."""
    if isinstance(error, WorkflowCallError):
        return str(error)
    status = status_of(error)
    if status is not None and callable(getattr(error, 'details', None)):
        return f'{status.name}: {details_of(error)}'
    return f'{type(error).__name__}: {error}'


def _kind_of(made: type[WorkflowCallError]) -> type[WorkflowCallError]:
    """The kind that can be imported, of one that `with_advice` may have made."""
    return next((kind for (kind, _), known in _KNOWN_KINDS.items() if known is made), made)


def _restore(kind: type[WorkflowCallError], carried: dict[str, Any]) -> WorkflowCallError:
    error = kind(carried['_message'])
    error.__dict__.update(carried)
    return error
