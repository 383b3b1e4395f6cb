"""Reads the recordings in tests/data/transcripts: what a sidecar sent to a worker, and what the worker answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from dapr.ext.workflow._durabletask.internal import protos as pb
from tests.support import recording

FOLDER = Path(__file__).parent.parent / 'data' / 'transcripts'
FILES = sorted(FOLDER.glob('*/*.jsonl'))

# The calls of clients that are among them.
REQUESTS: dict[str, Any] = {
    'StartInstance': pb.CreateInstanceRequest,
    'RaiseEvent': pb.RaiseEventRequest,
    'SuspendInstance': pb.SuspendRequest,
    'ResumeInstance': pb.ResumeRequest,
    'TerminateInstance': pb.TerminateRequest,
    'PurgeInstances': pb.PurgeInstancesRequest,
}


@dataclass
class RecordedTurn:
    """A workflow turn as it was recorded.

    Attributes:
        request: As it came, so perhaps a delta.
        committed: The whole committed history before the turn.
        response: What the worker answered; stack traces are blanked.
    """

    request: pb.WorkflowRequest
    committed: list[pb.HistoryEvent]
    response: pb.WorkflowResponse


def name_of(path: Path) -> str:
    return f'{path.parent.name}/{path.stem}'


def blank_stack_traces(response: pb.WorkflowResponse) -> None:
    """Makes an answer comparable with a recorded one."""
    for action in response.actions:
        if action.completeWorkflow.failureDetails.HasField('stackTrace'):
            action.completeWorkflow.failureDetails.stackTrace.value = '(stack trace)'


def turns(path: Path) -> Iterator[RecordedTurn]:
    """The turns of a recording, in the order in which the worker got them."""
    lines = recording.with_tokens([json.loads(line) for line in path.read_text().splitlines()])
    answers = {
        line['CompleteOrchestratorTask']['completionToken']: line['CompleteOrchestratorTask']
        for line in lines
        if 'CompleteOrchestratorTask' in line
    }
    histories: dict[str, list[pb.HistoryEvent]] = {}
    for line in lines:
        if 'workflowRequest' not in line.get('WorkItem', {}):
            continue
        item = json_format.ParseDict(line['WorkItem'], pb.WorkItem())
        request = item.workflowRequest
        known = histories.get(request.instanceId, [])
        committed = known[: request.cachedHistory.eventCount] + list(request.pastEvents)
        histories[request.instanceId] = committed
        response = json_format.ParseDict(answers[item.completionToken], pb.WorkflowResponse())
        yield RecordedTurn(request, committed, response)
