"""A runtime at work: what workflows and activities are given, and how it starts, tells that it is ready, and stops."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from dapr.ext.workflow import (
    DaprWorkflowContext,
    PropagationScope,
    RetryPolicy,
    WorkflowActivityContext,
    WorkflowRuntime,
    alternate_name,
)
from dapr.ext.workflow._durabletask.internal.shared import get_logger
from dapr.ext.workflow.logger import LoggerOptions
from tests.support.fake_sidecar import FakeSidecar
from tests.support.work_items import activity_item, join, turn_item


@dataclass
class Order:
    """A model by pydantic's two methods."""

    amount: int

    def model_dump(self, mode: str = 'python') -> dict[str, Any]:
        return {'amount': self.amount}

    @classmethod
    def model_validate(cls, value: dict[str, Any]) -> Order:
        return cls(**value)


def only_context(ctx: WorkflowActivityContext) -> str:
    return 'no input'


def with_default(ctx: Any, inp: Any = 5) -> Any:
    return inp


def take_order(ctx: Any, order: Order) -> Order:
    assert isinstance(order, Order)
    return Order(order.amount + 1)


async def take_order_async(ctx: Any, order: Order) -> Order:
    return take_order(ctx, order)


def bare_wrapper(fn: Any) -> Any:
    """What a decorator makes that does not use functools.wraps."""

    def wrapper(*args: Any) -> Any:
        return fn(*args)

    return wrapper


class Callables:
    def method(self, ctx: Any, order: Order) -> Order:
        return take_order(ctx, order)

    async def __call__(self, ctx: Any, order: Order) -> Order:
        return take_order(ctx, order)


def ids(ctx: WorkflowActivityContext, inp: Any) -> Any:
    return [ctx.workflow_id, ctx.task_id, ctx.get_inner_context().task_id, ctx.get_propagated_history()]


@pytest.fixture
def sidecar() -> Iterator[FakeSidecar]:
    with FakeSidecar() as sidecar:
        yield sidecar


@pytest.fixture
def runtime(sidecar: FakeSidecar) -> Iterator[WorkflowRuntime]:
    host, port = sidecar.address.split(':')
    runtime = WorkflowRuntime(host=host, port=port)
    runtime.start()
    yield runtime
    runtime.shutdown()


@pytest.mark.parametrize(
    ('fn', 'given', 'result'),
    [
        (only_context, None, '"no input"'),
        (only_context, '1', '"no input"'),
        (with_default, None, ''),
        (with_default, '7', '7'),
        (bare_wrapper(only_context), '7', '"no input"'),
        (take_order, '{"amount": 1}', '{"amount": 2}'),
        (take_order_async, '{"amount": 1}', '{"amount": 2}'),
        (functools.partial(take_order), '{"amount": 1}', '{"amount": 2}'),
        (Callables().method, '{"amount": 1}', '{"amount": 2}'),
        (Callables(), '{"amount": 1}', '{"amount": 2}'),
        (ids, None, '["abc", 3, 3, null]'),
    ],
)
def test_activities_are_given_their_context_and_input(
    sidecar: FakeSidecar, runtime: WorkflowRuntime, fn: Any, given: str | None, result: str
) -> None:
    runtime.register_activity(fn, name='act')  # while it runs
    sidecar.push(activity_item('act', given))

    answer = sidecar.answer()

    assert answer.failureDetails.errorMessage == ''
    assert answer.result.value == result


def test_an_activity_that_takes_too_much_fails_with_what_python_says(
    sidecar: FakeSidecar, runtime: WorkflowRuntime
) -> None:
    runtime.register_activity(lambda ctx, inp, more: None, name='act')
    sidecar.push(activity_item('act', '1'))

    failure = sidecar.answer().failureDetails

    assert (failure.errorType, "'more'" in failure.errorMessage) == ('TypeError', True)


