"""Dapr workflows for Python.

What an app imports. The engine under it is `_durabletask`.
"""

from __future__ import annotations

from dapr.ext.workflow._durabletask.failures import FailureDetails, TaskFailedError
from dapr.ext.workflow._durabletask.propagation import (
    ActivityResult,
    ChildWorkflowResult,
    PropagatedHistory,
    PropagationNotFoundError,
    PropagationScope,
    WorkflowResult,
)
from dapr.ext.workflow._durabletask.task import when_all, when_any
from dapr.ext.workflow._version import __version__

__all__ = [
    'ActivityResult',
    'ChildWorkflowResult',
    'FailureDetails',
    'PropagatedHistory',
    'PropagationNotFoundError',
    'PropagationScope',
    'TaskFailedError',
    'WorkflowResult',
    '__version__',
    'when_all',
    'when_any',
]
