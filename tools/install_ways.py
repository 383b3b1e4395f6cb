"""The ways to install the distribution, each tried from the built wheel in an environment of its own.

    python -m tools.install_ways              all of them; needs pip's package index
    python -m tools.install_ways alone ...    these

In each environment the wheel is installed as the README says, a workflow is run on an emulator, the doctor has a look,
and then it is undone: the distribution that was there before has to be whole again, file by file.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from dapr.ext.workflow.emulator import Emulator
from tools.go_sidecar import ROOT

OURS = 'dapr-stateful-workflow'
SDK_WITHOUT_WORKFLOW = 'dapr==1.18.*'
EXTENSION = 'dapr-ext-workflow==1.18.*'
SDK_WITH_WORKFLOW = 'dapr==1.19.0'
_PROGRAMS = ROOT / 'tools' / 'installed'
_TOKEN = 'of the installed'
_SECONDS = 300


class Environment:
    """A fresh virtual environment.

    Args:
        folder: Where it is made.
        sidecar: The address of the sidecar that workflows run on.
        token: The sidecar's API token.

    Attributes:
        folder: Where it is.
    """

    def __init__(self, folder: Path, sidecar: str, token: str = _TOKEN) -> None:
        self._token = token
        self._sidecar = sidecar
        self.folder = folder
        self._python = folder / 'bin' / 'python'
        self._run_with(Path(sys.executable), '-m', 'venv', str(folder))

    def install(self, *what: str) -> None:
        """`pip install`, after which `pip check` has nothing to say."""
        self.pip('install', *what)
        self.pip('check')

    def pip(self, *arguments: str) -> str:
        """Runs pip; gives what it printed."""
        options = ('--disable-pip-version-check', '--no-input')
        return self._run_with(self._python, '-m', 'pip', *options, *arguments)

    def has(self, module: str) -> bool:
        """Whether a module can be found."""
        # Of the folders around it, which belong to no one, pip may leave some or none.
        look = (
            'import importlib.util',
            'try:',
            f'    print(bool(importlib.util.find_spec({module!r})))',
            'except ModuleNotFoundError:',
            '    print(False)',
        )
        return self._run_with(self._python, '-I', '-c', '\n'.join(look)).strip() == 'True'

    def runs_a_workflow(self) -> None:
        """A workflow runs on the sidecar, which the settings lead to."""
        self._run('run_workflow', self._sidecar, self._token)

    def is_ours(self) -> None:
        """Everything is imported from us, a workflow runs, and the doctor finds nothing wrong."""
        self._run('check_imports', OURS)
        self.runs_a_workflow()
        report = self.doctor()
        expect('nothing wrong' in report, report)
        say(report.splitlines()[0].strip())

    def doctor(self, *, code: int = 0) -> str:
        """The doctor's report; its exit code has to be the one given."""
        settings = {'DAPR_GRPC_ENDPOINT': self._sidecar, 'DAPR_API_TOKEN': self._token}
        return self._run_with(self._python, '-m', 'dapr.ext.workflow', 'doctor', settings=settings, code=code)

    def is_whole(self, distribution: str) -> None:
        """The files of a distribution are as it has installed them, and none is beside them."""
        self._run('check_whole', distribution)

    def run(
        self, program: Path, *arguments: str, settings: Mapping[str, str] | None = None, quiet: bool = False
    ) -> str:
        """Runs a program, which has to end well; says what it printed, unless it is to be quiet, and gives it."""
        # Isolated, so that nothing is found but what is installed.
        output = self._run_with(self._python, '-I', str(program), *arguments, settings=settings)
        if not quiet:
            say('\n  '.join(output.strip().splitlines()))
        return output

    def _run(self, program: str, *arguments: str) -> None:
        self.run(_PROGRAMS / f'{program}.py', *arguments)

    def _run_with(self, python: Path, *arguments: str, settings: Mapping[str, str] | None = None, code: int = 0) -> str:
        environ = {name: value for name, value in os.environ.items() if not name.startswith(('DAPR_', 'PYTHON'))}
        done = subprocess.run(
            [str(python), *arguments],
            cwd=self.folder.parent,  # not here, where the sources are
            env={**environ, **(settings or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        expect(done.returncode == code, f'{arguments} ended with {done.returncode}:\n{done.stdout}{done.stderr}')
        return done.stdout


def alone(env: Environment, wheel: str) -> None:
    """Without Dapr's SDK."""
    env.install(wheel)
    env.is_ours()
    env.pip('uninstall', '--yes', OURS)
    expect(not env.has('dapr.ext.workflow'), 'something of ours is left')


def beside_the_sdk(env: Environment, wheel: str) -> None:
    """In place of dapr-ext-workflow, beside dapr 1.18."""
    env.install(SDK_WITHOUT_WORKFLOW, EXTENSION)
    env.pip('uninstall', '--yes', 'dapr-ext-workflow')
    env.install(wheel)
    env.is_ours()
    env.pip('uninstall', '--yes', OURS)
    env.install(EXTENSION)
    env.is_whole('dapr-ext-workflow')
    env.runs_a_workflow()


def over_the_extension(env: Environment, wheel: str) -> None:
    """Over dapr-ext-workflow, which stays since another package asks for it."""
    env.install(SDK_WITHOUT_WORKFLOW, EXTENSION)
    env.install(wheel)
    env.is_ours()
    env.pip('uninstall', '--yes', OURS)
    env.install('--force-reinstall', '--no-deps', EXTENSION)
    env.is_whole('dapr-ext-workflow')
    env.runs_a_workflow()


def over_the_sdk(env: Environment, wheel: str) -> None:
    """Over the copy in dapr 1.19."""
    env.install(SDK_WITH_WORKFLOW)
    env.install(wheel)
    env.is_ours()
    expect('in place of     dapr 1.19.0' in env.doctor(), 'the doctor does not name the copy that is replaced')
    env.pip('uninstall', '--yes', OURS)
    env.install('--force-reinstall', '--no-deps', SDK_WITH_WORKFLOW)
    env.is_whole('dapr')
    env.runs_a_workflow()


def repaired(env: Environment, wheel: str) -> None:
    """What pip lets happen by the wrong order: the doctor tells, and installing again, last, puts it right."""
    env.install(wheel)
    env.install(SDK_WITH_WORKFLOW)
    report = env.doctor(code=1)
    expect('are those of dapr 1.19.0' in report, report)
    env.install('--force-reinstall', '--no-deps', wheel)
    env.is_ours()
    env.pip('uninstall', '--yes', 'dapr')
    report = env.doctor(code=1)
    expect('were changed or taken away' in report, report)
    env.install('--force-reinstall', '--no-deps', wheel)
    env.is_ours()


WAYS: dict[str, Callable[[Environment, str], None]] = {
    'alone': alone,
    'beside-the-sdk': beside_the_sdk,
    'over-the-extension': over_the_extension,
    'over-the-sdk': over_the_sdk,
    'repaired': repaired,
}


class WayFailedError(Exception):
    """Something is not as it has to be."""


def expect(holds: bool, message: str) -> None:
    """Raises when something does not hold."""
    if not holds:
        raise WayFailedError(message)


def say(text: str) -> None:
    """Prints a line at once, for whoever waits."""
    print(f'  {text}', flush=True)


def build_wheel(folder: Path) -> Path:
    """Builds the wheel, with hatchling of this environment."""
    command = [sys.executable, '-m', 'hatchling', 'build', '--target', 'wheel', '--directory', str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    [wheel] = folder.glob('*.whl')
    return wheel


def main() -> int:
    """Tries the ways and prints a summary; 1 when one failed."""
    parser = argparse.ArgumentParser(description='Tries the ways to install the distribution, each by itself.')
    parser.add_argument('ways', nargs='*', choices=[[], *WAYS], help=f'which: {", ".join(WAYS)} (default: all)')
    options = parser.parse_args()
    failed = 0
    ways = options.ways or list(WAYS)
    with (
        tempfile.TemporaryDirectory(prefix='install-ways-') as scratch,
        Emulator(api_token=_TOKEN) as sidecar,
    ):
        wheel = build_wheel(Path(scratch, 'wheel'))
        for name in ways:
            begun = time.monotonic()
            print(f'{name}: {WAYS[name].__doc__}', flush=True)
            try:
                WAYS[name](Environment(Path(scratch, name), sidecar.address), str(wheel))
            except (WayFailedError, subprocess.TimeoutExpired) as error:
                failed += 1
                print(f'{name} FAILED: {error}', flush=True)
            else:
                print(f'{name}: ok, {time.monotonic() - begun:.0f} s', flush=True)
    print(f'{len(ways) - failed} passed, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
