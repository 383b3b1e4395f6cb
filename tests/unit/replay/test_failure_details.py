"""What is kept of an error on its way to the workflow that waits for it, and to the client."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from dapr.ext.workflow import FailureDetails, NonRetryableError, TaskFailedError
from dapr.ext.workflow._durabletask.clients.state import OrchestrationFailedError, new_orchestration_state
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.internal.failure_details import new_failure_details, type_names
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
from dapr.ext.workflow._durabletask.retry import RetryPolicy
from tests.support.engine import Driver, child_failed, failure_of, output, task_failed, timer_fired
from tests.support.scenarios import Workflow


def raised(function: Callable[[], Any]) -> BaseException:
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError('nothing was raised')


def with_cause() -> None:
    try:
        raise KeyError('deep cause')
    except KeyError as error:
        raise ValueError('outer') from error


def with_context() -> None:
    try:
        raise KeyError('deep cause')
    except KeyError:
        raise ValueError('outer')  # noqa: B904


def with_nothing() -> None:
    try:
        raise KeyError('not of interest')
    except KeyError:
        raise ValueError('outer') from None


def chain(details: pb.TaskFailureDetails) -> list[tuple[str, str]]:
    links = [(details.errorType, details.errorMessage)]
    while details.HasField('innerFailure'):
        details = details.innerFailure
        links.append((details.errorType, details.errorMessage))
    return links


@pytest.mark.parametrize('function', [with_cause, with_context])
def test_a_cause_goes_out_with_its_own_stack(function: Callable[[], None]) -> None:
    details = new_failure_details(raised(function))

    assert chain(details) == [('ValueError', 'outer'), ('KeyError', "'deep cause'")]
    assert "raise KeyError('deep cause')" in details.innerFailure.stackTrace.value
    assert "Caused by KeyError: 'deep cause'" in details.stackTrace.value


def test_a_context_that_was_suppressed_stays_where_it_is() -> None:
    details = new_failure_details(raised(with_nothing))

    assert chain(details) == [('ValueError', 'outer')]
    assert 'not of interest' not in details.stackTrace.value


def test_causes_that_go_round_end() -> None:
    first, second = ValueError('first'), KeyError('second')
    first.__cause__, second.__cause__ = second, first

    assert chain(new_failure_details(first)) == [('ValueError', 'first'), ('KeyError', "'second'")]


def test_a_long_chain_of_causes_is_cut() -> None:
    error = Exception('0')
    for number in range(1, 100):
        outer = Exception(str(number))
        outer.__cause__, error = error, outer

    assert len(chain(new_failure_details(error))) == 17


@pytest.mark.skipif(sys.version_info < (3, 11), reason='exception groups came with Python 3.11')
def test_all_members_of_a_group_are_told() -> None:
    group_type: Any = getattr(builtins, 'ExceptionGroup', None)
    inner = group_type('more', [OSError('two'), ValueError('three')])

    details = new_failure_details(group_type('several', [KeyError('one'), inner]))

    assert chain(details) == [('ExceptionGroup', 'several (2 sub-exceptions)'), ('KeyError', "'one'")]
    for told in ("KeyError: 'one'", 'ExceptionGroup: more', 'OSError: two', 'ValueError: three'):
        assert f'Caused by {told}' in details.stackTrace.value


class Final(NonRetryableError):
    pass


def test_what_is_not_to_be_retried_says_so_whatever_its_name() -> None:
    assert new_failure_details(NonRetryableError()).isNonRetriable
    assert new_failure_details(Final()).isNonRetriable
    assert not new_failure_details(ValueError()).isNonRetriable


def test_the_bases_of_a_type_go_out_with_it() -> None:
    assert list(type_names(new_failure_details(KeyError('x')))) == ['KeyError', 'LookupError', 'Exception']
    assert list(type_names(pb.TaskFailureDetails(errorType='KeyError'))) == ['KeyError']
    # A last line about another type is not taken for it.
    other = pb.TaskFailureDetails(errorType='KeyError')
    other.stackTrace.value = 'OSError, a kind of Exception\n'
    assert list(type_names(other)) == ['KeyError']


def test_a_workflow_sees_what_failed_at_which_attempt_and_why() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        policy = RetryPolicy(first_retry_interval=timedelta(seconds=1), max_number_of_attempts=2)
        try:
            yield ctx.call_activity('charge', retry_policy=policy)
        except TaskFailedError as error:
            details = error.details
            assert details.inner_failure is not None
            assert "raise KeyError('deep cause')" in (details.inner_failure.stack_trace or '')
            return [str(error), str(details), details.task_name, details.attempt, details.inner_failure.error_type]

    failed = new_failure_details(raised(with_cause))
    driver = Driver(workflow)
    driver.start()
    driver.turn(task_failed(1, failed))
    driver.turn(timer_fired(2))

    assert output(driver.turn(task_failed(3, failed))) == [
        "abc: Activity task #3 failed: outer (ValueError in the activity 'charge', attempt 2)",
        "ValueError: outer, caused by KeyError: 'deep cause'",
        'charge',
        2,
        'KeyError',
    ]


@pytest.mark.parametrize(
    ('fail', 'told'),
    [
        (task_failed, "abc: Activity task #1 failed: ValueError without a message (in the activity 'work')"),
        (child_failed, "Sub-orchestration task #1 failed: ValueError without a message (in the workflow 'work')"),
    ],
)
def test_an_error_without_a_message_is_told_by_its_type(fail: Callable[..., Any], told: str) -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.call_activity('work') if fail is task_failed else ctx.call_sub_orchestrator('work')

    driver = Driver(workflow)
    driver.start()

    details = failure_of(driver.turn(fail(1, new_failure_details(ValueError()))))
    assert FailureDetails.from_proto(details).full_message == told
    assert details.errorMessage == told.partition(' (')[0]


def test_what_failed_is_told_through_all_parents_and_the_wire_has_the_message_alone() -> None:
    def child(ctx: Context, _: None) -> Workflow:
        policy = RetryPolicy(first_retry_interval=timedelta(seconds=1), max_number_of_attempts=2)
        yield ctx.call_activity('charge', retry_policy=policy)

    def parent(ctx: Context, catches: bool) -> Workflow:
        try:
            yield ctx.call_sub_orchestrator('order')
        except TaskFailedError as error:
            if not catches:
                raise
            inner = error.details.inner_failure
            assert inner is not None
            return [str(error), error.message, inner.task_name, inner.attempt, (inner.stack_trace or '').split()[0]]

    failed = new_failure_details(raised(with_cause))
    driver = Driver(child)
    driver.start()
    driver.turn(task_failed(1, failed))
    driver.turn(timer_fired(2))
    of_child = failure_of(driver.turn(task_failed(3, failed)))
    assert of_child.errorMessage == 'abc: Activity task #3 failed: outer'

    driver = Driver(parent, 'true')
    driver.start()
    message = 'Sub-orchestration task #1 failed: abc: Activity task #3 failed: outer'
    places = " (ValueError in the activity 'charge', attempt 2) (TaskFailedError in the workflow 'order')"
    assert output(driver.turn(child_failed(1, of_child))) == [message + places, message, 'charge', 2, 'File']

    driver = Driver(parent, 'false')
    driver.start()
    of_parent = failure_of(driver.turn(child_failed(1, of_child)))
    assert of_parent.errorMessage == message
    read = FailureDetails.from_proto(of_parent)
    assert read.full_message == message + places
    assert str(read) == (
        f'TaskFailedError: {message}, caused by TaskFailedError: abc: Activity task #3 failed: outer (in the workflow '
        "'order'), caused by ValueError: outer (in the activity 'charge', attempt 2), caused by KeyError: 'deep cause'"
    )


def test_a_workflow_that_fails_by_a_task_passes_the_tasks_failure_on() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        try:
            yield ctx.call_activity('charge')
        except TaskFailedError as error:
            raise OSError('no luck') from error

    driver = Driver(workflow)
    driver.start()
    details = failure_of(driver.turn(task_failed(1, new_failure_details(raised(with_cause)))))

    assert [kind for kind, _ in chain(details)] == ['OSError', 'TaskFailedError', 'ValueError', 'KeyError']
    deepest = details.innerFailure.innerFailure.innerFailure
    assert "raise KeyError('deep cause')" in deepest.stackTrace.value


@pytest.mark.parametrize(
    ('message', 'told'),
    [
        ('boom', "Orchestration 'i' failed: boom (ValueError)"),
        ('', "Orchestration 'i' failed: ValueError without a message"),
    ],
)
def test_a_client_reads_the_causes_and_the_type(message: str, told: str) -> None:
    inner = pb.TaskFailureDetails(errorType='KeyError', errorMessage='x')
    details = pb.TaskFailureDetails(errorType='ValueError', errorMessage=message, innerFailure=inner)
    answer = pb.GetInstanceResponse(exists=True, workflowState=pb.WorkflowState(failureDetails=details))
    answer.workflowState.createdTimestamp.FromDatetime(datetime(2026, 1, 1))
    state = new_orchestration_state('i', answer)
    assert state is not None

    with pytest.raises(OrchestrationFailedError) as caught:
        state.raise_if_failed()

    assert str(caught.value) == told
    assert caught.value.failure_details.inner_failure is not None
    assert caught.value.failure_details.inner_failure.error_type == 'KeyError'
