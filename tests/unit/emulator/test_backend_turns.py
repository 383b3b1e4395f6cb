"""Turns: begun, answered, abandoned, void; and the runs that go on from them."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf import wrappers_pb2

from dapr.ext.workflow._durabletask.internal import helpers
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator.errors import Refused
from dapr.ext.workflow.emulator.seam import Turn
from tests.support.backend import START, BackendDriver, complete, continue_as_new, kinds, schedule, start_child, timer


def test_a_turn_has_what_was_committed_and_what_is_new() -> None:
    driver = BackendDriver()
    driver.create()
    first = driver.turn('x', schedule(1))
    assert (first.past_count, kinds(first.new_events)) == (0, ['workflowStarted', 'executionStarted'])
    driver.run_activity('"one"')
    second = driver.begin('x')

    assert list(second.past[: second.past_count]) == driver.history('x')
    assert kinds(second.past) == ['workflowStarted', 'executionStarted', 'taskScheduled']
    assert kinds(second.new_events) == ['workflowStarted', 'taskCompleted']
    result = second.new_events[1].taskCompleted
    assert (result.taskScheduledId, result.taskExecutionId, result.result.value) == (1, 'task-1', '"one"')
    assert second.execution_id == first.execution_id == driver.state('x').executionId.value
    assert second.number != first.number


def test_what_comes_while_a_turn_is_out_waits_for_the_next_one() -> None:
    driver = BackendDriver()
    driver.create()
    turn = driver.begin('x')
    driver.raise_event('x', 'a')
    driver.raise_event('x', 'b')
    assert driver.ready == []
    assert driver.backend.begin_turn(driver.key('x')) is None

    driver.answer(turn)

    assert [event.eventRaised.name for event in driver.turn('x').new_events[1:]] == ['a', 'b']
    assert driver.ready == []


def test_an_abandoned_turn_comes_again_with_more() -> None:
    driver = BackendDriver()
    driver.create()
    turn = driver.begin('x')
    driver.raise_event('x', 'a')
    driver.now += 1
    driver.backend.abandon_turn(turn)
    driver.backend.abandon_turn(turn)  # once is as good as twice

    again = driver.begin('x')
    assert again.new_events[0].timestamp.seconds == turn.new_events[0].timestamp.seconds + 1
    assert kinds(again.new_events) == [*kinds(turn.new_events), 'eventRaised']
    driver.answer(turn, complete(1))  # void
    assert (driver.status('x'), driver.history('x')) == ('PENDING', [])
    driver.answer(again, complete(1))
    driver.answer(again, complete(2))  # a worker that answers twice
    assert driver.status('x') == 'COMPLETED'
    assert driver.outline('x').count('executionCompleted') == 1


def test_an_answer_that_is_refused_leaves_the_turn_out() -> None:
    driver = BackendDriver()
    driver.create()
    turn = driver.begin('x')
    with pytest.raises(Refused) as refused:
        driver.answer(turn, schedule(1), pb.WorkflowAction(id=2))
    assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert (driver.activities, driver.status('x')) == ([], 'PENDING')
    driver.answer(turn, complete(1))
    assert driver.status('x') == 'COMPLETED'


def test_a_batch_of_nothing_but_duplicates_is_no_turn() -> None:
    driver = BackendDriver()
    key = driver.create()
    driver.turn('x', start_child(1, 'child'))
    driver.turn('child', complete(1))
    instance = driver.backend._instances.find(key)
    assert instance is not None
    unit = driver.backend._unit()
    unit.deliver(instance, instance.inbox[0].event)
    driver.backend._commit(unit)
    assert kinds(driver.turn('x').new_events) == ['workflowStarted', 'childWorkflowInstanceCompleted']
    unit = driver.backend._unit()
    unit.deliver(instance, driver.history('x')[-1])
    driver.backend._commit(unit)

    driver.ready.remove(key)
    assert driver.backend.begin_turn(key) is None
    assert (driver.store.inbox(instance.pk), instance.inbox) == ([], [])


def test_a_thousand_events_at_a_time() -> None:
    driver = BackendDriver()
    driver.create()
    turn = driver.begin('x')
    for number in range(1100):
        driver.raise_event('x', str(number))
    driver.answer(turn)
    first, second = driver.turn('x'), driver.turn('x')
    assert len(first.new_events) == 1000
    names = [event.eventRaised.name for turn in (first, second) for event in turn.new_events[1:]]
    assert names == [str(number) for number in range(1100)]
    assert driver.ready == []


def test_a_turn_is_void_when_its_instance_is_purged_by_force() -> None:
    driver = BackendDriver()
    key = driver.create()
    turn = driver.begin('x')
    driver.backend.purge(key, force=True)
    assert driver.told == [('turn_dropped', 'x')]
    driver.create()
    driver.answer(turn, complete(1))
    driver.backend.abandon_turn(turn)
    assert (driver.status('x'), driver.ready) == ('PENDING', [key])


# Continue as new


def go_on(driver: BackendDriver, turn: Turn, *carried: pb.HistoryEvent) -> Turn:
    next_run = driver.answer(turn, continue_as_new(1, '"next"', *carried))
    assert next_run is not None
    return next_run


def test_a_new_run_begins_in_the_same_item_with_what_is_carried_over() -> None:
    driver = BackendDriver()
    driver.create('x', 'wf', '"first"')
    driver.turn('x', schedule(1), customStatus=wrappers_pb2.StringValue(value='busy'))
    driver.run_activity()
    first = driver.begin('x')
    driver.raise_event('x', 'late')
    driver.now += 1

    carried = helpers.new_event_raised_event('carried', '""')
    second = go_on(driver, first, carried)

    assert (driver.history('x'), second.past_count, second.runs_before) == ([], 0, 1)
    assert kinds(second.new_events) == ['workflowStarted', 'executionStarted', 'eventRaised']
    assert second.new_events[2] == carried
    assert second.execution_id == second.new_events[1].executionStarted.workflowInstance.executionId.value
    assert second.execution_id != first.execution_id
    state = driver.state('x')
    assert (driver.status('x'), state.input.value) == ('RUNNING', '"next"')
    assert state.createdTimestamp.seconds == START + 1
    assert driver.ready == []

    driver.answer(second, schedule(1))
    assert driver.outline('x') == ['workflowStarted', 'executionStarted', 'eventRaised', 'taskScheduled']
    assert driver.turn('x').new_events[1].eventRaised.name == 'late'


def test_what_the_old_run_has_asked_for_does_not_reach_the_new_one() -> None:
    driver = BackendDriver()
    driver.create()
    driver.turn('x', schedule(1), timer(2, START + 1), start_child(3, 'child'), schedule(4))
    early, late = driver.activities
    driver.raise_event('x', 'go')
    turn = driver.begin('x')
    driver.complete(early)
    second = go_on(driver, turn)
    driver.answer(second, schedule(1), timer(2, START + 100), start_child(3, 'other'), schedule(4))

    driver.complete(late)
    driver.now += 2
    driver.backend.fire_timers()
    driver.turn('child', complete(1))

    assert driver.ready == [driver.key('other')]
    driver.complete(driver.activities[2], '"new"')
    assert driver.turn('x').new_events[1].taskCompleted.result.value == '"new"'


def test_after_twenty_runs_in_one_item_the_next_one_has_an_item_of_its_own() -> None:
    driver = BackendDriver()
    driver.create()
    turn = driver.begin('x')
    for number in range(1, 21):
        turn = go_on(driver, turn)
        assert turn.runs_before == number
    carried = helpers.new_event_raised_event('carried')

    assert driver.answer(turn, continue_as_new(1, '"last"', carried)) is None

    turn = driver.begin('x')
    assert (turn.runs_before, kinds(turn.new_events)) == (0, ['workflowStarted', 'executionStarted', 'eventRaised'])
    assert turn.new_events[1].executionStarted.input.value == '"last"'


def test_a_run_that_goes_on_and_is_abandoned_begins_again() -> None:
    driver = BackendDriver()
    driver.create()
    second = go_on(driver, driver.begin('x'), helpers.new_event_raised_event('carried'))
    driver.raise_event('x', 'late')
    driver.backend.abandon_turn(second)
    again = driver.begin('x')
    assert again.execution_id == second.execution_id
    assert [event.eventRaised.name for event in again.new_events[2:]] == ['carried', 'late']


def test_an_instance_whose_first_turn_continues_as_new_has_started() -> None:
    driver = BackendDriver()
    driver.create()
    go_on(driver, driver.begin('x'))
    assert driver.told == [('started', 'x')]


# What is in memory


def test_histories_that_take_too_much_are_forgotten_and_read_again() -> None:
    driver = BackendDriver(max_history_bytes=100_000)
    ids = [f'i{number}' for number in range(20)]
    large = '"' + 'x' * 10_000 + '"'
    for instance_id in ids:
        driver.create(instance_id, 'wf', large)
        driver.turn(instance_id, schedule(1))
    assert 5 <= len(driver.backend._instances) <= 12

    for instance_id in ids:
        driver.run_activity()
        turn = driver.begin(instance_id)
        assert kinds(turn.past) == ['workflowStarted', 'executionStarted', 'taskScheduled']
        driver.answer(turn, complete(2))
    assert len(driver.backend._instances) == 0
    assert driver.backend._instances._bytes == 0


def test_an_instance_whose_turn_is_out_is_never_forgotten() -> None:
    driver = BackendDriver(max_history_bytes=0)
    driver.create()
    turn = driver.begin('x')
    for number in range(50):
        driver.create(f'other {number}', 'wf', '"' + 'x' * 1000 + '"')
        driver.turn(f'other {number}', schedule(1))
    driver.raise_event('x', 'go')
    driver.answer(turn, schedule(1))
    assert kinds(driver.turn('x').new_events) == ['workflowStarted', 'eventRaised']
