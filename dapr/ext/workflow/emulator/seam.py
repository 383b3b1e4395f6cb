"""Where the emulator's two halves meet: what the backend hands to the service, and what it tells it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from dapr.ext.workflow._durabletask.internal import protos as pb

__all__ = ['ActivityWork', 'Caller', 'Key', 'Observer', 'Turn']


class Key(NamedTuple):
    """Names a workflow instance.

    Attributes:
        app_id: The app that it belongs to; '' when the emulator plays one app only.
        instance_id: Its id within the app.
    """

    app_id: str
    instance_id: str


@dataclass(slots=True, eq=False)
class Turn:
    """One turn's worth of work, held by the backend until it is committed or abandoned. An instance has one at most.

    Attributes:
        key: The instance.
        execution_id: Its run; never ''.
        past: The committed history. The backend's own list, which grows: to be read up to `past_count` only.
        past_count: How many events were committed when the turn began.
        new_events: The batch.
        propagated: The history that the instance's parent handed on, or None.
        router: What goes out as the work item's router, or None.
        number: Unique among all turns of this process.
        runs_before: How many runs of the instance have gone before it in its work item.
    """

    key: Key
    execution_id: str
    past: Sequence[pb.HistoryEvent]
    past_count: int
    new_events: Sequence[pb.HistoryEvent]
    propagated: pb.PropagatedHistory | None
    router: pb.TaskRouter | None
    number: int
    runs_before: int = 0


@dataclass(frozen=True, slots=True)
class ActivityWork:
    """One activity that is to run.

    Attributes:
        row_id: Unique and durable: the same after a restart.
        app_id: The app whose workers run it.
        owner: The workflow that waits for it.
        request: What goes out to the worker.
    """

    row_id: int
    app_id: str
    owner: Key
    request: pb.ActivityRequest


class Caller(NamedTuple):
    """An activity that runs, by what it knows of itself.

    Attributes:
        app_id: The app whose worker runs it.
        instance_id: The workflow that waits for it.
        task_id: The id of its action there.
    """

    app_id: str
    instance_id: str
    task_id: int


class Observer(Protocol):
    """What the backend tells of. It is called after the commit of what it tells, from within the backend's methods:
    an implementation takes note and returns, and calls the backend later.
    """

    def turn_ready(self, key: Key) -> None:
        """The instance has something to do, and none of its turns is out."""

    def turn_dropped(self, key: Key) -> None:
        """The instance's turn is void (the instance was purged): its answer counts for nothing."""

    def activity_ready(self, work: ActivityWork) -> None:
        """An activity is to run."""

    def activity_dropped(self, row_id: int) -> None:
        """Nobody waits for the activity any more: it need not run, and its answer counts for nothing."""

    def started(self, key: Key) -> None:
        """The instance's first turn was committed, or the instance ended without one."""

    def advanced(self, key: Key) -> None:
        """A turn of the instance was committed, and it has not ended."""

    def ended(self, key: Key) -> None:
        """The instance completed, failed or was terminated."""

    def timers_changed(self) -> None:
        """`Backend.next_timer_at` may be earlier than it was."""
