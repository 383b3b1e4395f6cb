"""Activities on their way: those that are ready, and those that were sent and not answered."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator.seam import ActivityWork, Caller
from dapr.ext.workflow.emulator.serving.losses import AnswerLost, Losses
from dapr.ext.workflow.emulator.serving.retrying import Backoffs, Scheduler
from dapr.ext.workflow.emulator.serving.streams import WorkerStream
from dapr.ext.workflow.emulator.serving.work_items import activity_item

__all__ = ['Activities', 'ActivitySink']


class ActivitySink(Protocol):
    """Where results go: the backend."""

    def complete_activity(self, work: ActivityWork, response: pb.ActivityResponse) -> None:
        """Hands an activity's outcome to the workflow that waits for it."""


@dataclass(slots=True, eq=False)
class _Sent:
    work: ActivityWork
    token: str
    stream: WorkerStream


class Activities:
    """Sends ready activities to streams, takes their results, and sends again what a lost stream has left.

    There is no lease but the stream's life: an activity may take as long as it likes while its worker is there.

    Args:
        backend: Where results go.
        streams: Gives the open streams of an app.
        scheduler: The event loop.
        new_token: Makes completion tokens.
        on_change: Called when something is ready or a stream has room: `send` is wanted.
        logger: Where failures are told.
        losses: Which results are to be lost.
    """

    def __init__(
        self,
        backend: ActivitySink,
        streams: Callable[[str], Collection[WorkerStream]],
        scheduler: Scheduler,
        new_token: Callable[[], str],
        on_change: Callable[[], None],
        logger: logging.Logger,
        losses: Losses,
    ) -> None:
        self._backend = backend
        self._streams = streams
        self._scheduler = scheduler
        self._new_token = new_token
        self._on_change = on_change
        self._logger = logger
        self._losses = losses
        self._order: dict[str, deque[int]] = {}
        self._ready: dict[int, ActivityWork] = {}
        self._sent: dict[str, _Sent] = {}
        self._by_row: dict[int, _Sent] = {}
        self._backoffs = Backoffs()

    def __len__(self) -> int:
        """How many were sent and not answered."""
        return len(self._sent)

    def is_idle(self, waiting: Collection[Caller]) -> bool:
        """Whether none is ready, and all that were sent and are not answered are among those that wait."""
        return not self._ready and all(
            Caller(sent.work.app_id, sent.work.owner.instance_id, sent.work.request.taskId) in waiting
            for sent in self._sent.values()
        )

    def ready(self, work: ActivityWork) -> None:
        """Puts an activity into the queue."""
        self._ready[work.row_id] = work
        self._order.setdefault(work.app_id, deque()).append(work.row_id)
        self._on_change()

    def dropped(self, row_id: int) -> None:
        """Forgets an activity: it is not sent, and its result is not waited for."""
        self._ready.pop(row_id, None)
        sent = self._by_row.get(row_id)
        if sent is not None:
            self._forget(sent)

    def send(self, app_id: str) -> None:
        """Sends what is ready in an app, each to the stream with the fewest, as far as its streams have room."""
        order = self._order.get(app_id)
        while order:
            work = self._ready.get(order[0])
            if work is not None:
                free = [stream for stream in self._streams(app_id) if stream.has_room_for_activity]
                if not free:
                    return
                self._send_to(min(free, key=lambda stream: stream.activities), work)
            order.popleft()

    def complete(self, app_id: str, response: pb.ActivityResponse) -> None:
        """Takes a result. One whose token is not current is dropped.

        Args:
            app_id: The app of the worker that answers.
            response: The result; without a token it is that of the activity which was sent for its instance and task.

        Raises:
            Refused, StoreError: It could not be committed; the activity will be dispatched again after a while.
            AnswerLost: It is lost, as was ordered; the activity is dispatched again.
        """
        sent = self._sent.get(response.completionToken) if response.completionToken else self._find(app_id, response)
        if sent is None or not _fits(sent, app_id, response):
            self._logger.debug(
                "A result of activity %d of '%s' is late and dropped.", response.taskId, response.instanceId
            )
            return
        if self._losses.takes_result(sent.work):
            self._give_up(sent)
            raise AnswerLost
        row_id = sent.work.row_id
        try:
            self._backend.complete_activity(sent.work, response)
        except Exception as error:
            delay = self._backoffs.failed(row_id)
            self._logger.error(
                "The result of activity %d of '%s' can't be committed: %s. It is dispatched again in %g s.",
                response.taskId,
                response.instanceId,
                error,
                delay,
            )
            # Until then a result that is sent once more is welcome.
            self._scheduler.call_later(delay, self._give_up, sent)
            raise
        self._backoffs.succeeded(row_id)
        self._forget(sent)
        self._on_change()

    def stream_lost(self, stream: WorkerStream) -> None:
        """Puts back what a stream was sent and has not answered. The stream takes nothing any more."""
        for sent in [sent for sent in self._sent.values() if sent.stream is stream]:
            self._give_up(sent)

    def _send_to(self, stream: WorkerStream, work: ActivityWork) -> None:
        del self._ready[work.row_id]
        sent = _Sent(work, self._new_token(), stream)
        self._sent[sent.token] = self._by_row[work.row_id] = sent
        stream.activities += 1
        stream.put(activity_item(work, sent.token))

    def _give_up(self, sent: _Sent) -> None:
        if self._sent.get(sent.token) is sent:
            self._forget(sent)
            self.ready(sent.work)

    def _find(self, app_id: str, response: pb.ActivityResponse) -> _Sent | None:
        # Workers of today send tokens; for one that does not, looking through what is out is good enough.
        return next((sent for sent in self._sent.values() if _fits(sent, app_id, response)), None)

    def _forget(self, sent: _Sent) -> None:
        del self._sent[sent.token]
        sent.stream.activities -= 1
        if self._by_row.get(sent.work.row_id) is sent:
            del self._by_row[sent.work.row_id]


def _fits(sent: _Sent, app_id: str, response: pb.ActivityResponse) -> bool:
    work = sent.work
    return (work.app_id, work.owner.instance_id, work.request.taskId) == (
        app_id,
        response.instanceId,
        response.taskId,
    )
