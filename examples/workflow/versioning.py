"""Changing workflows while instances of them are running: by patches inside one function, or by versions side by side.

An instance stays on the way it began. Here one runtime is shut down and another one, with newer code, takes its place,
as in a deployment: what began on the old code ends on the old way, what begins now takes the new one.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from dapr.ext.workflow import DaprWorkflowClient, DaprWorkflowContext, WorkflowActivityContext, WorkflowRuntime
from local_sidecar import use_sidecar


def ship(ctx: WorkflowActivityContext, by: str) -> str:
    return f'shipped by {by}'


def delivery_before(ctx: DaprWorkflowContext, _: None) -> Generator[Any, Any, str]:
    yield ctx.wait_for_external_event('paid')
    shipped: str = yield ctx.call_activity(ship, input='train')
    return shipped


def delivery_after(ctx: DaprWorkflowContext, _: None) -> Generator[Any, Any, str]:
    # Asked where the ways part. An instance whose history goes past this place answers False, for good.
    by_air = ctx.is_patched('ship by air')
    yield ctx.wait_for_external_event('paid')
    shipped: str = yield ctx.call_activity(ship, input='air' if by_air else 'train')
    return shipped


def invoice_v1(ctx: DaprWorkflowContext, _: None) -> Generator[Any, Any, str]:
    yield ctx.wait_for_external_event('paid')
    return 'invoice on paper'


def invoice_v2(ctx: DaprWorkflowContext, _: None) -> Generator[Any, Any, str]:
    yield ctx.wait_for_external_event('paid')
    return 'invoice by mail'


def runtime_of_old_code() -> WorkflowRuntime:
    runtime = WorkflowRuntime()
    runtime.register_activity(ship)
    runtime.register_workflow(delivery_before, name='delivery')
    runtime.register_versioned_workflow(invoice_v1, name='invoice', version_name='v1', is_latest=True)
    return runtime


def runtime_of_new_code() -> WorkflowRuntime:
    runtime = WorkflowRuntime()
    runtime.register_activity(ship)
    runtime.register_workflow(delivery_after, name='delivery')
    runtime.register_versioned_workflow(invoice_v1, name='invoice', version_name='v1', is_latest=False)
    runtime.register_versioned_workflow(invoice_v2, name='invoice', version_name='v2', is_latest=True)
    return runtime


def main() -> None:
    use_sidecar()
    names = ('delivery', 'invoice')
    with DaprWorkflowClient() as client:
        with runtime_of_old_code():
            old = [client.schedule_new_workflow(name) for name in names]
        with runtime_of_new_code():
            new = [client.schedule_new_workflow(name) for name in names]
            for title, instance_ids in (('began before', old), ('began after', new)):
                for instance_id in instance_ids:
                    client.raise_workflow_event(instance_id, 'paid')
                    state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=30)
                    assert state is not None
                    print(f'{title}: {state.serialized_output}')


if __name__ == '__main__':
    main()
