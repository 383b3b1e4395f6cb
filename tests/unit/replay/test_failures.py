"""An unhandled error fails the workflow as what it is; a yield must be a task, an orchestrator a generator function."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
from dapr.ext.workflow._durabletask.replay.executor import _OrchestrationExecutor
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from dapr.ext.workflow._durabletask.task import TaskFailedError, when_all
from tests.support.engine import (
    LOGGER,
    Driver,
    child_failed,
    event_raised,
    execution_started,
    failure,
    failure_of,
    kinds,
    output,
    task_completed,
    task_failed,
    timer_fired,
    workflow_started,
)
from tests.support.scenarios import Workflow


class OwnError(Exception):
    pass


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError('no words')


class Aborted(BaseException):
    pass


@pytest.mark.parametrize(
    ('error', 'error_type', 'message'),
    [
        (OwnError('on purpose'), 'OwnError', 'on purpose'),
        (OwnError(), 'OwnError', ''),
        (KeyError('x'), 'KeyError', "'x'"),
        (Aborted('now'), 'Aborted', 'now'),
        (SystemExit(3), 'SystemExit', '3'),
        (OwnError('lone \ud800'), 'OwnError', 'lone ?'),
        (StopIteration('x'), 'RuntimeError', 'generator raised StopIteration'),
        (GeneratorExit('x'), 'GeneratorExit', 'x'),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else '',
)
@pytest.mark.parametrize('is_first_turn', [False, True])
def test_the_error_goes_out_with_its_own_type_message_and_trace(
    error: BaseException, error_type: str, message: str, is_first_turn: bool
) -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        if not is_first_turn:
            yield ctx.call_activity('a')
        raise error  # the line that a reader of the trace looks for

    driver = Driver(workflow)
    ended = driver.start()
    if not is_first_turn:
        ended = driver.turn(task_completed(1))
    assert kinds(ended) == [(1 if is_first_turn else 2, 'completeWorkflow')]
    details = failure_of(ended)
    assert (details.errorType, details.errorMessage) == (error_type, message)
    # Also of a StopIteration, which Python itself makes the cause of another error.
    assert 'the line that a reader of the trace looks for' in details.stackTrace.value
    assert __file__ in details.stackTrace.value
    assert not details.isNonRetriable
    assert not ended.actions[0].completeWorkflow.HasField('result')


def test_an_error_whose_message_cannot_be_printed_still_goes_out() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        raise Unprintable
        yield

    assert failure_of(Driver(workflow).start()).errorType == 'Unprintable'


def test_a_plain_functions_error_fails_the_workflow_too() -> None:
    def workflow(ctx: Context, _: None) -> None:
        raise StopIteration('from a plain function')

    details = failure_of(Driver(workflow).start())
    assert (details.errorType, details.errorMessage) == ('StopIteration', 'from a plain function')
    assert __file__ in details.stackTrace.value


def test_a_tasks_failure_is_raised_at_its_yield_and_can_be_caught() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        caught = []
        for call in (ctx.call_activity, ctx.call_sub_orchestrator):
            try:
                yield call('flaky')
            except TaskFailedError as error:
                details = error.details
                caught.append([str(error), details.error_type, details.message, details.stack_trace])
        return caught

    traced = failure('first', 'KeyError')
    traced.stackTrace.value = 'where it was'
    driver = Driver(workflow)
    driver.start()
    driver.turn(task_failed(1, traced))
    assert TaskFailedError('', pb.TaskFailureDetails(stackTrace=StringValue(value=''))).details.stack_trace is None
    assert output(driver.turn(child_failed(2, failure('second', 'OSError')))) == [
        ["abc: Activity task #1 failed: first (KeyError in the activity 'flaky')", 'KeyError', 'first', 'where it was'],
        ["Sub-orchestration task #2 failed: second (OSError in the workflow 'flaky')", 'OSError', 'second', None],
    ]


def test_an_uncaught_failure_of_a_task_fails_the_workflow() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield when_all([ctx.call_activity('a'), ctx.create_timer(timedelta(seconds=1))])

    driver = Driver(workflow)
    driver.start()
    driver.turn(task_failed(1))
    details = failure_of(driver.turn(timer_fired(2)))
    assert (details.errorType, details.errorMessage) == ('TaskFailedError', 'abc: Activity task #1 failed: boom')
    assert details.innerFailure.stackTrace.value == "In the activity 'a':\n"
    details.innerFailure.ClearField('stackTrace')
    assert details.innerFailure == failure()


def test_a_task_can_be_yielded_again_with_the_same_outcome() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        good, bad = ctx.call_activity('a'), ctx.call_activity('b')
        results = [(yield good), (yield good)]
        for _time in range(2):
            try:
                yield bad
            except TaskFailedError as error:
                results.append(error.details.message)
        return results

    driver = Driver(workflow)
    driver.start()
    assert output(driver.turn(task_failed(2), task_completed(1, 'x'))) == ['x', 'x', 'boom', 'boom']


def test_events_after_the_failure_change_nothing() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.call_activity('a')
        raise OwnError('on purpose')

    driver = Driver(workflow)
    driver.start()
    ended = driver.turn(task_completed(1), event_raised('go', 'no JSON'), timer_fired(1), task_completed(2))
    assert failure_of(ended).errorType == 'OwnError'


NO_TASKS = [5, None, 'text', [], object(), (1, 2), TaskFailedError]


@pytest.mark.parametrize('value', NO_TASKS, ids=lambda value: type(value).__name__)
def test_a_yield_of_what_is_no_task_fails_and_says_what_it_was(value: Any) -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.call_activity('a')
        yield value

    driver = Driver(workflow)
    driver.start()
    details = failure_of(driver.turn(task_completed(1)))
    assert details.errorType == 'TypeError'
    assert repr(value) in details.errorMessage
    assert type(value).__name__ in details.errorMessage
    assert __file__ in details.stackTrace.value


def test_a_list_of_tasks_is_no_task() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield [ctx.call_activity('a')]  # type: ignore[misc]

    registry = _Registry()
    registry.add_orchestrator(workflow)
    executor = _OrchestrationExecutor(registry, LOGGER)  # no Driver: where the tasks lie in memory is in the message
    details = failure_of(executor.execute('abc', [], [workflow_started(), execution_started('workflow')]))
    assert details.errorType == 'TypeError'
    assert 'list' in details.errorMessage
    assert 'when_all' in details.errorMessage


def test_a_wrong_yield_can_be_caught_and_the_workflow_goes_on() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        caught = 0
        for value in NO_TASKS:
            try:
                yield value  # type: ignore[misc]
            except TypeError:
                caught += 1
        return [caught, (yield ctx.call_activity('a'))]

    driver = Driver(workflow)
    driver.start()
    assert output(driver.turn(task_completed(1, 'x'))) == [len(NO_TASKS), 'x']


def test_a_workflow_that_continues_as_new_after_a_wrong_yield_has_ended() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        stale = ctx.wait_for_external_event('go')
        try:
            yield 5  # type: ignore[misc]
        except TypeError:
            ctx.continue_as_new(None, save_events=True)
        yield stale

    (action,) = Driver(workflow).start(event_raised('go', '1')).actions
    assert action.completeWorkflow.workflowStatus == pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW
    assert [event.eventRaised.name for event in action.completeWorkflow.carryoverEvents] == ['go']


def test_an_unregistered_workflow_fails_by_name() -> None:
    def missing(ctx: Context, _: None) -> None: ...

    ended = Driver(missing, registry=_Registry()).start(event_raised('go'))
    assert kinds(ended) == [(1, 'completeWorkflow')]
    details = failure_of(ended)
    assert details.errorType == 'OrchestratorNotRegisteredError'
    assert "'missing'" in details.errorMessage


async def _coroutine(ctx: Context, _: None) -> str:
    return 'never'


async def _asynchronous_generator(ctx: Context, _: None) -> Any:
    yield ctx.call_activity('never')


@pytest.mark.parametrize('workflow', [_coroutine, _asynchronous_generator])
def test_what_turns_out_to_be_async_only_when_it_is_called_fails_and_is_told_what_to_do(
    workflow: Callable[..., Any],
) -> None:
    details = failure_of(Driver(workflow).start())
    assert details.errorType == 'TypeError'
    assert f"'{workflow.__name__}'" in details.errorMessage
    assert 'async' in details.errorMessage
    assert 'add_async_orchestrator' in details.errorMessage


def test_an_orchestrator_that_takes_no_input_fails_as_a_call_of_it_would() -> None:
    def workflow(ctx: Context) -> None: ...

    assert failure_of(Driver(workflow).start()).errorType == 'TypeError'


@pytest.mark.parametrize('times', [2000])
def test_many_steps_in_one_turn_take_no_stack(times: int) -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        for _number in range(times):
            yield ctx.wait_for_external_event('go')
        return 'done'

    assert output(Driver(workflow).start(*[event_raised('go')] * times)) == 'done'
