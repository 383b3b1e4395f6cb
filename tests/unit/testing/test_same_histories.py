"""Skipped time is time: what runs by the skipping clock leaves the histories that it leaves in real time.

Each workflow runs twice, in hours that are skipped and in real milliseconds (an hour is 0.1 s here). What goes on at
once differs by half an hour at least, so that a slow machine changes no order.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dapr.ext.workflow import (
    DaprWorkflowContext,
    RetryPolicy,
    TaskFailedError,
    WorkflowActivityContext,
    when_all,
    when_any,
)
from dapr.ext.workflow.testing import WorkflowEnvironment, WorkflowHistory

HOUR = timedelta(hours=1)
REAL = 0.1 / HOUR.total_seconds()

Step = tuple[Any, ...]
Run = Generator[Any, Any, Any]


def same(ctx: WorkflowActivityContext, value: int) -> int:
    return value


def down(ctx: WorkflowActivityContext, value: int) -> int:
    raise ConnectionError('down')


def task_of(ctx: DaprWorkflowContext, step: Step, scale: float) -> Any:
    kind, value = step
    if kind == 'timer':
        return ctx.create_timer(value * HOUR * scale)
    if kind == 'event':
        return ctx.wait_for_external_event('never', timeout=value * HOUR * scale)
    if kind == 'activity':
        return ctx.call_activity(same, input=value)
    if kind == 'retried':  # waits for half an hour, and then for an hour
        policy = RetryPolicy(first_retry_interval=HOUR * scale / 2, max_number_of_attempts=value, backoff_coefficient=2)
        return ctx.call_activity(down, input=value, retry_policy=policy)
    if kind == 'child':
        return ctx.call_child_workflow(performing, input=[scale, value])
    raise ValueError(kind)


def performing(ctx: DaprWorkflowContext, inp: list[Any]) -> Run:
    """Does the steps that it is given, and returns how each has ended."""
    scale, steps = inp
    ends = []
    for kind, value in steps:
        composite = {'any': when_any, 'all': when_all}.get(kind)
        parts = [task_of(ctx, part, scale) for part in (value if composite else [(kind, value)])]
        if composite:
            try:
                yield composite(parts)
            except (TimeoutError, TaskFailedError) as error:
                ends.append(f'first: {type(error).__name__}')
        for part in parts:  # to its end, or two things of different steps could be due at one moment
            try:
                ends.append((yield part))
            except (TimeoutError, TaskFailedError) as error:
                ends.append(type(error).__name__)
    return ends


def histories(env: WorkflowEnvironment, programs: Sequence[Sequence[Step]], scale: float) -> list[list[dict[str, Any]]]:
    """Runs them all at once."""
    env.runtime(workflows=[performing], activities=[same, down]).start()
    started = [
        env.client.schedule_new_workflow(performing, input=[scale, steps], instance_id=f'w-{number}')
        for number, steps in enumerate(programs)
    ]
    for instance_id in started:
        env.client.wait_for_workflow_completion(instance_id)
    return [told(WorkflowHistory.fetch(env.client, instance_id)) for instance_id in started]


def told(history: WorkflowHistory) -> list[dict[str, Any]]:
    """The events, without what differs from run to run: moments and ids that are made up."""
    made_up = ('timestamp', 'fireAt', 'input', 'taskExecutionId', 'executionId', 'workflowInstance', 'instanceId')

    def bare(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: bare(part) for name, part in value.items() if name not in made_up}
        return [bare(part) for part in value] if isinstance(value, list) else value

    return [bare(json_format.MessageToDict(event)) for event in history.events]


def compare(programs: Sequence[Sequence[Step]]) -> None:
    with WorkflowEnvironment.start_time_skipping() as env:
        skipped = histories(env, programs, 1)
    with WorkflowEnvironment.start_local() as env:
        real = histories(env, programs, REAL)
    for program, one, other in zip(programs, skipped, real, strict=True):
        assert one == other, program


timers = st.tuples(st.just('timer'), st.integers(1, 4))
events = st.tuples(st.just('event'), st.integers(1, 4))
calls = st.one_of(
    st.tuples(st.just('activity'), st.integers(0, 9)),
    st.tuples(st.just('retried'), st.integers(1, 3)),
)
"""At most one call is under way at once, since two may end in any order."""


@st.composite
def composites(draw: st.DrawFn) -> Step:
    hours = draw(st.lists(st.integers(2, 5), unique=True, min_size=1, max_size=3))
    parts = [(draw(st.sampled_from(('timer', 'event'))), number) for number in hours]
    return draw(st.sampled_from(('any', 'all'))), [*parts, *draw(st.lists(calls, max_size=1))]


steps = st.lists(st.one_of(timers, events, calls, composites()), min_size=1, max_size=3)
children = st.tuples(st.just('child'), steps)
programs = st.lists(st.one_of(timers, events, calls, composites(), children), min_size=1, max_size=3)


@settings(max_examples=4, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(programs, min_size=5, max_size=10))
def test_random_workflows_leave_the_same_history(programs: list[list[Step]]) -> None:
    compare(programs)


REMINDERS = [
    ('any', [('event', 5), ('timer', 1)]),
    ('any', [('timer', 2), ('event', 1)]),
    ('retried', 3),
    ('child', [('all', [('timer', 1), ('timer', 2), ('activity', 1)]), ('retried', 2)]),
    ('timer', 1),
]


@pytest.mark.parametrize('step', REMINDERS, ids=str)
def test_what_waits_leaves_the_same_history(step: Step) -> None:
    compare([[step, step]])
