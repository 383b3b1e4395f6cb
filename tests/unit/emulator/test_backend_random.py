"""Random calls in random orders, with restarts and disks that fail in between: what holds after each of them."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from dapr.ext.workflow._durabletask.internal import helpers
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator.errors import Refused, StoreError
from dapr.ext.workflow.emulator.rules.events import MICROS, TERMINAL
from dapr.ext.workflow.emulator.rules.runs import RESOLVING
from dapr.ext.workflow.emulator.seam import Key, Turn
from tests.support.backend import (
    BackendDriver,
    complete,
    continue_as_new,
    detached,
    kinds,
    schedule,
    send_event,
    start_child,
    terminate,
    timer,
    version_not_available,
)

IDS = ('a', 'b', 'c')


class World:
    """A driver, the turns that are out, and everything that can be done to it."""

    def __init__(self, path: Path) -> None:
        self.driver = BackendDriver(path, max_history_bytes=3000)
        self._out: list[Turn] = []
        self._ids = itertools.count(1)

    def do(self, call: str, who: int, what: int) -> None:
        """Makes a call; the numbers choose whom it is about and what is in it."""
        instance_id = IDS[who % len(IDS)]
        driver, backend, key = self.driver, self.driver.backend, self.driver.key(instance_id)
        calls: dict[str, Callable[[], object]] = {
            'create': lambda: driver.create(instance_id),
            'raise event': lambda: driver.raise_event(instance_id, 'go', '0'),
            'suspend': lambda: backend.suspend(key),
            'resume': lambda: backend.resume(key),
            'terminate': lambda: backend.terminate(key, '"stop"', bool(what % 2)),
            'purge': lambda: backend.purge(key, recursive=bool(what % 2), force=what % 3 == 0),
            'rerun': lambda: backend.rerun('', pb.RerunWorkflowFromEventRequest(sourceInstanceID='a', eventID=what)),
            'begin': lambda: self._begin(who),
            'answer': lambda: self._answer(who, what),
            'abandon': lambda: self._abandon(who),
            'activity': lambda: self._activity(who),
            'time': lambda: self._time(what),
            'worker': lambda: backend.workers_changed(''),
            'restart': self._restart,
        }
        calls[call]()

    def _begin(self, who: int) -> None:
        if self.driver.ready:
            key = self.driver.ready[who % len(self.driver.ready)]
            turn = self.driver.backend.begin_turn(key)
            self.driver.ready.remove(key)
            if turn is not None:
                self._out.append(turn)

    def _answer(self, who: int, what: int) -> None:
        if not self._out:
            return
        turn = self._out[who % len(self._out)]
        at = self.driver.now + what
        ids = self._ids
        answers: list[Callable[[], list[pb.WorkflowAction]]] = [
            list,
            lambda: [schedule(next(ids)), schedule(next(ids)), timer(next(ids), at)],
            lambda: [start_child(next(ids), IDS[what % 3]), start_child(next(ids))],
            lambda: [send_event(next(ids), IDS[what % 3], 'go'), terminate(next(ids), IDS[who % 3], recurse=True)],
            lambda: [schedule(next(ids)), detached(next(ids), IDS[what % 3]), complete(next(ids))],
            lambda: [continue_as_new(next(ids), '"in"', helpers.new_event_raised_event('carried'))],
            lambda: [version_not_available(next(ids))],
            lambda: [complete(next(ids), None, pb.ORCHESTRATION_STATUS_FAILED)],
        ]
        following = self.driver.answer(turn, *answers[what % len(answers)]())
        if what % 11:  # else the worker answers once more
            self._out.remove(turn)
        if following is not None:
            self._out.append(following)

    def _abandon(self, who: int) -> None:
        if self._out:
            self.driver.backend.abandon_turn(self._out.pop(who % len(self._out)))

    def _activity(self, who: int) -> None:
        if self.driver.activities:
            work = self.driver.activities[who % len(self.driver.activities)]
            self.driver.complete(work)
            self.driver.activities.remove(work)

    def _time(self, what: int) -> None:
        self.driver.now += what / 4
        self.driver.backend.fire_timers()

    def _restart(self) -> None:
        self._out.clear()
        self.driver.reopen()

    def check(self) -> None:
        """What holds at any time."""
        driver = self.driver
        instances = driver.backend._instances
        kept = list(instances._running.items())
        assert instances._bytes == sum(instance.size for _, instance in kept)
        for key, instance in kept:
            row = driver.store.instance(*key)
            assert row is not None
            stored = instances._read(row)
            instances._load(stored)
            assert stored.row() == instance.row()
            assert stored.history == instance.history
            assert stored.state.open == instance.state.open
            assert sorted(stored.inbox) == sorted([*instance.taken, *instance.inbox])
            assert stored.activities == instance.activities
            # Told, if and only if there is something to do. A worker's connecting wakes those that have stalled.
            if not instance.is_stalled:
                assert (key in driver.ready) == instance.is_ready
        assert sorted(row.id for row in driver.store.activities()) == sorted(w.row_id for w in driver.activities)
        due, told = driver.store.next_due(), driver.backend.next_timer_at()
        assert due is None or (told is not None and round(told * MICROS) <= due)
        for app_id, instance_id in driver.store._rows('SELECT app_id, instance_id FROM instances'):
            self._check_history(Key(app_id, instance_id))

    def _check_history(self, key: Key) -> None:
        history = list(self.driver.backend.get_history(key))
        names = kinds(history)
        status = self.driver.backend.get_instance(key, payloads=False).workflowState.workflowStatus
        assert names.count('executionCompleted') == (status in TERMINAL)
        assert names.count('executionStarted') == ('workflowStarted' in names)
        scheduled = {event.eventId for event in history if event.eventId > 0}
        resolved = [
            getattr(getattr(event, kind), RESOLVING[kind][1])
            for event in history
            if (kind := event.WhichOneof('eventType') or '') in RESOLVING
        ]
        assert len(resolved) == len(set(resolved))
        assert set(resolved) <= scheduled


CALLS = [
    *(
        'create',
        'raise event',
        'suspend',
        'resume',
        'terminate',
        'purge',
        'rerun',
        'abandon',
        'time',
        'worker',
        'restart',
    ),
    *['begin', 'answer', 'activity'] * 4,  # what brings the workflows on comes more often
]


@pytest.mark.parametrize('seed', range(15))
def test_memory_is_the_store_and_all_there_is_to_do_is_told(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    world = World(tmp_path / 'emulator.db')
    for instance_id in IDS:
        world.driver.create(instance_id)
    for _ in range(60):
        call, who, what = random.choice(CALLS), random.randrange(6), random.randrange(41)
        with contextlib.suppress(Refused, StoreError):
            if random.random() < 0.1 and call != 'restart':
                breaking(world.driver)
            try:
                world.do(call, who, what)
            finally:
                vars(world.driver.store).pop('_commit', None)
        world.check()


def breaking(driver: BackendDriver) -> None:
    def fail() -> None:
        raise sqlite3.OperationalError('disk I/O error')

    driver.store._commit = fail  # type: ignore[method-assign]
