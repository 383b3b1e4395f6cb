"""What the parts of the demo have in common: how they print, and how a workflow is started."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import grpc

from dapr.ext.workflow import DaprWorkflowClient
from dapr.ext.workflow.logger import LoggerOptions

# The demo tells what happens itself; the worker's own log would tell it twice.
QUIET = LoggerOptions(log_level=logging.CRITICAL)

_SERVED_SECONDS = 60.0
_printing = threading.Lock()


def say(text: str = '') -> None:
    """Prints a line, whichever thread it comes from."""
    with _printing:
        print(text, flush=True)


def start(client: DaprWorkflowClient, workflow: Any, **arguments: Any) -> str:
    """Schedules a workflow, as soon as the sidecar takes one: daprd needs some seconds to place its actors."""
    end = time.monotonic() + _SERVED_SECONDS
    while True:
        try:
            return client.schedule_new_workflow(workflow, **arguments)
        except grpc.RpcError:
            if time.monotonic() > end:
                raise
        time.sleep(0.2)
