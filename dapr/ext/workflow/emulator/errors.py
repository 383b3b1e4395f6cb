"""What a call to the backend can end with, other than its result."""

from __future__ import annotations

import grpc

__all__ = ['Refused', 'StoreError']


class Refused(Exception):
    """The caller asked for something that cannot be done. Nothing was changed.

    Attributes:
        code: The gRPC status that the caller is answered with.
        message: What was wrong, in daprd's words where it has some.
    """

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class StoreError(Exception):
    """The database could not be opened, read or written (a full disk, a file in use). Nothing was changed."""
