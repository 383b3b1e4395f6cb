"""Runs the checks of each dependent in an environment of its own.

    python -m tools.dependents                 all of them; needs a package index
    python -m tools.dependents dapr-agents     this one

In each environment the dependent is installed with what it asks for, `dapr-ext-workflow` included, and our wheel over
that, as the README says. Then all of its modules are imported, the names that its source uses of ours are looked up,
and an agent is run on the emulator, with a stand-in for the language model.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dapr.ext.workflow.emulator import Emulator
from tools.go_sidecar import ROOT
from tools.install_ways import Environment, WayFailedError, build_wheel, expect

_HERE = Path(__file__).parent
_INSIDE = _HERE / 'inside'
_STORES = ('statestore', 'agent-memory')


@dataclass(frozen=True)
class Dependent:
    """A package that is built on ours.

    Attributes:
        requirements: What is installed first, at exact versions.
        packages: The packages of which all modules are imported, and whose source is read.
        agent: Runs an agent: the program, and what its output has to end with.
    """

    requirements: tuple[str, ...]
    packages: tuple[str, ...]
    agent: tuple[Path, str]


DEPENDENTS = {
    'dapr-agents': Dependent(
        ('dapr-agents==1.0.9',),
        ('dapr_agents',),
        (
            ROOT / 'examples' / 'agent' / 'agent.py',
            'Tokyo has 15 degrees. London has 16 degrees. Seattle has 17 degrees.',
        ),
    ),
    'diagrid': Dependent(
        ('diagrid[langgraph]==0.5.3',),
        ('diagrid', 'dapr.ext.langgraph', 'dapr.ext.strands'),
        (_INSIDE / 'run_diagrid.py', 'the graph went round 20 times'),
    ),
}


def check(dependent: Dependent, name: str, env: Environment, wheel: str, emulator: Emulator) -> None:
    """Installs a dependent with ours on top, and makes all checks."""
    timed('installed', lambda: env.install('--constraint', str(_HERE / f'{name}.txt'), *dependent.requirements))
    # What the original has of the names that the dependent uses, ours has to have.
    names = (str(env.folder.with_suffix('.names')), *dependent.packages)
    env.run(_INSIDE / 'names.py', *names)
    env.install('--no-deps', wheel)
    env.run(_INSIDE / 'names.py', *names)
    expect('nothing wrong' in env.doctor(), 'the doctor finds something wrong')
    settings = {
        'DAPR_RUNTIME_HOST': '127.0.0.1',
        'DAPR_GRPC_PORT': str(emulator.port),
        'DAPR_HTTP_PORT': str(emulator.dapr_http_port),
        # diagrid tells its maker of each use.
        'DO_NOT_TRACK': '1',
        # LiteLLM asks for the newest prices.
        'LITELLM_LOCAL_MODEL_COST_MAP': 'True',
    }
    env.run(_INSIDE / 'imports.py', *dependent.packages, settings=settings)
    env.run(_INSIDE / 'dapr_client.py', settings=settings)
    program, ending = dependent.agent
    output = env.run(program, settings=settings, quiet=True)
    expect(output.rstrip().endswith(ending), f'the agent has not answered {ending!r}:\n{output}')
    print(f'  an agent has run: {ending}', flush=True)


def timed(what: str, action: Callable[[], object]) -> None:
    """Says how long something took."""
    begun = time.monotonic()
    action()
    print(f'  {what} in {time.monotonic() - begun:.0f} s', flush=True)


def main() -> int:
    """Checks the dependents and prints a summary; 1 when one failed."""
    parser = argparse.ArgumentParser(description='Tries the packages that are built on dapr.ext.workflow.')
    parser.add_argument('names', nargs='*', choices=[[], *DEPENDENTS], help=f'which: {", ".join(DEPENDENTS)}')
    names = parser.parse_args().names or list(DEPENDENTS)
    failed = 0
    with (
        tempfile.TemporaryDirectory(prefix='dependents-') as scratch,
        Emulator(dapr_http_port=0, state_stores=_STORES) as emulator,
    ):
        wheel = build_wheel(Path(scratch, 'wheel'))
        for name in names:
            begun = time.monotonic()
            print(f'{name}:', flush=True)
            try:
                check(
                    DEPENDENTS[name], name, Environment(Path(scratch, name), emulator.address, ''), str(wheel), emulator
                )
            except (WayFailedError, subprocess.TimeoutExpired) as error:
                failed += 1
                print(f'{name} FAILED: {error}', flush=True)
            else:
                print(f'{name}: ok, {time.monotonic() - begun:.0f} s', flush=True)
    print(f'{len(names) - failed} passed, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
