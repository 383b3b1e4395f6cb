"""Property test: random workflows, kept running by two workers, under a sidecar that does all that a sidecar may do.

The model (protocol.md) keeps the true history of each instance, and a warm mark for each instance and stream. Turns go
out as deltas or as whole histories, to either worker, more than once, and the very same item twice; they run
interleaved, and stop in between at every place where something else may happen; answers arrive, are lost, arrive and
are thought lost, or come too late; streams drop; workflows expire and make room; instances continue as new, are purged,
and come again under the same id.

Whatever happens, the answer to a turn is that of a replay of the true history. And a kept workflow is used whenever it
may be, and only then: the model knows for each turn whether it must be a hit.
"""

from __future__ import annotations

import json
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple

import hypothesis.strategies as st
import pytest
from hypothesis import given

from dapr.ext.workflow._durabletask.aio.context import AsyncWorkflowContext
from dapr.ext.workflow._durabletask.aio.orchestrator import async_orchestrator
from dapr.ext.workflow._durabletask.history.cache import _WorkflowHistoryCache
from dapr.ext.workflow._durabletask.history.fence import DispatchFence, Ticket
from dapr.ext.workflow._durabletask.history.resolver import HistoryResolver
from dapr.ext.workflow._durabletask.history.sticky import Observer, Parked, StickyInstances
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.propagation import PropagatedHistory
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
from dapr.ext.workflow._durabletask.replay.executor import _OrchestrationExecutor, close
from dapr.ext.workflow._durabletask.replay.instance import ExecutionResults, WorkflowInstance
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from dapr.ext.workflow._durabletask.turns import Dispatch, Turns
from tests.support import async_programs
from tests.support.engine import (
    LOGGER,
    START,
    committed_batch,
    committed_events,
    execution_started,
    without_trace,
    workflow_started,
)
from tests.support.examples import parts, settings_of
from tests.support.random_workflows import Move, Program, World, moves, perform, programs
from tests.support.scenarios import Workflow
from tests.support.stepping import Stepped

Events = list[pb.HistoryEvent]
AnyProgram = Program | async_programs.Program
INSTANCES = ('one', 'two')
PART = 2_000  # examples
TTL = 60.0


class Setup(NamedTuple):
    """What kind of sidecar and of workers.

    Attributes:
        sends_deltas: Whether the workers have the capability, and the sidecar makes use of it.
        names_runs: Whether work items have an executionId.
        limits: The bounds of what the workers keep.
    """

    sends_deltas: bool
    names_runs: bool
    limits: tuple[int, int]


@dataclass(eq=False)
class Run:
    """The truth about one run of an instance."""

    run_id: str
    inbox: Events
    world: World
    committed: Events = field(default_factory=list)
    turns: tuple[Item, ...] = ()  # the items that were committed
    batch: Events = field(default_factory=list)
    token: str = ''  # of the newest dispatch, while there is one
    dispatches: int = 0
    is_over: bool = False


@dataclass(eq=False)
class Item:
    """A work item, and the truth when it was made."""

    run: Run
    message: pb.WorkItem
    history: Events
    turns: tuple[Item, ...]


class Standing(NamedTuple):
    """A workflow that a worker must have: how far it is, and until when it may not expire."""

    item: Item
    parked: Parked
    expires_at: float


@dataclass(eq=False)
class Turn:
    """A dispatch in a worker. Its answer arrives, is lost, or arrives and is 'thought lost'."""

    worker: Worker
    item: Item
    dispatch: Dispatch
    fate: str = 'arrives'
    steps: Stepped | None = None

    @property
    def request(self) -> pb.WorkflowRequest:
        return self.item.message.workflowRequest


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Executor(_OrchestrationExecutor):
    """Stops before and after the new events of a turn, and knows what it has made."""

    def __init__(self, registry: _Registry, pause: Callable[[], None]) -> None:
        super().__init__(registry, LOGGER)
        self._pause = pause
        self.made: list[WorkflowInstance] = []

    def replayed(
        self,
        instance_id: str,
        old_events: Sequence[pb.HistoryEvent],
        propagated_history: PropagatedHistory | None = None,
    ) -> WorkflowInstance:
        self.made.append(super().replayed(instance_id, old_events, propagated_history))
        return self.made[-1]

    def run(self, instance: WorkflowInstance, new_events: Sequence[pb.HistoryEvent]) -> ExecutionResults:
        self._pause()
        results = super().run(instance, new_events)
        self._pause()
        return results


