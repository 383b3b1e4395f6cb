"""Values to payloads and back: the converter beside pydantic's own and beside plain JSON, microseconds per payload.

The payload is an order of 20 lines, 1 KB of JSON, with a UUID, a moment and decimals.
"""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.process import Child, Environment
from benchmarks.report import print_table, spread

_SECONDS = 0.3
_TIMEOUT_S = 60.0


def run(ours: Environment, peer: Environment, rounds: int) -> dict[str, Any]:
    """Measures all cases in each round, the contestants of one taking turns, and prints medians over the rounds."""
    taken: dict[str, dict[str, list[float]]] = {}
    with Child(ours, 'child_values.py') as child:
        cases = child.ask('cases', _TIMEOUT_S)['cases']
        for _ in range(rounds):
            for case in cases:
                answer = child.ask({'case': case, 'seconds': _SECONDS}, _TIMEOUT_S)['us']
                for name, us in answer.items():
                    taken.setdefault(case, {}).setdefault(name, []).append(us)
    rows = []
    for case, contestants in taken.items():
        (base, base_us), *_ = contestants.items()
        median = {name: statistics.median(values) for name, values in contestants.items()}
        engine = f'{median["converter"] / median["engine"]:.2f}' if 'engine' in median else ''
        rows.append(
            [
                case,
                f'{base} {spread(base_us, digits=2)}',
                spread(contestants['converter'], digits=2),
                f'{median["converter"] / median[base]:.2f}',
                engine,
            ]
        )
    print_table(
        f'Values, us per payload: median (least-most) of {rounds} rounds',
        ['case', 'beside', 'converter', 'converter / beside', 'converter / engine'],
        rows,
    )
    return {'us': taken}
