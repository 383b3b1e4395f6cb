"""kill -9 of the sidecar, or of a worker, at random moments under load: nothing committed is lost or doubled.

DAPR_TEST_KILLS says how many times each is killed (default: 8); `make test-kills` makes it 200. On a daprd, which has
moments of its own (see `tests.support.kills`), it is done when it is asked for: `make test-kills
DAPR_TEST_SIDECAR=daprd KILLS=50`.
"""

from __future__ import annotations

import os

import pytest

from tests.support.kills import CONFUSED, DEADLOCKED, Torture
from tools.daprd_sidecar import sidecar_of
from tools.go_sidecar import Sidecar

ASKED_FOR = os.environ.get('DAPR_TEST_KILLS')
KILLS = int(ASKED_FOR or 8)


@pytest.mark.timeout(120 + 20 * KILLS)
@pytest.mark.parametrize('victim', ['sidecar', 'worker'])
def test_what_is_killed_loses_nothing_and_repeats_nothing(victim: str, sidecar: Sidecar) -> None:
    if not sidecar.build.answers_as_daprd:
        pytest.skip('what the Go sidecar keeps when it is killed is its own matter')
    if sidecar.build.is_daprd and not ASKED_FOR:
        pytest.skip('on a daprd by `make test-kills DAPR_TEST_SIDECAR=daprd`')
    left_out: tuple[str, ...] = ()
    if sidecar.build.is_daprd:
        left_out = (CONFUSED, DEADLOCKED) if victim == 'sidecar' else (CONFUSED,)
    with Torture(sidecar_of(sidecar.build), KILLS, left_out) as torture:
        kill = torture.kill_the_sidecar if victim == 'sidecar' else torture.kill_a_worker
        for _ in range(KILLS):
            kill()
        torture.finish()
        print(f'{len(torture.tracked)} workflows, {KILLS} kills of the {victim}')  # noqa: T201
        assert torture.faults() == []
