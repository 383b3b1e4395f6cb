"""What is known of the errors that a sidecar, or the lack of one, gives: what is wrong, and what to do."""

from __future__ import annotations

from typing import Final

import grpc

from dapr.ext.workflow._durabletask.transport.errors import CallError, details_of, status_of, with_advice

# The release of Dapr that brought a call. The others are in all that are still in use.
_SINCE: Final = {
    'RerunWorkflowFromEvent': '1.16',
    'ListInstanceIDs': '1.17',
    'GetInstanceHistory': '1.17',
}
# UNAVAILABLE is also what a sidecar says of itself. These are gRPC's own words for no connection at all.
_NO_CONNECTION: Final = ('failed to connect', 'errors resolving', 'DNS resolution failed')
_NO_HANDSHAKE: Final = ('Tls handshake failed', 'Ssl handshake failed')


def advise(error: grpc.RpcError, method: str, address: str | None) -> grpc.RpcError:
    """The error, with what is known of its cause; the error itself when nothing is.

    Args:
        error: What the call ended with.
        method: The method of `TaskHubSidecarService` that was called.
        address: The sidecar's address as it was set; None: it is not known.
    """
    if isinstance(error, CallError):
        return error
    sidecar = 'the sidecar' if address is None else f"the sidecar at '{address}'"
    advice = _advice(error, method, sidecar)
    return error if advice is None else with_advice(error, advice)


def _advice(error: grpc.RpcError, method: str, sidecar: str) -> str | None:
    status = status_of(error)
    if status is grpc.StatusCode.UNAVAILABLE:
        return _of_no_connection(details_of(error), sidecar)
    if status is grpc.StatusCode.UNAUTHENTICATED:
        return (
            f'{_capitalized(sidecar)} does not accept the API token of this app, or its lack of one: set '
            'DAPR_API_TOKEN to the token that the sidecar was started with.'
        )
    if status is grpc.StatusCode.UNIMPLEMENTED:
        release = _SINCE.get(method)
        what_to_do = (
            'check that this is the gRPC port of a Dapr sidecar, and not that of an app.'
            if release is None
            else f'that needs Dapr {release} or newer.'
        )
        return f'{_capitalized(sidecar)} does not have {method}: {what_to_do}'
    return None


def _of_no_connection(details: str, sidecar: str) -> str | None:
    if any(words in details for words in _NO_HANDSHAKE):
        return (
            f'No TLS connection to {sidecar}: check its certificate, and whether it uses TLS at all. https:// or '
            '?tls=true in the address asks for it, http:// or ?tls=false does not.'
        )
    if any(words in details for words in _NO_CONNECTION):
        return (
            f'No connection to {sidecar}: check that it runs, and that this is its gRPC port. The address is set by '
            'DAPR_GRPC_ENDPOINT, by DAPR_RUNTIME_HOST and DAPR_GRPC_PORT, or by host and port in the code.'
        )
    return None


def _capitalized(text: str) -> str:
    return text[0].upper() + text[1:]
