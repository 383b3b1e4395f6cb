"""Drives async workflows in tests, as `engine.Driver` drives generators."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from dapr.ext.workflow._durabletask.aio.context import AsyncWorkflowContext
from dapr.ext.workflow._durabletask.aio.orchestrator import async_orchestrator
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.replay.instance import ExecutionResults, WorkflowInstance
from tests.support.engine import Driver, Event

Context = AsyncWorkflowContext

needs_3_11 = pytest.mark.skipif(sys.version_info < (3, 11), reason='asyncio has it from Python 3.11 on')


def driver(workflow: Callable[..., Any], encoded_input: str | None = None) -> Driver:
    """A driver of an async workflow."""
    return Driver(async_orchestrator(workflow), encoded_input)


def started(workflow: Callable[..., Any], encoded_input: str | None = None) -> ExecutionResults:
    """What the first turn of an async workflow comes to."""
    return driver(workflow, encoded_input).start()


def after(workflow: Callable[..., Any], *turns: tuple[Event, ...]) -> ExecutionResults:
    """What the last of these turns comes to, after the first."""
    running = driver(workflow)
    results = running.start()
    for events in turns:
        results = running.turn(*events)
    return results


def running_instance(of: Driver) -> WorkflowInstance:
    """The instance that the driver keeps."""
    assert of._running is not None
    return of._running


def called(results: ExecutionResults) -> list[str]:
    """What a turn has asked for, in order: names of activities and children, 'timer' for a timer."""
    names = []
    for action in results.actions:
        kind = action.WhichOneof('workflowActionType')
        if kind == 'scheduleTask':
            names.append(action.scheduleTask.name)
        elif kind == 'createChildWorkflow':
            names.append(action.createChildWorkflow.name)
        else:
            names.append('timer' if kind == 'createTimer' else str(kind))
    return names


def seconds(results: ExecutionResults, now: Any) -> list[float]:
    """How long the timers of a turn take, in seconds."""
    fire_at = [action.createTimer.fireAt.ToDatetime() for action in results.actions if action.HasField('createTimer')]
    return [(moment - now).total_seconds() for moment in fire_at]


STATUS = pb.OrchestrationStatus
