"""What type checkers know of the contexts and of a state: all that is there, and nothing else.

Checked, never run: see tests/unit/test_typing.py.
"""

from __future__ import annotations

import random
import uuid
from datetime import datetime

from typing_extensions import assert_type

from dapr.ext.workflow import DaprWorkflowContext, WorkflowState
from dapr.ext.workflow.workflow_context import WorkflowContext


def declared(ctx: DaprWorkflowContext, base: WorkflowContext, state: WorkflowState) -> None:
    assert_type(ctx.new_guid(), uuid.UUID)
    assert_type(base.uuid4(), uuid.UUID)
    assert_type(ctx.random(), random.Random)
    assert_type(base.random_int(1, 6), int)
    assert_type(ctx.random_string(5, alphabet='ab'), str)
    assert_type(ctx.random_choice([1, 2]), int)
    assert_type(ctx.now(), datetime)
    assert_type(base.now_with_sequence(), datetime)
    assert_type(ctx.workflow_name, str)
    assert_type(ctx.parent_instance_id, str | None)
    assert_type(state.serialized_output, str | None)


def misspelt(ctx: DaprWorkflowContext, base: WorkflowContext, state: WorkflowState) -> None:
    ctx.call_activty('x')  # type: ignore[attr-defined]
    ctx.set_custom_state('x')  # type: ignore[attr-defined]
    base.new_uuid()  # type: ignore[attr-defined]
    state.serialised_output  # type: ignore[attr-defined]  # noqa: B018
