"""A running workflow that is thrown away is closed: its `finally` blocks run, and nothing they do has an effect."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
from dapr.ext.workflow._durabletask.replay.executor import _OrchestrationExecutor
from dapr.ext.workflow._durabletask.replay.instance import ExecutionResults, WorkflowInstance
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from tests.support.engine import (
    Driver,
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

LOGGER = logging.getLogger('tests.closing')


def _acts_on_all(ctx: Context) -> None:
    ctx.call_activity('cleanup')
    ctx.create_timer(timedelta(seconds=1))
    ctx.call_sub_orchestrator('cleanup')
    ctx.wait_for_external_event('cleanup')
    ctx.set_custom_status('closed')
    ctx.is_patched('closed')
    ctx.continue_as_new('closed')


def _registry(workflow: Callable[..., Any]) -> _Registry:
    registry = _Registry()
    registry.add_orchestrator(workflow)
    return registry


def _execute(workflow: Callable[..., Any]) -> ExecutionResults:
    executor = _OrchestrationExecutor(_registry(workflow), LOGGER)
    return executor.execute('abc', [], [workflow_started(), execution_started(workflow.__name__)])


def _running(workflow: Callable[..., Any]) -> tuple[WorkflowInstance, ExecutionResults]:
    instance = WorkflowInstance(_registry(workflow), 'abc')
    return instance, instance.run([workflow_started(), execution_started(workflow.__name__)])


def test_what_a_finally_block_asks_for_on_closing_goes_nowhere() -> None:
    closed = []

    def workflow(ctx: Context, _: None) -> Workflow:
        ctx.set_custom_status('running')
        try:
            yield ctx.call_activity('a')
        finally:
            _acts_on_all(ctx)
            closed.append(ctx.is_replaying)

    for number, results in enumerate((_execute(workflow), _execute(workflow)), 1):
        assert kinds(results) == [(1, 'scheduleTask')]
        assert (results.encoded_custom_status, results.patches) == ('running', [])
        assert len(closed) >= number
    assert closed == [True, True]


def test_a_running_workflow_is_closed_once_and_not_between_turns() -> None:
    closed = []

    def workflow(ctx: Context, _: None) -> Workflow:
        try:
            yield ctx.call_activity('a')
            yield ctx.call_activity('b')
        finally:
            closed.append(ctx.is_replaying)

    instance, _results = _running(workflow)
    instance.replay([task_scheduled(1, 'a')])
    instance.run([workflow_started(), task_completed(1)])
    gc.collect()
    assert closed == []
    assert instance.close() is None
    assert closed == [True]
    assert instance.close() is None
    assert closed == [True]


def test_a_run_that_ends_by_itself_runs_its_finally_blocks_with_effect() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        try:
            yield ctx.call_activity('a')
        finally:
            ctx.set_custom_status('cleaned up')
            yield ctx.call_activity('cleanup')

    driver = Driver(workflow)
    driver.start()
    results = driver.turn(task_completed(1))
    assert kinds(results) == [(2, 'scheduleTask')]
    assert results.encoded_custom_status == 'cleaned up'
    assert output(driver.turn(task_completed(2))) is None


def test_a_terminated_workflow_is_closed_without_effect() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        try:
            yield ctx.call_activity('a')
        finally:
            _acts_on_all(ctx)

    driver = Driver(workflow)
    driver.start()
    results = driver.turn(terminated('"stop"'))
    assert kinds(results) == [(2, 'completeWorkflow')]
    assert results.encoded_custom_status is None


def _yields_on_closing(ctx: Context, _: None) -> Workflow:
    try:
        yield ctx.call_activity('a')
    finally:
        yield ctx.call_activity('cleanup')


def _yields_again_and_again_on_closing(ctx: Context, _: None) -> Workflow:
    # What is left suspended would be closed by the garbage collector, whose complaint fails the test.
    try:
        yield ctx.call_activity('a')
    finally:
        try:
            yield ctx.call_activity('cleanup')
        finally:
            yield ctx.call_activity('cleanup of the cleanup')


def _raises_on_closing(ctx: Context, _: None) -> Workflow:
    try:
        yield ctx.call_activity('a')
    except GeneratorExit as error:
        raise KeyError('on closing') from error


def _aborts_on_closing(ctx: Context, _: None) -> Workflow:
    try:
        yield ctx.call_activity('a')
    finally:
        raise SystemExit(1)


@pytest.mark.parametrize(
    ('workflow', 'error'),
    [
        (_yields_on_closing, 'RuntimeError'),
        (_yields_again_and_again_on_closing, 'RuntimeError'),
        (_raises_on_closing, 'KeyError'),
        (_aborts_on_closing, 'SystemExit'),
    ],
)
def test_trouble_on_closing_is_told_and_not_raised(
    workflow: Callable[..., Any], error: str, caplog: pytest.LogCaptureFixture
) -> None:
    instance, _results = _running(workflow)
    assert type(instance.close()).__name__ == error
    with caplog.at_level(logging.WARNING, LOGGER.name):
        assert kinds(_execute(workflow)) == [(1, 'scheduleTask')]
    (record,) = caplog.records
    assert 'abc' in record.getMessage()
    assert error in record.getMessage()


def test_closing_quietly_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.call_activity('a')

    _execute(workflow)
    assert caplog.records == []


def test_what_never_ran_can_be_closed() -> None:
    assert WorkflowInstance(_Registry(), 'abc').close() is None

    def plain(ctx: Context, _: None) -> int:
        return 1

    instance, _results = _running(plain)
    assert instance.close() is None


def test_what_was_closed_runs_no_further() -> None:
    instance, _results = _running(_yields_on_closing)
    instance.close()
    instance.replay([task_scheduled(1, 'a')])
    assert kinds(instance.run([workflow_started(), task_completed(1), task_completed(2)])) == [(2, 'scheduleTask')]
    assert not instance.is_ended


@pytest.mark.parametrize('is_failing', [False, True])
def test_an_ended_run_says_so(is_failing: bool) -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.call_activity('a')
        if is_failing:
            raise RuntimeError('on purpose')

    instance, _results = _running(workflow)
    assert not instance.is_ended
    instance.replay([task_scheduled(1, 'a')])
    results = instance.run([workflow_started(), task_completed(1)])
    assert instance.is_ended
    if is_failing:
        assert failure_of(results).errorType == 'RuntimeError'
    assert instance.close() is None
