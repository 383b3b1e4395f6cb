"""Results of activities that the sidecar has, and has not stored yet.

A daprd acknowledges a result before it is stored, and drops it when its last worker leaves in between: the activity
runs a second time. That it is stored shows in the turn which brings it to its workflow. So a worker that stops waits
for the turns of the results that it has sent last, but for a moment only: they may go to another worker.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from dapr.ext.workflow._durabletask.internal import protos as pb

SETTLE_SECONDS: Final = 0.25
"""How long a result is taken for one that may not be stored."""

_MOST: Final = 256


class Settling:
    """What is not known to be stored.

    Args:
        clock: The monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        # By instance: how many results, and when the last of them was sent.
        self._results: dict[str, tuple[int, float]] = {}

    @contextmanager
    def sending(self, instance_id: str) -> Iterator[None]:
        """For a block that sends a result: with it the result is in the sidecar's hands. One that raises is not."""
        self._note(instance_id)  # before: the turn may be here before the acknowledgement is
        try:
            yield
        except BaseException:
            self._take(instance_id, 1)
            raise
        with self._changed:
            entry = self._results.get(instance_id)
            if entry is not None:
                self._results[instance_id] = (entry[0], self._clock())

    def _note(self, instance_id: str) -> None:
        now = self._clock()
        with self._changed:
            if len(self._results) >= _MOST:  # of workflows whose turns another worker has
                self._results = {i: last for i, last in self._results.items() if now - last[1] < SETTLE_SECONDS}
            count, _ = self._results.get(instance_id, (0, 0.0))
            self._results[instance_id] = (count + 1, now)

    def _take(self, instance_id: str, taken: int) -> None:
        with self._changed:
            count, sent_at = self._results.pop(instance_id, (0, 0.0))
            if count > taken:
                self._results[instance_id] = (count - taken, sent_at)
            self._changed.notify_all()

    def turn_came(self, request: pb.WorkflowRequest) -> None:
        """Says that a turn has come, which brings its workflow what was stored."""
        entry = self._results.get(request.instanceId)
        if entry is None:
            return
        taken = 1  # of one result alone it is no question which turn brings it
        if entry[0] > 1:
            taken = sum(event.HasField('taskCompleted') or event.HasField('taskFailed') for event in request.newEvents)
        self._take(request.instanceId, taken)

    def wait(self, deadline: float) -> None:
        """Waits until all results are stored, or may be taken for that.

        Args:
            deadline: Until when at most, by the clock.
        """
        with self._changed:
            while self._results:
                last = max(sent_at for _, sent_at in self._results.values())
                left = min(deadline, last + SETTLE_SECONDS) - self._clock()
                if left <= 0:
                    return
                self._changed.wait(left)
