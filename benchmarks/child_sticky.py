"""Turns inside a worker, from the work item to its answer, without a network; under ours or the peer's environment.

Run by path: `child_sticky.py MODE`, where MODE is `sticky` or `replay` (ours, with sticky execution and without) or
`peer`. It plays the sidecar: one workflow of activities one after another, whose work items are deltas, as a sidecar
sends them whose worker is warm. Each answer is checked. It reads one JSON request per line on stdin:

- `{"what": "turns", "sizes": [int, ...], "instances": int, "turns": int}`: for each size, so many instances are given a
  whole history of about so many events, and one delta that is not counted. Then each has `turns` that are counted, in
  turn, so that a noisy moment falls on all sizes alike. The answer: `{"sizes": [{"events": int, "us": [float, ...]},
  ...]}`: the history before the first counted turn, and CPU microseconds of each counted one.
- `{"what": "memory", "events": int, "instances": int, "grown": bool}`: what the process grows by for each instance
  with such a history that waits for its next turn: given as above, or grown turn by turn from its start. The answer:
  `{"bytes": float, "accounted": float}`, of each instance.
- `{"what": "crowd", "events": int, "instances": int, "turns": int}`: so many instances wait, and turns come for ones
  picked at random. The answer: `{"us": [float, ...], "bytes": float, "accounted": float}`, the bytes in all.
"""

from __future__ import annotations

import gc
import json
import logging
import random
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dapr.ext.workflow._durabletask.internal import protos as pb

_BEGAN_MS = 1_767_225_600_000
_EVENTS_A_TURN = 3
_LAST_STEP = 1_000_000
_COUNTED_FROM = 2  # turns of an instance: the whole history, then one delta


def echo(ctx: Any, value: Any) -> Any:
    return value


def sequence(ctx: Any, steps: int) -> Any:
    total = 0
    for step in range(steps):
        total += yield ctx.call_activity('echo', input=step)
    return total


# The sidecar's side: batch n is what turn n is given, counted from 1, and what is committed of it.


def _given(number: int) -> list[pb.HistoryEvent]:
    started = _event(number, 0)
    started.workflowStarted.SetInParent()
    event = _event(number, 1)
    if number == 1:
        execution = event.executionStarted
        execution.name = 'sequence'
        execution.input.value = str(_LAST_STEP)
        execution.workflowInstance.instanceId = 'waiting'
        execution.workflowInstance.executionId.value = _RUN
    else:
        event.router.sourceAppID = 'bench'
        event.taskCompleted.taskScheduledId = number - 1
        event.taskCompleted.taskExecutionId = str(uuid.UUID(int=number - 1))
        event.taskCompleted.result.value = str(number - 2)
    return [started, event]


def _committed(number: int) -> list[pb.HistoryEvent]:
    event = _event(number, 2)
    event.eventId = number
    event.router.sourceAppID = 'bench'
    event.taskScheduled.name = 'echo'
    event.taskScheduled.taskExecutionId = str(uuid.UUID(int=number))
    event.taskScheduled.input.value = str(number - 1)
    return [*_given(number), event]


def _event(number: int, place: int) -> pb.HistoryEvent:
    event = pb.HistoryEvent(eventId=-1)
    event.timestamp.FromMilliseconds(_BEGAN_MS + _EVENTS_A_TURN * number + place)
    return event


_RUN = str(uuid.UUID(int=0))


