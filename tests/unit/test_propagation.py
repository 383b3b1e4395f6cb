"""Reading the history that was propagated to an activity or a workflow."""

from __future__ import annotations

import pytest

from dapr.ext.workflow import propagation as public
from dapr.ext.workflow._durabletask import propagation
from dapr.ext.workflow._durabletask.internal import helpers
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.propagation import (
    ActivityResult,
    ChildWorkflowResult,
    PropagatedHistory,
    PropagationNotFoundError,
    PropagationScope,
    WorkflowResult,
)

BAD = ValueError('bad')
ORDER = [
    helpers.new_execution_started_event('order', 'i1', '1'),
    helpers.new_task_scheduled_event(1, 'pay', '"card"'),
    helpers.new_task_scheduled_event(2, 'pay', '"cash"'),
    helpers.new_task_failed_event(2, BAD),
    helpers.new_task_completed_event(1, '"paid"'),
    helpers.new_task_scheduled_event(3, 'wait'),
    helpers.new_task_scheduled_event(4, 'quiet'),
    helpers.new_task_completed_event(4),
    helpers.new_child_workflow_created_event(5, 'ship', 'i1:0005', '5'),
    helpers.new_child_workflow_created_event(6, 'ship', 'i1:0006'),
    helpers.new_child_workflow_created_event(7, 'track', 'i1:0007'),
    helpers.new_child_workflow_failed_event(6, BAD),
    helpers.new_child_workflow_completed_event(5, '"shipped"'),
]
AGAIN = [helpers.new_execution_started_event('order', 'i2')]


def chunk(app_id: str, instance_id: str, name: str, events: list[pb.HistoryEvent]) -> pb.PropagatedHistoryChunk:
    return pb.PropagatedHistoryChunk(
        appId=app_id,
        instanceId=instance_id,
        workflowName=name,
        rawEvents=[event.SerializeToString() for event in events],
    )


@pytest.fixture
def history() -> PropagatedHistory:
    read = PropagatedHistory.from_proto(
        pb.PropagatedHistory(
            scope=pb.HISTORY_PROPAGATION_SCOPE_LINEAGE,
            chunks=[
                chunk('app1', 'i1', 'order', ORDER),
                chunk('app2', 'i2', 'order', AGAIN),
                chunk('app1', 'i3', 'idle', []),
            ],
        )
    )
    assert read is not None
    return read


class TestHistory:
    def test_events_scope_and_apps(self, history: PropagatedHistory) -> None:
        assert history.events == ORDER + AGAIN
        assert history.scope is PropagationScope.LINEAGE
        assert history.get_app_ids() == ['app1', 'app2']

    def test_events_by_what_they_belong_to(self, history: PropagatedHistory) -> None:
        assert history.get_events_by_app_id('app1') == ORDER
        assert history.get_events_by_app_id('app2') == AGAIN
        assert history.get_events_by_app_id('none') == []
        assert history.get_events_by_instance_id('i2') == AGAIN
        assert history.get_events_by_instance_id('i3') == []
        assert history.get_events_by_workflow_name('order') == ORDER + AGAIN
        assert history.get_events_by_workflow_name('ORDER') == []

    def test_workflows(self, history: PropagatedHistory) -> None:
        first, second, idle = history.get_workflows()
        assert first == WorkflowResult('i1', 'app1', 'order', ORDER)
        assert second == WorkflowResult('i2', 'app2', 'order', AGAIN)
        assert idle == WorkflowResult('i3', 'app1', 'idle', [])
        assert history.get_workflows_by_name('order') == [first, second]
        assert history.get_last_workflow_by_name('order') == second
        assert history.get_workflows_by_name('none') == []
        with pytest.raises(PropagationNotFoundError, match="no workflow named 'none'"):
            history.get_last_workflow_by_name('none')

    def test_nothing_is_nothing(self) -> None:
        assert PropagatedHistory.from_proto(None) is None
        empty = PropagatedHistory.from_proto(pb.PropagatedHistory())
        assert empty is not None
        assert (empty.events, empty.get_workflows(), empty.scope) == ([], [], PropagationScope.NONE)

    def test_what_cannot_be_read_says_where(self) -> None:
        with pytest.raises(ValueError, match=r'chunk 1 .*empty appId'):
            PropagatedHistory.from_proto(
                pb.PropagatedHistory(chunks=[chunk('a', 'i', 'w', []), chunk('', 'i', 'w', [])])
            )
        broken = pb.PropagatedHistoryChunk(appId='a', rawEvents=[b'', b'\xff\xff'])
        with pytest.raises(ValueError, match=r"chunk 0 \(app 'a'\): failed to decode rawEvent 1"):
            PropagatedHistory.from_proto(pb.PropagatedHistory(chunks=[broken]))
        with pytest.raises(ValueError, match='9'):
            PropagatedHistory.from_proto(pb.PropagatedHistory(scope=9))  # type: ignore[arg-type]


class TestWorkflow:
    @pytest.fixture
    def workflow(self, history: PropagatedHistory) -> WorkflowResult:
        return history.get_workflows()[0]

    def test_activities(self, workflow: WorkflowResult) -> None:
        card = ActivityResult('pay', True, True, False, '"card"', '"paid"', None)
        cash = ActivityResult('pay', True, False, True, '"cash"', None, helpers.new_failure_details(BAD))
        assert workflow.get_activities_by_name('pay') == [card, cash]
        assert workflow.get_last_activity_by_name('pay') == cash
        assert workflow.get_activities_by_name('wait') == [ActivityResult('wait', True, False, False, None, None, None)]
        assert workflow.get_activities_by_name('quiet') == [
            ActivityResult('quiet', True, True, False, None, None, None)
        ]
        assert workflow.get_activities_by_name('') == []
        with pytest.raises(
            PropagationNotFoundError, match="no activity named 'ship' in propagated history for workflow 'order'"
        ):
            workflow.get_last_activity_by_name('ship')

    def test_children(self, workflow: WorkflowResult) -> None:
        shipped = ChildWorkflowResult('ship', True, True, False, '"shipped"', None)
        broken = ChildWorkflowResult('ship', True, False, True, None, helpers.new_failure_details(BAD))
        assert workflow.get_child_workflows_by_name('ship') == [shipped, broken]
        assert workflow.get_last_child_workflow_by_name('ship') == broken
        assert workflow.get_last_child_workflow_by_name('track') == ChildWorkflowResult(
            'track', True, False, False, None, None
        )
        assert workflow.get_child_workflows_by_name('') == []
        with pytest.raises(
            PropagationNotFoundError, match="no child workflow named 'pay' in propagated history for workflow 'order'"
        ):
            workflow.get_last_child_workflow_by_name('pay')

    def test_it_is_shown_without_its_events(self, workflow: WorkflowResult) -> None:
        assert repr(workflow) == "WorkflowResult(instance_id='i1', app_id='app1', name='order')"


def test_scopes_have_the_values_of_the_wire() -> None:
    for scope in PropagationScope:
        assert pb.HistoryPropagationScope.Name(scope.value) == f'HISTORY_PROPAGATION_SCOPE_{scope.name}'  # type: ignore[arg-type]


def test_the_public_module_has_the_same_names() -> None:
    for name in public.__all__:
        assert getattr(public, name) is getattr(propagation, name)
