"""A Go sidecar of the bench's own, in memory, on a free port."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tools.go_sidecar import Sidecar, builds


@contextmanager
def running_sidecar() -> Iterator[str]:
    """Runs a sidecar for as long as the block lasts and gives its address.

    Raises:
        FileNotFoundError: There is none: `make sidecar` builds it.
    """
    with Sidecar(builds()[0], in_memory=True) as sidecar:
        yield sidecar.address
