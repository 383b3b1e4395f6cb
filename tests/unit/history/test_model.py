"""Stateful property test: workers' memories against a model of a sidecar that does all that a sidecar may do.

The model (protocol.md, "Stateful history") keeps the true committed history of each instance, and a warm mark for each
instance and stream. It delivers and duplicates turns to two workers, drops their streams, continues as new, purges and
creates the same id again; the workers' handlers run interleaved and their answers come in any order; entries expire and
are evicted; fetches fail, come short, or come long.

What a turn replays must always be the true history. And a worker that has remembered the last turn it was given, and
has lost nothing since, needs no fetch for the next one: that is what a late write would spoil.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from dapr.ext.workflow._durabletask.history.cache import _WorkflowHistoryCache
from dapr.ext.workflow._durabletask.history.fence import DispatchFence, Ticket
from dapr.ext.workflow._durabletask.history.resolver import (
    HistoryResolver,
    ResolvedHistory,
    _HistoryResolutionError,
)
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.replay.executor import _OrchestrationExecutor
from dapr.ext.workflow._durabletask.replay.instance import ExecutionResults
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from dapr.ext.workflow._durabletask.task import OrchestrationContext
from tests.support.engine import (
    LOGGER,
    START,
    committed_events,
    event_raised,
    execution_started,
    task_completed,
    workflow_started,
)
from tests.support.scenarios import Workflow

Events = list[pb.HistoryEvent]
INSTANCES = ('one', 'two')


def counting(ctx: OrchestrationContext, run: int) -> Workflow:
    """What it asks for names the run, the step, and what came before, so that other histories lead to other actions."""
    last: Any = None
    for step in range(3):
        last = yield ctx.call_activity('count', input=[run, step, last])
    if last['again']:
        ctx.continue_as_new(run + 1, save_events=True)
        return None
    return (yield ctx.call_activity('count', input=[run, 'last', last]))


@dataclass
class Instance:
    """The truth about an instance. `generation` tells one creation of the id from the next."""

    generation: int
    run_id: str
    committed: Events = field(default_factory=list)
    inbox: Events = field(default_factory=list)
    open_tasks: list[int] = field(default_factory=list)
    token: int | None = None  # of the newest dispatch, while there is one
    batch: Events = field(default_factory=list)
    ended: bool = False


@dataclass
class Handler:
    """A turn in a worker, and how far it is."""

    worker: int
    stream: int
    token: int
    request: pb.WorkflowRequest
    ticket: Ticket
    true_history: Events
    run_id: str
    resolved: ResolvedHistory | None = None
    results: ExecutionResults | None = None
    remembered: bool = False
    committed: bool = False
    follows: Handler | None = None  # the turn before on this stream, when the worker had remembered it by then
    losses: int = 0  # how often the worker had lost memories by then


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Memory:
    """A worker's cache, fence and resolver, on one stream after the other."""

    def __init__(self, clock: Clock, fetch: Any) -> None:
        self.cache = _WorkflowHistoryCache(ttl=60, max_instances=100, clock=clock)
        self.fence = DispatchFence()
        self.resolver = HistoryResolver(self.cache, fetch)
        self.stream = 0
        self.marks: dict[str, int] = {}  # the sidecar's, for this stream
        # What the worker must know, as the test sees it: the last turn given on this stream, and whether it was
        # remembered while it was the last.
        self.last: dict[str, Handler] = {}
        self.known: dict[str, Handler] = {}
        self.losses = 0

    def new_stream(self) -> None:
        self.stream += 1
        self.fence.new_stream(self.stream)
        self.resolver.new_stream()
        self.marks = {}
        self.last, self.known = {}, {}

    def lose(self) -> None:
        self.losses += 1
        self.known = {}


