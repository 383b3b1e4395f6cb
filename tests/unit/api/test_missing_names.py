"""Names that are not there: the error names the public class and the near name; and `dir` tells all that is there."""

from __future__ import annotations

import copy
from datetime import datetime
from typing import Any, cast

import pytest

from dapr.ext.workflow import DaprWorkflowContext, WorkflowState
from dapr.ext.workflow._durabletask.clients import state as client_state
from dapr.ext.workflow._durabletask.contexts import OrchestrationContext
from dapr.ext.workflow._durabletask.deterministic import DeterministicContextMixin
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext


def context() -> DaprWorkflowContext:
    engine = _RuntimeOrchestrationContext('abc')
    engine.current_utc_datetime = datetime(2024, 2, 3)
    return DaprWorkflowContext(engine)


def state() -> WorkflowState:
    moment = datetime(2024, 2, 3)
    return WorkflowState(
        client_state.WorkflowState(
            'abc', 'flow', client_state.OrchestrationStatus.RUNNING, moment, moment, None, '1', None, None
        )
    )


@pytest.mark.parametrize(
    ('owner', 'name', 'near'),
    [
        (context(), 'call_activty', 'call_activity'),
        (context(), 'set_custom_state', 'set_custom_status'),
        (context(), 'new_uuid', 'new_guid'),
        (state(), 'serialised_output', 'serialized_output'),
    ],
)
def test_the_error_names_the_public_class_and_the_near_name(owner: object, name: str, near: str) -> None:
    with pytest.raises(AttributeError) as raised:
        getattr(owner, name)

    expected = f'{type(owner).__name__!r} object has no attribute {name!r}. Did you mean: {near!r}?'
    assert str(raised.value) == expected
    assert raised.value.name == name


@pytest.mark.parametrize('owner', [context(), state()])
def test_a_name_like_no_other_is_just_not_there(owner: object) -> None:
    with pytest.raises(AttributeError, match=r"object has no attribute 'zzzzzzzz'$"):
        owner.zzzzzzzz  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize('owner', [context(), state()])
def test_dir_has_what_is_there_and_not_how_names_are_passed_on(owner: object) -> None:
    names = dir(owner)

    assert '__getattr__' not in names
    assert [name for name in names if not name.startswith('_') and not hasattr(owner, name)] in ([], ['logger'])


def test_the_context_declares_all_that_the_engine_has() -> None:
    public = {name for name in dir(OrchestrationContext) if not name.startswith('_')}

    assert public - set(dir(DaprWorkflowContext)) == {'call_sub_orchestrator', 'log_fields'}
    assert {name for name in vars(DeterministicContextMixin) if not name.startswith('_')} <= set(
        dir(DaprWorkflowContext)
    )


def test_what_the_context_declares_is_what_the_engine_gives() -> None:
    ours, engine = context(), _RuntimeOrchestrationContext('abc')
    engine.current_utc_datetime = datetime(2024, 2, 3)

    assert ours.new_guid() == engine.new_guid()
    assert ours.uuid4() == engine.uuid4()
    assert ours.random() is ours.random()
    assert ours.random_int(1, 1000) == engine.random_int(1, 1000)
    assert ours.random_string(5, alphabet='abc') == engine.random_string(5, alphabet='abc')
    assert ours.random_choice('abcdef') == engine.random_choice('abcdef')
    assert [ours.now(), ours.now_with_sequence(), ours.now_with_sequence()] == [
        engine.now(),
        engine.now_with_sequence(),
        engine.now_with_sequence(),
    ]
    assert (ours.workflow_name, ours.app_id, ours.execution_id, ours.parent_instance_id) == ('', '', '', None)


def test_a_context_over_one_of_a_test_gives_what_that_has() -> None:
    class Fake:
        instance_id = 'fake'
        own = 5

    ours = DaprWorkflowContext(cast('OrchestrationContext', Fake()))
    given: Any = ours

    assert (ours.instance_id, given.own) == ('fake', 5)
    with pytest.raises(AttributeError, match="'DaprWorkflowContext' object has no attribute 'workflow_name'"):
        ours.workflow_name  # noqa: B018


def test_a_state_can_be_copied() -> None:
    assert copy.deepcopy(state()).serialized_output == '1'
