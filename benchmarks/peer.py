"""The peer: `dapr` as published, in an environment of its own, so that neither imports the other's `dapr.ext`."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.process import ROOT, Environment

PEER_VERSION = '1.19.0'
_FOLDER = ROOT / '.venv-peer'
_MARK = _FOLDER / f'dapr-{PEER_VERSION}'


def our_environment() -> Environment:
    """The running interpreter with this checkout's `dapr`."""
    return Environment('ours', Path(sys.executable), ROOT)


def peer_environment() -> Environment:
    """The interpreter that DAPR_PEER_PYTHON names, or `.venv-peer`, which is made here when it is missing.

    Raises:
        RuntimeError: the environment does not hold the peer's version.
    """
    named = os.environ.get('DAPR_PEER_PYTHON')
    environment = Environment('peer', Path(named) if named else _make())
    version = _version(environment)
    if version != PEER_VERSION:
        raise RuntimeError(
            f'expected dapr {PEER_VERSION} in {environment.python}, found {version or "none"}: '
            f'run `pip install dapr=={PEER_VERSION}` there, or unset DAPR_PEER_PYTHON to have an environment made'
        )
    return environment


def _make() -> Path:
    python = _FOLDER / 'bin' / 'python'
    # The mark is written last: an environment whose making was cut short is made again.
    if not _MARK.exists():
        print(f'making {_FOLDER.name} with dapr=={PEER_VERSION} ...', flush=True)
        venv.create(_FOLDER, clear=True, with_pip=True, symlinks=True)
        subprocess.run([python, '-m', 'pip', 'install', '--quiet', f'dapr=={PEER_VERSION}'], check=True)
        _MARK.touch()
    return python


def _version(environment: Environment) -> str:
    script = (
        'import importlib.metadata as m\n'
        'print(next((d.version for d in m.distributions() if d.metadata["Name"] == "dapr"), ""))'
    )
    done = subprocess.run(
        [environment.python, '-c', script], env=environment.variables(), check=True, capture_output=True, text=True
    )
    return done.stdout.strip()
