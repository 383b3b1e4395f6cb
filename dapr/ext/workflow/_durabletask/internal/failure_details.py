"""Errors on the wire: what is sent of one, and what a retry policy reads there.

`TaskFailureDetails` has a type's name, a message, a stack trace, one inner failure and a mark against retries. What an
error has beyond that goes where it fits:

- **What caused it** is the inner failure, and so on down: the failure that a `TaskFailedError` tells of; else
  `__cause__`, else `__context__`; else the first member of an exception group. The stack trace of the outermost has all
  of them, the other members of groups too.
- **A subclass of NonRetryableError** is marked as not to be retried. So is what fails by such a failure of a task.
- **Which task has failed**, where a workflow passes its failure on, stands in the first line of that failure's stack
  trace, `In the activity 'charge', attempt 2:`, and **the bases of a type** in the last line, `KeyError, a kind of
  LookupError, Exception`: there is no field for them, every sidecar carries the trace, and a history replays alike
  wherever their classes are.
"""

from __future__ import annotations

import builtins
import re
import traceback
from collections.abc import Iterator
from typing import Any, Final

from google.protobuf import wrappers_pb2

from dapr.ext.workflow._durabletask.failures import FailureDetails, NonRetryableError, TaskFailedError
from dapr.ext.workflow._durabletask.internal import protos as pb

__all__ = ['blamed', 'new_failure_details', 'type_names']

# The emulator, and this, keep so many causes of one failure: enough for people, and a bound for the message.
_MAX_CAUSES: Final = 16
_GROUP: Final[Any] = getattr(builtins, 'BaseExceptionGroup', ())  # from Python 3.11 on
_TELLS_NOTHING: Final = (BaseException, object)
_KINDS: Final = re.compile(r'(\w+), a kind of ([\w, ]+)')


def new_failure_details(ex: BaseException) -> pb.TaskFailureDetails:
    """An error as the wire has it.

    Nothing that a message may hold gets in the way: one that cannot be printed is replaced by a note that says so, and
    characters that UTF-8 does not have (lone surrogates) by a question mark.
    """
    details = pb.TaskFailureDetails()
    _write(ex, details, _stack_trace(ex), 0, {id(ex)})
    return details


def blamed(details: pb.TaskFailureDetails) -> pb.TaskFailureDetails:
    """The failure that a retry policy goes by: that of the task, where a workflow has failed by one of its tasks."""
    while details.errorType == TaskFailedError.__name__ and details.HasField('innerFailure'):
        details = details.innerFailure
    return details


def type_names(details: pb.TaskFailureDetails) -> Iterator[str]:
    """The name of a failure's type, and those of the type's bases, where its worker has sent them."""
    yield details.errorType
    last_line = details.stackTrace.value.rstrip().rpartition('\n')[2]
    kinds = _KINDS.fullmatch(last_line)
    if kinds is not None and kinds[1] == details.errorType:
        yield from kinds[2].split(', ')


def _write(ex: BaseException, details: pb.TaskFailureDetails, trace: str, depth: int, seen: set[int]) -> None:
    kind = type(ex)
    details.errorType = kind.__name__
    details.errorMessage = _utf8(ex.message if isinstance(ex, TaskFailedError) else _message(ex))
    bases = [base.__name__ for base in kind.__mro__[1:] if base not in _TELLS_NOTHING]
    if bases:
        trace += f'{kind.__name__}, a kind of {", ".join(bases)}\n'
    details.stackTrace.CopyFrom(wrappers_pb2.StringValue(value=_utf8(trace)))
    details.isNonRetriable = isinstance(ex, NonRetryableError)
    if depth == _MAX_CAUSES:
        return
    if isinstance(ex, TaskFailedError):
        _copy(ex.details, details.innerFailure, depth + 1)
        details.isNonRetriable |= details.innerFailure.isNonRetriable
        return
    cause = next(_causes(ex), None)
    if cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        _write(cause, details.innerFailure, ''.join(traceback.format_tb(cause.__traceback__)), depth + 1, seen)


def _copy(failure: FailureDetails, details: pb.TaskFailureDetails, depth: int) -> None:
    details.errorType = failure.error_type
    details.errorMessage = failure.message
    trace = failure.sent_trace
    if trace is not None:
        details.stackTrace.value = trace
    details.isNonRetriable = failure.is_non_retriable
    if failure.inner_failure is not None and depth < _MAX_CAUSES:
        _copy(failure.inner_failure, details.innerFailure, depth + 1)


def _causes(ex: BaseException) -> Iterator[BaseException]:
    """What an error came of: one for most, several for a group."""
    if ex.__cause__ is not None:
        yield ex.__cause__
    elif ex.__context__ is not None and not ex.__suppress_context__:
        yield ex.__context__
    if isinstance(ex, _GROUP):
        yield from ex.exceptions


def _message(ex: BaseException) -> str:
    try:
        return str(ex)
    except Exception:
        return f'<the message of this {type(ex).__name__} cannot be printed>'


def _stack_trace(ex: BaseException) -> str:
    """The stack below an error, and those of all that it came of, each once."""
    lines = traceback.format_tb(ex.__traceback__)
    seen = {id(ex)}
    waiting = list(_causes(ex))
    while waiting:
        cause = waiting.pop(0)
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        lines += [f'Caused by {type(cause).__name__}: {_message(cause)}\n', *traceback.format_tb(cause.__traceback__)]
        waiting += _causes(cause)
    return ''.join(lines)


def _utf8(text: str) -> str:
    return text.encode('utf-8', 'replace').decode('utf-8')
