"""Activities and timers: what they bring, and what they do not bring twice."""

from __future__ import annotations

from pathlib import Path

from dapr.ext.workflow._durabletask.internal import helpers
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator.serving.work_items import turn_item
from tests.support.backend import START, BackendDriver, complete, kinds, schedule, start_child, timer


def test_a_result_comes_once_whatever_the_worker_answers() -> None:
    driver = BackendDriver()
    driver.create()
    driver.turn('x', schedule(1), schedule(2))
    first = driver.run_activity('"one"')
    driver.complete(first, '"once more"')
    second = driver.activities.pop()
    driver.complete(second, None, error='no')

    batch = driver.begin('x').new_events

    assert kinds(batch) == ['workflowStarted', 'taskCompleted', 'taskFailed']
    assert batch[1].taskCompleted.result.value == '"one"'
    failed = batch[2].taskFailed
    assert (failed.taskScheduledId, failed.taskExecutionId) == (2, 'task-2')
    assert (failed.failureDetails.errorType, failed.failureDetails.errorMessage) == ('ValueError', 'no')
    assert [event.router.sourceAppID for event in batch[1:]] == ['app', 'app']


def test_a_result_may_be_nothing_or_empty() -> None:
    driver = BackendDriver()
    driver.create()
    driver.turn('x', schedule(1), schedule(2))
    driver.run_activity(None)
    driver.run_activity('')
    nothing, empty = (event.taskCompleted for event in driver.begin('x').new_events[1:])
    assert (nothing.HasField('result'), empty.HasField('result')) == (False, True)


def test_an_activity_of_an_instance_that_is_purged_is_dropped_and_its_answer_counts_for_nothing() -> None:
    driver = BackendDriver()
    key = driver.create()
    driver.turn('x', schedule(1))
    (work,) = driver.activities
    driver.backend.purge(key, force=True)
    assert driver.told[-1] == ('activity_dropped', work.row_id)
    driver.create()
    driver.turn('x', schedule(1))
    driver.complete(work)
    assert driver.ready == []


def test_timers_fire_in_the_order_of_their_times_and_not_early() -> None:
    driver = BackendDriver()
    driver.create()
    driver.turn('x', timer(1, START + 9), timer(2, START + 3.000001), timer(3, START + 5))
    assert driver.told == [('started', 'x'), ('timers_changed', START + 3.000001)]
    driver.now = START + 3
    driver.backend.fire_timers()
    assert driver.ready == []
    driver.wait_for_timer()
    fired = driver.turn('x').new_events[1]
    assert (fired.timerFired.timerId, fired.timerFired.fireAt.ToMicroseconds()) == (2, round((START + 3.000001) * 1e6))
    assert fired.timestamp.ToMicroseconds() >= fired.timerFired.fireAt.ToMicroseconds()

    driver.now = START + 100
    driver.backend.fire_timers()
    assert [event.timerFired.timerId for event in driver.turn('x').new_events[1:]] == [3, 1]
    assert driver.backend.next_timer_at() is None


def test_only_an_earlier_timer_is_told() -> None:
    driver = BackendDriver()
    for number, seconds in enumerate((5, 9, 3)):
        driver.create(f'i{number}')
        driver.turn(f'i{number}', timer(1, START + seconds))
    assert [what for what in driver.told if what[0] == 'timers_changed'] == [
        ('timers_changed', START + 5),
        ('timers_changed', START + 3),
    ]
    assert driver.backend.next_timer_at() == START + 3


def test_a_timer_in_the_past_fires_at_once() -> None:
    driver = BackendDriver()
    driver.create()
    driver.turn('x', timer(1, START - 5))
    driver.wait_for_timer()
    assert driver.now == START
    assert kinds(driver.begin('x').new_events) == ['workflowStarted', 'timerFired']


def test_a_timer_for_all_times_is_none() -> None:
    driver = BackendDriver()
    driver.create()
    never = helpers.new_create_timer_action(1, helpers.OPTIONAL_TIMER_FIRE_AT, pb.TimerOriginExternalEvent(name='go'))
    driver.turn('x', never)
    assert driver.outline('x')[-1] == 'timerCreated'
    assert driver.backend.next_timer_at() is None


def test_times_beyond_all_years_do_no_harm() -> None:
    driver = BackendDriver()
    driver.create()
    actions = [timer(1, START), timer(2, START)]
    actions[0].createTimer.fireAt.seconds = 2**62
    actions[1].createTimer.fireAt.seconds = -(2**62)
    driver.turn('x', *actions)
    driver.wait_for_timer()
    assert [event.timerFired.timerId for event in driver.begin('x').new_events[1:]] == [2]


def test_a_workflow_that_has_ended_leaves_nothing_that_waits_for_it() -> None:
    driver = BackendDriver()
    driver.create()
    driver.turn('x', timer(1, START + 5))
    driver.raise_event('x', 'go')
    turn = driver.begin('x')
    driver.raise_event('x', 'late')
    driver.answer(turn, timer(2, START + 5), complete(3))
    for table in ('inbox', 'timers'):
        assert driver.store._one(f'SELECT count(*) FROM {table}') == 0
    driver.now += 10
    driver.backend.fire_timers()
    assert (driver.ready, driver.backend.next_timer_at()) == ([], None)


def test_a_timer_does_not_fire_a_nanosecond_early() -> None:
    driver = BackendDriver()
    driver.create()
    action = timer(1, START + 1)
    action.createTimer.fireAt.nanos += 1
    driver.turn('x', action)
    assert driver.backend.next_timer_at() == START + 1.000001


def failure_with_causes(count: int) -> pb.TaskFailureDetails:
    failure = pb.TaskFailureDetails(errorMessage=f'cause {count}')
    for number in reversed(range(count)):
        failure = pb.TaskFailureDetails(errorMessage=f'cause {number}', innerFailure=failure)
    return failure


def test_a_failure_with_more_causes_than_anyone_can_read_keeps_the_first_ones(tmp_path: Path) -> None:
    # What a worker sends with its result, the next work item holds deeper: beyond a depth of 100 its reader refuses it.
    driver = BackendDriver(tmp_path / 'emulator.db')
    driver.create()
    driver.turn('x', schedule(1), start_child(2, 'child'))
    failed = pb.ActivityResponse(failureDetails=failure_with_causes(98))
    driver.backend.complete_activity(driver.activities.pop(), failed)
    end = complete(1, None, pb.ORCHESTRATION_STATUS_FAILED)
    end.completeWorkflow.failureDetails.CopyFrom(failure_with_causes(96))
    driver.turn('child', end)

    driver.reopen()
    item = pb.WorkItem.FromString(turn_item(driver.begin('x'), 'token', 0).SerializeToString())

    _, activity, child = item.workflowRequest.newEvents
    for details in (activity.taskFailed.failureDetails, child.childWorkflowInstanceFailed.failureDetails):
        messages = []
        while details.HasField('innerFailure'):
            details = details.innerFailure
            messages.append(details.errorMessage)
        assert messages == [f'cause {number}' for number in range(1, 51)]
