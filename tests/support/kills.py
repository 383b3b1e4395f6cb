"""Workflows under load while the sidecar, or a worker, is killed at random moments and started again.

Each workflow's output and committed history are known beforehand (`LOADS`), so that in the end it can be said of each
that it ended once, with the right output, and that no committed event is lost or doubled. Histories that were read on
the way must be beginnings of what there is in the end.

On a production daprd (1.18.1) some things are different, and none of them is a worker's doing:

- There are two workers, killed by turns. A daprd whose only worker goes in the midst of a turn may never serve the
  app's actors again: it waits for the turn before it lets the next worker in, and the turn for an actor to be there.
- It hands out what a turn has asked for before it commits the turn. Killed in between, it runs the turn again when the
  outcome is there already: histories then have it before what it is the outcome of.
- Killed at such a moment it may leave a parent and its child waiting for each other for good, the one to start the
  other, and that to tell how it has ended (`DEADLOCKED`).
- When a turn that continues as new is cut off, it may give the result of that run's activity to the next run, as that
  of the call there with the same number (`CONFUSED`). It tells the two apart too late, after the turn.
"""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc

from dapr.ext.workflow._durabletask.internal import orchestrator_service_pb2_grpc as stubs
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.transport.obstacles import Obstacle, obstacle_of
from tools.go_sidecar import Sidecar

WORKER = Path(__file__).with_name('kill_worker.py')
DEADLINE = 60.0
# What a sidecar that is there may take to answer a call. A daprd that moves its actors keeps calls until they have come
# to rest, and makes them even where nobody waits for them any more.
CALL_DEADLINE = 15.0
# How many workflows there are at once, all through the kills.
WIDTH = 16


def _sequence(*kinds: str, count: int, first: int = 1) -> list[str]:
    """These events, again and again, with ids that go up."""
    return [f'{kind} {number}' for number in range(first, first + count) for kind in kinds]


@dataclass(frozen=True)
class Load:
    """A kind of workflow, and what it comes to.

    Attributes:
        name: The workflow's name.
        input: Its input.
        output: Its output.
        events: Its committed events, without the beginnings of turns, the start and the completion.
        is_ordered: Whether they come in this order; else in any in which results follow what they are of.
        children: The ids of its children, after its own, and their load.
    """

    name: str
    input: int
    output: Any
    events: list[str]
    is_ordered: bool = True
    children: tuple[str, ...] = ()


CHILD = Load('steps', 2, [0, 2], _sequence('taskScheduled', 'taskCompleted', count=2))
LOADS = (
    Load('steps', 6, [0, 2, 4, 6, 8, 10], _sequence('taskScheduled', 'taskCompleted', count=6)),
    Load('fan', 5, [0, 2, 4, 6, 8], _sequence('taskScheduled', 'taskCompleted', count=5), is_ordered=False),
    Load(
        'timers',
        2,
        4,
        [*_sequence('timerCreated', 'timerFired', count=2), 'taskScheduled 3', 'taskCompleted 3'],
    ),
    Load(
        'family',
        2,
        [[0, 2], [0, 2]],
        _sequence('childWorkflowInstanceCreated', 'childWorkflowInstanceCompleted', count=2),
        children=(':0001', ':0002'),
    ),
    Load('generations', 3, 0, ['taskScheduled 1', 'taskCompleted 1']),
    Load(
        'retried',
        21,
        42,
        [
            'taskScheduled 1',
            'taskFailed 1',
            'timerCreated 2',
            'timerFired 2',
            'taskScheduled 3',
            'taskCompleted 3',
        ],
    ),
)

# What a daprd has trouble with, by itself.
DEADLOCKED = 'family'
CONFUSED = 'generations'


class Worker:
    """The process of `kill_worker`, which can be killed and started again.

    Args:
        address: The sidecar's.
    """

    def __init__(self, address: str) -> None:
        self._command = [sys.executable, str(WORKER), address]
        self._process: subprocess.Popen[str] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Starts it and waits until it says that it is ready."""
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line == 'ready', f'{self._command} said {line!r}'

    def kill(self) -> None:
        """Kills it, as `kill -9` does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(DEADLINE)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


@dataclass
class Tracked:
    """A workflow of the load.

    Attributes:
        load: What it is.
        is_accepted: Whether its start was answered.
        seen: Committed histories that were read on the way.
        trouble: Why its end was not seen, of one that should have ended long ago.
    """

    load: Load
    is_accepted: bool = False
    seen: list[list[pb.HistoryEvent]] = field(default_factory=list)
    trouble: str | None = None


