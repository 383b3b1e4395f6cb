"""What observing costs: turns and activities with metrics and interceptors, and without, in one process.

The turns are sticky ones, from a parsed work item to its answer, without a network: the shortest that there are. The
activities are sync ones that give their input back. The variants take turns in each round, so that a noisy moment falls
on all alike. What is told is CPU time: of the thread that runs them, and of the process, with what OpenTelemetry takes
on the metrics' own thread.
"""

from __future__ import annotations

from typing import Any

from benchmarks.process import Child, Environment
from benchmarks.report import print_table

_TIMEOUT_S = 120.0


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
    return answer
