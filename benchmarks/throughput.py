"""CPU per work item of a worker process, under a load from another process, against a sidecar in a third."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from benchmarks.process import Child, Environment
from benchmarks.sidecar import running_sidecar

ITEMS_PER_WORKFLOW = 3  # two turns and one activity
_WARM_UP = 20
_TIMEOUT_S = 180.0


@dataclass(frozen=True)
class Contestant:
    """A worker process to measure: a script of this folder, in an environment."""

    name: str
    environment: Environment
    script: str
    transport: str = ''


@dataclass(frozen=True)
class Sample:
    """One round of one contestant: CPU microseconds of its process per work item, work items per second, threads."""

    cpu_us: float
    items_per_s: float
    threads: int


def measure(contestant: Contestant, load: Environment, workflows: int, in_flight: int) -> Sample:
    """Runs one contestant once: a fresh worker, a fresh sidecar, a warm-up that is not counted, then the load."""
    with running_sidecar() as address:
        arguments = [address, contestant.transport] if contestant.transport else [address]
        with (
            Child(load, 'child_load.py', [address]) as client,
            Child(contestant.environment, contestant.script, arguments) as worker,
        ):
            worker.receive(_TIMEOUT_S)
            client.ask({'prefix': uuid.uuid4().hex, 'workflows': _WARM_UP, 'in_flight': _WARM_UP}, _TIMEOUT_S)
            worker.send('begin')
            worker.receive(_TIMEOUT_S)
            request = {'prefix': uuid.uuid4().hex, 'workflows': workflows, 'in_flight': in_flight}
            wall = client.ask(request, _TIMEOUT_S)['wall_s']
            worker.send('end')
            used = worker.receive(_TIMEOUT_S)
    items = workflows * ITEMS_PER_WORKFLOW
    return Sample(used['cpu_s'] / items * 1e6, items / wall, used['threads'])
