"""What a worker runs in an environment: stand-ins, else what is registered, each known as what it is.

An engine's registry asks at each look-up, see `StandIns` there.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Generator
from typing import Any

from dapr.ext.workflow._durabletask.contexts import OrchestrationContext
from dapr.ext.workflow._durabletask.internal.shared import is_async_callable
from dapr.ext.workflow._durabletask.replay.errors import ActivityNotRegisteredError, OrchestratorNotRegisteredError
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from dapr.ext.workflow._durabletask.task import ActivityContext
from dapr.ext.workflow.dapr_workflow_context import DaprWorkflowContext
from dapr.ext.workflow.testing.callers import running
from dapr.ext.workflow.testing.mocks import Mock, Mocks
from dapr.ext.workflow.values.annotations import signature_of
from dapr.ext.workflow.workflow_activity_context import WorkflowActivityContext

__all__ = ['EnvironmentStandIns']

Function = Callable[..., Any]


class EnvironmentStandIns:
    """What one runtime of an environment runs.

    Args:
        app_id: The app of the runtime; '' for the only one.
        mocks: The environment's.
        functions: The functions that stand-ins were made by, by kind and name: their annotations are those of the
            inputs.
        sleep: Sleeps by the environment's clock, for so many seconds.
    """

    def __init__(
        self,
        app_id: str,
        mocks: Mocks,
        functions: dict[tuple[str, str], Function],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._app_id = app_id
        self._mocks = mocks
        self._functions = functions
        self._sleep = sleep
        # What a child workflow's stand-in has answered an instance with: a replay asks again.
        self._answers: dict[str, Mock[Any, Any]] = {}
        self._outcomes: dict[str, tuple[Any, BaseException | None]] = {}
        self._registry: _Registry | None = None
        # What runs for an activity, by name, with what it was made of: made anew it would be looked at anew, too.
        self._made: dict[str, tuple[Function | None, Function | None, bool, Function]] = {}

    def activity(self, name: str, registered: Function | None) -> Function | None:
        """The activity to run: see `StandIns`."""
        is_mocked = self._mocks.any_for('activity', name, self._app_id)
        original = self._functions.get(('activity', name))
        made = self._made.get(name)
        if made is not None and made[0] is registered and made[1] is original and made[2] is is_mocked:
            return made[3]
        if is_mocked:
            fn = self._known(self._mocked_activity(name, registered, original))
        elif registered is not None:
            fn = self._known(registered)
        else:
            return self._missing_activity(name)
        self._made[name] = (registered, original, is_mocked, fn)
        return fn

    def orchestrator(self, name: str, registry: _Registry) -> Function | None:
        """The workflow to run: see `StandIns`."""
        if self._mocks.any_for('workflow', name, self._app_id):
            return self._mocked_workflow(name, registry)
        registered = {*registry.orchestrators, *registry.versioned_orchestrators}
        if name not in registered:
            raise OrchestratorNotRegisteredError(
                f"A workflow named '{name}' is neither registered nor mocked in this environment. There are: "
                f'{_listed(registered, self._mocks.names("workflow", self._app_id))}.'
            )
        return None

    def _known(self, fn: Function) -> Function:
        """An activity that is known as the one that runs, to what it calls."""
        if is_async_callable(fn):

            @functools.wraps(fn)
            async def async_activity(ctx: ActivityContext, inp: Any = None) -> Any:
                with running(self._app_id, ctx):
                    return await fn(ctx, inp)

            return async_activity

        @functools.wraps(fn)
        def activity(ctx: ActivityContext, inp: Any = None) -> Any:
            with running(self._app_id, ctx):
                return fn(ctx, inp)

        return activity

    def _mocked_activity(self, name: str, registered: Function | None, original: Function | None) -> Function:
        # Async, whatever it stands in for: which one answers is known only when it is called.
        async def stand_in(ctx: ActivityContext, inp: Any = None) -> Any:
            mock = self._mocks.take('activity', name, self._app_id, inp, ctx.orchestration_id, ctx.get_metadata())
            if mock is None:
                if registered is None:
                    raise ActivityNotRegisteredError(
                        f"The stand-ins for the activity '{name}' have answered all calls that they were made for, and "
                        'none is registered.'
                    )
                if is_async_callable(registered):
                    return await registered(ctx, inp)
                return await asyncio.to_thread(registered, ctx, inp)
            if mock.takes is not None:
                await self._sleep(mock.takes.total_seconds())
            # On a thread: a side effect may block, as an activity may.
            result = await asyncio.to_thread(mock.answer, WorkflowActivityContext(ctx), inp)
            return await result if inspect.isawaitable(result) else result

        return _annotated(stand_in, original or registered)

    def _missing_activity(self, name: str) -> Function:
        registry = self._registry
        registered = () if registry is None else registry.activities

        def missing(ctx: ActivityContext, inp: Any = None) -> Any:
            raise ActivityNotRegisteredError(
                f"An activity named '{name}' is neither registered nor mocked in this environment. There are: "
                f'{_listed(registered, self._mocks.names("activity", self._app_id))}.'
            )

        return missing

    def _mocked_workflow(self, name: str, registry: _Registry) -> Function:
        registered = registry.orchestrators.get(name)

        def stand_in(ctx: OrchestrationContext, inp: Any = None) -> Any:
            instance_id = ctx.instance_id
            mock = self._answers.get(instance_id) if ctx.is_replaying else None
            if mock is None:
                metadata = ctx.execution_info.inbound_metadata
                mock = self._mocks.take('workflow', name, self._app_id, inp, instance_id, metadata)
                if mock is None:
                    if registered is None:
                        raise OrchestratorNotRegisteredError(
                            f"The stand-ins for the workflow '{name}' have answered all calls that they were made for, "
                            'and none is registered.'
                        )
                    return registered(ctx, inp)
                self._answers[instance_id] = mock
                self._outcomes[instance_id] = _outcome(mock, DaprWorkflowContext(ctx), inp)
            value, error = self._outcomes[instance_id]
            if mock.takes is not None:
                return _later(ctx, mock, value, error)
            if error is not None:
                raise error
            return value

        return _annotated(stand_in, self._functions.get(('workflow', name)) or registered)

    def attach(self, registry: _Registry) -> None:
        """Has a registry ask here."""
        self._registry = registry
        registry.stand_ins = self


def _outcome(mock: Mock[Any, Any], ctx: DaprWorkflowContext, inp: Any) -> tuple[Any, BaseException | None]:
    try:
        value = mock.answer(ctx, inp)
    except Exception as error:
        return None, error
    if inspect.iscoroutine(value):
        try:
            value.send(None)
        except StopIteration as end:
            return end.value, None
        except Exception as error:
            return None, error
        value.close()
        return None, TypeError(f"{mock!r}: a workflow's side effect must not wait: give takes=... for that.")
    return value, None


def _later(
    ctx: OrchestrationContext, mock: Mock[Any, Any], value: Any, error: BaseException | None
) -> Generator[Any, Any, Any]:
    assert mock.takes is not None
    yield ctx.create_timer(mock.takes)
    if error is not None:
        raise error
    return value


def _annotated(stand_in: Function, original: Function | None) -> Function:
    """Gives a stand-in the annotation that what it stands in for has for its input: the engine reads that by it."""
    input_type = None if original is None else signature_of(original).input_type
    if input_type is not None:
        own = inspect.signature(stand_in)
        context, input = own.parameters.values()
        stand_in.__signature__ = own.replace(  # type: ignore[attr-defined]
            parameters=[context, input.replace(annotation=input_type)]
        )
    return stand_in


def _listed(registered: Any, mocked: list[str]) -> str:
    names = sorted({*registered, *mocked})
    return ', '.join(f"'{name}'" for name in names) if names else 'none'
