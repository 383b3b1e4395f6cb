"""Errors of calls, as they are told."""

from __future__ import annotations

import types
from typing import Final

import grpc


class CallError(grpc.RpcError):
    """The error of a call whose cause is known: its text says what to do about it, all else is as gRPC gave it.

    Made by `with_advice`, whose result is also of the type that gRPC raised: whatever caught that one catches this one.
    """

    _error: grpc.RpcError
    _advice: str

    def __str__(self) -> str:
        return f'{self._advice} ({describe(self._error)})'

    def __repr__(self) -> str:  # gRPC's own types tell their whole report
        return str(self)


# One for each type of gRPC's, so that errors of a kind stay of a kind.
_KNOWN_KINDS: Final[dict[type[grpc.RpcError], type[CallError]]] = {}


def with_advice(error: grpc.RpcError, advice: str) -> CallError:
    """An error like the given one, whose text says what is wrong and what to do."""
    kind = type(error)
    if kind not in _KNOWN_KINDS:
        _KNOWN_KINDS[kind] = types.new_class(
            kind.__name__, (CallError, kind), exec_body=lambda body: body.update(__module__=kind.__module__)
        )
    # gRPC's types have constructors of all sorts. What their methods read is what these have set.
    known = Exception.__new__(_KNOWN_KINDS[kind], advice)
    known.__dict__.update(error.__dict__, _error=error, _advice=advice)
    return known


def status_of(error: BaseException) -> grpc.StatusCode | None:
    """The status that a call ended with; None for an error that is none of a call's."""
    code = getattr(error, 'code', None)
    status = code() if isinstance(error, grpc.RpcError) and callable(code) else None
    return status if isinstance(status, grpc.StatusCode) else None


def code_of(error: BaseException) -> str:
    """What went wrong, as one of few words: the name of a call's status in lower case, or 'error'."""
    status = status_of(error)
    return 'error' if status is None else status.name.lower()


def details_of(error: BaseException) -> str:
    """The details that a call ended with; '' where there are none."""
    details = getattr(error, 'details', None)
    return str(details() or '') if callable(details) else ''


def describe(error: BaseException) -> str:
    """One line about an error: a call's status and details instead of grpc's whole report."""
    if isinstance(error, CallError):
        return str(error)
    status = status_of(error)
    if status is not None and callable(getattr(error, 'details', None)):
        return f'{status.name}: {details_of(error)}'
    return f'{type(error).__name__}: {error}'
