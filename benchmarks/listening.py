"""What observing costs: turns and activities with metrics and interceptors, and without, in one process.

The turns are sticky ones, from a parsed work item to its answer, without a network: the shortest that there are. The
activities are sync ones that give their input back. The variants take turns in each round, so that a noisy moment falls
on all alike. What is told is CPU time: of the thread that runs them, and of the process, with what OpenTelemetry takes
on the metrics' own thread.

Then an app at full load, on a Go sidecar: everything on, some of it, and nothing, each in a process of its own.
"""

from __future__ import annotations

from typing import Any

from benchmarks.process import Child, Environment
from benchmarks.report import print_table
from benchmarks.throughput import Contestant
from benchmarks.transport_spike import measure_in_turn, median_cpu, print_samples

_TIMEOUT_S = 120.0
_LOAD = (600, 100)


def run(ours: Environment, peer: Environment, rounds: int) -> dict[str, Any]:
    """Measures all variants and prints medians over all rounds."""
    with Child(ours, 'child_listening.py', ()) as child:
        answer: dict[str, Any] = child.ask({'turns': 500, 'rounds': 12 * rounds}, _TIMEOUT_S)
    for kind, variants in answer.items():
        none = variants['none']['thread_us']
        print_table(
            f'What observing costs: {kind}, CPU us of each, median',
            ['what is on', 'on its thread', 'more than none', 'times none', 'in the process'],
            [
                [
                    name,
                    f'{us["thread_us"]:.2f}',
                    f'{us["thread_us"] - none:+.2f}',
                    f'{us["thread_us"] / none:.2f}',
                    f'{us["process_us"]:.2f}',
                ]
                for name, us in variants.items()
            ],
        )
    workflows, in_flight = _LOAD
    contestants = [Contestant(what, ours, 'child_observed.py', what) for what in ('none', 'metrics', 'logs', 'all')]
    samples = measure_in_turn(contestants, ours, rounds, workflows, in_flight)
    print_samples(
        f'An app at full load: {workflows} workflows of one activity, {in_flight} in flight, {rounds} rounds',
        samples,
        {'none': median_cpu(samples['none'])},
    )
    return {**answer, 'full load': {name: [vars(sample) for sample in taken] for name, taken in samples.items()}}
