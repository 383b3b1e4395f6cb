"""Rerunning a workflow from an event of its history."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import grpc
import pytest
from google.protobuf import wrappers_pb2

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator.errors import Refused
from tests.support.backend import START, BackendDriver, complete, kinds, schedule, start_child, timer
from tests.support.backend_worker import BackendWorker, output
from tests.support.scenarios import Workflow, chain, echo


def rerun(driver: BackendDriver, event_id: int, source: str = 'x', new: str | None = 'again', **fields: Any) -> str:
    request = pb.RerunWorkflowFromEventRequest(sourceInstanceID=source, eventID=event_id, newInstanceID=new, **fields)
    return driver.backend.rerun('', request).instance_id


def refusal(call: Callable[[], object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(Refused) as refused:
        call()
    return refused.value.code, refused.value.message


def three_steps() -> BackendDriver:
    """An instance that has ended after two activities and a child."""
    driver = BackendDriver()
    driver.create('x', 'wf', '"in"', tags={'a': 'b'})
    driver.turn('x', schedule(1))
    driver.run_activity()
    driver.turn('x', schedule(2))
    driver.run_activity()
    version = pb.WorkflowVersion(patches=['p'])
    driver.turn('x', start_child(3, 'child'), version=version)
    driver.turn('child', complete(1))
    driver.turn('x', complete(4), version=version)
    return driver


def test_what_was_before_the_event_is_kept_and_the_event_is_new() -> None:
    driver = three_steps()
    driver.now += 60
    source = driver.history('x')

    assert rerun(driver, 2) == 'again'

    history = driver.history('again')
    assert kinds(history) == [
        *('workflowStarted', 'executionStarted'),
        *('workflowStarted', 'taskScheduled', 'taskCompleted', 'taskScheduled'),
    ]
    assert [history[0], *history[2:5]] == [source[0], source[3], source[2], source[4]]
    started, old = history[1].executionStarted, source[1].executionStarted
    assert (started.name, started.input, started.tags) == (old.name, old.input, old.tags)
    assert started.workflowInstance.instanceId == 'again'
    assert started.workflowInstance.executionId.value not in ('', old.workflowInstance.executionId.value)
    target = history[-1]
    assert (target.eventId, target.taskScheduled.rerunParentInstanceInfo.instanceID) == (2, 'x')
    assert target.taskScheduled.input == source[5].taskScheduled.input
    assert target.timestamp.seconds == START + 60

    assert driver.told[-1] == ('started', 'again')
    assert (driver.status('again'), driver.state('again').createdTimestamp.seconds) == ('RUNNING', START + 60)
    (work,) = driver.activities
    assert (work.owner.instance_id, work.request.taskId, work.request.input.value) == ('again', 2, '"2"')
    driver.run_activity('"other"')
    turn = driver.turn('again', complete(3))
    assert (kinds(turn.past[: turn.past_count]), kinds(turn.new_events)) == (
        kinds(history),
        ['workflowStarted', 'taskCompleted'],
    )
    assert driver.history('x') == source


@pytest.mark.parametrize('given', ['"new"', '', None])
def test_the_event_can_have_another_input(given: str | None) -> None:
    driver = three_steps()
    wrapped = None if given is None else wrappers_pb2.StringValue(value=given)
    rerun(driver, 1, overwriteInput=True, input=wrapped)
    rerun(driver, 1, new='kept', input=wrapped)
    changed, kept = (work.request for work in driver.activities)
    assert (changed.input.value if changed.HasField('input') else None) == given
    assert driver.history('again')[-1].taskScheduled.HasField('input') == (given is not None)
    assert kept.input.value == '"1"'


def test_an_id_is_made_up_when_none_is_given() -> None:
    driver = three_steps()
    first, second = rerun(driver, 1, new=None), rerun(driver, 1, new=None)
    assert len({first, second, 'x', ''}) == 4
    assert driver.status(first) == 'RUNNING'


def test_a_child_runs_again_under_an_id_of_its_own() -> None:
    driver = three_steps()
    rerun(driver, 3)
    rerun(driver, 3, new='named', newChildWorkflowInstanceID='chosen')
    for instance_id, child in (('again', 'again:0003'), ('named', 'chosen')):
        created = driver.history(instance_id)[-1].childWorkflowInstanceCreated
        assert (created.instanceId, created.rerunParentInstanceInfo.instanceID) == (child, 'x')
        driver.turn(child, complete(1))
        driver.turn(instance_id, complete(4), version=pb.WorkflowVersion(patches=['p']))
        assert driver.status(instance_id) == 'COMPLETED'
    assert driver.outline('child')[-1] == 'executionCompleted'


def test_a_timer_runs_again_as_long_as_it_did() -> None:
    driver = BackendDriver()
    driver.create()
    driver.turn('x', timer(1, START + 10))
    driver.wait_for_timer()
    driver.turn('x', complete(2))
    driver.now = START + 1000
    rerun(driver, 1)
    created = driver.history('again')[-1].timerCreated
    assert created.rerunParentInstanceInfo.instanceID == 'x'
    assert created.fireAt.seconds == START + 1010 == driver.backend.next_timer_at()
    driver.wait_for_timer()
    assert kinds(driver.begin('again').new_events) == ['workflowStarted', 'timerFired']


def test_what_had_no_result_before_the_event_is_scheduled_again_too() -> None:
    driver = BackendDriver()
    driver.create()
    driver.turn('x', schedule(1), schedule(2), start_child(3, 'child'), timer(4, START + 10), schedule(5))
    driver.run_activity()
    driver.run_activity()
    driver.turn('x', complete(6))
    driver.activities.clear()
    rerun(driver, 5)
    assert [work.request.taskId for work in driver.activities] == [1, 2, 5]
    history = driver.history('again')
    assert [event.eventId for event in history[2:]] == [1, 2, 3, 4, 5]
    assert history[4].childWorkflowInstanceCreated.instanceId == 'again:0003'
    assert driver.status('again:0003') == 'PENDING'
    assert driver.backend.next_timer_at() == START + 10
    marked = [
        event.eventId
        for event in history
        if (kind := event.WhichOneof('eventType')) in ('taskScheduled', 'timerCreated', 'childWorkflowInstanceCreated')
        and getattr(event, kind).HasField('rerunParentInstanceInfo')
    ]
    assert marked == [5]


def test_a_child_that_is_rerun_has_no_parent() -> None:
    driver = BackendDriver()
    driver.create('parent')
    driver.turn('parent', start_child(1, 'child'))
    driver.turn('child', schedule(1))
    driver.run_activity()
    driver.turn('child', complete(2))
    driver.turn('parent')
    rerun(driver, 1, source='child')
    driver.run_activity()
    driver.turn('again', complete(2))
    assert driver.ready == []


def test_what_cannot_be_rerun() -> None:
    driver = three_steps()
    driver.create('running')
    not_found, invalid = grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT
    code, words = refusal(lambda: rerun(driver, 1, source='missing'))
    assert (code, 'no such instance exists' in words) == (not_found, True)
    code, words = refusal(lambda: rerun(driver, 1, source='running'))
    assert (code, words) == (invalid, "'running' is not in a terminal state")
    for event_id in (0, 99):
        code, words = refusal(partial(rerun, driver, event_id))
        assert (code, words) == (not_found, f"'x' has no history event with ID '{event_id}'")
    code, words = refusal(lambda: rerun(driver, 4))
    assert (code, 'executionCompleted' in words) == (not_found, True)
    for taken in ('x', 'running', 'child'):
        code, words = refusal(partial(rerun, driver, 1, new=taken))
        assert (code, f"'{taken}' already exists" in words) == (grpc.StatusCode.ALREADY_EXISTS, True)
    assert refusal(lambda: rerun(driver, 1, newChildWorkflowInstanceID='child'))[0] is invalid
    assert list(driver.backend.list_instance_ids('').instanceIds) == ['x', 'child', 'running']


def sums(ctx: task.OrchestrationContext, n: int) -> Workflow:
    parts = yield task.when_all([ctx.call_activity(echo, input=i) for i in range(3)])
    more = yield ctx.call_sub_orchestrator(chain, input=2)
    total = yield ctx.call_activity(echo, input=sum(parts) + sum(more))
    return [n, parts, more, total]


@pytest.mark.parametrize(
    ('event_id', 'expected'),
    [
        (1, [7, [40, 1, 2], [0, 1], 44]),
        (3, [7, [0, 1, 40], [0, 1], 42]),
        (4, [7, [0, 1, 2], list(range(40)), 3 + sum(range(40))]),
        (5, [7, [0, 1, 2], [0, 1], 40]),
    ],
)
def test_a_real_worker_goes_on_from_the_event(event_id: int, expected: list[object]) -> None:
    driver = BackendDriver()
    worker = BackendWorker([sums, chain], [echo])
    driver.create('x', 'sums', '7')
    worker.run_to_end(driver)
    assert output(driver, 'x') == [7, [0, 1, 2], [0, 1], 4]

    rerun(driver, event_id, overwriteInput=True, input=wrappers_pb2.StringValue(value='40'))
    worker.run_to_end(driver)

    assert output(driver, 'again') == expected
