"""Which transport a worker is to use: bare loops over each, beside the peer's worker, on the Go sidecar."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.process import Environment
from benchmarks.report import print_table, spread
from benchmarks.throughput import ITEMS_PER_WORKFLOW, Contestant, Sample, measure

# What the names mean is in child_bare.py.
TRANSPORTS = (
    'sync-pool',
    'sync-queue',
    'sync-futures',
    'single-pool',
    'single-queue',
    'single-futures',
    'single-queue-futures',
    'aio',
)
_LOADS = ((400, 100), (60, 4))


def run(ours: Environment, peer: Environment, rounds: int) -> dict[str, Any]:
    """Measures every transport and the peer's worker in turn, `rounds` times, each time in fresh processes."""
    contestants = [Contestant(name, ours, 'child_bare.py', name) for name in TRANSPORTS]
    contestants.append(Contestant('peer worker', peer, 'child_worker.py'))
    result = {}
    for workflows, in_flight in _LOADS:
        samples = measure_in_turn(contestants, ours, rounds, workflows, in_flight)
        title = f'CPU per work item, {workflows} workflows of one activity, {in_flight} in flight, {rounds} rounds'
        best = min(median_cpu(samples[name]) for name in TRANSPORTS)
        print_samples(title, samples, {'best bare loop': best})
        result[f'{in_flight} in flight'] = {name: [vars(sample) for sample in taken] for name, taken in samples.items()}
    return result


def measure_in_turn(
    contestants: Sequence[Contestant], load: Environment, rounds: int, workflows: int, in_flight: int
) -> dict[str, list[Sample]]:
    """Rounds in which each contestant runs once, so that a noisy moment falls on all alike."""
    samples: dict[str, list[Sample]] = {contestant.name: [] for contestant in contestants}
    for _ in range(rounds):
        for contestant in contestants:
            samples[contestant.name].append(measure(contestant, load, workflows, in_flight))
    return samples


def median_cpu(samples: Sequence[Sample]) -> float:
    """The median of the rounds' CPU microseconds per work item."""
    return statistics.median(sample.cpu_us for sample in samples)


def print_samples(title: str, samples: dict[str, list[Sample]], bases: dict[str, float]) -> None:
    """Prints medians, and each one's ratio to the CPU per item of what `bases` names."""
    rows = []
    for name, taken in samples.items():
        rows.append(
            [
                name,
                spread([sample.cpu_us for sample in taken]),
                *(f'{median_cpu(taken) / base:.2f}' for base in bases.values()),
                f'{statistics.median(s.items_per_s for s in taken):.0f}',
                str(round(statistics.median(s.threads for s in taken))),
            ]
        )
    print_table(
        f'{title} ({ITEMS_PER_WORKFLOW} items a workflow)',
        ['worker process', 'us CPU per item', *(f'/ {base}' for base in bases), 'items/s', 'threads'],
        rows,
    )
