"""Stateful history on real sidecars, by what crosses the wire.

The older sidecar knows no deltas: it sends whole histories, and everything else is the same.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from dapr.ext.workflow._durabletask.client import TaskHubGrpcClient
from dapr.ext.workflow._durabletask.task import ActivityContext, OrchestrationContext, when_all
from tests.support.e2e import NewId, NewWorker, Workflow, completed, outline, run, serve, wait
from tests.support.wiretap import WireTap
from tools.go_sidecar import Sidecar

# It sets the options of its workers itself.
pytestmark = pytest.mark.own_mode


def step(ctx: ActivityContext, value: Any) -> Any:
    return value


def pad(ctx: ActivityContext, length: int) -> str:
    return 'x' * length


def chain(ctx: OrchestrationContext, steps: int) -> Workflow:
    results = []
    for number in range(steps):
        results.append((yield ctx.call_activity(step, input=number)))
    return results


def padded_rounds(ctx: OrchestrationContext, rounds: int) -> Workflow:
    """Ten results of 1 KB in each round: about 21 events and 11 KB of history."""
    total = 0
    for _ in range(rounds):
        total += sum(map(len, (yield when_all([ctx.call_activity(pad, input=1024) for _ in range(10)]))))
    return total


def tapped(new_worker: NewWorker, *extra_activities: Callable[..., Any], **options: Any) -> tuple[WireTap, Any]:
    """A started worker with a tap on its wire, and without sticky execution, with which no histories are kept."""
    tap = WireTap()
    options.setdefault('disable_sticky_execution', True)
    activities = [step, pad, *extra_activities]
    return tap, serve(new_worker, [chain, padded_rounds, held_chain], activities, interceptors=[tap], **options)


class Gate:
    """Holds activities, so that a test can do something in the middle of a run: when so many are there."""

    def __init__(self, holders: int = 1) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()
        self._expected = holders
        self._there: set[str] = set()

    def hold(self, ctx: ActivityContext, _: None) -> None:
        self._there.add(ctx.orchestration_id)
        if len(self._there) == self._expected:
            self.reached.set()
        wait(self.opened)


def held_chain(ctx: OrchestrationContext, steps: int) -> Workflow:
    """A chain with a hold in the middle."""
    results = []
    for number in range(steps):
        if number == steps // 2:
            yield ctx.call_activity('hold')
        results.append((yield ctx.call_activity(step, input=number)))
    return results


def delta_kinds(sidecar: Sidecar, turns: int) -> list[str]:
    """What a sidecar of this build sends on one stream: from the third turn on, deltas."""
    return (['full', 'full'] + ['delta'] * turns)[:turns] if sidecar.build.sends_deltas else ['full'] * turns


def test_a_chain_gets_deltas_from_its_third_turn_on(
    sidecar: Sidecar, client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    tap, worker = tapped(new_worker)
    instance_id = new_id()
    assert run(client, chain, instance_id, 20) == list(range(20))
    assert tap.kinds(instance_id) == delta_kinds(sidecar, 21)
    assert tap.fetches(instance_id) == 0
    stats = worker.history_cache_stats
    if sidecar.build.sends_deltas:
        assert all(turn.past_events <= 3 for turn in tap.turns(instance_id)), 'a delta is one turn long'
        assert (stats.hits, stats.misses.total, stats.fetches) == (19, 0, 0)
    assert stats.entries == 0, 'the run has ended'


def test_histories_and_outputs_are_the_same_without_it(
    sidecar: Sidecar, client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    with_it, without_it = new_id(), new_id()
    _, first = tapped(new_worker)
    assert run(client, chain, with_it, 10) == list(range(10))
    first.stop()
    tap, worker = tapped(new_worker, disable_stateful_history=True)
    assert run(client, chain, without_it, 10) == list(range(10))
    assert tap.kinds(without_it) == ['full'] * 11
    assert outline(client, without_it) == outline(client, with_it)
    assert worker.history_cache_stats.hits == 0


def test_bytes_received_grow_with_the_history_and_not_with_its_square(
    sidecar: Sidecar, client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    rounds = 50 if sidecar.build.sends_deltas else 20
    tap, _ = tapped(new_worker)
    instance_id = new_id()
    assert run(client, padded_rounds, instance_id, rounds) == rounds * 10 * 1024
    turns = tap.turns(instance_id)
    history = sum(event.ByteSize() for event in client.get_instance_history(instance_id))
    assert history > rounds * 10 * 1024
    received = sum(turn.bytes for turn in turns)
    if sidecar.build.sends_deltas:
        # Each event comes twice, when it is new and when it is committed; those of the first two turns once more.
        assert received < 2.5 * history
    else:
        assert received > history * len(turns) / 4, 'each turn brings all that was before it'


def test_a_reconnect_in_mid_run_starts_over_with_a_whole_history(
    sidecar: Sidecar, client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    gate = Gate()
    tap, worker = tapped(new_worker, gate.hold)
    instance_id = new_id()
    client.schedule_new_orchestration(held_chain, input=10, instance_id=instance_id)
    wait(gate.reached)
    turns = len(tap.turns(instance_id))
    worker._run.stream.reset('the test says so')
    gate.opened.set()
    assert completed(client, instance_id) == list(range(10))
    assert tap.kinds(instance_id)[turns] == 'full'
    if sidecar.build.sends_deltas:
        assert 'delta' in tap.kinds(instance_id)[turns + 1 :]
    assert tap.fetches(instance_id) == 0
    assert worker.history_cache_stats.misses.total == 0


def test_another_worker_takes_over_in_mid_run(
    sidecar: Sidecar, client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    gate = Gate()
    _, first = tapped(new_worker, gate.hold)
    instance_id = new_id()
    client.schedule_new_orchestration(held_chain, input=8, instance_id=instance_id)
    wait(gate.reached)
    gate.opened.set()
    first.stop()
    tap, _ = tapped(new_worker, gate.hold)
    assert completed(client, instance_id) == list(range(8))
    kinds = tap.kinds(instance_id)
    assert kinds[:1] in (['full'], []), 'nothing that the first worker knew is counted on'


@pytest.mark.parametrize(
    ('limits', 'reason'),
    [({'history_cache_max_bytes': 1}, 'bytes'), ({'history_cache_max_instances': 1}, 'count')],
    ids=['byte budget', 'instance cap'],
)
def test_histories_that_had_to_make_room_are_fetched(
    limits: dict[str, Any],
    reason: str,
    sidecar: Sidecar,
    client: TaskHubGrpcClient,
    new_worker: NewWorker,
    new_id: NewId,
) -> None:
    gate = Gate(holders=4)
    tap, worker = tapped(new_worker, gate.hold, **limits)
    ids = [new_id() for _ in range(4)]
    for instance_id in ids:
        client.schedule_new_orchestration(held_chain, input=8, instance_id=instance_id)
    wait(gate.reached)
    if sidecar.build.sends_deltas:
        stats = worker.history_cache_stats
        assert stats.entries == 1, 'all four are in mid-run, and one history is kept'
        assert getattr(stats.evictions, reason) >= 3
    gate.opened.set()
    assert [completed(client, instance_id) for instance_id in ids] == [list(range(8))] * 4
    if sidecar.build.sends_deltas:
        stats = worker.history_cache_stats
        assert stats.misses.evicted >= 3
        assert stats.misses.total == stats.fetches == sum(tap.fetches(instance_id) for instance_id in ids)
        assert stats.fetch_failures == 0


def test_a_history_that_has_expired_is_fetched(
    sidecar: Sidecar,
    client: TaskHubGrpcClient,
    new_worker: NewWorker,
    new_id: NewId,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = Gate()
    tap, worker = tapped(new_worker, gate.hold, history_cache_ttl=0.2)
    swept = threading.Event()
    sweep = worker._history_cache.sweep_expired

    def sweep_and_tell() -> None:
        sweep()
        if worker.history_cache_stats.evictions.ttl:
            swept.set()

    monkeypatch.setattr(worker._history_cache, 'sweep_expired', sweep_and_tell)
    instance_id = new_id()
    client.schedule_new_orchestration(held_chain, input=8, instance_id=instance_id)
    wait(gate.reached)
    if sidecar.build.sends_deltas:
        wait(swept)
    gate.opened.set()
    assert completed(client, instance_id) == list(range(8))
    if sidecar.build.sends_deltas:
        assert tap.fetches(instance_id) >= 1
        assert worker.history_cache_stats.misses.expired >= 1


def test_several_workers_share_a_sidecar(
    sidecar: Sidecar, client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    workers = [tapped(new_worker) for _ in range(3)]
    ids = [new_id() for _ in range(12)]
    for instance_id in ids:
        client.schedule_new_orchestration(chain, input=6, instance_id=instance_id)
    assert [completed(client, instance_id) for instance_id in ids] == [list(range(6))] * 12
    assert sum(len(tap.turns(instance_id)) for tap, _ in workers for instance_id in ids) >= 12 * 7
    if sidecar.build.sends_deltas:
        assert sum(worker.history_cache_stats.hits for _, worker in workers) > 0
    assert sum(worker.history_cache_stats.fetch_failures for _, worker in workers) == 0