class Watched(StickyInstances):
    """Holds all that it does against what it must do."""

    def __init__(self, sidecar: Sidecar) -> None:
        max_instances, max_bytes = sidecar.setup.limits
        super().__init__(
            lambda instance: close(instance, LOGGER),
            ttl=TTL,
            max_instances=max_instances,
            max_bytes=max_bytes,
            clock=sidecar.clock,
        )
        self._sidecar = sidecar
        self._room = 1 if max_bytes else max_instances
        self.standing: OrderedDict[str, Standing] = OrderedDict()
        self.gone: Counter[str] = Counter()
        self.later_turns = 0

    def resume(self, request: pb.WorkflowRequest, ticket: Ticket, observer: Observer | None = None) -> Parked | None:
        item = self._sidecar.current.item
        standing = self.standing.pop(request.instanceId, None) if ticket.is_newest() else None
        # With whole histories it may be several turns behind; a delta must not begin after where it stands.
        must_hit = (
            standing is not None
            and standing.item in item.turns
            and request.cachedHistory.eventCount <= len(standing.item.history)
        )
        parked = super().resume(request, ticket, observer)
        assert (parked is not None) is must_hit
        self.later_turns += bool(item.history)
        self.gone['mismatch'] += standing is not None and not must_hit
        return parked

    def park(self, parked: Parked, request: pb.WorkflowRequest, ticket: Ticket) -> bool:
        is_newest = ticket.is_newest()
        is_kept = super().park(parked, request, ticket)
        assert is_kept is is_newest
        if not is_kept:
            self.gone['superseded'] += 1
            return False
        self.standing[request.instanceId] = Standing(self._sidecar.current.item, parked, self._sidecar.clock() + TTL)
        while len(self.standing) > self._room:
            self.standing.popitem(last=False)
            self.gone['room'] += 1
        return True

    def forget(self, instance_id: str, parked: Parked) -> None:
        super().forget(instance_id, parked)
        standing = self.standing.get(instance_id)
        if standing is not None and standing.parked is parked:
            del self.standing[instance_id]
            self.gone['undelivered'] += 1

    def reset(self) -> None:
        super().reset()
        self.gone['reset'] += len(self.standing)
        self.standing.clear()

    def sweep_expired(self) -> None:
        super().sweep_expired()
        expired = [name for name, standing in self.standing.items() if standing.expires_at <= self._sidecar.clock()]
        for name in expired:
            del self.standing[name]
        self.gone['ttl'] += len(expired)

    def check(self) -> None:
        stats = self.stats
        assert stats.running == len(self.standing)
        assert (stats.bytes > 0) is (stats.running > 0)
        assert stats.hits + stats.misses.total == self.later_turns
        evictions = stats.evictions
        assert (evictions.mismatch, evictions.superseded, evictions.undelivered, evictions.reset, evictions.ttl) == (
            *(self.gone[reason] for reason in ('mismatch', 'superseded', 'undelivered', 'reset', 'ttl')),
        )
        assert evictions.count + evictions.bytes == self.gone['room']
        assert not stats.misses.diverged
        assert not stats.misses.expired or self.gone['ttl']


class Worker:
    """A worker's turns, on one stream after the other."""

    def __init__(self, sidecar: Sidecar) -> None:
        self.executor = Executor(sidecar.registry, sidecar.pause)
        self.fence = DispatchFence()
        self.sticky = Watched(sidecar)
        self.resolver = HistoryResolver(_WorkflowHistoryCache(), sidecar.fetch) if sidecar.setup.sends_deltas else None
        self.turns = Turns(
            self.executor,
            sidecar,
            LOGGER,
            self.resolver,
            self.sticky,
            give_up_stream=lambda _, number: sidecar.drop_stream(self, number),
        )
        self.stream = 0
        self.marks: dict[str, int] = {}  # the sidecar's, for this stream
        self.new_stream()

    def new_stream(self) -> None:
        self.stream += 1
        self.marks = {}
        self.fence.new_stream(self.stream)  # as the worker does, in this order
        if self.resolver is not None:
            self.resolver.new_stream()
        self.sticky.reset()


