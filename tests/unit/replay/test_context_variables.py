"""Context variables that a workflow sets are its own: they go with it from thread to thread, and no other sees them."""

from __future__ import annotations

import decimal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import TypeVar

from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
from dapr.ext.workflow._durabletask.replay.instance import WorkflowInstance
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from tests.support.engine import execution_started, output, task_completed, task_scheduled, workflow_started
from tests.support.scenarios import Workflow

T = TypeVar('T')

PLACE: ContextVar[str] = ContextVar('PLACE', default='nowhere')


def sets(ctx: Context, _: None) -> Workflow:
    token = PLACE.set('here')
    try:
        with decimal.localcontext() as arithmetic:
            arithmetic.prec = 3
            yield ctx.call_activity('step')
            return [PLACE.get(), str(decimal.Decimal(1) / 3)]
    finally:
        PLACE.reset(token)


def reads(ctx: Context, _: None) -> Workflow:
    yield ctx.call_activity('step')
    return PLACE.get()


def instance_of(workflow: Callable[..., Workflow]) -> WorkflowInstance:
    registry = _Registry()
    registry.add_orchestrator(workflow)
    instance = WorkflowInstance(registry, 'i')
    instance.run([workflow_started(), execution_started(workflow.__name__)])
    return instance


def end(instance: WorkflowInstance) -> object:
    instance.replay([task_scheduled(1, 'step')])
    return output(instance.run([workflow_started(), task_completed(1)]))


def elsewhere(call: Callable[[], T]) -> T:
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(call).result()


def test_they_go_with_a_kept_workflow_to_the_thread_of_its_next_turn() -> None:
    instance = elsewhere(lambda: instance_of(sets))
    assert elsewhere(lambda: end(instance)) == ['here', '0.333']


def test_they_are_there_when_it_is_closed_on_another_thread() -> None:
    instance = elsewhere(lambda: instance_of(sets))
    assert elsewhere(instance.close) is None


def test_other_workflows_on_the_thread_do_not_see_them() -> None:
    kept = [instance_of(sets), instance_of(reads)]
    assert end(kept[1]) == 'nowhere'
    assert end(kept[0]) == ['here', '0.333']
