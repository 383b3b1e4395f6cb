"""A worker, ours or the peer's, that runs one activity after another. `child_sticky_worker.py ADDRESS [replay]`.

`replay` has ours replay each turn. It says `{"ready": true}` when it takes work items. It answers each line on stdin
with `{"cpu_s": float, "wall_s": float, "steps": int}`: the CPU time of the whole process, the time, and the activities
run, since the line before.
"""

from __future__ import annotations

import itertools
import json
import resource
import sys
import time
from typing import Any

from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker

_steps = itertools.count(1)
_last_step = 0


def echo(ctx: Any, value: Any) -> Any:
    global _last_step
    _last_step = next(_steps)  # one at a time: the workflow waits for each
    return value


def sequence(ctx: Any, steps: int) -> Any:
    total = 0
    for step in range(steps):
        total += yield ctx.call_activity('echo', input=step)
    return total


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    address, *mode = sys.argv[1:]
    options: dict[str, Any] = {'disable_sticky_execution': True} if mode == ['replay'] else {}
    worker = TaskHubGrpcWorker(host_address=address, **options)
    worker.add_orchestrator(sequence)
    worker.add_activity(echo)
    worker.start()
    try:
        print(json.dumps({'ready': True}), flush=True)
        cpu, wall, steps = _cpu_seconds(), time.monotonic(), _last_step
        for _ in sys.stdin:
            before = cpu, wall, steps
            cpu, wall, steps = _cpu_seconds(), time.monotonic(), _last_step
            used = {'cpu_s': cpu - before[0], 'wall_s': wall - before[1], 'steps': steps - before[2]}
            print(json.dumps(used), flush=True)
    finally:
        worker.stop()


if __name__ == '__main__':
    main()
