"""What the answer to a turn comes to."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf import wrappers_pb2

from dapr.ext.workflow._durabletask.internal import helpers
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator.errors import Refused
from dapr.ext.workflow.emulator.rules import events
from dapr.ext.workflow.emulator.rules.apply import apply, new_run
from dapr.ext.workflow.emulator.rules.apps import Apps
from dapr.ext.workflow.emulator.rules.outcome import Outcome, Run, Send, StartActivity, StartTimer, StartWorkflow
from dapr.ext.workflow.emulator.rules.runs import RunState
from dapr.ext.workflow.emulator.seam import Key
from tests.support.backend import (
    complete,
    continue_as_new,
    detached,
    kinds,
    schedule,
    send_event,
    start_child,
    terminate,
    timer,
    version_not_available,
)

NOW = 1_000_000 * events.MICROS
ROUTER = pb.TaskRouter(sourceAppID='app')
STARTED = pb.ExecutionStartedEvent(
    name='wf', input=wrappers_pb2.StringValue(value='"in"'), workflowInstance=new_run('x', 'run 1')
)
PARENT = pb.ParentInstanceInfo(taskScheduledId=7, workflowInstance=new_run('parent', 'parent run'), appID='app')


def first_batch(**fields: Any) -> list[pb.HistoryEvent]:
    started = pb.ExecutionStartedEvent(**fields)
    started.MergeFrom(STARTED)
    return [events.workflow_started(NOW), events.execution_started(NOW, started, ROUTER)]


def outcome_of(
    *actions: pb.WorkflowAction,
    history: list[pb.HistoryEvent] | None = None,
    batch: list[pb.HistoryEvent] | None = None,
    propagated: pb.PropagatedHistory | None = None,
    apps: tuple[str, ...] = (),
    parent: pb.ParentInstanceInfo | None = None,
    **fields: Any,
) -> Outcome:
    history = history or []
    started = pb.ExecutionStartedEvent(parentInstance=parent)
    started.MergeFrom(STARTED)
    run = Run(Key(apps[0] if apps else '', 'x'), started, history, RunState(history), propagated, Apps(apps))
    response = pb.WorkflowResponse(instanceId='x', actions=actions, **fields)
    return apply(run, first_batch() if batch is None else batch, response, NOW)


def test_the_batch_is_committed_and_one_event_for_each_action_in_their_order() -> None:
    outcome = outcome_of(
        schedule(1), timer(2, 2e6), start_child(3), send_event(4, 'y', 'go'), detached(5, 'z'), complete(6)
    )
    assert outcome.events[:2] == first_batch()
    assert kinds(outcome.events[2:]) == [
        *('taskScheduled', 'timerCreated', 'childWorkflowInstanceCreated', 'eventSent'),
        *('detachedWorkflowInstanceCreated', 'executionCompleted'),
    ]
    assert [event.eventId for event in outcome.events[2:]] == [1, 2, 3, 4, 5, 6]
    assert all(event.router == ROUTER for event in outcome.events[2:])
    assert all(event.timestamp == events.timestamp(NOW) for event in outcome.events[2:])
    assert outcome.status == pb.ORCHESTRATION_STATUS_COMPLETED
    assert outcome.completed is outcome.events[-1]


def test_an_activity_has_what_the_action_says() -> None:
    action = schedule(1, 'pay', version=wrappers_pb2.StringValue(value='v2'))
    outcome = outcome_of(action)
    (effect,) = outcome.effects
    assert isinstance(effect, StartActivity)
    assert effect.request == pb.ActivityRequest(
        name='pay',
        version=action.scheduleTask.version,
        input=action.scheduleTask.input,
        workflowInstance=pb.WorkflowInstance(instanceId='x'),
        taskId=1,
        taskExecutionId='task-1',
    )
    scheduled = outcome.events[-1].taskScheduled
    assert (scheduled.name, scheduled.version.value, scheduled.input.value) == ('pay', 'v2', '"1"')
    assert scheduled.taskExecutionId == 'task-1'


def test_a_timer_fires_at_its_time_unless_that_is_never() -> None:
    never = pb.WorkflowAction(id=2)
    never.createTimer.fireAt.CopyFrom(helpers.OPTIONAL_TIMER_FIRE_AT)
    never.createTimer.externalEvent.name = 'go'
    outcome = outcome_of(timer(1, 1_000_005.5), never)
    (effect,) = outcome.effects
    assert isinstance(effect, StartTimer)
    assert effect.due_at == 1_000_005_500_000
    assert effect.event.timerFired.timerId == 1
    assert effect.event.timerFired.fireAt == outcome.events[-2].timerCreated.fireAt
    assert outcome.events[-1].timerCreated.externalEvent.name == 'go'


def test_a_childs_id_is_made_from_its_parents_when_it_is_given_none() -> None:
    outcome = outcome_of(start_child(31), start_child(2, 'own'))
    assert [event.childWorkflowInstanceCreated.instanceId for event in outcome.events[2:]] == ['x:001f', 'own']
    effect = outcome.effects[0]
    assert isinstance(effect, StartWorkflow)
    assert (effect.key, effect.child_of) == (Key('', 'x:001f'), 31)
    started = effect.event.executionStarted
    assert (started.name, started.input.value) == ('child', '"31"')
    assert started.workflowInstance.executionId.value not in ('', 'run 1')
    assert started.parentInstance == pb.ParentInstanceInfo(
        taskScheduledId=31,
        name=wrappers_pb2.StringValue(value='wf'),
        workflowInstance=STARTED.workflowInstance,
        appID='app',
    )


def test_a_detached_workflow_has_no_parent_and_needs_an_id() -> None:
    action = detached(1, 'z', executionId=wrappers_pb2.StringValue(value='given'), tags={'a': 'b'})
    (effect,) = outcome_of(action).effects
    assert isinstance(effect, StartWorkflow)
    assert (effect.key, effect.child_of) == (Key('', 'z'), None)
    started = effect.event.executionStarted
    assert not started.HasField('parentInstance')
    assert (started.workflowInstance.executionId.value, dict(started.tags)) == ('given', {'a': 'b'})
    with pytest.raises(Refused, match='action 1 of x creates a detached workflow without an instance id') as refused:
        outcome_of(detached(1, ''))
    assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT


def test_an_event_that_is_sent_arrives_as_one_that_was_raised() -> None:
    outcome = outcome_of(send_event(1, 'y', 'go', '1'))
    sent = outcome.events[-1].eventSent
    assert (sent.instanceId, sent.name, sent.input.value) == ('y', 'go', '1')
    (effect,) = outcome.effects
    assert isinstance(effect, Send)
    assert (effect.key, effect.execution_id) == (Key('', 'y'), None)
    assert (effect.event.eventRaised.name, effect.event.eventRaised.input.value) == ('go', '1')


def test_another_workflow_is_terminated_without_an_event_of_ones_own() -> None:
    outcome = outcome_of(terminate(1, 'y', recurse=True))
    assert outcome.events == first_batch()
    (effect,) = outcome.effects
    assert isinstance(effect, Send)
    assert (effect.key, effect.event.executionTerminated.input.value) == (Key('', 'y'), '"told to"')
    assert effect.event.executionTerminated.recurse


@pytest.mark.parametrize('payload', ['', '0', 'null', None])
def test_falsy_payloads_stay_what_they_are(payload: str | None) -> None:
    outcome = outcome_of(send_event(1, 'y', 'go', payload), complete(2, payload), parent=PARENT)
    expected = helpers.get_string_value(payload)
    sent, ended = outcome.events[-2].eventSent, outcome.events[-1].executionCompleted
    assert (sent.HasField('input'), ended.HasField('result')) == (payload is not None, payload is not None)
    if expected is not None:
        assert sent.input == ended.result == expected


@pytest.mark.parametrize(
    'status', [pb.ORCHESTRATION_STATUS_COMPLETED, pb.ORCHESTRATION_STATUS_FAILED, pb.ORCHESTRATION_STATUS_TERMINATED]
)
def test_a_parent_hears_of_its_childs_end(status: pb.OrchestrationStatus.ValueType) -> None:
    details = pb.TaskFailureDetails(errorType='E', errorMessage='m')
    failed = status == pb.ORCHESTRATION_STATUS_FAILED
    outcome = outcome_of(
        schedule(1), complete(2, '1', status, failure_details=details if failed else None), parent=PARENT
    )
    assert outcome.status == status
    scheduled, effect = outcome.effects  # what stands beside a completion applies
    assert isinstance(scheduled, StartActivity)
    assert isinstance(effect, Send)
    assert (effect.key, effect.execution_id) == (Key('', 'parent'), 'parent run')
    assert effect.event.router == pb.TaskRouter(sourceAppID='app', targetAppID='app')
    if status == pb.ORCHESTRATION_STATUS_COMPLETED:
        assert effect.event.childWorkflowInstanceCompleted.taskScheduledId == 7
        assert effect.event.childWorkflowInstanceCompleted.result.value == '1'
    else:
        assert effect.event.childWorkflowInstanceFailed.taskScheduledId == 7
        assert effect.event.childWorkflowInstanceFailed.HasField('failureDetails') == failed


def test_the_first_completion_wins() -> None:
    outcome = outcome_of(complete(1, '"first"'), complete(2, '"second"'), continue_as_new(3), schedule(4))
    assert kinds(outcome.events[2:]) == ['executionCompleted', 'taskScheduled']
    assert outcome.events[2].executionCompleted.result.value == '"first"'
    assert outcome.next_run is None


def test_a_new_run_keeps_name_and_parent_and_begins_with_what_is_carried_over() -> None:
    carried = helpers.new_event_raised_event('go', '0')
    outcome = outcome_of(schedule(1), continue_as_new(2, '"next"', carried), parent=PARENT)
    assert (outcome.events, outcome.effects) == ([], [])
    assert outcome.next_run is not None
    assert kinds(outcome.next_run.batch) == ['workflowStarted', 'executionStarted', 'eventRaised']
    started = outcome.next_run.started.executionStarted
    assert (started.name, started.input.value, started.parentInstance) == ('wf', '"next"', PARENT)
    assert started.workflowInstance.instanceId == 'x'
    assert started.workflowInstance.executionId.value not in ('', 'run 1')
    assert outcome.next_run.batch[2] == carried
    assert [event.router for event in outcome.next_run.batch[:2]] == [ROUTER, ROUTER]


TERMINATED = helpers.new_terminated_event(encoded_output='"stop"')


def test_a_terminate_beats_a_continue_as_new_in_the_same_batch() -> None:
    outcome = outcome_of(continue_as_new(2), batch=[*first_batch(), TERMINATED])
    assert outcome.next_run is None
    assert (outcome.status, kinds(outcome.events)[-1]) == (pb.ORCHESTRATION_STATUS_TERMINATED, 'executionCompleted')


@pytest.mark.parametrize('answer', [(), (schedule(1), start_child(2)), (version_not_available(),)])
def test_a_terminate_that_the_worker_does_not_honour_is_enforced(answer: tuple[pb.WorkflowAction, ...]) -> None:
    outcome = outcome_of(*answer, batch=[*first_batch(), TERMINATED], parent=PARENT)
    ended = outcome.events[-1]
    assert (ended.eventId, ended.executionCompleted.result.value) == (-1, '"stop"')
    assert outcome.status == ended.executionCompleted.workflowStatus == pb.ORCHESTRATION_STATUS_TERMINATED
    (effect,) = outcome.effects  # the parent hears of it; nothing else happens
    assert isinstance(effect, Send)
    assert effect.event.HasField('childWorkflowInstanceFailed')


@pytest.mark.parametrize('recurse', [True, False])
@pytest.mark.parametrize('honoured', [True, False])
def test_a_terminate_goes_on_to_the_children_that_run_when_it_recurses(recurse: bool, honoured: bool) -> None:
    ended, running = (helpers.new_child_workflow_created_event(n, 'wf', f'x:{n}') for n in (1, 2))
    history = [*first_batch(), ended, running, helpers.new_child_workflow_completed_event(1)]
    terminated = pb.HistoryEvent()
    terminated.CopyFrom(TERMINATED)
    terminated.executionTerminated.recurse = recurse
    action = complete(3, '"stop"', pb.ORCHESTRATION_STATUS_TERMINATED)

    outcome = outcome_of(*([action] if honoured else []), history=history, batch=[terminated])

    sent = [effect for effect in outcome.effects if isinstance(effect, Send)]
    assert [effect.key.instance_id for effect in sent] == (['x:2'] if recurse else [])
    for effect in sent:
        assert effect.event.executionTerminated == terminated.executionTerminated


def test_a_version_that_no_worker_has_stalls_the_instance_and_is_noted_once() -> None:
    history = first_batch()
    history[0].workflowStarted.version.name = 'v1'
    stalled = outcome_of(version_not_available(), history=history, batch=[helpers.new_event_raised_event('go')])
    assert (stalled.is_stalled, kinds(stalled.events)) == (True, ['executionStalled'])
    assert stalled.events[0].executionStalled.reason == pb.VERSION_NOT_AVAILABLE
    assert stalled.events[0].executionStalled.description == 'Version not available: v1'

    again = outcome_of(version_not_available(), history=[*history, *stalled.events], batch=[])
    assert (again.is_stalled, again.events) == (True, [])


@pytest.mark.parametrize(
    ('told', 'is_stalled'),
    [(['a', 'b'], False), (['a', 'b', 'c'], False), (['b', 'a'], True), (['a'], True), ([], True), (['c', 'a'], True)],
)
def test_code_without_the_patches_of_the_history_stalls_the_instance(told: list[str], is_stalled: bool) -> None:
    history = [*first_batch(), events.workflow_started(NOW)]
    history[0].workflowStarted.version.patches.append('a')
    history[2].workflowStarted.version.patches.append('b')
    batch = [helpers.new_event_raised_event('go')]
    outcome = outcome_of(complete(1), history=history, batch=batch, version=pb.WorkflowVersion(patches=told))
    assert (outcome.is_stalled, outcome.completed is None) == (is_stalled, is_stalled)
    if is_stalled:
        (note,) = outcome.events
        assert note.executionStalled.reason == pb.PATCH_MISMATCH
        words = f'Patch mismatch. History patches: [a, b], current patches: [{", ".join(told)}]. '
        assert note.executionStalled.description == words


def test_a_stall_is_noted_again_when_its_reason_is_another() -> None:
    history = first_batch()
    history[0].workflowStarted.version.patches.append('a')
    for patch, noted in [('b', 1), ('b', 0), ('c', 1), ('b', 1)]:
        outcome = outcome_of(history=history, batch=[], version=pb.WorkflowVersion(patches=[patch]))
        assert (outcome.is_stalled, len(outcome.events)) == (True, noted)
        history += outcome.events


def test_a_run_that_ends_by_itself_or_by_others_needs_no_patches() -> None:
    history = first_batch()
    history[0].workflowStarted.version.patches.append('a')
    assert outcome_of(continue_as_new(2), history=history, batch=[]).next_run is not None
    assert outcome_of(history=history, batch=[TERMINATED]).status == pb.ORCHESTRATION_STATUS_TERMINATED


def test_what_the_worker_says_of_its_version_is_written_on_the_first_turn_start_of_the_batch() -> None:
    batch = [*first_batch(), events.workflow_started(NOW)]
    version = pb.WorkflowVersion(name='v1', patches=['a'])
    outcome = outcome_of(batch=batch, version=version)
    assert outcome.events[0].workflowStarted.version == version
    assert not outcome.events[2].workflowStarted.HasField('version')
    assert not batch[0].workflowStarted.HasField('version')  # what was sent is not touched


def test_patches_are_written_when_they_are_met_as_daprd_does() -> None:
    first = outcome_of(version=pb.WorkflowVersion(patches=['a']))
    second = outcome_of(history=first.events, batch=first_batch()[:1], version=pb.WorkflowVersion(patches=['a', 'b']))
    assert list(second.events[0].workflowStarted.version.patches) == ['b']
    history = [*first.events, *second.events]
    third = outcome_of(history=history, batch=first_batch()[:1], version=pb.WorkflowVersion(patches=['a', 'b']))
    assert not third.events[0].workflowStarted.HasField('version')


@pytest.mark.parametrize(
    ('batch', 'is_suspended'),
    [
        ([helpers.new_suspend_event()], True),
        ([helpers.new_suspend_event(), helpers.new_resume_event()], False),
        ([helpers.new_resume_event()], False),
    ],
)
def test_the_status_follows_suspensions(batch: list[pb.HistoryEvent], is_suspended: bool) -> None:
    assert outcome_of(batch=batch).status == (
        pb.ORCHESTRATION_STATUS_SUSPENDED if is_suspended else pb.ORCHESTRATION_STATUS_RUNNING
    )
    before = [helpers.new_suspend_event()]
    assert outcome_of(history=before, batch=[]).status == pb.ORCHESTRATION_STATUS_SUSPENDED


@pytest.mark.parametrize(
    ('action', 'words'),
    [
        (pb.WorkflowAction(id=9), 'action 9 of x is of no kind'),
        (complete(9, None, pb.ORCHESTRATION_STATUS_RUNNING), 'not one of an end'),
    ],
)
def test_an_action_that_cannot_be_understood_is_refused(action: pb.WorkflowAction, words: str) -> None:
    with pytest.raises(Refused, match=words) as refused:
        outcome_of(action)
    assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT


def test_actions_for_another_app_go_there_and_say_so() -> None:
    outcome = outcome_of(schedule(1, app='b'), start_child(2, app='b'), apps=('a', 'b'))
    router = pb.TaskRouter(sourceAppID='a', targetAppID='b')
    assert [event.router for event in outcome.events[2:]] == [router, router]
    activity, child = outcome.effects
    assert isinstance(activity, StartActivity)
    assert activity.app_id == 'b'
    assert isinstance(child, StartWorkflow)
    assert (child.key.app_id, child.event.router) == ('b', router)
    assert child.event.executionStarted.parentInstance.appID == 'a'


def test_an_app_that_is_not_known_fails_the_task_for_good_and_names_those_that_are() -> None:
    outcome = outcome_of(schedule(1, app='c'), start_child(2, app='c'), detached(3, 'z'), apps=('a', 'b'))
    activity, child, _ = outcome.effects
    for effect, field in ((activity, 'taskFailed'), (child, 'childWorkflowInstanceFailed')):
        assert isinstance(effect, Send)
        assert (effect.key, effect.execution_id) == (Key('a', 'x'), 'run 1')
        details = getattr(effect.event, field).failureDetails
        assert details.errorMessage == "there is no app 'c': this emulator plays 'a', 'b'"
        assert details.isNonRetriable
    assert kinds(outcome.events[2:4]) == ['taskScheduled', 'childWorkflowInstanceCreated']


def test_without_apps_a_router_is_kept_and_means_nothing() -> None:
    (effect,) = outcome_of(schedule(1, app='c')).effects
    assert isinstance(effect, StartActivity)
    assert effect.app_id == ''


RECEIVED = pb.PropagatedHistory(
    scope=pb.HISTORY_PROPAGATION_SCOPE_LINEAGE,
    chunks=[pb.PropagatedHistoryChunk(appId='app', instanceId='root', workflowName='root', rawEvents=[b''])],
)


@pytest.mark.parametrize(
    ('scope', 'instances'),
    [
        (pb.HISTORY_PROPAGATION_SCOPE_NONE, None),
        (pb.HISTORY_PROPAGATION_SCOPE_OWN_HISTORY, ['x']),
        (pb.HISTORY_PROPAGATION_SCOPE_LINEAGE, ['root', 'x']),
    ],
)
def test_history_is_handed_on_as_far_back_as_was_asked(
    scope: pb.HistoryPropagationScope.ValueType, instances: list[str] | None
) -> None:
    outcome = outcome_of(
        schedule(1, historyPropagationScope=scope),
        start_child(2, historyPropagationScope=scope),
        propagated=RECEIVED,
    )
    activity, child = outcome.effects
    assert isinstance(activity, StartActivity)
    assert isinstance(child, StartWorkflow)
    if instances is None:
        assert not activity.request.HasField('propagatedHistory')
        assert child.propagated is None
        return
    assert child.propagated is not None
    for handed_on, upto in ((activity.request.propagatedHistory, 3), (child.propagated, 4)):
        assert handed_on.scope == scope
        assert [chunk.instanceId for chunk in handed_on.chunks] == instances
        own = handed_on.chunks[-1]
        assert (own.appId, own.workflowName) == ('app', 'wf')
        assert [pb.HistoryEvent.FromString(raw) for raw in own.rawEvents] == outcome.events[:upto]


def test_a_run_that_goes_on_hands_its_history_to_the_next_only_if_it_was_handed_one() -> None:
    assert outcome_of(continue_as_new(1)).next_run.propagated is None  # type: ignore[union-attr]
    next_run = outcome_of(continue_as_new(1), propagated=RECEIVED).next_run
    assert next_run is not None
    assert next_run.propagated is not None
    assert [chunk.instanceId for chunk in next_run.propagated.chunks] == ['root', 'x']
