"""The testing kit: a workflow of four weeks with retries, tested; and a thousand environments, one after the other."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.process import Child, Environment
from benchmarks.report import print_table, spread

_CASES = ('a reminder each week: 17 turns', 'a reminder each day: 113 turns', 'an environment alone')
_RUNS = 20
_MANY = 1_000
_TIMEOUT_S = 600.0


def run(ours: Environment, peer: Environment, rounds: int) -> dict[str, Any]:
    """Measures each case in each round and prints the medians of the rounds; the peer has no testing kit."""
    taken: dict[str, list[float]] = {}
    with Child(ours, 'child_testing.py') as child:
        for _ in range(rounds):
            for case in _CASES:
                answer = child.ask({'case': case, 'runs': _RUNS}, _TIMEOUT_S)
                taken.setdefault(case, []).append(statistics.median(answer['ms']))
        many = child.ask({'case': _CASES[0], 'runs': _MANY}, _TIMEOUT_S)
    print_table(
        f'Tests of 28 days of reminders, each second one with two retries: {rounds} rounds of {_RUNS}',
        ['case', 'ms: median (least-most)'],
        [[case, spread(values, digits=1)] for case, values in taken.items()],
    )
    left = many['left']
    print_table(
        f'{_MANY:,} such tests in one process, each with an environment of its own',
        ['ms of one', 'threads left', 'files left', 'of these sockets'],
        [[f'{statistics.median(many["ms"]):.1f}', *(str(left[kind]) for kind in ('threads', 'files', 'sockets'))]],
    )
    return {'ms': taken, 'left': left}
