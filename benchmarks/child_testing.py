"""Environments of the testing kit, in one process: reads `{"case": str, "runs": int}` per line on stdin, answers with
`{"ms": [float], "left": {"threads": int, "files": int, "sockets": int}}`: what each run took, and how many there are
more after the runs than before.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Generator
from datetime import timedelta
from typing import Any

from dapr.ext.workflow import DaprWorkflowContext, RetryPolicy, WorkflowActivityContext, when_any
from dapr.ext.workflow.testing import WorkflowEnvironment

_DAYS = 28


def remind(ctx: WorkflowActivityContext, day: int) -> None:
    raise ConnectionError('the mail server is down')  # a stand-in answers, after two failures


def reminders(ctx: DaprWorkflowContext, every: int) -> Generator[Any, Any, int]:
    """Reminds every so many days, until it is answered or the days are over; gives how often."""
    answered = ctx.wait_for_external_event('answered')
    policy = RetryPolicy(first_retry_interval=timedelta(minutes=5), backoff_coefficient=2, max_number_of_attempts=5)
    for day in range(0, _DAYS, every):
        yield ctx.call_activity(remind, input=day, retry_policy=policy)
        if (yield when_any([answered, ctx.create_timer(timedelta(days=every))])) is answered:
            return day
    return _DAYS // every


def _test(every: int) -> None:
    """The mail server is down at each second reminder, for two attempts."""
    with WorkflowEnvironment.start_time_skipping() as env:
        count = _DAYS // every
        for _ in range(count // 2):
            env.mock_activity(remind, raises=ConnectionError('down'), times=2)
            env.mock_activity(remind, times=2)
        begun = env.now()
        assert env.run(reminders, input=every) == count
        assert env.now() - begun == timedelta(days=_DAYS) + count // 2 * timedelta(minutes=15)


def _environment() -> None:
    with WorkflowEnvironment.start_time_skipping():
        pass


_CASES: dict[str, Callable[[], None]] = {
    'a reminder each week: 17 turns': lambda: _test(7),
    'a reminder each day: 113 turns': lambda: _test(1),
    'an environment alone': _environment,
}


def _timed(call: Callable[[], None]) -> float:
    begun = time.perf_counter()
    call()
    return (time.perf_counter() - begun) * 1_000


def _held() -> dict[str, int]:
    gc.collect()
    links = [_link(name) for name in os.listdir('/proc/self/fd')] if os.path.isdir('/proc/self/fd') else []
    return {
        'threads': threading.active_count(),
        'files': len(links),
        'sockets': sum(link.startswith('socket:') for link in links),
    }


def _link(name: str) -> str:
    try:
        return os.readlink(f'/proc/self/fd/{name}')
    except OSError:  # the one that lists them
        return ''


def main() -> None:
    logging.disable()
    _test(7)  # imports and gRPC's own threads
    for line in sys.stdin:
        request = json.loads(line)
        before = _held()
        taken = [_timed(_CASES[request['case']]) for _ in range(request['runs'])]
        after = _held()
        print(json.dumps({'ms': taken, 'left': {name: after[name] - before[name] for name in after}}), flush=True)


if __name__ == '__main__':
    main()
