"""Changing a workflow while instances of it are running: patches inside one function, versions side by side.

An instance keeps the way it began with. Here the worker is stopped in mid-run and comes back with newer code, as in a
deployment: what began on the old code ends on the old path, what begins now takes the new one.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from dapr.ext.workflow._durabletask import client, task, worker

Workflow = Generator[task.Task[Any], Any, Any]


def ship(ctx: task.ActivityContext, how: str) -> str:
    return f'shipped by {how}'


def before(ctx: task.OrchestrationContext, _: None) -> Workflow:
    yield ctx.wait_for_external_event('paid')
    return (yield ctx.call_activity(ship, input='train'))


def after(ctx: task.OrchestrationContext, _: None) -> Workflow:
    # Asked where the two paths part. An instance whose history goes past this place answers False, for good.
    new_path = ctx.is_patched('ship-by-air')
    yield ctx.wait_for_external_event('paid')
    return (yield ctx.call_activity(ship, input='air' if new_path else 'train'))


def report_v1(ctx: task.OrchestrationContext, _: None) -> Workflow:
    yield ctx.wait_for_external_event('paid')
    return 'report, version 1'


def report_v2(ctx: task.OrchestrationContext, _: None) -> Workflow:
    yield ctx.wait_for_external_event('paid')
    return 'report, version 2'


def new_worker(delivery: Callable[..., Workflow], *versions: tuple[str, Callable[..., Workflow]]) -> Any:
    """A worker with this code: the last of the versions is the latest."""
    w = worker.TaskHubGrpcWorker()
    w._registry.add_named_orchestrator('delivery', delivery)
    for name, report in versions:
        w._registry.add_named_orchestrator('report', report, version_name=name, is_latest=True)
    w.add_activity(ship)
    return w


def main() -> None:
    with client.TaskHubGrpcClient() as c:
        with new_worker(before, ('v1', report_v1)) as w:
            w.start()
            began_before = [c.schedule_new_orchestration('delivery'), c.schedule_new_orchestration('report')]
            for instance_id in began_before:
                c.wait_for_orchestration_start(instance_id, timeout=30)

        with new_worker(after, ('v1', report_v1), ('v2', report_v2)) as w:
            w.start()
            began_after = [c.schedule_new_orchestration('delivery'), c.schedule_new_orchestration('report')]
            for title, instance_ids in (('old instances', began_before), ('new instances', began_after)):
                for instance_id in instance_ids:
                    c.raise_orchestration_event(instance_id, 'paid')
                    state = c.wait_for_orchestration_completion(instance_id, timeout=30)
                    assert state is not None
                    state.raise_if_failed()
                    print(f'{title}: {state.serialized_output}')


if __name__ == '__main__':
    main()
