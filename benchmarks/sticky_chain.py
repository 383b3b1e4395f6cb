"""One workflow of many activities, one after another, end to end: wall time beside the CPU of the worker's process."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import grpc

from benchmarks.process import Child, Environment
from benchmarks.report import print_table
from dapr.ext.workflow._durabletask.internal import protos as pb
from tools.go_sidecar import Build, Sidecar, builds, emulator

# No run takes longer, finished or not. The peer's 5,000 steps on the emulator would take several times as long.
LIMIT_S = 240.0
_WARM_UP_STEPS = 5
_ANSWER_S = 30.0
_CALL_S = 30.0
_SERVICE = '/TaskHubSidecarService/'


@dataclass(frozen=True)
class Chain:
    """One run.

    Attributes:
        sidecar: What it ran on.
        worker: Whose worker.
        wanted: How many activities the workflow has.
        steps: How many were run within the limit.
        wall_s: Seconds from the start to the end, or to the limit.
        cpu_s: CPU seconds of the worker's process in that time.
    """

    sidecar: str
    worker: str
    wanted: int
    steps: int
    wall_s: float
    cpu_s: float

    @property
    def is_finished(self) -> bool:
        """Whether the workflow ended within the limit."""
        return self.steps == self.wanted


def run(ours: Environment, peer: Environment) -> list[Chain]:
    """Runs all chains once, each with a fresh worker and a fresh sidecar, and prints them."""
    newest, oldest = builds()[0], builds()[-1]
    workers: dict[str, tuple[Environment, Sequence[str]]] = {
        'ours': (ours, ()),
        'ours, replaying': (ours, ('replay',)),
        'peer': (peer, ()),
    }
    cases = [(emulator(), 1_000), (emulator(), 5_000), (newest, 1_000), (oldest, 1_000)]
    chains = [
        _chain(build, steps, name, environment, arguments)
        for build, steps in cases
        for name, (environment, arguments) in workers.items()
    ]
    print_table(
        f'One workflow of activities one after another, end to end: one run each, of at most {LIMIT_S:.0f} s',
        ['sidecar', 'worker', 'steps', 'wall s', 'worker CPU s', 'CPU ms a step'],
        [
            [
                chain.sidecar,
                chain.worker,
                f'{chain.wanted:,}' if chain.is_finished else f'{chain.steps:,} of {chain.wanted:,}',
                ('' if chain.is_finished else '> ') + f'{chain.wall_s:.1f}',
                ('' if chain.is_finished else '> ') + f'{chain.cpu_s:.2f}',
                f'{chain.cpu_s / max(1, chain.steps) * 1e3:.2f}',
            ]
            for chain in chains
        ],
    )
    return chains


def _chain(build: Build, steps: int, name: str, environment: Environment, arguments: Sequence[str]) -> Chain:
    label = 'emulator' if build.is_emulator else f'Go {build.version}'
    print(f'{label}, {steps:,} steps, {name} ...', flush=True)
    with (
        Sidecar(build, in_memory=True) as sidecar,
        Child(environment, 'child_sticky_worker.py', [sidecar.address, *arguments]) as worker,
        grpc.insecure_channel(sidecar.address) as channel,
    ):
        worker.receive(_ANSWER_S)
        if not _ends(channel, _WARM_UP_STEPS):
            raise RuntimeError(f'{name} on {build.version}: a workflow of {_WARM_UP_STEPS} activities does not end')
        worker.ask('begin', _ANSWER_S)
        is_ended = _ends(channel, steps)
        used = worker.ask('end', _ANSWER_S)
    if is_ended and used['steps'] != steps:
        raise RuntimeError(f'{name} on {build.version}: {used["steps"]} activities were run, not {steps}')
    return Chain(label, name, steps, used['steps'], used['wall_s'], used['cpu_s'])


def _ends(channel: grpc.Channel, steps: int) -> bool:
    """Starts a workflow and waits for its end; says whether that came within the limit."""
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
    instance_id = uuid.uuid4().hex
    request = pb.CreateInstanceRequest(instanceId=instance_id, name='sequence')
    request.input.value = str(steps)
    start(request, timeout=_CALL_S)
    try:
        state = wait(pb.GetInstanceRequest(instanceId=instance_id), timeout=LIMIT_S).workflowState
    except grpc.RpcError as error:
        if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
            return False
        raise
    if state.workflowStatus != pb.ORCHESTRATION_STATUS_COMPLETED:
        raise RuntimeError(f'a workflow of {steps} activities was expected to complete: {state}')
    return True
