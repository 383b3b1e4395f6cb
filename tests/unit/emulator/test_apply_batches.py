"""Which of the events that wait make a batch, and what a run's events come to."""

from __future__ import annotations

from google.protobuf import timestamp_pb2

from dapr.ext.workflow._durabletask.internal import helpers
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator.rules import events
from dapr.ext.workflow.emulator.rules.runs import MAX_BATCH, Batch, Message, RunState, next_batch
from tests.support.backend import kinds

STARTED = helpers.new_execution_started_event('wf', 'x')
SCHEDULED = helpers.new_task_scheduled_event(1, 'act')
CHILD = helpers.new_child_workflow_created_event(2, 'wf', 'x:0002')
TIMER = helpers.new_timer_created_event(3, timestamp_pb2.Timestamp(seconds=1))
NOW = 5 * events.MICROS


def batch_of(state: RunState, *waiting: pb.HistoryEvent) -> Batch:
    return next_batch(state, [Message(number, event) for number, event in enumerate(waiting)], NOW)


def test_a_batch_is_a_fresh_turn_start_and_the_inbox_in_its_order() -> None:
    state = RunState([STARTED, SCHEDULED])
    waiting = [helpers.new_event_raised_event('a'), helpers.new_task_completed_event(1), helpers.new_suspend_event()]

    batch = batch_of(state, *waiting)

    assert batch.events == [events.workflow_started(NOW), *waiting]
    assert (batch.events[0].eventId, batch.events[0].timestamp.seconds) == (-1, 5)
    assert ([message.id for message in batch.taken], batch.left) == ([0, 1, 2], [])


def test_the_start_comes_first_and_nothing_comes_before_it() -> None:
    early = helpers.new_event_raised_event('early')
    assert batch_of(RunState(), early).events == []
    assert [message.event for message in batch_of(RunState(), early).left] == [early]

    batch = batch_of(RunState(), early, helpers.new_suspend_event(), STARTED)

    assert kinds(batch.events) == ['workflowStarted', 'executionStarted', 'eventRaised', 'executionSuspended']


def test_what_resolves_something_a_second_time_is_dropped() -> None:
    state = RunState([STARTED, SCHEDULED, CHILD, TIMER])
    failed = helpers.new_task_failed_event(1, ValueError('late'))
    child = helpers.new_child_workflow_completed_event(2)
    fired = helpers.new_timer_fired_event(3, timestamp_pb2.Timestamp(seconds=1))

    batch = batch_of(state, helpers.new_task_completed_event(1), failed, child, child, fired, fired)

    assert kinds(batch.events[1:]) == ['taskCompleted', 'childWorkflowInstanceCompleted', 'timerFired']
    assert len(batch.taken) == 6
    state.add(batch.events)
    assert (state.open, batch_of(state, failed, child, fired).events) == ({}, [])
    assert len(batch_of(state, failed, child, fired).taken) == 3


def test_what_resolves_nothing_that_was_scheduled_is_dropped() -> None:
    state = RunState([STARTED, SCHEDULED])
    batch = batch_of(
        state,
        helpers.new_task_completed_event(2),  # not scheduled (yet)
        helpers.new_timer_fired_event(1, timestamp_pb2.Timestamp()),  # 1 is an activity
        helpers.new_child_workflow_failed_event(1, ValueError()),
    )
    assert batch.events == []


def test_a_second_start_is_dropped() -> None:
    assert kinds(batch_of(RunState(), STARTED, STARTED).events) == ['workflowStarted', 'executionStarted']
    assert batch_of(RunState([STARTED]), STARTED).events == []


def test_a_batch_has_a_thousand_events_at_most() -> None:
    state = RunState([STARTED])
    waiting = [helpers.new_event_raised_event(str(number)) for number in range(MAX_BATCH + 10)]

    batch = batch_of(state, *waiting)

    assert len(batch.events) == MAX_BATCH == 1000
    assert batch.events[-1].eventRaised.name == '998'
    assert [message.event.eventRaised.name for message in batch.left][:2] == ['999', '1000']
    assert len(batch.taken) + len(batch.left) == len(waiting)


def test_a_start_that_comes_behind_a_thousand_events_is_in_the_first_batch() -> None:
    waiting = [helpers.new_event_raised_event('early')] * (MAX_BATCH + 1)
    batch = batch_of(RunState(), *waiting, STARTED)
    assert kinds(batch.events)[:3] == ['workflowStarted', 'executionStarted', 'eventRaised']
    assert len(batch.left) == 3


def test_a_state_that_is_kept_up_is_that_of_all_events_at_once() -> None:
    history = [
        helpers.new_workflow_started_event(),
        STARTED,
        SCHEDULED,
        CHILD,
        TIMER,
        helpers.new_suspend_event(),
        helpers.new_task_completed_event(1),
        helpers.new_resume_event(),
        helpers.new_suspend_event(),
    ]
    history[0].workflowStarted.version.CopyFrom(pb.WorkflowVersion(name='v1', patches=['a']))
    kept_up = RunState()
    for event in history:
        kept_up.add([event])
    at_once = RunState(history)
    for state in (kept_up, at_once):
        assert state.open == {('child', 2): CHILD, ('timer', 3): TIMER}
        assert (state.is_started, state.is_suspended, state.stalled_for) == (True, True, None)
        assert (state.version, state.patches) == ('v1', ['a'])


def test_children_without_a_result_after_further_events() -> None:
    other = helpers.new_child_workflow_created_event(4, 'wf', 'x:0004')
    state = RunState([STARTED, CHILD, SCHEDULED])
    assert state.children_after([other]) == [CHILD, other]
    assert state.children_after([helpers.new_child_workflow_completed_event(2), other]) == [other]
    assert state.open == {('child', 2): CHILD, ('task', 1): SCHEDULED}
