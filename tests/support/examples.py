"""How many examples the large property tests try: few in a test run, many in `make fuzz`."""

from __future__ import annotations

import os


def parts(size: int) -> range:
    """The parts, of that many examples each, that a property test is run in: one, or as many as DAPR_TEST_EXAMPLES
    takes. Hypothesis remembers all examples of a test while it runs, so one large part would take gigabytes."""
    wanted = int(os.environ.get('DAPR_TEST_EXAMPLES') or size)
    return range(max(1, -(-wanted // size)))
