"""Cold replay of sequential activities, under ours or the peer's environment: it uses names alone that both have.

Run by path: reads `{"steps": int, "turns": int}` per line on stdin, answers with
`{"us_per_event": [float, ...], "events": int}`, one figure for each turn. With `bare` as its argument it runs the floor
instead: a table of handlers over the same events, which keeps what a replay must keep and makes no actions.
"""

from __future__ import annotations

import gc
import json
import logging
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from dapr.ext.workflow._durabletask.internal import protos as pb

_INSTANCE = 'replayed'
_BEGAN_MS = 1_767_225_600_000


def echo(ctx: Any, value: Any) -> Any:
    return value


def sequence(ctx: Any, steps: int) -> Any:
    total = 0
    for step in range(steps):
        total += yield ctx.call_activity('echo', input=step)
    return total


def make_history(steps: int) -> tuple[list[pb.HistoryEvent], list[pb.HistoryEvent]]:
    """What a sidecar commits for `steps` activities one after another, and the turn that brings the last result.

    The events have the fields that a sidecar fills in, and are parsed from bytes, as when a work item comes in.
    """
    request = pb.WorkflowRequest()
    for step in range(steps + 1):
        batch = request.newEvents if step == steps else request.pastEvents
        batch.add(eventId=-1).workflowStarted.SetInParent()
        if step == 0:
            started = batch.add(eventId=-1).executionStarted
            started.name = 'sequence'
            started.input.value = str(steps)
            started.workflowInstance.instanceId = _INSTANCE
            started.workflowInstance.executionId.value = str(uuid.UUID(int=0))
        else:
            event = batch.add(eventId=-1)
            event.router.sourceAppID = 'bench'
            event.taskCompleted.taskScheduledId = step
            event.taskCompleted.taskExecutionId = str(uuid.UUID(int=step))
            event.taskCompleted.result.value = str(step - 1)
        if step < steps:
            event = batch.add(eventId=step + 1)
            event.router.sourceAppID = 'bench'
            event.taskScheduled.name = 'echo'
            event.taskScheduled.taskExecutionId = str(uuid.UUID(int=step + 1))
            event.taskScheduled.input.value = str(step)
    for number, event in enumerate((*request.pastEvents, *request.newEvents)):
        event.timestamp.FromMilliseconds(_BEGAN_MS + number)
    parsed = pb.WorkflowRequest.FromString(request.SerializeToString())
    return list(parsed.pastEvents), list(parsed.newEvents)


class _Bare:
    """The least that a replay does: find a handler by the event's kind, keep results, resume the generator."""

    def __init__(self) -> None:
        self._pending: dict[int, tuple[str, int]] = {}
        self._generator: Any = None
        self._last_id = 0
        self.result: Any = None

    def call_activity(self, name: str, *, input: int) -> int:
        self._last_id += 1
        self._pending[self._last_id] = (name, input)
        return self._last_id

    def execution_started(self, event: pb.HistoryEvent) -> None:
        self._generator = sequence(self, json.loads(event.executionStarted.input.value))
        next(self._generator)

    def task_scheduled(self, event: pb.HistoryEvent) -> None:
        name, _ = self._pending[event.eventId]
        if name != event.taskScheduled.name:
            raise ValueError(f'history has activity {event.taskScheduled.name!r} at {event.eventId}, code has {name!r}')

    def task_completed(self, event: pb.HistoryEvent) -> None:
        completed = event.taskCompleted
        del self._pending[completed.taskScheduledId]
        try:
            self._generator.send(json.loads(completed.result.value))
        except StopIteration as end:
            self.result = end.value

    def workflow_started(self, event: pb.HistoryEvent) -> None:
        self.now = event.timestamp


def _bare(old: Sequence[pb.HistoryEvent], new: Sequence[pb.HistoryEvent]) -> None:
    run = _Bare()
    handlers: dict[str | None, Callable[[pb.HistoryEvent], None]] = {
        'workflowStarted': run.workflow_started,
        'executionStarted': run.execution_started,
        'taskScheduled': run.task_scheduled,
        'taskCompleted': run.task_completed,
    }
    for events in (old, new):
        for event in events:
            handlers[event.WhichOneof('eventType')](event)
    if run.result is None:
        raise RuntimeError('the bare loop was expected to end its workflow')


def _engine() -> Callable[[Sequence[pb.HistoryEvent], Sequence[pb.HistoryEvent]], None]:
    from dapr.ext.workflow._durabletask.worker import _OrchestrationExecutor, _Registry

    registry = _Registry()
    registry.add_orchestrator(sequence)
    registry.add_activity(echo)
    logger = logging.getLogger('benchmarks.replay')
    logger.setLevel(logging.WARNING)

    def execute(old: Sequence[pb.HistoryEvent], new: Sequence[pb.HistoryEvent]) -> None:
        actions = _OrchestrationExecutor(registry, logger).execute(_INSTANCE, old, new).actions
        if len(actions) != 1 or actions[0].completeWorkflow.workflowStatus != pb.ORCHESTRATION_STATUS_COMPLETED:
            raise RuntimeError(f'the replayed workflow was expected to complete, its actions are {list(actions)[:3]}')

    return execute


def main() -> None:
    execute = _bare if sys.argv[1:] == ['bare'] else _engine()
    histories: dict[int, tuple[list[pb.HistoryEvent], list[pb.HistoryEvent]]] = {}
    for line in sys.stdin:
        request = json.loads(line)
        steps = request['steps']
        if steps not in histories:
            histories[steps] = make_history(steps)
            execute(*histories[steps])
        old, new = histories[steps]
        events = len(old) + len(new)
        taken = []
        for _ in range(request['turns']):
            gc.collect()
            began = time.perf_counter()
            execute(old, new)
            taken.append((time.perf_counter() - began) / events * 1e6)
        print(json.dumps({'us_per_event': taken, 'events': events}), flush=True)


if __name__ == '__main__':
    main()
