"""The engine's worker, ours or the peer's: the same script under either environment. `child_worker.py ADDRESS`."""

from __future__ import annotations

import sys
from typing import Any

from measured import serve_measurements  # type: ignore[import-not-found]  # a sibling: this is run by path

from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker


def echo(ctx: Any, value: Any) -> Any:
    return value


def one_activity(ctx: Any, _: Any) -> Any:
    result = yield ctx.call_activity('echo', input=1)
    return result


def main() -> None:
    worker = TaskHubGrpcWorker(host_address=sys.argv[1])
    worker.add_orchestrator(one_activity)
    worker.add_activity(echo)
    worker.start()
    try:
        serve_measurements()
    finally:
        worker.stop()


if __name__ == '__main__':
    main()
