"""Each example runs to its end against a real sidecar and prints what it promises."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tools.go_sidecar import ROOT, Sidecar

EXPECTED = {
    'activity_sequence': ['["Hello Tokyo!", "Hello Seattle!", "Hello London!"]'],
    'fanout_fanin': ['"orders": 20', '"grams": '],
    'human_interaction': [
        'small purchase: "ordered a keyboard"',
        'approved: "ordered a server"',
        'refused: "refused by Grace"',
        'forgotten: "no answer in time"',
    ],
    'sub_orchestration': ['{"north": 100, "south": 140}'],
    'continue_as_new': ['done after 4 rounds; the note was: keep an eye on it', 'history of the last run: '],
    'retries': ['order 1: "charged at attempt 3"', 'order 2: "cancelled order 2: the card was refused"'],
    'versioning': [
        'old instances: "shipped by train"',
        'old instances: "report, version 1"',
        'new instances: "shipped by air"',
        'new instances: "report, version 2"',
    ],
}


@pytest.mark.parametrize('name', EXPECTED)
def test_example_runs_to_its_end(name: str, sidecar: Sidecar) -> None:
    run = subprocess.run(
        [sys.executable, '-m', f'examples.{name}'],
        cwd=ROOT,
        env={**os.environ, 'DAPR_GRPC_ENDPOINT': sidecar.address},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    for line in EXPECTED[name]:
        assert line in run.stdout


def test_the_demo_tells_turns_costs_and_a_kill() -> None:
    """The demo starts a sidecar of its own."""
    run = subprocess.run(
        [sys.executable, '-m', 'examples.demo'], cwd=ROOT, capture_output=True, text=True, timeout=110, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr == ''
    for line in (
        'counted 43 pieces',
        'charged 98000.00 at attempt 2',
        'taskFailed #5 (the bank does not answer)',
        'eventRaised Approval',
        'status: approved by the boss',
        'parcel for Grace is on its way',
        'step 1,000: 3,000 events of history',
        '1,001 of 1,002 turns found the running workflow',
        'first worker: killed',
        'step 2 by the first worker", "step',
        'step 6 by the second worker',
    ):
        assert line in run.stdout
