"""Purging: one instance, its family, all that meet a filter; those that have ended, or any by force."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator.errors import Refused
from tests.support.backend import START, BackendDriver, complete, schedule, start_child, timer


def refusal(driver: BackendDriver, instance_id: str, *, recursive: bool = False, force: bool = False) -> str:
    with pytest.raises(Refused) as refused:
        driver.backend.purge(driver.key(instance_id), recursive=recursive, force=force)
    assert refused.value.code is grpc.StatusCode.UNKNOWN
    return refused.value.message


def family(*, ended: bool) -> BackendDriver:
    """A parent with a child and a grandchild; the first two have ended, the grandchild if that is asked for."""
    driver = BackendDriver()
    driver.create('parent')
    driver.turn('parent', start_child(1, 'child'), complete(2))
    driver.turn('child', start_child(1, 'grandchild'), complete(2))
    driver.turn('grandchild', *([complete(1)] if ended else []))
    return driver


def ids(driver: BackendDriver) -> list[str]:
    return list(driver.backend.list_instance_ids('').instanceIds)


def test_an_instance_that_has_ended_goes_and_its_id_is_free() -> None:
    driver = BackendDriver()
    key = driver.create()
    driver.turn('x', complete(1))
    assert driver.backend.purge(key) == 1
    assert (driver.status('x'), ids(driver)) == (None, [])
    driver.create(enforceUniqueInstanceId=True)
    assert driver.history('x') == []


def test_one_that_is_missing_or_runs_is_refused() -> None:
    driver = BackendDriver()
    assert refusal(driver, 'x', force=True) == 'failed to purge workflow state: no such instance exists'
    driver.create()
    assert refusal(driver, 'x') == 'failed to purge workflow state: orchestration has not yet completed'
    assert ids(driver) == ['x']


def test_by_force_one_goes_that_runs_with_all_that_it_waits_for() -> None:
    driver = BackendDriver()
    key = driver.create()
    driver.turn('x', schedule(1), timer(2, START + 1), start_child(3, 'child'))
    driver.raise_event('x', 'go')
    assert driver.backend.purge(key, force=True) == 1
    assert (ids(driver), driver.activities) == (['child'], [])
    driver.now += 5
    driver.backend.fire_timers()
    driver.ready.remove(key)
    assert driver.backend.begin_turn(key) is None
    for table in ('history', 'timers', 'activities', 'ends'):
        assert driver.store._one(f'SELECT count(*) FROM {table}') == 0


def test_a_family_goes_as_one() -> None:
    driver = family(ended=True)
    assert driver.backend.purge(driver.key('parent'), recursive=True) == 3
    assert ids(driver) == []


def test_a_parent_goes_alone() -> None:
    driver = family(ended=True)
    assert driver.backend.purge(driver.key('parent')) == 1
    assert ids(driver) == ['child', 'grandchild']


def test_a_family_of_which_one_runs_stays_as_a_whole_but_for_force() -> None:
    driver = family(ended=False)
    assert refusal(driver, 'parent', recursive=True).endswith('orchestration has not yet completed')
    assert ids(driver) == ['parent', 'child', 'grandchild']
    assert driver.backend.purge(driver.key('parent'), recursive=True, force=True) == 3


def test_a_child_whose_id_is_another_workflows_by_now_is_not_of_the_family() -> None:
    driver = family(ended=True)
    driver.backend.purge(driver.key('child'))
    driver.create('child')
    assert driver.backend.purge(driver.key('parent'), recursive=True) == 1
    assert ids(driver) == ['grandchild', 'child']


def filtered(
    driver: BackendDriver,
    first: float | None = None,
    last: float | None = None,
    *statuses: pb.OrchestrationStatus.ValueType,
    recursive: bool = False,
    force: bool = False,
) -> int:
    filter = pb.PurgeInstanceFilter(runtimeStatus=statuses)
    if first is not None:
        filter.createdTimeFrom.FromMicroseconds(round(first * 1e6))
    if last is not None:
        filter.createdTimeTo.FromMicroseconds(round(last * 1e6))
    return driver.backend.purge_by_filter('', filter, recursive=recursive, force=force)


def some() -> BackendDriver:
    """Instances that were created a second apart: three that completed, one that failed, one that runs."""
    driver = BackendDriver()
    for number in range(5):
        driver.now = START + number
        driver.create(f'i{number}')
        if number < 3:
            driver.turn(f'i{number}', complete(1))
    driver.turn('i3', complete(1, None, pb.ORCHESTRATION_STATUS_FAILED))
    return driver


def test_a_filter_lets_through_by_time_with_both_ends() -> None:
    driver = some()
    assert filtered(driver, START + 1, START + 2) == 2
    assert ids(driver) == ['i0', 'i3', 'i4']
    assert filtered(driver, last=START) == 1
    assert filtered(driver, START + 3.5) == 0


def test_a_filter_lets_through_by_status() -> None:
    driver = some()
    assert filtered(driver, None, None, pb.ORCHESTRATION_STATUS_FAILED, pb.ORCHESTRATION_STATUS_TERMINATED) == 1
    assert ids(driver) == ['i0', 'i1', 'i2', 'i4']


def test_an_empty_filter_lets_all_through_that_have_ended_and_by_force_the_others_too() -> None:
    driver = some()
    assert filtered(driver) == 4
    assert ids(driver) == ['i4']
    assert filtered(driver, force=True) == 1
    assert ids(driver) == []


def test_families_go_with_those_that_a_filter_lets_through_and_each_counts_once() -> None:
    assert filtered(family(ended=True), recursive=True) == 3
    driver = family(ended=False)  # the family stays, since one of it runs
    assert filtered(driver, recursive=True) == 0
    assert filtered(driver) == 2


def test_what_was_purged_is_gone_after_a_restart(tmp_path: Path) -> None:
    driver = BackendDriver(tmp_path / 'emulator.db')
    for instance_id in ('x', 'y'):
        driver.create(instance_id)
        driver.turn(instance_id, complete(1))
    driver.backend.purge(driver.key('x'))
    driver.reopen()
    assert ids(driver) == ['y']
