"""Async workflows beside generators that do the same, in one process: they take turns, so that a noisy moment falls on
both. It reads one JSON request per line on stdin; all times are CPU microseconds, by kind ('generator', 'coroutine'):

- `{"what": "turns", "events": int, "instances": int, "turns": int}`: sticky turns, as in child_sticky; the means.
- `{"what": "replay", "steps": int}`: a cold replay of so many activities one after another; of each event.
- `{"what": "memory", "kind": str, "instances": int}`: what the process grows by for an instance that waits for its
  first activity. A process of its own for each kind: what one has freed the other would take.
- `{"what": "leak", "kind": str, "instances": int}`: so many instances come and go, each two activities at once under
  a limit of time; the bytes of the process after each tenth of them, and how many instances are kept at the end.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.child_replay import make_history
from benchmarks.child_sticky import Answers, Bench, resident_bytes, sequence
from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.aio.orchestrator import as_orchestrator
from dapr.ext.workflow._durabletask.history.cache import _WorkflowHistoryCache
from dapr.ext.workflow._durabletask.history.fence import DispatchFence
from dapr.ext.workflow._durabletask.history.resolver import HistoryResolver
from dapr.ext.workflow._durabletask.history.sticky import StickyInstances
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.replay.executor import _OrchestrationExecutor, close
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from dapr.ext.workflow._durabletask.turns import Dispatch, Turns

_LOGGER = logging.getLogger('benchmarks.coroutines')


async def async_sequence(ctx: Any, steps: int) -> Any:
    total = 0
    for step in range(steps):
        total += await ctx.call_activity('echo', input=step)
    return total


def pair(ctx: Any, _: None) -> Any:
    both = task.when_all([ctx.call_activity('echo', input=step, timeout=60) for step in range(2)])
    return sum((yield both))


async def async_pair(ctx: Any, _: None) -> Any:
    calls = [ctx.with_timeout(ctx.call_activity('echo', input=step), 60) for step in range(2)]
    return sum(await asyncio.gather(*calls))


_SEQUENCES: dict[str, Callable[..., Any]] = {'generator': sequence, 'coroutine': as_orchestrator(async_sequence)}
_PAIRS: dict[str, Callable[..., Any]] = {'generator': pair, 'coroutine': as_orchestrator(async_pair)}


class _Comparison:
    """The requests, by name."""

    def __init__(self) -> None:
        self._benches: dict[str, Bench] = {}
        self._replayed: dict[int, Any] = {}

    def turns(self, events: int, instances: int, turns: int) -> dict[str, float]:
        taken = {}
        for kind, workflow in _SEQUENCES.items():
            bench = self._benches.setdefault(kind, Bench('sticky', workflow))
            (sample,) = bench.turns([events], instances, turns)['sizes']
            taken[kind] = statistics.median(sample['us'])
        return taken

    def replay(self, steps: int) -> dict[str, float]:
        history = self._replayed.setdefault(steps, make_history(steps))
        taken = {}
        for kind, workflow in _SEQUENCES.items():
            registry = _Registry()
            registry.add_named_orchestrator('sequence', workflow)
            executor = _OrchestrationExecutor(registry, _LOGGER)
            gc.collect()
            began = time.process_time()
            (ending,) = executor.execute('replayed', *history).actions
            taken[kind] = (time.process_time() - began) / sum(map(len, history)) * 1e6
            if ending.completeWorkflow.workflowStatus != pb.ORCHESTRATION_STATUS_COMPLETED:
                raise RuntimeError(f'the replayed {kind} was expected to complete, it did {ending}')
        return taken

    def memory(self, kind: str, instances: int) -> dict[str, float]:
        return Bench('sticky', _SEQUENCES[kind]).memory(0, instances, True)

    def leak(self, kind: str, instances: int) -> dict[str, Any]:
        registry = _Registry()
        registry.add_named_orchestrator('pair', _PAIRS[kind])
        answers, fence = Answers(), DispatchFence()
        sticky = StickyInstances(lambda instance: close(instance, _LOGGER))
        resolver = HistoryResolver(_WorkflowHistoryCache(), _no_fetch)
        turns = Turns(_OrchestrationExecutor(registry, _LOGGER), answers, _LOGGER, resolver, sticky)
        sizes = []
        for number in range(instances):
            past: list[pb.HistoryEvent] = []
            for turn in (1, 2):
                new = _events(turn)
                request = pb.WorkflowRequest(instanceId=f'instance-{number}', pastEvents=past, newEvents=new)
                request.executionId.value = f'run-{number}'
                item = pb.WorkItem.FromString(pb.WorkItem(workflowRequest=request).SerializeToString())
                turns.serve(Dispatch(item, fence.enter(request.instanceId)))
                past += [*new, *map(_confirmed, answers.last.actions)]
            (ending,) = answers.last.actions
            if ending.completeWorkflow.result.value != '1':
                raise RuntimeError(f'instance {number} was expected to end with 1, it did {ending}')
            if (number + 1) % (instances // 10) == 0:
                sizes.append(resident_bytes())
        return {'bytes': sizes, 'kept': sticky.stats.running}


def _no_fetch(instance_id: str) -> Any:
    raise RuntimeError(f'{instance_id}: no history was expected to be fetched')


def _events(turn: int) -> list[pb.HistoryEvent]:
    started = pb.HistoryEvent(eventId=-1, workflowStarted=pb.WorkflowStartedEvent())
    started.timestamp.FromSeconds(1_767_225_600 + turn)
    if turn == 1:
        return [started, pb.HistoryEvent(eventId=-1, executionStarted=pb.ExecutionStartedEvent(name='pair'))]
    ended = [started]
    for step, action_id in enumerate(_ACTIVITIES):
        ended.append(pb.HistoryEvent(eventId=-1))
        ended[-1].taskCompleted.taskScheduledId = action_id
        ended[-1].taskCompleted.result.value = str(step)
    return ended


# Each call is followed by the timer of its limit.
_ACTIVITIES = (1, 3)


def _confirmed(action: pb.WorkflowAction) -> pb.HistoryEvent:
    event = pb.HistoryEvent(eventId=action.id)
    if action.HasField('scheduleTask'):
        event.taskScheduled.name = action.scheduleTask.name
    elif action.HasField('createTimer'):
        event.timerCreated.fireAt.CopyFrom(action.createTimer.fireAt)
    return event


def main() -> None:
    _LOGGER.setLevel(logging.WARNING)
    comparison = _Comparison()
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(getattr(comparison, request.pop('what'))(**request)), flush=True)


if __name__ == '__main__':
    main()