class WorkItems:
    """The work items of a workflow, by the number of the turn: encoded once, parsed anew for each instance."""

    def __init__(self) -> None:
        self._encoded: dict[tuple[int, int], bytes] = {}

    def whole(self, instance_id: str, turn: int) -> pb.WorkItem:
        """The work item of a turn with all events before it."""
        return self._parsed(instance_id, turn, 0)

    def delta(self, instance_id: str, turn: int) -> pb.WorkItem:
        """The work item of a turn with what is new since the turn before it was dispatched."""
        return self._parsed(instance_id, turn, turn - 2)

    def _parsed(self, instance_id: str, turn: int, cached_turns: int) -> pb.WorkItem:
        encoded = self._encoded.get((turn, cached_turns))
        if encoded is None:
            request = pb.WorkflowRequest(newEvents=_given(turn))
            request.executionId.value = _RUN
            for number in range(cached_turns + 1, turn):
                request.pastEvents.extend(_committed(number))
            if cached_turns:
                request.cachedHistory.eventCount = _EVENTS_A_TURN * cached_turns
            item = pb.WorkItem(completionToken=str(uuid.UUID(int=turn)), workflowRequest=request)
            encoded = self._encoded[turn, cached_turns] = item.SerializeToString()
        item = pb.WorkItem.FromString(encoded)
        item.workflowRequest.instanceId = instance_id
        return item


# The workers' side


class Answers:
    """Takes the answers in place of the sidecar."""

    def __init__(self) -> None:
        self.last = pb.WorkflowResponse()

    def complete_turn(self, response: pb.WorkflowResponse) -> bool:
        self.last = response
        return True

    def CompleteOrchestratorTask(self, response: pb.WorkflowResponse, timeout: float) -> None:
        self.last = response

    def check(self, turn: int) -> None:
        if [action.id for action in self.last.actions] != [turn] or not self.last.actions[0].HasField('scheduleTask'):
            raise RuntimeError(f'turn {turn} was expected to schedule activity {turn}, it answered {self.last}')


Serve = Callable[[pb.WorkItem], None]
Account = Callable[[], int]


def _ours(answers: Answers, is_sticky: bool, workflow: Callable[..., Any]) -> tuple[Serve, Account]:
    from dapr.ext.workflow._durabletask.history.cache import _WorkflowHistoryCache
    from dapr.ext.workflow._durabletask.history.fence import DispatchFence
    from dapr.ext.workflow._durabletask.history.resolver import HistoryResolver
    from dapr.ext.workflow._durabletask.history.sticky import StickyInstances
    from dapr.ext.workflow._durabletask.replay.executor import _OrchestrationExecutor, close
    from dapr.ext.workflow._durabletask.replay.registry import _Registry
    from dapr.ext.workflow._durabletask.turns import Dispatch, Turns

    logger = logging.getLogger('benchmarks.sticky')
    logger.setLevel(logging.INFO)
    registry = _Registry()
    registry.add_named_orchestrator('sequence', workflow)
    cache, fence = _WorkflowHistoryCache(), DispatchFence()

    def no_fetch(instance_id: str) -> Sequence[pb.HistoryEvent]:
        raise RuntimeError(f'{instance_id}: no history was expected to be fetched')

    sticky = StickyInstances(lambda instance: close(instance, logger)) if is_sticky else None
    turns = Turns(_OrchestrationExecutor(registry, logger), answers, logger, HistoryResolver(cache, no_fetch), sticky)

    def serve(item: pb.WorkItem) -> None:
        turns.serve(Dispatch(item, fence.enter(item.workflowRequest.instanceId)))

    return serve, lambda: cache.stats.bytes if sticky is None else sticky.stats.bytes


def _peer(answers: Answers) -> tuple[Serve, Account]:
    from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker

    # Untyped: these are names of the peer's alone, found by looking at the running package.
    worker: Any = TaskHubGrpcWorker(host_address='127.0.0.1:1')
    worker.add_orchestrator(sequence)
    worker._set_connection(object(), answers)
    worker._logger.setLevel(logging.WARNING)  # it tells of each turn at INFO, on stderr

    def serve(item: pb.WorkItem) -> None:
        worker._execute_orchestrator(item.workflowRequest, item.completionToken, no_teardown)

    def no_teardown() -> None:
        raise RuntimeError('no history was expected to be fetched')

    return serve, lambda: int(worker._history_cache._total_bytes)


