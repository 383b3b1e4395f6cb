"""What a child that is measured says to the harness: one JSON line for each line it is sent."""

from __future__ import annotations

import json
import sys
import threading
import time


def serve_measurements() -> None:
    """Says that the child is ready, then obeys "begin" and "end" lines until stdin ends.

    Both are answered, so that no load starts before the count does. The answer to "end" is the CPU time of the whole
    process since "begin", all threads together.
    """
    print(json.dumps({'ready': True}), flush=True)
    cpu = time.process_time()
    for line in sys.stdin:
        if line.strip() == 'begin':
            cpu = time.process_time()
            print(json.dumps({'begun': True}), flush=True)
        else:
            used = time.process_time() - cpu
            print(json.dumps({'cpu_s': used, 'threads': threading.active_count()}), flush=True)