class Torture:
    """A sidecar on a file, its workers, and workflows that never cease, from `with` to its end.

    Args:
        sidecar: The sidecar, which nobody else uses; it is started and ended here.
        seed: What the moments and the load are drawn from.
        left_out: Workflows that are not in the load.
    """

    def __init__(self, sidecar: Sidecar, seed: int, left_out: Collection[str] = ()) -> None:
        self._random = random.Random(seed)
        self.sidecar = sidecar
        self._is_daprd = sidecar.build.is_daprd
        self._workers = [Worker(sidecar.address) for _ in range(2 if self._is_daprd else 1)]
        self._loads = [load for load in LOADS if load.name not in left_out]
        self.tracked: dict[str, Tracked] = {}
        self._unfinished: set[str] = set()
        self._finished = 0
        self._changed = threading.Condition()
        self._is_over = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Torture:
        self.sidecar.start()
        for worker in self._workers:
            worker.start()
        self._channel = grpc.insecure_channel(
            self.sidecar.address, [(f'grpc.{which}_reconnect_backoff_ms', 50) for which in ('initial', 'min', 'max')]
        )
        self._stub = stubs.TaskHubSidecarServiceStub(self._channel)
        for number in range(WIDTH):
            thread = threading.Thread(target=self._keep_running, args=(number,), daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(DEADLINE)
        self._channel.close()
        self._end_workers()
        self.sidecar.close()

    def kill_the_sidecar(self) -> None:
        """Lets some workflows end, kills the sidecar at a random moment, and starts it again."""
        self._kill_and_restart(self.sidecar)

    def kill_a_worker(self) -> None:
        """Lets some workflows end, kills a worker at a random moment, and starts it again; each in its turn."""
        worker = self._workers.pop(0)
        self._workers.append(worker)
        self._kill_and_restart(worker)

    def _kill_and_restart(self, victim: Sidecar | Worker) -> None:
        with self._changed:
            enough = self._finished + self._random.randint(1, 4)
            assert self._changed.wait_for(lambda: self._finished >= enough, DEADLINE), 'nothing ends any more'
        self._look_at_histories()
        self._is_over.wait(self._random.uniform(0, 0.05))  # the random moment
        victim.kill()
        victim.start()

    def finish(self) -> None:
        """Lets all workflows end."""
        self._is_over.set()
        for thread in self._threads:
            thread.join(2 * DEADLINE)
            assert not thread.is_alive(), f'these do not end: {sorted(self._unfinished)}'

    def faults(self) -> list[str]:
        """What is not as it must be, of all workflows that were started; call it after `finish`."""
        found = []
        for instance_id, tracked in self.tracked.items():
            if tracked.trouble is not None:
                found.append(f'{instance_id} ({tracked.load.name}) was not seen to end: {tracked.trouble}')
                continue
            found += self._faults_of(instance_id, tracked.load, tracked.seen)
            for suffix in tracked.load.children:
                found += self._faults_of(instance_id + suffix, CHILD, [])
        with sqlite3.connect(self._copy()) as database:
            (integrity,) = database.execute('PRAGMA integrity_check').fetchone()
        if integrity != 'ok':
            found.append(f'the database: {integrity}')
        return found

    # The load

    def _keep_running(self, number: int) -> None:
        count = 0
        while not self._is_over.is_set():
            count += 1
            instance_id = f'load-{number}-{count}'
            load = self._loads[(number + count) % len(self._loads)]
            with self._changed:
                self.tracked[instance_id] = Tracked(load)
                self._unfinished.add(instance_id)
            try:
                self._start(instance_id, load)
                self._wait_for_end(instance_id)
            except grpc.RpcError as error:
                self.tracked[instance_id].trouble = f'{error.code().name}: {error.details()}'
            with self._changed:
                self._unfinished.discard(instance_id)
                self._finished += 1
                self._changed.notify_all()

    def _start(self, instance_id: str, load: Load) -> None:
        request = pb.CreateInstanceRequest(instanceId=instance_id, name=load.name, enforceUniqueInstanceId=True)
        request.input.value = json.dumps(load.input)
        attempts = 0

        def start_once() -> None:
            # An earlier attempt may have been committed, and its answer lost. A daprd would run the instance again if
            # it has ended by now.
            nonlocal attempts
            attempts += 1
            if attempts > 1 and self._state(instance_id).exists:
                return
            self._stub.StartInstance(request, timeout=CALL_DEADLINE, wait_for_ready=True)

        try:
            self._insist(start_once)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
                raise
        self.tracked[instance_id].is_accepted = True

    def _wait_for_end(self, instance_id: str) -> None:
        request = pb.GetInstanceRequest(instanceId=instance_id)
        self._insist(lambda: self._stub.WaitForInstanceCompletion(request, timeout=5, wait_for_ready=True))

    def _state(self, instance_id: str) -> pb.GetInstanceResponse:
        request = pb.GetInstanceRequest(instanceId=instance_id, getInputsAndOutputs=True)
        response: pb.GetInstanceResponse = self._stub.GetInstance(request, timeout=CALL_DEADLINE, wait_for_ready=True)
        return response

    def _insist(self, call: Callable[[], Any]) -> Any:
        """Makes a call again and again while the sidecar is not there, has no worker, or does not answer in time."""
        deadline = time.monotonic() + DEADLINE
        while True:
            try:
                return call()
            except grpc.RpcError as error:
                if error.code() not in (
                    grpc.StatusCode.UNAVAILABLE,
                    grpc.StatusCode.DEADLINE_EXCEEDED,
                    grpc.StatusCode.CANCELLED,
                ) and not _passes(error):
                    raise
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.02)  # not for it to end: for what is moving to come to rest

    def _look_at_histories(self) -> None:
        with self._changed:
            running = self._random.sample(sorted(self._unfinished), 3)
        for instance_id in running:
            if self.tracked[instance_id].is_accepted:
                self.tracked[instance_id].seen.append(self._history(instance_id))

    def _history(self, instance_id: str) -> list[pb.HistoryEvent]:
        request = pb.GetInstanceHistoryRequest(instanceId=instance_id)
        return list(
            self._insist(
                lambda: self._stub.GetInstanceHistory(request, timeout=CALL_DEADLINE, wait_for_ready=True)
            ).events
        )

    # What it came to

    def _faults_of(self, instance_id: str, load: Load, seen: list[list[pb.HistoryEvent]]) -> list[str]:
        state = self._insist(lambda: self._state(instance_id)).workflowState
        history = self._history(instance_id)
        found = []
        if state.workflowStatus != pb.ORCHESTRATION_STATUS_COMPLETED or json.loads(state.output.value) != load.output:
            found.append(f'ended with {state.output.value!r}')
        outline = [_line(event) for event in history if not event.HasField('workflowStarted')]
        if outline[:1] != ['executionStarted'] or outline.count('executionStarted') != 1:
            found.append('does not begin once')
        if (
            not outline[-1].startswith('executionCompleted')
            or sum('executionCompleted' in line for line in outline) > 1
        ):
            found.append('does not end once')
        events = outline[1:-1]
        if self._is_daprd:
            is_right = sorted(events) == sorted(load.events)
        else:
            is_right = events == load.events if load.is_ordered else _is_some_order_of(load.events, events)
        if not is_right:
            found.append(f'committed {events}')
        for earlier in seen:
            if _run_of(earlier) == _run_of(history) and history[: len(earlier)] != earlier:
                found.append(f'lost some of {[_line(event) for event in earlier]}')
        return [f'{instance_id} ({load.name}) {fault}' for fault in found]

    def _end_workers(self) -> None:
        for worker in self._workers:
            if worker.running:
                worker.kill()

    def _copy(self) -> Path:
        """The database as the next start would find it; it belongs to the sidecar while that runs."""
        self._end_workers()
        self.sidecar.kill()
        return self.sidecar.database


def _passes(error: grpc.RpcError) -> bool:
    """Whether a daprd may give another answer a little later."""
    return obstacle_of(error) in (Obstacle.NO_WORKER, Obstacle.BEING_PLACED, Obstacle.BEING_SAVED)


def _line(event: pb.HistoryEvent) -> str:
    kind = event.WhichOneof('eventType') or 'unknown'
    body = getattr(event, kind)
    action_id = getattr(body, 'taskScheduledId', getattr(body, 'timerId', event.eventId))
    return kind if action_id < 0 else f'{kind} {action_id}'


def _run_of(history: list[pb.HistoryEvent]) -> str:
    return next(
        (e.executionStarted.workflowInstance.executionId.value for e in history if e.HasField('executionStarted')), ''
    )


def _is_some_order_of(expected: list[str], events: list[str]) -> bool:
    return sorted(events) == sorted(expected) and all(
        events.index(event.replace('Completed', 'Scheduled')) <= events.index(event) for event in events
    )
