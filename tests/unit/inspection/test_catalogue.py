"""The instances of a sidecar, kept up to date."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from dapr.ext.workflow._durabletask.client import OrchestrationStatus
from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker
from dapr.ext.workflow.emulator import Emulator
from dapr.ext.workflow.inspection.catalogue import Catalogue
from dapr.ext.workflow.inspection.sidecar import Filter, Sidecar

DEADLINE = 30.0


def quick(ctx: Any, value: Any) -> Any:
    return value


def waits(ctx: Any, _: Any) -> Any:
    yield ctx.wait_for_external_event('go')


@pytest.fixture(scope='module')
def emulator() -> Iterator[Emulator]:
    with Emulator() as emulator, TaskHubGrpcWorker(host_address=emulator.address) as worker:
        worker.add_orchestrator(quick)
        worker.add_orchestrator(waits)
        worker.start()
        yield emulator


@pytest.fixture
def sidecar(emulator: Emulator) -> Iterator[Sidecar]:
    host, _, port = emulator.address.rpartition(':')
    with Sidecar(host, port) as sidecar:
        yield sidecar
        for instance_id in list(sidecar.ids()):
            sidecar.client.purge_orchestration(instance_id, force=True)


def run(sidecar: Sidecar, workflow: Any, instance_id: str) -> None:
    sidecar.client.schedule_new_orchestration(workflow, instance_id=instance_id)
    if workflow is quick:
        sidecar.client.wait_for_orchestration_completion(instance_id, timeout=DEADLINE)


def ids(catalogue: Catalogue, wanted: Filter | None = None) -> list[str]:
    return [state.instance_id for state in catalogue.snapshot.matching(wanted or Filter())]


def test_a_pass_finds_what_is_new_what_has_changed_and_what_is_gone(sidecar: Sidecar) -> None:
    catalogue = Catalogue(sidecar)
    run(sidecar, quick, 'first')
    run(sidecar, waits, 'second')
    catalogue.refresh()
    assert ids(catalogue) == ['second', 'first']
    assert catalogue.snapshot.is_complete
    counts = catalogue.snapshot.counts()
    assert counts[OrchestrationStatus.RUNNING] == counts[OrchestrationStatus.COMPLETED] == 1

    sidecar.client.raise_orchestration_event('second', 'go')
    sidecar.client.wait_for_orchestration_completion('second', timeout=DEADLINE)
    sidecar.client.purge_orchestration('first')
    run(sidecar, quick, 'third')
    catalogue.refresh()
    assert ids(catalogue) == ['third', 'second']
    assert catalogue.snapshot.counts()[OrchestrationStatus.COMPLETED] == 2


def test_a_filter_takes_name_status_and_part_of_the_id(sidecar: Sidecar) -> None:
    catalogue = Catalogue(sidecar)
    run(sidecar, quick, 'Order-1')
    run(sidecar, waits, 'order-2')
    catalogue.refresh()

    assert ids(catalogue, Filter(name='QUICK')) == ['Order-1']
    assert ids(catalogue, Filter(statuses=frozenset({OrchestrationStatus.RUNNING}))) == ['order-2']
    assert ids(catalogue, Filter(id_part='ORDER-')) == ['order-2', 'Order-1']
    assert ids(catalogue, Filter(id_part='2', name='quick')) == []


def test_the_newest_come_first_and_before_them_what_has_not_begun(sidecar: Sidecar) -> None:
    sidecar.client.schedule_new_orchestration(waits, instance_id='a-later', start_at=datetime(2100, 1, 1))
    run(sidecar, quick, 'c-first')
    run(sidecar, quick, 'b-second')
    catalogue = Catalogue(sidecar)
    catalogue.refresh()
    assert [state.instance_id for state in catalogue.snapshot.states] == ['a-later', 'b-second', 'c-first']


def test_without_a_change_the_version_stays_and_nobody_is_woken(sidecar: Sidecar) -> None:
    catalogue = Catalogue(sidecar)
    run(sidecar, quick, 'only')
    version = catalogue.refresh().version

    assert catalogue.refresh().version == version
    assert catalogue.wait_for_change(version, timeout=0).version == version


def test_an_id_that_is_used_again_is_seen(sidecar: Sidecar) -> None:
    catalogue = Catalogue(sidecar)
    run(sidecar, quick, 'again')
    catalogue.refresh()
    run(sidecar, waits, 'again')
    catalogue.refresh()

    assert [state.name for state in catalogue.snapshot.states] == ['waits']


def test_a_sidecar_that_cannot_be_asked_is_told_and_what_is_known_stays(sidecar: Sidecar) -> None:
    catalogue = Catalogue(sidecar)
    run(sidecar, quick, 'kept')
    catalogue.refresh()
    address = sidecar.address
    host, _, port = address.rpartition(':')
    with Sidecar(host, port) as other:
        broken = Catalogue(other)
        broken.refresh()
    broken.refresh()  # its client is closed

    assert broken.snapshot.problem is not None
    assert ids(broken) == ['kept']


def test_closing_ends_its_thread_and_lets_go_of_who_waits(sidecar: Sidecar) -> None:
    catalogue = Catalogue(sidecar, interval=60)
    catalogue.start()
    snapshot = catalogue.wait_for_change(-1, DEADLINE)
    catalogue.close()

    assert catalogue.wait_for_change(snapshot.version, DEADLINE).version >= snapshot.version
    assert not catalogue._thread.is_alive()
