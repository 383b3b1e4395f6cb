"""Errors of calls, as they are told."""

from __future__ import annotations

import grpc


def status_of(error: BaseException) -> grpc.StatusCode | None:
    """The status that a call ended with; None for an error that is none of a call's."""
    code = getattr(error, 'code', None)
    status = code() if isinstance(error, grpc.RpcError) and callable(code) else None
    return status if isinstance(status, grpc.StatusCode) else None


def describe(error: BaseException) -> str:
    """One line about an error: a call's status and details instead of grpc's whole report."""
    status = status_of(error)
    details = getattr(error, 'details', None)
    if status is not None and callable(details):
        return f'{status.name}: {details()}'
    return f'{type(error).__name__}: {error}'
