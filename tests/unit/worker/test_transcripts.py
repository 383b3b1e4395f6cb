"""Recorded work items, given to a whole worker as they came, deltas and all: it answers as the recorded one did."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker
from tests.support import scenarios, transcripts
from tests.support.fake_sidecar import FakeSidecar

# It sets the options of its workers itself.
pytestmark = pytest.mark.own_mode


@pytest.mark.parametrize('is_sticky', [True, False], ids=['sticky', 'replayed'])
@pytest.mark.parametrize('path', transcripts.FILES, ids=transcripts.name_of)
def test_recorded_turns_are_answered_as_recorded(
    path: Path, is_sticky: bool, sidecar: FakeSidecar, new_worker: Callable[..., TaskHubGrpcWorker]
) -> None:
    worker = new_worker(disable_sticky_execution=not is_sticky)
    for workflow in scenarios.WORKFLOWS:
        worker.add_orchestrator(workflow)
    worker.start()
    deltas = later_turns = 0
    for number, turn in enumerate(transcripts.turns(path)):
        deltas += turn.request.cachedHistory.eventCount > 0
        later_turns += len(turn.committed) > 0
        sidecar.push(pb.WorkItem(workflowRequest=turn.request, completionToken=turn.response.completionToken))
        answer: pb.WorkflowResponse = sidecar.answer(number)
        transcripts.blank_stack_traces(answer)
        assert answer == turn.response
    assert worker.history_cache_stats.hits == (0 if is_sticky else deltas)
    assert worker.sticky_execution_stats.hits == (later_turns if is_sticky else 0)
    assert worker.sticky_execution_stats.misses.total == 0
    assert worker.sticky_execution_stats.running == 0
    assert sidecar.calls['GetInstanceHistory'] == 0
