"""Property test: random async workflows answer alike on every thread, and in every process."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tests.support.async_programs import Program, async_programs
from tests.support.examples import parts, settings_of
from tests.support.random_workflows import Move, moves
from tests.support.recorded_turns import played
from tests.support.replay_elsewhere import Case, differing, orchestrator_of

ROOT = Path(__file__).parents[3]
PART = 2_000  # examples
THREADS = 3


@pytest.mark.timeout(0)  # how long it takes is a matter of how many examples are asked for
@pytest.mark.parametrize('part', parts(PART))
def test_async_workflows_answer_alike_on_other_threads_and_in_other_processes(part: int, tmp_path: Path) -> None:
    cases: list[Case] = []

    @settings_of(PART)
    @given(program=async_programs, schedule=st.lists(st.lists(moves, min_size=1, max_size=3), max_size=10))
    def play(program: Program, schedule: list[list[Move]]) -> None:
        cases.append((program, played(orchestrator_of(program), schedule)))

    play()
    with ThreadPoolExecutor(THREADS) as pool:
        for others in pool.map(differing, [cases[number::THREADS] for number in range(THREADS)]):
            assert others == []
    file = tmp_path / 'cases'
    file.write_bytes(pickle.dumps(cases))
    done = subprocess.run(
        [sys.executable, '-m', 'tests.support.replay_elsewhere', str(file)],
        cwd=ROOT,
        env={**os.environ, 'PYTHONHASHSEED': str(part + 4711)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.stdout == f'{len(cases)} replayed; all alike\n', done.stderr
