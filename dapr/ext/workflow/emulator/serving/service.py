"""The calls of the service: each is read, handed to the backend, and answered."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, NoReturn, Protocol, TypeAlias

import grpc
import grpc.aio
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from dapr.ext.workflow._durabletask.internal import orchestrator_service_pb2
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator.errors import Refused, StoreError
from dapr.ext.workflow.emulator.seam import Caller, Key
from dapr.ext.workflow.emulator.serving.core import Core
from dapr.ext.workflow.emulator.serving.waits import CALLER, ShuttingDown

__all__ = ['CALLER_KEY', 'MAX_MESSAGE_BYTES', 'SERVICE', 'Service', 'caller_value']

SERVICE: Final = 'TaskHubSidecarService'
MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
CALLER_KEY: Final = 'dapr-workflow-test-caller-bin'
"""The metadata by which a wait says that an activity makes it: to the skipping of time only, see `caller_value`."""

_Context: TypeAlias = 'grpc.aio.ServicerContext[Any, Any]'


class _Routed(Protocol):
    @property
    def instanceId(self) -> str: ...
    @property
    def router(self) -> pb.TaskRouter: ...


class Service:
    """The service as one app's listener gives it: a method for each call, by its name.

    Args:
        core: What all listeners share.
        app_id: The app whose listener this is.
        logger: Where failures are told.
        max_message_bytes: The largest message that it takes. Default: 4 MiB, as sidecars.
    """

    def __init__(
        self, core: Core, app_id: str, logger: logging.Logger, *, max_message_bytes: int = MAX_MESSAGE_BYTES
    ) -> None:
        self._max_message_bytes = max_message_bytes
        self._core = core
        self._backend = core.backend
        self._app_id = app_id
        self._logger = logger

    def handler(self) -> grpc.GenericRpcHandler:
        """What a server is given to serve these calls."""
        methods = orchestrator_service_pb2.DESCRIPTOR.services_by_name[SERVICE].methods
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                method.name: (
                    grpc.unary_stream_rpc_method_handler(self._stream, None, pb.WorkItem.SerializeToString)
                    if method.server_streaming
                    else self._unary(getattr(self, method.name), GetMessageClass(method.input_type))
                )
                for method in methods
            },
        )

    # -- the calls of clients ------------------------------------------------------------------------------------------

    async def Hello(self, request: Empty) -> Empty:
        return Empty()

    async def StartInstance(self, request: pb.CreateInstanceRequest) -> pb.CreateInstanceResponse:
        key = self._backend.create(self._app_id, request)
        if not request.HasField('scheduledStartTimestamp'):
            await self._core.waits.until_started(key, self._backend.is_started)
        return pb.CreateInstanceResponse(instanceId=key.instance_id)

    async def GetInstance(self, request: pb.GetInstanceRequest) -> pb.GetInstanceResponse:
        return self._backend.get_instance(self._key(request), payloads=request.getInputsAndOutputs)

    async def WaitForInstanceStart(self, request: pb.GetInstanceRequest) -> pb.GetInstanceResponse:
        key = self._key(request)
        await self._core.waits.until_started(key, self._backend.is_started)
        return self._backend.get_instance(key, payloads=request.getInputsAndOutputs)

    async def WaitForInstanceCompletion(self, request: pb.GetInstanceRequest) -> pb.GetInstanceResponse:
        key = self._key(request)
        await self._core.waits.until_ended(key, self._backend.is_ended)
        return self._backend.get_instance(key, payloads=request.getInputsAndOutputs)

    async def RaiseEvent(self, request: pb.RaiseEventRequest) -> pb.RaiseEventResponse:
        key = self._key(request)
        _require(request.name, 'name')
        self._backend.raise_event(key, request)
        return pb.RaiseEventResponse()

    async def TerminateInstance(self, request: pb.TerminateRequest) -> pb.TerminateResponse:
        output = request.output.value if request.HasField('output') else None
        key = self._key(request)
        self._backend.terminate(key, output, request.recursive)
        await self._until_heeded(key, 'executionTerminated')
        return pb.TerminateResponse()

    async def SuspendInstance(self, request: pb.SuspendRequest) -> pb.SuspendResponse:
        key = self._key(request)
        self._backend.suspend(key, request.reason.value if request.HasField('reason') else None)
        await self._until_heeded(key, 'executionSuspended')
        return pb.SuspendResponse()

    async def ResumeInstance(self, request: pb.ResumeRequest) -> pb.ResumeResponse:
        key = self._key(request)
        self._backend.resume(key, request.reason.value if request.HasField('reason') else None)
        await self._until_heeded(key, 'executionResumed')
        return pb.ResumeResponse()

    async def _until_heeded(self, key: Key, kind: str) -> None:
        """As sidecars: such a call returns when the instance's state shows it.

        Without a worker, which sidecars wait for or tell of, it returns at once: the next worker will take note.
        """

        def is_heeded(key: Key) -> bool:
            return not self._core.dispatcher.streams(key.app_id) or self._backend.is_heeded(key, kind)

        await self._core.waits.until_heeded(key, is_heeded)

    async def PurgeInstances(self, request: pb.PurgeInstancesRequest) -> pb.PurgeInstancesResponse:
        kind = request.WhichOneof('request')
        if kind is None:
            raise _malformed('the request names neither an instance nor a filter')
        if kind == 'instanceId':
            key = self._key(request)
            count = self._backend.purge(key, recursive=request.recursive, force=request.force)
        else:
            count = self._backend.purge_by_filter(
                self._backend.app_of(self._app_id, request.router),
                request.purgeInstanceFilter,
                recursive=request.recursive,
                force=request.force,
            )
        self._core.waits.look_again()
        response = pb.PurgeInstancesResponse(deletedInstanceCount=count)
        response.isComplete.value = True
        return response

    async def RerunWorkflowFromEvent(
        self, request: pb.RerunWorkflowFromEventRequest
    ) -> pb.RerunWorkflowFromEventResponse:
        _require(request.sourceInstanceID, 'sourceInstanceID')
        key = self._backend.rerun(self._backend.app_of(self._app_id, request.router), request)
        return pb.RerunWorkflowFromEventResponse(newInstanceID=key.instance_id)

    async def ListInstanceIDs(self, request: pb.ListInstanceIDsRequest) -> pb.ListInstanceIDsResponse:
        token = request.continuationToken if request.HasField('continuationToken') else None
        page_size = request.pageSize if request.HasField('pageSize') else None
        return self._backend.list_instance_ids(self._app_id, token, page_size)

    async def GetInstanceHistory(self, request: pb.GetInstanceHistoryRequest) -> pb.GetInstanceHistoryResponse:
        _require(request.instanceId, 'instanceId')
        return pb.GetInstanceHistoryResponse(events=self._backend.get_history(Key(self._app_id, request.instanceId)))

    # -- the calls of workers ------------------------------------------------------------------------------------------

    async def CompleteWorkflowTask(self, request: pb.WorkflowResponse) -> pb.CompleteTaskResponse:
        self._core.dispatcher.turns.complete(self._app_id, request)
        return pb.CompleteTaskResponse()

    CompleteOrchestratorTask = CompleteWorkflowTask

    async def CompleteActivityTask(self, request: pb.ActivityResponse) -> pb.CompleteTaskResponse:
        self._core.dispatcher.activities.complete(self._app_id, request)
        return pb.CompleteTaskResponse()

    async def _stream(self, data: bytes, context: _Context) -> None:
        request = await self._read(pb.GetWorkItemsRequest, data, context)
        # Asked now: once the call is cancelled, its context points into freed memory, and asking ends the process.
        peer = context.peer()
        dispatcher = self._core.dispatcher
        stream = dispatcher.connect(self._app_id, request.capabilities)
        self._logger.info('A worker has connected (%s).', peer)
        try:
            while (item := await stream.next()) is not None:
                await context.write(item)
        except grpc.aio.InternalError:  # it went while this was on its way
            return
        finally:
            dispatcher.disconnect(stream)
            self._core.waits.look_again()
            self._logger.info('A worker is gone (%s).', peer)
        await context.abort(grpc.StatusCode.CANCELLED, 'shutting down')

    # -- reading and refusing ------------------------------------------------------------------------------------------

    def _unary(
        self, method: Callable[[Any], Awaitable[Message]], request_type: type[Message]
    ) -> grpc.RpcMethodHandler[Any, Any]:
        async def call(data: bytes, context: _Context) -> bytes:
            request = await self._read(request_type, data, context)
            CALLER.set(_caller(context))
            try:
                return (await method(request)).SerializeToString()
            except Refused as refused:
                code, message = refused.code, refused.message
            except ShuttingDown:
                code, message = grpc.StatusCode.UNAVAILABLE, 'the emulator is shutting down'
            except StoreError as error:
                # Not RESOURCE_EXHAUSTED, full disk or not: that tells a worker that its message is too large.
                code, message = grpc.StatusCode.INTERNAL, f'the emulator has failed to store it: {error}'
                self._logger.error('%s has failed: %s', method.__name__, error)
            except Exception as error:
                code, message = grpc.StatusCode.INTERNAL, f'the emulator has failed: {error!r}'
                self._logger.exception('%s has failed.', method.__name__)
            return await _abort(context, code, message)

        return grpc.unary_unary_rpc_method_handler(call)

    async def _read(self, request_type: type[Any], data: bytes, context: _Context) -> Any:
        if len(data) > self._max_message_bytes:
            await _abort(
                context,
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f'grpc: received message larger than max ({len(data)} vs. {self._max_message_bytes})',
            )
        try:
            return request_type.FromString(data)
        except DecodeError as error:
            await _abort(
                context,
                grpc.StatusCode.INVALID_ARGUMENT,
                f'the message is no {request_type.DESCRIPTOR.name}: {error}',
            )

    def _key(self, request: _Routed) -> Key:
        _require(request.instanceId, 'instanceId')
        return Key(self._backend.app_of(self._app_id, request.router), request.instanceId)


def caller_value(caller: Caller) -> bytes:
    """An activity as the value of `CALLER_KEY`."""
    return '\0'.join((caller.app_id, caller.instance_id, str(caller.task_id))).encode()


def _caller(context: _Context) -> Caller | None:
    for key, value in context.invocation_metadata() or ():
        if key == CALLER_KEY and isinstance(value, bytes):
            app_id, instance_id, task_id = value.decode().split('\0')
            return Caller(app_id, instance_id, int(task_id))
    return None


def _require(value: str, name: str) -> None:
    if not value:
        raise _malformed(f'{name} is empty')


def _malformed(message: str) -> Refused:
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, message)


async def _abort(context: _Context, code: grpc.StatusCode, message: str) -> NoReturn:
    await context.abort(code, message)
    raise AssertionError('an aborted call goes on')
