"""kill -9 of the emulator, or of the worker, at random moments under load: nothing committed is lost or doubled.

DAPR_TEST_KILLS says how many times each is killed (default: 8); `make test-kills` makes it 200.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.kills import Torture

KILLS = int(os.environ.get('DAPR_TEST_KILLS', '8'))


@pytest.mark.timeout(60 + 20 * KILLS)
@pytest.mark.parametrize('victim', ['emulator', 'worker'])
def test_what_is_killed_loses_nothing_and_repeats_nothing(victim: str, tmp_path: Path) -> None:
    with Torture(tmp_path, seed=KILLS) as torture:
        for _ in range(KILLS):
            torture.kill_and_restart(torture.emulator if victim == 'emulator' else torture.worker)
        torture.finish()
        print(f'{len(torture.tracked)} workflows, {KILLS} kills of the {victim}')  # noqa: T201
        assert torture.faults() == []
