"""A worker's metrics, by OpenTelemetry's API: what it alone knows, beside the sidecar's `dapr_runtime_workflow_*`.

How it stays cheap: a turn hands over its record, which is one append to a queue. A thread of its own takes the records
out twice a second and gives them to OpenTelemetry, where each takes some microseconds; a collection takes them out,
too, so that it misses nothing. What can be read at any time (slots, caches, the connection) is read by a collection
alone.

Names are dotted, times are in seconds, sizes in bytes. Attributes are few-valued: names of workflows and activities,
outcomes, reasons, kinds; never an instance id.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from typing import Any, Final
from weakref import WeakSet

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter

from dapr.ext.workflow._durabletask.listener import ActivityRecord, ObservedWorker, TurnRecord, WorkerListener
from dapr.ext.workflow._version import __version__

__all__ = ['WorkflowMetrics']

# The scope that all of them have.
SCOPE: Final = 'dapr.ext.workflow'

# How long records wait for their thread at most, in seconds, but for a collection.
_PAUSE_SECONDS: Final = 0.5
_JOIN_SECONDS: Final = 5.0
# Where OpenTelemetry is that slow, the oldest are lost and not the memory.
_MAX_QUEUED: Final = 200_000
# Turns take microseconds, activities up to hours; OpenTelemetry's own boundaries are meant for milliseconds.
_TURN_SECONDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_ACTIVITY_SECONDS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
_BYTES: Final = tuple(float(4**power) for power in range(3, 13))  # 64 B to 16 MiB

_Attributes = dict[str, str]
_Entry = TurnRecord | ActivityRecord | int


class WorkflowMetrics(WorkerListener):
    """Records the metrics of a worker with OpenTelemetry. Give it to `WorkflowRuntime(listeners=[...])`.

    Histograms, in seconds or bytes:

    - `dapr.workflow.turn.duration` (`workflow.name`, `outcome`, `sticky`, `reason`): from a thread's taking a turn
      until its answer is ready. `sticky` is hit, miss (and `reason` says why), first or off.
    - `dapr.workflow.replay.duration` (`workflow.name`, `sticky`, `reason`): the part of it that went into the history.
    - `dapr.workflow.activity.duration` (`activity.name`, `outcome`), and `dapr.workflow.activity.queue.duration`
      (`activity.name`): how long it waited for its place before.
    - `dapr.workflow.payload.size` (`kind`: workflow.input, workflow.result, activity.input, activity.result; and
      `workflow.name` or `activity.name`).

    Counters:

    - `dapr.workflow.turn.events` (`workflow.name`, `kind`: new or replayed).
    - `dapr.workflow.stream.bytes`: the work items that came.
    - `dapr.workflow.stream.reconnects` (`reason`), `dapr.workflow.answers.failed` (`kind`, `reason`).
    - `dapr.workflow.sticky.hits`, `.misses` (`reason`), `.evictions` (`reason`); `dapr.workflow.history_cache.hits`,
      `.misses` (`reason`), `.evictions` (`reason`), `.fetches`, `.fetch_failures`.

    Gauges:

    - `dapr.workflow.slots.used` and `.available` (`kind`: turn, activity or async_activity).
    - `dapr.workflow.work_items.waiting` (`kind`: turn or activity).
    - `dapr.workflow.stream.connected`: how many workers are connected; 1 or 0, where there is one.
    - `dapr.workflow.sticky.instances`, `.bytes`; `dapr.workflow.history_cache.instances`, `.bytes`.

    One object can serve several workers, whose figures are added up. Make one for each meter provider at most: two
    would count twice.

    Args:
        meter_provider: Whose meter records them. None (default): the one that the app sets, now or later
            (`opentelemetry.metrics.set_meter_provider`).
    """

    def __init__(self, meter_provider: MeterProvider | None = None) -> None:
        self._meter = meter = get_meter(SCOPE, __version__, meter_provider)
        self._queue: deque[_Entry] = deque(maxlen=_MAX_QUEUED)
        self._recording = threading.Lock()  # one at a time takes entries out
        self._lifecycle = threading.Lock()
        self._woken = threading.Event()
        self._is_idle = False
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._running: set[int] = set()
        self._workers: WeakSet[Any] = WeakSet()
        self._attributes: dict[tuple[str, ...], _Attributes] = {}

        def seconds(name: str, boundaries: tuple[float, ...], description: str) -> Callable[[float, _Attributes], None]:
            return meter.create_histogram(
                f'dapr.workflow.{name}', 's', description, explicit_bucket_boundaries_advisory=boundaries
            ).record

        self._turn = seconds('turn.duration', _TURN_SECONDS, 'How long turns took, until their answer was ready.')
        self._replay = seconds('replay.duration', _TURN_SECONDS, 'How long fetching and replaying histories took.')
        self._activity = seconds('activity.duration', _ACTIVITY_SECONDS, 'How long activities ran.')
        self._queued = seconds('activity.queue.duration', _ACTIVITY_SECONDS, 'How long activities waited before.')
        self._payload = meter.create_histogram(
            'dapr.workflow.payload.size',
            'By',
            'What inputs and results take.',
            explicit_bucket_boundaries_advisory=_BYTES,
        ).record
        self._events = meter.create_counter('dapr.workflow.turn.events', '{event}', 'Events given to turns.')
        self._bytes = meter.create_counter('dapr.workflow.stream.bytes', 'By', 'Work items that came.')
        self._reconnects = meter.create_counter(
            'dapr.workflow.stream.reconnects', '{reconnect}', 'How often the stream was opened again, or had to be.'
        )
        self._failed_answers = meter.create_counter(
            'dapr.workflow.answers.failed', '{answer}', 'Answers that the sidecar did not take.'
        )
        self._observe()

    def flush(self) -> None:
        """Gives OpenTelemetry what is recorded so far. A collection does so, and the end of a worker."""
        with self._recording:
            self._record_queued()

    # What the worker calls

    def worker_started(self, worker: ObservedWorker) -> None:
        with self._lifecycle:
            self._workers.add(worker)
            self._running.add(id(worker))
            if self._thread is None:
                self._stopping.clear()
                self._thread = threading.Thread(target=self._work, name='dapr-workflow-metrics', daemon=True)
                self._thread.start()

    def worker_stopped(self, worker: ObservedWorker) -> None:
        with self._lifecycle:
            self._running.discard(id(worker))
            thread, self._thread = self._thread, self._thread if self._running else None
            if self._thread is None and thread is not None:
                self._stopping.set()
                self._woken.set()
                thread.join(_JOIN_SECONDS)
        self.flush()

    def turn_ended(self, turn: TurnRecord) -> None:
        self._queue.append(turn)
        if self._is_idle:
            self._wake()

    def activity_ended(self, activity: ActivityRecord) -> None:
        self._queue.append(activity)
        if self._is_idle:
            self._wake()

    def received(self, size: int) -> None:
        self._queue.append(size)  # it wakes no one: a turn or an activity follows

    def reconnecting(self, reason: str) -> None:
        self._reconnects.add(1, {'reason': reason})

    def answer_failed(self, kind: str, reason: str) -> None:
        self._failed_answers.add(1, {'kind': kind, 'reason': reason})

    # The thread

    def _wake(self) -> None:
        self._is_idle = False
        self._woken.set()

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()
            self._is_idle = True
            if not self._queue:  # what comes from now on wakes it
                self._woken.wait()
            self._is_idle = False
            self._stopping.wait(_PAUSE_SECONDS)
            self.flush()

    def _record_queued(self) -> None:
        events: Counter[tuple[str, str]] = Counter()
        received = 0
        while True:
            try:
                entry = self._queue.popleft()
            except IndexError:
                break
            if isinstance(entry, int):
                received += entry
            elif isinstance(entry, TurnRecord):
                self._record_turn(entry)
                if entry.new_events:
                    events[entry.workflow_name, 'new'] += entry.new_events
                if entry.replayed_events:
                    events[entry.workflow_name, 'replayed'] += entry.replayed_events
            else:
                self._record_activity(entry)
        for (name, kind), count in events.items():
            self._events.add(count, self._of('workflow.name', name, 'kind', kind))
        if received:
            self._bytes.add(received)

    def _record_turn(self, turn: TurnRecord) -> None:
        name = turn.workflow_name
        self._turn(
            (turn.ended or turn.started) - turn.started,
            self._of('workflow.name', name, 'outcome', turn.outcome, 'sticky', turn.sticky, 'reason', turn.miss_reason),
        )
        if turn.replayed:
            self._replay(
                turn.replayed - turn.started,
                self._of('workflow.name', name, 'sticky', turn.sticky, 'reason', turn.miss_reason),
            )
        for kind, size in (('workflow.input', turn.input_bytes), ('workflow.result', turn.result_bytes)):
            if size is not None:
                self._payload(size, self._of('kind', kind, 'workflow.name', name))

    def _record_activity(self, activity: ActivityRecord) -> None:
        name = activity.activity_name
        self._activity(activity.ended - activity.started, self._of('activity.name', name, 'outcome', activity.outcome))
        self._queued(activity.started - activity.received, self._of('activity.name', name))
        for kind, size in (('activity.input', activity.input_bytes), ('activity.result', activity.result_bytes)):
            if size is not None:
                self._payload(size, self._of('kind', kind, 'activity.name', name))

    def _of(self, *pairs: str) -> _Attributes:
        """Names and values, in turn, as attributes; what has no value is left out."""
        attributes = self._attributes.get(pairs)
        if attributes is None:
            attributes = {name: value for name, value in zip(pairs[::2], pairs[1::2], strict=True) if value}
            self._attributes[pairs] = attributes
        return attributes

    # What is read when it is collected

    def _observe(self) -> None:
        gauge, counter = self._meter.create_observable_gauge, self._meter.create_observable_counter

        def flushed(options: CallbackOptions) -> Iterable[Observation]:
            self.flush()  # the histograms are collected after this, in the same collection
            return [Observation(sum(worker.status().is_connected for worker in self._all()))]

        gauge('dapr.workflow.stream.connected', [flushed], '{worker}', 'Workers that are connected to their sidecar.')
        gauge('dapr.workflow.slots.used', [_each(self._slots_used)], '{slot}', 'Turns and activities that run.')
        gauge('dapr.workflow.slots.available', [_each(self._slots_free)], '{slot}', 'How many more could run.')
        gauge(
            'dapr.workflow.work_items.waiting',
            [_each(self._waiting)],
            '{work_item}',
            'Work items that wait for a slot.',
        )
        for room, stats, kept in (
            ('sticky', lambda worker: worker.sticky_execution_stats, 'running'),
            ('history_cache', lambda worker: worker.history_cache_stats, 'entries'),
        ):
            name = f'dapr.workflow.{room}'
            gauge(f'{name}.instances', [self._sum(stats, kept)], '{instance}', 'Instances that are kept now.')
            gauge(f'{name}.bytes', [self._sum(stats, 'bytes')], 'By', 'What they take, nearly.')
            counter(f'{name}.hits', [self._sum(stats, 'hits')], '{turn}', 'Turns that found their instance.')
            counter(f'{name}.misses', [self._by_reason(stats, 'misses')], '{turn}', 'Turns that did not find theirs.')
            counter(f'{name}.evictions', [self._by_reason(stats, 'evictions')], '{instance}', 'Instances thrown away.')
        cache: Callable[[Any], Any] = lambda worker: worker.history_cache_stats  # noqa: E731
        counter('dapr.workflow.history_cache.fetches', [self._sum(cache, 'fetches')], '{fetch}', 'Histories asked for.')
        counter(
            'dapr.workflow.history_cache.fetch_failures',
            [self._sum(cache, 'fetch_failures')],
            '{fetch}',
            'Histories that did not come.',
        )

    def _all(self) -> list[ObservedWorker]:
        with self._lifecycle:
            return list(self._workers)

    def _sum(self, stats: Callable[[Any], Any], field: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        return lambda options: [Observation(sum(getattr(stats(worker), field) for worker in self._all()))]

    def _by_reason(self, stats: Callable[[Any], Any], field: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observed() -> Iterator[tuple[str, int]]:
            counts = [getattr(stats(worker), field) for worker in self._all()]
            for reason in fields(counts[0]) if counts else ():
                yield reason.name, sum(getattr(count, reason.name) for count in counts)

        return lambda options: [Observation(value, {'reason': reason}) for reason, value in observed() if value]

    def _slots_used(self) -> Iterator[tuple[str, int]]:
        return ((slots.kind, slots.used) for worker in self._all() for slots in worker.status().slots)

    def _slots_free(self) -> Iterator[tuple[str, int]]:
        return ((slots.kind, slots.limit - slots.used) for worker in self._all() for slots in worker.status().slots)

    def _waiting(self) -> Iterator[tuple[str, int]]:
        for worker in self._all():
            status = worker.status()
            yield 'turn', status.waiting_turns
            yield 'activity', status.waiting_activities


def _each(read: Callable[[], Iterator[tuple[str, int]]]) -> Callable[[CallbackOptions], Iterable[Observation]]:
    """A callback that adds up what is read, by kind."""

    def observe(options: CallbackOptions) -> Iterable[Observation]:
        total: Counter[str] = Counter()
        for kind, value in read():
            total[kind] += value
        return [Observation(value, {'kind': kind}) for kind, value in total.items()]

    return observe
