"""CPU per work item of our worker, beside the bare loops over the transport it uses and the peer's worker."""

from __future__ import annotations

from typing import Any

from benchmarks.process import Environment
from benchmarks.throughput import Contestant
from benchmarks.transport_spike import measure_in_turn, median_cpu, print_samples

_SAME_TRANSPORT = 'single-queue'
_BARE = (_SAME_TRANSPORT, 'single-futures', 'aio')
_LOADS = ((400, 100), (60, 4))


def run(ours: Environment, peer: Environment, rounds: int) -> dict[str, Any]:
    """Measures our worker, the best bare loops and the peer's worker in turn, each time in fresh processes."""
    contestants = [
        Contestant('our worker', ours, 'child_worker.py'),
        *(Contestant(name, ours, 'child_bare.py', name) for name in _BARE),
        Contestant('peer worker', peer, 'child_worker.py'),
    ]
    result = {}
    for workflows, in_flight in _LOADS:
        samples = measure_in_turn(contestants, ours, rounds, workflows, in_flight)
        bases = {
            'best bare loop': min(median_cpu(samples[name]) for name in _BARE),
            # What the worker's own transport costs at the least: the same calls, without the worker around them.
            f'{_SAME_TRANSPORT} (its transport)': median_cpu(samples[_SAME_TRANSPORT]),
        }
        title = f'CPU per work item, {workflows} workflows of one activity, {in_flight} in flight, {rounds} rounds'
        print_samples(title, samples, bases)
        result[f'{in_flight} in flight'] = {name: [vars(sample) for sample in taken] for name, taken in samples.items()}
    return result
