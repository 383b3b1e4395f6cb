"""Metadata of the code that makes a call, beside that of the client: clients send it along."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Final

__all__ = ['CALL_METADATA', 'with_call_metadata']

CALL_METADATA: Final[ContextVar[tuple[tuple[str, str | bytes], ...]]] = ContextVar('CALL_METADATA', default=())
"""Keys (lower case) and values that go out with the calls which clients make in this context. Default: none."""


def with_call_metadata(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a call, with the metadata of who makes it, if there is any."""
    metadata = CALL_METADATA.get()
    return {**options, 'metadata': metadata} if metadata else options
