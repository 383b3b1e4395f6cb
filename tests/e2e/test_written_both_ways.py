"""Each scenario of the recordings, as a generator and in `async def`: both make the same history, on every sidecar."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest
from google.protobuf import json_format

from dapr.ext.workflow._durabletask.client import TaskHubGrpcClient
from dapr.ext.workflow._durabletask.internal import protos as pb
from tests.support import async_scenarios, scenarios
from tests.support.e2e import NewId, NewWorker, ended, serve


class Scenario(NamedTuple):
    """What a client does with a workflow.

    Attributes:
        workflow: Its name.
        input: Its input.
        events: The events that are raised on it, in order; it is suspended meanwhile, and takes them together. Else
            it would be a matter of timing which of them are there when it waits for them, and what timers that makes.
        target: What is put behind the instance's id for the instance that they are raised on.
    """

    workflow: str
    input: Any = None
    events: tuple[tuple[str, Any], ...] = ()
    target: str = ''


SCENARIOS = {
    'chain': Scenario('chain', 4),
    'fan-out': Scenario('fan', 5),
    'timer': Scenario('timer'),
    'approval': Scenario('approval', 60, (('approval', 'yes'),)),
    'approval-timed-out': Scenario('approval', 0.3),
    'events': Scenario('forever', None, (('go', 1), ('GO', 2))),
    'child': Scenario('parent', 2),
    'failing': Scenario('failing'),
    'child-failing': Scenario('parent_of_failing'),
    'child-with-events': Scenario('parent_of_forever', None, (('go', 1), ('go', 2)), '-child'),
    'retried': Scenario('retried', 2),
    'retries-used-up': Scenario('retried', 9),
    'continue-as-new': Scenario('counter', 2, (('tick', 1), ('tick', 2))),
    'race': Scenario('race'),
    'patched': Scenario('patched'),
}

# In these, what comes when is a matter of timing: the events are the same, in an order that need not be.
UNORDERED = ('fan-out',)

# What differs from run to run: moments, ids of runs and calls, spans, and the lines of the code.
_PASSING = frozenset(
    ('timestamp', 'fireAt', 'executionId', 'taskExecutionId', 'stackTrace', 'workflowSpanID', 'parentTraceContext')
)


@pytest.mark.parametrize('name', SCENARIOS)
def test_both_make_the_same_history(name: str, client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId) -> None:
    scenario = SCENARIOS[name]
    told = []
    for workflows in (scenarios.WORKFLOWS, async_scenarios.WORKFLOWS):
        worker = serve(new_worker, workflows, scenarios.ACTIVITIES)
        told.append(played(client, scenario, new_id(), in_order=name not in UNORDERED))
        worker.stop()
    generator, coroutine = told
    assert coroutine == generator


def played(client: TaskHubGrpcClient, scenario: Scenario, instance_id: str, *, in_order: bool) -> dict[str, Any]:
    """What a scenario comes to: its end, its custom status and its history, without what passes."""
    client.schedule_new_orchestration(scenario.workflow, input=scenario.input, instance_id=instance_id)
    target = instance_id + scenario.target
    if scenario.events:
        assert client.wait_for_orchestration_start(target, timeout=30) is not None
        client.suspend_orchestration(target)
        for event, data in scenario.events:
            client.raise_orchestration_event(target, event, data=data)
        client.resume_orchestration(target)
    state = ended(client, instance_id)
    failure = state.failure_details
    lines = [line for event in client.get_instance_history(instance_id) if (line := _line(event, instance_id))]
    return {
        'status': state.runtime_status,
        'output': state.serialized_output,
        'custom status': state.serialized_custom_status,
        'failure': failure and (failure.error_type, failure.message.replace(instance_id, 'INSTANCE')),
        'history': lines if in_order else sorted(lines),
    }


def _line(event: pb.HistoryEvent, instance_id: str) -> str:
    told = _lasting(json_format.MessageToDict(event))
    if told == {'eventId': -1, 'workflowStarted': {}}:
        return ''  # how many turns there are is a matter of timing
    # daprd and the Go sidecars make the ids of children of those of their parents.
    return json.dumps(told, sort_keys=True).replace(instance_id, 'INSTANCE')


def _lasting(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _lasting(inner) for key, inner in value.items() if key not in _PASSING}
    return [_lasting(inner) for inner in value] if isinstance(value, list) else value


def test_every_scenario_has_a_twin() -> None:
    names = [workflow.__name__ for workflow in scenarios.WORKFLOWS]
    assert [workflow.__name__ for workflow in async_scenarios.WORKFLOWS] == names
    assert {scenario.workflow for scenario in SCENARIOS.values()} == set(names)
