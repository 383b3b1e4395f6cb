"""The recordings of daprd, run on the backend: the same work items, the same committed histories."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator.seam import Key, Turn
from tests.support import recording, transcripts
from tests.support.backend import BackendDriver

RECORDINGS = [path for path in transcripts.FILES if path.parent.name.startswith('daprd')]


class Rerecording:
    """One recording, run again: what came from the worker and the clients then is given to a backend now."""

    def __init__(self, path: Path, apps: tuple[str, ...]) -> None:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        self._lines: list[dict[str, Any]] = recording.with_tokens(lines)
        self._driver = BackendDriver(apps=apps)
        self._turns: dict[str, Turn] = {}  # begun, by instance
        self._next_runs: dict[str, Turn] = {}
        self._answered: dict[str, Turn] = {}  # by the recording's token
        self._histories: dict[str, list[pb.HistoryEvent]] = {}
        self._names: dict[str, str] = {}

    def run(self) -> Iterator[tuple[Any, Any]]:
        """Pairs of what was recorded and what comes now."""
        for number, line in enumerate(self._lines):
            ((kind, body),) = line.items()
            if kind == 'WorkItem':
                yield self._work_item(body)
            elif kind == 'CompleteOrchestratorTask':
                response = json_format.ParseDict(body, pb.WorkflowResponse())
                next_run = self._driver.backend.commit_turn(self._answered[response.completionToken], response)
                if next_run is not None:
                    self._next_runs[response.instanceId] = next_run
            elif kind == 'CompleteActivityTask':
                result = json_format.ParseDict(body, pb.ActivityResponse())
                work = next(w for w in self._sent if w.request.taskId == result.taskId)
                self._sent.remove(work)
                self._driver.backend.complete_activity(work, result)
            elif kind.startswith('client '):
                self._call(kind.removeprefix('client '), body)
            elif kind == 'committedHistory':
                events = json_format.ParseDict(body, pb.GetInstanceHistoryResponse()).events
                yield self._comparable(events), self._comparable(self._driver.history(self._instance_id))
            elif kind == 'result':
                state = self._driver.state(self._instance_id)
                output = state.output.value if state.HasField('output') else None
                yield body, {'output': output, 'status': self._driver.status(self._instance_id)}
            self._begin_turns(number + 1)

    _instance_id = ''

    @property
    def _sent(self) -> list[Any]:
        return self._driver.activities

    def _call(self, method: str, body: dict[str, Any]) -> None:
        backend = self._driver.backend
        key = self._driver.key(body['instanceId'])
        if method == 'StartInstance':
            self._instance_id = key.instance_id
            backend.create(key.app_id, json_format.ParseDict(body, pb.CreateInstanceRequest()))
        elif method == 'RaiseEvent':
            backend.raise_event(key, json_format.ParseDict(body, pb.RaiseEventRequest()))
        elif method == 'SuspendInstance':
            backend.suspend(key)
        elif method == 'ResumeInstance':
            backend.resume(key)
        elif method == 'TerminateInstance':
            backend.terminate(key, body.get('output'), body.get('recursive', False))
        elif method == 'PurgeInstances':
            assert backend.purge(key, recursive=body.get('recursive', False)) == 1
        else:
            raise AssertionError(method)

    def _begin_turns(self, upto: int) -> None:
        """Begins the turns whose batch is as long as the recorded one: what comes later fell into the next one."""
        recorded: dict[str, int] = {}
        for line in self._lines[upto:]:
            request = line.get('WorkItem', {}).get('workflowRequest')
            if request is not None:
                recorded.setdefault(request['instanceId'], len(request['newEvents']))
        for key in list(self._driver.ready):
            instance = self._driver.backend._instances.find(key)
            assert instance is not None
            if len(instance.inbox) + 1 == recorded.get(key.instance_id):
                self._turns[key.instance_id] = self._driver.begin(key.instance_id)

    def _work_item(self, body: dict[str, Any]) -> tuple[Any, Any]:
        if 'activityRequest' in body:
            recorded = json_format.ParseDict(body['activityRequest'], pb.ActivityRequest())
            work = next(w for w in self._sent if w.request.taskId == recorded.taskId)
            return recorded, work.request
        request = json_format.ParseDict(body['workflowRequest'], pb.WorkflowRequest())
        instance_id = request.instanceId
        if any(event.HasField('timerFired') for event in request.newEvents):
            self._driver.wait_for_timer()
            self._turns[instance_id] = self._driver.begin(instance_id)
        turn = self._next_runs.pop(instance_id, None) or self._turns.pop(instance_id)
        self._answered[body['completionToken']] = turn
        past = self._histories.get(instance_id, [])[: request.cachedHistory.eventCount] + list(request.pastEvents)
        self._histories[instance_id] = past
        assert turn.execution_id
        assert turn.key == Key(self._driver.key('').app_id, instance_id)
        assert turn.past_count == len(turn.past)
        return (
            (self._comparable(past), self._comparable(request.newEvents)),
            (self._comparable(turn.past), self._comparable(turn.new_events)),
        )

    def _comparable(self, events: Any) -> list[pb.HistoryEvent]:
        """Copies without what differs from run to run: times, and the ids of executions."""
        copies = []
        for event in events:
            copy = pb.HistoryEvent()
            copy.CopyFrom(event)
            copy.timestamp.Clear()
            if copy.HasField('executionTerminated'):
                copy.ClearField('router')  # daprd 1.18 tells whose app it was, its successor does not
            for instance in (
                copy.executionStarted.workflowInstance if copy.HasField('executionStarted') else None,
                copy.executionStarted.parentInstance.workflowInstance
                if copy.executionStarted.HasField('parentInstance')
                else None,
            ):
                if instance is not None:
                    assert instance.executionId.value
                    instance.executionId.value = '(execution id)'
            copies.append(copy)
        return copies


@pytest.mark.parametrize('apps', [('app',), ()], ids=['named', 'unnamed'])
@pytest.mark.parametrize('path', RECORDINGS, ids=lambda path: path.stem)
def test_the_backend_does_what_daprd_did(path: Path, apps: tuple[str, ...]) -> None:
    compared = 0
    for recorded, now in Rerecording(path, apps).run():
        assert now == recorded
        compared += 1
    assert compared >= 3
