"""From the functions that apps register to those that the engine calls.

The engine's functions take its own contexts, and always an input. They say what they wrap, so that the engine finds the
annotation of the input and sees which ones are async.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from dapr.ext.workflow._durabletask.aio.orchestrator import SandboxMode, async_orchestrator
from dapr.ext.workflow._durabletask.contexts import OrchestrationContext
from dapr.ext.workflow._durabletask.internal import shared
from dapr.ext.workflow._durabletask.task import ActivityContext
from dapr.ext.workflow.aio.async_workflow_context import AsyncWorkflowContext
from dapr.ext.workflow.dapr_workflow_context import DaprWorkflowContext
from dapr.ext.workflow.workflow_activity_context import WorkflowActivityContext

Function = Callable[..., Any]


def adapt_workflow(fn: Function) -> Function:
    """The orchestrator for a workflow that takes a `DaprWorkflowContext`, or an async one that takes an
    `AsyncWorkflowContext`, and, or not, an input."""
    if shared.is_async_callable(fn):
        return adapt_async_workflow(fn)
    call = _with_input(fn)

    @functools.wraps(fn)
    def orchestrator(ctx: OrchestrationContext, inp: Any = None) -> Any:
        return call(DaprWorkflowContext(ctx), inp)

    return orchestrator


def adapt_async_workflow(fn: Function, sandbox_mode: SandboxMode = 'off') -> Function:
    """The orchestrator for an async workflow, whether it looks like an async function or not."""
    return async_orchestrator(fn, sandbox_mode=sandbox_mode, make_context=AsyncWorkflowContext, call=_with_input(fn))


def adapt_activity(fn: Function) -> Function:
    """The engine's activity for one that takes a `WorkflowActivityContext` and, or not, an input; async if it is."""
    if shared.is_async_callable(fn) and not inspect.isroutine(fn) and not isinstance(fn, functools.partial):
        fn = fn.__call__  # type: ignore[operator]  # a method shows that it is async, the object does not
    call = _with_input(fn)

    if shared.is_async_callable(fn):

        @functools.wraps(fn)
        async def async_activity(ctx: ActivityContext, inp: Any = None) -> Any:
            return await call(WorkflowActivityContext(ctx), inp)

        return async_activity

    @functools.wraps(fn)
    def activity(ctx: ActivityContext, inp: Any = None) -> Any:
        return call(WorkflowActivityContext(ctx), inp)

    return activity


def _with_input(fn: Function) -> Function:
    """Calls the function with a context and an input; with the context alone when it has no place for an input, whether
    one was sent or not: callers elsewhere may send one that this app's version does not need."""
    try:
        signature = inspect.signature(fn)
    except ValueError:  # a builtin that does not say
        return fn
    # `*args` alone most often stands for a function that is wrapped and says no more: it gets what the least take.
    takes_input = _takes(signature, 2) and len(signature.parameters) > 1
    return fn if takes_input or not _takes(signature, 1) else lambda ctx, inp: fn(ctx)


def _takes(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*[None] * count)
    except TypeError:
        return False
    return True
