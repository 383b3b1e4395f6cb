"""Random workflows, and a model of the world outside them: what they wait for, and how that may come about.

A `Program` is what a workflow does, as plain data, so that a failing test prints it; `perform` does it. `World` knows
what one run waits for, and makes events: results in any order, failures, external events, suspensions.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
from tests.support.engine import (
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


def perform(ctx: Context, program: Program, run: int) -> Workflow:
    """Does what a program says, in the run of that number (1: the first)."""
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


# What happens to it

# A kind, and a number: of what is waited for, of an event's name, of a failure.
Move = tuple[str, int]

moves = st.tuples(
    st.sampled_from(
        ['succeed', 'succeed', 'fail', 'fail', 'fail', 'raise', 'suspend', 'resume', 'resume', 'repeat', 'stall']
    ),
    st.integers(0, 7),
)


@dataclass
class World:
    """What one run waits for, and what was sent to it.

    Attributes:
        pending: The kinds of the actions that are not resolved, by id.
        resolved: The events that resolved the others.
        raised: The names and payloads of the external events, in order.
        event_count: How many external events there were, in this run and those before.
    """

    pending: dict[int, str] = field(default_factory=dict)
    resolved: list[Event] = field(default_factory=list)
    raised: list[tuple[str, str]] = field(default_factory=list)
    event_count: int = 0

    def next_run(self, carried_over: Iterable[Event]) -> World:
        """The world of the run that this one has continued as."""
        raised = [(event.eventRaised.name, event.eventRaised.input.value) for event in carried_over]
        return World(raised=raised, event_count=self.event_count)

    def take_note(self, actions: Iterable[pb.WorkflowAction]) -> None:
        """Knows from now on what a turn has asked for."""
        for action in actions:
            kind = str(action.WhichOneof('workflowActionType'))
            is_optional = kind == 'createTimer' and action.createTimer.fireAt.seconds == 253402300799
            if kind != 'completeWorkflow' and not is_optional:
                self.pending[action.id] = kind

    def events(self, kind: str, number: int) -> list[Event]:
        """What a move comes to: one event, or none when there is nothing that it could be about."""
        if kind == 'raise':
            self.event_count += 1
            self.raised.append((NAMES[number % len(NAMES)], f'"event {self.event_count}"'))
            return [event_raised(*self.raised[-1])]
        if kind == 'suspend':
            return [suspended()]
        if kind == 'resume':
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
        event = _resolution(self.pending.pop(action_id), action_id, number, kind == 'fail')
        self.resolved.append(event)
        return [event]


def _resolution(kind: str, action_id: int, number: int, is_failing: bool) -> Event:
    if kind == 'createTimer':
        return timer_fired(action_id)
    if is_failing:
        details = FAILURES[number % len(FAILURES)]
        return task_failed(action_id, details) if kind == 'scheduleTask' else child_failed(action_id, details)
    return task_completed(action_id, number) if kind == 'scheduleTask' else child_completed(action_id, number)
