"""The errors and warnings of workflows that are written with `async def`."""

from __future__ import annotations

import asyncio
import sys


class AsyncWorkflowError(Exception):
    """An async workflow did what no workflow can do, or came to a point from which it cannot go on."""


class WorkflowValidationError(AsyncWorkflowError):
    """A function or an option of an async workflow was refused, where it was registered or called."""


class SandboxViolationError(AsyncWorkflowError):
    """A workflow that runs in the sandbox mode 'strict' called what that mode refuses.

    Args:
        call: What was called, such as 'os.urandom'.
        instead: What to use in its place, as the end of a sentence.
    """

    def __init__(self, call: str, instead: str) -> None:
        super().__init__(f"{call} is refused in a workflow whose sandbox mode is 'strict': {instead}")
        self.call = call
        self.instead = instead

    def __reduce__(self) -> tuple[type[SandboxViolationError], tuple[str, str]]:
        return type(self), (self.call, self.instead)


if sys.version_info >= (3, 11):

    class WorkflowTimeoutError(AsyncWorkflowError, TimeoutError):
        """A wait of a workflow took longer than it was given. It is a `TimeoutError`, too."""
else:

    class WorkflowTimeoutError(AsyncWorkflowError, TimeoutError, asyncio.TimeoutError):
        """A wait of a workflow took longer than it was given. It is a `TimeoutError`, too, of either kind: until
        Python 3.10 asyncio's is another than the builtin one, and code may catch either."""


class ContinuedAsNew(BaseException):
    """Ends the code of a run that continues as new. Nothing is to catch it."""


class NonDeterminismWarning(UserWarning):
    """A workflow's code asked for something that may be another at each replay, such as the time of the machine."""
