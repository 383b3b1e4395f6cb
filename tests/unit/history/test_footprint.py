"""The account of what a parked workflow takes: near what the process grows by, and free of what others share."""

from __future__ import annotations

import gc
import itertools
import logging
import tracemalloc
from collections.abc import Callable, Iterable
from datetime import timedelta
from types import FunctionType, ModuleType
from typing import Any

import pytest
from google.protobuf.message import Message

from dapr.ext.workflow._durabletask.history import footprint as footprint_module
from dapr.ext.workflow._durabletask.history.fence import DispatchFence
from dapr.ext.workflow._durabletask.history.footprint import footprint
from dapr.ext.workflow._durabletask.history.sticky import Parked, StickyInstances, digest_of
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
from dapr.ext.workflow._durabletask.replay.executor import _OrchestrationExecutor
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from dapr.ext.workflow._durabletask.task import when_all
from tests.support.engine import (
    LOGGER,
    committed_events,
    event_raised,
    execution_started,
    suspended,
    task_completed,
    task_scheduled,
    workflow_started,
)
from tests.support.scenarios import Workflow


class Plain:
    def __init__(self, number: int) -> None:
        self.first = number
        self.second = [number]


class Slotted:
    __slots__ = ('first', 'second')

    def __init__(self, number: int) -> None:
        self.first = number
        self.second = [number]


def closure(number: int) -> Callable[[], int]:
    return lambda: number


def generator(number: int) -> Any:
    def numbers() -> Any:
        yield [number]

    running = numbers()
    next(running)
    return running


def grown_by(make: Callable[[], object]) -> int:
    """What the process grows by while it is made, in bytes: the median of five times. A table that the
    whole process shares may happen to grow at one of them, by more than what is measured."""
    grown = []
    for _ in range(5):
        gc.collect()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            made = make()
            gc.collect()
            grown.append(tracemalloc.get_traced_memory()[0] - before)
        finally:
            tracemalloc.stop()
        del made  # only now: it was to be measured
    return sorted(grown)[2]


@pytest.mark.parametrize('make', [Plain, Slotted, closure, generator, lambda number: {'key': str(number)}])
def test_each_kind_of_object_counts_what_it_takes(make: Callable[[int], object]) -> None:
    def make_a_thousand() -> list[object]:
        return [make(number) for number in range(1000, 2000)]

    assert 0.8 < footprint([make_a_thousand()]) / grown_by(make_a_thousand) < 1.2


def test_what_is_held_twice_counts_once() -> None:
    held = ['x' * 1000]
    assert footprint([held, held, [held]]) < 2000


def test_what_others_share_is_left_out() -> None:
    assert footprint([gc, Plain, LOGGER, len, grown_by, grown_by.__code__, logging.getLogger()]) == 0


def test_a_message_counts_the_memory_that_python_does_not_see() -> None:
    assert footprint([pb.HistoryEvent()]) > 400


def test_the_count_ends_with_what_is_very_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footprint_module, '_MAX_OBJECTS', 100)
    large = [[number] for number in range(1000)]
    assert 100 * 56 <= footprint([large]) < footprint([large[:50]]) * 10


# Hundreds of parked workflows


def steps(ctx: Context, _: None) -> Workflow:
    last = None
    while True:
        last = yield ctx.call_activity('step', input=last)


def collected(ctx: Context, _: None) -> Workflow:
    results = []
    while True:
        results.append((yield ctx.call_activity('step')))


def fan_out(ctx: Context, _: None) -> Workflow:
    while True:
        yield when_all([ctx.call_activity('step', input=number) for number in range(20)])


def limited_waits(ctx: Context, _: None) -> Workflow:
    while True:
        yield ctx.wait_for_external_event('go', timeout=timedelta(hours=1))


def requests(workflow: str, turns: int) -> Iterable[pb.WorkflowRequest]:
    """The work items of one instance, as deltas."""
    registry = registered()
    executor = _OrchestrationExecutor(registry, LOGGER)
    committed: list[pb.HistoryEvent] = []
    batch = [workflow_started(), execution_started(workflow)]
    seen = 0
    for _ in range(turns):
        request = pb.WorkflowRequest(instanceId='i', newEvents=batch, pastEvents=committed[seen:])
        request.cachedHistory.eventCount = seen
        yield request
        actions = executor.execute('i', committed, batch).actions
        seen = len(committed)
        committed = [*committed, *batch, *(event for action in actions for event in committed_events(action))]
        results = [task_completed(action.id, 'r' * 60) for action in actions if action.HasField('scheduleTask')]
        batch = [workflow_started(), *(results or [event_raised('go', '"now"')])]


def registered() -> _Registry:
    registry = _Registry()
    for workflow in (steps, collected, fan_out, limited_waits):
        registry.add_orchestrator(workflow)
    return registry


