"""Tells where gevent has patched the process and gRPC does not know of it: the process stands still then.

A thread that reads a stream is a greenlet in such a process, and gRPC, in C, blocks the one thread that all greenlets
share until something comes. `grpc.experimental.gevent.init_gevent()` teaches it to wait as gevent does.
"""

from __future__ import annotations

import logging
import sys


def tell_of_gevent(logger: logging.Logger) -> None:
    """Warns, once a process, if gevent has patched threads and gRPC has not been told.

    Args:
        logger: Where it is told.
    """
    global _is_told
    if _is_told or not _is_in_the_way():
        return
    _is_told = True
    logger.warning(
        'gevent has patched this process, but gRPC has not been told, so the process stands still while it waits for '
        'the sidecar. Call grpc.experimental.gevent.init_gevent() right after gevent.monkey.patch_all(), before any '
        'client or WorkflowRuntime is made.'
    )


_is_told = False


def _is_in_the_way() -> bool:
    monkey = sys.modules.get('gevent.monkey')
    if monkey is None or not monkey.is_module_patched('threading'):
        return False
    # Unknown to a later gRPC: then nothing can be told.
    return getattr(sys.modules.get('grpc._cython.cygrpc'), 'g_gevent_activated', None) is False
