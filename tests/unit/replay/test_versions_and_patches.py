"""Which version of a workflow runs, and which side of a patch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from tests.support.engine import (
    Driver,
    Event,
    completion,
    event_raised,
    execution_started,
    failure_of,
    kinds,
    output,
    task_completed,
    task_scheduled,
    terminated,
    workflow_started,
)
from tests.support.scenarios import Workflow


def _version(name: str) -> Callable[..., Any]:
    def order(ctx: Context, _: None) -> Workflow:
        return [name, (yield ctx.call_activity(name))]

    return order


def _versioned(*names: str, latest: str | None = None) -> Driver:
    registry = _Registry()
    for name in names:
        registry.add_orchestrator(_version(name), version_name=name, is_latest=name == latest)
    return Driver(_version(''), registry=registry)


def test_a_new_instance_runs_the_latest_version_and_says_so() -> None:
    driver = _versioned('v1', 'v2', 'v3', latest='v2')
    started = driver.start()
    assert started.version_name == 'v2'
    assert started.actions[0].scheduleTask.name == 'v2'
    ended = driver.turn(task_completed(1, 'x'))
    assert ended.version_name == 'v2'
    assert output(ended) == ['v2', 'x']


def test_a_running_instance_stays_with_its_version() -> None:
    driver = _versioned('v1', 'v2', latest='v2')
    driver.committed = [workflow_started(version='v1'), execution_started('order'), task_scheduled(1, 'v1')]
    ended = driver.turn(task_completed(1, 'x'))
    assert ended.version_name == 'v1'
    assert output(ended) == ['v1', 'x']


def test_a_version_that_is_not_registered_asks_for_another_worker() -> None:
    driver = _versioned('v1', 'v2', latest='v2')
    driver.committed = [workflow_started(version='v9'), execution_started('order'), task_scheduled(1, 'v9')]
    for _turn in range(2):  # it stays so: whoever has the version may come by at any time
        results = driver.turn(task_completed(1, 'x'), event_raised('go', '1'))
        assert kinds(results) == [(1, 'workflowVersionNotAvailable')]


def test_an_instance_whose_version_is_missing_can_be_terminated() -> None:
    driver = _versioned('v1', latest='v1')
    driver.committed = [workflow_started(version='v9'), execution_started('order')]
    assert completion(driver.turn(terminated('1'))).workflowStatus == pb.ORCHESTRATION_STATUS_TERMINATED


def test_versions_without_a_latest_one_are_as_good_as_unregistered() -> None:
    details = failure_of(_versioned('v1', 'v2').start())
    assert details.errorType == 'OrchestratorNotRegisteredError'
    assert "'order'" in details.errorMessage


def test_a_workflow_without_versions_names_none() -> None:
    registry = _Registry()
    registry.add_orchestrator(_version('plain'))
    registry.add_orchestrator(_version('v1'), version_name='v1', is_latest=True)
    started = Driver(_version(''), registry=registry).start()
    assert started.version_name is None
    assert started.actions[0].scheduleTask.name == 'plain'


def test_the_last_one_registered_as_latest_is_the_latest() -> None:
    registry = _Registry()
    for name in ('v1', 'v2'):
        registry.add_orchestrator(_version(name), version_name=name, is_latest=True)
    assert Driver(_version(''), registry=registry).start().version_name == 'v2'


def _patched(ctx: Context, _: None) -> Workflow:
    yield ctx.call_activity('before')
    yield ctx.call_activity('new' if ctx.is_patched('p') else 'old')
    return ctx.is_patched('p')


def test_a_patch_that_is_met_for_the_first_time_is_on_and_goes_out() -> None:
    driver = Driver(_patched)
    assert driver.start().patches == []
    results = driver.turn(task_completed(1))
    assert results.actions[0].scheduleTask.name == 'new'
    assert results.patches == ['p']
    assert driver.turn().patches == ['p']  # with each later answer too
    ended = driver.turn(task_completed(2))
    assert output(ended) is True
    assert set(ended.patches or []) == {'p'}


def _patched_driver(*events: Event) -> Driver:
    driver = Driver(_patched)
    driver.committed = [workflow_started(), execution_started('_patched'), task_scheduled(1, 'before'), *events]
    return driver


def test_a_history_that_passed_by_before_the_patch_stays_on_the_old_side() -> None:
    driver = _patched_driver(workflow_started(), task_completed(1), task_scheduled(2, 'old'))
    ended = driver.turn(task_completed(2))
    assert output(ended) is False  # also where it is asked anew, and no longer in replay
    assert ended.patches == []


def test_a_history_that_recorded_the_patch_stays_on_the_new_side() -> None:
    driver = _patched_driver(workflow_started(patches=['p']), task_completed(1), task_scheduled(2, 'new'))
    assert output(driver.turn(task_completed(2))) is True


def test_a_history_that_stands_before_the_patch_goes_to_the_new_side() -> None:
    assert _patched_driver().turn(task_completed(1)).actions[0].scheduleTask.name == 'new'


def test_each_patch_is_answered_for_itself() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        first = [ctx.is_patched('recorded'), ctx.is_patched('not recorded')]
        yield ctx.call_activity('a')
        return [*first, ctx.is_patched('recorded'), ctx.is_patched('not recorded'), ctx.is_patched('new')]

    driver = Driver(workflow)
    driver.committed = [
        workflow_started(patches=['recorded', 'of another time']),
        execution_started('workflow'),
        task_scheduled(1, 'a'),
    ]
    ended = driver.turn(task_completed(1))
    assert output(ended) == [True, False, True, False, True]
    assert set(ended.patches or []) == {'recorded', 'new'}


def test_patches_of_every_turn_are_remembered_together() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        answers = []
        for name in 'abc':
            answers.append(ctx.is_patched(name))
            yield ctx.call_activity(name)
        return answers

    driver = Driver(workflow)
    assert driver.start().patches == ['a']
    assert driver.turn(task_completed(1)).patches == ['a', 'b']
    assert driver.turn(task_completed(2)).patches == ['a', 'b', 'c']
    assert output(driver.turn(task_completed(3))) == [True, True, True]


def test_a_patch_at_a_start_with_several_started_events_is_recorded_on_the_first() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        return (yield ctx.call_activity('new' if ctx.is_patched('p') else 'old'))

    driver = Driver(workflow)
    driver.batch(workflow_started(), driver._started, workflow_started())
    assert output(driver.turn(task_completed(1, 'x'))) == 'x'


def test_an_older_version_name_is_not_taken_for_a_patch() -> None:
    driver = Driver(_patched)
    driver.committed = [
        workflow_started(version='p'),
        execution_started('_patched'),
        task_scheduled(1, 'before'),
        workflow_started(),
        task_completed(1),
        task_scheduled(2, 'old'),
    ]
    assert output(driver.turn(task_completed(2))) is False


def test_the_wrong_side_of_a_patch_is_a_mismatch() -> None:
    driver = _patched_driver(workflow_started(), task_completed(1), task_scheduled(2, 'new'))
    assert failure_of(driver.turn()).errorType == 'NonDeterminismError'
