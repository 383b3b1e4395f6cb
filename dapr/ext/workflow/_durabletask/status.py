"""What a worker is doing at a moment, for probes and for people."""

from __future__ import annotations

from dataclasses import dataclass

from dapr.ext.workflow._durabletask.history.stats import HistoryCacheStats, StickyStats


@dataclass(frozen=True)
class RunningTurn:
    """A turn whose workflow code runs.

    Attributes:
        workflow_name: The workflow.
        instance_id: Its instance.
        seconds: For how long.
    """

    workflow_name: str
    instance_id: str
    seconds: float


@dataclass(frozen=True)
class RunningActivity:
    """An activity that runs, or whose answer is being sent.

    Attributes:
        activity_name: The activity.
        instance_id: The workflow instance that called it.
        task_id: The number of the call there.
        seconds: For how long.
        is_async: Whether it runs on the event loop.
    """

    activity_name: str
    instance_id: str
    task_id: int
    seconds: float
    is_async: bool


@dataclass(frozen=True)
class Slots:
    """The places where work of a kind runs.

    Attributes:
        kind: 'turn', 'activity' (those on threads) or 'async_activity' (those on the event loop).
        used: How many are taken.
        limit: How many there are.
    """

    kind: str
    used: int
    limit: int


@dataclass(frozen=True)
class WorkerStatus:
    """A snapshot of a worker.

    Attributes:
        is_running: Whether it was started, and neither stopped nor is stopping.
        is_connected: Whether work items are coming: what a readiness probe asks for.
        is_alive: Whether the threads that a running worker cannot do without live: what a liveness probe asks for. True
            while it is not running, since there is nothing that a restart would mend.
        address: The sidecar, as host:port.
        connected_for: For how long it has been connected, in seconds; None: it is not.
        cut_off_for: For how long it has been cut off from the sidecar, in seconds; None: it is not, or is not running.
        last_error: Why the latest connection was lost or could not be made; None: none was.
        turns: The turns that run, the oldest first.
        activities: The activities that run, the oldest first.
        waiting_turns: How many turns wait for a thread.
        waiting_activities: How many activities wait for a thread, or for a place on the event loop.
        sticky: What sticky execution has done and holds.
        history_cache: The same of the history cache.
        slots: How much runs, by kind, and how much can; empty while the worker is not running.
    """

    is_running: bool
    is_connected: bool
    is_alive: bool
    address: str
    connected_for: float | None
    cut_off_for: float | None
    last_error: str | None
    turns: tuple[RunningTurn, ...]
    activities: tuple[RunningActivity, ...]
    waiting_turns: int
    waiting_activities: int
    sticky: StickyStats
    history_cache: HistoryCacheStats
    slots: tuple[Slots, ...] = ()
