"""Recorded work items, given to a whole worker as they came, deltas and all: it answers as the recorded one did."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker
from tests.support import scenarios, transcripts
from tests.support.fake_sidecar import FakeSidecar


@pytest.mark.parametrize('path', transcripts.FILES, ids=transcripts.name_of)
def test_recorded_turns_are_answered_as_recorded(
    path: Path, sidecar: FakeSidecar, new_worker: Callable[..., TaskHubGrpcWorker]
) -> None:
    worker = new_worker()
    for workflow in scenarios.WORKFLOWS:
        worker.add_orchestrator(workflow)
    worker.start()
    deltas = 0
    for number, turn in enumerate(transcripts.turns(path)):
        deltas += turn.request.cachedHistory.eventCount > 0
        sidecar.push(pb.WorkItem(workflowRequest=turn.request, completionToken=turn.response.completionToken))
        answer: pb.WorkflowResponse = sidecar.answer(number)
        transcripts.blank_stack_traces(answer)
        assert answer == turn.response
    assert worker.history_cache_stats.hits == deltas
    assert sidecar.calls['GetInstanceHistory'] == 0
