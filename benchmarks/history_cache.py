"""The history cache: what its operations cost, and the memory of an event, ours and the peer's in turn."""

from __future__ import annotations

import contextlib
import statistics
from typing import Any

from benchmarks.process import Child, Environment
from benchmarks.report import print_table, spread

_TIMEOUT_S = 180.0

# What, entries in the cache, events in the history that is operated on.
_CASES = (
    ('evict', 1_000, 1),
    ('evict', 10_000, 1),
    ('evict', 100_000, 1),
    ('put', 1_000, 10),
    ('put', 1_000, 100),
    ('put', 1_000, 1_000),
    ('put', 1_000, 10_000),
    ('put', 100_000, 100),
    ('get', 1_000, 10),
    ('get', 1_000, 1_000),
    ('get', 1_000, 10_000),
    ('delta', 1_000, 100),
    ('delta', 1_000, 1_000),
    ('delta', 1_000, 6_000),
    ('delta', 1_000, 10_000),
    ('memory', 2_000, 100),
    ('memory', 200, 1_000),
)
_UNITS = {'memory': 'bytes/event'}


def run(ours: Environment, peer: Environment, rounds: int) -> dict[str, Any]:
    """Measures all cases, the contestants alternating within each round, and prints medians."""
    contestants = {'ours': ours, 'peer': peer}
    taken: dict[str, dict[str, list[float]]] = {}
    rows = []
    for what, entries, events in _CASES:
        name = f'{what}: {entries:,} entries, {events:,} events'
        values: dict[str, list[float]] = {contestant: [] for contestant in contestants}
        for _ in range(rounds):
            # A process for each: memory that one case has freed is not there for the next to take.
            with contextlib.ExitStack() as stack:
                for contestant, environment in contestants.items():
                    child = stack.enter_context(Child(environment, 'child_history_cache.py'))
                    request = {'what': what, 'entries': entries, 'events': events}
                    values[contestant].append(child.ask(request, _TIMEOUT_S)['value'])
        taken[name] = values
        ratio = statistics.median(values['peer']) / statistics.median(values['ours'])
        rows.append(
            [
                name,
                _UNITS.get(what, 'us'),
                *(spread(values[contestant], digits=1) for contestant in contestants),
                f'{ratio:,.2f}',
            ]
        )
    print_table(
        f'History cache: median (least-most) of {rounds} rounds',
        ['operation', 'unit', *contestants, 'peer / ours'],
        rows,
    )
    return taken
