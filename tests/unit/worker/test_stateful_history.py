"""The worker's memory of histories, against a sidecar that does what the test tells it.

Sticky execution is off: with it no history is kept.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import grpc
import pytest

from dapr.ext.workflow._durabletask.history.cache import _WorkflowHistoryCache
from dapr.ext.workflow._durabletask.history.janitor import Janitor
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.task import OrchestrationContext
from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker
from tests.support.engine import execution_started, task_completed, task_scheduled, workflow_started
from tests.support.fake_sidecar import DEADLINE_SECONDS, FakeSidecar
from tests.support.scenarios import Workflow
from tests.support.work_items import Gate

# It sets the options of its workers itself.
pytestmark = pytest.mark.own_mode

NewWorker = Callable[..., TaskHubGrpcWorker]
Events = list[pb.HistoryEvent]


def chain(ctx: OrchestrationContext, _: None) -> Workflow:
    for number in range(3):
        yield ctx.call_activity('step', input=number)
    return 'done'


def committed(steps: int) -> Events:
    """The committed history of that many turns."""
    events = [workflow_started(), execution_started('chain'), task_scheduled(1, 'step')]
    events[1].executionStarted.workflowInstance.executionId.value = 'run'
    for number in range(1, steps):
        events += [workflow_started(), task_completed(number), task_scheduled(number + 1, 'step')]
    return events


def turn(step: int, *, after: int = 0, instance_id: str = 'i', token: str = '') -> pb.WorkItem:
    """The turn that brings the result of a step: with the whole history before it, or with what follows some of it."""
    request = pb.WorkflowRequest(
        instanceId=instance_id,
        pastEvents=committed(step)[after:],
        newEvents=[workflow_started(), task_completed(step)],
    )
    request.executionId.value = 'run'
    if after:
        request.cachedHistory.eventCount = after
    return pb.WorkItem(completionToken=token or f'{instance_id} {step}', workflowRequest=request)


def serve(new_worker: NewWorker, **options: float) -> TaskHubGrpcWorker:
    worker = new_worker(disable_sticky_execution=True, **options)
    worker.add_orchestrator(chain)
    worker.start()
    return worker


def inputs(response: pb.WorkflowResponse) -> list[str]:
    return [action.scheduleTask.input.value for action in response.actions]


def test_a_delta_is_answered_from_what_was_kept(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    worker = serve(new_worker)
    sidecar.push(turn(1))
    assert inputs(sidecar.answer(0)) == ['1']
    assert worker.history_cache_stats.entries == 1
    sidecar.push(turn(2, after=3))
    assert inputs(sidecar.answer(1)) == ['2']
    sidecar.push(turn(3, after=6))
    assert sidecar.answer(2).actions[0].completeWorkflow.result.value == '"done"'
    stats = worker.history_cache_stats
    assert (stats.hits, stats.misses.total, stats.fetches) == (2, 0, 0)
    assert (stats.entries, stats.evictions.completed) == (0, 1)
    assert sidecar.calls['GetInstanceHistory'] == 0


def test_a_delta_to_what_is_not_there_is_answered_from_a_fetch(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    worker = serve(new_worker)
    sidecar.histories['i'] = committed(3)  # one turn more than the item's
    sidecar.push(turn(2, after=3))
    assert inputs(sidecar.answer(0)) == ['2']
    assert (worker.history_cache_stats.misses.cold, worker.history_cache_stats.fetches) == (1, 1)
    sidecar.push(turn(3, after=6))
    assert sidecar.answer(1).actions[0].HasField('completeWorkflow')
    assert sidecar.calls['GetInstanceHistory'] == 1


def test_what_is_kept_is_forgotten_with_its_stream(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    worker = serve(new_worker)
    sidecar.push(turn(1))
    sidecar.answer(0)
    sidecar.drop_streams()
    sidecar.wait_for_stream(2)
    sidecar.histories['i'] = committed(2)
    sidecar.push(turn(2, after=3))
    assert inputs(sidecar.answer(1)) == ['2']
    assert worker.history_cache_stats.misses.evicted == 1
    assert worker.history_cache_stats.evictions.reset == 1


@pytest.mark.parametrize('with_opentelemetry', [False, True])
@pytest.mark.parametrize('count', [1, 20])
def test_a_history_that_cannot_be_had_gives_up_the_stream_once(
    count: int,
    with_opentelemetry: bool,
    sidecar: FakeSidecar,
    new_worker: NewWorker,
    request: pytest.FixtureRequest,
) -> None:
    """Beat-list 7. The workflow is not failed: its turn is not answered, and the sidecar dispatches it again."""
    if with_opentelemetry:
        request.getfixturevalue('instrumented')
    worker = serve(new_worker)
    sidecar.wait_for_stream(1)
    sidecar.fail_histories, sidecar.gather_histories = grpc.StatusCode.UNAVAILABLE, count
    sidecar.push(*(turn(2, after=3, instance_id=f'i{number}') for number in range(count)))
    sidecar.wait_for_calls('GetWorkItems', 2)
    sidecar.wait_for(lambda: sidecar.open_streams == 1)
    sidecar.fail_histories = None
    sidecar.push(*(turn(2, instance_id=f'i{number}') for number in range(count)))
    sidecar.wait_for_answers(count)
    assert all(inputs(answer.message) == ['2'] for answer in sidecar.answers)
    assert worker.history_cache_stats.fetch_failures == count
    assert sidecar.calls['GetWorkItems'] == 2


def test_streams_that_are_given_up_again_and_again_are_spaced_out(
    sidecar: FakeSidecar, new_worker: NewWorker, failed_attempt: threading.Event
) -> None:
    worker = serve(new_worker)
    sidecar.fail_histories = grpc.StatusCode.NOT_FOUND
    for number in range(5):
        sidecar.wait_for(lambda: sidecar.open_streams == 1)
        sidecar.push(turn(2, after=3, token=str(number)))
        sidecar.wait_for_calls('GetWorkItems', number + 2)
    assert failed_attempt.is_set(), 'each new stream was waited for'
    assert worker.history_cache_stats.fetch_failures == 5
    assert sidecar.answers == []


def test_without_it_nothing_is_kept(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    worker = serve(new_worker, disable_stateful_history=True)
    for step in (1, 2, 3):
        sidecar.push(turn(step))
        sidecar.answer(step - 1)
    assert worker.history_cache_stats.entries == 0
    assert worker.history_cache_stats.evictions.total == 0


def test_a_restarted_worker_remembers_nothing_and_counts_on(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    worker = serve(new_worker)
    sidecar.push(turn(1))
    sidecar.answer(0)
    worker.stop()
    assert worker.history_cache_stats.entries == 0
    worker.start()
    sidecar.histories['i'] = committed(2)
    sidecar.push(turn(2, after=3))
    assert inputs(sidecar.answer(1)) == ['2']
    assert worker.history_cache_stats.fetches == 1


def test_the_end_of_one_instance_leaves_the_history_of_another(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    worker = serve(new_worker)
    sidecar.push(turn(1, instance_id='one'), turn(1, instance_id='two'))
    sidecar.wait_for_answers(2)
    assert worker.history_cache_stats.entries == 2
    sidecar.push(turn(3, instance_id='one'))
    sidecar.wait_for_answers(3)
    assert worker._history_cache.get('two') == committed(1)


def test_the_janitor_lets_expired_histories_go(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    worker = new_worker(history_cache_ttl=0.05)
    worker._history_cache.put('idle', committed(1))
    expired = threading.Event()
    sweep = worker._history_cache.sweep_expired

    def sweep_and_tell() -> None:
        sweep()
        if not worker.history_cache_stats.entries:
            expired.set()

    worker._history_cache.sweep_expired = sweep_and_tell  # type: ignore[method-assign]
    reset = worker._history_cache.reset
    worker._history_cache.reset = lambda: None  # type: ignore[method-assign]
    worker.add_orchestrator(chain)
    worker.start()
    assert expired.wait(20)
    assert worker.history_cache_stats.evictions.ttl == 1
    worker._history_cache.reset = reset  # type: ignore[method-assign]


def test_the_janitor_wakes_for_what_is_put_while_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = _WorkflowHistoryCache(ttl=0.05)
    next_expiry, sweep_expired = cache.next_expiry, cache.sweep_expired
    looked, swept = threading.Event(), threading.Event()

    def look() -> float | None:
        seconds = next_expiry()
        looked.set()
        return seconds

    def sweep() -> None:
        sweep_expired()
        if cache.stats.evictions.ttl:
            swept.set()

    monkeypatch.setattr(cache, 'next_expiry', look)
    monkeypatch.setattr(cache, 'sweep_expired', sweep)
    janitor = Janitor(cache)
    janitor.start()
    try:
        assert looked.wait(DEADLINE_SECONDS)
        cache.put('i', committed(1))
        assert swept.wait(DEADLINE_SECONDS)
    finally:
        janitor.stop()
        for thread in janitor.threads:
            thread.join(DEADLINE_SECONDS)


def test_the_janitor_sweeps_once_more_when_it_is_stopped_during_a_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = _WorkflowHistoryCache()
    janitor = Janitor(cache)
    sweeps: list[str] = []

    def sweep() -> None:
        sweeps.append('sweep')
        janitor.stop()

    monkeypatch.setattr(cache, 'sweep_expired', sweep)
    janitor.wake()
    janitor.start()
    for thread in janitor.threads:
        thread.join(DEADLINE_SECONDS)
        assert not thread.is_alive()
    assert len(sweeps) == 2


def test_a_turn_that_outlives_its_worker_writes_nothing_into_the_next_start(
    sidecar: FakeSidecar, new_worker: NewWorker
) -> None:
    gate = Gate()

    def held(ctx: OrchestrationContext, _: None) -> Workflow:
        gate.pass_through()
        for _number in range(2):
            yield ctx.call_activity('step')

    worker = new_worker(stop_timeout=0.05)
    worker.add_orchestrator(held)
    worker.start()
    item = turn(1)
    item.workflowRequest.pastEvents[1].executionStarted.name = 'held'
    sidecar.push(item)
    gate.wait_until_reached()
    (thread,) = [each for each in threading.enumerate() if each.name == 'dapr-workflow-turn-1']
    worker.stop()
    worker.start()
    gate.open()
    thread.join(DEADLINE_SECONDS)
    assert not thread.is_alive()
    assert worker.history_cache_stats.entries == 0


def test_an_item_that_no_thread_can_take_leaves_no_ticket(
    sidecar: FakeSidecar, new_worker: NewWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = serve(new_worker)
    run = worker._run
    assert run is not None

    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(run.dispatcher, 'turn', refuse)
        with pytest.raises(RuntimeError):
            run._take(turn(1))
    assert len(run._fence) == 0
