"""Workflows made of steps, as generators and in `async def`: what replayers are tried on.

A workflow's steps are data, so a changed workflow is the list with another step in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from dapr.ext.workflow import DaprWorkflowContext, RetryPolicy, when_all
from dapr.ext.workflow.aio import AsyncWorkflowContext

NAME = 'order'
RETRIES = RetryPolicy(first_retry_interval=timedelta(minutes=1), max_number_of_attempts=3)


class Call(NamedTuple):
    """An activity; with attempts, under a retry policy; tolerant, its failure is caught."""

    name: str
    input: Any = None
    is_retried: bool = False
    is_tolerant: bool = False


class Child(NamedTuple):
    """A child workflow."""

    name: str
    input: Any = None


class Sleep(NamedTuple):
    """A timer."""

    hours: float


class Wait(NamedTuple):
    """A wait for an external event, with a limit or not."""

    event: str
    hours: float | None = None


class All(NamedTuple):
    """Steps at once."""

    steps: tuple[Any, ...]


class Patch(NamedTuple):
    """A question whether a patch holds, and a step where it does."""

    name: str
    step: Any = None


class Fail(NamedTuple):
    """An error."""

    message: str


class Again(NamedTuple):
    """The workflow goes on as new."""


class Return(NamedTuple):
    """The end."""


Steps = Sequence[Any]

STEPS: Steps = (
    Call('price', 'a lamp'),
    Wait('approval', 24),
    All((Call('pack', 'a lamp'), Call('label', 'a lamp'))),
    Sleep(1),
    Call('charge', 99, is_retried=True),
    Child('ship', 'a lamp'),
    Patch('thanks', Call('thank')),
    Wait('feedback'),
    Return(),
)
"""What the recorded workflow did."""


def _begin(ctx: Any, step: Any) -> Any:
    """Asks for what a step is."""
    if isinstance(step, Call):
        policy = RETRIES if step.is_retried else None
        return ctx.call_activity(step.name, input=step.input, retry_policy=policy)
    if isinstance(step, Child):
        return ctx.call_child_workflow(step.name, input=step.input)
    if isinstance(step, Sleep):
        return ctx.create_timer(timedelta(hours=step.hours))
    assert isinstance(step, Wait)
    timeout = None if step.hours is None else timedelta(hours=step.hours)
    return ctx.wait_for_external_event(step.event, timeout=timeout)


def as_generator(steps: Steps) -> Callable[..., Any]:
    """The workflow of these steps as a generator."""

    def order(ctx: DaprWorkflowContext, item: str) -> Any:
        for step in steps:
            if isinstance(step, Return):
                return 'done'
            if isinstance(step, Fail):
                raise KeyError(step.message)
            if isinstance(step, Again):
                ctx.continue_as_new(item)
                return None
            if isinstance(step, All):
                yield when_all([_begin(ctx, each) for each in step.steps])
            elif isinstance(step, Patch):
                if ctx.is_patched(step.name) and step.step is not None:
                    yield _begin(ctx, step.step)
            else:
                try:
                    yield _begin(ctx, step)
                except Exception:
                    if not getattr(step, 'is_tolerant', False):
                        raise
        return 'done'

    return order


def as_coroutine(steps: Steps) -> Callable[..., Any]:
    """The same in `async def`."""

    async def order(ctx: AsyncWorkflowContext, item: str) -> Any:
        for step in steps:
            if isinstance(step, Return):
                return 'done'
            if isinstance(step, Fail):
                raise KeyError(step.message)
            if isinstance(step, Again):
                ctx.continue_as_new(item)
            if isinstance(step, All):
                await asyncio.gather(*[_begin(ctx, each) for each in step.steps])
            elif isinstance(step, Patch):
                if ctx.is_patched(step.name) and step.step is not None:
                    await _begin(ctx, step.step)
            else:
                try:
                    await _begin(ctx, step)
                except Exception:
                    if not getattr(step, 'is_tolerant', False):
                        raise
        return 'done'

    return order


KINDS: dict[str, Callable[[Steps], Callable[..., Any]]] = {'generator': as_generator, 'coroutine': as_coroutine}
