"""What type checkers make of `when_all` and `when_any`.

Checked, never run: see tests/unit/test_typing.py.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from typing_extensions import assert_type

from dapr.ext.workflow import (
    DaprWorkflowContext,
    Task,
    WhenAllTask,
    WhenAnyTask,
    WorkflowActivityContext,
    when_all,
    when_any,
)


def number(ctx: WorkflowActivityContext, value: int) -> int:
    return value


def text(ctx: WorkflowActivityContext, value: int) -> str:
    return ''


def all_of_a_kind(ctx: DaprWorkflowContext) -> None:
    numbers = [ctx.call_activity(number, input=value) for value in range(3)]
    assert_type(when_all(numbers), WhenAllTask[int])
    assert_type(when_all(numbers).get_result(), list[int])
    assert_type(when_any(numbers), WhenAnyTask[int])
    assert_type(when_any(numbers).get_result(), Task[int])
    assert_type(when_any(numbers).get_result().get_result(), int)


def of_all_kinds(ctx: DaprWorkflowContext) -> None:
    # A checker may know what they have in common; none must refuse them.
    when_all([ctx.call_activity(number, input=1), ctx.call_activity(text, input=1)])
    when_any([ctx.call_activity(number, input=1), ctx.create_timer(ctx.current_utc_datetime)])
    when_any([ctx.wait_for_external_event('go'), ctx.create_timer(ctx.current_utc_datetime)])
    when_all([when_all([ctx.call_activity(number, input=1)]), ctx.call_activity('by name')])
    tasks: list[Task[Any]] = [ctx.call_activity(number, input=1), ctx.call_activity(text, input=1)]
    assert_type(when_all(tasks), WhenAllTask[Any])


def a_task_of_a_kind_is_one_of_its_base(ctx: DaprWorkflowContext) -> Task[object]:
    return ctx.call_activity(number, input=1)


def in_a_workflow(ctx: DaprWorkflowContext, values: list[int]) -> Generator[Task[Any], Any, int]:
    doubled: list[int] = yield when_all([ctx.call_activity(number, input=value) for value in values])
    winner: Task[int] = yield when_any([ctx.call_activity(number, input=value) for value in doubled])
    return winner.get_result()


def wrong(ctx: DaprWorkflowContext) -> list[str]:
    when_all([1])  # type: ignore[arg-type]
    when_all(ctx.call_activity(number, input=1))  # type: ignore[arg-type]
    return when_all([ctx.call_activity(number, input=1)]).get_result()  # type: ignore[return-value]
