"""What replayers are given, and what histories there are: of all kinds of workflows, states and sidecars."""

from __future__ import annotations

import asyncio
import pickle
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dapr.ext.workflow import DaprWorkflowContext, RetryPolicy, WorkflowRuntime
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.testing import Replayer, ReplayFailure, WorkflowHistory, WorkflowReplayError
from tests.support import scenarios, transcripts
from tests.support.engine import (
    INSTANCE_ID,
    START,
    Event,
    event_raised,
    execution_started,
    resumed,
    suspended,
    task_completed,
    task_scheduled,
    terminated,
    timer_created,
    timer_fired,
    workflow_started,
)
from tests.support.replay_steps import KINDS, NAME, STEPS

HISTORY = WorkflowHistory.from_file(Path(__file__).parent / 'order-17.json')


def ended(
    action_id: int, status: pb.OrchestrationStatus.ValueType = pb.ORCHESTRATION_STATUS_COMPLETED, error_type: str = ''
) -> Event:
    event = Event(eventId=action_id, executionCompleted=pb.ExecutionCompletedEvent(workflowStatus=status))
    if error_type:
        event.executionCompleted.failureDetails.errorType = error_type
    return event


def failure_of(workflow: Any, *events: Event) -> ReplayFailure | None:
    history = WorkflowHistory([workflow_started(), execution_started('w'), *events])
    return Replayer({'w': workflow}).replay_workflow(history, raise_on_replay_failure=False).replay_failure


def two_calls(ctx: DaprWorkflowContext) -> Any:
    yield ctx.call_activity('a')
    yield ctx.call_activity('b')


@pytest.mark.parametrize('path', transcripts.FILES, ids=transcripts.name_of)
def test_what_sidecars_kept_is_replayed_whole_and_cut_anywhere(path: Path) -> None:
    # The scenarios are the engine's own workflows, without what the public API puts around them.
    replayer = Replayer()
    for workflow in scenarios.WORKFLOWS:
        replayer._registry.add_orchestrator(workflow)
    for turn in transcripts.turns(path):
        events = [*turn.committed, *turn.request.newEvents]
        for length in range(1, len(events) + 1):
            if any(event.HasField('executionStarted') for event in events[:length]):
                replayer.replay_workflow(WorkflowHistory(events[:length]))


def test_a_suspended_instance_is_held_against_its_history_once_it_goes_on() -> None:
    waiting = [task_scheduled(1, 'a'), workflow_started(), suspended(), workflow_started(), task_completed(1)]
    assert failure_of(two_calls, *waiting) is None
    assert failure_of(two_calls, *waiting, workflow_started(), resumed(), task_scheduled(2, 'b')) is None

    failure = failure_of(two_calls, *waiting, workflow_started(), resumed(), task_scheduled(2, 'c'))
    assert failure is not None
    assert (failure.event_index, failure.recorded, failure.replayed) == (9, "activity 'c'", "activity 'b'")

    failure = failure_of(two_calls, *waiting, workflow_started(), resumed(), workflow_started(), event_raised('x'))
    assert failure is not None
    assert (failure.action_id, failure.replayed) == (2, "activity 'b'")


def test_what_an_older_worker_asked_for_while_it_was_suspended_is_met_where_it_was_held_back() -> None:
    # dapr 1.19.0 sends its actions while it is suspended, and in each such turn again.
    failure = failure_of(
        two_calls,
        *(task_scheduled(1, 'a'), workflow_started(), task_completed(1), suspended(), task_scheduled(2, 'c')),
        *(workflow_started(), resumed()),
    )
    assert failure is not None
    assert (failure.event_index, failure.replayed) == (6, "activity 'b'")


def test_a_terminated_instance_ends_whatever_the_code_does() -> None:
    end = [workflow_started(), terminated('"why"'), ended(2, pb.ORCHESTRATION_STATUS_TERMINATED)]
    assert failure_of(two_calls, task_scheduled(1, 'a'), *end) is None


def test_a_stalled_turn_has_none_of_the_calls() -> None:
    stalled = Event(executionStalled=pb.ExecutionStalledEvent(reason=pb.PATCH_MISMATCH))
    events = [task_scheduled(1, 'a'), workflow_started(), task_completed(1), stalled, workflow_started()]
    assert failure_of(two_calls, *events, task_scheduled(2, 'b')) is None


