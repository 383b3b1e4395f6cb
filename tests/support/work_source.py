"""A backend and an event loop small enough to see through, for what dispatches work."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Any

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator.errors import StoreError
from dapr.ext.workflow.emulator.seam import ActivityWork, Key, Turn


class Call:
    """A call to come."""

    def __init__(self, callback: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        self._callback = callback
        self._arguments = arguments
        self._cancelled = False

    def cancel(self) -> None:
        self._cancelled = True

    def run(self) -> None:
        if not self._cancelled:
            self._callback(*self._arguments)


class ManualLoop:
    """An event loop whose clock the test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self._order = itertools.count()
        self.calls: list[tuple[float, int, Call]] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[..., object], *args: Any) -> Call:
        return self.call_later(0, callback, *args)

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Call:
        call = Call(callback, args)
        heapq.heappush(self.calls, (self.now + delay, next(self._order), call))
        return call

    def run(self, seconds: float = 0.0) -> None:
        """Runs all that is due within so many seconds."""
        end = self.now + seconds
        while self.calls and self.calls[0][0] <= end:
            due, _, call = heapq.heappop(self.calls)
            self.now = max(self.now, due)
            call.run()
        self.now = end


def event(number: int) -> pb.HistoryEvent:
    return pb.HistoryEvent(eventId=number, eventRaised=pb.EventRaisedEvent(name=str(number)))


class WorkSource:
    """A backend whose instances get events and have histories, and nothing else.

    Attributes:
        on_ready: What is told of an instance that has something to do.
        committed: The histories.
        inbox: What the next turn of an instance brings.
        out: The turns that were begun and neither committed nor abandoned.
        results: What was given as results of activities.
        failures: How many of the next commits fail.
        connected: The apps whose workers have connected.
        next_runs: The turns that commits are answered with, by instance.
    """

    def __init__(self) -> None:
        self.on_ready: Callable[[Key], object] = lambda key: None
        self.committed: dict[Key, list[pb.HistoryEvent]] = {}
        self.inbox: dict[Key, list[pb.HistoryEvent]] = {}
        self.out: dict[Key, Turn] = {}
        self.results: list[tuple[int, str]] = []
        self.failures = 0
        self.connected: list[str] = []
        self.next_runs: dict[Key, Turn] = {}
        self._events = itertools.count(1)
        self._turns = itertools.count(1)

    def post(self, instance_id: str, app_id: str = '') -> Key:
        """An event comes for an instance."""
        key = Key(app_id, instance_id)
        self.inbox.setdefault(key, []).append(event(next(self._events)))
        if key not in self.out:
            self.on_ready(key)
        return key

    def turn(self, key: Key) -> Turn:
        past = self.committed.setdefault(key, [])
        return Turn(key, 'run', past, len(past), self.inbox.pop(key, []), None, None, next(self._turns))

    def begin_turn(self, key: Key) -> Turn | None:
        self._maybe_fail()
        if key in self.out or not self.inbox.get(key):
            return None
        self.out[key] = turn = self.turn(key)
        return turn

    def is_stalled_by(self, turn: Turn, response: pb.WorkflowResponse) -> bool:
        return any(action.HasField('workflowVersionNotAvailable') for action in response.actions)

    def commit_turn(self, turn: Turn, response: pb.WorkflowResponse) -> Turn | None:
        self._maybe_fail()
        assert self.out.pop(turn.key) is turn, 'the turn is not out'
        following = self.next_runs.pop(turn.key, None)
        if following is not None:
            self.committed[turn.key] = list(following.past)
            self.out[turn.key] = following
            return following
        self.committed[turn.key] += turn.new_events
        if self.inbox.get(turn.key):
            self.on_ready(turn.key)
        return None

    def abandon_turn(self, turn: Turn) -> None:
        assert self.out.pop(turn.key) is turn, 'the turn is not out'
        self.inbox[turn.key] = [*turn.new_events, *self.inbox.get(turn.key, [])]
        self.on_ready(turn.key)

    def complete_activity(self, work: ActivityWork, response: pb.ActivityResponse) -> None:
        self._maybe_fail()
        self.results.append((work.row_id, response.result.value))

    def workers_changed(self, app_id: str) -> None:
        self.connected.append(app_id)

    def _maybe_fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise StoreError('database or disk is full')


def activity(row_id: int, app_id: str = '', instance_id: str = 'wf') -> ActivityWork:
    request = pb.ActivityRequest(name='echo', taskId=row_id)
    request.workflowInstance.instanceId = instance_id
    return ActivityWork(row_id, app_id, Key(app_id, instance_id), request)