class Sidecar:
    """The sidecar, its two workers, and what happens to them."""

    def __init__(self, setup: Setup, two_programs: Sequence[AnyProgram]) -> None:
        self.setup = setup
        self.clock = Clock()
        self.registry = _Registry()
        for number, program in enumerate(two_programs):
            self.registry.add_named_orchestrator(str(number), _orchestrator(program))
        self._truth = _OrchestrationExecutor(self.registry, LOGGER)
        self.workers = [Worker(self), Worker(self)]
        self._serial = 0
        self._creations = 0
        self._is_fetch_failing = False
        self._runs: dict[str, Run] = {}
        self._open: list[Turn] = []
        self._running: list[Turn] = []
        self._last: dict[str, Turn] = {}
        for instance_id in INSTANCES:
            self._create(instance_id)

    @property
    def current(self) -> Turn:
        """The turn that a worker runs now."""
        return self._running[-1]

    # What may happen

    def perform(self, op: Op) -> None:
        instance_id, worker = INSTANCES[op.number % 2], self.workers[op.worker]
        if op.kind == 'turn':
            self._send(instance_id, op.moves)
            self._serve(self._dispatch(instance_id, worker), op.fate)
        elif op.kind == 'dispatch' or op.kind == 'dispatch again':
            self._send(instance_id, op.moves)
            self._dispatch(instance_id, worker, is_repeated=op.kind == 'dispatch again')
        elif op.kind == 'same item again':
            if instance_id in self._last:
                self._give(self._last[instance_id].worker, self._last[instance_id].item)
        elif op.kind == 'step':
            self._step(op)
        elif op.kind == 'terminate':
            self._send(instance_id, [('terminate', 0)])
        elif op.kind == 'drop stream':
            self.drop_stream(worker, worker.stream)
        elif op.kind == 'time passes':
            self.clock.now += 50
            worker.sticky.sweep_expired()
        else:
            self._create(instance_id)
        for each in self.workers:
            each.sticky.check()

    def end(self) -> None:
        """Everything that is under way comes to its end; then come turns that nothing disturbs, which are all hits."""
        while self._open:
            self._finish(self._open[0])
        for number, worker in enumerate(self.workers):
            for turn in range(3):
                for instance_id in INSTANCES:
                    self._send(instance_id, [('resume', 0), ('succeed', turn), ('raise', turn)])
                    self._serve(self._dispatch(instance_id, worker, is_repeated=True), 'arrives')
                    self.workers[number].sticky.check()
        for worker in self.workers:
            assert len(worker.fence) == 0
            worker.sticky.reset()
            worker.sticky.sweep_expired()
            worker.sticky.check()
            assert all(instance._generator is None for instance in worker.executor.made), 'one was not closed'

    def abandon(self) -> None:
        """After a failure: no thread is left."""
        for turn in self._open:
            while turn.steps is not None and not turn.steps.is_over:
                try:
                    turn.steps.advance()
                except BaseException:  # the first one is told
                    continue

    # The sidecar

    def _create(self, instance_id: str) -> None:
        self._creations += 1
        run = Run(f'run {self._next()}', [], World())
        run.inbox.append(self._started(run, str((self._creations + INSTANCES.index(instance_id)) % 2), 1))
        self._runs[instance_id] = run

    def _next(self) -> int:
        self._serial += 1
        return self._serial

    def _started(self, run: Run, name: str, number: int) -> pb.HistoryEvent:
        event = execution_started(name, str(number))
        event.executionStarted.workflowInstance.executionId.value = run.run_id if self.setup.names_runs else ''
        return event

    def _send(self, instance_id: str, moves: Iterable[Move]) -> None:
        if self._runs[instance_id].is_over:
            self._create(instance_id)
        run = self._runs[instance_id]
        run.inbox += [event for kind, number in moves for event in run.world.events(kind, number)]

    def _dispatch(self, instance_id: str, worker: Worker, is_repeated: bool = False) -> Turn | None:
        run = self._runs[instance_id]
        if run.is_over or not (run.inbox or run.batch) or (run.token and not is_repeated):
            return None
        run.batch += run.inbox
        run.inbox = []
        run.dispatches += 1
        # Where runs have names, two of them may have the very same events.
        moment = START + timedelta(milliseconds=run.dispatches if self.setup.names_runs else self._next())
        request = pb.WorkflowRequest(instanceId=instance_id, newEvents=[workflow_started(moment), *run.batch])
        if self.setup.names_runs:
            request.executionId.value = run.run_id
        mark = worker.marks.get(instance_id, 0) if self.setup.sends_deltas else 0
        if 0 < mark <= len(run.committed):
            request.cachedHistory.eventCount = mark
        else:
            mark = 0
        request.pastEvents.extend(run.committed[mark:])
        worker.marks[instance_id] = len(run.committed)
        run.token = str(self._next())
        message = pb.WorkItem(completionToken=run.token, workflowRequest=request)
        return self._give(worker, Item(run, message, run.committed, run.turns))

    def _give(self, worker: Worker, item: Item) -> Turn:
        instance_id = item.message.workflowRequest.instanceId
        turn = Turn(worker, item, Dispatch(item.message, worker.fence.enter(instance_id)))
        self._open.append(turn)
        self._last[instance_id] = turn
        return turn

    def fetch(self, instance_id: str) -> Sequence[pb.HistoryEvent]:
        self.pause()
        if self._is_fetch_failing:
            raise ConnectionError('no answer')
        return self._runs[instance_id].committed

    def complete_turn(self, response: pb.WorkflowResponse) -> bool:
        turn = self.current
        item, run = turn.item, self._runs[turn.request.instanceId]
        # Where runs have no names, a fetch may bring the history of a later one; the answer then comes too late.
        if self.setup.names_runs or item.run is run:
            self._check(turn, response)
        self.pause()
        run = self._runs[turn.request.instanceId]
        if turn.fate != 'lost' and run.token == response.completionToken:
            self._commit(run, turn, response)
        self.pause()
        return turn.fate == 'arrives'

    def _check(self, turn: Turn, response: pb.WorkflowResponse) -> None:
        truth = self._truth.execute(turn.request.instanceId, turn.item.history, turn.request.newEvents)
        assert [without_trace(action) for action in response.actions] == [without_trace(a) for a in truth.actions]
        status = response.customStatus.value if response.HasField('customStatus') else None
        assert status == truth.encoded_custom_status
        assert (response.version.name or None, list(response.version.patches)) == (truth.version_name, truth.patches)

    def _commit(self, run: Run, turn: Turn, response: pb.WorkflowResponse) -> None:
        run.token, run.batch = '', []
        run.world.take_note(response.actions)
        completed = next((a.completeWorkflow for a in response.actions if a.HasField('completeWorkflow')), None)
        if completed is not None and completed.workflowStatus == pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW:
            name = next(e.executionStarted.name for e in self._whole(turn) if e.HasField('executionStarted'))
            next_run = Run(f'run {self._next()}', [], run.world.next_run(completed.carryoverEvents))
            started = self._started(next_run, name, json.loads(completed.result.value))
            next_run.inbox = [started, *completed.carryoverEvents, *run.inbox]
            self._runs[turn.request.instanceId] = next_run
            return
        batch = committed_batch(turn.request.newEvents, response.version.name, response.version.patches)
        run.committed = [*run.committed, *batch, *(e for a in response.actions for e in committed_events(a))]
        run.turns = (*run.turns, turn.item)
        run.is_over = completed is not None

    @staticmethod
    def _whole(turn: Turn) -> Iterable[pb.HistoryEvent]:
        return [*turn.item.history, *turn.request.newEvents]

    def drop_stream(self, worker: Worker, number: int) -> None:
        """What was sent on it and not answered can be dispatched again."""
        if worker.stream != number:
            return
        for turn in self._open:
            if turn.worker is worker and turn.dispatch.ticket.stream == number:
                run = self._runs[turn.request.instanceId]
                if run.token == turn.item.message.completionToken:
                    run.token = ''
        worker.new_stream()

    # Turns in the workers

    def pause(self) -> None:
        """A place in a turn where something else may happen."""
        turn = self.current
        if turn.steps is not None:
            self._running.pop()
            turn.steps.pause()
            self._running.append(turn)

    def _serve(self, turn: Turn | None, fate: str) -> None:
        if turn is not None:
            turn.fate = fate
            self._running.append(turn)
            try:
                turn.worker.turns.serve(turn.dispatch)
            finally:
                self._running.pop()
                self._open.remove(turn)

    def _serve_in_steps(self, turn: Turn) -> None:
        self._running.append(turn)
        try:
            turn.worker.turns.serve(turn.dispatch)
        finally:
            self._running.pop()

    def _step(self, op: Op) -> None:
        if not self._open:
            return
        turn = self._open[op.number % len(self._open)]
        self._is_fetch_failing = op.fate == 'lost'
        if turn.steps is None:
            turn.fate = op.fate
            turn.steps = Stepped(lambda: self._serve_in_steps(turn))
        for _ in range(op.number + 1):
            if not turn.steps.is_over:
                turn.steps.advance()
        self._is_fetch_failing = False
        if turn.steps.is_over:
            self._open.remove(turn)

    def _finish(self, turn: Turn) -> None:
        if turn.steps is None:
            self._serve(turn, 'arrives')
            return
        while not turn.steps.is_over:
            turn.steps.advance()
        self._open.remove(turn)


