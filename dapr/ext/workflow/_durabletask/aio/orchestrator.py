"""From an async function to an orchestrator that the engine can run."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal, get_args

from dapr.ext.workflow._durabletask.aio.context import AsyncWorkflowContext, BaseAsyncWorkflowContext
from dapr.ext.workflow._durabletask.aio.sandbox import Sandbox
from dapr.ext.workflow._durabletask.async_failures import WorkflowValidationError
from dapr.ext.workflow._durabletask.internal import shared
from dapr.ext.workflow._durabletask.replay import operations
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext
from dapr.ext.workflow._durabletask.replay.coroutine import run_coroutine
from dapr.ext.workflow._durabletask.replay.loop import WorkflowLoop

Function = Callable[..., Any]
SandboxMode = Literal['off', 'best_effort', 'strict']


def async_orchestrator(
    fn: Function,
    *,
    sandbox_mode: SandboxMode = 'off',
    make_context: Callable[..., BaseAsyncWorkflowContext[Any, Any, Any]] = AsyncWorkflowContext,
    call: Function | None = None,
) -> Function:
    """The orchestrator for an async workflow.

    Args:
        fn: The workflow: an async function, method, callable or partial of a context and an input.
        sandbox_mode: How it is kept from what no replay can do again: 'off' (default), 'best_effort' or 'strict'.
        make_context: Makes its context.
        call: Calls it with a context and an input. None (default): it takes both.

    Raises:
        WorkflowValidationError: It is an async generator, or there is no such mode.
    """
    if sandbox_mode not in get_args(SandboxMode):
        raise WorkflowValidationError(
            f'sandbox_mode is {sandbox_mode!r}; it must be one of {", ".join(map(repr, get_args(SandboxMode)))}.'
        )

    call = call or fn
    are_told = operations.are_told()

    @functools.wraps(fn)
    def orchestrator(ctx: _RuntimeOrchestrationContext, inp: Any = None) -> Any:
        loop = WorkflowLoop(ctx)  # type: ignore[abstract]  # its refusals are made by a loop
        if sandbox_mode != 'off':
            loop.sandbox = Sandbox(loop, sandbox_mode == 'strict')
        coroutine = call(make_context(ctx, loop, sandbox_mode), inp)
        if not hasattr(coroutine, 'send'):
            return coroutine
        program = run_coroutine(ctx, loop, coroutine)
        return operations.told(program, ctx) if are_told else program

    return orchestrator


def as_orchestrator(fn: Function) -> Function:
    """The function that the engine runs for a workflow of either kind.

    A sync wrapper of an async workflow passes its context on, so it gets that of async ones.
    """
    seen: set[int] = set()
    layer: Any = fn
    while layer is not None and id(layer) not in seen:  # a layer may say that it wraps itself
        if shared.is_async_callable(layer):
            return async_orchestrator(fn)
        seen.add(id(layer))
        layer = getattr(layer, '__wrapped__', None)
    return fn
