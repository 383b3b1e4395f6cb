"""What mypy --strict and pyright say of tests/types: what its lines expect, no more and no less.

A line that a checker must refuse is marked by `# type: ignore[code]`. mypy says so when the code is wrong or the mark
is not needed. pyright, whose rules have other names, is told not to heed the marks, and must refuse just those lines.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TYPES = ROOT / 'tests' / 'types'
PYRIGHT = {
    'typeCheckingMode': 'strict',
    'pythonVersion': '3.10',
    'extraPaths': [str(ROOT)],
    'enableTypeIgnoreComments': False,
}
MARK = re.compile(r'# type: ignore\[')
OF_MYPY = re.compile(r'(?P<file>.*?):(?P<line>\d+)(?::\d+)?: error: (?P<message>.*)')

# Faults of each kind, to show that they are found: an error that is not expected, and one that does not come.
FAULTY = """
from dapr.ext.workflow import DaprWorkflowContext, WorkflowActivityContext


def length(ctx: WorkflowActivityContext, text: str) -> int:
    return len(text)


def flow(ctx: DaprWorkflowContext) -> None:
    ctx.call_activity(length, input=1)
    ctx.call_activity(length, input='x')  # type: ignore[arg-type]
"""
UNEXPECTED, NOT_COMING = 10, 11

Lines = dict[int, str]


def marked(file: Path) -> set[int]:
    """The lines of a file that are to be refused."""
    return {number for number, line in enumerate(file.read_text('utf-8').splitlines(), 1) if MARK.search(line)}


def run(*command: str, environ: Mapping[str, str] | None = None) -> str:
    # Not its exit status: both checkers tell by it that they found something.
    done = subprocess.run(
        [sys.executable, '-m', *command],
        cwd=ROOT,
        env={**os.environ, **(environ or {})},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.stdout.strip(), f'{command[0]} said nothing; stderr: {done.stderr}'
    return done.stdout


@pytest.fixture(scope='module')
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp('types') / 'faulty.py'
    file.write_text(FAULTY, 'utf-8')
    return file


@pytest.fixture(scope='module')
def of_mypy(faulty: Path) -> dict[Path, Lines]:
    """The errors of mypy by file and line."""
    errors: dict[Path, Lines] = {}
    # A cache of its own: whoever runs mypy at the same time has the other.
    said = run('mypy', '--no-error-summary', '--cache-dir', str(faulty.parent / 'cache'), str(TYPES), str(faulty))
    for line in said.splitlines():
        if found := OF_MYPY.match(line):
            errors.setdefault((ROOT / found['file']).resolve(), {})[int(found['line'])] = found['message']
    assert faulty.resolve() in errors, f'mypy did not come to the end: {said}'
    return errors


@pytest.fixture(scope='module')
def of_pyright(faulty: Path) -> dict[Path, Lines]:
    """The errors and warnings of pyright by file and line."""
    config = faulty.with_name('pyrightconfig.json')
    include = [os.path.relpath(TYPES, config.parent), faulty.name]  # it takes no absolute paths
    config.write_text(json.dumps({**PYRIGHT, 'include': include}), 'utf-8')
    arguments = ('--project', str(config), '--pythonpath', sys.executable, '--outputjson')
    answer: Any = json.loads(run('pyright', *arguments, environ={'PYRIGHT_PYTHON_IGNORE_WARNINGS': '1'}))
    assert answer['summary']['filesAnalyzed'] == len(list(TYPES.glob('*.py'))) + 1
    errors: dict[Path, Lines] = {}
    for found in answer['generalDiagnostics']:
        line = found['range']['start']['line'] + 1
        errors.setdefault(Path(found['file']).resolve(), {})[line] = found['message']
    return errors


@pytest.mark.parametrize('file', sorted(TYPES.glob('*.py')), ids=lambda file: str(file.stem))
class TestFiles:
    def test_mypy_refuses_the_marked_lines_for_the_reason_given_and_no_others(
        self, of_mypy: dict[Path, Lines], file: Path
    ) -> None:
        assert of_mypy.get(file, {}) == {}

    def test_pyright_refuses_the_marked_lines_and_no_others(self, of_pyright: dict[Path, Lines], file: Path) -> None:
        errors = of_pyright.get(file, {})

        assert {line: why for line, why in errors.items() if line not in marked(file)} == {}
        assert marked(file) - errors.keys() == set()

    def test_there_are_lines_of_both_kinds(self, file: Path) -> None:
        assert marked(file)
        assert 'assert_type(' in file.read_text('utf-8')


def test_mypy_finds_what_is_wrong(of_mypy: dict[Path, Lines], faulty: Path) -> None:
    errors = of_mypy[faulty.resolve()]

    assert errors.keys() == {UNEXPECTED, NOT_COMING}
    # A message for people: it speaks of the input, not of protocols and coroutines.
    assert errors[UNEXPECTED].startswith('Argument "input" to "call_activity"')
    assert 'has incompatible type "int"; expected "str |' in errors[UNEXPECTED]
    assert 'Unused "type: ignore" comment' in errors[NOT_COMING]


def test_pyright_finds_what_is_wrong(of_pyright: dict[Path, Lines], faulty: Path) -> None:
    assert of_pyright[faulty.resolve()].keys() == {UNEXPECTED}
    assert marked(faulty) == {NOT_COMING}
