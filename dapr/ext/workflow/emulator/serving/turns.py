"""Turns on their way: those that are ready, and those that were sent and not answered."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final, Protocol

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator.seam import Key, Turn
from dapr.ext.workflow.emulator.serving.losses import AnswerLost, Losses
from dapr.ext.workflow.emulator.serving.retrying import Backoffs, Scheduler
from dapr.ext.workflow.emulator.serving.streams import WorkerStream, owner_of
from dapr.ext.workflow.emulator.serving.work_items import turn_item

__all__ = ['TurnSource', 'Turns']

# How long a turn waits for the stream that it belongs to before it goes to another one.
_GRACE_SECONDS: Final = 0.002


class TurnSource(Protocol):
    """What turns are taken from: the backend."""

    def begin_turn(self, key: Key) -> Turn | None:
        """Takes the next turn of an instance; None: it has nothing to do any more."""

    def is_stalled_by(self, turn: Turn, response: pb.WorkflowResponse) -> bool:
        """Tells whether a turn's answer would stall its instance: its worker has not the code that the run needs."""

    def commit_turn(self, turn: Turn, response: pb.WorkflowResponse) -> Turn | None:
        """Commits a turn's answer; returns the first turn of the next run if the instance has continued as new."""

    def abandon_turn(self, turn: Turn) -> None:
        """Gives a turn back that was not answered; the instance is ready again."""


@dataclass(slots=True, eq=False)
class _Ready:
    """An instance in the queue.

    Attributes:
        key: The instance.
        turn: Its turn, if it is taken already: the one that a run which has continued as new begins with.
        grace_ends: Until when it waits for its own stream, which is full; None: it has not had to.
    """

    key: Key
    turn: Turn | None
    grace_ends: float | None = None


@dataclass(slots=True, eq=False)
class _Sent:
    """A turn that was sent and not answered.

    Attributes:
        turn: The turn.
        token: The completion token of this dispatch.
        stream: Where it went.
        lease_ends: Until when its answer is waited for.
    """

    turn: Turn
    token: str
    stream: WorkerStream
    lease_ends: float


@dataclass(slots=True)
class _Queue:
    """The ready instances of an app, in order. Those that `ready` does not name with this very entry are void."""

    order: deque[_Ready] = field(default_factory=deque)
    ready: dict[Key, _Ready] = field(default_factory=dict)

    def add(self, entry: _Ready) -> None:
        self.ready[entry.key] = entry
        self.order.append(entry)


