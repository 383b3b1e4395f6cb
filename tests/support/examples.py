"""How many examples the large property tests try: thousands in `make test`, fewer in tox, many in `make fuzz`."""

from __future__ import annotations

import os

from hypothesis import settings


def wanted(size: int) -> int:
    """How many examples a test tries that tries `size` of them in `make test`: those, or DAPR_TEST_EXAMPLES."""
    return int(os.environ.get('DAPR_TEST_EXAMPLES') or size)


def parts(size: int) -> range:
    """The parts that a property test is run in. Hypothesis remembers all examples of a test while it runs, so one large
    part would take gigabytes."""
    return range(max(1, -(-wanted(size) // size)))


def settings_of(size: int) -> settings:
    """The settings of one part: the same examples each time where it is the only one."""
    return settings(max_examples=min(size, wanted(size)), derandomize=len(parts(size)) == 1)
