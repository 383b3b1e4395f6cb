"""Sticky execution: what a turn costs whatever the history, what waits between turns, and whole workflows by it."""

from __future__ import annotations

import contextlib
import statistics
from dataclasses import asdict
from typing import Any

from benchmarks import sticky_chain, sticky_chart
from benchmarks.process import ROOT, Child, Environment
from benchmarks.report import print_table, spread

CHART = ROOT / 'docs' / 'sticky-turns.svg'
_SIZES = (10, 100, 1_000, 10_000, 30_000)
# Turns of each instance in a round. One that replays costs up to 10,000 times as much, so it has less of them.
_TURNS = 20
_REPLAYED_TURNS = 4
_MEMORY_EVENTS = 1_000
_MEMORY_INSTANCES = 1_000
_CROWD_EVENTS = 100
_CROWDS = (10, 50_000)
_CROWD_TURNS = 2_000
_TIMEOUT_S = 300.0


def run(ours: Environment, peer: Environment, rounds: int) -> dict[str, Any]:
    """Measures all, prints tables, and draws the chart in docs/."""
    modes = {'ours': (ours, 'sticky'), 'ours, replaying': (ours, 'replay'), 'peer': (peer, 'peer')}
    turns = _turns(modes, rounds)
    memory = _memory(modes)
    crowds = _crowds(modes, rounds)
    chains = sticky_chain.run(ours, peer)
    CHART.write_text(sticky_chart.draw(turns, chains), encoding='utf-8')
    print(f'\nwritten: {CHART.relative_to(ROOT)}')
    return {'turns': turns, 'memory': memory, 'crowds': crowds, 'chains': [asdict(chain) for chain in chains]}


_Modes = dict[str, tuple[Environment, str]]


def _turns(modes: _Modes, rounds: int) -> dict[str, dict[int, float]]:
    """CPU microseconds of a turn, by contestant and by events of the history."""
    taken: dict[str, dict[int, list[float]]] = {name: {events: [] for events in _SIZES} for name in modes}
    with contextlib.ExitStack() as stack:
        children = {
            name: stack.enter_context(Child(environment, 'child_sticky.py', [mode]))
            for name, (environment, mode) in modes.items()
        }
        for _ in range(rounds):
            for name, child in children.items():
                for request in _requests(name):
                    for events, sample in zip(request['sizes'], child.ask(request, _TIMEOUT_S)['sizes'], strict=True):
                        taken[name][events].append(statistics.fmean(sample['us']))
    medians = {name: {n: statistics.median(values) for n, values in sizes.items()} for name, sizes in taken.items()}
    print_table(
        'A turn inside the worker, from item to answer, CPU us by events of the history: '
        f'median (least-most) of the means of {rounds} rounds',
        ['events', *modes, 'peer / ours'],
        [
            [
                f'{events:,}',
                *(spread(taken[name][events], digits=1) for name in modes),
                f'{medians["peer"][events] / medians["ours"][events]:,.1f}',
            ]
            for events in _SIZES
        ],
    )
    print_table(
        f'Flatness: a turn at {_SIZES[-1]:,} events / at {_SIZES[0]}',
        list(modes),
        [[f'{medians[name][_SIZES[-1]] / medians[name][_SIZES[0]]:,.2f}' for name in modes]],
    )
    return medians


def _requests(name: str) -> list[dict[str, Any]]:
    if name == 'ours':
        return [{'what': 'turns', 'sizes': _SIZES, 'instances': 5, 'turns': _TURNS}]
    # One size at a time: a replay of 30,000 events leaves nothing of a short one in the processor's caches.
    return [
        {'what': 'turns', 'sizes': [events], 'instances': 5 if events <= 1_000 else 1, 'turns': _REPLAYED_TURNS}
        for events in _SIZES
    ]


def _memory(modes: _Modes) -> dict[str, dict[str, float]]:
    result: dict[str, dict[str, float]] = {}
    for name, is_grown in (('ours', True), *((name, False) for name in modes)):
        # A process for each: memory that one case has freed is not there for the next to take.
        environment, mode = modes[name]
        with Child(environment, 'child_sticky.py', [mode]) as child:
            request = {
                'what': 'memory',
                'events': _MEMORY_EVENTS,
                'instances': _MEMORY_INSTANCES,
                'grown': is_grown,
            }
            how = 'grown turn by turn' if is_grown else 'replayed once'
            result[f'{name}: {how}'] = child.ask(request, _TIMEOUT_S)
    print_table(
        f'Memory of an instance that waits, after {_MEMORY_EVENTS:,} events, of {_MEMORY_INSTANCES:,}',
        ['worker', 'process KB', 'its own account KB'],
        [[name, f'{of["bytes"] / 1e3:.1f}', f'{of["accounted"] / 1e3:.1f}'] for name, of in result.items()],
    )
    return result


def _crowds(modes: _Modes, rounds: int) -> dict[str, dict[str, Any]]:
    """One worker with few instances that wait, and one with many; turns come for any of them."""
    environment, mode = modes['ours']
    taken: dict[int, list[dict[str, Any]]] = {instances: [] for instances in _CROWDS}
    for _ in range(min(rounds, 3)):
        for instances in _CROWDS:
            with Child(environment, 'child_sticky.py', [mode]) as child:
                request = {
                    'what': 'crowd',
                    'events': _CROWD_EVENTS,
                    'instances': instances,
                    'turns': _CROWD_TURNS,
                }
                taken[instances].append(child.ask(request, _TIMEOUT_S))
    result = {
        str(instances): {
            'median_us': [statistics.median(one['us']) for one in samples],
            'mean_us': [statistics.fmean(one['us']) for one in samples],
            'p99_us': [statistics.quantiles(one['us'], n=100)[-1] for one in samples],
            'bytes': [one['bytes'] for one in samples],
            'accounted': [one['accounted'] for one in samples],
        }
        for instances, samples in taken.items()
    }
    print_table(
        f'Instances waiting in one worker, {_CROWD_EVENTS} events each; CPU us of {_CROWD_TURNS:,} random turns',
        ['waiting', 'median', 'mean', '99th percentile', 'process MB', 'its own account MB'],
        [
            [
                f'{int(instances):,}',
                spread(of['median_us'], digits=1),
                spread(of['mean_us'], digits=1),
                spread(of['p99_us'], digits=0),
                f'{statistics.median(of["bytes"]) / 1e6:.1f}',
                f'{statistics.median(of["accounted"]) / 1e6:.1f}',
            ]
            for instances, of in result.items()
        ],
    )
    return result
