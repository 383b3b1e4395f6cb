"""What a worker tells of itself: metrics and spans, for OpenTelemetry, and the seam for whoever wants to listen, too.

    from dapr.ext.workflow import WorkflowRuntime
    from dapr.ext.workflow.observability import WorkflowMetrics

    runtime = WorkflowRuntime(listeners=[WorkflowMetrics()])

`WorkflowMetrics` and `WorkerSpans` need OpenTelemetry's API: `pip install dapr-stateful-workflow[otel]`.
`WorkerListener` needs nothing. The sidecar has metrics and spans of its own; what is here the worker alone knows.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from dapr.ext.workflow._durabletask.listener import ActivityRecord, ObservedWorker, TurnRecord, WorkerListener

if TYPE_CHECKING:
    from dapr.ext.workflow.observability.metrics import WorkflowMetrics
    from dapr.ext.workflow.observability.spans import WorkerSpans

__all__ = ['ActivityRecord', 'ObservedWorker', 'TurnRecord', 'WorkerListener', 'WorkerSpans', 'WorkflowMetrics']

_NEED_OPENTELEMETRY = {'WorkerSpans': 'spans', 'WorkflowMetrics': 'metrics'}


def __getattr__(name: str) -> Any:
    module = _NEED_OPENTELEMETRY.get(name)
    if module is None:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    try:
        return getattr(importlib.import_module(f'{__name__}.{module}'), name)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"{name} needs OpenTelemetry's API: pip install 'dapr-stateful-workflow[otel]'", name=error.name
        ) from error


def __dir__() -> list[str]:
    return sorted(__all__)
