"""Where a workflow's code stands between two turns: files, lines and functions. Reads, and touches nothing.

A generator that waits has its frame; what it delegates to (`yield from`) is in turn a generator, and so on. A workflow
in `async def` has the same for each of its tasks, by `await`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

from dapr.ext.workflow._durabletask.replay.instance import WorkflowInstance
from dapr.ext.workflow._durabletask.replay.loop import WorkflowLoop


@dataclass(frozen=True)
class StandingTask:
    """One of the things that a workflow does at once: a generator has one, a workflow in `async def` one a task.

    Attributes:
        name: What it is called: the task's name; the workflow's for a generator.
        lines: Where it stands, the outermost call first, each as `file:line in function`.
    """

    name: str
    lines: tuple[str, ...]


def standing(instance: WorkflowInstance) -> tuple[StandingTask, ...]:
    """Where a workflow stands that has been parked; empty when it has ended, or is in a turn at this moment."""
    generator: Any = instance.generator  # typing's Generator does not have what Python's has
    if generator is None or generator.gi_running:
        return ()
    frame: FrameType | None = generator.gi_frame
    # The program of a coroutine is a generator that holds the coroutine's loop.
    loop = frame.f_locals.get('loop') if frame is not None else None
    if isinstance(loop, WorkflowLoop):
        return tuple(StandingTask(task.get_name(), tuple(_lines(task.get_coro()))) for task in loop.unfinished_tasks())
    return (StandingTask(instance.context.workflow_name, tuple(_lines(generator))),)


def _lines(awaitable: Any) -> Iterator[str]:
    while awaitable is not None:
        frame: FrameType | None = None
        for kind, inner in (('gi', 'gi_yieldfrom'), ('cr', 'cr_await'), ('ag', 'ag_await')):
            if hasattr(awaitable, f'{kind}_frame'):
                frame, awaitable = getattr(awaitable, f'{kind}_frame'), getattr(awaitable, inner)
                break
        else:
            return
        if frame is not None:
            yield f'{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}'
