"""What is special, in a minute: `make demo`, on the emulator, or on daprd with `make demo DEMO_SIDECAR=daprd`.

1. An order of a shop, told turn by turn: what the sidecar sent, what the workflow asked for, what the activities did.
2. A long workflow, whose thousandth step costs what its first one did.
3. A worker that is killed in the middle of its work, and another one that goes on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from dapr.ext.workflow.emulator import Emulator
from examples.demo import killed, long_run, order
from examples.demo.telling import say


@contextmanager
def sidecar(kind: str) -> Iterator[str]:
    """Runs a sidecar, 'emulator' or 'daprd', and gives its address."""
    if kind == 'emulator':
        with Emulator() as emulator:
            yield emulator.address
        return
    from tools.daprd_sidecar import Daprd, daprd

    with Daprd(daprd()) as running:
        yield running.address


def main() -> None:
    kind = os.environ.get('DEMO_SIDECAR') or 'emulator'
    if kind not in ('emulator', 'daprd'):
        raise SystemExit(f"DEMO_SIDECAR is {kind!r}: it is 'emulator', which is the default, or 'daprd'")
    with sidecar(kind) as address:
        say(f'The sidecar: {kind} at {address}.')
        order.tell(address)
        long_run.tell(address)
        killed.tell(address)


if __name__ == '__main__':
    main()
