"""History that travels with activities and child workflows: how much of it, and how to read it."""

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
