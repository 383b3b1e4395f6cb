"""What workflows do to each other: children, detached workflows, events, terminations."""

from __future__ import annotations

import pytest

from dapr.ext.workflow._durabletask.internal import protos as pb
from tests.support.backend import (
    START,
    BackendDriver,
    complete,
    continue_as_new,
    detached,
    kinds,
    schedule,
    send_event,
    start_child,
    terminate,
)


def parent_and_child() -> BackendDriver:
    driver = BackendDriver()
    driver.create('parent')
    driver.turn('parent', start_child(1, 'child'))
    return driver


def test_a_child_starts_with_its_parents_turn_and_its_result_comes_with_its_own() -> None:
    driver = parent_and_child()
    assert driver.status('child') == 'PENDING'
    started = driver.begin('child')
    assert started.new_events[1].executionStarted.parentInstance.workflowInstance.instanceId == 'parent'
    assert driver.ready == []
    driver.answer(started, complete(1, '"result"'))
    assert driver.ready == [driver.key('parent')]
    result = driver.begin('parent').new_events[1].childWorkflowInstanceCompleted
    assert (result.taskScheduledId, result.result.value) == (1, '"result"')


def test_a_child_that_is_terminated_has_failed_for_its_parent() -> None:
    driver = parent_and_child()
    driver.turn('child')
    driver.backend.terminate(driver.key('child'), '"stop"', False)
    driver.turn('child', complete(1, '"stop"', pb.ORCHESTRATION_STATUS_TERMINATED))
    assert kinds(driver.begin('parent').new_events) == ['workflowStarted', 'childWorkflowInstanceFailed']


def test_a_child_takes_the_place_of_an_instance_that_has_ended_and_fails_where_one_runs() -> None:
    driver = BackendDriver()
    for instance_id in ('ended', 'running'):
        driver.create(instance_id)
        driver.turn(instance_id)
    driver.raise_event('ended', 'go')
    driver.turn('ended', complete(1))

    driver.create('parent')
    driver.turn('parent', start_child(1, 'ended'), start_child(2, 'running'), start_child(3, 'ended'))

    assert driver.status('ended') == 'PENDING'
    failed = driver.begin('parent').new_events[1:]
    assert [event.childWorkflowInstanceFailed.taskScheduledId for event in failed] == [2, 3]
    details = failed[0].childWorkflowInstanceFailed.failureDetails
    assert details.errorMessage == "an active workflow with ID 'running' already exists"
    assert driver.outline('running') == ['workflowStarted', 'executionStarted']


def test_a_childs_result_reaches_no_other_run_of_its_parent() -> None:
    driver = parent_and_child()
    driver.turn('child')
    driver.backend.purge(driver.key('parent'), force=True)
    driver.create('parent')
    driver.turn('parent', start_child(1, 'another'))
    driver.raise_event('child', 'go')
    driver.turn('child', complete(2))
    assert driver.ready == [driver.key('another')]


def test_a_parent_that_is_gone_does_not_keep_its_child_from_ending() -> None:
    driver = parent_and_child()
    driver.backend.purge(driver.key('parent'), force=True)
    driver.turn('child', complete(1))
    assert driver.status('child') == 'COMPLETED'


def test_a_recursive_terminate_ends_the_whole_family_and_another_one_the_parent_alone() -> None:
    for recursive in (True, False):
        driver = parent_and_child()
        driver.turn('child', start_child(1, 'grandchild'))
        driver.turn('grandchild')
        driver.backend.terminate(driver.key('parent'), '"stop"', recursive)
        driver.turn('parent', complete(2, '"stop"', pb.ORCHESTRATION_STATUS_TERMINATED))
        for member in ('child', 'grandchild'):
            if recursive:
                turn = driver.turn(member)  # not honoured
                assert turn.new_events[1].executionTerminated.input.value == '"stop"'
                assert not turn.new_events[1].HasField('router')
            assert driver.status(member) == ('TERMINATED' if recursive else 'RUNNING')