class Bench:
    """What is measured, with a worker of its own.

    Args:
        mode: 'sticky', 'replay' or 'peer'.
        workflow: The workflow, in ours. Default: the one that both have.
    """

    def __init__(self, mode: str, workflow: Callable[..., Any] = sequence) -> None:
        self._answers = Answers()
        self._serve, self._account = (
            _peer(self._answers) if mode == 'peer' else _ours(self._answers, mode == 'sticky', workflow)
        )
        self._items = WorkItems()
        self._made = 0

    def turns(self, sizes: Sequence[int], instances: int, turns: int) -> dict[str, Any]:
        waiting: list[tuple[str, int, list[float]]] = []
        taken: list[dict[str, Any]] = []
        for events in sizes:
            first = _turn_after(events)
            of_size: list[float] = []
            taken.append({'events': _EVENTS_A_TURN * (first + _COUNTED_FROM - 1), 'us': of_size})
            for instance_id in self._new_ids(instances):
                self._warm_up(instance_id, first)
                waiting.append((instance_id, first + _COUNTED_FROM, of_size))
        gc.collect()
        for number in range(turns):
            for instance_id, first, of_size in waiting:
                of_size.append(self._delta(instance_id, first + number))
        return {'sizes': taken}

    def memory(self, events: int, instances: int, grown: bool) -> dict[str, Any]:
        last = _turn_after(events)

        def wait(instance_id: str) -> None:
            if not grown:
                self._warm_up(instance_id, last - 1)
                return
            for turn in range(1, last + 1):
                item = self._items.whole if turn < 3 else self._items.delta
                self._served(item(instance_id, turn), turn)

        for instance_id in self._new_ids(2):  # what is made once
            wait(instance_id)
        ids = self._new_ids(instances)
        before, accounted = resident_bytes(), self._account()
        for instance_id in ids:
            wait(instance_id)
        return {
            'bytes': (resident_bytes() - before) / instances,
            'accounted': (self._account() - accounted) / instances,
        }

    def crowd(self, events: int, instances: int, turns: int) -> dict[str, Any]:
        before, accounted = resident_bytes(), self._account()
        first = _turn_after(events)
        ids = self._new_ids(instances)
        for instance_id in ids:
            self._warm_up(instance_id, first)
        size, accounted = resident_bytes() - before, self._account() - accounted
        next_turns = dict.fromkeys(ids, first + _COUNTED_FROM)
        taken = []
        pick = random.Random(0)
        for _ in range(turns):
            instance_id = pick.choice(ids)
            taken.append(self._delta(instance_id, next_turns[instance_id]))
            next_turns[instance_id] += 1
        return {'us': taken, 'bytes': size, 'accounted': accounted}

    # Inside

    def _new_ids(self, count: int) -> list[str]:
        self._made += count
        return [f'instance-{number}' for number in range(self._made - count, self._made)]

    def _warm_up(self, instance_id: str, first: int) -> None:
        """Gives an instance its history whole, in the turn of this number, and then the delta that follows it."""
        self._served(self._items.whole(instance_id, first), first)
        self._delta(instance_id, first + 1)

    def _delta(self, instance_id: str, turn: int) -> float:
        return self._served(self._items.delta(instance_id, turn), turn)

    def _served(self, item: pb.WorkItem, turn: int) -> float:
        began = time.process_time_ns()
        self._serve(item)
        ended = time.process_time_ns()
        self._answers.check(turn)
        return (ended - began) / 1e3


def _turn_after(events: int) -> int:
    """The number of the first turn that has at least so many committed events before it."""
    return -(-events // _EVENTS_A_TURN) + 1


def resident_bytes() -> int:
    """What the process holds in memory, after a collection of garbage."""
    gc.collect()
    return int(Path('/proc/self/statm').read_text().split()[1]) * 4096


def main() -> None:
    bench = Bench(sys.argv[1])
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(getattr(bench, request.pop('what'))(**request)), flush=True)


if __name__ == '__main__':
    main()
