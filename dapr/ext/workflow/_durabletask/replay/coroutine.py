"""The seam between a running workflow and a coroutine: a generator that runs the coroutine's event loop.

`WorkflowInstance` knows one kind of program, a generator that yields tasks, and an async workflow is one: each time the
engine goes on with it, it runs the loop until nothing is ready, and yields a task that has ended as soon as something
is. So suspension, early results, endings and sticky execution are the same for both, and generators pay nothing.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from dapr.ext.workflow._durabletask.async_failures import AsyncWorkflowError
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext
from dapr.ext.workflow._durabletask.replay.futures import WorkflowTask
from dapr.ext.workflow._durabletask.replay.loop import WorkflowLoop
from dapr.ext.workflow._durabletask.task import Task

# Private by name, and what every event loop outside asyncio uses.
_get_running_loop = asyncio._get_running_loop
_set_running_loop = asyncio._set_running_loop


def run_coroutine(
    context: _RuntimeOrchestrationContext, loop: WorkflowLoop, coroutine: Coroutine[Any, Any, Any]
) -> Generator[Task[Any], None, None]:
    """The program of a coroutine.

    It ends the run itself, and goes on waiting: what is left of it (tasks, `finally` blocks) is ended when it is
    closed, after the turn's actions are taken.
    """
    main: WorkflowTask[Any] | None = None
    try:
        while True:
            if context._leave is None:
                _enter(context, loop)
            if main is None:
                variables = contextvars.copy_context()  # one for both: each that waits keeps it
                main = loop.create_task(coroutine, name='main', context=variables)
                main.add_done_callback(loop.main_has_ended, context=variables)
            loop.run_until_idle()
            if loop.is_ending:
                _end(context, loop, main)
            elif not (context._unresolved or context.waits_for_event):
                context.set_failed(_stuck())
            yield loop.readiness
    finally:
        if main is None:
            coroutine.close()
        leave = _enter(context, loop)
        try:
            loop.shut_down()
        finally:
            leave()


def _end(context: _RuntimeOrchestrationContext, loop: WorkflowLoop, main: WorkflowTask[Any]) -> None:
    if main.done() and not main.cancelled():
        main.exception()  # so that it is seen: the run ends with it, or with what ended it before
    loop.tell_unawaited()
    if loop.refusal is not None:
        context.set_failed(loop.refusal)
    elif context._completion is not None:
        pass  # it continues as new
    elif main.cancelled():
        context.set_failed(
            AsyncWorkflowError(
                "The workflow's main task was cancelled by its own code: CancelledError came out of it. To end a "
                'workflow, return or raise an error of your own.'
            )
        )
    else:
        error = main.exception()
        if error is None:
            context.set_complete(main.result(), pb.ORCHESTRATION_STATUS_COMPLETED)
        else:
            context.set_failed(_explained(error))


def _explained(error: BaseException) -> BaseException:
    if isinstance(error, (RuntimeError, ValueError)) and 'different loop' in str(error):
        # Without the words of the error, which have addresses in them.
        foreign = AsyncWorkflowError(
            'The workflow awaited something of another event loop. What runs outside of the workflow (on the loop of '
            'the app, or by the client of a library) has no place in it: do it in an activity.'
        )
        return foreign.with_traceback(error.__traceback__)
    return error


def _stuck() -> AsyncWorkflowError:
    return AsyncWorkflowError(
        'The workflow waits for something that can never happen: no activity, child workflow, timer or external event '
        'is outstanding, and only these bring it on. Is it a lock or an event that no task of its own will release or '
        'set, or a future of another thread? What other threads do has no place in a workflow: do it in an activity.'
    )


def _enter(context: _RuntimeOrchestrationContext, loop: WorkflowLoop) -> Callable[[], None]:
    """Makes the loop the thread's running one, until the events that the engine was given are gone through.

    Returns:
        What ends that.
    """
    outside, hooks = _get_running_loop(), sys.get_asyncgen_hooks()

    def leave() -> None:
        context._leave = None
        loop.rest()
        sys.set_asyncgen_hooks(*hooks)
        _set_running_loop(outside)

    _set_running_loop(loop)
    sys.set_asyncgen_hooks(loop.opened, None)
    context._leave = leave
    return leave
