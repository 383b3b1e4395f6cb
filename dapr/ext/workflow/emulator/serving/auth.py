"""The API token."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Any, Final, NoReturn

import grpc
import grpc.aio

__all__ = ['TOKEN_KEY', 'TokenGuard']

TOKEN_KEY: Final = 'dapr-api-token'


class TokenGuard(grpc.aio.ServerInterceptor):
    """Lets calls through that carry the token, of whatever kind they are, and no other.

    Args:
        token: The token; not empty.
    """

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        self._refusal: grpc.RpcMethodHandler[Any, Any] = grpc.unary_unary_rpc_method_handler(_refuse)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        metadata = handler_call_details.invocation_metadata
        given = [value for key, value in metadata if key == TOKEN_KEY]
        if len(given) == 1 and hmac.compare_digest(_bytes(given[0]), self._token):
            return await continuation(handler_call_details)
        return self._refusal


async def _refuse(request: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> NoReturn:
    await context.abort(
        grpc.StatusCode.UNAUTHENTICATED, f'the call carries no valid API token: send it as metadata {TOKEN_KEY}'
    )


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value