def test_an_older_history_lacks_the_timers_of_waits_without_a_limit() -> None:
    def waits(ctx: DaprWorkflowContext) -> Any:
        yield ctx.wait_for_external_event('go')
        yield ctx.call_activity('a')
        yield ctx.wait_for_external_event('on')

    older = [workflow_started(), event_raised('go'), task_scheduled(1, 'a')]
    assert failure_of(waits, *older) is None
    newer = [timer_created(1, externalEvent=pb.TimerOriginExternalEvent(name='go'))]
    assert failure_of(waits, *newer, workflow_started(), event_raised('go'), task_scheduled(2, 'a')) is None
    # Once the history has such timers, a wait without one is a wait that was added.
    failure = failure_of(
        waits,
        *(*newer, workflow_started(), event_raised('go'), task_scheduled(2, 'a')),
        *(workflow_started(), task_completed(2), workflow_started(), event_raised('x')),
    )
    assert failure is not None
    assert failure.replayed == "a wait for the external event 'on'"


def test_a_run_that_ends_although_the_history_goes_on() -> None:
    def ends(ctx: DaprWorkflowContext) -> Any:
        yield ctx.wait_for_external_event('go')
        return 5

    failure = failure_of(ends, workflow_started(), event_raised('go'), workflow_started(), event_raised('more'))
    assert failure is not None
    assert failure.recorded == "the external event 'more': the workflow goes on"
    assert failure.replayed == 'the workflow completed with 5'


def test_a_failure_of_the_same_type_is_the_same_end() -> None:
    def fails(ctx: DaprWorkflowContext) -> Any:
        raise ValueError('today')

    failed = pb.ORCHESTRATION_STATUS_FAILED
    assert failure_of(fails, ended(1, failed, 'ValueError')) is None
    assert failure_of(fails, ended(1, failed, 'builtins.ValueError')) is None
    failure = failure_of(fails, ended(1, failed, 'KeyError'))
    assert failure is not None
    assert failure.replayed == 'the workflow failed with ValueError: today'
    assert isinstance(failure.error, ValueError)


def detached(action_id: int, instance_id: str) -> Event:
    created = pb.DetachedWorkflowInstanceCreatedEvent(instanceId=instance_id)
    return Event(eventId=action_id, detachedWorkflowInstanceCreated=created)


def sent(action_id: int, instance_id: str, name: str) -> Event:
    return Event(eventId=action_id, eventSent=pb.EventSentEvent(instanceId=instance_id, name=name))


def tells(ctx: DaprWorkflowContext) -> Any:
    ctx.schedule_new_workflow('audit', instance_id='audit-1', input=5)
    ctx.send_event('desk', 'news', 'all is well')
    yield ctx.call_activity('a')


def test_workflows_that_are_started_apart_and_events_that_are_sent() -> None:
    started = 'the start of a workflow apart as instance'
    assert failure_of(tells, detached(1, 'audit-1'), sent(2, 'desk', 'news'), task_scheduled(3, 'a')) is None
    for events, recorded, replayed in (
        (
            [detached(1, 'audit-2')],
            f"{started} 'audit-2'",
            "the start of workflow 'audit' apart as instance 'audit-1' with input 5",
        ),
        (
            [detached(1, 'audit-1'), sent(2, 'desk', 'olds')],
            "the sending of event 'olds' to instance 'desk'",
            "the sending of event 'news' to instance 'desk' with input \"all is well\"",
        ),
        (
            [sent(1, 'desk', 'news')],
            "the sending of event 'news' to instance 'desk'",
            "the start of workflow 'audit' apart as instance 'audit-1' with input 5",
        ),
        (
            [detached(1, 'audit-1'), detached(2, 'x')],
            f"{started} 'x'",
            "the sending of event 'news' to instance 'desk'",
        ),
    ):
        failure = failure_of(tells, *events)
        assert failure is not None
        assert failure.recorded == recorded
        assert failure.replayed.startswith(replayed)
        assert failure.source is not None


def test_a_message_that_is_added_before_the_end_is_found() -> None:
    def farewell(ctx: DaprWorkflowContext) -> Any:
        yield ctx.call_activity('a')
        ctx.send_event('desk', 'bye')

    before = [task_scheduled(1, 'a'), workflow_started(), task_completed(1)]
    assert failure_of(farewell, *before, sent(2, 'desk', 'bye'), ended(3)) is None
    failure = failure_of(farewell, *before, ended(2))
    assert failure is not None
    assert failure.replayed == "the sending of event 'bye' to instance 'desk'"


def test_messages_take_one_more_turn_before_a_workflow_goes_on_as_new() -> None:
    def again(ctx: DaprWorkflowContext) -> Any:
        ctx.send_event('desk', 'news')
        ctx.continue_as_new(1)
        yield

    at = timer_created(2, START, createTimer=pb.TimerOriginCreateTimer())
    assert failure_of(again, sent(1, 'desk', 'news'), at, workflow_started(), timer_fired(2)) is None


