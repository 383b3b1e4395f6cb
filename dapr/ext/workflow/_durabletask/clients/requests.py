"""What a client asks of a sidecar, and how it reads the answers: all of it but sending and waiting.

The sync and the async client differ in how they make a call and how they wait; each takes an `Operation` from here and
carries it out. A payload of None is no payload; every other one goes out as JSON, falsy ones too.
"""

from __future__ import annotations

import importlib
import logging
import math
import sys
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Generic, NoReturn, TypeVar

import grpc
from google.protobuf import empty_pb2, wrappers_pb2
from google.protobuf.message import Message

from dapr.ext.workflow._durabletask.clients.state import WorkflowState, new_orchestration_state
from dapr.ext.workflow._durabletask.internal import helpers
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.internal.arguments import (
    check,
    check_flag,
    check_id,
    check_moment,
    count,
    seconds,
    wrong_type,
)
from dapr.ext.workflow._durabletask.internal.payloads import PLAIN, Payloads, raise_unencodable
from dapr.ext.workflow._durabletask.metadata import checked, sealed
from dapr.ext.workflow._durabletask.transport.errors import details_of, status_of

_MAX_UINT32: Final = 2**32 - 1

T = TypeVar('T')


def is_missing_instance(error: grpc.RpcError) -> bool:
    """Whether the sidecar says that there is no such instance; the Go sidecar has no status code of its own for it."""
    return status_of(error) is grpc.StatusCode.UNKNOWN and 'no such instance exists' in details_of(error)


def _raise(error: grpc.RpcError) -> NoReturn:
    raise error


def _none_if_missing(error: grpc.RpcError) -> None:
    if not is_missing_instance(error):
        raise error


@dataclass(frozen=True, slots=True)
class Operation(Generic[T]):
    """One call.

    Attributes:
        method: The method of `TaskHubSidecarService`.
        request: Its request.
        read: Makes what the client returns of the answer.
        read_error: Makes what it returns of the call's error, or raises that. Default: raises it.
        only_reads: Whether it changes nothing, so that it may be made any number of times. Default: False.
    """

    method: str
    request: Message
    read: Callable[[Any], T]
    read_error: Callable[[grpc.RpcError], T] = field(default=_raise, kw_only=True)
    only_reads: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class StartOperation(Operation[str]):
    """StartInstance.

    Attributes:
        request: Its request.
        has_new_id: Whether its id was made up for it, so that no other instance can have it.
    """

    request: pb.CreateInstanceRequest
    has_new_id: bool

    @property
    def instance_id(self) -> str:
        """The id that the instance is to have."""
        return self.request.instanceId

    @property
    def app_id(self) -> str | None:
        """The app that is to run it; None: the sidecar's own."""
        return self.request.router.targetAppID or None


@dataclass(frozen=True, slots=True)
class WaitOperation(Operation['WorkflowState | None']):
    """A call that waits for an instance.

    Attributes:
        instance_id: The instance.
        awaited: What it is to do, for messages: 'start' or 'complete'.
        timeout: For how many seconds to wait at most; None: without a limit.
        app_id: The app that owns the instance; None: the sidecar's own.
    """

    instance_id: str
    awaited: str
    timeout: float | None
    app_id: str | None


def schedule(
    name: str,
    input: Any,
    instance_id: str | None,
    start_at: datetime | None,
    enforce_unique_instance_id: bool,
    app_id: str | None,
    payloads: Payloads = PLAIN,
    metadata: Mapping[str, str] | None = None,
) -> StartOperation:
    """StartInstance; the new instance's id comes back."""
    if not name:
        raise ValueError('A non-empty orchestrator name is required.')
    check_moment('start_at', start_at)
    check_flag('enforce_unique_instance_id', enforce_unique_instance_id)
    has_new_id = instance_id is None
    given = None if metadata is None else checked(metadata)
    encoded = _payload(input, f"input of '{name}'", payloads)
    if given:
        encoded = helpers.get_string_value(sealed(None if encoded is None else encoded.value, given))
    request = pb.CreateInstanceRequest(
        name=name,
        instanceId=uuid.uuid4().hex if instance_id is None else _checked(instance_id),
        input=encoded,
        scheduledStartTimestamp=None if start_at is None else helpers.new_timestamp(start_at),
        version=helpers.get_string_value(''),
        parentTraceContext=_current_trace(),
        enforceUniqueInstanceId=enforce_unique_instance_id,
        router=new_task_router(app_id),
    )
    return StartOperation('StartInstance', request, lambda answer: str(answer.instanceId), has_new_id)


def hello() -> Operation[None]:
    """Hello."""
    return Operation('Hello', empty_pb2.Empty(), _nothing, only_reads=True)


