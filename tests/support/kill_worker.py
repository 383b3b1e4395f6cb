"""The worker that `tests.support.kills` kills: run by path with the sidecar's address; ends when its input does.

What its workflows come to, and which events that commits, is known beforehand: see `kills.LOADS`.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Generator
from datetime import timedelta
from typing import Any

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.transport import stream
from dapr.ext.workflow._durabletask.transport.backoff import Backoff
from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker

Workflow = Generator[task.Task[Any], Any, Any]

POLICY = task.RetryPolicy(first_retry_interval=timedelta(milliseconds=20), max_number_of_attempts=3)


def double(ctx: task.ActivityContext, value: int) -> int:
    return 2 * value


def flaky(ctx: task.ActivityContext, value: int) -> int:
    """Fails at its first attempt, which has the id 1 whoever makes it."""
    if ctx.task_id == 1:
        raise ValueError('on purpose')
    return 2 * value


def steps(ctx: task.OrchestrationContext, count: int) -> Workflow:
    results = []
    for number in range(count):
        results.append((yield ctx.call_activity(double, input=number)))
    return results


def fan(ctx: task.OrchestrationContext, count: int) -> Workflow:
    return (yield task.when_all([ctx.call_activity(double, input=number) for number in range(count)]))


def timers(ctx: task.OrchestrationContext, count: int) -> Workflow:
    for _ in range(count):
        yield ctx.create_timer(timedelta(milliseconds=20))
    return (yield ctx.call_activity(double, input=count))


def family(ctx: task.OrchestrationContext, count: int) -> Workflow:
    results = []
    for _ in range(count):
        results.append((yield ctx.call_sub_orchestrator(steps, input=2)))
    return results


def generations(ctx: task.OrchestrationContext, left: int) -> Workflow:
    result = yield ctx.call_activity(double, input=left)
    if left > 0:
        ctx.continue_as_new(left - 1)
        return None
    return result


def retried(ctx: task.OrchestrationContext, value: int) -> Workflow:
    return (yield ctx.call_activity(flaky, input=value, retry_policy=POLICY))


def main(address: str) -> None:
    # A sidecar that is killed all the time is no reason to wait for long.
    setattr(stream, 'Backoff', functools.partial(Backoff, first=0.02, longest=0.1))  # noqa: B010
    with TaskHubGrpcWorker(host_address=address, stop_timeout=5, log_handler=logging.NullHandler()) as worker:
        for workflow in (steps, fan, timers, family, generations, retried):
            worker.add_orchestrator(workflow)
        for activity in (double, flaky):
            worker.add_activity(activity)
        worker.start()
        print('ready', flush=True)  # noqa: T201
        sys.stdin.read()


if __name__ == '__main__':
    main(sys.argv[1])
