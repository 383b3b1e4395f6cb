"""What type checkers make of the engine's own context.

Checked, never run: see tests/unit/test_typing.py.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from typing_extensions import assert_type

from dapr.ext.workflow._durabletask.task import ActivityContext, OrchestrationContext, RetryPolicy, Task


def length(ctx: ActivityContext, text: str) -> int:
    return len(text)


async def length_async(ctx: ActivityContext, text: str) -> int:
    return len(text)


def tick(ctx: ActivityContext, _: None) -> bytes:
    return b''


def count(ctx: OrchestrationContext, text: str) -> Generator[Task[Any], Any, int]:
    yield ctx.create_timer(ctx.current_utc_datetime)
    return 1


def at_once(ctx: OrchestrationContext, text: str) -> float:
    return 1.0


def alone(ctx: OrchestrationContext, _: None) -> Generator[Task[Any], Any, bytes]:
    yield ctx.create_timer(ctx.current_utc_datetime)
    return b''


def results(ctx: OrchestrationContext, policy: RetryPolicy) -> None:
    assert_type(ctx.call_activity(length, input='x'), Task[int])
    assert_type(ctx.call_activity(length_async, input='x', retry_policy=policy), Task[int])
    assert_type(ctx.call_activity(tick), Task[bytes])
    assert_type(ctx.call_activity('by name', input=1), Task[Any])
    assert_type(ctx.call_sub_orchestrator(count, input='x'), Task[int])
    assert_type(ctx.call_sub_orchestrator(at_once, input='x', instance_id='i'), Task[float])
    assert_type(ctx.call_sub_orchestrator(alone, app_id='a'), Task[bytes])
    assert_type(ctx.call_sub_orchestrator('by name', input=1), Task[Any])


def wrong(ctx: OrchestrationContext) -> None:
    ctx.call_activity(length, input=1)  # type: ignore[arg-type]
    ctx.call_activity(length_async, input=1)  # type: ignore[arg-type]
    ctx.call_activity(length)  # type: ignore[arg-type]
    ctx.call_activity(tick, input='x')  # type: ignore[misc]
    ctx.call_sub_orchestrator(count, input=1)  # type: ignore[arg-type]
    ctx.call_sub_orchestrator(count)  # type: ignore[arg-type]
    ctx.call_sub_orchestrator(at_once, input=1)  # type: ignore[arg-type]
    ctx.call_sub_orchestrator(alone, input='x')  # type: ignore[misc]
