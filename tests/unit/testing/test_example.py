"""The tests of the example pass, as somebody runs them who has just been given the folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.go_sidecar import ROOT


@pytest.mark.parametrize('options', [(), ('--workflow-always-replay',)], ids=' '.join)
def test_the_tests_of_the_example_pass(tmp_path: Path, options: tuple[str, ...]) -> None:
    folder = shutil.copytree(ROOT / 'examples' / 'testing', tmp_path / 'testing')
    command = [sys.executable, '-m', 'pytest', '-p', 'no:cacheprovider', *options]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100)
    assert run.returncode == 0, run.stdout
    assert '10 passed' in run.stdout


def test_a_change_that_breaks_its_running_workflows_is_found(tmp_path: Path) -> None:
    folder = shutil.copytree(ROOT / 'examples' / 'testing', tmp_path / 'testing')
    code = (folder / 'orders.py').read_text()
    assert 'timedelta(weeks=1)' in code
    (folder / 'orders.py').write_text(code.replace('ctx.call_activity(remind,', "ctx.call_activity('nag',"))
    run = subprocess.run(
        [sys.executable, '-m', 'pytest', '-p', 'no:cacheprovider', 'histories'],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert 'history: activity \'remind\' with input "a car"' in run.stdout
    assert '1 failed, 1 passed' in run.stdout