def test_a_call_with_a_limit_in_time_has_its_timer() -> None:
    def limited(ctx: DaprWorkflowContext) -> Any:
        policy = RetryPolicy(first_retry_interval=timedelta(1), max_number_of_attempts=2)
        yield ctx.call_activity('a', timeout=5, retry_policy=policy)

    at = timer_created(2, START, createTimer=pb.TimerOriginCreateTimer())
    assert failure_of(limited, task_scheduled(1, 'a'), at) is None
    failure = failure_of(limited, task_scheduled(1, 'a'), task_scheduled(2, 'b'))
    assert failure is not None
    assert failure.replayed == 'a timer until 2024-02-03 04:05:11 UTC'
    assert failure.source is not None


def test_versions_run_as_the_history_says() -> None:
    def other(ctx: DaprWorkflowContext) -> Any:
        yield ctx.call_activity('b')

    replayer = Replayer()
    replayer.register_versioned_workflow(two_calls, name='w', version_name='v1', is_latest=False)
    replayer.register_versioned_workflow(other, name='w', version_name='v2', is_latest=True)

    def history(version: str, first: str) -> WorkflowHistory:
        return WorkflowHistory([workflow_started(version=version), execution_started('w'), task_scheduled(1, first)])

    replayer.replay_workflow(history('v1', 'a'))
    replayer.replay_workflow(history('v2', 'b'))
    with pytest.raises(WorkflowReplayError, match=r"history: activity 'b'\n  code:    activity 'a'"):
        replayer.replay_workflow(history('v1', 'b'))
    with pytest.raises(
        WorkflowReplayError, match=r"in the version 'v3'\n  code:    has other versions of it: 'v1', 'v2'"
    ):
        replayer.replay_workflow(history('v3', 'a'))


def test_a_workflow_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(WorkflowReplayError, match=r"the workflow 'order'\n  code:    has none: .*'orders'"):
        Replayer({'orders': two_calls}).replay_workflow(HISTORY)


def test_what_the_caller_sent_along_is_there() -> None:
    def reads(ctx: DaprWorkflowContext) -> Any:
        propagated = ctx.get_propagated_history()
        yield ctx.call_activity('none' if propagated is None else propagated.get_workflows()[0].name)

    chunk = pb.PropagatedHistoryChunk(appId='app', instanceId='p', workflowName='parent')
    propagated = pb.PropagatedHistory(scope=pb.HISTORY_PROPAGATION_SCOPE_OWN_HISTORY, chunks=[chunk])
    events = [workflow_started(), execution_started('w'), task_scheduled(1, 'parent')]
    replayer = Replayer({'w': reads})

    replayer.replay_workflow(WorkflowHistory(events, propagated_history=propagated))
    with pytest.raises(WorkflowReplayError, match="activity 'none'"):
        replayer.replay_workflow(WorkflowHistory(events))


def test_the_workflows_of_a_runtime_are_taken() -> None:
    runtime = WorkflowRuntime('localhost', 1)
    runtime.register_workflow(KINDS['generator'](STEPS), name=NAME)
    runtime.register_versioned_workflow(two_calls, name='w', version_name='v1', is_latest=True)

    replayer = Replayer([runtime])

    assert replayer.workflow_names == {NAME, 'w'}
    replayer.replay_workflow(HISTORY)


def test_what_is_no_workflow_is_refused() -> None:
    with pytest.raises(TypeError, match='A workflow is a function'):
        Replayer([str])
    with pytest.raises(ValueError, match='already exists'):
        Replayer([two_calls, two_calls])


@pytest.mark.parametrize('kind', KINDS)
def test_it_works_in_a_running_event_loop_and_leaves_no_thread(kind: str) -> None:
    replayer = Replayer({NAME: KINDS[kind](STEPS)})

    async def replay() -> None:
        before, loop = threading.active_count(), asyncio.get_running_loop()
        replayer.replay_workflow(HISTORY)
        assert asyncio.get_running_loop() is loop
        assert threading.active_count() == before
        await asyncio.sleep(0)

    asyncio.run(replay())


def test_errors_can_be_pickled() -> None:
    with pytest.raises(WorkflowReplayError) as raised:
        Replayer({'w': two_calls}).replay_workflow(
            WorkflowHistory([workflow_started(), execution_started('w'), task_scheduled(1, 'z')])
        )
    again = pickle.loads(pickle.dumps(raised.value))
    assert str(again) == str(raised.value)
    assert again.failures[0].instance_id == INSTANCE_ID