class Turns:
    """Sends ready turns to streams, takes their answers, and sends again what is not answered.

    A turn is taken from the backend when a stream has room for it, so that its batch holds all that came until then.
    At most one dispatch of an instance is current; its token is what an answer is accepted by.

    Args:
        backend: Where turns come from and go to.
        streams: Gives the open streams of an app.
        scheduler: The event loop.
        new_token: Makes completion tokens.
        on_change: Called when something is ready or a stream has room: `send` is wanted.
        lease_seconds: How long an answer is waited for.
        logger: Where failures are told.
        losses: Which answers are to be lost.
    """

    def __init__(
        self,
        backend: TurnSource,
        streams: Callable[[str], Collection[WorkerStream]],
        scheduler: Scheduler,
        new_token: Callable[[], str],
        on_change: Callable[[], None],
        lease_seconds: float,
        logger: logging.Logger,
        losses: Losses,
    ) -> None:
        self._backend = backend
        self._streams = streams
        self._scheduler = scheduler
        self._new_token = new_token
        self._on_change = on_change
        self._lease_seconds = lease_seconds
        self._logger = logger
        self._losses = losses
        self._queues: dict[str, _Queue] = {}
        # By token, in the order in which leases end: each is as long as the other.
        self._sent: dict[str, _Sent] = {}
        self._current: dict[Key, _Sent] = {}
        self._lease_timer_runs = False
        # By instance: the streams whose workers do not have its version or its patches.
        self._without_code: dict[Key, set[str]] = {}
        self._backoffs = Backoffs()

    def __len__(self) -> int:
        """How many were sent and not answered."""
        return len(self._sent)

    @property
    def is_idle(self) -> bool:
        """Whether none is ready, and none was sent and is not answered."""
        return not self._sent and not any(queue.ready for queue in self._queues.values())

    # -- what the backend tells ----------------------------------------------------------------------------------------

    def ready(self, key: Key) -> None:
        """Puts an instance into the queue, unless it is there."""
        if key not in self._queue(key.app_id).ready:
            self._queue(key.app_id).add(_Ready(key, None))
            self._on_change()

    def dropped(self, key: Key) -> None:
        """Forgets an instance: what was sent is not waited for, and what is ready is not sent."""
        self.ended(key)
        self._queue(key.app_id).ready.pop(key, None)
        sent = self._current.get(key)
        if sent is not None:
            self._forget(sent)

    def ended(self, key: Key) -> None:
        """Says that an instance's run is over."""
        if self._without_code:
            self._without_code.pop(key, None)

    # -- sending -------------------------------------------------------------------------------------------------------

    def send(self, app_id: str) -> None:
        """Sends what is ready in an app, as far as its streams have room."""
        queue, streams = self._queue(app_id), self._streams(app_id)
        waiting: list[_Ready] = []
        while queue.order and any(stream.has_room_for_turn for stream in streams):
            entry = queue.order.popleft()
            if queue.ready.get(entry.key) is not entry:
                continue
            stream = self._choose(entry, streams)
            if stream is None:
                waiting.append(entry)
            else:
                del queue.ready[entry.key]
                self._send_to(stream, entry)
        queue.order.extendleft(reversed(waiting))

    def _choose(self, entry: _Ready, streams: Collection[WorkerStream]) -> WorkerStream | None:
        """The stream that an instance's turn goes to now; None: it has to wait for its own."""
        if len(streams) == 1:
            return next(iter(streams))  # it has room: else none of them would
        without = self._without_code.get(entry.key, ())
        suitable = [stream for stream in streams if stream.stream_id not in without] or streams
        owner = owner_of(entry.key.instance_id, [s for s in suitable if s.marks is not None] or suitable)
        if owner.has_room_for_turn:
            return owner
        now = self._scheduler.time()
        if entry.grace_ends is None:
            entry.grace_ends = now + _GRACE_SECONDS
            self._scheduler.call_later(_GRACE_SECONDS, self._on_change)
        if now < entry.grace_ends:
            return None
        return min(
            (stream for stream in suitable if stream.has_room_for_turn), key=lambda stream: stream.turns, default=None
        )

    def _send_to(self, stream: WorkerStream, entry: _Ready) -> None:
        turn = entry.turn
        if turn is None:
            try:
                turn = self._backend.begin_turn(entry.key)
            except Exception as error:
                delay = self._backoffs.failed(entry.key)
                self._logger.error(
                    "A turn of '%s' can't be taken: %s. It is tried again in %g s.", entry.key.instance_id, error, delay
                )
                self._scheduler.call_later(delay, self.ready, entry.key)
                return
            if turn is None:
                return
        now = self._scheduler.time()
        sent = _Sent(turn, self._new_token(), stream, now + self._lease_seconds)
        self._sent[sent.token] = self._current[turn.key] = sent
        stream.turns += 1
        # The mark moves with the dispatch, whether or not this item arrives.
        held = 0 if stream.marks is None else stream.marks.advance(turn.key.instance_id, turn.past_count)
        stream.put(turn_item(turn, sent.token, held))
        if not self._lease_timer_runs:
            self._lease_timer_runs = True
            self._scheduler.call_later(self._lease_seconds, self._end_leases)

    # -- answers, and none ---------------------------------------------------------------------------------------------

    def complete(self, app_id: str, response: pb.WorkflowResponse) -> None:
        """Takes an answer. One whose token is not current is dropped.

        Args:
            app_id: The app of the worker that answers.
            response: The answer; without a token it is that of its instance's current turn.

        Raises:
            Refused, StoreError: It could not be committed; the turn will be dispatched again after a while.
            AnswerLost: It is lost, as was ordered; the turn is dispatched again.
        """
        if response.completionToken:
            sent = self._sent.get(response.completionToken)
        else:
            sent = self._current.get(Key(app_id, response.instanceId))
        if sent is None or sent.turn.key != (app_id, response.instanceId):
            self._logger.debug("An answer to a turn of '%s' is late and dropped.", response.instanceId)
            return
        if self._losses.takes_turn(sent.turn):
            self._give_up(sent)
            raise AnswerLost
        key = sent.turn.key
        if self._backend.is_stalled_by(sent.turn, response) and self._others_may_know_it(sent):
            self._give_up(sent)
            return
        try:
            following = self._backend.commit_turn(sent.turn, response)
        except Exception as error:
            delay = self._backoffs.failed(key)
            self._logger.error(
                "A turn of '%s' can't be committed: %s. It is dispatched again in %g s.", key.instance_id, error, delay
            )
            # Until then an answer that is sent once more is welcome.
            self._scheduler.call_later(delay, self._give_up, sent)
            raise
        self._backoffs.succeeded(key)
        self._forget(sent)
        if following is not None:
            self._queue(key.app_id).add(_Ready(key, following))
        self._on_change()

    def _others_may_know_it(self, sent: _Sent) -> bool:
        """Whether there is a worker that was not asked yet, and may have the code that this turn's worker lacks."""
        asked = self._without_code.setdefault(sent.turn.key, set())
        asked.add(sent.stream.stream_id)
        return any(stream.stream_id not in asked for stream in self._streams(sent.turn.key.app_id))

    def stream_lost(self, stream: WorkerStream) -> None:
        """Gives back what a stream was sent and has not answered. The stream takes nothing any more."""
        for sent in [sent for sent in self._sent.values() if sent.stream is stream]:
            self._give_up(sent)

    def _give_up(self, sent: _Sent) -> None:
        if self._sent.get(sent.token) is sent:
            self._forget(sent)
            self._abandon(sent.turn)

    def _abandon(self, turn: Turn) -> None:
        try:
            self._backend.abandon_turn(turn)
        except Exception as error:
            delay = self._backoffs.failed(turn.key)
            self._logger.error(
                "A turn of '%s' can't be given back: %s. It is tried again in %g s.", turn.key.instance_id, error, delay
            )
            self._scheduler.call_later(delay, self._abandon, turn)

    def _end_leases(self) -> None:
        now = self._scheduler.time()
        while self._sent:
            first = next(iter(self._sent.values()))
            if first.lease_ends > now:
                self._scheduler.call_later(first.lease_ends - now, self._end_leases)
                return
            self._logger.warning(
                "A turn of '%s' was not answered within %g s and is dispatched again.",
                first.turn.key.instance_id,
                self._lease_seconds,
            )
            self._give_up(first)
        self._lease_timer_runs = False

    def _forget(self, sent: _Sent) -> None:
        del self._sent[sent.token]
        sent.stream.turns -= 1
        if self._current.get(sent.turn.key) is sent:
            del self._current[sent.turn.key]

    def _queue(self, app_id: str) -> _Queue:
        return self._queues.setdefault(app_id, _Queue())