def get_state(instance_id: str, fetch_payloads: bool, app_id: str | None) -> Operation[WorkflowState | None]:
    """GetInstance."""
    request = _instance_request(instance_id, fetch_payloads, app_id)
    return Operation(
        'GetInstance',
        request,
        lambda answer: new_orchestration_state(instance_id, answer),
        read_error=_none_if_missing,
        only_reads=True,
    )


def wait_for_start(instance_id: str, fetch_payloads: bool, timeout: float | None, app_id: str | None) -> WaitOperation:
    """WaitForInstanceStart."""
    return _wait('WaitForInstanceStart', 'start', instance_id, fetch_payloads, timeout, app_id)


def wait_for_completion(
    instance_id: str, fetch_payloads: bool, timeout: float | None, app_id: str | None
) -> WaitOperation:
    """WaitForInstanceCompletion."""
    return _wait('WaitForInstanceCompletion', 'complete', instance_id, fetch_payloads, timeout, app_id)


def raise_event(
    instance_id: str, event_name: str, data: Any, app_id: str | None, payloads: Payloads = PLAIN
) -> Operation[None]:
    """RaiseEvent."""
    if not isinstance(event_name, str):
        raise wrong_type('event_name', event_name, 'a str')
    if not event_name:
        raise ValueError('A non-empty event name is required.')
    request = pb.RaiseEventRequest(
        instanceId=_checked(instance_id),
        name=event_name,
        input=_payload(data, f"payload of the event '{event_name}'", payloads),
        router=new_task_router(app_id),
    )
    return Operation('RaiseEvent', request, _nothing)


def terminate(
    instance_id: str, output: Any, recursive: bool, app_id: str | None, payloads: Payloads = PLAIN
) -> Operation[None]:
    """TerminateInstance."""
    check_flag('recursive', recursive)
    request = pb.TerminateRequest(
        instanceId=_checked(instance_id),
        output=_payload(output, 'output', payloads),
        recursive=recursive,
        router=new_task_router(app_id),
    )
    return Operation('TerminateInstance', request, _nothing)


def suspend(instance_id: str, app_id: str | None) -> Operation[None]:
    """SuspendInstance."""
    request = pb.SuspendRequest(instanceId=_checked(instance_id), router=new_task_router(app_id))
    return Operation('SuspendInstance', request, _nothing)


def resume(instance_id: str, app_id: str | None) -> Operation[None]:
    """ResumeInstance."""
    request = pb.ResumeRequest(instanceId=_checked(instance_id), router=new_task_router(app_id))
    return Operation('ResumeInstance', request, _nothing)


def purge(instance_id: str, recursive: bool, force: bool, app_id: str | None) -> Operation[int]:
    """PurgeInstances, of one instance; the number of instances that are gone comes back."""
    check_flag('recursive', recursive)
    check_flag('force', force)
    request = pb.PurgeInstancesRequest(
        instanceId=_checked(instance_id),
        recursive=recursive,
        force=True if force else None,
        router=new_task_router(app_id),
    )
    return Operation('PurgeInstances', request, lambda answer: int(answer.deletedInstanceCount))


def list_ids(page_size: int | None, continuation_token: str | None) -> Operation[pb.ListInstanceIDsResponse]:
    """ListInstanceIDs."""
    page_size = count('page_size', page_size)
    check('continuation_token', continuation_token, str)
    if page_size is not None and not 1 <= page_size <= _MAX_UINT32:
        raise ValueError(
            f'page_size must be between 1 and {_MAX_UINT32}, got {page_size}. Give None for the size that the sidecar '
            'chooses.'
        )
    request = pb.ListInstanceIDsRequest(continuationToken=continuation_token, pageSize=page_size)
    return Operation('ListInstanceIDs', request, _as_it_is, only_reads=True)


def get_history(instance_id: str) -> Operation[list[pb.HistoryEvent]]:
    """GetInstanceHistory."""
    request = pb.GetInstanceHistoryRequest(instanceId=_checked(instance_id))
    return Operation('GetInstanceHistory', request, lambda answer: list(answer.events), only_reads=True)


