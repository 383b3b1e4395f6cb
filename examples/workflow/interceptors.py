"""Code around workflows and activities that knows nothing of them: an audit log, a timing, a check of permissions."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Any

from dapr.ext.workflow import (
    BaseClientInterceptor,
    BaseRuntimeInterceptor,
    BaseWorkflowOutboundInterceptor,
    CallActivityRequest,
    DaprWorkflowClient,
    DaprWorkflowContext,
    ExecuteActivityRequest,
    ExecuteWorkflowRequest,
    ScheduleWorkflowRequest,
    WorkflowActivityContext,
    WorkflowRuntime,
)
from local_sidecar import use_sidecar

Next = Callable[[Any], Any]

use_sidecar()


class Audit(BaseWorkflowOutboundInterceptor[Any, Any]):
    """Notes each call once: a replay makes it again."""

    def call_activity(self, request: CallActivityRequest[Any], next: Next) -> Any:
        if not request.is_replaying:
            print(f'audit: {request.workflow_ctx.instance_id} calls {request.activity_name}({request.input!r})')
        return next(request)


class Timing(BaseRuntimeInterceptor[Any, Any]):
    """Is async, and so is around the whole of an activity, sync or async, and of a workflow of any kind."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    async def execute_activity(self, request: ExecuteActivityRequest[Any], next: Next) -> Any:
        began = time.perf_counter()
        try:
            return await next(request)
        finally:
            self.seconds[request.ctx.activity_name] = time.perf_counter() - began

    async def execute_workflow(self, request: ExecuteWorkflowRequest[Any], next: Next) -> Any:
        # By the workflow's own clock: another one would say something else in each replay.
        began = request.ctx.current_utc_datetime
        result = await next(request)
        took = request.ctx.current_utc_datetime - began
        if not request.is_replaying:
            print(f'timing: {request.ctx.workflow_name} was done within a minute: {took.total_seconds() < 60}')
        return result


class Permissions(BaseRuntimeInterceptor[Any, Any]):
    """Lets no refund of more than 100 through, whatever workflow asks for it."""

    def execute_activity(self, request: ExecuteActivityRequest[Any], next: Next) -> Any:
        if request.ctx.activity_name == 'refund' and request.input > 100:
            raise PermissionError(f'a refund of {request.input} takes a human')
        return next(request)


class Named(BaseClientInterceptor[Any]):
    """Gives each instance an id that says what it is."""

    def schedule_new_workflow(self, request: ScheduleWorkflowRequest[Any], next: Next) -> Any:
        request.instance_id = request.instance_id or f'{request.workflow_name}-{request.input}'
        return next(request)


timing = Timing()
runtime = WorkflowRuntime(runtime_interceptors=[timing, Permissions()], outbound_interceptors=[Audit()])


@runtime.workflow
def complaint(ctx: DaprWorkflowContext, amount: int) -> Generator[Any, Any, Any]:
    yield ctx.call_activity(apologise)
    return (yield ctx.call_activity(refund, input=amount))


@runtime.activity
async def apologise(ctx: WorkflowActivityContext) -> None:
    print('  we are sorry')


@runtime.activity
def refund(ctx: WorkflowActivityContext, amount: int) -> str:
    return f'{amount} are back'


def main() -> None:
    with runtime, DaprWorkflowClient(client_interceptors=[Named()]) as client:
        for amount in (20, 2000):
            state = client.wait_for_workflow_completion(
                client.schedule_new_workflow(complaint, input=amount), timeout_in_seconds=30
            )
            assert state is not None
            outcome = state.failure_details.message if state.failure_details else state.serialized_output
            print(f'{state.instance_id} {state.runtime_status.name}: {outcome}')
    print(f'timing: of {", ".join(sorted(timing.seconds))}, none took a second: {max(timing.seconds.values()) < 1}')


if __name__ == '__main__':
    main()