def test_a_workflow_calls_by_function_name_or_alternate_name(sidecar: FakeSidecar, runtime: WorkflowRuntime) -> None:
    policy = RetryPolicy(first_retry_interval=timedelta(seconds=1), max_number_of_attempts=2)

    @runtime.activity(name='named')
    def act(ctx: Any, inp: Any) -> None: ...

    @alternate_name('other')
    def elsewhere(ctx: Any, inp: Any) -> None: ...

    @runtime.workflow
    def flow(ctx: DaprWorkflowContext, order: Order) -> Any:
        assert isinstance(order, Order)
        assert (ctx.instance_id, ctx.is_replaying, ctx.is_patched('p')) == ('abc', False, True)
        assert ctx.new_guid() != ctx.new_guid()
        ctx.set_custom_status('at work')
        ctx.call_activity(act, input=order, app_id='app', retry_policy=policy)
        ctx.call_activity('by-name')
        ctx.call_child_workflow(elsewhere, input=0, instance_id='child')
        yield ctx.create_timer(timedelta(seconds=1))

    sidecar.push(turn_item('flow', encoded_input='{"amount": 3}'))
    response = sidecar.answer()
    first, second, child, timer = response.actions

    assert (first.scheduleTask.name, first.scheduleTask.input.value) == ('named', '{"amount": 3}')
    assert first.router.targetAppID == 'app'
    assert (second.scheduleTask.name, second.scheduleTask.HasField('input')) == ('by-name', False)
    assert child.createChildWorkflow.name == 'other'
    assert (child.createChildWorkflow.instanceId, child.createChildWorkflow.input.value) == ('child', '0')
    assert timer.HasField('createTimer')
    assert response.customStatus.value == 'at work'


def test_a_workflow_without_a_place_for_input(sidecar: FakeSidecar, runtime: WorkflowRuntime) -> None:
    runtime.register_workflow(lambda ctx: [type(ctx).__name__], name='flow')
    sidecar.push(turn_item('flow'))

    assert sidecar.answer().actions[0].completeWorkflow.result.value == '["DaprWorkflowContext"]'


def test_it_is_ready_from_start_to_shutdown_and_can_be_started_again(
    sidecar: FakeSidecar, runtime: WorkflowRuntime
) -> None:
    assert runtime.wait_for_worker_ready()
    runtime.shutdown()
    assert not runtime.wait_for_worker_ready(0)
    with runtime:
        assert runtime.wait_for_worker_ready(0)
        with pytest.raises(RuntimeError, match='already running'):
            runtime.start()
    assert not runtime.wait_for_worker_ready(0)


def test_readiness_can_be_waited_for_before_another_thread_starts_it(sidecar: FakeSidecar) -> None:
    host, port = sidecar.address.split(':')
    runtime = WorkflowRuntime(host, port)
    ready: list[bool] = []
    waiter = threading.Thread(target=lambda: ready.append(runtime.wait_for_worker_ready(20)))
    waiter.start()
    runtime.start()
    join(waiter)
    runtime.shutdown()

    assert ready == [True]


class OtherWorker:
    """What another package's test puts in place of the engine's worker. Ready at the second look, or never."""

    def __init__(self, **arguments: Any) -> None:
        self.arguments = arguments
        self.looks = 0
        self.calls: list[str] = []

    def start(self) -> None:
        self.calls.append('start')

    def stop(self) -> None:
        self.calls.append('stop')

    def is_worker_ready(self) -> bool:
        self.looks += 1
        return self.looks == 2

    def wait_until_ready(self, timeout: float) -> bool:
        return False


@pytest.fixture
def with_other_worker(monkeypatch: pytest.MonkeyPatch) -> WorkflowRuntime:
    monkeypatch.setattr('dapr.ext.workflow._durabletask.worker.TaskHubGrpcWorker', OtherWorker)
    return WorkflowRuntime(worker_ready_timeout=0.05)


def test_the_worker_is_looked_up_where_tests_of_others_replace_it(with_other_worker: WorkflowRuntime) -> None:
    worker: OtherWorker = vars(with_other_worker)['_WorkflowRuntime__worker']
    unset = ('history_cache_ttl', 'history_cache_max_instances', 'history_cache_max_bytes')
    assert [worker.arguments[name] for name in unset] == [0, 0, 0]
    with_other_worker.start()
    assert (worker.looks, worker.calls) == (2, ['start'])


