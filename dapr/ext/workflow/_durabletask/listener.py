"""Who listens to a worker: the one seam between the engine and whatever measures, traces or audits it.

A `WorkerListener` is told what has happened, when it has happened; it decides nothing. Metrics and spans are listeners
(`dapr.ext.workflow.observability`); the engine knows none of them, and without a listener it looks at no clock and
makes no record.

What a turn or an activity came to is one record, filled while it runs and handed over at its end. A record belongs to
whoever gets it: it can be kept and read later, on another thread, which is how a listener costs a turn next to nothing.
It holds numbers and names alone: no message, so that none is kept alive by it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from dapr.ext.workflow._durabletask.history.stats import HistoryCacheStats, StickyStats
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.status import WorkerStatus

_OUTCOMES: Final[dict[int, str]] = {
    pb.ORCHESTRATION_STATUS_COMPLETED: 'completed',
    pb.ORCHESTRATION_STATUS_FAILED: 'failed',
    pb.ORCHESTRATION_STATUS_TERMINATED: 'terminated',
    pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW: 'continued_as_new',
}


class TurnRecord:
    """What a turn of a workflow came to. Times are by `time.perf_counter`, in seconds.

    Attributes:
        workflow_name: The workflow; '' when it is not known.
        instance_id: Its instance.
        outcome: 'waiting' (the run goes on), 'completed', 'failed', 'terminated', 'continued_as_new', or 'unanswered':
            its history could not be had, and the sidecar is to dispatch it again.
        sticky: 'hit': the running workflow was there; 'miss': it was not; 'first': the first turn of a run, so there is
            none; 'off': sticky execution is off.
        miss_reason: Why it was not there, as a field of `StickyMisses`; '' but for a miss.
        started: When a thread took it.
        replayed: When the replay was done, fetching the history included; 0.0: there was none.
        ended: When its answer was ready to be sent.
        new_events: How many new events it was given.
        replayed_events: How many events of the history were replayed.
        input_bytes: What the workflow's input takes as UTF-8, in its first turn; None: in no other, or there is none.
        result_bytes: What its result takes, in its last turn; None: in no other, or there is none.
        is_delivered: Whether the answer arrived.
        trace_parent: The sidecar's span of the run, as a W3C `traceparent`; '' where nothing is traced.
        trace_state: The W3C `tracestate` that goes with it; '' for none.
    """

    # By hand, and not as a dataclass: it is made for every turn.
    __slots__ = (
        'ended',
        'input_bytes',
        'instance_id',
        'is_delivered',
        'miss_reason',
        'new_events',
        'outcome',
        'replayed',
        'replayed_events',
        'result_bytes',
        'started',
        'sticky',
        'trace_parent',
        'trace_state',
        'workflow_name',
    )

    def __init__(self, instance_id: str, started: float) -> None:
        self.workflow_name = ''
        self.instance_id = instance_id
        self.outcome = 'unanswered'
        self.sticky = 'off'
        self.miss_reason = ''
        self.started = started
        self.replayed = 0.0
        self.ended = 0.0
        self.new_events = 0
        self.replayed_events = 0
        self.input_bytes: int | None = None
        self.result_bytes: int | None = None
        self.is_delivered = False
        self.trace_parent = self.trace_state = ''

    def missed(self, reason: str) -> None:
        """Takes note that the running workflow was not there.

        Args:
            reason: A field of `StickyMisses`; '': it is the first turn of the run.
        """
        self.sticky = 'miss' if reason else 'first'
        self.miss_reason = reason

    def read_start(self, events: Sequence[pb.HistoryEvent]) -> None:
        """Takes down what the new events of the first turn of a run show."""
        for event in events:
            if event.HasField('executionStarted'):
                start = event.executionStarted
                self.input_bytes = size_of(start.input.value) if start.HasField('input') else None

    def read_end(self, response: pb.WorkflowResponse) -> None:
        """Takes down what an answer shows that ends a run."""
        for action in response.actions:
            if action.HasField('completeWorkflow'):
                completion = action.completeWorkflow
                self.outcome = _OUTCOMES.get(completion.workflowStatus, 'failed')
                self.result_bytes = size_of(completion.result.value) if completion.HasField('result') else None


@dataclass(slots=True, eq=False)
class ActivityRecord:
    """What an activity came to. Times are by `time.perf_counter`, in seconds.

    Attributes:
        activity_name: The activity.
        instance_id: The workflow instance that called it.
        task_id: The number of the call there.
        is_async: Whether it ran on the event loop.
        outcome: 'completed', 'failed', or 'cancelled': by the worker, which is stopping; it is not answered.
        received: When its work item came in.
        started: When a thread, or the event loop, took it.
        ended: When it had returned or raised.
        input_bytes: What its input takes as UTF-8; None: there is none.
        result_bytes: What its result takes; None: there is none.
    """

    activity_name: str
    instance_id: str
    task_id: int
    is_async: bool
    received: float
    started: float
    outcome: str = 'completed'
    ended: float = 0.0
    input_bytes: int | None = None
    result_bytes: int | None = None


class ObservedWorker(Protocol):
    """What a listener may ask a worker, at any time and on any thread."""

    @property
    def sticky_execution_stats(self) -> StickyStats: ...
    @property
    def history_cache_stats(self) -> HistoryCacheStats: ...
    def status(self) -> WorkerStatus: ...


class WorkerListener:
    """Is told what a worker does. Override what you want to know; the rest costs nothing.

    The methods are called on the worker's threads, in the midst of its work: return at once, and leave what takes time
    to a thread of your own. What they raise is logged, and has no other effect. One listener can serve several workers.
    """

    def worker_started(self, worker: ObservedWorker) -> None:
        """A worker has begun to connect."""

    def worker_stopped(self, worker: ObservedWorker) -> None:
        """A worker has stopped; nothing more comes of it until it is started again."""

    def connected(self, number: int) -> None:
        """The stream of work items is open.

        Args:
            number: How many have been open since the worker started, this one included.
        """

    def reconnecting(self, reason: str) -> None:
        """The stream was lost or could not be opened, and is opened again after a delay.

        Args:
            reason: One of few: 'ended' (by the sidecar), 'silent' (no answer to Hello), 'history' (one could not be
                had), 'error', or the name of a gRPC status in lower case.
        """

    def received(self, size: int) -> None:
        """A work item has come in.

        Args:
            size: The size of its message, in bytes.
        """

    def turn_ended(self, turn: TurnRecord) -> None:
        """A turn is over and answered."""

    def activity_ended(self, activity: ActivityRecord) -> None:
        """An activity has ended; its answer is sent next."""

    def answer_failed(self, kind: str, reason: str) -> None:
        """An answer did not arrive; the sidecar dispatches its work item again.

        Args:
            kind: 'turn' or 'activity'.
            reason: 'too_large' (a failure is sent in its place), 'not_connected', 'error', or the name of a gRPC status
                in lower case.
        """


class Listeners:
    """The listeners of one worker, as the engine calls them: each is told only what it overrides, and can do no harm.

    Args:
        listeners: In the order in which they are told.
        logger: Where it is told that one has raised.
    """

    def __init__(self, listeners: Sequence[WorkerListener], logger: logging.Logger) -> None:
        self._logger = logger
        self._worker_started = _overridden(listeners, 'worker_started')
        self._worker_stopped = _overridden(listeners, 'worker_stopped')
        self._connected = _overridden(listeners, 'connected')
        self._reconnecting = _overridden(listeners, 'reconnecting')
        self._received = _overridden(listeners, 'received')
        self._turn_ended = _overridden(listeners, 'turn_ended')
        self._activity_ended = _overridden(listeners, 'activity_ended')
        self._answer_failed = _overridden(listeners, 'answer_failed')

    @property
    def want_turns(self) -> bool:
        """Whether any wants to know of turns."""
        return bool(self._turn_ended)

    @property
    def want_activities(self) -> bool:
        """Whether any wants to know of activities."""
        return bool(self._activity_ended)

    @property
    def on_received(self) -> Callable[[int], None] | None:
        """`received`; None when no one wants to know."""
        return self.received if self._received else None

    def worker_started(self, worker: ObservedWorker) -> None:
        """Tells it, as all that follow do."""
        for tell in self._worker_started:
            self._call(tell, worker)

    def worker_stopped(self, worker: ObservedWorker) -> None:
        for tell in self._worker_stopped:
            self._call(tell, worker)

    def connected(self, number: int) -> None:
        for tell in self._connected:
            self._call(tell, number)

    def reconnecting(self, reason: str) -> None:
        for tell in self._reconnecting:
            self._call(tell, reason)

    def received(self, size: int) -> None:
        try:
            for tell in self._received:
                tell(size)
        except Exception:
            self._logger.exception('A listener failed.')

    def turn_ended(self, turn: TurnRecord) -> None:
        try:
            for tell in self._turn_ended:
                tell(turn)
        except Exception:
            self._logger.exception('A listener failed.')

    def activity_ended(self, activity: ActivityRecord) -> None:
        for tell in self._activity_ended:
            self._call(tell, activity)

    def answer_failed(self, kind: str, reason: str) -> None:
        for tell in self._answer_failed:
            self._call(tell, kind, reason)

    def _call(self, tell: Callable[..., None], *arguments: Any) -> None:
        try:
            tell(*arguments)
        except Exception:
            self._logger.exception('A listener failed.')


def _overridden(listeners: Sequence[WorkerListener], name: str) -> tuple[Callable[..., None], ...]:
    inherited = getattr(WorkerListener, name)
    return tuple(
        getattr(listener, name) for listener in listeners if getattr(type(listener), name, None) is not inherited
    )


def size_of(text: str) -> int:
    """What a text takes as UTF-8, in bytes."""
    return len(text) if text.isascii() else len(text.encode('utf-8', 'surrogatepass'))
