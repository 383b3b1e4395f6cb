"""From the functions that apps register to those that the engine calls.

The engine's functions take its own contexts, and always an input. They say what they wrap, so that the annotation of
the input is found. Whether a function is async, and whether it takes an input, is what its outermost layer says: what
`functools.wraps` has put on it may tell of another function.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from dapr.ext.workflow._durabletask.aio.orchestrator import SandboxMode, async_orchestrator
from dapr.ext.workflow._durabletask.contexts import OrchestrationContext
from dapr.ext.workflow._durabletask.internal.shared import is_async_callable
from dapr.ext.workflow._durabletask.task import ActivityContext
from dapr.ext.workflow.intercepted import Interceptions
from dapr.ext.workflow.values.annotations import layers, signature_of
from dapr.ext.workflow.workflow_activity_context import WorkflowActivityContext

Function = Callable[..., Any]

_NONE = Interceptions()


def adapt_workflow(fn: Function, interceptions: Interceptions = _NONE) -> Function:
    """The orchestrator for a workflow that takes a `DaprWorkflowContext`, or an async one that takes an
    `AsyncWorkflowContext`, and, or not, an input.

    A sync wrapper of an async workflow passes its context on, so it gets that of async ones.
    """
    if any(map(is_async_callable, layers(fn))):
        return adapt_async_workflow(fn, interceptions=interceptions)
    call, new_context = interceptions.workflow(_with_input(fn)), interceptions.context

    @functools.wraps(fn)
    def orchestrator(ctx: OrchestrationContext, inp: Any = None) -> Any:
        return call(new_context(ctx), inp)

    return orchestrator


def adapt_async_workflow(
    fn: Function, sandbox_mode: SandboxMode = 'off', interceptions: Interceptions = _NONE
) -> Function:
    """The orchestrator for an async workflow, whether it looks like an async function or not."""
    return async_orchestrator(
        fn,
        sandbox_mode=sandbox_mode,
        make_context=interceptions.async_context,
        call=interceptions.async_workflow(_with_input(fn)),
    )


def adapt_activity(fn: Function, interceptions: Interceptions = _NONE) -> Function:
    """The engine's activity for one that takes a `WorkflowActivityContext` and, or not, an input; async if it is."""
    if is_async_callable(fn):
        call = interceptions.async_activity(_with_input(fn))

        @functools.wraps(fn)
        async def async_activity(ctx: ActivityContext, inp: Any = None) -> Any:
            return await call(WorkflowActivityContext(ctx), inp)

        return async_activity
    call = interceptions.activity(fn, _with_input(fn))

    @functools.wraps(fn)
    def activity(ctx: ActivityContext, inp: Any = None) -> Any:
        return call(WorkflowActivityContext(ctx), inp)

    return activity


def _with_input(fn: Function) -> Function:
    """Calls the function with a context and an input; with the context alone when it has no place for an input, whether
    one was sent or not: callers elsewhere may send one that this app's version does not need."""
    return fn if signature_of(fn).takes_input else lambda ctx, inp: fn(ctx)