def test_a_start_that_is_not_ready_in_time_is_taken_back(with_other_worker: WorkflowRuntime) -> None:
    worker: OtherWorker = vars(with_other_worker)['_WorkflowRuntime__worker']
    worker.looks = 2
    with pytest.raises(RuntimeError, match=r'not ready: they were not within 0\.05 seconds'):
        with_other_worker.start()
    assert worker.calls == ['start', 'stop']


def test_a_start_that_fails_is_told_in_the_log_too(
    with_other_worker: WorkflowRuntime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(worker: OtherWorker) -> None:
        raise RuntimeError('no way')

    monkeypatch.setattr(OtherWorker, 'start', fail)
    with caplog.at_level('ERROR', 'WorkflowRuntime'), pytest.raises(RuntimeError, match='no way'):
        with_other_worker.start()
    assert 'did not start' in caplog.text


def test_what_is_registered_says_so(runtime: WorkflowRuntime) -> None:
    class Holder:
        def act(self, ctx: Any) -> None: ...

    def flow(ctx: Any) -> None: ...

    runtime.register_workflow(flow)
    runtime.register_activity(Holder().act)
    assert vars(flow)['_workflow_registered']
    assert vars(Holder.act)['_activity_registered']


def test_settings_reach_the_worker() -> None:
    runtime = WorkflowRuntime(
        'h',
        '1',
        maximum_concurrent_activity_work_items=2,
        maximum_thread_pool_workers=3,
        max_grpc_message_length=99,
        disable_stateful_history=True,
        disable_sticky_execution=True,
    )
    worker: Any = vars(runtime)['_WorkflowRuntime__worker']

    assert worker._host_address == 'h:1'
    assert worker.concurrency_options.maximum_concurrent_activity_work_items == 2
    assert worker.concurrency_options.maximum_thread_pool_workers == 3
    assert dict(worker._channel_options)['grpc.max_receive_message_length'] == 99
    assert worker._disable_stateful_history
    assert worker._disable_sticky_execution


def test_an_address_that_cannot_be_read_is_told_where_the_runtime_is_made() -> None:
    with pytest.raises(ValueError, match='a:b:c:1'):
        WorkflowRuntime('a:b:c', '1')


class RecordingContext:
    """Stands for the engine's context, and notes what it is asked for."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda called, **options: self.calls.append((f'{name} {called}', options))


def test_retry_policies_and_scopes_reach_the_engine() -> None:
    policy = RetryPolicy(first_retry_interval=timedelta(seconds=1), max_number_of_attempts=2)
    inner: Any = RecordingContext()
    ctx = DaprWorkflowContext(inner)
    options: Any = {'retry_policy': policy, 'propagation': PropagationScope.LINEAGE, 'app_id': 'app', 'input': 1}
    ctx.call_activity('a', **options)
    ctx.call_child_workflow('w', **options)
    ctx.wait_for_external_event('go', timeout=timedelta(0))
    ctx.continue_as_new('again', save_events=True)

    expected = {**options, 'retry_policy': policy.obj}
    assert inner.calls == [
        ('call_activity a', expected),
        ('call_sub_orchestrator w', {**expected, 'instance_id': None}),
        ('wait_for_external_event go', {'timeout': timedelta(0)}),
        ('continue_as_new again', {'save_events': True}),
    ]


@pytest.mark.parametrize(('level', 'expected'), [('ERROR', ['error']), ('DEBUG', ['debug', 'warning', 'error'])])
def test_the_level_of_a_runtime_is_that_of_its_worker_too(
    level: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    records: list[str] = []

    class Noting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record.getMessage())

    ours = logging.getLogger('dapr.workflow')
    monkeypatch.setattr(ours, 'handlers', [])
    engine = get_logger('worker')
    try:
        WorkflowRuntime('h', '1', LoggerOptions(level, Noting()))
        engine.debug('debug')
        engine.warning('warning')
        engine.error('error')
    finally:
        ours.setLevel(logging.NOTSET)

    assert records == expected
