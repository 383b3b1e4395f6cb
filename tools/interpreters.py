"""Finds the Python interpreters of this machine that the distribution supports.

A name on PATH proves nothing: a version manager's shim exists for versions that are not active and fails when run, and
the interpreters it manages need not be on PATH at all. So every candidate is run once, and asked which version it is.

    python tools/interpreters.py              one line for each supported version: where it is, or that it was not found
    python tools/interpreters.py --tox-envs   the tox environments that these interpreters can run, comma-separated
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

SUPPORTED = ('3.10', '3.11', '3.12', '3.13')
"""The versions that the distribution is tested on, oldest first."""

_PROBE_SECONDS = 30


def find(environ: Mapping[str, str] | None = None) -> dict[str, Path | None]:
    """Finds one interpreter that runs for each supported version.

    Args:
        environ: where PATH, PYENV_ROOT and HOME are read; the process's environment by default.

    Returns:
        For each version of `SUPPORTED`, in its order, the first interpreter that runs and says it is that, or None.
    """
    environ = os.environ if environ is None else environ
    return {version: _first_that_runs(version, environ) for version in SUPPORTED}


def tox_env(version: str) -> str:
    """The tox environment of a version, such as 'py310' of '3.10'."""
    return 'py' + version.replace('.', '')


def _first_that_runs(version: str, environ: Mapping[str, str]) -> Path | None:
    return next((path for path in _candidates(version, environ) if _version_of(path, environ) == version), None)


def _candidates(version: str, environ: Mapping[str, str]) -> Iterator[Path]:
    for folder in environ.get('PATH', os.defpath).split(os.pathsep):
        path = Path(folder, f'python{version}')
        if folder and path.is_file():
            yield path
    pyenv = environ.get('PYENV_ROOT') or Path(environ.get('HOME') or Path.home(), '.pyenv')
    yield from sorted(Path(pyenv, 'versions').glob(f'{version}.*/bin/python'), key=_release, reverse=True)
    yield Path(sys.executable)


def _release(interpreter: Path) -> tuple[int, ...]:
    parts = interpreter.parent.parent.name.split('.')
    return tuple(int(part) if part.isdigit() else -1 for part in parts)


def _version_of(interpreter: Path, environ: Mapping[str, str]) -> str | None:
    ask = 'import sys; print("%d.%d" % sys.version_info[:2])'
    try:
        answer = subprocess.run(
            [interpreter, '-c', ask],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PROBE_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def main(arguments: list[str] | None = None) -> None:
    """Prints what was found."""
    parser = argparse.ArgumentParser(description='Finds the Python interpreters that the distribution supports.')
    parser.add_argument('--tox-envs', action='store_true', help='print the tox environments that can be run')
    options = parser.parse_args(arguments)
    found = find()
    if options.tox_envs:
        print(','.join(tox_env(version) for version, path in found.items() if path))
        return
    for version, path in found.items():
        print(f'Python {version}: {path or "NOT FOUND: nothing is tested on it"}')


if __name__ == '__main__':
    main()
