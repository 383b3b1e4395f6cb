"""What is committed is there after any end of the process, and what is not has never been."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator.errors import StoreError
from dapr.ext.workflow.emulator.rules.runs import RESOLVING
from dapr.ext.workflow.emulator.state.instances import Instance
from tests.support.backend import START, BackendDriver, complete, continue_as_new, kinds, schedule, start_child, timer
from tests.support.backend_worker import BackendWorker, output
from tests.support.scenarios import Workflow, chain, echo


def saga(ctx: task.OrchestrationContext, n: int) -> Workflow:
    """A bit of everything, twice."""
    first = yield ctx.call_activity(echo, input=n)
    child = yield ctx.call_sub_orchestrator(chain, input=2)
    yield ctx.create_timer(timedelta(seconds=1))
    event = yield ctx.wait_for_external_event('go')
    ctx.set_custom_status(f'"{event}"')
    both = yield task.when_all([ctx.call_activity(echo, input=i) for i in range(2)])
    if n < 2:
        ctx.continue_as_new(n + 1, save_events=True)
        return None
    return [n, first, child, event, both]


def begin(driver: BackendDriver) -> None:
    """What the client does."""
    driver.create('saga', 'saga', '1')
    for data in ('"a"', '"b"'):
        driver.raise_event('saga', 'go', data)


def finish(driver: BackendDriver) -> None:
    """Runs everything to its end, and checks that it is the right one."""
    BackendWorker([saga, chain], [echo]).run_to_end(driver)
    assert output(driver, 'saga') == [2, 2, [0, 1], 'b', [0, 1]]
    assert driver.state('saga').customStatus.value == '"b"'
    for instance_id in ('saga', 'saga:0002'):
        check_history(driver.history(instance_id))


def check_history(history: list[pb.HistoryEvent]) -> None:
    """Nothing is lost or doubled: what was scheduled has one result, which comes after it."""
    assert kinds(history)[:2] == ['workflowStarted', 'executionStarted']
    assert kinds(history)[-1] == 'executionCompleted'
    scheduled = [event.eventId for event in history if event.eventId > 0]
    assert scheduled == list(range(1, len(scheduled) + 1))
    resolved = Counter(
        getattr(getattr(event, kind), RESOLVING[kind][1])
        for event in history
        if (kind := event.WhichOneof('eventType') or '') in RESOLVING
    )
    optional = {event.eventId for event in history if event.timerCreated.fireAt.seconds > START * 2}
    assert resolved == Counter(set(scheduled[:-1]) - optional)


def copies_at_each_commit(driver: BackendDriver, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The database after each commit, and before some, as a kill would leave it."""
    copied: list[Path] = []

    def copy() -> None:
        target = folder / f'{len(copied)}.db'
        for suffix in ('', '-wal'):
            shutil.copy(f'{folder / "emulator.db"}{suffix}', f'{target}{suffix}')
        copied.append(target)

    def commit_and_copy(commit: Callable[[], None]) -> None:
        if len(copied) % 4 == 0:
            copy()  # with what is not committed
        commit()
        copy()

    monkeypatch.setattr(driver.store, '_commit', lambda commit=driver.store._commit: commit_and_copy(commit))
    finish(driver)
    yield from copied


def test_a_kill_at_any_commit_loses_nothing_and_repeats_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = BackendDriver(tmp_path / 'emulator.db')
    begin(driver)
    count = 0
    for copy in copies_at_each_commit(driver, tmp_path, monkeypatch):
        survivor = BackendDriver(copy)
        survivor.backend.workers_changed('')
        finish(survivor)
        survivor.backend.close()
        count += 1
    assert count > 25


def test_what_is_in_memory_is_what_is_in_the_store(tmp_path: Path) -> None:
    driver = BackendDriver(tmp_path / 'emulator.db')
    begin(driver)
    compared = 0

    def compare() -> None:
        nonlocal compared
        instances = driver.backend._instances
        for key, kept in list(instances._running.items()):
            row = driver.store.instance(*key)
            assert row is not None
            stored = instances._read(row)
            instances._load(stored)
            assert portrait(stored) == portrait(kept)
            compared += 1

    compare()
    BackendWorker([saga, chain], [echo]).run_to_end(driver, compare)
    assert compared > 30


def portrait(instance: Instance) -> dict[str, Any]:
    """All that is to be the same in memory and in the store."""
    return {
        'row': instance.row(),
        'history': list(instance.history),
        'size': instance.size,
        'open': dict(instance.state.open),
        'inbox': sorted([*instance.taken, *instance.inbox]),
        'activities': instance.activities,
    }


def test_a_restart_finds_turns_activities_timers_and_starts_to_come(tmp_path: Path) -> None:
    driver = BackendDriver(tmp_path / 'emulator.db')
    driver.create('turn')
    driver.create('activity')
    driver.turn('activity', schedule(1))
    driver.create('timer')
    driver.turn('timer', timer(1, START + 10))
    scheduled = pb.CreateInstanceRequest()
    scheduled.scheduledStartTimestamp.FromSeconds(int(START) + 20)
    driver.create('later', scheduledStartTimestamp=scheduled.scheduledStartTimestamp)
    sent = driver.activities[0]

    driver.reopen()

    assert driver.ready == [driver.key('turn')]
    assert driver.activities == [sent]
    assert driver.backend.next_timer_at() == START + 10
    driver.run_activity()
    driver.wait_for_timer()
    driver.wait_for_timer()
    assert driver.now == START + 20
    for instance_id in ('turn', 'activity', 'timer', 'later'):
        driver.turn(instance_id, complete(2))
        assert driver.status(instance_id) == 'COMPLETED'


