"""All instances of a sidecar with their states, kept up to date: to be filtered, sorted and counted at once.

A sidecar lists ids alone, in an order of its own. To show the newest ten of 100,000 instances, or those that failed,
all must be known; so they are asked for once, and from then on only those that may have changed:

1. each pass lists all ids, which is cheap, and forgets those that are gone;
2. it asks for the states of those that are new, and of those that have not ended;
3. and for some of those that have ended, in turn: an id can be used again.

One thread makes the passes. Whoever reads gets a snapshot that does not change under it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final

import grpc

from dapr.ext.workflow._durabletask.client import OrchestrationStatus, WorkflowState
from dapr.ext.workflow._durabletask.transport.errors import describe
from dapr.ext.workflow.inspection.sidecar import ENDED, Filter, Sidecar

DEFAULT_INTERVAL: Final = 1.0
"""The time between two passes, in seconds; a pass that took longer is followed by a pause as long as it took."""
_ENDED_AGAIN: Final = 200
_JOIN_SECONDS: Final = 5.0
_NO_DATE: Final = datetime(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known after a pass.

    Attributes:
        version: Grows with each pass that found a change.
        states: The instances, newest first.
        is_complete: Whether the first pass is over; until then there are more.
        problem: Why the last pass failed, or None.
    """

    version: int = 0
    states: Sequence[WorkflowState] = ()
    is_complete: bool = False
    problem: str | None = None

    def matching(self, wanted: Filter) -> Sequence[WorkflowState]:
        """The instances that pass a filter, newest first."""
        return self.states if wanted == Filter() else [state for state in self.states if wanted.passes(state)]

    def counts(self) -> dict[OrchestrationStatus, int]:
        """How many instances have each status."""
        counts = dict.fromkeys(OrchestrationStatus, 0)
        for state in self.states:
            counts[state.runtime_status] += 1
        return counts

    def names(self) -> list[str]:
        """The workflows' names, sorted."""
        return sorted({state.name for state in self.states if state.name}, key=str.casefold)


class Catalogue:
    """Keeps the instances of a sidecar.

    Args:
        sidecar: Where they are.
        interval: The least time between two passes, in seconds. Default: 1.
        clock: A monotonic clock, in seconds. Default: the system's.
    """

    def __init__(
        self, sidecar: Sidecar, interval: float = DEFAULT_INTERVAL, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._sidecar = sidecar
        self._interval = interval
        self._clock = clock
        self._known: dict[str, WorkflowState] = {}
        self._checked_again = 0
        self._snapshot = Snapshot()
        self._changed = threading.Condition()
        self._woken = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name='dapr-workflow-catalogue', daemon=True)

    def start(self) -> None:
        """Begins to make passes."""
        self._thread.start()

    def close(self) -> None:
        """Makes no more passes, and lets go of who waits."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(_JOIN_SECONDS)

    def wake(self) -> None:
        """Makes the next pass now: something is known to have changed."""
        self._woken.set()

    @property
    def is_closed(self) -> bool:
        """Whether no more passes are made."""
        return self._closing

    @property
    def snapshot(self) -> Snapshot:
        """What is known now."""
        return self._snapshot

    def wait_for_change(self, version: int, timeout: float) -> Snapshot:
        """Waits for a snapshot of another version, at most for some seconds, and gives what there is then."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self._snapshot.version != version, timeout)
        return self._snapshot

    def refresh(self) -> Snapshot:
        """Makes a pass."""
        try:
            is_changed = self._pass()
        except (grpc.RpcError, ValueError) as error:  # ValueError: the client was closed meanwhile
            self._publish(is_complete=self._snapshot.is_complete, problem=describe(error))
        else:
            if is_changed or not self._snapshot.is_complete or self._snapshot.problem is not None:
                self._publish(is_complete=True, problem=None)
        return self._snapshot

    def _run(self) -> None:
        while not self._closing:
            begun = self._clock()
            self._woken.clear()
            self.refresh()
            took = self._clock() - begun
            self._woken.wait(max(self._interval, took))

    def _pass(self) -> bool:
        ids = list(self._sidecar.ids())
        listed = set(ids)
        gone = self._known.keys() - listed
        for instance_id in gone:
            del self._known[instance_id]
        asked = [i for i in ids if i not in self._known or self._known[i].runtime_status not in ENDED]
        asked += self._next_ended(ids)
        is_changed = bool(gone)
        for number, state in enumerate(self._sidecar.states(asked), 1):
            if self._closing:
                break
            if self._known.get(state.instance_id) != state:
                self._known[state.instance_id] = state
                is_changed = True
            if number % 1000 == 0 and not self._snapshot.is_complete:
                self._publish(is_complete=False, problem=None)
        return is_changed

    def _next_ended(self, ids: Sequence[str]) -> list[str]:
        """Some of those that have ended, others with each pass."""
        ended = [i for i in ids if i in self._known and self._known[i].runtime_status in ENDED]
        if self._checked_again >= len(ended):
            self._checked_again = 0
        chosen = list(islice(ended, self._checked_again, self._checked_again + _ENDED_AGAIN))
        self._checked_again += len(chosen)
        return chosen

    def _publish(self, *, is_complete: bool, problem: str | None) -> None:
        states = sorted(self._known.values(), key=_age, reverse=True)
        with self._changed:
            self._snapshot = Snapshot(self._snapshot.version + 1, states, is_complete, problem)
            self._changed.notify_all()


def _age(state: WorkflowState) -> tuple[bool, datetime, str]:
    # An instance has no date until it runs: it is the newest then, or still to come.
    return state.created_at == _NO_DATE, state.created_at, state.instance_id
