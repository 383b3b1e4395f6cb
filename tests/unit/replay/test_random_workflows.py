"""Random workflows under random sidecars: a whole replay and a kept instance answer alike, and every run ends.

`Driver` compares the two engines at each turn. A small model of a sidecar knows what is pending, resolves it in any
order, raises events, suspends, resumes and terminates; at the end it lets everything through, and the run must end.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
from dapr.ext.workflow._durabletask.replay.instance import ExecutionResults
from tests.support.engine import (
    Driver,
    Event,
    child_completed,
    child_failed,
    event_raised,
    failure,
    resumed,
    suspended,
    task_completed,
    task_failed,
    terminated,
    timer_fired,
)
from tests.support.scenarios import Workflow

NAMES = ('x', 'X', 'y')
RUNS = 3
POLICY = task.RetryPolicy(
    first_retry_interval=timedelta(seconds=2),
    max_number_of_attempts=3,
    backoff_coefficient=2,
    non_retryable_error_types=[KeyError],
)
FAILURES = (
    *[failure()] * 5,
    failure(error_type='KeyError'),
    failure(error_type='NonRetryableError'),
    failure(final=True),
)
STALLED = Event(executionStalled=pb.ExecutionStalledEvent())

# What a workflow is made of


@dataclass(frozen=True)
class Leaf:
    kind: str
    name: str
    is_retried: bool


@dataclass(frozen=True)
class Composite:
    is_race: bool
    children: tuple[Leaf | Composite, ...]


@dataclass(frozen=True)
class Step:
    """Waits for a task now (`caught` or not) or at the end (`later`); or does something that takes no waiting."""

    how: str
    what: Leaf | Composite


@dataclass(frozen=True)
class Program:
    steps: tuple[Step, ...]
    ending: str


leaves = st.builds(
    Leaf,
    st.sampled_from(['activity', 'activity', 'child', 'timer', 'event', 'limited event', 'event at once']),
    st.sampled_from(NAMES),
    st.sampled_from([True, True, False]),
)
tasks = st.recursive(
    leaves,
    lambda inner: st.builds(Composite, st.booleans(), st.lists(inner, max_size=3).map(tuple)),
    max_leaves=5,
)
steps = st.builds(Step, st.sampled_from(['caught', 'caught', 'raised', 'later', 'patch', 'draw', 'status']), tasks)
programs = st.builds(
    Program,
    st.lists(steps, min_size=2, max_size=8).map(tuple),
    st.sampled_from(['return', 'return', 'raise', 'continue', 'continue with events']),
)


class OnPurposeError(Exception):
    pass


def _task(ctx: Context, what: Leaf | Composite) -> task.Task[Any]:
    if isinstance(what, Composite):
        children = [_task(ctx, child) for child in what.children]
        return task.when_any(children) if what.is_race else task.when_all(children)
    policy = POLICY if what.is_retried else None
    if what.kind == 'activity':
        return ctx.call_activity(what.name, input=0, retry_policy=policy)
    if what.kind == 'child':
        return ctx.call_sub_orchestrator(what.name, retry_policy=policy)
    if what.kind == 'timer':
        return ctx.create_timer(timedelta(seconds=3))
    timeout = {'event': None, 'limited event': timedelta(seconds=5), 'event at once': timedelta(0)}[what.kind]
    return ctx.wait_for_external_event(what.name, timeout=timeout)


def _plain(value: Any) -> Any:
    if isinstance(value, task.Task):
        return 'failed' if value.is_failed else _plain(value.get_result())
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _caught(waited: task.Task[Any]) -> Generator[task.Task[Any], Any, Any]:
    try:
        return _plain((yield waited))
    except (task.TaskFailedError, TimeoutError) as error:
        return f'{type(error).__name__}: {error}'


def _perform(ctx: Context, program: Program, run: int) -> Workflow:
    log: list[Any] = []
    later: list[task.Task[Any]] = []
    for number, step in enumerate(program.steps):
        if step.how == 'patch':
            log.append((yield ctx.call_activity('new' if ctx.is_patched(f'p{number % 2}') else 'old')))
        elif step.how == 'draw':
            log += [str(ctx.new_guid()), ctx.random_int(), ctx.now_with_sequence().isoformat()]
        elif step.how == 'status':
            ctx.set_custom_status(f'{number} of run {run}')
        elif step.how == 'later':
            later.append(_task(ctx, step.what))
        elif step.how == 'caught':
            log.append((yield from _caught(_task(ctx, step.what))))
        else:
            log.append(_plain((yield _task(ctx, step.what))))
    for waited in later:
        log.append((yield from _caught(waited)))
    if program.ending == 'raise':
        raise OnPurposeError(json.dumps(log))
    if program.ending != 'return' and run < RUNS:
        ctx.continue_as_new(run + 1, save_events=program.ending == 'continue with events')
        yield ctx.wait_for_external_event('x')
    return log


# What happens to it


@dataclass
class Sidecar:
    """Drives one instance over all its runs, and holds the answers against what it knows."""

    program: Program
    run: int = 0
    highest_id: int = 0
    is_suspended: bool = False
    is_ended: bool = False
    event_count: int = 0
    pending: dict[int, str] = field(default_factory=dict)
    resolved: list[Event] = field(default_factory=list)
    raised: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._begin('1', [])

    def _begin(self, encoded_input: str, carried_over: list[Event]) -> None:
        def workflow(ctx: Context, run: int) -> Workflow:
            return (yield from _perform(ctx, self.program, run))

        self.run += 1
        assert self.run <= RUNS
        self.highest_id = 0
        self.is_suspended = False
        self.pending, self.resolved = {}, []
        self.raised = [(event.eventRaised.name, event.eventRaised.input.value) for event in carried_over]
        self.driver = Driver(workflow, encoded_input)
        self._check(self.driver.start(*carried_over), is_terminated=False)

    def forget(self) -> None:
        """The worker throws its running instance away."""
        running, self.driver._running, self.driver._stands_at = self.driver._running, None, 0
        if running is not None:
            assert running.close() is None

    def turn(self, moves: list[tuple[str, int]]) -> None:
        events = [event for kind, number in moves for event in self._events(kind, number)]
        is_terminated = any(event.HasField('executionTerminated') for event in events)
        self._check(self.driver.turn(*events), is_terminated)

    def let_through(self) -> None:
        """Everything that the run could wait for comes at once."""
        ids = list(range(len(self.pending)))
        self.turn([('resume', 0), *(('succeed', 0) for _ in ids), *(('raise', number) for number in (0, 2))])

    def _events(self, kind: str, number: int) -> list[Event]:
        if kind == 'raise':
            name = NAMES[number % len(NAMES)]
            self.event_count += 1
            self.raised.append((name, f'"event {self.event_count}"'))
            return [event_raised(*self.raised[-1])]
        if kind == 'suspend':
            self.is_suspended = True
            return [suspended()]
        if kind == 'resume':
            self.is_suspended = False
            return [resumed()]
        if kind == 'terminate':
            return [terminated('"stop"')]
        if kind == 'stall':
            return [STALLED]
        if kind == 'repeat':
            return self.resolved[number : number + 1]
        if not self.pending:
            return []
        action_id = list(self.pending)[number % len(self.pending)]
        event = self._resolution(self.pending.pop(action_id), action_id, number, kind == 'fail')
        self.resolved.append(event)
        return [event]

    @staticmethod
    def _resolution(kind: str, action_id: int, number: int, is_failing: bool) -> Event:
        if kind == 'createTimer':
            return timer_fired(action_id)
        if is_failing:
            details = FAILURES[number % len(FAILURES)]
            return task_failed(action_id, details) if kind == 'scheduleTask' else child_failed(action_id, details)
        return task_completed(action_id, number) if kind == 'scheduleTask' else child_completed(action_id, number)

    def _check(self, results: ExecutionResults, is_terminated: bool) -> None:
        completed = None
        for action in results.actions:
            assert action.id > self.highest_id
            self.highest_id = action.id
            kind = action.WhichOneof('workflowActionType')
            if kind == 'completeWorkflow':
                completed = action.completeWorkflow
            elif kind != 'createTimer' or action.createTimer.fireAt.seconds != 253402300799:
                self.pending[action.id] = str(kind)
        if completed is None:
            assert not is_terminated
            assert not (self.is_suspended and results.actions)
            return
        assert len(results.actions) == 1
        if completed.workflowStatus == pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW:
            assert not is_terminated
            self._check_carried_over(list(completed.carryoverEvents))
            self._begin(completed.result.value, list(completed.carryoverEvents))
            return
        self.is_ended = True
        if completed.workflowStatus == pb.ORCHESTRATION_STATUS_FAILED:
            error = completed.failureDetails
            assert error.errorType in ('OnPurposeError', 'TaskFailedError', 'TimeoutError'), error
            if error.errorType == 'OnPurposeError':
                self._check_delivered(error.errorMessage)
        elif completed.workflowStatus == pb.ORCHESTRATION_STATUS_TERMINATED:
            assert is_terminated
        else:
            assert completed.workflowStatus == pb.ORCHESTRATION_STATUS_COMPLETED
            self._check_delivered(completed.result.value)

    def _check_delivered(self, log: str) -> None:
        delivered = re.findall(r'"event \d+"', log)
        assert len(delivered) == len(set(delivered))
        assert set(delivered) <= {payload for _name, payload in self.raised}

    def _check_carried_over(self, events: list[Event]) -> None:
        if self.program.ending != 'continue with events':
            assert not events
        remaining = iter(self.raised)
        for event in events:
            assert (event.eventRaised.name, event.eventRaised.input.value) in remaining  # in the order of arrival


move = st.tuples(
    st.sampled_from(
        ['succeed', 'succeed', 'fail', 'fail', 'fail', 'raise', 'suspend', 'resume', 'resume', 'repeat', 'stall']
    ),
    st.integers(0, 7),
)
turns = st.tuples(st.booleans(), st.lists(move, min_size=1, max_size=4))


@settings(max_examples=200, derandomize=True)
@given(programs, st.lists(turns, min_size=2, max_size=12), st.sampled_from([None, None, None, 1, 5]))
def test_random_workflows_under_random_sidecars(
    program: Program, schedule: list[tuple[bool, list[tuple[str, int]]]], terminate_at: int | None
) -> None:
    sidecar = Sidecar(program)
    for number, (is_forgotten, moves) in enumerate(schedule):
        if sidecar.is_ended:
            return
        if is_forgotten:
            sidecar.forget()
        sidecar.turn([*moves, ('terminate', 0)] if number == terminate_at else moves)
    for _turn in range(100):
        if sidecar.is_ended:
            return
        sidecar.let_through()
    raise AssertionError('the run does not end')