def test_a_turn_that_was_out_is_given_again_with_what_came_since(tmp_path: Path) -> None:
    driver = BackendDriver(tmp_path / 'emulator.db')
    driver.create()
    driver.begin('x')
    driver.raise_event('x', 'go')

    driver.reopen()

    assert kinds(driver.begin('x').new_events) == ['workflowStarted', 'executionStarted', 'eventRaised']


@pytest.mark.parametrize('end', [complete(2), continue_as_new(2)], ids=['complete', 'continue as new'])
def test_a_restart_does_not_give_a_new_run_the_results_of_an_old_one(tmp_path: Path, end: pb.WorkflowAction) -> None:
    driver = BackendDriver(tmp_path / 'emulator.db')
    driver.create()
    driver.turn('x', schedule(1))
    driver.raise_event('x', 'go')
    turn = driver.begin('x')
    following = driver.answer(turn, end)
    if following is None:
        driver.create()
        following = driver.begin('x')
    driver.answer(following, schedule(1))

    driver.reopen()
    old, new = driver.activities
    driver.complete(old, '"old"')
    assert driver.ready == []
    driver.complete(new, '"new"')
    assert driver.begin('x').new_events[1].taskCompleted.result.value == '"new"'


def test_ids_are_not_given_twice_after_a_restart(tmp_path: Path) -> None:
    driver = BackendDriver(tmp_path / 'emulator.db')
    driver.create()
    driver.turn('x', schedule(1), schedule(2))
    first, second = driver.activities

    driver.reopen()
    driver.complete(second)
    driver.turn('x', schedule(3))

    assert driver.activities[-1].row_id not in (first.row_id, second.row_id)


def test_a_damaged_activity_is_told_at_the_start(tmp_path: Path) -> None:
    driver = BackendDriver(tmp_path / 'emulator.db')
    driver.create()
    driver.turn('x', schedule(1))
    driver.store._connection.execute("UPDATE activities SET request = x'FF'")
    with pytest.raises(StoreError, match='damaged'):
        driver.reopen()


class FullDisk:
    """Makes the disk full, and not."""

    def __init__(self, driver: BackendDriver) -> None:
        self._connection: sqlite3.Connection = driver.store._connection

    def fill(self) -> None:
        (pages,) = self._connection.execute('PRAGMA page_count').fetchone()
        self._connection.execute(f'PRAGMA max_page_count = {pages}')

    def free(self) -> None:
        self._connection.execute('PRAGMA max_page_count = 1000000')


def test_on_a_full_disk_nothing_happens_and_everything_can_be_done_again_later(tmp_path: Path) -> None:
    driver = BackendDriver(tmp_path / 'emulator.db')
    disk = FullDisk(driver)
    driver.create()
    turn = driver.begin('x')
    large = '"' + 'x' * 100_000 + '"'
    before = portrait_of(driver, 'x')

    disk.fill()
    actions = [schedule(1), start_child(2, 'child'), timer(3, START + 1), complete(4, large)]
    with pytest.raises(StoreError, match='full'):
        driver.answer(turn, *actions)
    with pytest.raises(StoreError, match='full'):
        driver.raise_event('x', 'go', large)
    with pytest.raises(StoreError, match='full'):
        driver.create('y', input=large)

    assert portrait_of(driver, 'x') == before
    assert (driver.status('y'), driver.status('child')) == (None, None)
    assert (driver.ready, driver.activities, driver.backend.next_timer_at()) == ([], [], None)

    disk.free()
    assert driver.answer(turn, *actions) is None
    assert driver.status('x') == 'COMPLETED'
    assert driver.ready == [driver.key('child')]


def portrait_of(driver: BackendDriver, instance_id: str) -> dict[str, Any]:
    instance = driver.backend._instances.find(driver.key(instance_id))
    assert instance is not None
    return portrait(instance)


@pytest.mark.parametrize('call', ['turn', 'activity', 'timer', 'purge', 'continue as new', 'rerun'])
def test_a_commit_that_fails_changes_nothing_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    driver = BackendDriver(tmp_path / 'emulator.db')
    driver.create('ended')
    driver.turn('ended', schedule(1), complete(2))
    driver.create()
    driver.turn('x', schedule(1), timer(2, START + 1))
    driver.raise_event('x', 'go')
    turn = driver.begin('x')
    driver.now = START + 2
    work = driver.activities[-1]
    backend = driver.backend
    calls: dict[str, Callable[[], object]] = {
        'turn': lambda: driver.answer(turn, schedule(3), start_child(4)),
        'activity': lambda: driver.complete(work),
        'timer': backend.fire_timers,
        'purge': lambda: backend.purge(driver.key('x'), force=True),
        'continue as new': lambda: driver.answer(turn, complete(3, None, pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW)),
        'rerun': lambda: backend.rerun('', pb.RerunWorkflowFromEventRequest(sourceInstanceID='ended', eventID=1)),
    }
    told = (list(driver.told), list(driver.ready), list(driver.activities))
    before = portrait_of(driver, 'x')

    def fail() -> None:
        raise sqlite3.OperationalError('disk I/O error')

    with monkeypatch.context() as patched:
        patched.setattr(driver.store, '_commit', fail)
        with pytest.raises(StoreError, match='disk I/O error'):
            calls[call]()

    assert portrait_of(driver, 'x') == before
    assert (driver.told, driver.ready, driver.activities) == told
    assert list(backend.list_instance_ids('').instanceIds) == ['ended', 'x']
    calls[call]()  # and now it goes
    assert driver.told != told[0] or portrait_of(driver, 'x') != before
