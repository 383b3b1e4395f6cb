"""Sticky turns with and without listeners, for `listening`: one JSON request on stdin, one answer on stdout."""

from __future__ import annotations

import gc
import json
import logging
import random
import statistics
import sys
import time
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from benchmarks.child_sticky import WorkItems, echo, sequence
from dapr.ext.workflow._durabletask.history.fence import DispatchFence
from dapr.ext.workflow._durabletask.history.sticky import StickyInstances
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.listener import Listeners, WorkerListener
from dapr.ext.workflow._durabletask.replay.executor import _OrchestrationExecutor
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from dapr.ext.workflow._durabletask.turns import Dispatch, Turns
from dapr.ext.workflow.observability import WorkflowMetrics

_LOGGER = logging.getLogger('bench')


class _Answers:
    def complete_turn(self, response: pb.WorkflowResponse) -> bool:
        return True


class _Worker:
    """The turns of one variant: one instance, turn after turn."""

    def __init__(self, listener: WorkerListener | None) -> None:
        registry = _Registry()
        registry.add_orchestrator(sequence)
        registry.add_activity(echo)
        self.listeners = None if listener is None else Listeners([listener], _LOGGER)
        self._fence = DispatchFence()
        self._turns = Turns(
            _OrchestrationExecutor(registry, _LOGGER),
            _Answers(),
            _LOGGER,
            sticky=StickyInstances(lambda instance: None),
            listeners=self.listeners,
        )
        self._items = WorkItems()
        self._next = 1
        for _ in range(3):
            self.run(1)

    def run(self, count: int) -> tuple[float, float]:
        """Runs turns; gives the CPU time of the thread, and of the process until all is recorded, in seconds."""
        items = []
        for number in range(self._next, self._next + count):
            make = self._items.whole if number <= 2 else self._items.delta
            items.append(make('bench', number))
        self._next += count
        received = None if self.listeners is None else self.listeners.on_received
        gc.collect()
        process, thread = time.process_time(), time.thread_time()
        for item in items:
            if received is not None:
                received(300)
            self._turns.serve(Dispatch(item, self._fence.enter('bench')))
        return time.thread_time() - thread, time.process_time() - process


def main() -> None:
    request: dict[str, Any] = json.loads(sys.stdin.readline())
    metrics = WorkflowMetrics(MeterProvider([InMemoryMetricReader()]))
    workers = {'none': _Worker(None), 'wants nothing': _Worker(WorkerListener()), 'metrics': _Worker(metrics)}
    thread: dict[str, list[float]] = {name: [] for name in workers}
    process: dict[str, list[float]] = {name: [] for name in workers}
    for _ in range(request['rounds']):
        # In another order each time: what runs after OpenTelemetry finds the caches cold.
        for name, worker in random.sample(list(workers.items()), len(workers)):
            worker.run(50)
            on_thread, _ = worker.run(request['turns'])
            flushing = time.process_time()
            metrics.flush()
            flushed = time.process_time() - flushing
            thread[name].append(1e6 * on_thread / request['turns'])
            process[name].append(1e6 * (on_thread + flushed) / request['turns'])
    answer = {
        'thread_us': {name: statistics.median(values) for name, values in thread.items()},
        'process_us': {name: statistics.median(values) for name, values in process.items()},
    }
    print(json.dumps(answer), flush=True)


if __name__ == '__main__':
    main()
