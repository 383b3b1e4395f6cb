"""What is known of the errors that a sidecar, or the lack of one, gives: what is wrong, and what to do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import grpc

from dapr.ext.workflow._durabletask.transport.errors import (
    PayloadTooLargeError,
    SidecarUnavailableError,
    WorkerNotConnectedError,
    WorkflowAlreadyExistsError,
    WorkflowCallError,
    WorkflowNotFoundError,
    WorkflowStalledError,
    WorkflowTimeoutError,
    details_of,
    status_of,
    with_advice,
)
from dapr.ext.workflow._durabletask.transport.obstacles import Obstacle, app_of, obstacle_of

# The release of Dapr that brought a call. The others are in all that are still in use.
_SINCE: Final = {
    'RerunWorkflowFromEvent': '1.16',
    'ListInstanceIDs': '1.17',
    'GetInstanceHistory': '1.17',
}
_NOT_FOUND: Final = ('no such instance', 'not found')
_STALLED: Final = 'is stalled'
_TOO_LARGE: Final = re.compile(r'larger than max|message (?:is )?too large|exceeds (?:the )?max', re.IGNORECASE)
_SIZES: Final = re.compile(r'\((\d+) vs\.? (\d+)\)')

_Advice = tuple[type[WorkflowCallError], str]


@dataclass(frozen=True, slots=True)
class _Asked:
    """Who was asked, and of what."""

    method: str
    sidecar: str
    instance_id: str
    app_id: str

    @property
    def instance(self) -> str:
        return f"'{self.instance_id}'" if self.instance_id else 'that id'


def advise(error: grpc.RpcError, method: str, address: str | None, request: Any = None) -> grpc.RpcError:
    """The error, with what is known of its cause; the error itself when nothing is.

    Args:
        error: What the call ended with.
        method: The method of `TaskHubSidecarService` that was called.
        address: The sidecar's address as it was set; None: it is not known.
        request: What it was asked, for messages that name the instance. Default: None.
    """
    if isinstance(error, WorkflowCallError):
        return error
    asked = _Asked(
        method,
        'the sidecar' if address is None else f"the sidecar at '{address}'",
        getattr(request, 'instanceId', '') or getattr(request, 'sourceInstanceID', ''),
        request.router.targetAppID if hasattr(request, 'router') else '',
    )
    known = _of_obstacle(error, asked) or _of_status(error, asked)
    return error if known is None else with_advice(error, known[1], known[0])


def _of_obstacle(error: grpc.RpcError, asked: _Asked) -> _Advice | None:
    obstacle = obstacle_of(error)
    if obstacle is Obstacle.NO_HANDSHAKE:
        return SidecarUnavailableError, (
            f'No TLS connection to {asked.sidecar}: check its certificate, and whether it uses TLS at all. https:// or '
            '?tls=true in the address asks for it, http:// or ?tls=false does not.'
        )
    if obstacle is Obstacle.NO_CONNECTION:
        return SidecarUnavailableError, (
            f'No connection to {asked.sidecar}: check that it runs, and that this is its gRPC port. The address is set '
            'by DAPR_GRPC_ENDPOINT, by DAPR_RUNTIME_HOST and DAPR_GRPC_PORT, or by host and port in the code.'
        )
    if obstacle in (Obstacle.NO_WORKER, Obstacle.BEING_PLACED):
        app_id = asked.app_id or app_of(error)
        app = 'the app' if app_id is None else f"app '{app_id}'"
        if obstacle is Obstacle.NO_WORKER:
            return WorkerNotConnectedError, (
                f'No worker of {app} is connected to {asked.sidecar}: start its WorkflowRuntime.'
            )
        return WorkerNotConnectedError, (
            f'{_capitalized(asked.sidecar)} finds no place where workflows of {app} run: no worker of it is connected, '
            'or one has just come or gone. Start its WorkflowRuntime, and check that placement and scheduler are up.'
        )
    return None


def _of_status(error: grpc.RpcError, asked: _Asked) -> _Advice | None:
    status, details = status_of(error), details_of(error)
    if status is grpc.StatusCode.UNAUTHENTICATED:
        return WorkflowCallError, (
            f'{_capitalized(asked.sidecar)} does not accept the API token of this app, or its lack of one: set '
            'DAPR_API_TOKEN to the token that the sidecar was started with.'
        )
    if status is grpc.StatusCode.UNIMPLEMENTED:
        release = _SINCE.get(asked.method)
        what_to_do = (
            'check that this is the gRPC port of a Dapr sidecar, and not that of an app.'
            if release is None
            else f'that needs Dapr {release} or newer.'
        )
        return WorkflowCallError, f'{_capitalized(asked.sidecar)} does not have {asked.method}: {what_to_do}'
    if status is grpc.StatusCode.ALREADY_EXISTS:
        return WorkflowAlreadyExistsError, f'There is a workflow instance with the id {asked.instance} already.'
    if status in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNKNOWN) and any(part in details for part in _NOT_FOUND):
        return WorkflowNotFoundError, f'There is no workflow instance with the id {asked.instance}.'
    if status is grpc.StatusCode.UNKNOWN and _STALLED in details:
        return WorkflowStalledError, (
            f'The workflow instance {asked.instance} is stalled, and takes no such call: connect a worker that can go '
            'on with it, or purge it by force.'
        )
    if status is grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE.search(details):
        return PayloadTooLargeError, _of_size(details, asked)
    if status is grpc.StatusCode.DEADLINE_EXCEEDED:
        return WorkflowTimeoutError, f'{_capitalized(asked.sidecar)} has not answered {asked.method} in time.'
    return None


def _of_size(details: str, asked: _Asked) -> str:
    sizes = _SIZES.search(details)
    much = '' if sizes is None else f' of {int(sizes[1]):,} bytes, above a limit of {int(sizes[2]):,}'
    # gRPC for Python names the side that counted; without a name it was gRPC for Go, which is the sidecar's.
    sent = re.search(r'sen[dt] message', details, re.IGNORECASE) is not None
    if details.startswith('CLIENT') or (details[:1].isupper() and not details.startswith('SERVER')):
        return (
            f'This client refused a message{much}, which {"it was to send" if sent else "the sidecar sent"}: its own '
            'limit is max_grpc_message_length, or DAPR_GRPC_MAX_INBOUND_MESSAGE_SIZE_BYTES.'
        )
    return (
        f'{_capitalized(asked.sidecar)} refused a message{much}, in {asked.method}: raise its limit with '
        "--max-body-size (in Kubernetes the annotation dapr.io/max-body-size; the emulator's is --max-message-bytes), "
        'or keep large values in a store and pass their keys.'
    )


def _capitalized(text: str) -> str:
    return text[0].upper() + text[1:]