def _orchestrator(program: AnyProgram) -> Callable[..., Any]:
    if isinstance(program, async_programs.Program):
        return _async_orchestrator(program)

    def workflow(ctx: Context, run: int) -> Workflow:
        return (yield from perform(ctx, program, run))

    return workflow


def _async_orchestrator(program: async_programs.Program) -> Callable[..., Any]:
    async def workflow(ctx: AsyncWorkflowContext, run: int) -> Any:
        return await async_programs.perform(ctx, program, run)

    return async_orchestrator(workflow)


class Op(NamedTuple):
    """What happens next. `number` says to which instance or turn, and how far that goes."""

    kind: str
    number: int
    worker: int
    moves: list[Move]
    fate: str


KINDS = [
    *['turn'] * 8,
    *['dispatch'] * 2,
    'dispatch again',
    *['step'] * 4,
    'same item again',
    'terminate',
    'drop stream',
    'time passes',
    'purge',
]
ops = st.builds(
    Op,
    st.sampled_from(KINDS),
    st.integers(0, 5),
    st.sampled_from([0, 0, 0, 1]),
    st.lists(moves, max_size=3),
    st.sampled_from(['arrives', 'arrives', 'arrives', 'lost', 'thought lost']),
)
schedules = st.lists(ops, min_size=4, max_size=20)
one_async_program = async_programs.async_programs
setups = st.builds(Setup, st.booleans(), st.booleans(), st.sampled_from([(100, 0), (100, 0), (1, 0), (100, 1)]))