class SidecarAndWorkers(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.time = START
        self.serial = 0
        self.instances: dict[str, Instance] = {}
        self.handlers: list[Handler] = []
        self.fetch_mode = 'right'
        self.fetches = 0
        registry = _Registry()
        registry.add_orchestrator(counting)
        self.executor = _OrchestrationExecutor(registry, LOGGER)
        self.workers = [Memory(self.clock, self._fetch) for _ in range(2)]

    @initialize(says_which_run=st.booleans())
    def begin(self, says_which_run: bool) -> None:
        self.says_which_run = says_which_run
        for instance_id in INSTANCES:
            self._create(instance_id)

    # The sidecar

    def _next(self) -> int:
        self.serial += 1
        return self.serial

    def _started(self, run: int, run_id: str) -> pb.HistoryEvent:
        event = execution_started('counting', str(run))
        event.executionStarted.workflowInstance.executionId.value = run_id if self.says_which_run else ''
        return event

    def _create(self, instance_id: str) -> None:
        number = self._next()
        instance = Instance(number, f'run {number}')
        instance.inbox.append(self._started(0, instance.run_id))
        self.instances[instance_id] = instance

    def _fetch(self, instance_id: str) -> Sequence[pb.HistoryEvent]:
        self.fetches += 1
        committed = self.instances[instance_id].committed
        if self.fetch_mode == 'failing':
            raise ConnectionError('no answer')
        if self.fetch_mode == 'short':
            return committed[: len(committed) // 2]
        return list(committed)

    @rule(instance_id=st.sampled_from(INSTANCES), worker=st.integers(0, 1), again=st.booleans())
    def dispatch(self, instance_id: str, worker: int, again: bool) -> None:
        """A turn goes out: a new one, or (its lease has ended) one that is out already."""
        self._dispatch(instance_id, worker, again)

    def _dispatch(self, instance_id: str, worker: int, again: bool) -> Handler | None:
        instance = self.instances[instance_id]
        if instance.ended or not (instance.inbox or instance.batch) or (instance.token is not None and not again):
            return None
        instance.batch += instance.inbox
        instance.inbox = []
        self.time += timedelta(milliseconds=1)
        new_events = [workflow_started(self.time), *instance.batch]
        memory, past = self.workers[worker], instance.committed
        mark = memory.marks.get(instance_id, 0)
        request = pb.WorkflowRequest(instanceId=instance_id, newEvents=new_events)
        if self.says_which_run:
            request.executionId.value = instance.run_id
        if 0 < mark <= len(past):
            request.cachedHistory.eventCount = mark
            request.pastEvents.extend(past[mark:])
        else:
            request.pastEvents.extend(past)
        memory.marks[instance_id] = len(past)
        instance.token = self._next()
        handler = Handler(
            worker, memory.stream, instance.token, request, memory.fence.enter(instance_id), list(past), instance.run_id
        )
        handler.follows, handler.losses = memory.known.pop(instance_id, None), memory.losses
        memory.last[instance_id] = handler
        self.handlers.append(handler)
        return handler

    @rule(instance_id=st.sampled_from(INSTANCES), again=st.booleans())
    def activity_completes(self, instance_id: str, again: bool) -> None:
        self._activity_completes(instance_id, again)

    def _activity_completes(self, instance_id: str, again: bool) -> None:
        instance = self.instances[instance_id]
        if instance.open_tasks:
            number = instance.open_tasks.pop(0)
            instance.inbox.append(task_completed(number, {'again': again, 'serial': self._next()}))

    @rule(instance_id=st.sampled_from(INSTANCES))
    def event_comes(self, instance_id: str) -> None:
        self.instances[instance_id].inbox.append(event_raised('note', str(self._next())))

    @rule(instance_id=st.sampled_from(INSTANCES))
    def purge_and_create_again(self, instance_id: str) -> None:
        """Warm marks know the id alone, and outlive it."""
        self._create(instance_id)

    @rule(worker=st.integers(0, 1))
    def stream_drops(self, worker: int) -> None:
        """What was sent on it and not answered can be dispatched again."""
        memory = self.workers[worker]
        for handler in self.handlers:
            instance = self.instances[handler.request.instanceId]
            if handler.worker == worker and handler.stream == memory.stream and instance.token == handler.token:
                instance.token = None
        memory.new_stream()

    # The workers

    @precondition(lambda self: any(handler.resolved is None for handler in self.handlers))
    @rule(data=st.data(), fetch_mode=st.sampled_from(['right', 'right', 'failing', 'short']))
    def resolve_and_run(self, data: st.DataObject, fetch_mode: str) -> None:
        handler = data.draw(st.sampled_from([handler for handler in self.handlers if handler.resolved is None]))
        self.fetch_mode = fetch_mode
        self._resolve_and_run(handler)

    def _resolve_and_run(self, handler: Handler) -> None:
        memory, request, fetches = self.workers[handler.worker], handler.request, self.fetches
        try:
            handler.resolved = memory.resolver.resolve(request, handler.ticket)
        except _HistoryResolutionError:
            handler.ticket.leave()
            self.handlers.remove(handler)
            handler.resolved = None
        if self._must_know(handler):
            assert self.fetches == fetches, 'the worker had what it needs'
        if handler.resolved is None:
            return
        handler.results = self.executor.execute(request.instanceId, handler.resolved.events, request.newEvents)
        truth = self.executor.execute(request.instanceId, handler.true_history, request.newEvents)
        if not self.says_which_run and self.instances[request.instanceId].run_id != handler.run_id:
            return  # the instance is another one by now: nothing tells the two apart, and the answer will be discarded
        assert handler.results.actions == truth.actions
        assert list(handler.resolved.events) == handler.true_history

    def _must_know(self, handler: Handler) -> bool:
        memory, before = self.workers[handler.worker], handler.follows
        if before is None or memory.losses != handler.losses or handler.stream != memory.stream:
            return False
        if memory.last.get(handler.request.instanceId) is not handler or not before.true_history:
            return False
        # Where the sidecar does not say which run it is, only the committed events of the turn before can tell.
        return before.run_id == handler.run_id and (self.says_which_run or before.committed)

    @precondition(lambda self: any(h.resolved is not None and not h.remembered for h in self.handlers))
    @rule(data=st.data())
    def remember(self, data: st.DataObject) -> None:
        waiting = [handler for handler in self.handlers if handler.resolved is not None and not handler.remembered]
        handler = data.draw(st.sampled_from(waiting))
        self._remember(handler)

    def _remember(self, handler: Handler) -> None:
        assert handler.resolved is not None
        assert handler.results is not None
        ended = any(action.HasField('completeWorkflow') for action in handler.results.actions)
        handler.resolved.remember(ended=ended)
        handler.remembered = True
        memory, instance_id = self.workers[handler.worker], handler.request.instanceId
        if memory.last.get(instance_id) is handler and not ended:
            memory.known[instance_id] = handler

    @precondition(lambda self: any(handler.remembered for handler in self.handlers))
    @rule(data=st.data(), arrives=st.booleans())
    def answer(self, data: st.DataObject, arrives: bool) -> None:
        """An answer with the newest token is committed; any other is discarded."""
        self._answer(data.draw(st.sampled_from([handler for handler in self.handlers if handler.remembered])), arrives)

    def _answer(self, handler: Handler, arrives: bool = True) -> None:
        self.handlers.remove(handler)
        handler.ticket.leave()
        instance = self.instances[handler.request.instanceId]
        if not arrives or instance.token != handler.token:
            return
        assert handler.results is not None
        handler.committed = True
        self._commit(instance, handler.request.newEvents, handler.results.actions)

    def _commit(
        self, instance: Instance, new_events: Sequence[pb.HistoryEvent], actions: Sequence[pb.WorkflowAction]
    ) -> None:
        instance.token, instance.batch = None, []
        for action in actions:
            completion = action.completeWorkflow
            if action.HasField('completeWorkflow') and (
                completion.workflowStatus == pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW
            ):
                instance.run_id = f'run {self._next()}'
                instance.committed, instance.open_tasks = [], []
                instance.inbox = [
                    self._started(json.loads(completion.result.value), instance.run_id),
                    *completion.carryoverEvents,
                    *instance.inbox,
                ]
                return
        instance.committed = instance.committed + list(new_events)
        for action in actions:
            instance.committed += committed_events(action)
            if action.HasField('scheduleTask'):
                instance.open_tasks.append(action.id)
            instance.ended = instance.ended or action.HasField('completeWorkflow')

    @rule(instance_id=st.sampled_from(INSTANCES), worker=st.integers(0, 1), again=st.booleans())
    def whole_turn(self, instance_id: str, worker: int, again: bool) -> None:
        """What mostly happens: a result comes, its turn goes out and is answered, with nothing in between."""
        self._activity_completes(instance_id, again)
        handler = self._dispatch(instance_id, worker, again=False)
        if handler is not None:
            self.fetch_mode = 'right'
            self._resolve_and_run(handler)
            self._remember(handler)
            self._answer(handler)

    # Time and memory

    @rule(seconds=st.sampled_from([1.0, 61.0]), worker=st.integers(0, 1))
    def time_passes(self, seconds: float, worker: int) -> None:
        self.clock.now += seconds
        self.workers[worker].cache.sweep_expired()
        self.workers[worker].lose()

    @rule(worker=st.integers(0, 1), other=st.integers(0, 10_000))
    def an_entry_is_evicted(self, worker: int, other: int) -> None:
        cache = self.workers[worker].cache
        cache._kept.max_instances = 1
        cache.put(f'other {other}', [workflow_started()])
        cache._kept.max_instances = 100
        self.workers[worker].lose()

    def teardown(self) -> None:
        for handler in self.handlers:
            if handler.resolved is not None:
                handler.resolved.forget()
            handler.ticket.leave()
        for memory in self.workers:
            assert len(memory.fence) == 0
            memory.cache.reset()
            assert (memory.cache.stats.bytes, memory.cache.stats.entries) == (0, 0)


TestSidecarAndWorkers = SidecarAndWorkers.TestCase
TestSidecarAndWorkers.settings = settings(max_examples=500, stateful_step_count=60, deadline=None, derandomize=True)
