"""How much history goes out with a call, and what came in with the workflow itself."""

from __future__ import annotations

import pytest

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.propagation import PropagatedHistory, PropagationScope
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
from tests.support.engine import Driver, output, task_completed
from tests.support.scenarios import Workflow


@pytest.mark.parametrize(
    ('scope', 'expected'),
    [
        (PropagationScope.OWN_HISTORY, pb.HISTORY_PROPAGATION_SCOPE_OWN_HISTORY),
        (PropagationScope.LINEAGE, pb.HISTORY_PROPAGATION_SCOPE_LINEAGE),
    ],
)
def test_the_scope_goes_out_with_the_call(
    scope: PropagationScope, expected: pb.HistoryPropagationScope.ValueType
) -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        ctx.call_activity('a', propagation=scope)
        yield ctx.call_sub_orchestrator('c', propagation=scope)

    activity, child = Driver(workflow).start().actions
    assert activity.scheduleTask.historyPropagationScope == expected
    assert child.createChildWorkflow.historyPropagationScope == expected


def test_without_a_scope_none_goes_out() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        ctx.call_activity('a')
        yield ctx.call_sub_orchestrator('c')

    activity, child = Driver(workflow).start().actions
    assert not activity.scheduleTask.HasField('historyPropagationScope')
    assert not child.createChildWorkflow.HasField('historyPropagationScope')


def test_what_came_with_the_workflow_is_there_at_any_time() -> None:
    history = PropagatedHistory(scope=PropagationScope.LINEAGE, events=[], chunks=[])
    seen = []

    def workflow(ctx: Context, _: None) -> Workflow:
        seen.append(ctx.get_propagated_history())
        yield ctx.call_activity('a')
        seen.append(ctx.get_propagated_history())

    driver = Driver(workflow, propagated_history=history)
    driver.start()
    driver.turn(task_completed(1))
    assert len(seen) == 5  # two of the kept instance; one, then two of the whole replays
    assert all(each is history for each in seen)


def test_without_any_there_is_none() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        return ctx.get_propagated_history() is None
        yield

    assert output(Driver(workflow).start()) is True