def rerun(
    instance_id: str,
    event_id: int,
    new_instance_id: str | None,
    input: Any,
    overwrite_input: bool,
    new_child_instance_id: str | None,
    app_id: str | None,
    payloads: Payloads = PLAIN,
    metadata: Mapping[str, str] | None = None,
) -> Operation[str]:
    """RerunWorkflowFromEvent; the new instance's id comes back."""
    if event_id is None:
        raise wrong_type('event_id', event_id, 'a whole number')
    event_id = count('event_id', event_id)
    check_flag('overwrite_input', overwrite_input)
    if not 0 <= event_id <= _MAX_UINT32:
        raise ValueError(
            f'event_id must be between 0 and {_MAX_UINT32}, got {event_id}. Events that carry -1 in the history have '
            'no id, and a workflow cannot be run again from them.'
        )
    for name, new_id in (('new_instance_id', new_instance_id), ('new_child_instance_id', new_child_instance_id)):
        check_new_id(name, new_id)
    given = None if metadata is None else checked(metadata)
    if given and not overwrite_input:
        raise ValueError(
            'metadata goes with a new input, and none is given: the old one stays, with the metadata it has.'
        )
    encoded = _payload(input, 'input', payloads) if overwrite_input else None
    if given:
        encoded = wrappers_pb2.StringValue(value=sealed(None if encoded is None else encoded.value, given))
    request = pb.RerunWorkflowFromEventRequest(
        sourceInstanceID=_checked(instance_id),
        eventID=event_id,
        newInstanceID=new_instance_id,
        input=encoded,
        overwriteInput=overwrite_input,
        newChildWorkflowInstanceID=new_child_instance_id,
        router=new_task_router(app_id),
    )
    return Operation('RerunWorkflowFromEvent', request, lambda answer: str(answer.newInstanceID))


def checked_seconds(timeout: float | None, argument: str = 'timeout') -> float | None:
    """A time limit in seconds; None: there is none, or it is infinite.

    Raises:
        TypeError: It is no number.
        ValueError: It is NaN.
    """
    limit: float | None = seconds(argument, timeout)
    return None if limit == math.inf else limit


def check_new_id(argument: str, new_id: str | None) -> None:
    """Refuses an id that an instance cannot have.

    Raises:
        TypeError: It is neither None nor a str.
        ValueError: It is empty.
    """
    check(argument, new_id, str)
    if new_id == '':
        raise ValueError(
            f'{argument} must be a non-empty ID or None, got an empty string. With None the sidecar makes one.'
        )


def new_task_router(app_id: str | None) -> pb.TaskRouter | None:
    """The router that names the app to be asked; None, for the sidecar's own app, when there is no app id.

    Raises:
        TypeError: It is neither None nor a str.
    """
    check('app_id', app_id, str)
    return pb.TaskRouter(targetAppID=app_id) if app_id else None


def closed_error() -> ValueError:
    """The error of a call on a client that is closed."""
    return ValueError('This client is closed: make a new one for further calls.')


def warn_of_reuse_policy(logger: logging.Logger) -> None:
    """Says that an id reuse policy has no effect."""
    logger.warning(
        'reuse_id_policy has no effect: sidecars take no such policy. The id of an instance that is running is '
        'refused; that of one that has ended is reused, or refused, too, with enforce_unique_instance_id=True.'
    )


def _wait(
    method: str, awaited: str, instance_id: str, fetch_payloads: bool, timeout: float | None, app_id: str | None
) -> WaitOperation:
    return WaitOperation(
        method,
        _instance_request(instance_id, fetch_payloads, app_id),
        lambda answer: new_orchestration_state(instance_id, answer),
        instance_id,
        awaited,
        checked_seconds(timeout) or None,
        app_id,
    )


def _instance_request(instance_id: str, fetch_payloads: bool, app_id: str | None) -> pb.GetInstanceRequest:
    check_flag('fetch_payloads', fetch_payloads)
    return pb.GetInstanceRequest(
        instanceId=_checked(instance_id), getInputsAndOutputs=fetch_payloads, router=new_task_router(app_id)
    )


def _checked(instance_id: str) -> str:
    check_id(instance_id)
    return instance_id


def _payload(value: Any, what: str, payloads: Payloads) -> wrappers_pb2.StringValue | None:
    if value is None:
        return None
    try:
        text = payloads.encode(value)
    except Exception as error:
        raise_unencodable(what, error)
    return None if text is None else wrappers_pb2.StringValue(value=text)


def _nothing(answer: Any) -> None:
    return None


def _as_it_is(answer: pb.ListInstanceIDsResponse) -> pb.ListInstanceIDsResponse:
    return answer


def _current_trace() -> pb.TraceContext | None:
    """The span that is current, of an app that uses OpenTelemetry: the orchestration's spans become its children."""
    if 'opentelemetry.trace' not in sys.modules:
        return None
    # Not what sys.modules has: another thread may be in the midst of importing it, and this waits for that one.
    trace = importlib.import_module('opentelemetry.trace')
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    span_id = f'{context.span_id:016x}'
    return pb.TraceContext(
        traceParent=f'00-{context.trace_id:032x}-{span_id}-{context.trace_flags:02x}',
        spanID=span_id,
        traceState=helpers.get_string_value(context.trace_state.to_header() or None),
    )
