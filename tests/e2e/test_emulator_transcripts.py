"""The recorded scenarios, run on the emulator: it sends the work items that daprd sent, and commits the same events."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import json_format

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.internal.orchestrator_service_pb2_grpc import TaskHubSidecarServiceStub
from dapr.ext.workflow._durabletask.worker import ConcurrencyOptions, TaskHubGrpcWorker
from dapr.ext.workflow.emulator import Emulator
from tests.support import recording, scenarios, transcripts
from tests.support.e2e import DEADLINE

# In these, events come together: which of them share a turn is a matter of timing. What comes, in which order, is not.
TIMED = ('events-buffered', 'fan-out', 'suspend-resume')
# In this one what is committed hangs on two events that share a turn.
TOGETHER = ('continue-as-new',)


def play(
    lines: list[recording.Line], stub: Any, recorder: recording.Recorder, worker: TaskHubGrpcWorker, together: bool
) -> str:
    """Makes the recorded client's calls, each when the worker has answered as much as it had then.

    Args:
        lines: The recording.
        stub: Makes the calls.
        recorder: Tells what the worker has answered.
        worker: The worker.
        together: Whether calls that follow each other at once are made while no worker is there.

    Returns:
        The instance that was started last.
    """
    started = ''
    for number, line in enumerate(lines):
        (kind,) = line
        if not kind.startswith('client '):
            continue
        due = recording.answered_events(lines[:number])
        assert recorder.wait_until(functools.partial(has_answered, due), DEADLINE)
        another_follows = next(iter(lines[number + 1])).startswith('client ')
        if together and another_follows:
            worker.stop()
        method = kind.removeprefix('client ')
        getattr(stub, method)(json_format.ParseDict(line[kind], transcripts.REQUESTS[method]()), timeout=DEADLINE)
        if together and not another_follows and not worker.is_worker_ready():
            worker.start()
        if method == 'StartInstance':
            started = line[kind]['instanceId']
    return started


def sends_whole_histories(path: Path) -> bool:
    return 'cachedHistory' not in path.read_text()


def has_answered(count: int, lines: list[recording.Line]) -> bool:
    return recording.answered_events(lines) >= count


@pytest.mark.own_mode  # it was recorded with deltas
@pytest.mark.parametrize('path', [p for p in transcripts.FILES if 'daprd' in p.parent.name], ids=transcripts.name_of)
def test_it_is_as_daprd_in_what_it_sends_and_commits(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded: list[recording.Line] = [json.loads(line) for line in path.read_text().splitlines()]
    recorder = recording.Recorder()
    monkeypatch.setattr(scenarios, '_failures', {})
    with Emulator(apps=('app',)) as emulator, grpc.insecure_channel(emulator.address_of('app')) as channel:
        stub = TaskHubSidecarServiceStub(channel)
        worker = TaskHubGrpcWorker(
            host_address=emulator.address_of('app'),
            interceptors=[recorder],
            disable_stateful_history=sends_whole_histories(path),
            concurrency_options=ConcurrencyOptions(maximum_thread_pool_workers=1),  # results come in order
        )
        for workflow in scenarios.WORKFLOWS:
            worker.add_orchestrator(workflow)
        for activity in scenarios.ACTIVITIES:
            worker.add_activity(activity)
        worker.start()
        try:
            instance_id = play(recorded, stub, recorder, worker, path.stem in TOGETHER)
            state = stub.WaitForInstanceCompletion(
                pb.GetInstanceRequest(instanceId=instance_id, getInputsAndOutputs=True), timeout=DEADLINE
            ).workflowState
            due = recording.answered_events(recorded)
            assert recorder.wait_until(functools.partial(has_answered, due), DEADLINE)
            history = stub.GetInstanceHistory(pb.GetInstanceHistoryRequest(instanceId=instance_id), timeout=DEADLINE)
        finally:
            worker.stop()

    (result,) = [line['result'] for line in recorded if 'result' in line]
    status = pb.OrchestrationStatus.Name(state.workflowStatus).removeprefix('ORCHESTRATION_STATUS_')
    assert (status, state.output.value or None) == (result['status'], result.get('output'))

    ours, theirs = recording.work_items(recorder.lines), recording.work_items(recorded)
    if sends_whole_histories(path):
        ours, theirs = recording.as_before_1_19(ours), recording.as_before_1_19(theirs)
    (committed,) = [line['committedHistory']['events'] for line in recorded if 'committedHistory' in line]
    events = recording.comparable(json_format.MessageToDict(history)['events'])
    if path.stem in TIMED:
        assert {name: new_events(items) for name, items in ours.items()} == {
            name: new_events(items) for name, items in theirs.items()
        }
        assert recording.without_turns(events) == recording.without_turns(recording.comparable(committed))
    else:
        assert ours == theirs
        assert events == recording.comparable(committed)
    assert recording.activities(recorder.lines) == recording.activities(recorded)


def new_events(items: list[Any]) -> list[Any]:
    return [event for item in items for event in recording.without_turns(item['newEvents'])]
