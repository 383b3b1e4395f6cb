"""The short ways to messages and timers, and what tells async functions: each against the whole message."""

from __future__ import annotations

import functools
import os
import time
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any

import pytest
from google.protobuf import timestamp_pb2, wrappers_pb2

from dapr.ext.workflow._durabletask.internal import helpers, shared, timer
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.propagation import PropagationScope

EPOCH = timestamp_pb2.Timestamp()
MOMENT = datetime(2020, 1, 2, 3, 4, 5, 678901)
MOMENT_ON_THE_WIRE = timestamp_pb2.Timestamp(seconds=1577934245, nanos=678901000)
ROUTER = pb.TaskRouter(sourceAppID='s', targetAppID='t')


def value(text: str) -> wrappers_pb2.StringValue:
    return wrappers_pb2.StringValue(value=text)


def event(event_id: int = -1, **kind: Any) -> pb.HistoryEvent:
    return pb.HistoryEvent(eventId=event_id, timestamp=EPOCH, **kind)


def an_error() -> ValueError:
    try:
        raise ValueError('boom')
    except ValueError as error:
        return error


class TestStrings:
    def test_absent_and_empty_are_not_the_same(self) -> None:
        assert helpers.get_string_value(None) is None
        assert helpers.get_string_value('') == value('')
        assert helpers.get_string_value('x') == value('x')

    def test_is_empty(self) -> None:
        assert helpers.is_empty(None)
        assert helpers.is_empty(value(''))
        assert not helpers.is_empty(value('x'))

    @pytest.mark.parametrize(
        ('status', 'name'),
        [
            (pb.ORCHESTRATION_STATUS_RUNNING, 'RUNNING'),
            (pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW, 'CONTINUED_AS_NEW'),
            (pb.ORCHESTRATION_STATUS_STALLED, 'STALLED'),
            (99, 'UNKNOWN'),
        ],
    )
    def test_status_names(self, status: int, name: str) -> None:
        assert helpers.get_orchestration_status_str(status) == name


class Undecided(tzinfo):
    """A time zone that gives no offset: by Python's rules the datetime is a naive one."""

    def utcoffset(self, dt: datetime | None) -> None: ...
    def dst(self, dt: datetime | None) -> None: ...
    def tzname(self, dt: datetime | None) -> None: ...


