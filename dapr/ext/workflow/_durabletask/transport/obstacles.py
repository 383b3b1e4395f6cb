"""What keeps a sidecar from taking a call, and passes: told apart by what may have happened to the call.

The words are those of gRPC (no connection) and of daprd 1.18 (its actors). A worker that connects brings the app's
actor types along, and placement hands them out: until then daprd refuses calls before it does anything about them.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

import grpc

from dapr.ext.workflow._durabletask.transport.errors import details_of, status_of

# UNAVAILABLE is also what a sidecar says of itself. These are gRPC's own words for no connection at all.
_NO_CONNECTION: Final = ('failed to connect', 'errors resolving', 'DNS resolution failed')
_NO_HANDSHAKE: Final = ('Tls handshake failed', 'Ssl handshake failed')
_NO_WORKER: Final = re.compile(r'actor type \S+ not registered')
_NO_PLACE: Final = re.compile('did not find address for actor|actor runtime|actors? (?:are|is) not ready|placement')
# An actor that is moving lets nobody in any more; nothing has been done about the call by then.
_CLOSING: Final = 'actor is closed, cannot handle'
# What gRPC says of a call that the other side has dropped: daprd drops those under way when an app's actors move.
_DROPPED: Final = 'RST_STREAM'
# daprd reads a state in more than one step, and another turn may write it in between.
_HALF_READ: Final = 'transient store read failure'
_APP: Final = re.compile(r'dapr\.internal\.[^.\s]+\.([^\s/|"\']+?)\.(?:workflow|activity)')


class Obstacle(Enum):
    """What is in the way of a call."""

    NO_CONNECTION = 'no connection'
    """The call was not sent."""
    NO_HANDSHAKE = 'no handshake'
    """The call was not sent, and will not be: one side speaks TLS, or the certificate is not accepted."""
    NO_WORKER = 'no worker'
    """The sidecar refused the call, since no worker of the app is connected."""
    BEING_PLACED = 'being placed'
    """The sidecar refused the call, since the app's actors have no place yet, or are moving."""
    BEING_SAVED = 'being saved'
    """The sidecar refused the call, since the instance's state changed while it was read."""
    LOST = 'lost'
    """The connection or the sidecar went away, or dropped the call: it may have had its effect, or not."""

    @property
    def is_harmless(self) -> bool:
        """Whether the call has had no effect, and may do better a little later."""
        return self in (Obstacle.NO_CONNECTION, Obstacle.NO_WORKER, Obstacle.BEING_PLACED, Obstacle.BEING_SAVED)


def obstacle_of(error: grpc.RpcError) -> Obstacle | None:
    """What was in the way of a call; None when its error is the sidecar's answer, or not known to pass."""
    status, details = status_of(error), details_of(error)
    if status is grpc.StatusCode.UNAVAILABLE:
        if any(words in details for words in _NO_HANDSHAKE):
            return Obstacle.NO_HANDSHAKE
        return Obstacle.NO_CONNECTION if any(words in details for words in _NO_CONNECTION) else Obstacle.LOST
    if status is grpc.StatusCode.CANCELLED and _DROPPED in details:
        return Obstacle.LOST
    if _NO_WORKER.search(details):
        return Obstacle.NO_WORKER
    if _CLOSING in details or (status is grpc.StatusCode.FAILED_PRECONDITION and _NO_PLACE.search(details)):
        return Obstacle.BEING_PLACED
    return Obstacle.BEING_SAVED if _HALF_READ in details else None


def app_of(error: grpc.RpcError) -> str | None:
    """The app whose actors a sidecar's error is about; None where it names none."""
    found = _APP.search(details_of(error))
    return None if found is None else found[1]