def test_a_terminate_reaches_a_child_that_has_not_begun() -> None:
    driver = parent_and_child()
    driver.backend.terminate(driver.key('parent'), None, True)
    driver.turn('parent')
    turn = driver.turn('child')
    assert kinds(turn.new_events) == ['workflowStarted', 'executionStarted', 'executionTerminated']
    assert driver.status('child') == 'TERMINATED'
    assert driver.ready == []


def test_a_detached_workflow_runs_on_its_own_and_one_that_runs_is_let_be() -> None:
    driver = BackendDriver()
    driver.create('running')
    driver.turn('running')
    driver.create()
    later = pb.CreateDetachedWorkflowAction()
    later.scheduledStartTimestamp.FromSeconds(int(START) + 5)
    driver.turn(
        'x',
        detached(1, 'free'),
        detached(2, 'running'),
        detached(3, 'later', scheduledStartTimestamp=later.scheduledStartTimestamp),
    )
    assert driver.outline('x')[2:] == ['detachedWorkflowInstanceCreated'] * 3
    turn = driver.turn('free', complete(1))
    assert turn.new_events[1].executionStarted.name == 'loner'
    assert not turn.new_events[1].executionStarted.HasField('parentInstance')
    assert driver.ready == []
    assert driver.status('running') == 'RUNNING'
    driver.wait_for_timer()
    assert driver.ready == [driver.key('later')]


def test_events_reach_others_oneself_and_those_that_start_in_the_same_turn() -> None:
    driver = BackendDriver()
    driver.create('other')
    driver.turn('other')
    driver.create()
    driver.turn(
        'x',
        start_child(1, 'child'),
        *(send_event(number, name, 'go', '0') for number, name in enumerate(('other', 'x', 'child', 'none'), 2)),
    )
    for name in ('other', 'x', 'child'):
        event = driver.turn(name).new_events[-1]
        assert (event.eventId, event.eventRaised.name, event.eventRaised.input.value) == (-1, 'go', '0')
    assert driver.status('none') is None


def test_a_workflow_terminates_another_one_and_what_is_not_there_does_not_matter() -> None:
    driver = BackendDriver()
    driver.create('other')
    driver.turn('other')
    driver.create()
    driver.turn('x', terminate(1, 'other'), terminate(2, 'none'))
    driver.turn('other')
    assert (driver.status('other'), driver.state('other').output.value) == ('TERMINATED', '"told to"')


def test_a_workflow_that_terminates_itself_ends_with_its_next_turn() -> None:
    driver = BackendDriver()
    driver.create()
    driver.turn('x', terminate(1, 'x'))
    driver.turn('x')
    assert driver.status('x') == 'TERMINATED'


@pytest.mark.parametrize('end', [complete(2), continue_as_new(2)], ids=['complete', 'continue as new'])
def test_activities_of_a_run_that_is_over_still_run_and_nobody_hears_of_it(end: pb.WorkflowAction) -> None:
    driver = BackendDriver()
    driver.create()
    driver.turn('x', schedule(1))
    driver.raise_event('x', 'go')
    turn = driver.begin('x')
    driver.answer(turn, end)
    (work,) = driver.activities
    if driver.status('x') == 'RUNNING':
        driver.raise_event('x', 'go')

    driver.complete(work)
    driver.complete(work)

    assert driver.told[1:] in ([], [('ended', 'x')])
    assert driver.store.activities() == []
    assert driver.store._one("SELECT count(*) FROM inbox WHERE event LIKE '%done%'") == 0


def test_activities_that_are_asked_for_beside_the_end_run() -> None:
    driver = BackendDriver()
    driver.create()
    driver.turn('x', schedule(1), complete(2))
    assert driver.status('x') == 'COMPLETED'
    driver.run_activity()
    assert driver.ready == []


def test_a_workflow_can_start_itself_anew_with_its_end() -> None:
    driver = BackendDriver()
    driver.create()
    driver.turn('x', schedule(1))
    driver.raise_event('x', 'go')
    driver.turn('x', detached(2, 'x'), complete(3))
    assert driver.status('x') == 'PENDING'
    assert driver.turn('x').new_events[1].executionStarted.name == 'loner'
    assert [what for what, _ in driver.told] == ['started', 'ended', 'started']
    driver.run_activity()  # of the one that has ended
    assert (driver.ready, driver.store.activities()) == ([], [])
