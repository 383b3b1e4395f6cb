"""The sidecar of these examples: the one that the environment names, else an emulator in the example's own process."""

from __future__ import annotations

import os

from dapr.ext.workflow.emulator import Emulator

# `dapr run` sets the second one for its app.
_NAMED_BY = ('DAPR_GRPC_ENDPOINT', 'DAPR_GRPC_PORT')


def use_sidecar() -> None:
    """Has runtimes and clients that are made from now on find a sidecar, whether or not one runs."""
    if not any(os.environ.get(name) for name in _NAMED_BY):
        emulator = Emulator()
        emulator.start()  # it stops with the process
        os.environ['DAPR_GRPC_ENDPOINT'] = emulator.address
