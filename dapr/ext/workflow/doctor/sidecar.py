"""Where the sidecar is, whether it answers, and whether it sends deltas."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from typing import Final

import grpc
from google.protobuf.empty_pb2 import Empty

from dapr.ext.workflow import util
from dapr.ext.workflow._durabletask.internal import orchestrator_service_pb2_grpc as stubs
from dapr.ext.workflow._durabletask.internal import shared
from dapr.ext.workflow._durabletask.transport import settings
from dapr.ext.workflow._durabletask.transport.advice import advise
from dapr.ext.workflow._durabletask.transport.errors import describe, status_of
from dapr.ext.workflow._durabletask.transport.runtime import Runtime, ask_runtime
from dapr.ext.workflow.doctor.abilities import examine_abilities
from dapr.ext.workflow.doctor.instance import examine_instance
from dapr.ext.workflow.doctor.line import Line
from dapr.ext.workflow.doctor.probe import Metadata, Outcome, run_probe

_FIRST_WITH_DELTAS: Final = (1, 19)


def examine_sidecar(
    host: str | None, port: str | int | None, *, timeout: float, probe: bool, instance_id: str | None = None
) -> Iterator[Line]:
    """Examines the sidecar that apps of this environment would use; see `doctor.examine`."""
    if port and not is_port(port):
        yield Line('sidecar', f'{port!r} is no port: it has to be a number from 1 to 65535', wrong=True)
        return
    try:
        address = util.getAddress(host, port)
        options = util.get_grpc_channel_options()
        metadata = tuple(settings.outgoing_metadata(util.api_token_metadata()))
        channel = shared.get_grpc_channel(address, options=options)
    except ValueError as error:
        yield Line('sidecar', str(error), wrong=True)
        return
    yield Line('sidecar', f'{address} ({origin(host, port)})')
    yield Line('api token', 'is sent with each call' if metadata else 'none is set')
    if options:
        yield Line('message limit', f'{options[0][1]} bytes ({settings.MESSAGE_LIMIT})')
    with channel:
        yield from _examine(channel, address, metadata, timeout, probe, instance_id)


def is_port(text: str | int) -> bool:
    """Whether this can be a port, as text or as a number."""
    return str(text).isascii() and str(text).isdigit() and 0 < int(text) < 65_536


def origin(host: str | None, port: str | int | None, environ: Mapping[str, str] | None = None) -> str:
    """Where the address comes from: what was given, which variables, or the default."""
    environ = os.environ if environ is None else environ
    if host and port:
        return 'as given'
    if not (host or port) and environ.get('DAPR_GRPC_ENDPOINT', '').strip():
        return 'DAPR_GRPC_ENDPOINT'
    names = [] if host else ['DAPR_RUNTIME_HOST'] if util.has_sdk() else ['DAPR_GRPC_HOST', 'DAPR_RUNTIME_HOST']
    names = [name for name in names if environ.get(name, '').strip()][:1]
    names += ['DAPR_GRPC_PORT'] if not port and environ.get('DAPR_GRPC_PORT', '').strip() else []
    given = ['as given'] if host or port else []
    return ', '.join(given + names + (['else by default'] if len(given + names) == 1 else [])) or 'by default'


def _examine(
    channel: grpc.Channel, address: str, metadata: Metadata, timeout: float, probe: bool, instance_id: str | None
) -> Iterator[Line]:
    hello = stubs.TaskHubSidecarServiceStub(channel).Hello
    try:
        hello(Empty(), timeout=timeout, metadata=metadata)
        begun = time.perf_counter()
        hello(Empty(), timeout=timeout, metadata=metadata)
    except grpc.RpcError as error:
        yield Line('answers', f'no. {_why_not(error, address, timeout)}', wrong=True)
        return
    yield Line('answers', f'yes, in {(time.perf_counter() - begun) * 1000:.1f} ms')
    runtime = _runtime(channel, metadata, timeout)
    if runtime is not None:
        connected = '1 workflow worker is' if runtime.workers == 1 else f'{runtime.workers} workflow workers are'
        yield Line('daprd', f'{runtime.version} of the app {runtime.app_id!r}, {connected} connected')
    yield examine_abilities(channel, metadata, timeout)
    if probe and runtime is not None and runtime.workers:
        yield Line('probe', 'not made: it would be given work of the workers that are connected. Stop them first')
    elif probe:
        yield _told_by(run_probe(channel, metadata, timeout))
    if not probe or (runtime is not None and runtime.workers):
        yield _told_by_version(runtime)
    if instance_id is not None:
        yield from examine_instance(channel, metadata, timeout, instance_id)


def _why_not(error: grpc.RpcError, address: str, timeout: float) -> str:
    if status_of(error) is grpc.StatusCode.DEADLINE_EXCEEDED:
        # Nobody at all would have been UNAVAILABLE at once.
        return (
            f'{address} was silent for {timeout:g} s: something listens there, or swallows what is sent, that does '
            "not speak gRPC, or the sidecar hangs. Check that this is the sidecar's gRPC port (daprd's is 50001 by "
            f'default, 3500 is its HTTP port) and that no firewall is between ({describe(error)})'
        )
    return describe(advise(error, 'Hello', address))


def _runtime(channel: grpc.Channel, metadata: Metadata, timeout: float) -> Runtime | None:
    try:
        return ask_runtime(channel, timeout=timeout, metadata=metadata)
    except grpc.RpcError:
        return None  # durabletask-go and the emulator are no daprd


def _told_by_version(runtime: Runtime | None) -> Line:
    deltas = None if runtime is None else runtime.is_at_least(*_FIRST_WITH_DELTAS)
    if deltas is None:
        return Line('deltas', 'not known: no call without a worker tells. --probe connects one, see --help')
    if deltas:
        return Line('deltas', 'yes, as every daprd from 1.19 on')
    return Line('deltas', 'no: daprd sends them from 1.19 on. Whole histories come, and workflows run as well')


def _told_by(outcome: Outcome) -> Line:
    text = {True: 'yes, the probe has seen one', False: 'no, the probe has seen none', None: 'not known'}[
        outcome.deltas
    ]
    remarks = [text, *outcome.remarks]
    return Line('deltas', '; '.join(remarks), wrong=outcome.deltas is None)
