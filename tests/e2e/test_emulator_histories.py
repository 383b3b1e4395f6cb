"""The scenarios of the corpus, on the emulator: it commits the histories that daprd has committed.

Beside the recorded work items (test_emulator_transcripts.py), these have what a newer daprd does: versions and patches,
what it stalls, history that is handed on, instances that run again, and calls from app to app.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf import json_format

from dapr.ext.workflow import DaprWorkflowClient, WorkflowRuntime
from dapr.ext.workflow.emulator import Emulator
from dapr.ext.workflow.testing import WorkflowHistory
from tests.support import corpus
from tests.support.corpus import newer, workflows
from tests.support.corpus.scenarios import SCENARIOS, lacks, play

RECORDED_ON, RECORDED_BY = 'daprd-1.18.1', 'ours-0.1.0'
RECORDED = corpus.FOLDER / RECORDED_ON / RECORDED_BY

# daprd 1.18 creates timers that have fired anew when an instance runs again, behind what they were for.
BEYOND = ('rerun-after-timers',)

# In these, events come together: which of them share a turn is a matter of timing.
TIMED = ('suspended', 'counter')
TURN = '{"eventId": -1, "workflowStarted": {}}'

# In these, payloads are moments and chances.
CHANCY = ('chances', 'chances-of-generators', 'moments')

# What differs from run to run, or from code to code: moments, ids of runs and calls, spans, and lines.
_PASSING = frozenset(
    ('timestamp', 'fireAt', 'executionId', 'taskExecutionId', 'stackTrace', 'workflowSpanID', 'parentTraceContext')
)


class InProcess:
    """A worker in this process, and one of another app, on an emulator."""

    def __init__(self, emulator: Emulator) -> None:
        self._address = emulator.address_of('app')
        host, _, port = self._address.rpartition(':')
        self.client = DaprWorkflowClient(host=host, port=port)
        self._billing = started(emulator.address_of('billing'), 'new')
        self._age = 'new'
        self._worker = started(self._address, self._age)

    def deploy(self, age: str) -> None:
        if age != self._age:
            self._worker.shutdown()
            self._age, self._worker = age, started(self._address, age)

    def close(self) -> None:
        self._worker.shutdown()
        self._billing.shutdown()
        self.client.close()


def started(address: str, age: str) -> WorkflowRuntime:
    host, _, port = address.rpartition(':')
    runtime = WorkflowRuntime(host=host, port=port)
    workflows.register(runtime, age)
    newer.register(runtime)
    runtime.start()
    return runtime


@pytest.fixture(scope='module')
def stage() -> Iterator[InProcess]:
    with Emulator(apps=('app', 'billing')) as emulator:
        stage = InProcess(emulator)
        yield stage
        stage.close()


@pytest.mark.parametrize(
    'name',
    [
        name
        for name, scenario in SCENARIOS.items()
        if name not in BEYOND and not scenario.needs & lacks(RECORDED_ON, RECORDED_BY)
    ],
)
def test_it_commits_what_daprd_commits(name: str, stage: InProcess) -> None:
    kept = play(stage, name)

    for each, history in kept.items():
        ours, theirs = outline(history, name), outline(WorkflowHistory.from_file(RECORDED / f'{each}.json'), name)
        if name in TIMED or not SCENARIOS[name].is_ordered:
            ours, theirs = [line for line in ours if line != TURN], [line for line in theirs if line != TURN]
        if not SCENARIOS[name].is_ordered:
            ours, theirs = sorted(ours), sorted(theirs)
        assert ours == theirs, each


def outline(history: WorkflowHistory, name: str) -> list[str]:
    """The events as texts, without what passes."""
    left_out = _PASSING | {'input', 'result'} if name in CHANCY else _PASSING
    data = [told_by_both(json_format.MessageToDict(event)) for event in history.events]
    return [json.dumps(lasting(event, left_out), sort_keys=True) for event in data]


def told_by_both(event: dict[str, Any]) -> dict[str, Any]:
    """Without what daprd 1.18 and its successor, which the emulator is like, tell differently."""
    if 'executionTerminated' in event:  # whose app has terminated a child
        event.pop('router', None)
    if 'executionStarted' in event:  # in a copy, the instance that was copied
        event['executionStarted'].pop('workflowInstance', None)
    event.get('childWorkflowInstanceCreated', {}).pop('retryParentInstanceInfo', None)
    return event


def lasting(value: Any, left_out: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {key: lasting(inner, left_out) for key, inner in value.items() if key not in left_out}
    return [lasting(inner, left_out) for inner in value] if isinstance(value, list) else value
