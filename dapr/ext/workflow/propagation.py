"""History that travels with activities and child workflows: how much of it, and how to read it."""

from dapr.ext.workflow._durabletask.internal.homes import claim
from dapr.ext.workflow._durabletask.propagation import (
    ActivityResult,
    ChildWorkflowResult,
    PropagatedHistory,
    PropagationNotFoundError,
    PropagationScope,
    WorkflowResult,
)

__all__ = [
    'ActivityResult',
    'ChildWorkflowResult',
    'PropagatedHistory',
    'PropagationNotFoundError',
    'PropagationScope',
    'WorkflowResult',
]

claim(
    __name__,
    ActivityResult,
    ChildWorkflowResult,
    PropagatedHistory,
    PropagationNotFoundError,
    PropagationScope,
    WorkflowResult,
)