class TestTimestamps:
    def test_what_is_no_datetime_is_refused(self) -> None:
        with pytest.raises(TypeError, match='not str'):
            helpers.new_timestamp('2030-01-01')  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        'moment',
        [
            MOMENT,
            MOMENT.replace(tzinfo=timezone.utc),
            (MOMENT + timedelta(hours=2)).replace(tzinfo=timezone(timedelta(hours=2))),
            MOMENT.replace(tzinfo=Undecided()),
        ],
    )
    @pytest.mark.parametrize('zone', ['UTC', 'America/New_York', 'Asia/Kathmandu'])
    def test_without_a_zone_is_utc_wherever_the_host_is(
        self, moment: datetime, zone: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = os.environ.get('TZ')
        monkeypatch.setenv('TZ', zone)
        time.tzset()
        try:
            assert helpers.new_timestamp(moment) == MOMENT_ON_THE_WIRE
            assert timer.naive_utc(moment) == MOMENT
        finally:
            if before is None:
                monkeypatch.delenv('TZ')
            else:
                monkeypatch.setenv('TZ', before)
            time.tzset()

    @pytest.mark.parametrize(
        ('moment', 'seconds', 'nanos'),
        [
            (datetime(1970, 1, 1), 0, 0),
            (datetime(1969, 12, 31, 23, 59, 59, 999999), -1, 999999000),
            (datetime.min, -62135596800, 0),
            (datetime.max, 253402300799, 999999000),
        ],
    )
    def test_all_of_datetimes_range(self, moment: datetime, seconds: int, nanos: int) -> None:
        stamp = helpers.new_timestamp(moment)
        assert (stamp.seconds, stamp.nanos) == (seconds, nanos)
        assert stamp.ToDatetime() == moment


class TestEvents:
    def test_turns_and_runs(self) -> None:
        assert helpers.new_workflow_started_event() == event(workflowStarted=pb.WorkflowStartedEvent())
        assert helpers.new_workflow_started_event(MOMENT) == pb.HistoryEvent(
            eventId=-1, timestamp=MOMENT_ON_THE_WIRE, workflowStarted=pb.WorkflowStartedEvent()
        )
        assert helpers.new_execution_started_event('n', 'i') == event(
            executionStarted=pb.ExecutionStartedEvent(name='n', workflowInstance=pb.WorkflowInstance(instanceId='i'))
        )
        started = helpers.new_execution_started_event('n', 'i', '')
        assert started.executionStarted.HasField('input')
        assert helpers.new_suspend_event() == event(executionSuspended=pb.ExecutionSuspendedEvent())
        assert helpers.new_resume_event() == event(executionResumed=pb.ExecutionResumedEvent())
        assert helpers.new_terminated_event() == event(executionTerminated=pb.ExecutionTerminatedEvent())
        assert helpers.new_terminated_event(encoded_output='0') == event(
            executionTerminated=pb.ExecutionTerminatedEvent(input=value('0'))
        )
        assert helpers.new_event_raised_event('e') == event(eventRaised=pb.EventRaisedEvent(name='e'))
        assert helpers.new_event_raised_event('e', '') == event(
            eventRaised=pb.EventRaisedEvent(name='e', input=value(''))
        )

    def test_activities(self) -> None:
        assert helpers.new_task_scheduled_event(3, 'n', '1') == event(
            3, taskScheduled=pb.TaskScheduledEvent(name='n', input=value('1'))
        )
        assert helpers.new_task_completed_event(3) == event(taskCompleted=pb.TaskCompletedEvent(taskScheduledId=3))
        assert helpers.new_task_completed_event(3, '""') == event(
            taskCompleted=pb.TaskCompletedEvent(taskScheduledId=3, result=value('""'))
        )
        error = an_error()
        assert helpers.new_task_failed_event(3, error) == event(
            taskFailed=pb.TaskFailedEvent(taskScheduledId=3, failureDetails=helpers.new_failure_details(error))
        )

    def test_children(self) -> None:
        assert helpers.new_child_workflow_created_event(3, 'n', 'c', '1') == event(
            3,
            childWorkflowInstanceCreated=pb.ChildWorkflowInstanceCreatedEvent(
                name='n', instanceId='c', input=value('1')
            ),
        )
        assert helpers.new_child_workflow_completed_event(3, '1') == event(
            childWorkflowInstanceCompleted=pb.ChildWorkflowInstanceCompletedEvent(taskScheduledId=3, result=value('1'))
        )
        error = an_error()
        assert helpers.new_child_workflow_failed_event(3, error) == event(
            childWorkflowInstanceFailed=pb.ChildWorkflowInstanceFailedEvent(
                taskScheduledId=3, failureDetails=helpers.new_failure_details(error)
            )
        )

    def test_every_event_has_a_timestamp(self) -> None:
        # Presence, which equality with the epoch does not show.
        for made in (helpers.new_workflow_started_event(), helpers.new_suspend_event(), timer_created(None)):
            assert made.HasField('timestamp')


class TestFailures:
    def test_type_message_and_stack(self) -> None:
        details = helpers.new_failure_details(an_error())
        assert (details.errorType, details.errorMessage) == ('ValueError', 'boom')
        assert "raise ValueError('boom')" in details.stackTrace.value
        assert not details.isNonRetriable

    def test_an_error_that_was_never_raised(self) -> None:
        details = helpers.new_failure_details(KeyError())
        assert (details.errorType, details.errorMessage) == ('KeyError', '')
        assert details.HasField('stackTrace')

    def test_a_message_that_cannot_be_printed(self) -> None:
        class Broken(Exception):
            def __str__(self) -> str:
                raise RuntimeError

        assert 'Broken cannot be printed' in helpers.new_failure_details(Broken()).errorMessage

    def test_a_message_that_is_no_utf8(self) -> None:
        assert helpers.new_failure_details(ValueError('a\ud800b')).errorMessage == 'a?b'


class TestActions:
    def test_activities(self) -> None:
        assert helpers.new_schedule_task_action(1, 'n', None) == pb.WorkflowAction(
            id=1, scheduleTask=pb.ScheduleTaskAction(name='n')
        )
        assert helpers.new_schedule_task_action(
            1, 'n', '0', ROUTER, 'x', PropagationScope.LINEAGE
        ) == pb.WorkflowAction(
            id=1,
            scheduleTask=pb.ScheduleTaskAction(
                name='n',
                input=value('0'),
                taskExecutionId='x',
                historyPropagationScope=pb.HISTORY_PROPAGATION_SCOPE_LINEAGE,
            ),
            router=ROUTER,
        )

    def test_children(self) -> None:
        assert helpers.new_create_child_workflow_action(1, 'n', None, None) == pb.WorkflowAction(
            id=1, createChildWorkflow=pb.CreateChildWorkflowAction(name='n')
        )
        assert helpers.new_create_child_workflow_action(
            1, 'n', 'c', '0', ROUTER, pb.HISTORY_PROPAGATION_SCOPE_OWN_HISTORY
        ) == pb.WorkflowAction(
            id=1,
            createChildWorkflow=pb.CreateChildWorkflowAction(
                name='n',
                instanceId='c',
                input=value('0'),
                historyPropagationScope=pb.HISTORY_PROPAGATION_SCOPE_OWN_HISTORY,
            ),
            router=ROUTER,
        )

    @pytest.mark.parametrize('scope', [PropagationScope.NONE, 0])
    def test_to_propagate_nothing_is_said_where_the_caller_says_it(self, scope: Any) -> None:
        said = helpers.new_schedule_task_action(1, 'n', None, propagation_scope=scope)
        assert said.scheduleTask.HasField('historyPropagationScope')
        unsaid = helpers.new_schedule_task_action(1, 'n', None)
        assert not unsaid.scheduleTask.HasField('historyPropagationScope')

    def test_completion(self) -> None:
        assert helpers.new_complete_workflow_action(4, pb.ORCHESTRATION_STATUS_COMPLETED) == pb.WorkflowAction(
            id=4, completeWorkflow=pb.CompleteWorkflowAction(workflowStatus=pb.ORCHESTRATION_STATUS_COMPLETED)
        )
        failure = pb.TaskFailureDetails(errorType='T')
        carried = [helpers.new_event_raised_event('e')]
        assert helpers.new_complete_workflow_action(
            4, pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW, '', failure, carried, ROUTER
        ) == pb.WorkflowAction(
            id=4,
            completeWorkflow=pb.CompleteWorkflowAction(
                workflowStatus=pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW,
                result=value(''),
                failureDetails=failure,
                carryoverEvents=carried,
            ),
            router=ROUTER,
        )

    def test_version_not_available(self) -> None:
        assert helpers.new_workflow_version_not_available_action(5) == pb.WorkflowAction(
            id=5, workflowVersionNotAvailable=pb.WorkflowVersionNotAvailableAction()
        )


ORIGINS: list[tuple[str, Any]] = [
    ('createTimer', pb.TimerOriginCreateTimer()),
    ('externalEvent', pb.TimerOriginExternalEvent(name='e')),
    ('activityRetry', pb.TimerOriginActivityRetry(taskExecutionId='x')),
    ('childWorkflowRetry', pb.TimerOriginChildWorkflowRetry(instanceId='c')),
]
NEVER = timestamp_pb2.Timestamp(seconds=253402300799, nanos=999999999)


def timer_created(origin: Any, fire_at: Any = NEVER) -> pb.HistoryEvent:
    return helpers.new_timer_created_event(1, fire_at, origin)


def timer_action(origin: Any, fire_at: Any = NEVER) -> pb.WorkflowAction:
    return helpers.new_create_timer_action(1, fire_at, origin)


class TestTimers:
    def test_they_are_helpers_too(self) -> None:
        for name in (
            'OPTIONAL_TIMER_FIRE_AT',
            'is_optional_timer_action',
            'is_optional_timer_event',
            'new_create_timer_action',
            'new_timer_created_event',
            'new_timer_fired_event',
        ):
            assert getattr(helpers, name) is getattr(timer, name)

    @pytest.mark.parametrize(('field', 'origin'), [(None, None), *ORIGINS])
    def test_actions_and_events_carry_the_origin(self, field: str | None, origin: Any) -> None:
        fields: dict[str, Any] = {} if field is None else {field: origin}
        assert timer_action(origin, MOMENT) == pb.WorkflowAction(
            id=1, createTimer=pb.CreateTimerAction(fireAt=MOMENT_ON_THE_WIRE, **fields)
        )
        assert timer_created(origin, MOMENT) == event(
            1, timerCreated=pb.TimerCreatedEvent(fireAt=MOMENT_ON_THE_WIRE, **fields)
        )
        assert timer_action(origin, MOMENT).createTimer.WhichOneof('origin') == field

    def test_fired(self) -> None:
        fired = pb.TimerFiredEvent(fireAt=MOMENT_ON_THE_WIRE, timerId=7)
        for moment in (MOMENT, MOMENT_ON_THE_WIRE):
            assert helpers.new_timer_fired_event(7, moment) == event(timerFired=fired)

    def test_an_origin_of_another_kind_is_refused(self) -> None:
        with pytest.raises(TypeError, match=r'TimerOriginExternalEvent.*got str'):
            timer_action('externalEvent')

    def test_the_moment_that_never_comes(self) -> None:
        assert helpers.OPTIONAL_TIMER_FIRE_AT.ToJsonString() == '9999-12-31T23:59:59.999999999Z'

    @pytest.mark.parametrize(('field', 'origin'), [(None, None), *ORIGINS])
    def test_optional_by_origin(self, field: str | None, origin: Any) -> None:
        expected = field in (None, 'externalEvent')
        assert helpers.is_optional_timer_action(timer_action(origin)) is expected
        assert helpers.is_optional_timer_event(timer_created(origin)) is expected

    @pytest.mark.parametrize(
        'fire_at',
        [
            datetime.max,
            MOMENT,
            timestamp_pb2.Timestamp(seconds=NEVER.seconds, nanos=NEVER.nanos - 1),
            timestamp_pb2.Timestamp(seconds=NEVER.seconds - 1, nanos=NEVER.nanos),
        ],
    )
    @pytest.mark.parametrize('origin', [None, pb.TimerOriginExternalEvent(name='e')])
    def test_optional_by_moment_to_the_nanosecond(self, fire_at: Any, origin: Any) -> None:
        assert not helpers.is_optional_timer_action(timer_action(origin, fire_at))
        assert not helpers.is_optional_timer_event(timer_created(origin, fire_at))

    def test_other_kinds_are_not(self) -> None:
        assert not helpers.is_optional_timer_event(helpers.new_timer_fired_event(1, NEVER))
        assert not helpers.is_optional_timer_event(pb.HistoryEvent())
        assert not helpers.is_optional_timer_action(helpers.new_schedule_task_action(1, 'n', None))


async def asynchronous(ctx: Any, x: Any) -> None: ...


def blocking(ctx: Any, x: Any) -> None: ...


class Async:
    async def __call__(self, ctx: Any, x: Any) -> None: ...

    async def method(self, ctx: Any, x: Any) -> None: ...


class Blocking:
    def __call__(self, ctx: Any, x: Any) -> None: ...


@functools.wraps(asynchronous)
def wrapped(*args: Any) -> Any:
    return asynchronous(*args)


@pytest.mark.parametrize(
    ('fn', 'expected'),
    [
        (asynchronous, True),
        (Async(), True),
        (Async().method, True),
        (functools.partial(asynchronous), True),
        (functools.partial(Async()), True),
        (wrapped, False),
        (blocking, False),
        (Blocking(), False),
        (functools.partial(blocking), False),
        (Async, False),
        (len, False),
        (None, False),
        (5, False),
    ],
)
def test_what_gives_something_to_await(fn: Any, expected: bool) -> None:
    assert shared.is_async_callable(fn) is expected
