"""Async workflows beside generators that do the same: a sticky turn, a cold replay, an instance that waits, and whether
instances that come and go leave anything."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.process import Child, Environment
from benchmarks.report import print_table, spread

_KINDS = ('generator', 'coroutine')
_CHILD = 'child_coroutines.py'
_EVENTS = 100
_STEPS = (100, 3_000)
_WAITING = 5_000
_COME_AND_GO = 100_000
_TIMEOUT_S = 600.0


def run(ours: Environment, peer: Environment, rounds: int) -> dict[str, Any]:
    """Measures all, and prints tables of ratios."""
    taken: dict[str, dict[str, list[float]]] = {}
    with Child(ours, _CHILD) as child:
        requests: dict[str, dict[str, Any]] = {
            f'a sticky turn, at {_EVENTS} events, us': {
                'what': 'turns',
                'events': _EVENTS,
                'instances': 10,
                'turns': 50,
            },
            **{f'a replayed event of {steps:,} steps, us': {'what': 'replay', 'steps': steps} for steps in _STEPS},
        }
        for request in requests.values():
            child.ask(request, _TIMEOUT_S)  # what is made once
        for _ in range(rounds):
            for name, request in requests.items():
                for kind, us in child.ask(request, _TIMEOUT_S).items():
                    taken.setdefault(name, {}).setdefault(kind, []).append(us)
    memory = {kind: _alone(ours, 'memory', kind, _WAITING)['bytes'] for kind in _KINDS}
    leak = {kind: _alone(ours, 'leak', kind, _COME_AND_GO) for kind in _KINDS}
    print_table(
        f'Async workflows beside generators: median (least-most) of {rounds} rounds',
        ['what', *_KINDS, 'coroutine / generator'],
        [
            [
                name,
                *(spread(of[kind], digits=2) for kind in _KINDS),
                f'{statistics.median(of["coroutine"]) / statistics.median(of["generator"]):.2f}',
            ]
            for name, of in taken.items()
        ],
    )
    print_table(
        f'An instance that waits for its first activity, of {_WAITING:,}: bytes of the process',
        [*_KINDS, 'more'],
        [[*(f'{memory[kind]:,.0f}' for kind in _KINDS), f'{memory["coroutine"] - memory["generator"]:,.0f}']],
    )
    print_table(
        f'{_COME_AND_GO:,} instances come and go: MB of the process after a tenth of them, after half, at the end',
        ['', 'after a tenth', 'after half', 'at the end', 'kept'],
        [
            [kind, *(f'{of["bytes"][place] / 1e6:.1f}' for place in (0, 4, -1)), str(of['kept'])]
            for kind, of in leak.items()
        ],
    )
    return {'us': taken, 'memory': memory, 'leak': leak}


def _alone(ours: Environment, what: str, kind: str, instances: int) -> dict[str, Any]:
    with Child(ours, _CHILD) as child:
        return child.ask({'what': what, 'kind': kind, 'instances': instances}, _TIMEOUT_S)
