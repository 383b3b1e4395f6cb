"""What the e2e tests stand on, where no sidecar is needed to show it."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.daprd_sidecar import daprd
from tools.go_sidecar import ROOT, Build, Sidecar, builds

FakeSidecar = Callable[[str], Sidecar]


@pytest.fixture
def fake_sidecar(tmp_path: Path) -> FakeSidecar:
    """Makes a sidecar, not started, out of a shell script."""

    def make(script: str) -> Sidecar:
        binary = tmp_path / 'durabletask-go-fake'
        binary.write_text(f'#!/bin/sh\n{script}\n')
        binary.chmod(0o755)
        return Sidecar(Build('fake', sends_deltas=False, binary=binary))

    return make


def _run_e2e(**environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, '-m', 'pytest', '-p', 'no:cacheprovider', 'tests/e2e/test_sidecar.py'],
        cwd=ROOT,
        env={**os.environ, 'DAPR_E2E': '', **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_builds_are_a_newer_one_with_deltas_and_an_older_one_without() -> None:
    newer, older = builds()

    assert newer.sends_deltas
    assert not older.sends_deltas
    assert [int(part) for part in newer.version.split('.')] > [int(part) for part in older.version.split('.')]


def test_the_folder_of_the_builds_can_be_named(tmp_path: Path) -> None:
    assert [build.binary.parent for build in builds({'DAPR_SIDECAR_DIR': str(tmp_path)})] == [tmp_path, tmp_path]
    assert [build.binary.parent for build in builds({})] == [ROOT / '.bin', ROOT / '.bin']


def test_without_a_sidecar_the_tests_are_skipped_with_a_banner(tmp_path: Path) -> None:
    run = _run_e2e(DAPR_SIDECAR_DIR=str(tmp_path))

    assert run.returncode == 0, run.stdout
    assert 'E2E TESTS WERE SKIPPED' in run.stdout
    for build in builds({'DAPR_SIDECAR_DIR': str(tmp_path)}):
        assert f'no sidecar {build.version} at {build.binary}' in run.stdout


def test_without_a_sidecar_the_tests_fail_where_it_is_required(tmp_path: Path) -> None:
    run = _run_e2e(DAPR_SIDECAR_DIR=str(tmp_path), DAPR_E2E='require')

    assert run.returncode == 1, run.stdout
    assert 'DAPR_E2E=require, and no sidecar' in run.stdout
    # What passes are the tests on the emulator, which is always there: one third of all.
    counts = {what: int(number) for number, what in re.findall(r'(\d+) (passed|errors|failed)', run.stdout)}
    assert counts == {'passed': counts['passed'], 'errors': counts['passed'] * len(builds())}


def test_a_misspelt_requirement_is_refused() -> None:
    run = _run_e2e(DAPR_E2E='required')

    assert run.returncode == pytest.ExitCode.USAGE_ERROR, run.stdout
    assert "DAPR_E2E is 'required'" in run.stderr


def test_a_binary_that_is_missing_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'run `make sidecar`'):
        Sidecar(Build('0.0.0', sends_deltas=False, binary=tmp_path / 'missing'))


def test_a_sidecar_that_ends_is_told_with_its_log(fake_sidecar: FakeSidecar) -> None:
    sidecar = fake_sidecar('echo the disk is full; exit 3')

    with pytest.raises(RuntimeError, match=r'ended with code 3; its log ends with:\nthe disk is full'), sidecar:
        pass

    assert not sidecar.running


def test_a_sidecar_that_stays_silent_is_told_and_ended(
    fake_sidecar: FakeSidecar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('tools.go_sidecar._START_SECONDS', 0.5)
    sidecar = fake_sidecar('exec sleep 60')

    with pytest.raises(RuntimeError, match='does not answer Hello'), sidecar:
        pass

    assert not sidecar.running


def test_a_process_does_not_outlive_a_run_that_ends_without_clean_up(tmp_path: Path) -> None:
    # The process holds the write end of this pipe until it is gone; that wakes the reader.
    gone, alive = os.pipe()
    script = textwrap.dedent(f"""
        import os, subprocess, sys
        from tools import processes
        start = subprocess.Popen
        processes.subprocess.Popen = lambda command, **options: start(
            command, pass_fds=[{alive}] if command[0] == 'sleep' else [], **options)
        with open({str(tmp_path / 'log')!r}, 'ab') as log:
            guarded = processes.Guarded(['sleep', '60'], log)
        assert guarded.running
        print('started', flush=True)
        os._exit(1)
    """)
    try:
        run = subprocess.run(
            [sys.executable, '-c', script], cwd=ROOT, pass_fds=[alive], capture_output=True, text=True, check=False
        )
    finally:
        os.close(alive)

    assert run.stdout == 'started\n', run.stderr
    with os.fdopen(gone, 'rb') as pipe:
        assert select.select([pipe], [], [], 20)[0], 'the process still runs'


def test_daprd_is_tested_where_that_is_asked_for_and_nothing_else(tmp_path: Path) -> None:
    run = _run_e2e(DAPR_SIDECAR_DIR=str(tmp_path), DAPR_TEST_SIDECAR='daprd')

    assert run.returncode == 0, run.stdout
    build = daprd({'DAPR_SIDECAR_DIR': str(tmp_path)})
    assert f'no sidecar {build.version} at {build.binary}: run `make daprd`' in run.stdout
    assert 'passed' not in run.stdout


def test_a_misspelt_sidecar_is_refused() -> None:
    run = _run_e2e(DAPR_TEST_SIDECAR='dapr')

    assert run.returncode == pytest.ExitCode.USAGE_ERROR, run.stdout
    assert "DAPR_TEST_SIDECAR is 'dapr'" in run.stderr
