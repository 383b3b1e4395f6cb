"""What listening costs a turn: with metrics, with a listener that wants nothing, and without one, in one process.

The turns are sticky ones, from a parsed work item to its answer, without a network: the shortest that there are. The
variants take turns in each round, so that a noisy moment falls on all alike; what is told is the difference to no
listener, in CPU time of the thread that runs the turns, and of the whole process, which is what OpenTelemetry takes on
the metrics' own thread as well.
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
    thread, process = answer['thread_us'], answer['process_us']
    print_table(
        'What listening costs: CPU us of a sticky turn, median',
        ['listener', 'on its thread', 'more than none', 'in the process'],
        [
            [name, f'{thread[name]:.2f}', f'{thread[name] - thread["none"]:+.2f}', f'{process[name]:.2f}']
            for name in thread
        ],
    )
    return answer
