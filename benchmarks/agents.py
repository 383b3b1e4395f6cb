"""Long conversations of agents: `dapr-agents` on the workflow package that it asks for, and on ours, in turn.

Both are in an environment of their own, made from the same list of versions, and run on an emulator of ours, which
sends each worker what it can take. `lean` is a workflow of two activities for each turn; `agent` is a DurableAgent of
examples/agent, with all that dapr-agents does around it.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
import venv
from pathlib import Path
from typing import Any

from benchmarks.process import HERE, ROOT, Environment
from dapr.ext.workflow.emulator import Emulator
from tools.install_ways import build_wheel

_REQUIREMENT = 'dapr-agents==1.0.9'
_VERSIONS = ROOT / 'tools' / 'dependents' / 'dapr-agents.txt'
_AGENT = ROOT / 'examples' / 'agent'
_TURNS = {'lean': 300, 'agent': 200}
_SECONDS = 900.0


def run(ours: Environment, peer: Environment, rounds: int) -> dict[str, Any]:
    """Measures each conversation on the original and on ours in turn, each time in a fresh process.

    Args:
        ours: Not used: agents have environments of their own.
        peer: Not used, either.
        rounds: How often. The number of turns is that of a quiet machine; with one round it is a fifth.
    """
    contestants = {'original': _environment('original'), 'ours': _environment('ours')}
    result = {}
    for kind, most in _TURNS.items():
        turns = most if rounds > 1 else most // 5
        samples: dict[str, list[dict[str, float]]] = {name: [] for name in contestants}
        for _ in range(rounds):
            for name, environment in contestants.items():
                samples[name].append(_measure(environment, kind, turns))
        medians = {
            name: {key: statistics.median(sample[key] for sample in taken) for key in ('wall_s', 'cpu_s')}
            for name, taken in samples.items()
        }
        print(f"{kind}, {turns} turns, medians of {rounds}: seconds, and seconds of the worker's CPU")
        for name, median in medians.items():
            print(f'  {name:10} {median["wall_s"]:8.2f} {median["cpu_s"]:8.2f}')
        ratios = [medians['original'][key] / medians['ours'][key] for key in ('wall_s', 'cpu_s')]
        print(f'  original / ours: {ratios[0]:.1f} times the time, {ratios[1]:.1f} times the CPU')
        result[kind] = {'turns': turns, 'samples': samples}
    return result


def _measure(environment: Environment, kind: str, turns: int) -> dict[str, float]:
    with Emulator(dapr_http_port=0) as emulator:
        settings = {
            'DAPR_RUNTIME_HOST': '127.0.0.1',
            'DAPR_GRPC_PORT': str(emulator.port),
            'DAPR_HTTP_PORT': str(emulator.dapr_http_port),
        }
        done = subprocess.run(
            [str(environment.python), str(HERE / 'child_agents.py'), kind, str(turns), str(_AGENT)],
            env={**environment.variables(), **settings},
            cwd=HERE,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            timeout=_SECONDS,
        )
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _environment(name: str) -> Environment:
    folder = ROOT / f'.venv-agents-{name}'
    python = folder / 'bin' / 'python'
    pip = [str(python), '-m', 'pip', 'install', '--quiet']
    # Written last: an environment whose making was cut short is made again.
    mark = folder / _REQUIREMENT
    if not mark.exists():
        print(f'making {folder.name} with {_REQUIREMENT} ...', flush=True)
        venv.create(folder, clear=True, with_pip=True, symlinks=True)
        subprocess.run([*pip, '--constraint', str(_VERSIONS), _REQUIREMENT], check=True)
        mark.touch()
    if name == 'ours':
        with tempfile.TemporaryDirectory() as scratch:
            wheel = build_wheel(Path(scratch))
            subprocess.run([*pip, '--force-reinstall', '--no-deps', str(wheel)], check=True)
    return Environment(name, python)
