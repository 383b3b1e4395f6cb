"""A worker, ours or the peer's, for the bench on daprd. `child_daprd_worker.py ADDRESS`.

It says `{"ready": true}` when it takes work items. It answers each line on stdin with `{"cpu_s": float, "peak_mb":
float}`: the CPU time of the whole process since the line before, and the most memory that it has had so far.
"""

from __future__ import annotations

import json
import resource
import sys
from typing import Any

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker


def echo(ctx: Any, value: Any) -> Any:
    return value


def sequence(ctx: Any, steps: int) -> Any:
    total = 0
    for step in range(steps):
        total += yield ctx.call_activity('echo', input=step)
    return total


def fan_out(ctx: Any, branches: int) -> Any:
    results = yield task.when_all([ctx.call_activity('echo', input=branch) for branch in range(branches)])
    return sum(results)


def one_activity(ctx: Any, value: int) -> Any:
    return (yield ctx.call_activity('echo', input=value))


def main() -> None:
    worker = TaskHubGrpcWorker(host_address=sys.argv[1])
    for workflow in (sequence, fan_out, one_activity):
        worker.add_orchestrator(workflow)
    worker.add_activity(echo)
    worker.start()
    try:
        print(json.dumps({'ready': True}), flush=True)
        before = 0.0
        for _ in sys.stdin:
            used = resource.getrusage(resource.RUSAGE_SELF)
            cpu = used.ru_utime + used.ru_stime
            print(json.dumps({'cpu_s': cpu - before, 'peak_mb': used.ru_maxrss / 1024}), flush=True)
            before = cpu
    finally:
        worker.stop()


if __name__ == '__main__':
    main()
