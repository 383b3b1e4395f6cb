"""The scenarios of the corpus, on the emulator: it commits the histories that daprd has committed.

Beside the recorded work items (test_emulator_transcripts.py), these have what a newer daprd does: versions and patches,
what it stalls, history that is handed on, instances that run again, and calls from app to app.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf import json_format

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator import Emulator
from dapr.ext.workflow.testing import WorkflowHistory
from tests.support import corpus, recording
from tests.support.corpus.in_process import IN_ORDER, WIRE, WIRED, InProcess
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


@pytest.fixture(scope='module')
def stage() -> Iterator[InProcess]:
    with Emulator(apps=('app', 'billing')) as emulator:
        stage = InProcess(emulator.address_of('app'), emulator.address_of('billing'))
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


@pytest.mark.own_mode  # daprd 1.18 sends whole histories
@pytest.mark.parametrize('name', WIRED)
def test_it_sends_what_daprd_sends(name: str) -> None:
    with Emulator(apps=('app', 'billing')) as emulator:
        stage = InProcess(
            emulator.address_of('app'), emulator.address_of('billing'), disable_stateful_history=True, **IN_ORDER
        )
        try:
            play(stage, name)
        finally:
            stage.close()

    is_ordered = SCENARIOS[name].is_ordered
    recorded = [json.loads(line) for line in (WIRE / RECORDED_ON / f'{name}.jsonl').read_text().splitlines()]
    for app, recorder in (('app', stage.recorder), ('billing', stage.recorder_of_other)):
        ours, theirs = recorder.lines, [line[app] for line in recorded if app in line]
        assert sent(ours, is_ordered) == sent(theirs, is_ordered)


def sent(lines: list[recording.Line], is_ordered: bool) -> Any:
    """What the worker got: the work items of each instance, and the activities.

    Without an order, of the instances' events only which were new: what stands in which item is a matter of timing.
    """
    opened = [{kind: opened_up(body) for kind, body in line.items()} for line in lines]
    items, activities = recording.as_before_1_19([recording.work_items(opened), recording.activities(opened)])
    if is_ordered:
        return items, activities
    new = {
        name: [event for item in of_one for event in recording.without_turns(item['newEvents'])]
        for name, of_one in items.items()
    }
    return {name: sorted(json.dumps(e, sort_keys=True) for e in events) for name, events in new.items()}, activities


def opened_up(value: Any) -> Any:
    """A message with what both sidecars tell, and with the events of a history that is handed on in place of their
    bytes, which hold moments."""
    if isinstance(value, list):
        return [opened_up(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    opened = {}
    for key, inner in value.items():
        if key == 'rawEvents':
            inner = [json_format.MessageToDict(pb.HistoryEvent.FromString(base64.b64decode(raw))) for raw in inner]
        elif key in ('newEvents', 'pastEvents'):
            inner = [told_by_both(event) for event in inner]
        opened[key] = opened_up(inner)
    return opened


def outline(history: WorkflowHistory, name: str) -> list[str]:
    """The events as texts, without what passes."""
    left_out = _PASSING | {'input', 'result'} if name in CHANCY else _PASSING
    data = [told_by_both(json_format.MessageToDict(event)) for event in history.events]
    return [json.dumps(lasting(event, left_out), sort_keys=True) for event in data]


def told_by_both(event: dict[str, Any]) -> dict[str, Any]:
    """Without what daprd 1.18 and its successor, which the emulator is like, tell differently."""
    event = recording.as_before_1_19(event)
    if 'executionStarted' in event:  # in a copy, the instance that was copied
        event['executionStarted'].pop('workflowInstance', None)
    event.get('childWorkflowInstanceCreated', {}).pop('retryParentInstanceInfo', None)
    return event


def lasting(value: Any, left_out: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {key: lasting(inner, left_out) for key, inner in value.items() if key not in left_out}
    return [lasting(inner, left_out) for inner in value] if isinstance(value, list) else value
