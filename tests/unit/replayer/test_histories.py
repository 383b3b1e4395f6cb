"""Histories go to files and come back without a loss, and what is none is refused with the reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.testing import WorkflowHistory
from tests.support import transcripts
from tests.support.engine import event_raised, execution_started, timer_created, workflow_started

FILE = Path(__file__).parent / 'order-17.json'


def wire(history: WorkflowHistory) -> list[bytes]:
    return [event.SerializeToString(deterministic=True) for event in history.events]


def came_back(history: WorkflowHistory) -> WorkflowHistory:
    return WorkflowHistory.from_json(history.to_json())


@pytest.mark.parametrize('path', transcripts.FILES, ids=transcripts.name_of)
def test_recorded_histories_come_back_without_a_loss(path: Path) -> None:
    for turn in transcripts.turns(path):
        events = [*turn.committed, *turn.request.newEvents]
        if any(event.HasField('executionStarted') for event in events):
            history = WorkflowHistory(events)
            assert wire(came_back(history)) == [event.SerializeToString(deterministic=True) for event in events]


def test_what_json_cannot_say_comes_back() -> None:
    newer = pb.HistoryEvent.FromString(event_raised('a').SerializeToString() + b'\xfa\x3e\x03new')
    far = pb.HistoryEvent(timerCreated=pb.TimerCreatedEvent())
    far.timerCreated.fireAt.seconds = 10**12
    unknown = pb.HistoryEvent.FromString(b'\x08\x05\xca\x3e\x02\x08\x01')
    awkward = event_raised('ä\U0001f600\0"\\', '\u2028\n')
    events = [workflow_started(), execution_started('w', '{}'), newer, far, unknown, awkward, timer_created(1)]

    history = WorkflowHistory(events)

    assert wire(came_back(history)) == wire(history)
    assert json.loads(history.to_json())['binary'].keys() == {'2', '3', '4'}


def test_propagated_history_and_a_given_id_come_back() -> None:
    chunk = pb.PropagatedHistoryChunk(rawEvents=[b'\x08\x01'], appId='app', instanceId='p', workflowName='parent')
    propagated = pb.PropagatedHistory(scope=pb.HISTORY_PROPAGATION_SCOPE_LINEAGE, chunks=[chunk])
    history = WorkflowHistory([execution_started('w')], instance_id='another', propagated_history=propagated)

    again = came_back(history)

    assert again == history
    assert again.instance_id == 'another'
    assert again.propagated_history == propagated
    assert again != WorkflowHistory([execution_started('w')], instance_id='another')


def test_files(tmp_path: Path) -> None:
    history = WorkflowHistory.from_file(FILE)
    assert (history.instance_id, history.workflow_name, history.is_finished) == ('order-17', 'order', True)

    history.to_file(tmp_path / 'again.json')

    assert WorkflowHistory.from_file(tmp_path / 'again.json') == history
    assert (tmp_path / 'again.json').read_text(encoding='utf-8') == FILE.read_text(encoding='utf-8')


def test_a_list_of_events_is_a_history_as_text_or_as_data() -> None:
    events = json.loads(FILE.read_text())['events']
    history = WorkflowHistory.from_file(FILE)
    for form in (events, json.dumps(events), {'events': events}, json.dumps(events).encode()):
        assert WorkflowHistory.from_json(form) == history
    assert WorkflowHistory.from_json(events, instance_id='x').instance_id == 'x'


# As `dapr workflow history -o json` of the Dapr CLI 1.17 writes it.
CLI_OUTPUT = [
    {
        'namespace': 'default',
        'appId': 'app',
        'play': 0,
        'type': 'ExecutionStarted',
        'name': 'order',
        'timestamp': '2026-11-26T09:00:00Z',
        'elapsed': 'Age:3s',
        'status': 'RUNNING',
        'details': 'orchestration start',
        'attrs': 'input=a lamp',
    },
    {
        'namespace': 'default',
        'appId': 'app',
        'play': 1,
        'type': 'OrchestratorStarted',
        'name': None,
        'timestamp': '2026-11-26T09:00:00Z',
        'elapsed': '0s',
        'status': 'RUNNING',
        'details': 'replay cycle start',
    },
]


@pytest.mark.parametrize(
    ('form', 'why'),
    [
        (
            CLI_OUTPUT,
            "'dapr workflow history -o json' writes, .* Write the history with 'dapr-workflow history",
        ),
        ('{', 'no JSON'),
        ('"text"', 'a list of events'),
        ({'instanceId': 'x'}, 'with "events"'),
        ({'instanceId': 5, 'events': []}, '"instanceId" is no text'),
        ([5], 'event 0 is no object: 5'),
        ([{'eventId': 1, 'somethingNew': {}}], 'event 0 is none that this version knows'),
        ({'events': [{}], 'binary': {'0': '???'}}, 'event 0 cannot be read from its binary form'),
        ([], r'no start of a workflow .* it has 0 events'),
        ([{'executionStarted': {'name': 'w'}}], 'which instance'),
    ],
)
def test_what_is_no_history_is_refused(form: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        WorkflowHistory.from_json(form)


def test_the_error_names_the_file(tmp_path: Path) -> None:
    (tmp_path / 'cli.json').write_text(json.dumps(CLI_OUTPUT))
    with pytest.raises(ValueError, match=r'cli\.json: This is no history'):
        WorkflowHistory.from_file(tmp_path / 'cli.json')
