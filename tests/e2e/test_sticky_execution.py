"""Sticky execution on real sidecars: what is replayed, and that the committed histories are those of a replay.

A workflow counts how often its code begins: once, if it is never replayed.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from dapr.ext.workflow._durabletask.client import TaskHubGrpcClient
from dapr.ext.workflow._durabletask.task import ActivityContext, OrchestrationContext, when_all
from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker
from tests.support.e2e import NewId, NewWorker, Workflow, completed, failure, outline, run, serve, wait
from tests.support.wiretap import WireTap

# It sets the options of its workers itself.
pytestmark = pytest.mark.own_mode

begun: Counter[str] = Counter()
closed: dict[str, threading.Event] = {}


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is counted yet, and no replay is verified: that would begin workflows anew."""
    begun.clear()
    closed.clear()
    monkeypatch.delenv('DAPR_WF_VERIFY_REPLAY', raising=False)


def step(ctx: ActivityContext, value: Any) -> Any:
    return value


def chain(ctx: OrchestrationContext, steps: int) -> Workflow:
    begun[ctx.instance_id] += 1
    results = []
    for number in range(steps):
        results.append((yield ctx.call_activity(step, input=number)))
    return results


def rounds(ctx: OrchestrationContext, count: int) -> Workflow:
    """Composites, retried calls, timers' ids: all that an interrupted run must find again."""
    begun[ctx.instance_id] += 1
    total = 0
    for number in range(count):
        total += sum((yield when_all([ctx.call_activity(step, input=value) for value in range(5)])))
        total += yield ctx.call_sub_orchestrator(chain_sum, input=number)
        ctx.set_custom_status(f'{number}')
    return [total, ctx.random_int(0, 9), str(ctx.new_guid()), ctx.is_patched('p')]


def chain_sum(ctx: OrchestrationContext, number: int) -> Workflow:
    return (yield ctx.call_activity(step, input=number))


def waiting(ctx: OrchestrationContext, _: None) -> Workflow:
    begun[ctx.instance_id] += 1
    values = []
    try:
        for _number in range(2):
            values.append((yield ctx.wait_for_external_event('go')))
    finally:
        if ctx.is_replaying:  # it is closed, not ended
            ctx.set_custom_status('closing')
            ctx.call_activity(step, input='closing')
            closed.setdefault(ctx.instance_id, threading.Event()).set()
    return values


def start(new_worker: NewWorker, **options: Any) -> TaskHubGrpcWorker:
    options.setdefault('disable_sticky_execution', False)
    return serve(new_worker, [chain, rounds, chain_sum, waiting], [step], **options)


