"""`is_replaying` is True for code that has run before, and False for what is new."""

from __future__ import annotations

import logging

from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
from dapr.ext.workflow._durabletask.replay.executor import _OrchestrationExecutor
from dapr.ext.workflow._durabletask.replay.instance import WorkflowInstance
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from tests.support.engine import (
    execution_started,
    resumed,
    suspended,
    task_completed,
    task_scheduled,
    workflow_started,
)
from tests.support.scenarios import Workflow

START = [workflow_started(), execution_started('steps')]
FIRST = [task_scheduled(1, 'a')]
SECOND = [workflow_started(), task_completed(1)]
THIRD = [workflow_started(), task_completed(2)]


def _recording() -> tuple[_Registry, list[tuple[str, bool]]]:
    seen: list[tuple[str, bool]] = []

    def steps(ctx: Context, _: None) -> Workflow:
        for name in 'abc':
            seen.append((name, ctx.is_replaying))
            yield ctx.call_activity(name)

    registry = _Registry()
    registry.add_orchestrator(steps)
    return registry, seen


def test_a_whole_replay_is_one_up_to_the_new_events() -> None:
    registry, seen = _recording()
    executor = _OrchestrationExecutor(registry, logging.getLogger('tests'))
    executor.execute('abc', [], START)
    assert seen == [('a', False)]
    seen.clear()
    executor.execute('abc', [*START, *FIRST], SECOND)
    assert seen == [('a', True), ('b', False)]
    seen.clear()
    executor.execute('abc', [*START, *FIRST, *SECOND, task_scheduled(2, 'b')], THIRD)
    assert seen == [('a', True), ('b', True), ('c', False)]


def test_a_kept_workflow_runs_each_step_once_and_new() -> None:
    registry, seen = _recording()
    instance = WorkflowInstance(registry, 'abc')
    instance.run(START)
    instance.replay(FIRST)
    instance.run(SECOND)
    instance.replay([task_scheduled(2, 'b')])
    instance.run(THIRD)
    assert seen == [('a', False), ('b', False), ('c', False)]


def test_a_kept_workflow_replays_the_turns_that_it_has_missed() -> None:
    registry, seen = _recording()
    instance = WorkflowInstance(registry, 'abc')
    instance.run(START)
    instance.replay([*FIRST, *SECOND, task_scheduled(2, 'b')])  # another worker had the second turn
    instance.run(THIRD)
    assert seen == [('a', False), ('b', True), ('c', False)]


def test_events_held_back_in_history_are_new_when_they_are_taken_up() -> None:
    registry, seen = _recording()
    executor = _OrchestrationExecutor(registry, logging.getLogger('tests'))
    executor.execute('abc', [*START, *FIRST, workflow_started(), suspended(), *SECOND], [workflow_started(), resumed()])
    assert seen == [('a', True), ('b', False)]


def test_a_replay_in_pieces_is_one_replay() -> None:
    registry, seen = _recording()
    instance = WorkflowInstance(registry, 'abc')
    for event in [*START, *FIRST, *SECOND]:
        instance.replay([event])
    instance.run([workflow_started()])
    assert seen == [('a', True), ('b', True)]
