"""How many examples the large property tests try: few in a test run, many in `make fuzz`."""

from __future__ import annotations

import os


def examples(few: int) -> int:
    """`few`, or what DAPR_TEST_EXAMPLES says."""
    return int(os.environ.get('DAPR_TEST_EXAMPLES') or few)