def park(sticky: StickyInstances, executor: _OrchestrationExecutor, items: Iterable[bytes], number: int) -> None:
    ticket = DispatchFence().enter(f'instance-{number:08}')
    for item in items:
        request = pb.WorkflowRequest.FromString(item)  # as it comes from the wire, each time
        request.instanceId = ticket.instance_id
        request.executionId.value = f'{number:036}'
        parked = sticky.resume(request, ticket)
        if parked is None:
            assert not request.pastEvents
            parked = Parked(executor.replayed(ticket.instance_id, []), request.executionId.value)
        executor.run(parked.instance, request.newEvents)
        assert sticky.park(parked, request, ticket)


@pytest.mark.parametrize('workflow', [steps, collected, fan_out, limited_waits])
def test_the_byte_account_is_near_what_the_process_grows_by(workflow: Callable[..., Workflow]) -> None:
    items = [request.SerializeToString() for request in requests(workflow.__name__, 3)]
    executor = _OrchestrationExecutor(registered(), LOGGER)
    sticky = StickyInstances(lambda instance: None)
    park(sticky, executor, items, -1)
    before = sticky.stats.bytes
    numbers = itertools.count()

    def park_a_hundred() -> None:
        for _ in range(100):
            park(sticky, executor, items, next(numbers))

    grown = grown_by(park_a_hundred)
    assert sticky.stats.running == 501
    # The account has the arenas of messages too, which tracemalloc does not see.
    assert 0.75 < (sticky.stats.bytes - before) / 5 / grown < 1.5
    sticky.reset()
    sticky.sweep_expired()
    assert sticky.stats.bytes == 0


def size_of(sticky: StickyInstances, number: int) -> int:
    parked = sticky._parked.find(f'instance-{number:08}')
    assert parked is not None
    return parked.size


@pytest.mark.parametrize('workflow', ['collected', 'limited_waits'])
def test_what_a_workflow_holds_is_measured_again_when_it_may_have_doubled(workflow: str) -> None:
    """The one holds what it is given, the other makes what it holds."""
    items = [request.SerializeToString() for request in requests(workflow, 100)]
    executor = _OrchestrationExecutor(registered(), LOGGER)
    sticky = StickyInstances(lambda instance: None)
    park(sticky, executor, items, 1)
    numbers = itertools.count(2)
    grown = grown_by(lambda: park(sticky, executor, items, next(numbers)))
    assert 0.5 < size_of(sticky, 2) / grown < 1.5


def test_what_a_workflow_was_given_since_it_was_measured_counts_as_held() -> None:
    first, second = requests('steps', 2)
    sizes = []
    for items in ([first], [first, second]):
        sticky = StickyInstances(lambda instance: None)
        executor = _OrchestrationExecutor(registered(), LOGGER)
        park(sticky, executor, [request.SerializeToString() for request in items], 1)
        sizes.append(size_of(sticky, 1))
    assert sizes[1] - sizes[0] >= digest_of(second.newEvents)[1]


# What came with a work item: one message that is held keeps all of the request


def pending(ctx: Context, _: None) -> Workflow:
    slow = ctx.call_activity('slow')
    yield ctx.call_activity('step')
    ctx.call_activity('later')
    yield slow


def waiting(ctx: Context, _: None) -> Workflow:
    event = ctx.wait_for_external_event('go')
    slow = ctx.call_activity('slow')
    yield when_all([event, slow])


def messages_in(roots: Iterable[object]) -> list[Message]:
    found: dict[int, object] = {}
    left = list(roots)
    while left:
        held = left.pop()
        if id(held) not in found and not isinstance(held, (type, ModuleType, FunctionType)):
            found[id(held)] = held
            left.extend(gc.get_referents(held))
    return [held for held in found.values() if isinstance(held, Message)]


@pytest.mark.parametrize(
    ('workflow', 'past', 'new'),
    [
        pytest.param(
            pending,
            [workflow_started(), execution_started('pending'), task_scheduled(1, 'slow'), task_scheduled(2, 'step')],
            [workflow_started(), task_completed(2)],
            id='confirmed and pending',
        ),
        pytest.param(
            waiting,
            [workflow_started(), execution_started('waiting'), task_scheduled(1, 'slow')],
            [workflow_started()],
            id='confirmed by a history without optional timers',
        ),
        pytest.param(
            pending,
            [workflow_started(), execution_started('pending'), task_scheduled(1, 'slow'), task_scheduled(2, 'step')],
            [workflow_started(), task_completed(2), suspended()],
            id='not sent, for it is suspended',
        ),
    ],
)
def test_a_workflow_that_was_replayed_holds_no_message_of_the_work_item(
    workflow: Callable[..., Workflow], past: list[pb.HistoryEvent], new: list[pb.HistoryEvent]
) -> None:
    registry = _Registry()
    registry.add_orchestrator(workflow)
    executor = _OrchestrationExecutor(registry, LOGGER)
    request = pb.WorkflowRequest(instanceId='i', pastEvents=past, newEvents=new)
    instance = executor.replayed('i', request.pastEvents)
    executor.run(instance, request.newEvents)
    assert not instance.is_ended
    given = {id(event) for event in (*request.pastEvents, *request.newEvents)}
    assert [held for held in messages_in(instance.holdings()) if id(held) in given] == []
