"""What all tests share: the way to `tests.support`, and hypothesis' settings."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import settings

_ROOT = Path(__file__).resolve().parent.parent

# Last on the path: `tests.support` and `tools` are found, and an installed distribution still goes before the sources.
if str(_ROOT) not in sys.path:
    sys.path.append(str(_ROOT))

# A machine that is busy with something else is no failure; pytest-timeout ends what hangs.
settings.register_profile('project', deadline=None, print_blob=True)
settings.load_profile('project')