@pytest.mark.parametrize('without_deltas', [False, True], ids=['deltas', 'whole histories'])
def test_nothing_is_replayed_or_fetched(
    without_deltas: bool, client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    tap = WireTap()
    worker = start(new_worker, interceptors=[tap], disable_stateful_history=without_deltas)
    instance_id = new_id()
    assert run(client, chain, instance_id, 20) == list(range(20))
    assert begun[instance_id] == 1
    assert len(tap.turns(instance_id)) == 21
    assert tap.fetches(instance_id) == 0
    stats = worker.sticky_execution_stats
    assert (stats.hits, stats.misses.total, stats.evictions.total) == (20, 0, 0)
    assert (stats.running, stats.bytes, worker.history_cache_stats.entries) == (0, 0, 0)


@pytest.mark.parametrize('disable_stateful_history', [False, True], ids=['deltas', 'whole histories'])
def test_committed_histories_are_those_of_a_replay(
    disable_stateful_history: bool, client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    outlines, outputs = [], []
    for is_sticky in (True, False):
        worker = start(
            new_worker,
            disable_sticky_execution=not is_sticky,
            disable_stateful_history=disable_stateful_history,
        )
        instance_id = new_id()
        outputs.append(run(client, rounds, instance_id, 4)[0])
        # How results that come together fall into turns is a matter of timing; what each brings about is not.
        outlines.append(sorted(line for line in outline(client, instance_id) if line != 'workflowStarted'))
        assert (begun[instance_id] == 1) is is_sticky
        worker.stop()
    assert outputs == [46, 46]
    assert outlines[0] == outlines[1]


@pytest.mark.parametrize(
    ('limits', 'reason'),
    [({'history_cache_max_bytes': 1}, 'bytes'), ({'history_cache_max_instances': 1}, 'count')],
    ids=['byte budget', 'instance cap'],
)
def test_workflows_that_had_to_make_room_are_closed_and_replayed(
    limits: dict[str, Any], reason: str, client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    worker = start(new_worker, **limits)
    ids = [new_id() for _ in range(3)]
    for instance_id in ids:
        closed[instance_id] = threading.Event()
        client.schedule_new_orchestration(waiting, instance_id=instance_id)
        client.wait_for_orchestration_start(instance_id, timeout=30)
    for evicted in ids[:-1]:
        wait(closed[evicted])
    stats = worker.sticky_execution_stats
    assert (stats.running, getattr(stats.evictions, reason)) == (1, 2)
    for value in (1, 2):
        for instance_id in ids:
            client.raise_orchestration_event(instance_id, 'go', data=value)
    assert [completed(client, instance_id) for instance_id in ids] == [[1, 2]] * 3
    for instance_id in ids:
        assert begun[instance_id] >= 2 or instance_id == ids[-1]
        assert 'taskScheduled' not in ' '.join(outline(client, instance_id)), 'closing it had no effect'
        state = client.get_orchestration_state(instance_id)
        assert state is not None
        assert state.serialized_custom_status is None
    assert worker.sticky_execution_stats.misses.evicted >= 2


def test_a_replaced_stream_starts_over(client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId) -> None:
    worker = start(new_worker)
    instance_id = new_id()
    closed[instance_id] = threading.Event()
    client.schedule_new_orchestration(waiting, instance_id=instance_id)
    client.wait_for_orchestration_start(instance_id, timeout=30)
    run_of_worker = worker._run
    assert run_of_worker is not None
    run_of_worker.stream.reset('the test says so')
    wait(closed[instance_id])
    assert worker.wait_until_ready(30)
    client.raise_orchestration_event(instance_id, 'go', data=1)
    client.raise_orchestration_event(instance_id, 'go', data=2)
    assert completed(client, instance_id) == [1, 2]
    assert begun[instance_id] == 2
    stats = worker.sticky_execution_stats
    assert (stats.evictions.reset, stats.misses.evicted) == (1, 1)


def test_a_worker_that_stops_closes_what_is_parked(
    client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    worker = start(new_worker)
    instance_id = new_id()
    closed[instance_id] = threading.Event()
    client.schedule_new_orchestration(waiting, instance_id=instance_id)
    client.wait_for_orchestration_start(instance_id, timeout=30)
    worker.stop()
    assert closed[instance_id].is_set()
    assert worker.sticky_execution_stats.running == 0
    worker.start()
    client.raise_orchestration_event(instance_id, 'go', data=1)
    client.raise_orchestration_event(instance_id, 'go', data=2)
    assert completed(client, instance_id) == [1, 2]


@pytest.mark.parametrize('is_verified', [True, False], ids=['verified', 'not verified'])
def test_a_workflow_that_is_not_deterministic_is_found_when_its_replays_are_verified(
    is_verified: bool,
    client: TaskHubGrpcClient,
    new_worker: NewWorker,
    new_id: NewId,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if is_verified:
        monkeypatch.setenv('DAPR_WF_VERIFY_REPLAY', '1')
    calls: list[None] = []

    def drifting(ctx: OrchestrationContext, _: None) -> Workflow:
        calls.append(None)
        mine = len(calls)
        yield ctx.call_activity(step, input='same')
        return (yield ctx.call_activity(step, input=f'call {mine}'))

    serve(new_worker, [drifting], [step], disable_sticky_execution=False)
    instance_id = new_id()
    client.schedule_new_orchestration(drifting, instance_id=instance_id)
    if not is_verified:
        assert completed(client, instance_id) == 'call 1'
        return
    error_type, message = failure(client, instance_id)
    assert error_type == 'NonDeterminismError'
    # The first turn was checked, too: that was the second call.
    assert 'as it ran:   call_activity(\'step\', input="call 1")' in message
    assert 'replayed:    call_activity(\'step\', input="call 3")' in message


def test_several_workers_share_a_sidecar(
    client: TaskHubGrpcClient, new_worker: Callable[..., Any], new_id: NewId
) -> None:
    workers = [start(new_worker) for _ in range(3)]
    ids = [new_id() for _ in range(9)]
    for instance_id in ids:
        client.schedule_new_orchestration(chain, input=5, instance_id=instance_id)
    assert [completed(client, instance_id) for instance_id in ids] == [list(range(5))] * 9
    stats = [worker.sticky_execution_stats for worker in workers]
    assert sum(each.hits + each.misses.total for each in stats) >= 9 * 5
