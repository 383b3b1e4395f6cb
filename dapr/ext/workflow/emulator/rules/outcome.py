"""What the answer to a turn comes to, in plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator.rules.apps import Apps
from dapr.ext.workflow.emulator.rules.runs import RunState
from dapr.ext.workflow.emulator.seam import Key

__all__ = ['Effect', 'NextRun', 'Outcome', 'Run', 'Send', 'StartActivity', 'StartTimer', 'StartWorkflow']


@dataclass(frozen=True, slots=True)
class StartActivity:
    """An activity is to run.

    Attributes:
        app_id: The app that runs it.
        request: What its worker is given.
    """

    app_id: str
    request: pb.ActivityRequest


@dataclass(frozen=True, slots=True)
class StartTimer:
    """An event is to reach the workflow itself at that moment."""

    due_at: int
    event: pb.HistoryEvent


@dataclass(frozen=True, slots=True)
class StartWorkflow:
    """Another workflow is to start.

    Attributes:
        key: Its name.
        event: Its executionStarted.
        propagated: The history that is handed on to it.
        child_of: Where its parent waits for it, the id of its action; None when it has none.
    """

    key: Key
    event: pb.HistoryEvent
    propagated: pb.PropagatedHistory | None = None
    child_of: int | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """An event is to reach an instance, if there is one that runs.

    Attributes:
        key: The instance.
        event: The event.
        execution_id: The run that it is for; None is whichever there is.
    """

    key: Key
    event: pb.HistoryEvent
    execution_id: str | None = None


Effect: TypeAlias = StartActivity | StartTimer | StartWorkflow | Send


@dataclass(frozen=True, slots=True)
class NextRun:
    """What the run after a continue-as-new begins with.

    Attributes:
        batch: Its first batch: workflowStarted, executionStarted, and the events that are carried over.
        propagated: The history that is handed on to it.
    """

    batch: Sequence[pb.HistoryEvent]
    propagated: pb.PropagatedHistory | None

    @property
    def started(self) -> pb.HistoryEvent:
        """Its executionStarted."""
        return self.batch[1]


@dataclass(slots=True)
class Outcome:
    """What an answer comes to.

    Attributes:
        status: The instance's status from here on.
        events: What is committed; when the instance stalls, not the batch: that waits for another turn.
        effects: What is to be done, in this order.
        completed: The executionCompleted among the events, if the instance ends.
        next_run: What goes on, if it continues as new; then there are no events and no effects.
    """

    status: pb.OrchestrationStatus.ValueType
    events: list[pb.HistoryEvent]
    effects: list[Effect] = field(default_factory=list)
    completed: pb.HistoryEvent | None = None
    next_run: NextRun | None = None

    @property
    def is_stalled(self) -> bool:
        """Whether the worker has not the version or the patches that the instance began with."""
        return self.status == pb.ORCHESTRATION_STATUS_STALLED


@dataclass(frozen=True, slots=True)
class Run:
    """The run that a turn is one of.

    Attributes:
        key: The instance.
        started: Its executionStarted.
        history: What is committed.
        state: What that comes to.
        propagated: The history that was handed on to it.
        apps: All apps.
    """

    key: Key
    started: pb.ExecutionStartedEvent
    history: Sequence[pb.HistoryEvent]
    state: RunState
    propagated: pb.PropagatedHistory | None
    apps: Apps
