"""What is taken for an async workflow, and how it is registered."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from dapr.ext.workflow import WorkflowRuntime, alternate_name
from dapr.ext.workflow._durabletask.aio import WorkflowValidationError
from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker
from dapr.ext.workflow.aio import AsyncWorkflowContext
from tests.support.async_engine import called
from tests.support.engine import Driver, output, task_completed


async def function(ctx: AsyncWorkflowContext, name: str) -> Any:
    return await ctx.call_activity('greet', input=name)


async def without_input(ctx: AsyncWorkflowContext) -> Any:
    return await ctx.call_activity('greet')


class Workflows:
    async def method(self, ctx: AsyncWorkflowContext, name: str) -> Any:
        return await ctx.call_activity('greet', input=name)

    async def __call__(self, ctx: AsyncWorkflowContext, name: str) -> Any:
        return await ctx.call_activity('greet', input=name)


async def with_more(more: int, ctx: AsyncWorkflowContext, name: str) -> Any:
    return await ctx.call_activity('greet', input=name)


def looks_sync(ctx: AsyncWorkflowContext, name: str) -> Any:
    return function(ctx, name)


def greets(registry: Any, name: str) -> None:
    def named() -> None: ...

    named.__name__ = name
    running = Driver(named, '"you"', registry=registry)
    assert called(running.start()) == ['greet']
    assert output(running.turn(task_completed(1, 'hello'))) == 'hello'


@pytest.mark.parametrize(
    'workflow', [function, Workflows().method, Workflows(), functools.partial(with_more, 1), without_input]
)
def test_a_runtime_takes_each_kind_of_async_callable(workflow: Callable[..., Any]) -> None:
    runtime = WorkflowRuntime(host='localhost', port='1')
    runtime.register_workflow(workflow, name='greeter')
    runtime.register_versioned_workflow(workflow_copy(workflow), name='versioned', version_name='v1', is_latest=True)
    greets(runtime._registry, 'greeter')
    greets(runtime._registry, 'versioned')


def workflow_copy(workflow: Callable[..., Any]) -> Callable[..., Any]:
    return functools.partial(workflow)


@pytest.mark.parametrize('workflow', [function, Workflows().method])
def test_a_worker_takes_async_functions_and_methods(workflow: Callable[..., Any]) -> None:
    worker = TaskHubGrpcWorker(host_address='localhost:1')
    assert worker.add_orchestrator(workflow) == workflow.__name__
    greets(worker._registry, workflow.__name__)


def test_what_does_not_look_async_is_registered_as_such_by_hand() -> None:
    worker = TaskHubGrpcWorker(host_address='localhost:1')
    assert worker.add_async_orchestrator(looks_sync) == 'looks_sync'
    assert worker.add_async_orchestrator(functools.partial(with_more, 1), name='partial') == 'partial'
    runtime = WorkflowRuntime(host='localhost', port='1')
    runtime.register_async_workflow(looks_sync)
    greets(worker._registry, 'looks_sync')
    greets(worker._registry, 'partial')
    greets(runtime._registry, 'looks_sync')


def test_decorators_leave_the_function_as_it_is() -> None:
    runtime = WorkflowRuntime(host='localhost', port='1')

    @runtime.workflow
    async def one(ctx: AsyncWorkflowContext, name: str) -> Any:
        return await function(ctx, name)

    @runtime.async_workflow(name='other_name')
    async def other(ctx: AsyncWorkflowContext, name: str) -> Any:
        return await function(ctx, name)

    assert (one.__name__, other.__name__) == ('one', 'other')
    greets(runtime._registry, 'one')
    greets(runtime._registry, 'other_name')


def test_workflows_and_activities_are_called_by_their_alternate_names() -> None:
    runtime = WorkflowRuntime(host='localhost', port='1')

    @alternate_name('greet')
    def activity(ctx: Any) -> None: ...

    @alternate_name('child')
    async def child(ctx: AsyncWorkflowContext) -> None: ...

    async def parent(ctx: AsyncWorkflowContext) -> None:
        ctx.activity(activity)
        await ctx.sub_orchestrator(child)

    runtime.register_workflow(parent)
    named = Driver(parent, registry=runtime._registry)
    assert called(named.start()) == ['greet', 'child']


def test_a_name_is_taken_once_and_a_mode_must_be_one() -> None:
    worker = TaskHubGrpcWorker(host_address='localhost:1')
    worker.add_async_orchestrator(function)
    with pytest.raises(ValueError, match='already exists'):
        worker.add_orchestrator(function)
    with pytest.raises(WorkflowValidationError, match='sandbox_mode'):
        worker.add_async_orchestrator(looks_sync, sandbox_mode='tight')  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='is required'):
        worker.add_async_orchestrator(None)  # type: ignore[arg-type]
