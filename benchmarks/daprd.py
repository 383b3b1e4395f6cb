"""Whole workflows on a production daprd: wall time, and CPU and memory of the worker's process, beside the peer's.

Each worker has a daprd of its own, with a fresh SQLite store, a placement service and a scheduler. The workers take
turns within each load, and the loads within each round, so that both see the same machine.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

import grpc
import grpc.aio

from benchmarks.process import Child, Environment
from benchmarks.report import print_table
from dapr.ext.workflow._durabletask.internal import protos as pb
from tools.daprd_sidecar import Daprd, daprd

# No load takes longer, finished or not.
_LIMIT_S: Final = 600.0
_CALL_S: Final = 60.0
_ANSWER_S: Final = 60.0
# Actors are served some ten seconds after a worker has come to a new daprd.
_SERVED_S: Final = 60.0
_SERVICE: Final = '/TaskHubSidecarService/'


@dataclass(frozen=True)
class Load:
    """What a worker is given.

    Attributes:
        title: What the table calls it.
        workflow: The workflow that is run.
        input: Its input.
        workflows: How many of them.
        in_flight: How many at a time.
    """

    title: str
    workflow: str
    input: int
    workflows: int = 1
    in_flight: int = 1


LOADS: Final = (
    Load('a chain of 1,000 activities', 'sequence', 1_000),
    Load('a fan-out of 1,000 activities', 'fan_out', 1_000),
    Load('100 workflows of one activity, one at a time', 'one_activity', 1, 100, 1),
    Load('500 workflows of one activity, 100 in flight', 'one_activity', 1, 500, 100),
)


@dataclass(frozen=True)
class Sample:
    """What one load took.

    Attributes:
        load: Its title.
        worker: Whose worker.
        wall_s: Seconds from the start to the last end.
        cpu_s: CPU seconds of the worker's process in that time.
    """

    load: str
    worker: str
    wall_s: float
    cpu_s: float


def run(ours: Environment, peer: Environment, rounds: int) -> dict[str, Any]:
    """Runs each load for each worker, and prints what they took side by side: medians of at most three rounds.

    Raises:
        FileNotFoundError: There is no daprd: `make daprd` builds it.
    """
    rounds = min(rounds, 3)
    with _served(ours) as (our_address, our_worker), _served(peer) as (its_address, its_worker):
        pairs = [
            (
                load,
                _sample('ours', our_address, our_worker, load),
                _sample('peer', its_address, its_worker, load),
            )
            for _ in range(rounds)
            for load in LOADS
        ]
        peaks = {'ours': our_worker.ask('end', _ANSWER_S), 'peer': its_worker.ask('end', _ANSWER_S)}
    medians = [_medians([(mine, its) for of, mine, its in pairs if of is load]) for load in LOADS]
    print_table(
        f'On {daprd().version}: medians of {rounds} rounds',
        ['load', 'ours: wall, CPU', 'peer: wall, CPU', 'wall: peer / ours', 'CPU: peer / ours'],
        [
            [
                mine.load,
                f'{mine.wall_s:.1f} s, {mine.cpu_s:.2f} s',
                f'{its.wall_s:.1f} s, {its.cpu_s:.2f} s',
                f'{its.wall_s / mine.wall_s:.1f}',
                f'{its.cpu_s / mine.cpu_s:.1f}',
            ]
            for mine, its in medians
        ],
    )
    memory = {name: used['peak_mb'] for name, used in peaks.items()}
    print_table('The most memory of the worker', ['worker', 'MB'], [[name, f'{mb:.0f}'] for name, mb in memory.items()])
    return {
        'samples': [[dataclasses.asdict(mine), dataclasses.asdict(its)] for _, mine, its in pairs],
        'peak_mb': memory,
    }


def _medians(pairs: Sequence[tuple[Sample, Sample]]) -> tuple[Sample, Sample]:
    mine, its = (
        Sample(of[0].load, of[0].worker, median(s.wall_s for s in of), median(s.cpu_s for s in of))
        for of in zip(*pairs, strict=True)
    )
    return mine, its


@contextmanager
def _served(environment: Environment) -> Iterator[tuple[str, Child]]:
    """A worker on a daprd of its own, warmed up: the address of the one, and the other."""
    with Daprd(daprd()) as sidecar, Child(environment, 'child_daprd_worker.py', [sidecar.address]) as worker:
        worker.receive(_ANSWER_S)
        asyncio.run(_until_served(sidecar.address))
        yield sidecar.address, worker


def _sample(name: str, address: str, worker: Child, load: Load) -> Sample:
    print(f'{load.title}, {name} ...', flush=True)
    worker.ask('begin', _ANSWER_S)
    wall = asyncio.run(_drive(address, load))
    return Sample(load.title, name, wall, worker.ask('end', _ANSWER_S)['cpu_s'])


async def _until_served(address: str) -> None:
    """Runs a workflow that warms both sides up, as soon as daprd takes one."""
    deadline = time.monotonic() + _SERVED_S
    while True:
        try:
            await _drive(address, Load('warm-up', 'sequence', 5), 5.0)
            return
        except grpc.RpcError:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.2)


async def _drive(address: str, load: Load, call_s: float = _CALL_S) -> float:
    async with grpc.aio.insecure_channel(address) as channel:
        start = channel.unary_unary(
            _SERVICE + 'StartInstance',
            request_serializer=pb.CreateInstanceRequest.SerializeToString,
            response_deserializer=pb.CreateInstanceResponse.FromString,
        )
        wait = channel.unary_unary(
            _SERVICE + 'WaitForInstanceCompletion',
            request_serializer=pb.GetInstanceRequest.SerializeToString,
            response_deserializer=pb.GetInstanceResponse.FromString,
        )
        gate = asyncio.Semaphore(load.in_flight)

        async def one(instance_id: str) -> None:
            request = pb.CreateInstanceRequest(instanceId=instance_id, name=load.workflow)
            request.input.value = str(load.input)
            async with gate:
                await start(request, timeout=call_s)
                response = await wait(pb.GetInstanceRequest(instanceId=instance_id), timeout=_LIMIT_S)
            status = response.workflowState.workflowStatus
            if status != pb.ORCHESTRATION_STATUS_COMPLETED:
                raise RuntimeError(f'workflow {instance_id} was expected to complete, its status is {status}')

        began = time.monotonic()
        await asyncio.gather(*(one(uuid.uuid4().hex) for _ in range(load.workflows)))
        return time.monotonic() - began
