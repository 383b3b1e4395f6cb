"""What all tests share: the way to `tests.support`, the mode they run in, and hypothesis' settings."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import settings

_ROOT = Path(__file__).resolve().parent.parent

# Last on the path: `tests.support` and `tools` are found, and an installed distribution still goes before the sources.
if str(_ROOT) not in sys.path:
    sys.path.append(str(_ROOT))

# A machine that is busy with something else is no failure; pytest-timeout ends what hangs.
settings.register_profile('project', deadline=None, print_blob=True)
settings.load_profile('project')


def pytest_configure(config: pytest.Config) -> None:
    from tests.support import modes

    modes.current()  # a misspelt mode is told before any test runs
    config.addinivalue_line(
        'markers', 'own_mode: the test sets the options of its workers itself, see tests.support.modes'
    )


@pytest.fixture(autouse=True)
def _mode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers work in the mode that DAPR_TEST_MODE names."""
    from tests.support import modes

    if request.node.get_closest_marker('own_mode') is None:
        modes.enter(monkeypatch)
