"""Arguments of a wrong type, or without sense, are refused by name, before any call."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from dapr.ext.workflow import DaprWorkflowClient, DaprWorkflowContext, WorkflowRuntime
from dapr.ext.workflow._durabletask.aio import WorkflowValidationError
from dapr.ext.workflow._durabletask.aio.client import AsyncTaskHubGrpcClient
from dapr.ext.workflow._durabletask.client import TaskHubGrpcClient
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext
from dapr.ext.workflow.aio import DaprWorkflowClient as AsyncDaprWorkflowClient

NO_TEXT: tuple[Any, ...] = (5, b'x', ['x'], {'a': 1}, object())
NO_ID = (None, '', *NO_TEXT)
NO_FLAG: tuple[Any, ...] = (None, 'yes', 2.5, [])
NO_SECONDS: tuple[Any, ...] = ('5', timedelta(seconds=5), [5], math.nan)
NO_MOMENT: tuple[Any, ...] = (5, '2026-01-01', timedelta(1))
NO_COUNT: tuple[Any, ...] = ('5', 2.5, True, [5])


def refused(method: str, argument: str, values: tuple[Any, ...], **others: Any) -> list[Any]:
    """One case for each value, beside the other arguments that the method needs."""
    return [
        pytest.param(method, argument, {**others, argument: value}, id=f'{method}-{argument}-{index}')
        for index, value in enumerate(values)
    ]


I = {'instance_id': 'i'}  # noqa: E741  # short, since it is in each line
CLIENT = [
    *refused('schedule_new_workflow', 'workflow', (None, 5, '', ['x'], object())),
    *refused('schedule_new_workflow', 'instance_id', ('', *NO_TEXT), workflow='w'),
    *refused('schedule_new_workflow', 'start_at', NO_MOMENT, workflow='w'),
    *refused('schedule_new_workflow', 'app_id', NO_TEXT, workflow='w'),
    *refused('schedule_new_workflow', 'timeout', NO_SECONDS, workflow='w'),
    *refused('get_workflow_state', 'instance_id', NO_ID),
    *refused('get_workflow_state', 'fetch_payloads', NO_FLAG, **I),
    *refused('get_workflow_state', 'app_id', NO_TEXT, **I),
    *(
        case
        for method in ('wait_for_workflow_start', 'wait_for_workflow_completion')
        for case in (
            *refused(method, 'instance_id', NO_ID),
            *refused(method, 'fetch_payloads', NO_FLAG, **I),
            *refused(method, 'timeout_in_seconds', NO_SECONDS, **I),
            *refused(method, 'app_id', NO_TEXT, **I),
            *refused(method, 'raise_on_stalled', NO_FLAG, **I),
        )
    ),
    *refused('raise_workflow_event', 'instance_id', NO_ID, event_name='go'),
    *refused('raise_workflow_event', 'event_name', NO_ID, **I),
    *refused('raise_workflow_event', 'app_id', NO_TEXT, event_name='go', **I),
    *refused('terminate_workflow', 'instance_id', NO_ID),
    *refused('terminate_workflow', 'recursive', NO_FLAG, **I),
    *refused('terminate_workflow', 'app_id', NO_TEXT, **I),
    *(
        case
        for method in ('pause_workflow', 'resume_workflow')
        for case in (*refused(method, 'instance_id', NO_ID), *refused(method, 'app_id', NO_TEXT, **I))
    ),
    *refused('purge_workflow', 'instance_id', NO_ID),
    *refused('purge_workflow', 'recursive', NO_FLAG, **I),
    *refused('purge_workflow', 'force', NO_FLAG, **I),
    *refused('purge_workflow', 'app_id', NO_TEXT, **I),
    *refused('purge_workflows', 'older_than', (5, '1 h', timedelta(-1))),
    *refused('purge_workflows', 'created_from', NO_MOMENT),
    *refused('purge_workflows', 'created_to', NO_MOMENT),
    *refused('purge_workflows', 'statuses', (None, 5, 'COMPLETED', ['COMPLETED'])),
    *refused('purge_workflows', 'recursive', NO_FLAG),
    *refused('purge_workflows', 'force', NO_FLAG),
    *refused('get_workflow_history', 'instance_id', NO_ID),
    *refused('list_workflow_instance_ids', 'page_size', (0, -1, *NO_COUNT)),
    *refused('list_workflow_instance_ids', 'continuation_token', NO_TEXT),
    *refused('iter_workflow_instance_ids', 'page_size', (0, -1, *NO_COUNT)),
    *refused('rerun_workflow_from_event', 'instance_id', NO_ID, event_id=1),
    *refused('rerun_workflow_from_event', 'event_id', (None, -1, *NO_COUNT), **I),
    *refused('rerun_workflow_from_event', 'new_instance_id', ('', *NO_TEXT), event_id=1, **I),
    *refused('rerun_workflow_from_event', 'new_child_workflow_instance_id', ('', *NO_TEXT), event_id=1, **I),
    *refused('rerun_workflow_from_event', 'app_id', NO_TEXT, event_id=1, **I),
    *refused('wait_for_sidecar', 'timeout', (None, *NO_SECONDS)),
]


MAKING: dict[str, tuple[Any, ...]] = {
    'host': (5, b'x', ['x']),
    'port': (2.5, b'x', ['x'], True),
    'max_grpc_message_length': NO_COUNT,
    'data_converter': (5, 'json', {}),
    'logger_options': (5, 'DEBUG', {}),
}


def _unsendable(monkeypatch: pytest.MonkeyPatch) -> None:
    def send(client: object, call: Any) -> None:
        raise AssertionError(f'{call.method} was sent')

    for kind in (TaskHubGrpcClient, AsyncTaskHubGrpcClient):
        monkeypatch.setattr(kind, '_send', send)


@pytest.mark.parametrize(('method', 'argument', 'given'), CLIENT)
@pytest.mark.parametrize('kind', [DaprWorkflowClient, AsyncDaprWorkflowClient], ids=['sync', 'async'])
def test_a_client_refuses_it_before_any_call(
    kind: type[Any], method: str, argument: str, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    _unsendable(monkeypatch)

    async def call() -> None:
        client = kind('127.0.0.1', '1')
        result = getattr(client, method)(**given)
        if inspect.isawaitable(result):
            await result
        elif inspect.isasyncgen(result):
            async for _ in result:
                pass
        elif inspect.isgenerator(result):
            list(result)

    with pytest.raises((TypeError, ValueError)) as caught:
        asyncio.run(call())
    assert named(argument, str(caught.value))


def named(argument: str, told: str) -> bool:
    """Whether an error names the argument; some say it as dapr 1.19.0 does."""
    return argument in told or argument.replace('_', ' ') in told or told == OF_THE_ORIGINAL.get(argument)


OF_THE_ORIGINAL = {
    'workflow': 'A non-empty orchestrator name is required.',
    'name': 'A non-empty orchestrator name is required.',
}


@pytest.mark.parametrize('kind', [DaprWorkflowClient, AsyncDaprWorkflowClient, WorkflowRuntime])
@pytest.mark.parametrize(
    ('argument', 'value'), [(argument, value) for argument, values in MAKING.items() for value in values]
)
def test_neither_clients_nor_runtimes_are_made_with_it(kind: type[Any], argument: str, value: Any) -> None:
    async def make() -> None:
        kind(**{'host': '127.0.0.1', 'port': '1', argument: value})

    with pytest.raises((TypeError, ValueError)) as caught:
        asyncio.run(make())
    assert argument in str(caught.value)


@pytest.mark.parametrize('kind', [DaprWorkflowClient, AsyncDaprWorkflowClient])
@pytest.mark.parametrize('argument', ['call_timeout', 'retry_timeout'])
@pytest.mark.parametrize('value', NO_SECONDS)
def test_limits_of_clients_are_seconds(kind: type[Any], argument: str, value: Any) -> None:
    async def make() -> None:
        kind('127.0.0.1', '1', **{argument: value})

    with pytest.raises((TypeError, ValueError), match=argument):
        asyncio.run(make())


def a_workflow(ctx: DaprWorkflowContext, _: Any = None) -> None: ...


RUNTIME = [
    *(
        case
        for value in ('5', [5], timedelta(seconds=5), math.nan)
        for argument in ('worker_ready_timeout', 'history_cache_ttl', 'blocked_warning_after')
        for case in refused('__init__', argument, (value,))
    ),
    *(
        case
        for argument in (
            'maximum_concurrent_activity_work_items',
            'maximum_concurrent_orchestration_work_items',
            'maximum_thread_pool_workers',
            'history_cache_max_instances',
            'history_cache_max_bytes',
        )
        for case in refused('__init__', argument, NO_COUNT)
    ),
    *(
        case
        for argument in ('disable_stateful_history', 'disable_sticky_execution')
        for case in refused('__init__', argument, NO_FLAG)
    ),
    *(
        case
        for method in ('register_workflow', 'register_async_workflow', 'register_activity')
        for case in (*refused(method, 'fn', (None, 5, 'x', int)), *refused(method, 'name', NO_TEXT, fn=a_workflow))
    ),
    *refused('register_async_workflow', 'sandbox_mode', (None, 5, 'loose'), fn=a_workflow),
    *refused('register_versioned_workflow', 'fn', (None, 5, 'x', int), name='w', version_name='1', is_latest=True),
    *refused('register_versioned_workflow', 'name', NO_ID, fn=a_workflow, is_latest=True),
    *refused('register_versioned_workflow', 'version_name', NO_TEXT, fn=a_workflow, name='w', is_latest=True),
    *refused('register_versioned_workflow', 'is_latest', NO_FLAG, fn=a_workflow, name='w'),
    *refused('start', 'timeout', NO_SECONDS),
    *refused('shutdown', 'timeout', NO_SECONDS),
    *refused('wait_for_worker_ready', 'timeout', (None, *NO_SECONDS)),
    *refused('standing', 'instance_id', NO_ID),
]


@pytest.mark.parametrize(('method', 'argument', 'given'), RUNTIME)
def test_a_runtime_refuses_it(method: str, argument: str, given: dict[str, Any]) -> None:
    call: Callable[..., Any] = partial(WorkflowRuntime, '127.0.0.1', '1')
    if method != '__init__':
        call = getattr(call(), method)
    with pytest.raises((TypeError, ValueError, WorkflowValidationError)) as caught:
        call(**given)
    told = str(caught.value)
    # What is registered is named by what it is; there is one such argument.
    assert named(argument, told) or (argument == 'fn' and ('function' in told or 'cannot be registered' in told))


CONTEXT: list[tuple[str, Callable[[Any], Any]]] = [
    ('activity', lambda ctx: ctx.call_activity(None)),
    ('activity', lambda ctx: ctx.call_activity(5)),
    ('app_id', lambda ctx: ctx.call_activity('a', app_id=5)),
    ('retry_policy', lambda ctx: ctx.call_activity('a', retry_policy=5)),
    ('propagation', lambda ctx: ctx.call_activity('a', propagation=5)),
    ('timeout', lambda ctx: ctx.call_activity('a', timeout='5')),
    ('workflow', lambda ctx: ctx.call_child_workflow(None)),
    ('workflow', lambda ctx: ctx.call_child_workflow(5)),
    ('instance_id', lambda ctx: ctx.call_child_workflow('a', instance_id=5)),
    ('app_id', lambda ctx: ctx.call_child_workflow('a', app_id=5)),
    ('retry_policy', lambda ctx: ctx.call_child_workflow('a', retry_policy=5)),
    ('timeout', lambda ctx: ctx.call_child_workflow('a', timeout=[])),
    ('fire_at', lambda ctx: ctx.create_timer(None)),
    ('fire_at', lambda ctx: ctx.create_timer('1 h')),
    ('name', lambda ctx: ctx.wait_for_external_event(None)),
    ('timeout', lambda ctx: ctx.wait_for_external_event('go', timeout='1 h')),
    ('patch_name', lambda ctx: ctx.is_patched(None)),
    ('patch_name', lambda ctx: ctx.is_patched(5)),
    ('save_events', lambda ctx: ctx.continue_as_new(1, save_events='yes')),
    ('length', lambda ctx: ctx.random_string('5')),
    ('min_value', lambda ctx: ctx.random_int('1', 6)),
    ('workflow', lambda ctx: ctx.schedule_new_workflow(None)),
    ('instance_id', lambda ctx: ctx.schedule_new_workflow('a', instance_id=5)),
    ('start_at', lambda ctx: ctx.schedule_new_workflow('a', start_at=5)),
    ('app_id', lambda ctx: ctx.schedule_new_workflow('a', app_id=5)),
    ('instance_id', lambda ctx: ctx.send_event(None, 'go')),
    ('name', lambda ctx: ctx.send_event('i', 5)),
]


@pytest.mark.parametrize(('argument', 'call'), CONTEXT)
def test_a_context_refuses_it(argument: str, call: Callable[[Any], Any]) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        call(DaprWorkflowContext(_RuntimeOrchestrationContext('i')))
    assert argument in str(caught.value)
