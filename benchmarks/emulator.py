"""The emulator beside the Go sidecar: the same worker, the same loads; rates, CPU, and what an idle one uses."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio

from benchmarks.process import Child, Environment
from benchmarks.report import print_table, spread
from dapr.ext.workflow._durabletask.internal import protos as pb
from tools.go_sidecar import Build, Sidecar, builds, emulator

_SERVICE = '/TaskHubSidecarService/'
_DEADLINE_S = 240.0
_ANSWER_S = 30.0
_IDLE_S = 5.0


@dataclass(frozen=True)
class _Load:
    """Workflows of activities, one after another, so many workflows at once.

    Attributes:
        name: What the table calls it.
        workflows: How many there are, on the emulator and on the Go sidecar, which may be too slow for as many.
        in_flight: How many run at once.
        steps: The activities of each.
    """

    name: str
    workflows: tuple[int, int]
    in_flight: int
    steps: int


_LOADS = (
    _Load('one activity, 100 in flight', (1_000, 1_000), 100, 1),
    _Load('one activity, one at a time', (1_000, 40), 1, 1),
    _Load('1,000 activities, one workflow', (1, 1), 1, 1_000),
)


@dataclass(frozen=True)
class _Sample:
    """One round: activities a second, CPU milliseconds of the sidecar and of the worker for each."""

    steps_per_s: float
    sidecar_ms: float
    worker_ms: float


def run(ours: Environment, peer: Environment, rounds: int) -> dict[str, Any]:
    """Measures both in turn, `rounds` times (the Go sidecar's 1,000 activities once), each time in fresh processes."""
    contestants = {'emulator': emulator(), 'Go': builds()[0]}
    samples: dict[str, dict[str, list[_Sample]]] = {load.name: {name: [] for name in contestants} for load in _LOADS}
    for number in range(rounds):
        for place, (name, build) in enumerate(contestants.items()):
            for load in _LOADS:
                if number == 0 or build.is_emulator or load.steps == 1:
                    print(f'round {number + 1}: {name}, {load.name} ...', flush=True)
                    samples[load.name][name].append(_measure(build, ours, load, load.workflows[place]))
    print_table(
        f'Our worker on the emulator, and on the Go sidecar {builds()[0].version}, in memory, {rounds} rounds',
        ['load, sidecar', 'activities/s', 'emulator / Go', 'sidecar CPU ms each', 'worker CPU ms each'],
        [_row(load, name, samples[load.name]) for load in _LOADS for name in contestants],
    )
    idle = {name: _idle(build, ours) for name, build in contestants.items()}
    print_table(
        f'With an idle worker, {_IDLE_S:.0f} s', ['sidecar', 'CPU %'], [[name, f'{idle[name]:.1f}'] for name in idle]
    )
    return {
        'loads': {
            load: {name: [vars(sample) for sample in taken] for name, taken in of.items()}
            for load, of in samples.items()
        },
        'idle_percent': idle,
    }


def _row(load: _Load, name: str, samples: dict[str, list[_Sample]]) -> Sequence[str]:
    rates = {each: statistics.median(sample.steps_per_s for sample in taken) for each, taken in samples.items()}
    taken = samples[name]
    return [
        f'{load.name}: {name}',
        spread([sample.steps_per_s for sample in taken], digits=1),
        f'{rates["emulator"] / rates["Go"]:.1f}' if name == 'emulator' else '',
        spread([sample.sidecar_ms for sample in taken], digits=2),
        spread([sample.worker_ms for sample in taken], digits=2),
    ]


def _measure(build: Build, environment: Environment, load: _Load, workflows: int) -> _Sample:
    with (
        Sidecar(build, in_memory=True) as sidecar,
        Child(environment, 'child_sticky_worker.py', [sidecar.address]) as worker,
    ):
        worker.receive(_ANSWER_S)
        asyncio.run(_drive(sidecar.address, 5, 5, 1))
        worker.ask('begin', _ANSWER_S)
        before = _cpu_seconds(sidecar)
        wall = asyncio.run(_drive(sidecar.address, workflows, load.in_flight, load.steps))
        steps = workflows * load.steps
        used = worker.ask('end', _ANSWER_S)
        return _Sample(steps / wall, (_cpu_seconds(sidecar) - before) / steps * 1e3, used['cpu_s'] / steps * 1e3)


def _idle(build: Build, environment: Environment) -> float:
    with (
        Sidecar(build, in_memory=True) as sidecar,
        Child(environment, 'child_sticky_worker.py', [sidecar.address]) as worker,
    ):
        worker.receive(_ANSWER_S)
        before = _cpu_seconds(sidecar)
        time.sleep(_IDLE_S)
        return (_cpu_seconds(sidecar) - before) / _IDLE_S * 100


async def _drive(address: str, workflows: int, in_flight: int, steps: int) -> float:
    """Runs the load; returns the seconds from its start to the end of its last workflow."""
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
        gate = asyncio.Semaphore(in_flight)
        ended: list[float] = []

        async def one() -> None:
            request = pb.CreateInstanceRequest(instanceId=uuid.uuid4().hex, name='sequence')
            request.input.value = str(steps)
            async with gate:
                await start(request, timeout=_DEADLINE_S)
                response = await wait(pb.GetInstanceRequest(instanceId=request.instanceId), timeout=_DEADLINE_S)
            state = response.workflowState
            if state.workflowStatus != pb.ORCHESTRATION_STATUS_COMPLETED:
                raise RuntimeError(f'a workflow of {steps} activities was expected to complete: {state}')
            ended.append(state.lastUpdatedTimestamp.ToMicroseconds() / 1e6)

        began = time.time()
        await asyncio.gather(*(one() for _ in range(workflows)))
        # By the sidecar's own times: the Go one's waits return late, which the last workflow should not be charged for.
        return max(ended) - began


def _cpu_seconds(sidecar: Sidecar) -> float:
    # utime and stime; the name before them is in parentheses and may hold anything.
    fields = Path(f'/proc/{sidecar.pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')
