"""The distribution as its users get it: what the wheel and the sdist hold and ask for."""

from __future__ import annotations

import configparser
import importlib.metadata
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

import dapr.ext.workflow._version as version_module
from tools.go_sidecar import ROOT
from tools.interpreters import SUPPORTED, tox_env

# What dapr 1.19.0 installs at dapr/ext/workflow; dapr-ext-workflow 1.18.3 has no package that it lacks.
PEER_FILES = ROOT / 'tests' / 'data' / 'dapr-1.19.0-workflow-files.txt'
RUNTIME = ('grpcio', 'protobuf', 'typing-extensions')


def _build(source: Path, target: str, out: Path) -> Path:
    # By hatchling itself and not by a build front end: nothing is installed, so no network is asked.
    command = [sys.executable, '-m', 'hatchling', 'build', '--target', target, '--directory', str(out)]
    built = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=100, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    [made] = out.iterdir()
    return made


def _unpack(sdist: Path, folder: Path) -> Path:
    with tarfile.open(sdist) as archive:
        # Not `filter='data'`: Python before 3.11.4 has no filters.
        archive.extraction_filter = getattr(tarfile, 'data_filter', None)
        archive.extractall(folder)
    [root] = folder.iterdir()
    return root


@pytest.fixture(scope='module')
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build(ROOT, 'wheel', tmp_path_factory.mktemp('wheel'))


@pytest.fixture(scope='module')
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build(ROOT, 'sdist', tmp_path_factory.mktemp('sdist'))


@pytest.fixture(scope='module')
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith('.dist-info/METADATA')]
        return Parser().parsestr(archive.read(name).decode())


def _files(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if '.dist-info/' not in name}


def _module_names(files: set[str]) -> set[str]:
    return {name.removesuffix('.py') for name in files if name.endswith('.py')}


def _package_names(files: set[str]) -> set[str]:
    return {name.removesuffix('/__init__.py') for name in files if name.endswith('/__init__.py')}


def _required(metadata: Message) -> list[str]:
    """What is installed along, in any case."""
    return [line for line in metadata.get_all('Requires-Dist', []) if 'extra ==' not in line]


def _floors() -> dict[str, str]:
    lines = (ROOT / 'tools' / 'floors.txt').read_text().splitlines()
    return dict(line.split('==') for line in lines if line and not line.startswith('#'))


def test_the_wheel_holds_the_workflow_package_and_nothing_else(wheel: Path) -> None:
    sources = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / 'dapr').rglob('*')
        if path.is_file() and '__pycache__' not in path.parts
    }

    assert _files(wheel) == sources
    # Beside the package: what pytest loads everywhere must not import it.
    assert [name for name in sources if not name.startswith('dapr/ext/workflow/')] == ['dapr/ext/workflow_pytest.py']


def test_the_wheel_is_typed_and_leaves_the_namespaces_to_all(wheel: Path) -> None:
    files = _files(wheel)

    assert 'dapr/ext/workflow/py.typed' in files
    assert not files & {'dapr/__init__.py', 'dapr/ext/__init__.py'}


def test_no_name_is_a_module_in_ours_and_a_package_in_what_it_is_installed_over(wheel: Path) -> None:
    """Python takes the package, whoever brought it: half of each would be imported. It holds for going back, too."""
    ours, theirs = _files(wheel), set(PEER_FILES.read_text().split())

    assert not _module_names(ours) & _package_names(theirs)
    assert not _module_names(theirs) & _package_names(ours)


def test_the_wheel_is_for_any_platform_and_python_3(wheel: Path) -> None:
    assert wheel.name == f'dapr_stateful_workflow-{version_module.__version__}-py3-none-any.whl'


def test_the_namespaces_are_shared_with_other_distributions(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / 'ours')
    for other in ('dapr/clients', 'dapr/ext/grpc'):
        (tmp_path / 'others' / other).mkdir(parents=True)
        (tmp_path / 'others' / other / '__init__.py').touch()

    found = subprocess.run(
        [
            sys.executable,
            '-c',
            'import dapr.clients, dapr.ext.grpc, dapr.ext.workflow._version as v; print(v.__file__)',
        ],
        cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join([str(tmp_path / 'others'), str(tmp_path / 'ours')])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert found.returncode == 0, found.stderr
    assert Path(found.stdout.strip()).is_relative_to(tmp_path / 'ours')


def test_a_wheel_built_from_the_sdist_is_the_same(wheel: Path, sdist: Path, tmp_path: Path) -> None:
    source = _unpack(sdist, tmp_path / 'source')

    again = _build(source, 'wheel', tmp_path / 'again')

    assert again.name == wheel.name
    assert _files(again) == _files(wheel)


def test_the_sdist_holds_what_testing_it_takes_and_nothing_made_on_the_way(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        files = {name.partition('/')[2] for name in archive.getnames()}

    assert files >= {
        'LICENSE',
        'README.md',
        'Makefile',
        'pyproject.toml',
        'tox.ini',
        'tests/conftest.py',
        'proto/orchestration.proto',
    }
    tops = {name.split('/')[0] for name in files}
    assert not tops & {'.ci', '.git', '.venv', '.venv-proto', '.tox', '.bin', 'dist'}
    assert not [name for name in files if '__pycache__' in name]


def test_the_metadata_says_what_is_asked_of_an_environment(metadata: Message) -> None:
    assert metadata['Name'] == 'dapr-stateful-workflow'
    assert metadata['Version'] == version_module.__version__
    assert metadata['Requires-Python'] == '>=3.10'
    assert metadata['License-Expression'] == 'Apache-2.0'
    assert metadata['License-File'] == 'LICENSE'
    assert metadata['Description-Content-Type'] == 'text/markdown'
    assert {re.split('[<>=]', line)[0] for line in _required(metadata)} == set(RUNTIME)
    assert set(metadata.get_all('Provides-Extra') or ()) == {'cli', 'dashboard', 'mcp', 'otel'}


def test_the_floors_that_tox_installs_are_those_of_the_metadata(metadata: Message) -> None:
    floors = {match[1]: match[2] for line in _required(metadata) if (match := re.match(r'([\w-]+).*>=([\w.]+)', line))}

    assert floors == _floors()


def test_the_supported_versions_are_the_same_everywhere(metadata: Message) -> None:
    tox = configparser.ConfigParser()
    tox.read(ROOT / 'tox.ini')
    environments = [name for name in tox['tox']['env_list'].split(', ') if name.startswith('py')]
    prefix = 'Programming Language :: Python :: 3.'
    classified = [line for line in metadata.get_all('Classifier', []) if line.startswith(prefix)]

    assert environments == [tox_env(version) for version in SUPPORTED]
    assert [line.split(' :: ')[-1] for line in classified] == list(SUPPORTED)
    assert metadata['Requires-Python'] == f'>={SUPPORTED[0]}'


@pytest.mark.skipif('DAPR_TEST_INSTALLED' not in os.environ, reason='only tox tests an installed wheel')
def test_what_is_tested_is_the_installed_wheel() -> None:
    assert not Path(version_module.__file__).is_relative_to(ROOT / 'dapr')


@pytest.mark.skipif('DAPR_TEST_FLOORS' not in os.environ, reason='only `tox -e floors` installs the floors')
def test_what_is_installed_are_the_floors() -> None:
    assert {name: importlib.metadata.version(name) for name in RUNTIME} == _floors()
