"""Sticky turns and activities with and without what observes them, for `listening`: one JSON request, one answer."""

from __future__ import annotations

import gc
import json
import logging
import random
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from benchmarks.child_sticky import WorkItems, sequence
from dapr.ext.workflow import BaseRuntimeInterceptor, BaseWorkflowOutboundInterceptor
from dapr.ext.workflow._durabletask.activity import Activities
from dapr.ext.workflow._durabletask.history.fence import DispatchFence
from dapr.ext.workflow._durabletask.history.sticky import StickyInstances
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.listener import Listeners, WorkerListener
from dapr.ext.workflow._durabletask.replay.executor import _OrchestrationExecutor
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from dapr.ext.workflow._durabletask.turns import Dispatch, Turns
from dapr.ext.workflow.adapters import adapt_activity, adapt_workflow
from dapr.ext.workflow.intercepted import Interceptions
from dapr.ext.workflow.observability import WorkflowMetrics

_LOGGER = logging.getLogger('bench')


class _Answers:
    def complete_turn(self, response: pb.WorkflowResponse) -> bool:
        return True

    def complete_activity(self, response: pb.ActivityResponse) -> bool:
        return True


class _Around(BaseRuntimeInterceptor[Any, Any]):
    def execute_activity(self, request: Any, next: Callable[[Any], Any]) -> Any:
        return next(request)


class _Outbound(BaseWorkflowOutboundInterceptor[Any, Any]):
    def call_activity(self, request: Any, next: Callable[[Any], Any]) -> Any:
        return next(request)


def echo(ctx: Any, value: Any) -> Any:
    return value


class _Worker:
    """The turns and activities of one variant: one instance, turn after turn."""

    def __init__(self, listener: WorkerListener | None = None, interceptions: Interceptions | None = None) -> None:
        interceptions = interceptions or Interceptions()
        registry = _Registry()
        registry.add_named_orchestrator('sequence', adapt_workflow(sequence, interceptions))
        registry.add_named_activity('echo', adapt_activity(echo, interceptions))
        self._listeners = None if listener is None else Listeners([listener], _LOGGER)
        self._fence = DispatchFence()
        self._turns = Turns(
            _OrchestrationExecutor(registry, _LOGGER),
            _Answers(),
            _LOGGER,
            sticky=StickyInstances(lambda instance: None),
            listeners=self._listeners,
        )
        self._activities = Activities(registry, _Answers(), _LOGGER, listeners=self._listeners)
        self._items = WorkItems()
        self._next = 1
        self.turns(3)

    def turns(self, count: int) -> float:
        """Runs turns; gives the CPU time of the thread, in seconds."""
        items = []
        for number in range(self._next, self._next + count):
            make = self._items.whole if number <= 2 else self._items.delta
            items.append(make('bench', number))
        self._next += count
        return self._measured(items, lambda item: self._turns.serve(Dispatch(item, self._fence.enter('bench'))))

    def activities(self, count: int) -> float:
        """Runs sync activities; gives the CPU time of the thread, in seconds."""
        request = pb.ActivityRequest(name='echo', taskId=1, workflowInstance=pb.WorkflowInstance(instanceId='bench'))
        request.input.value = '"a short one"'
        items = [pb.WorkItem(activityRequest=request, completionToken='token') for _ in range(count)]
        return self._measured(items, self._activities.serve)

    def _measured(self, items: list[pb.WorkItem], serve: Callable[[pb.WorkItem], None]) -> float:
        received = None if self._listeners is None else self._listeners.on_received
        gc.collect()
        began = time.thread_time()
        for item in items:
            if received is not None:
                received(300)
            serve(item)
        return time.thread_time() - began


def main() -> None:
    request: dict[str, Any] = json.loads(sys.stdin.readline())
    count = request['turns']
    metrics = WorkflowMetrics(MeterProvider([InMemoryMetricReader()]))
    workers = {
        'none': _Worker(),
        'a listener that wants nothing': _Worker(WorkerListener()),
        'metrics': _Worker(metrics),
        'an interceptor': _Worker(None, Interceptions([_Around()], [_Outbound()])),
        'metrics and an interceptor': _Worker(metrics, Interceptions([_Around()], [_Outbound()])),
    }
    answer: dict[str, dict[str, dict[str, float]]] = {}
    for kind in ('turns', 'activities'):
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in workers}
        for _ in range(request['rounds']):
            # In another order each time: what runs after OpenTelemetry finds the caches cold.
            for name, worker in random.sample(list(workers.items()), len(workers)):
                run = getattr(worker, kind)
                run(50)
                metrics.flush()
                on_thread = run(count)
                flushing = time.process_time()
                metrics.flush()
                taken[name].append((on_thread, on_thread + time.process_time() - flushing))
        answer[kind] = {
            name: {
                'thread_us': statistics.median(1e6 * on_thread / count for on_thread, _ in times),
                'process_us': statistics.median(1e6 * in_all / count for _, in_all in times),
            }
            for name, times in taken.items()
        }
    print(json.dumps(answer), flush=True)


if __name__ == '__main__':
    main()