@pytest.mark.timeout(0)  # how long it takes is a matter of how many examples are asked for
@pytest.mark.parametrize('part', parts(PART))
@settings_of(PART)
@given(setup=setups, two_programs=st.tuples(programs, programs), schedule=schedules)
def test_kept_workflows_answer_as_a_replay_does_and_are_used_whenever_they_may_be(
    part: int, setup: Setup, two_programs: tuple[Program, Program], schedule: list[Op]
) -> None:
    hold(setup, two_programs, schedule)


@pytest.mark.timeout(0)
@pytest.mark.parametrize('part', parts(PART))
@settings_of(PART)
@given(setup=setups, two_programs=st.tuples(one_async_program, one_async_program), schedule=schedules)
def test_so_do_kept_async_workflows(
    part: int, setup: Setup, two_programs: tuple[async_programs.Program, async_programs.Program], schedule: list[Op]
) -> None:
    hold(setup, two_programs, schedule)


def hold(setup: Setup, two_programs: Sequence[AnyProgram], schedule: Sequence[Op]) -> None:
    """Does what is scheduled, and holds all that the workers answer against the truth."""
    sidecar = Sidecar(setup, two_programs)
    try:
        for op in schedule:
            sidecar.perform(op)
        sidecar.end()
    finally:
        sidecar.abandon()
