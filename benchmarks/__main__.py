"""`python -m benchmarks [name ...]`: runs the benches that are named, or all, and prints their tables."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from benchmarks import (
    agents,
    coroutines,
    daprd,
    dashboard,
    emulator,
    history_cache,
    listening,
    replay,
    sticky,
    testing_kit,
    transport_spike,
    values,
    worker,
)
from benchmarks.peer import our_environment, peer_environment
from benchmarks.process import Environment
from benchmarks.report import write_result

_BENCHES: dict[str, Callable[[Environment, Environment, int], dict[str, Any]]] = {
    'replay': replay.run,
    'worker': worker.run,
    'history-cache': history_cache.run,
    'sticky': sticky.run,
    'emulator': emulator.run,
    'listening': listening.run,
    'daprd': daprd.run,
    'agents': agents.run,
    'values': values.run,
    'coroutines': coroutines.run,
    'testing': testing_kit.run,
    'dashboard': dashboard.run,
    'transport': transport_spike.run,
}
# By their names only: the spike chose the transport, and is run when that choice is looked at again; daprd has to be
# built first; the agents take environments of a hundred packages.
_DEFAULT = ('replay', 'worker', 'history-cache', 'sticky', 'emulator', 'values', 'coroutines', 'testing', 'listening')


def main() -> None:
    parser = argparse.ArgumentParser(prog='python -m benchmarks', description=__doc__)
    parser.add_argument('names', nargs='*', metavar='name', help=f'one of {", ".join(_BENCHES)} (default: {_DEFAULT})')
    parser.add_argument('--rounds', type=int, default=5, help='rounds that the medians are taken over (default: 5)')
    parser.add_argument('--json', action='store_true', help='write benchmarks/results/NAME.json too')
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(_BENCHES))
    if unknown:
        parser.error(f'no bench called {", ".join(unknown)}: there are {", ".join(_BENCHES)}')
    ours, peer = our_environment(), peer_environment()
    for name in options.names or _DEFAULT:
        result = _BENCHES[name](ours, peer, options.rounds)
        if options.json:
            print(f'written: {write_result(name, result).name}')


if __name__ == '__main__':
    main()
