"""Recorded turns of real sidecars are answered as the recorded worker answered them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.replay.executor import _OrchestrationExecutor
from dapr.ext.workflow._durabletask.replay.instance import ExecutionResults, WorkflowInstance
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from tests.support import scenarios, transcripts
from tests.support.engine import LOGGER


def _registry() -> _Registry:
    registry = _Registry()
    for workflow in scenarios.WORKFLOWS:
        registry.add_orchestrator(workflow)
    return registry


def _answer(recorded: pb.WorkflowResponse, results: ExecutionResults) -> pb.WorkflowResponse:
    """The response as it would go out, as in the recordings."""
    response = pb.WorkflowResponse(
        instanceId=recorded.instanceId, completionToken=recorded.completionToken, actions=results.actions
    )
    if results.encoded_custom_status is not None:
        response.customStatus.value = results.encoded_custom_status
    if results.patches or results.version_name:
        response.version.patches.extend(results.patches or ())
        if results.version_name:
            response.version.name = results.version_name
    transcripts.blank_stack_traces(response)
    return response


def test_there_are_185_recorded_turns() -> None:
    assert sum(len(list(transcripts.turns(path))) for path in transcripts.FILES) == 185


@pytest.mark.parametrize('path', transcripts.FILES, ids=transcripts.name_of)
def test_whole_histories_are_answered_as_recorded(path: Path) -> None:
    executor = _OrchestrationExecutor(_registry(), LOGGER)
    for turn in transcripts.turns(path):
        results = executor.execute(turn.request.instanceId, turn.committed, turn.request.newEvents)
        assert _answer(turn.response, results) == turn.response


@pytest.mark.parametrize('path', transcripts.FILES, ids=transcripts.name_of)
def test_turns_of_one_running_instance_are_answered_as_recorded(path: Path) -> None:
    """Each turn is given only what is new since the turn before, to the same running workflow."""
    registry = _registry()
    running: dict[str, tuple[WorkflowInstance, int]] = {}
    for turn in transcripts.turns(path):
        key = turn.request.instanceId + turn.request.executionId.value
        instance, stands_at = running.pop(key, (None, 0))
        if instance is None:
            instance = WorkflowInstance(registry, turn.request.instanceId)
        instance.replay(turn.committed[stands_at:])
        results = instance.run(turn.request.newEvents)
        assert _answer(turn.response, results) == turn.response
        if not instance.is_ended:
            running[key] = instance, len(turn.committed) + len(turn.request.newEvents)
