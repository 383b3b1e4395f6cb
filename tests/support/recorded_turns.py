"""Turns of workflows that were run once, to be replayed elsewhere: later, on another thread, by another Python."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from google.protobuf import json_format

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.replay.executor import _OrchestrationExecutor
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from tests.support.engine import INSTANCE_ID, Driver, Event, committed_batch, committed_events, without_trace
from tests.support.random_workflows import Move, World

NAME = 'workflow'
LOGGER = logging.getLogger('tests.engine')


class RecordedTurn(NamedTuple):
    """One turn.

    Attributes:
        new_events: What it was given, serialized.
        response: What it was answered with, serialized: the actions, the status, the version.
    """

    new_events: list[bytes]
    response: bytes


def registry_of(orchestrator: Callable[..., Any]) -> _Registry:
    """A registry with this orchestrator alone."""
    registry = _Registry()
    registry.add_named_orchestrator(NAME, orchestrator)
    return registry


def played(orchestrator: Callable[..., Any], moves: Iterable[Iterable[Move]]) -> list[RecordedTurn]:
    """Runs a workflow, a turn for each of the moves, until it has ended; kept and replayed answer alike (`Driver`)."""
    orchestrator.__name__ = NAME
    driver = Driver(orchestrator, '1')
    world = World()
    turns = []
    for number, each in enumerate([(), *moves]):
        events = [event for kind, which in each for event in world.events(kind, which)]
        before = len(driver.committed)
        if number and not events:
            continue
        results = driver.start() if not number else driver.turn(*events)
        world.take_note(results.actions)
        given = driver.committed[
            before : len(driver.committed) - sum(len(committed_events(a)) for a in results.actions)
        ]
        turns.append(RecordedTurn([event.SerializeToString() for event in given], _response(results)))
        if any(action.HasField('completeWorkflow') for action in results.actions):
            break
    driver.close()
    return turns


def replayed(orchestrator: Callable[..., Any], turns: Iterable[RecordedTurn]) -> list[bytes]:
    """What each of these turns is answered with now, each by a replay of all that was before."""
    executor = _OrchestrationExecutor(registry_of(orchestrator), LOGGER)
    committed: list[Event] = []
    responses = []
    for turn in turns:
        new = [Event.FromString(event) for event in turn.new_events]
        results = executor.execute(INSTANCE_ID, committed, new)
        responses.append(_response(results))
        committed += committed_batch(new, results.version_name, results.patches or ())
        for action in pb.WorkflowResponse.FromString(turn.response).actions:
            committed += committed_events(action)
    return responses


def _response(results: Any) -> bytes:
    response = pb.WorkflowResponse(actions=[without_trace(action) for action in results.actions])
    if results.encoded_custom_status is not None:
        response.customStatus.value = results.encoded_custom_status
    version = pb.WorkflowVersion(name=results.version_name or None, patches=results.patches or ())
    if version.ByteSize():
        response.version.CopyFrom(version)
    return response.SerializeToString(deterministic=True)


def to_json(turns: Iterable[RecordedTurn]) -> str:
    """Turns as a file has them, to be read by people too."""
    data = [
        {
            'newEvents': [json_format.MessageToDict(Event.FromString(event)) for event in turn.new_events],
            'response': json_format.MessageToDict(pb.WorkflowResponse.FromString(turn.response)),
        }
        for turn in turns
    ]
    return json.dumps(data, indent=1, sort_keys=True) + '\n'


def from_json(text: str) -> list[RecordedTurn]:
    """What `to_json` has written."""
    return [
        RecordedTurn(
            [json_format.ParseDict(event, Event()).SerializeToString() for event in turn['newEvents']],
            json_format.ParseDict(turn['response'], pb.WorkflowResponse()).SerializeToString(deterministic=True),
        )
        for turn in json.loads(text)
    ]
