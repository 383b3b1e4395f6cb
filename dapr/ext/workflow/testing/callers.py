"""Which activity runs, known to what it calls: a wait or a sleep of an activity must not keep time from moving."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from dapr.ext.workflow._durabletask.task import ActivityContext
from dapr.ext.workflow._durabletask.transport.call_metadata import CALL_METADATA
from dapr.ext.workflow.emulator.seam import Caller
from dapr.ext.workflow.emulator.serving.service import CALLER_KEY, caller_value

__all__ = ['CURRENT', 'running']

CURRENT: Final[ContextVar[Caller | None]] = ContextVar('CURRENT', default=None)
"""The activity that runs in this context; None: none."""


@contextmanager
def running(app_id: str, ctx: ActivityContext) -> Iterator[None]:
    """Notes that an activity runs in this context; the calls of all clients in it carry that along."""
    caller = Caller(app_id, ctx.orchestration_id, ctx.task_id)
    current = CURRENT.set(caller)
    metadata = CALL_METADATA.set((*CALL_METADATA.get(), (CALLER_KEY, caller_value(caller))))
    try:
        yield
    finally:
        CALL_METADATA.reset(metadata)
        CURRENT.reset(current)
