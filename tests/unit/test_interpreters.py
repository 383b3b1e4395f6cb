"""Finding interpreters, where a version manager gets in the way too."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tools import interpreters
from tools.interpreters import SUPPORTED, find

HERE = f'{sys.version_info[0]}.{sys.version_info[1]}'
OTHER = next(version for version in SUPPORTED if version != HERE)


def _interpreter(path: Path, answer: str, code: int = 0) -> Path:
    """Makes a program that answers the question for its version as told."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\necho {answer}\nexit {code}\n')
    path.chmod(0o755)
    return path


def _environ(tmp_path: Path, *folders: Path) -> dict[str, str]:
    return {
        'PATH': ':'.join(str(folder) for folder in folders),
        'PYENV_ROOT': str(tmp_path / 'pyenv'),
        'HOME': str(tmp_path),
    }


def test_one_on_path_is_found(tmp_path: Path) -> None:
    path = _interpreter(tmp_path / 'bin' / f'python{OTHER}', OTHER)

    assert find(_environ(tmp_path, tmp_path / 'bin'))[OTHER] == path


def test_a_shim_that_fails_is_passed_over(tmp_path: Path) -> None:
    _interpreter(tmp_path / 'shims' / f'python{OTHER}', 'pyenv: command not found', code=127)
    path = _interpreter(tmp_path / 'bin' / f'python{OTHER}', OTHER)

    assert find(_environ(tmp_path, tmp_path / 'shims', tmp_path / 'bin'))[OTHER] == path


def test_one_of_another_version_than_its_name_is_passed_over(tmp_path: Path) -> None:
    _interpreter(tmp_path / 'bin' / f'python{OTHER}', '2.7')

    assert find(_environ(tmp_path, tmp_path / 'bin'))[OTHER] is None


def test_one_that_pyenv_keeps_off_path_is_found_the_newest_release_first(tmp_path: Path) -> None:
    for patch in ('2', '10', '9'):
        _interpreter(tmp_path / 'pyenv' / 'versions' / f'{OTHER}.{patch}' / 'bin' / 'python', OTHER)

    found = find(_environ(tmp_path))[OTHER]

    assert found == tmp_path / 'pyenv' / 'versions' / f'{OTHER}.10' / 'bin' / 'python'


def test_pyenv_is_found_in_the_home_folder(tmp_path: Path) -> None:
    path = _interpreter(tmp_path / '.pyenv' / 'versions' / f'{OTHER}.1' / 'bin' / 'python', OTHER)

    assert find({'PATH': '', 'HOME': str(tmp_path)})[OTHER] == path


def test_the_running_one_is_always_found(tmp_path: Path) -> None:
    found = find(_environ(tmp_path))

    assert found == {version: Path(sys.executable) if version == HERE else None for version in SUPPORTED}


def test_each_version_is_named_found_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _interpreter(tmp_path / 'bin' / f'python{OTHER}', OTHER)
    monkeypatch.setattr(interpreters, 'find', lambda: {'3.0': None, OTHER: path})

    interpreters.main([])
    assert capsys.readouterr().out == f'Python 3.0: NOT FOUND: nothing is tested on it\nPython {OTHER}: {path}\n'

    interpreters.main(['--tox-envs'])
    assert capsys.readouterr().out == f'py{OTHER.replace(".", "")}\n'
