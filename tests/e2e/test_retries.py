"""Retry policies of activities and children."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.client import TaskHubGrpcClient
from tests.support.e2e import NewId, NewWorker, Workflow, failure, outline, run, serve, steps

POLICY = task.RetryPolicy(
    first_retry_interval=timedelta(milliseconds=50),
    max_number_of_attempts=3,
    non_retryable_error_types=[KeyError],
)


def test_a_failed_activity_is_tried_again_under_a_new_id(
    client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    attempts: list[list[Any]] = []

    def flaky(ctx: task.ActivityContext, value: str) -> str:
        attempts.append([ctx.task_id, ctx.task_execution_id])
        if len(attempts) < 3:
            raise ValueError(f'attempt {len(attempts)}')
        return value

    def retried(ctx: task.OrchestrationContext, value: str) -> Workflow:
        return (yield ctx.call_activity(flaky, input=value, retry_policy=POLICY))

    serve(new_worker, [retried], [flaky])
    instance_id = new_id()

    assert run(client, retried, instance_id, 'at last') == 'at last'

    assert [task_id for task_id, _ in attempts] == [1, 3, 5]
    assert len({execution_id for _, execution_id in attempts}) == 1
    assert attempts[0][1]
    assert outline(client, instance_id) == [
        *('workflowStarted', 'executionStarted', 'taskScheduled 1'),
        *('workflowStarted', 'taskFailed 1', 'timerCreated 2'),
        *('workflowStarted', 'timerFired 2', 'taskScheduled 3'),
        *('workflowStarted', 'taskFailed 3', 'timerCreated 4'),
        *('workflowStarted', 'timerFired 4', 'taskScheduled 5'),
        *('workflowStarted', 'taskCompleted 5', 'executionCompleted 6'),
    ]
    origins = [e.timerCreated for e in client.get_instance_history(instance_id) if e.HasField('timerCreated')]
    assert [origin.activityRetry.taskExecutionId for origin in origins] == [attempts[0][1]] * 2


class OwnFinal(task.NonRetryableError):
    pass


def test_retries_end_with_the_policy_or_with_an_error_that_is_not_to_be_retried(
    client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    errors = {
        'value': ValueError('bad'),
        'key': KeyError('gone'),
        'final': task.NonRetryableError('no'),
        'own': OwnFinal('so'),
    }
    calls = dict.fromkeys(errors, 0)

    def broken(ctx: task.ActivityContext, kind: str) -> None:
        calls[kind] += 1
        raise errors[kind]

    def given_up(ctx: task.OrchestrationContext, _: None) -> Workflow:
        tasks = [ctx.call_activity(broken, input=kind, retry_policy=POLICY) for kind in errors]
        failures = []
        for each in tasks:
            try:
                yield each
            except task.TaskFailedError as error:
                failures.append([error.details.error_type, error.details.message])
        return failures

    serve(new_worker, [given_up], [broken])

    assert run(client, given_up, new_id()) == [
        ['ValueError', 'bad'],
        ['KeyError', "'gone'"],
        ['NonRetryableError', 'no'],
        ['OwnFinal', 'so'],
    ]
    assert calls == {'value': 3, 'key': 1, 'final': 1, 'own': 1}


def test_a_failed_child_is_tried_again_under_its_id(
    client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    runs: list[str] = []

    def count(ctx: task.ActivityContext, _: None) -> int:
        runs.append(ctx.orchestration_id)
        return len(runs)

    def flaky_child(ctx: task.OrchestrationContext, _: None) -> Workflow:
        number = yield ctx.call_activity(count)
        if number < 2:
            raise ValueError(f'run {number}')
        return number

    def hopeless_child(ctx: task.OrchestrationContext, _: None) -> Workflow:
        yield ctx.call_activity(count)
        raise ValueError('hopeless')

    def parent(ctx: task.OrchestrationContext, _: None) -> Workflow:
        yield ctx.call_sub_orchestrator(flaky_child, retry_policy=POLICY)
        yield ctx.call_sub_orchestrator(hopeless_child, retry_policy=POLICY)

    serve(new_worker, [parent, flaky_child, hopeless_child], [count])
    instance_id = client.schedule_new_orchestration(parent, instance_id=new_id())

    assert failure(client, instance_id) == ('TaskFailedError', 'Sub-orchestration task #8 failed: hopeless')
    state = client.get_orchestration_state(instance_id)
    assert state is not None
    assert state.failure_details is not None
    assert state.failure_details.full_message == (
        "Sub-orchestration task #8 failed: hopeless (ValueError in the workflow 'hopeless_child', attempt 3)"
    )
    assert runs == [f'{instance_id}:0001'] * 2 + [f'{instance_id}:0004'] * 3
    assert steps(client, instance_id) == [
        *('executionStarted', 'childWorkflowInstanceCreated 1', 'childWorkflowInstanceFailed 1'),
        *('timerCreated 2', 'timerFired 2', 'childWorkflowInstanceCreated 3', 'childWorkflowInstanceCompleted 3'),
        *('childWorkflowInstanceCreated 4', 'childWorkflowInstanceFailed 4', 'timerCreated 5', 'timerFired 5'),
        *('childWorkflowInstanceCreated 6', 'childWorkflowInstanceFailed 6', 'timerCreated 7', 'timerFired 7'),
        *('childWorkflowInstanceCreated 8', 'childWorkflowInstanceFailed 8', 'executionCompleted 9'),
    ]


def test_a_policy_goes_by_what_an_activity_of_a_child_has_failed_by(
    client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    runs: list[str] = []

    def lookup(ctx: task.ActivityContext, _: None) -> None:
        runs.append('')
        raise KeyError('sku')

    def child(ctx: task.OrchestrationContext, _: None) -> Workflow:
        yield ctx.call_activity(lookup)

    def parent(ctx: task.OrchestrationContext, _: None) -> Workflow:
        policy = task.RetryPolicy(
            first_retry_interval=timedelta(milliseconds=10),
            max_number_of_attempts=5,
            non_retryable_error_types=[LookupError],
        )
        try:
            yield ctx.call_sub_orchestrator(child, retry_policy=policy)
        except task.TaskFailedError as error:
            return str(error.details).partition(', caused by ')[2]

    serve(new_worker, [parent, child], [lookup])

    assert run(client, parent, new_id()) == "KeyError: 'sku' (in the activity 'lookup')"
    assert len(runs) == 1
