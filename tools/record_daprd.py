"""Records what the daprd that tools/daprd pins sends to workers: `python -m tools.record_daprd`.

It makes the calls of an earlier recording, each when the worker has answered as much as it had then, and writes what
crossed the wire into tests/data/transcripts/<version>. For what the earlier recordings do not have, it plays scenarios
of the corpus, each on a daprd of its own, and writes into tests/data/wire/<version>. What is there is kept: a recording
is made once, and shows for good what that daprd does.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf import json_format

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.internal.orchestrator_service_pb2_grpc import TaskHubSidecarServiceStub
from dapr.ext.workflow._durabletask.worker import ConcurrencyOptions, TaskHubGrpcWorker
from tests.support import recording, scenarios, transcripts
from tests.support.corpus.in_process import IN_ORDER, WIRE, WIRED, InProcess
from tests.support.corpus.scenarios import play
from tools.daprd_sidecar import Daprd, daprd
from tools.record_corpus import Place

_EARLIER: Final = 'daprd-2026-08'
_DEADLINE: Final = 30.0
_NOT_YET: Final = ('not registered', 'did not find address', 'has not yet completed')


class Recording(recording.Recorder):
    """What crosses the wire, and the calls of the client among it."""

    def client(self, method: str, request: Any) -> None:
        self._note(f'client {method}', request)


def record(path: Path, address: str) -> list[recording.Line]:
    """Plays an earlier recording and gives the new one."""
    earlier: list[recording.Line] = [json.loads(line) for line in path.read_text().splitlines()]
    recorder = Recording()
    scenarios._failures.clear()
    worker = TaskHubGrpcWorker(
        host_address=address,
        interceptors=[recorder],
        concurrency_options=ConcurrencyOptions(maximum_thread_pool_workers=1),  # results come in order
    )
    for workflow in scenarios.WORKFLOWS:
        worker.add_orchestrator(workflow)
    for activity in scenarios.ACTIVITIES:
        worker.add_activity(activity)
    with worker, grpc.insecure_channel(address) as channel:
        worker.start()
        stub = TaskHubSidecarServiceStub(channel)
        started = ''
        for number, line in enumerate(earlier):
            (kind,) = line
            if not kind.startswith('client '):
                continue
            _wait(recorder, recording.answered_events(earlier[:number]), path.stem)
            method = kind.removeprefix('client ')
            request = json_format.ParseDict(line[kind], transcripts.REQUESTS[method]())
            recorder.client(method, request)
            _when_served(getattr(stub, method), request)
            if method == 'StartInstance':
                started = request.instanceId
        asked = pb.GetInstanceRequest(instanceId=started, getInputsAndOutputs=True)
        state = stub.WaitForInstanceCompletion(asked, timeout=_DEADLINE).workflowState
        _wait(recorder, recording.answered_events(earlier), path.stem)
        history = stub.GetInstanceHistory(pb.GetInstanceHistoryRequest(instanceId=started), timeout=_DEADLINE)
    result = {
        'output': state.output.value if state.HasField('output') else None,
        'status': pb.OrchestrationStatus.Name(state.workflowStatus).removeprefix('ORCHESTRATION_STATUS_'),
    }
    capabilities = [
        pb.WorkerCapability.Name(pb.WORKER_CAPABILITY_HEALTH_PING),
        pb.WorkerCapability.Name(pb.WORKER_CAPABILITY_STATEFUL_HISTORY),
    ]
    return [
        {'GetWorkItems': {'capabilities': capabilities}},
        *recorder.lines,
        {'result': result},
        {'committedHistory': json_format.MessageToDict(history)},
    ]


def _wait(recorder: Recording, due: int, name: str) -> None:
    if not recorder.wait_until(lambda lines: recording.answered_events(lines) >= due, _DEADLINE):
        raise RuntimeError(f'{name}: the worker has not answered {due} events within {_DEADLINE:g} s')


def _when_served(call: Any, request: Any) -> None:
    """Makes a call, again while the actors are being placed, or what the worker answered is not committed yet."""
    end = time.monotonic() + _DEADLINE
    while True:
        try:
            call(request, timeout=_DEADLINE)
            return
        except grpc.RpcError as error:
            if not any(words in str(error) for words in _NOT_YET) or time.monotonic() > end:
                raise
        time.sleep(0.1)


def blanked(value: Any) -> Any:
    """Without stack traces, which name the folders of a machine."""
    if isinstance(value, dict):
        return {name: '(stack trace)' if name == 'stackTrace' else blanked(held) for name, held in value.items()}
    return [blanked(held) for held in value] if isinstance(value, list) else value


def record_wire(name: str) -> list[recording.Line]:
    """Plays a scenario of the corpus, and gives what the workers of both apps got and answered."""
    with ExitStack() as stack:
        app, billing = Place('daprd').addresses(stack)
        assert billing is not None
        stage = InProcess(app, billing, **IN_ORDER)
        stack.callback(stage.close)
        play(stage, name)
    return [{'app': line} for line in stage.recorder.lines] + [
        {'billing': line} for line in stage.recorder_of_other.lines
    ]


def _write(path: Path, lines: list[recording.Line]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(''.join(json.dumps(blanked(line), sort_keys=True) + '\n' for line in lines))
    sys.stdout.write(f'{path.parent.name}/{path.stem}: {len(lines)} lines\n')
    sys.stdout.flush()


def main() -> None:
    build = daprd()
    with Daprd(build) as sidecar:
        for path in sorted((transcripts.FOLDER / _EARLIER).glob('*.jsonl')):
            written = transcripts.FOLDER / build.version / path.name
            if not written.exists():
                _write(written, record(path, sidecar.address))
    for name in WIRED:
        written = WIRE / build.version / f'{name}.jsonl'
        if not written.exists():
            _write(written, record_wire(name))


if __name__ == '__main__':
    main()
