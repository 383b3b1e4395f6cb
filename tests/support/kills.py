"""Workflows under load while the emulator, or the worker, is killed at random moments and started again.

Each workflow's output and committed history are known beforehand (`LOADS`), so that in the end it can be said of each
that it ended once, with the right output, and that no committed event is lost or doubled. Histories that were read on
the way must be beginnings of what there is in the end.
"""

from __future__ import annotations

import json
import random
import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc

from dapr.ext.workflow._durabletask.internal import orchestrator_service_pb2_grpc as stubs
from dapr.ext.workflow._durabletask.internal import protos as pb

EMULATOR = (sys.executable, '-m', 'dapr.ext.workflow.emulator', '--log-level', 'error')
WORKER = Path(__file__).with_name('kill_worker.py')
DEADLINE = 60.0
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


class Process:
    """A child process that says when it is ready, can be killed, and started again.

    Args:
        command: The command; `start` may add to it.
        ready: What its first line of output must be.
    """

    def __init__(self, command: list[str], ready: str) -> None:
        self.command = command
        self._ready = ready
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> str:
        """Starts it; returns its first line of output."""
        self._process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert re.fullmatch(self._ready, line), f'{self.command} said {line!r}'
        return line

    def kill(self) -> None:
        """Kills it, as `kill -9` does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(DEADLINE)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None


@dataclass
class Tracked:
    """A workflow of the load.

    Attributes:
        load: What it is.
        is_accepted: Whether its start was answered.
        seen: Committed histories that were read on the way.
    """

    load: Load
    is_accepted: bool = False
    seen: list[list[pb.HistoryEvent]] = field(default_factory=list)


class Torture:
    """The emulator on a file, a worker, and workflows that never cease, from `with` to its end.

    Args:
        folder: Where the database is.
        seed: What the moments and the load are drawn from.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self._random = random.Random(seed)
        self._database = folder / 'emulator.sqlite'
        self.emulator = Process(
            [*EMULATOR, '--db', str(self._database), '--port', '0'],
            r'listening on \S+',
        )
        self.worker = Process([sys.executable, str(WORKER)], 'ready')
        self.tracked: dict[str, Tracked] = {}
        self._unfinished: set[str] = set()
        self._finished = 0
        self._changed = threading.Condition()
        self._is_over = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Torture:
        address = self.emulator.start().removeprefix('listening on ')
        port = self.emulator.command.index('--port') + 1
        self.emulator.command[port] = address.rpartition(':')[2]  # the same, from now on
        self.worker.command.append(address)
        self.worker.start()
        self._channel = grpc.insecure_channel(
            address, [(f'grpc.{which}_reconnect_backoff_ms', 50) for which in ('initial', 'min', 'max')]
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
        for process in (self.worker, self.emulator):
            if process.is_alive():
                process.kill()

    def kill_and_restart(self, victim: Process) -> None:
        """Lets some workflows end, and then kills at a random moment."""
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
            thread.join(DEADLINE)
            assert not thread.is_alive(), f'these do not end: {sorted(self._unfinished)}'

    def faults(self) -> list[str]:
        """What is not as it must be, of all workflows that were started; call it after `finish`."""
        found = []
        for instance_id, tracked in self.tracked.items():
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
            load = LOADS[(number + count) % len(LOADS)]
            with self._changed:
                self.tracked[instance_id] = Tracked(load)
                self._unfinished.add(instance_id)
            self._start(instance_id, load)
            self._wait_for_end(instance_id)
            with self._changed:
                self._unfinished.discard(instance_id)
                self._finished += 1
                self._changed.notify_all()

    def _start(self, instance_id: str, load: Load) -> None:
        request = pb.CreateInstanceRequest(instanceId=instance_id, name=load.name, enforceUniqueInstanceId=True)
        request.input.value = json.dumps(load.input)
        try:
            self._insist(lambda: self._stub.StartInstance(request, timeout=5, wait_for_ready=True))
        except grpc.RpcError as error:
            # An earlier attempt was committed, and its answer lost.
            if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
                raise
        self.tracked[instance_id].is_accepted = True

    def _wait_for_end(self, instance_id: str) -> None:
        request = pb.GetInstanceRequest(instanceId=instance_id)
        self._insist(lambda: self._stub.WaitForInstanceCompletion(request, timeout=5, wait_for_ready=True))

    def _insist(self, call: Callable[[], Any]) -> Any:
        """Makes a call again and again while the emulator is not there, or does not answer in time."""
        deadline = time.monotonic() + DEADLINE
        while True:
            try:
                return call()
            except grpc.RpcError as error:
                if error.code() not in (
                    grpc.StatusCode.UNAVAILABLE,
                    grpc.StatusCode.DEADLINE_EXCEEDED,
                    grpc.StatusCode.CANCELLED,
                ):
                    raise
                if time.monotonic() > deadline:
                    raise

    def _look_at_histories(self) -> None:
        with self._changed:
            running = self._random.sample(sorted(self._unfinished), 3)
        for instance_id in running:
            if self.tracked[instance_id].is_accepted:
                self.tracked[instance_id].seen.append(self._history(instance_id))

    def _history(self, instance_id: str) -> list[pb.HistoryEvent]:
        request = pb.GetInstanceHistoryRequest(instanceId=instance_id)
        return list(self._insist(lambda: self._stub.GetInstanceHistory(request, timeout=5, wait_for_ready=True)).events)

    # What it came to

    def _faults_of(self, instance_id: str, load: Load, seen: list[list[pb.HistoryEvent]]) -> list[str]:
        request = pb.GetInstanceRequest(instanceId=instance_id, getInputsAndOutputs=True)
        state = self._insist(lambda: self._stub.GetInstance(request, timeout=5, wait_for_ready=True)).workflowState
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
        if not (events == load.events if load.is_ordered else _is_some_order_of(load.events, events)):
            found.append(f'committed {events}')
        for earlier in seen:
            if _run_of(earlier) == _run_of(history) and history[: len(earlier)] != earlier:
                found.append(f'lost some of {[_line(event) for event in earlier]}')
        return [f'{instance_id} ({load.name}) {fault}' for fault in found]

    def _copy(self) -> Path:
        """The database as the next start would find it; it belongs to the emulator while that runs."""
        self.worker.kill()
        self.emulator.kill()
        return self._database


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
