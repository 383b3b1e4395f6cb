"""The guide holds: its programs can be read, what they import is there, and its pages name all that they should."""

from __future__ import annotations

import ast
import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dapr.ext.workflow.workflow_runtime import WorkflowRuntime
from tools.go_sidecar import ROOT

DOCS = ROOT / 'docs'
PAGES = sorted(DOCS.rglob('*.md'))
_BLOCK = re.compile(r'```python\n(.*?)```', re.DOTALL)


def _programs() -> Iterator[tuple[str, str]]:
    for page in [*PAGES, ROOT / 'README.md']:
        for number, program in enumerate(_BLOCK.findall(page.read_text()), 1):
            if not program.startswith('--8<--'):
                yield f'{page.relative_to(ROOT)}-{number}', program


def _reference() -> str:
    return '\n'.join(page.read_text() for page in (DOCS / 'reference').glob('*.md'))


@pytest.mark.parametrize(('name', 'program'), list(_programs()), ids=lambda value: value if '\n' not in value else '')
def test_what_a_program_imports_is_there(name: str, program: str) -> None:
    for node in ast.walk(ast.parse(program)):
        if isinstance(node, ast.ImportFrom):
            try:
                module = importlib.import_module(node.module or '')
            except ModuleNotFoundError as error:  # a framework that the program is for, and tests do without
                if str(error.name).startswith('dapr'):
                    raise
                continue
            for alias in node.names:
                assert hasattr(module, alias.name), f'{name}: {node.module} has no {alias.name}'


def test_every_public_name_is_in_the_reference() -> None:
    contract = json.loads((ROOT / 'tests' / 'data' / 'public-api.json').read_text())['public']
    text = _reference()

    for module, names in contract.items():
        missing = [name for name in names if f'{module}.{name}' not in text and f'::: {module}\n' not in text]
        assert not missing, f'{module}: {missing}'


def test_every_argument_of_the_runtime_is_in_the_guide() -> None:
    text = (DOCS / 'guide' / 'runtime.md').read_text()

    arguments = WorkflowRuntime.__init__.__code__.co_varnames[1 : WorkflowRuntime.__init__.__code__.co_argcount]
    assert [name for name in arguments if f'`{name}`' not in text] == []


@pytest.mark.parametrize('page', [DOCS / 'guide' / 'runtime.md', ROOT / 'README.md'], ids=lambda page: Path(page).name)
def test_every_variable_that_is_read_is_told(page: Path) -> None:
    settings = (ROOT / 'dapr/ext/workflow/_durabletask/transport/settings.py').read_text()

    table = set(re.findall(r'DAPR_[A-Z_]+', settings.split('"""')[1]))
    assert {name for name in table if f'`{name}`' not in page.read_text()} == set()


def test_every_example_is_in_the_guide() -> None:
    text = (DOCS / 'guide' / 'examples.md').read_text()

    examples = {path.name for path in (ROOT / 'examples' / 'workflow').glob('*.py')}
    assert set(re.findall(r'--8<-- "examples/workflow/(\w+\.py)"', text)) == examples
