"""What dapr 1.19.0 says to users, packages look for in errors: its words stand in ours, before the advice."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from dapr.ext.workflow import RetryPolicy, WorkflowRuntime, alternate_name
from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.activity import _ActivityExecutor
from dapr.ext.workflow._durabletask.client import OrchestrationStatus, WorkflowState
from dapr.ext.workflow._durabletask.clients import requests
from dapr.ext.workflow._durabletask.contexts import get_name
from dapr.ext.workflow._durabletask.deterministic import DeterministicContextMixin
from dapr.ext.workflow._durabletask.failures import FailureDetails
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.propagation import PropagatedHistory
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from dapr.ext.workflow._durabletask.retry import RetryPolicy as EngineRetryPolicy
from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker
from dapr.ext.workflow._model_protocol import coerce_to_model, dump_model
from dapr.ext.workflow.mcp import DaprMCPClient
from tests.support.engine import (
    LOGGER,
    START,
    Driver,
    child_created,
    execution_started,
    failure_of,
    task_scheduled,
    timer_created,
    workflow_started,
)

Raises = Callable[[], Any]
SECONDS = timedelta(seconds=1)


class Deterministic(DeterministicContextMixin):
    def __init__(self) -> None:
        self._instance_id = 'i'


def order(ctx: Any, _: Any) -> None: ...


def other(ctx: Any, _: Any) -> None: ...


def charge(ctx: Any, _: Any) -> None: ...


async def looks_async(ctx: Any, _: Any) -> None: ...


def _registry() -> _Registry:
    registry = _Registry()
    registry.add_orchestrator(order)
    registry.add_activity(charge)
    registry.add_orchestrator(other, version_name='v1')
    return registry


def _worker(is_running: bool = False) -> TaskHubGrpcWorker:
    worker = TaskHubGrpcWorker(host_address='localhost:0')
    if is_running:
        worker._run = SimpleNamespace()  # type: ignore[assignment]
    return worker


def _runtime() -> WorkflowRuntime:
    runtime = WorkflowRuntime(host='localhost', port='0')
    runtime.register_workflow(order)
    runtime.register_activity(charge)
    return runtime


def _renamed() -> Any:
    def fn(ctx: Any, _: Any) -> None: ...

    return alternate_name('first')(fn)


def _composite(*of: task.Task[Any]) -> Any:
    return task.when_all(list(of))


def _pending() -> task.CompletableTask[Any]:
    return task.CompletableTask()


def _completed() -> task.CompletableTask[Any]:
    done: task.CompletableTask[Any] = task.CompletableTask()
    done.complete(1)
    return done


def _held() -> Any:
    pending = _pending()
    first = task.when_all([pending, _pending()])
    return _composite(pending), first


def _sub_history() -> PropagatedHistory:
    history = PropagatedHistory.from_proto(
        pb.PropagatedHistory(chunks=[pb.PropagatedHistoryChunk(appId='a', instanceId='i', workflowName='order')])
    )
    assert history is not None
    return history


def _execute(fn: Any) -> Any:
    return _ActivityExecutor(LOGGER).execute(fn, 'i', 'charge', 1, None)


def _failed_state() -> None:
    state = WorkflowState(
        'i',
        'order',
        OrchestrationStatus.FAILED,
        None,  # type: ignore[arg-type]
        None,  # type: ignore[arg-type]
        None,
        None,
        None,
        FailureDetails('boom', 'ValueError', None),
    )
    state.raise_if_failed()


TEXTS: list[tuple[str, Raises]] = [
    ('page_size must be between 1 and 4294967295, got 0.', lambda: requests.list_ids(0, None)),
    (
        'event_id must be between 0 and 4294967295, got -1.',
        lambda: requests.rerun('i', -1, None, None, False, None, None),
    ),
    (
        'new_instance_id must be a non-empty ID or None, got an empty string.',
        lambda: requests.rerun('i', 1, '', None, False, None, None),
    ),
    ("Orchestration 'i' failed: boom", _failed_state),
    ('min_value must be <= max_value', lambda: Deterministic().random_int(2, 1)),
    ('length must be non-negative', lambda: Deterministic().random_string(-1)),
    ('alphabet must not be empty', lambda: Deterministic().random_string(1, alphabet='')),
    ('Cannot choose from empty sequence', lambda: Deterministic().random_choice([])),
    (
        'Cannot infer a name from a lambda function. Please provide a name explicitly',
        lambda: get_name(lambda ctx, _: None),
    ),
    ('The task has not completed.', lambda: _pending().get_result()),
    ('The task has not failed.', lambda: _completed().get_exception()),
    ('The task has already completed.', lambda: _completed().complete(2)),
    (
        'the same task instance was passed to when_all/when_any more than once',
        lambda: (lambda one: _composite(one, one))(_pending()),
    ),
    ('a pending task passed to when_all/when_any already belongs to another pending composite', _held),
    *(
        (text, lambda kind=kind, values=values: kind(**{'first_retry_interval': SECONDS, **values}))
        for kind in (RetryPolicy, EngineRetryPolicy)
        for text, values in (
            ('first_retry_interval must be >= 0', {'first_retry_interval': -SECONDS, 'max_number_of_attempts': 1}),
            ('max_number_of_attempts must be >= 1', {'max_number_of_attempts': 0}),
            ('backoff_coefficient must be >= 1', {'max_number_of_attempts': 1, 'backoff_coefficient': 0.5}),
            ('max_retry_interval must be >= 0', {'max_number_of_attempts': 1, 'max_retry_interval': -SECONDS}),
            ('retry_timeout must be >= 0', {'max_number_of_attempts': 1, 'retry_timeout': -SECONDS}),
        )
    ),
    ('An orchestrator function argument is required.', lambda: _registry().add_orchestrator(None)),  # type: ignore[arg-type]
    ('A non-empty orchestrator name is required.', lambda: _registry().add_named_orchestrator('', order)),
    ("A 'order' orchestrator already exists.", lambda: _registry().add_orchestrator(order)),
    (
        "The version 'v1' of 'other' orchestrator already exists.",
        lambda: _registry().add_orchestrator(other, version_name='v1'),
    ),
    ('An activity function argument is required.', lambda: _registry().add_activity(None)),  # type: ignore[arg-type]
    ('A non-empty activity name is required.', lambda: _registry().add_named_activity('', charge)),
    ("A 'charge' activity already exists.", lambda: _registry().add_activity(charge)),
    (
        'Orchestrators cannot be added while the worker is running.',
        lambda: _worker(is_running=True).add_orchestrator(order),
    ),
    ('Activities cannot be added while the worker is running.', lambda: _worker(is_running=True).add_activity(charge)),
    ('The worker is already running.', lambda: _worker(is_running=True).start()),
    ("Activity function named 'charge' was not registered!", lambda: _execute(None)),
    ("Activity 'charge' returned a coroutine on the sync path", lambda: _execute(lambda ctx, _: looks_async(ctx, _))),
    ('Workflow order already registered as order', lambda: _runtime().register_workflow(order)),
    ('Activity charge already registered as charge', lambda: _runtime().register_activity(charge)),
    ('Function fn already has an alternate name first', lambda: alternate_name('second')(_renamed())),
    ('timeout_in_seconds must be a positive integer', lambda: DaprMCPClient(timeout_in_seconds=0)),
    (
        "no activity named 'ship' in propagated history for workflow 'order'",
        lambda: _sub_history().get_workflows()[0].get_last_activity_by_name('ship'),
    ),
    (
        "no child workflow named 'pay' in propagated history for workflow 'order'",
        lambda: _sub_history().get_workflows()[0].get_last_child_workflow_by_name('pay'),
    ),
    (
        "no workflow named 'none' in propagated history",
        lambda: _sub_history().get_last_workflow_by_name('none'),
    ),
    (
        'propagated history: chunk 0 has empty appId',
        lambda: PropagatedHistory.from_proto(pb.PropagatedHistory(chunks=[pb.PropagatedHistoryChunk()])),
    ),
    (
        'Expected a model-like object with model_dump/model_validate, got int',
        lambda: dump_model(1),
    ),
    ('is not a model class (no model_dump/model_validate)', lambda: coerce_to_model({}, int)),
]


@pytest.mark.parametrize(('text', 'raises'), TEXTS, ids=[text[:50] for text, _ in TEXTS])
def test_its_words_stand_in_ours(text: str, raises: Raises) -> None:
    with pytest.raises(Exception, match=re.escape(text)):
        raises()


def _asks_for(kind: str) -> Callable[..., Any]:
    def workflow(ctx: Any, _: Any) -> Generator[Any, Any, None]:
        if kind == 'activity':
            yield ctx.call_activity('mine')
        elif kind == 'child':
            yield ctx.call_sub_orchestrator('mine')
        elif kind == 'timer':
            yield ctx.create_timer(SECONDS)
        elif kind == 'no task':
            yield 5

    return workflow


RECORDED = {
    'activity': task_scheduled(1, 'its'),
    'child': child_created(1, 'its'),
    'timer': timer_created(1, START),
}
METHODS = {'activity': 'call_activity', 'child': 'call_sub_orchestrator', 'timer': 'create_timer'}


@pytest.mark.parametrize('recorded', RECORDED)
@pytest.mark.parametrize('asked', [*RECORDED, 'nothing'])
def test_so_they_do_where_a_replay_leaves_its_history(recorded: str, asked: str) -> None:
    if recorded == asked == 'timer':
        return  # the same
    driver = Driver(_asks_for(asked))
    driver.committed = [workflow_started(), execution_started('workflow'), RECORDED[recorded]]
    message = failure_of(driver.turn()).errorMessage
    if asked == 'nothing':
        expected = (
            f"A previous execution called {METHODS[recorded]} with ID=1, but the current execution doesn't have this "
            'action with this ID.'
        )
    elif asked == recorded:
        expected = (
            'Failed to restore orchestration state due to a history mismatch: A previous execution called '
            f"{METHODS[recorded]} with name='its' and sequence number 1, but the current execution is instead trying "
            "to call mine as part of rebuilding it's history."
        )
    else:
        expected = (
            'Failed to restore orchestration state due to a history mismatch: A previous execution called '
            f'{METHODS[recorded]} with ID=1, but the current execution is instead trying to call {METHODS[asked]} as '
            "part of rebuilding it's history."
        )
    assert message.startswith(expected)


def test_so_they_do_where_nobody_registered_a_workflow() -> None:
    driver = Driver(_asks_for('nothing'))
    driver._started = execution_started('workflw')
    message = failure_of(driver.start()).errorMessage
    assert message.startswith("A 'workflw' orchestrator was not registered.")
    assert message.endswith("Did you mean 'workflow'?")


def test_so_they_do_where_a_workflow_yields_no_task() -> None:
    assert (
        'The orchestrator generator yielded a non-Task object'
        in failure_of(Driver(_asks_for('no task')).start()).errorMessage
    )
