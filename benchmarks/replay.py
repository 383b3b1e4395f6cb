"""Cold replay of sequential activities: ours, the peer and the bare loop in turn, microseconds per event."""

from __future__ import annotations

import contextlib
import statistics
from typing import Any

from benchmarks.process import Child, Environment
from benchmarks.report import print_table, spread

# Steps of the workflow, and how many turns of it one round has: about as much work for each size.
_SIZES = {10: 200, 100: 40, 1_000: 5, 10_000: 1}
_TIMEOUT_S = 120.0


def run(ours: Environment, peer: Environment, rounds: int) -> dict[str, Any]:
    """Measures all sizes, the contestants alternating within each round, and prints medians over all turns."""
    contestants = {'ours': (ours, ()), 'peer': (peer, ()), 'bare loop': (ours, ('bare',))}
    taken: dict[str, dict[int, list[float]]] = {name: {steps: [] for steps in _SIZES} for name in contestants}
    events: dict[int, int] = {}
    with contextlib.ExitStack() as stack:
        children = {
            name: stack.enter_context(Child(environment, 'child_replay.py', arguments))
            for name, (environment, arguments) in contestants.items()
        }
        for _ in range(rounds):
            for steps, turns in _SIZES.items():
                for name, child in children.items():
                    answer = child.ask({'steps': steps, 'turns': turns}, _TIMEOUT_S)
                    taken[name][steps].append(statistics.median(answer['us_per_event']))
                    events[steps] = answer['events']
    median = {name: {n: statistics.median(values) for n, values in sizes.items()} for name, sizes in taken.items()}
    print_table(
        f'Cold replay of sequential activities, us per event: median (least-most) of {rounds} rounds',
        ['steps', 'events', *contestants, 'peer / ours', 'ours / bare loop'],
        [
            [
                str(steps),
                str(events[steps]),
                *(spread(taken[name][steps], digits=2) for name in contestants),
                f'{median["peer"][steps] / median["ours"][steps]:.2f}',
                f'{median["ours"][steps] / median["bare loop"][steps]:.2f}',
            ]
            for steps in _SIZES
        ],
    )
    linearity = {name: sizes[10_000] / sizes[1_000] for name, sizes in median.items()}
    print_table(
        'Linearity: cost per event at 10,000 steps / at 1,000',
        list(linearity),
        [[f'{value:.2f}' for value in linearity.values()]],
    )
    return {'us_per_event': taken, 'events': events, 'linearity': linearity}
