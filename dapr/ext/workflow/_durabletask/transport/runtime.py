"""What daprd says of itself: its version, its app, its workers. Other sidecars have no such call."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.unknown_fields import UnknownFieldSet

# daprd has it beside the workflow service. The numbers are those of its answer's fields.
_GET_METADATA: Final = '/dapr.proto.runtime.v1.Dapr/GetMetadata'
_APP_ID: Final = 1
_RUNTIME_VERSION: Final = 8
_WORKFLOWS: Final = 12
_CONNECTED_WORKERS: Final = 1


@dataclass(frozen=True, slots=True)
class Runtime:
    """What daprd says of itself.

    Attributes:
        app_id: The app that it stands beside.
        version: Its version.
        workers: How many workers of workflows are connected to it.
    """

    app_id: str
    version: str
    workers: int

    def is_at_least(self, major: int, minor: int) -> bool | None:
        """Whether it is of this version or newer; None: its version is no number, as in builds of one's own."""
        found = re.match(r'v?(\d+)\.(\d+)', self.version)
        return None if found is None else (int(found[1]), int(found[2])) >= (major, minor)


def ask_runtime(
    channel: grpc.Channel, *, timeout: float, metadata: tuple[tuple[str, str], ...] | None = None
) -> Runtime:
    """Asks daprd for what it is.

    Args:
        channel: A channel to it.
        timeout: The call's deadline, in seconds.
        metadata: What goes along, such as the API token. Default: what the channel adds.

    Raises:
        grpc.RpcError: It does not answer; UNIMPLEMENTED: it is no daprd.
        google.protobuf.message.DecodeError: Its answer is none.
    """
    call = channel.unary_unary(_GET_METADATA, request_serializer=Empty.SerializeToString, response_deserializer=bytes)
    return runtime_of(call(Empty(), timeout=timeout, metadata=metadata))


def runtime_of(answer: bytes) -> Runtime:
    """Reads daprd's answer to GetMetadata.

    Raises:
        google.protobuf.message.DecodeError: It is none.
    """
    # Dapr's own messages are not ours to bring along, and where its SDK is they would be registered twice.
    fields = _fields(answer)
    app_id, version = (fields.get(field, b'').decode(errors='replace') for field in (_APP_ID, _RUNTIME_VERSION))
    return Runtime(app_id, version, _fields(fields.get(_WORKFLOWS, b'')).get(_CONNECTED_WORKERS, 0))


def _fields(message: bytes) -> dict[int, Any]:
    unknown: Any = UnknownFieldSet(Empty.FromString(message))
    return {field.field_number: field.data for field in unknown}
