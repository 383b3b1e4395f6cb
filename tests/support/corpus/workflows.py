"""The workflows and activities behind the histories in tests/data/histories, by the public API that workers share.

The worker that records runs them, dapr 1.19.0's too: nothing is imported but `dapr.ext.workflow` and what it has there.
A recorded history is replayed with what stands here, so what a workflow does is never changed: a change is a new
workflow, or one of the versions and patches that are here to be recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import timedelta
from typing import Any

from dapr.ext.workflow import (
    DaprWorkflowContext,
    PropagationScope,
    RetryPolicy,
    TaskFailedError,
    WorkflowActivityContext,
    WorkflowRuntime,
    when_all,
    when_any,
)

Workflow = Generator[Any, Any, Any]
Context = DaprWorkflowContext

# How old the code is that a worker runs: before a change, after it, and after it without the former version.
AGES = ('old', 'new', 'newest')

_failures: dict[str, int] = {}


def echo(ctx: WorkflowActivityContext, value: Any) -> Any:
    return value


def flaky(ctx: WorkflowActivityContext, times: int) -> str:
    """Fails that many times for an instance, then returns."""
    count = _failures[ctx.workflow_id] = _failures.get(ctx.workflow_id, 0) + 1
    if count <= times:
        raise ValueError(f'attempt {count}')
    return 'at last'


def broken(ctx: WorkflowActivityContext, value: Any) -> Any:
    raise LookupError(f'no {value}')


def has_history(ctx: WorkflowActivityContext, _: None) -> bool:
    return ctx.get_propagated_history() is not None


def chain(ctx: Context, n: int) -> Workflow:
    results = []
    for i in range(n):
        results.append((yield ctx.call_activity(echo, input=i)))
    return results


def fan(ctx: Context, n: int) -> Workflow:
    return (yield when_all([ctx.call_activity(echo, input=i) for i in range(n)]))


def waves(ctx: Context, n: int) -> Workflow:
    """Fans out, and in, and out again, with children among the calls."""
    first = yield when_all([ctx.call_activity(echo, input=i) for i in range(n)])
    second = yield when_all([ctx.call_child_workflow(chain, input=i) for i in first])
    return (yield ctx.call_activity(echo, input=second))


def payloads(ctx: Context, given: Any) -> Workflow:
    results: list[Any] = [given]
    value: Any
    for value in (None, False, 0, 1.5, '', 'größer ✓ 𝄞', [], {}, {'a': [1, {'b': None}]}, 'x' * 2_000):
        results.append((yield ctx.call_activity(echo, input=value)))
    return results


def moments(ctx: Context, _: None) -> Workflow:
    """Timers by a delay and by a moment; one that is due at once; and moments as inputs."""
    yield ctx.create_timer(timedelta(milliseconds=200))
    yield ctx.create_timer(ctx.current_utc_datetime + timedelta(milliseconds=200))
    yield ctx.create_timer(timedelta(0))
    return (yield ctx.call_activity(echo, input=ctx.current_utc_datetime.isoformat()))


def race(ctx: Context, _: None) -> Workflow:
    late = ctx.create_timer(timedelta(hours=1))
    first = ctx.call_activity(echo, input='first')
    winner = yield when_any([first, late])
    return [winner is first, first.get_result()]


def approval(ctx: Context, seconds: float) -> Workflow:
    try:
        answer = yield ctx.wait_for_external_event('Approval', timeout=timedelta(seconds=seconds))
    except TimeoutError:
        return 'timed out'
    return (yield ctx.call_activity(echo, input=answer))


def two_events(ctx: Context, _: None) -> Workflow:
    first = yield ctx.wait_for_external_event('go')
    second = yield ctx.wait_for_external_event('Go')
    return [first, second]


def either(ctx: Context, _: None) -> Workflow:
    """Waits for one of two events, or for the time; then for the other event."""
    paid, cancelled = ctx.wait_for_external_event('paid'), ctx.wait_for_external_event('cancelled')
    winner = yield when_any([paid, cancelled, ctx.create_timer(timedelta(hours=1))])
    if winner is cancelled:
        return ['cancelled', (yield paid)]
    return ['paid', (yield cancelled)]


def parent(ctx: Context, n: int) -> Workflow:
    return (yield ctx.call_child_workflow(chain, input=n))


def parent_of_named(ctx: Context, _: None) -> Workflow:
    return (yield ctx.call_child_workflow(two_events, instance_id=ctx.instance_id + '-child'))


def failing(ctx: Context, _: None) -> Workflow:
    yield ctx.call_activity(echo, input=1)
    raise RuntimeError('on purpose')


def parent_of_failing(ctx: Context, _: None) -> Workflow:
    try:
        yield ctx.call_child_workflow(failing)
    except TaskFailedError as error:
        return error.details.error_type
    return None


def retried(ctx: Context, n: int) -> Workflow:
    policy = RetryPolicy(
        first_retry_interval=timedelta(milliseconds=100), max_number_of_attempts=4, backoff_coefficient=2
    )
    return (yield ctx.call_activity(flaky, input=n, retry_policy=policy))


def retried_child(ctx: Context, _: None) -> Workflow:
    policy = RetryPolicy(first_retry_interval=timedelta(milliseconds=100), max_number_of_attempts=2)
    try:
        yield ctx.call_child_workflow(failing, retry_policy=policy)
    except TaskFailedError:
        return (yield ctx.call_activity(echo, input='gave up'))


def saga(ctx: Context, _: None) -> Workflow:
    done = []
    try:
        for step in ('flight', 'car'):
            done.append((yield ctx.call_activity(echo, input=step)))
        yield ctx.call_activity(broken, input='hotel')
    except TaskFailedError as error:
        for step in reversed(done):
            yield ctx.call_activity(echo, input=f'not the {step}')
        return error.details.message
    finally:
        ctx.set_custom_status('settled')
        yield ctx.call_activity(echo, input='told')


def counter(ctx: Context, n: int) -> Workflow:
    event = yield ctx.wait_for_external_event('tick')
    if n < 3:
        ctx.continue_as_new(n + 1, save_events=True)
        return None
    return [n, event]


def eternal(ctx: Context, n: int) -> Workflow:
    """A loop by runs: what is under way when a run ends is of no use to the next."""
    ctx.wait_for_external_event('never')
    yield ctx.call_activity(echo, input=n)
    yield ctx.create_timer(timedelta(milliseconds=50))
    if n == 0:
        return 'over'
    ctx.continue_as_new(n - 1)
    return None


def poll(ctx: Context, n: int) -> Workflow:
    for attempt in range(n):
        ctx.set_custom_status(f'attempt {attempt}')
        if (yield ctx.call_activity(echo, input=attempt == n - 1)):
            return attempt
        yield ctx.create_timer(timedelta(milliseconds=50))
    return None


def waits_long(ctx: Context, _: None) -> Workflow:
    """Has something of each kind under way."""
    yield ctx.call_activity(echo, input='ready')
    child = ctx.call_child_workflow(two_events, instance_id=ctx.instance_id + '-child')
    yield when_any([child, ctx.create_timer(timedelta(days=30)), ctx.wait_for_external_event('go')])
    return (yield ctx.call_activity(echo, input='done'))


def handing_on(ctx: Context, _: None) -> Workflow:
    yield ctx.call_activity(echo, input='before')
    in_activity = yield ctx.call_activity(has_history, propagation=PropagationScope.OWN_HISTORY)
    in_child = yield ctx.call_child_workflow(handed_on, propagation=PropagationScope.LINEAGE)
    return [in_activity, in_child]


def handed_on(ctx: Context, _: None) -> Workflow:
    history = ctx.get_propagated_history()
    return [history is not None, (yield ctx.call_activity(has_history, propagation=PropagationScope.LINEAGE))]


def of_two_apps(ctx: Context, amount: int) -> Workflow:
    receipt = yield ctx.call_activity(echo, input=amount, app_id='billing')
    invoice = yield ctx.call_child_workflow(chain, input=receipt, app_id='billing')
    try:
        yield ctx.call_activity(broken, input='money', app_id='billing')
    except TaskFailedError:
        return (yield ctx.call_activity(echo, input=invoice))


def delivery(ctx: Context, _: None) -> Workflow:
    yield ctx.wait_for_external_event('go')
    return [(yield ctx.call_activity(echo, input='old'))]


def patched_delivery(ctx: Context, _: None) -> Workflow:
    is_new = ctx.is_patched('new-path')
    yield ctx.wait_for_external_event('go')
    results = [(yield ctx.call_activity(echo, input='new' if is_new else 'old'))]
    if ctx.is_patched('one-more'):
        results.append((yield ctx.call_activity(echo, input='more')))
    return results


def report_1(ctx: Context, _: None) -> Workflow:
    yield ctx.wait_for_external_event('go')
    return (yield ctx.call_activity(echo, input='version 1'))


def report_2(ctx: Context, _: None) -> Workflow:
    yield ctx.call_activity(echo, input='version 2')
    return (yield ctx.wait_for_external_event('go'))


WORKFLOWS: list[Callable[..., Any]] = [
    approval,
    chain,
    counter,
    either,
    eternal,
    failing,
    fan,
    handed_on,
    handing_on,
    moments,
    of_two_apps,
    parent,
    parent_of_failing,
    parent_of_named,
    payloads,
    poll,
    race,
    retried,
    retried_child,
    saga,
    two_events,
    waits_long,
    waves,
]
ACTIVITIES: list[Callable[..., Any]] = [broken, echo, flaky, has_history]


def register(runtime: WorkflowRuntime, age: str) -> None:
    """Registers what a worker of that age has."""
    register_ageing(runtime, age)
    for workflow in WORKFLOWS:
        runtime.register_workflow(workflow)
    for activity in ACTIVITIES:
        runtime.register_activity(activity)


def register_ageing(registry: Any, age: str) -> None:
    """Registers the workflows whose code changes; with a runtime or a replayer.

    Args:
        registry: The one or the other.
        age: One of `AGES`.
    """
    registry.register_workflow(delivery if age == 'old' else patched_delivery, name='delivery')
    if age != 'newest':
        registry.register_versioned_workflow(report_1, name='report', version_name='v1', is_latest=age == 'old')
    if age != 'old':
        registry.register_versioned_workflow(report_2, name='report', version_name='v2', is_latest=True)
