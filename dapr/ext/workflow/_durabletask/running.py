"""What a worker is busy with at this moment: one entry for each turn and each activity that runs.

Written by the threads that run them, read by whoever asks for the status and by the watchdog. An entry costs its thread
a few stores: no lock is taken, since each key belongs to one thread, and readers copy.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from dapr.ext.workflow._durabletask.internal import protos as pb


@dataclass(slots=True, eq=False)
class TurnInProgress:
    """A turn whose workflow code runs.

    Attributes:
        instance_id: The workflow instance.
        started: When it began, by `time.monotonic`.
        thread: The identifier of its thread.
        known_name: The workflow's name, where it is known without looking.
        events: Where the name stands otherwise: the history, and the new events.
        is_told: Whether the log says already that it takes long.
    """

    instance_id: str
    started: float
    thread: int
    known_name: str
    events: Sequence[Iterable[pb.HistoryEvent]]
    is_told: bool = False

    @property
    def name(self) -> str:
        """The workflow's name; '' when it is not known."""
        if not self.known_name:
            names = (
                event.executionStarted.name
                for events in self.events
                for event in events
                if event.HasField('executionStarted')
            )
            self.known_name = next(names, '')
        return self.known_name


@dataclass(slots=True, eq=False)
class ActivityInProgress:
    """An activity that runs, or whose answer is being sent.

    Attributes:
        name: The activity's name.
        instance_id: The workflow instance that called it.
        task_id: The number of the call.
        started: When it began, by `time.monotonic`.
        is_async: Whether it runs on the event loop.
    """

    name: str
    instance_id: str
    task_id: int
    started: float
    is_async: bool


@dataclass(slots=True)
class RunningWork:
    """All that runs.

    Attributes:
        on_busy: Called when something begins while `is_idle` is set; the caller's thread is the worker's.
        is_idle: Whether someone waits for that.
    """

    on_busy: Callable[[], None] | None = None
    is_idle: bool = False
    _turns: dict[int, TurnInProgress] = field(default_factory=dict)
    _activities: dict[int, ActivityInProgress] = field(default_factory=dict)

    def begin_turn(self, instance_id: str, name: str, events: Sequence[Iterable[pb.HistoryEvent]]) -> None:
        """Says that the calling thread runs a turn, until `end_turn`."""
        thread = threading.get_ident()
        self._turns[thread] = TurnInProgress(instance_id, time.monotonic(), thread, name, events)
        if self.is_idle:
            self._wake()

    def end_turn(self) -> None:
        """Says that the calling thread's turn is over."""
        self._turns.pop(threading.get_ident(), None)

    @contextmanager
    def activity(self, request: pb.ActivityRequest, *, is_async: bool) -> Iterator[None]:
        """Says that an activity runs while the context lasts."""
        entry = ActivityInProgress(
            request.name, request.workflowInstance.instanceId, request.taskId, time.monotonic(), is_async
        )
        self._activities[id(entry)] = entry
        if self.is_idle:
            self._wake()
        try:
            yield
        finally:
            del self._activities[id(entry)]

    def turns(self) -> list[TurnInProgress]:
        """The turns that run now, the oldest first."""
        return _oldest_first(self._turns)

    def activities(self) -> list[ActivityInProgress]:
        """The activities that run now, the oldest first."""
        return _oldest_first(self._activities)

    @property
    def is_empty(self) -> bool:
        """Whether nothing runs."""
        return not (self._turns or self._activities)

    def _wake(self) -> None:
        self.is_idle = False
        if self.on_busy is not None:
            self.on_busy()


def _oldest_first(running: dict[int, Any]) -> list[Any]:
    return sorted(running.copy().values(), key=lambda entry: float(entry.started))


def describe(running: RunningWork, *, most: int = 5) -> str:
    """What runs, in words: so many turns and activities, the oldest of them by name and age."""
    now = time.monotonic()
    named = [
        (turn.started, f"workflow '{turn.name}' ({turn.instance_id}) for {now - turn.started:.1f} s")
        for turn in running.turns()
    ] + [
        (run.started, f"activity '{run.name}' (task {run.task_id} of {run.instance_id}) for {now - run.started:.1f} s")
        for run in running.activities()
    ]
    named.sort()
    more = f', and {len(named) - most} more' if len(named) > most else ''
    return ', '.join(text for _, text in named[:most]) + more
