"""Histories, read as what happened: recorded ones, and such as are made by hand."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from google.protobuf import json_format

from dapr.ext.workflow._durabletask.internal import helpers
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.metadata import sealed
from dapr.ext.workflow.inspection.story import Step, StepKind, StepStatus, Story, read
from tests.support.transcripts import FOLDER

RECORDED = FOLDER / 'daprd-2026-08'
BEGUN = datetime(2026, 1, 1)


def recorded(name: str) -> Story:
    """The story of the committed history at the end of a recording."""
    lines = [json.loads(line) for line in (RECORDED / f'{name}.jsonl').read_text().splitlines()]
    history = next(line['committedHistory'] for line in reversed(lines) if 'committedHistory' in line)
    return read(json_format.ParseDict(history, pb.GetInstanceHistoryResponse()).events)


def event(event_id: int, at: float, **body: Any) -> pb.HistoryEvent:
    made = pb.HistoryEvent(eventId=event_id, **body)
    made.timestamp.FromDatetime(BEGUN + timedelta(seconds=at))
    return made


def started(name: str = 'order') -> pb.HistoryEvent:
    return event(-1, 0, executionStarted=pb.ExecutionStartedEvent(name=name))


def wait(event_id: int, name: str, seconds: float | None = None) -> pb.HistoryEvent:
    created = pb.TimerCreatedEvent(externalEvent=pb.TimerOriginExternalEvent(name=name))
    if seconds is None:
        created.fireAt.FromJsonString('9999-12-31T23:59:59.999999999Z')
    else:
        created.fireAt.FromDatetime(BEGUN + timedelta(seconds=seconds))
    return event(event_id, 1, timerCreated=created)


def outline(story: Story) -> list[tuple[StepKind, str, StepStatus]]:
    return [(step.kind, step.name, step.status) for step in story.steps]


def test_a_chain_is_its_activities_in_order() -> None:
    story = recorded('chain')

    assert story.name == 'chain'
    assert story.result is not None
    assert json.loads(story.result) == [json.loads(step.result or '') for step in story.steps]
    assert {(step.kind, step.name, step.status) for step in story.steps} == {
        (StepKind.ACTIVITY, 'echo', StepStatus.COMPLETED)
    }
    assert story.waits_for == []
    assert story.ended is not None
    assert story.turns == len(story.steps) + 1
    assert story.length == f'{story.events} events, {story.turns} turns'
    assert read([event(-1, 1, workflowStarted=pb.WorkflowStartedEvent())]).length == '1 event, 1 turn'


def test_an_input_and_its_metadata_are_told_apart() -> None:
    tenant = {'tenant': 'acme'}
    begin = started()
    begin.executionStarted.input.value = sealed('1', tenant)
    call = event(1, 1, taskScheduled=pb.TaskScheduledEvent(name='charge'))
    call.taskScheduled.input.value = sealed('"tea"', tenant)
    plain = event(2, 1, taskScheduled=pb.TaskScheduledEvent(name='charge'))
    plain.taskScheduled.input.value = '"tea"'

    story = read([begin, call, plain])

    assert (story.input, story.metadata) == ('1', tenant)
    assert [(step.input, step.metadata) for step in story.steps] == [('"tea"', tenant), ('"tea"', {})]


def test_the_attempts_of_a_call_are_one_step() -> None:
    (step,) = recorded('activity-retry').steps

    assert (step.name, step.status, step.result) == ('flaky', StepStatus.COMPLETED, '"at last"')
    assert [attempt.event_id for attempt in step.attempts] == [1, 3, 5]
    assert [a.failure.message if a.failure else None for a in step.attempts] == ['attempt 1', 'attempt 2', None]
    assert all(a.ended is not None and a.ended >= a.started for a in step.attempts)


def test_a_wait_that_ran_out_of_time_says_so() -> None:
    (step,) = recorded('event-timeout').steps

    assert (step.kind, step.name, step.status) == (StepKind.WAIT, 'Approval', StepStatus.TIMED_OUT)
    assert step.ended is not None
    assert step.due is not None
    assert step.ended >= step.due


def test_what_lost_a_race_is_abandoned_at_the_end() -> None:
    assert outline(recorded('when-any')) == [
        (StepKind.TIMER, '', StepStatus.ABANDONED),
        (StepKind.ACTIVITY, 'echo', StepStatus.COMPLETED),
    ]


def test_a_child_that_failed_tells_why_and_where_it_is() -> None:
    (child,) = recorded('child-failure').children

    assert (child.instance_id, child.status) == ('parent-failing:0001', StepStatus.FAILED)
    assert child.failure is not None
    assert child.failure.error_type == 'RuntimeError'


def test_pauses_have_their_beginning_and_end() -> None:
    story = recorded('suspend-resume')

    ((begun, ended),) = story.pauses
    assert ended is not None
    assert ended > begun
    assert outline(story) == [
        (StepKind.WAIT, 'go', StepStatus.COMPLETED),
        (StepKind.EVENT, 'go', StepStatus.COMPLETED),
    ]


def test_the_oldest_wait_for_a_name_gets_the_event_whatever_its_case() -> None:
    raised = event(-1, 5, eventRaised=pb.EventRaisedEvent(name='GO', input=helpers.get_string_value('1')))
    story = read([started(), wait(1, 'go'), wait(2, 'Go'), raised])

    assert [step.status for step in story.steps] == [StepStatus.COMPLETED, StepStatus.OPEN]
    assert story.steps[0].result == '1'
    assert [step.describe() for step in story.waits_for] == ["event 'Go'"]


def test_what_is_waited_for_is_told() -> None:
    retry = pb.TimerCreatedEvent(activityRetry=pb.TimerOriginActivityRetry(taskExecutionId='t'))
    retry.fireAt.FromDatetime(BEGUN + timedelta(seconds=90))
    failed = pb.TaskFailedEvent(
        taskScheduledId=1, failureDetails=pb.TaskFailureDetails(errorType='ValueError', errorMessage='no')
    )
    child = pb.ChildWorkflowInstanceCreatedEvent(instanceId='order:0004', name='ship')
    story = read(
        [
            started(),
            event(1, 1, taskScheduled=pb.TaskScheduledEvent(name='charge', taskExecutionId='t')),
            wait(2, 'approval', 60),
            event(-1, 2, taskFailed=failed),
            event(3, 2, timerCreated=retry),
            event(4, 2, childWorkflowInstanceCreated=child),
        ]
    )

    assert [step.describe() for step in story.waits_for] == [
        "activity 'charge': attempt 2 after ValueError at 2026-01-01 00:01:30Z",
        "event 'approval', until 2026-01-01 00:01:00Z",
        "child workflow 'ship' order:0004",
    ]


def test_a_stall_is_told_until_the_next_turn() -> None:
    stalled = pb.ExecutionStalledEvent(reason=pb.VERSION_NOT_AVAILABLE, description='no v2')
    events = [started(), event(-1, 1, executionStalled=stalled)]

    assert read(events).stall == 'VERSION_NOT_AVAILABLE: no v2'
    assert read([*events, event(-1, 2, workflowStarted=pb.WorkflowStartedEvent())]).stall is None


def test_events_of_unknown_kinds_are_counted_and_no_more() -> None:
    assert read([started(), pb.HistoryEvent(eventId=9)]).events == 2


@pytest.mark.parametrize('path', sorted(FOLDER.glob('*/*.jsonl')), ids=lambda path: f'{path.parent.name}/{path.stem}')
def test_every_recorded_history_can_be_read(path: Any) -> None:
    for line in path.read_text().splitlines():
        data = json.loads(line)
        if 'committedHistory' in data:
            events = json_format.ParseDict(data['committedHistory'], pb.GetInstanceHistoryResponse()).events
            story = read(events)
            assert story.events == len(events)
            assert all(
                isinstance(step, Step) and (step.ended is None or step.ended >= step.started) for step in story.steps
            )
