"""The workflows and activities behind the recordings in tests/data/transcripts."""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import timedelta
from typing import Any

from dapr.ext.workflow._durabletask import task

Workflow = Generator[task.Task[Any], Any, Any]

_failures: dict[str, int] = {}


def echo(ctx: task.ActivityContext, value: Any) -> Any:
    return value


def flaky(ctx: task.ActivityContext, times: int) -> str:
    """Fails that many times for an instance, then returns."""
    count = _failures[ctx.orchestration_id] = _failures.get(ctx.orchestration_id, 0) + 1
    if count <= times:
        raise ValueError(f'attempt {count}')
    return 'at last'


def chain(ctx: task.OrchestrationContext, n: int) -> Workflow:
    results = []
    for i in range(n):
        results.append((yield ctx.call_activity(echo, input=i)))
    return results


def fan(ctx: task.OrchestrationContext, n: int) -> Workflow:
    return (yield task.when_all([ctx.call_activity(echo, input=i) for i in range(n)]))


def timer(ctx: task.OrchestrationContext, _: None) -> Workflow:
    yield ctx.create_timer(timedelta(seconds=1))
    return (yield ctx.call_activity(echo, input='after'))


def approval(ctx: task.OrchestrationContext, seconds: float) -> Workflow:
    try:
        answer = yield ctx.wait_for_external_event('Approval', timeout=timedelta(seconds=seconds))
    except TimeoutError:
        return 'timed out'
    return (yield ctx.call_activity(echo, input=answer))


def forever(ctx: task.OrchestrationContext, _: None) -> Workflow:
    first = yield ctx.wait_for_external_event('go')
    second = yield ctx.wait_for_external_event('go')
    return [first, second]


def parent(ctx: task.OrchestrationContext, n: int) -> Workflow:
    return (yield ctx.call_sub_orchestrator(chain, input=n))


def failing(ctx: task.OrchestrationContext, _: None) -> Workflow:
    yield ctx.call_activity(echo, input=1)
    raise RuntimeError('on purpose')


def parent_of_failing(ctx: task.OrchestrationContext, _: None) -> Workflow:
    try:
        yield ctx.call_sub_orchestrator(failing)
    except task.TaskFailedError as error:
        return error.details.error_type


def parent_of_forever(ctx: task.OrchestrationContext, _: None) -> Workflow:
    yield ctx.call_sub_orchestrator(forever, instance_id=ctx.instance_id + '-child')


def retried(ctx: task.OrchestrationContext, n: int) -> Workflow:
    policy = task.RetryPolicy(
        first_retry_interval=timedelta(milliseconds=300), max_number_of_attempts=4, backoff_coefficient=1
    )
    return (yield ctx.call_activity(flaky, input=n, retry_policy=policy))


def counter(ctx: task.OrchestrationContext, n: int) -> Workflow:
    event = yield ctx.wait_for_external_event('tick')
    if n < 3:
        ctx.continue_as_new(n + 1, save_events=True)
        return None
    return [n, event]


def race(ctx: task.OrchestrationContext, _: None) -> Workflow:
    late = ctx.create_timer(timedelta(seconds=20))
    first: task.Task[str] = ctx.call_activity(echo, input='first')
    winner = yield task.when_any([first, late])
    return [winner is first, first.get_result()]


def patched(ctx: task.OrchestrationContext, _: None) -> Workflow:
    is_new = ctx.is_patched('new-path')
    result = yield ctx.call_activity(echo, input=is_new)
    ctx.set_custom_status('"half way"')
    return [result, (yield ctx.call_activity(echo, input=ctx.is_patched('new-path')))]


WORKFLOWS: list[Callable[..., Any]] = [
    approval,
    chain,
    counter,
    failing,
    fan,
    forever,
    parent,
    parent_of_failing,
    parent_of_forever,
    patched,
    race,
    retried,
    timer,
]
ACTIVITIES: list[Callable[..., Any]] = [echo, flaky]
