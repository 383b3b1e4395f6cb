"""Answers that get lost on order, so that a test meets what is rare: a worker that goes in mid-turn.

What is lost has run: the sidecar has no answer to it, refuses it as one that cannot be reached does, and dispatches the
work item again.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence

import grpc

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator.errors import Refused
from dapr.ext.workflow.emulator.seam import ActivityWork, Key, Turn

__all__ = ['AnswerLost', 'Losses']


class AnswerLost(Refused):
    """An answer is lost, as was ordered."""

    def __init__(self) -> None:
        super().__init__(grpc.StatusCode.UNAVAILABLE, 'the answer is lost, as the test has ordered')


class Losses:
    """What is to be lost. Ordered in any thread, asked for on the event loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: set[tuple[str, int]] = set()
        self._lost: set[tuple[Key, str, int]] = set()
        self._results: Counter[str] = Counter()

    def lose_turn(self, workflow: str, number: int) -> None:
        """Orders that the answer to a turn is lost, once for each run.

        Args:
            workflow: The workflow's name.
            number: Which turn of the run; 1 is the first.
        """
        with self._lock:
            self._turns.add((workflow, number))

    def lose_results(self, activity: str, times: int) -> None:
        """Orders that the next results of an activity are lost.

        Args:
            activity: The activity's name.
            times: How many.
        """
        with self._lock:
            self._results[activity] += times

    def takes_turn(self, turn: Turn) -> bool:
        """Whether the answer to a turn is to be lost; asked once for each answer."""
        if not self._turns:
            return False
        with self._lock:
            past = turn.past[: turn.past_count]
            number = 1 + sum(event.HasField('workflowStarted') for event in past)
            lost = (turn.key, turn.execution_id, number)
            if (_name(past, turn.new_events), number) not in self._turns or lost in self._lost:
                return False
            self._lost.add(lost)
            return True

    def takes_result(self, work: ActivityWork) -> bool:
        """Whether a result of an activity is to be lost; asked once for each."""
        if not self._results:
            return False
        with self._lock:
            if not self._results[work.request.name]:
                return False
            self._results[work.request.name] -= 1
            return True


def _name(*histories: Sequence[pb.HistoryEvent]) -> str:
    """The name of a run's workflow."""
    started = (event.executionStarted for events in histories for event in events if event.HasField('executionStarted'))
    return next((start.name for start in started), '')
