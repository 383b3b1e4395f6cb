"""The context that workflows are given: the engine's, by the names of this API."""

from __future__ import annotations

import logging
import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from dapr.ext.workflow._durabletask.call_logging import CallLogger
from dapr.ext.workflow._durabletask.call_types import typed_as
from dapr.ext.workflow._durabletask.contexts import OrchestrationContext
from dapr.ext.workflow._durabletask.metadata import WorkflowExecutionInfo
from dapr.ext.workflow._durabletask.propagation import PropagatedHistory, PropagationScope
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext
from dapr.ext.workflow._durabletask.task import Task, when_all, when_any
from dapr.ext.workflow.logger import LoggerOptions
from dapr.ext.workflow.lookup import MISSING, missing_attribute
from dapr.ext.workflow.naming import name_of
from dapr.ext.workflow.retry_policy import RetryPolicy, engines_policy
from dapr.ext.workflow.values.annotations import result_type
from dapr.ext.workflow.workflow_activity_context import Activity
from dapr.ext.workflow.workflow_context import Workflow, WorkflowContext

__all__ = ['DaprWorkflowContext', 'when_all', 'when_any']

T = TypeVar('T')


class DaprWorkflowContext(WorkflowContext):
    """The context that workflows are given.

    What it has is declared here and in `WorkflowContext`.

    Args:
        ctx: The engine's context.
        logger_options: Without effect; taken since callers pass it.
    """

    def __init__(self, ctx: OrchestrationContext, logger_options: LoggerOptions | None = None) -> None:
        self.__obj = ctx
        # Contexts that tests of apps make read no results.
        self.__payloads = ctx._payloads if isinstance(ctx, _RuntimeOrchestrationContext) else None

    if not TYPE_CHECKING:  # to checkers, a name that is not declared is a mistake

        def __getattr__(self, name):
            # Called for what this class lacks; names with underscores are none of the context's business.
            if not name.startswith('_'):
                value = getattr(self.__obj, name, MISSING)
                if value is not MISSING:
                    return value
            raise missing_attribute(self, name)

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name != '__getattr__']

    @property
    def instance_id(self) -> str:
        return self.__obj.instance_id

    @property
    def current_utc_datetime(self) -> datetime:
        return self.__obj.current_utc_datetime

    @property
    def is_replaying(self) -> bool:
        return self.__obj.is_replaying

    @property
    def workflow_name(self) -> str:
        return self.__obj.workflow_name

    @property
    def app_id(self) -> str:
        return self.__obj.app_id

    @property
    def execution_id(self) -> str:
        return self.__obj.execution_id

    @property
    def parent_instance_id(self) -> str | None:
        return self.__obj.parent_instance_id

    @property
    def trace_parent(self) -> str | None:
        return self.__obj.trace_parent

    @property
    def trace_state(self) -> str | None:
        return self.__obj.trace_state

    @property
    def workflow_span_id(self) -> str | None:
        return self.__obj.workflow_span_id

    @property
    def execution_info(self) -> WorkflowExecutionInfo:
        return self.__obj.execution_info

    def set_metadata(self, metadata: Mapping[str, str] | None) -> None:
        self.__obj.set_metadata(metadata)

    def get_metadata(self) -> dict[str, str]:
        return self.__obj.get_metadata()

    @property
    def logger(self) -> CallLogger:
        return self.__obj.logger

    def create_replay_safe_logger(self, logger: logging.Logger | logging.LoggerAdapter[Any]) -> CallLogger:
        return self.__obj.create_replay_safe_logger(logger)

    def now(self) -> datetime:
        return self.__obj.now()

    def now_with_sequence(self) -> datetime:
        return self.__obj.now_with_sequence()

    def current_utc_datetime_with_sequence(self) -> datetime:
        return self.__obj.current_utc_datetime_with_sequence()

    def random(self) -> random.Random:
        return self.__obj.random()

    def random_int(self, min_value: int = 0, max_value: int = 2**31 - 1) -> int:
        return self.__obj.random_int(min_value, max_value)

    def random_string(self, length: int, *, alphabet: str | None = None) -> str:
        return self.__obj.random_string(length, alphabet=alphabet)

    def random_choice(self, sequence: Sequence[T]) -> T:
        return self.__obj.random_choice(sequence)

    def uuid4(self) -> uuid.UUID:
        return self.__obj.uuid4()

    def new_guid(self) -> uuid.UUID:
        return self.__obj.new_guid()

    def set_custom_status(self, custom_status: Any) -> None:
        self.__obj.set_custom_status(custom_status)

    def create_timer(self, fire_at: datetime | timedelta) -> Task[None]:
        return self.__obj.create_timer(fire_at)

    @typed_as(WorkflowContext.call_activity)
    def call_activity(
        self,
        activity: Activity | str,
        *,
        input: Any = None,
        retry_policy: RetryPolicy | None = None,
        app_id: str | None = None,
        propagation: PropagationScope | None = None,
        return_type: Any = None,
        timeout: float | timedelta | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Task[Any]:
        if isinstance(activity, str):
            name = activity
        else:
            name = name_of(activity)
            if return_type is None:
                return_type = result_type(activity)
        call: Callable[..., Task[Any]] = self.__obj.call_activity
        if timeout is not None:  # given on only where it was given: contexts that tests of apps make need not know it
            call = partial(call, timeout=timeout)
        if metadata is not None:
            call = partial(call, metadata=metadata)
        task = call(
            name,
            input=input,
            retry_policy=engines_policy(retry_policy),
            app_id=app_id,
            propagation=propagation,
        )
        if return_type is not None and self.__payloads is not None:
            task._read = self.__payloads.reader(return_type)  # type: ignore[attr-defined]  # the engine's own task
        return task

    @typed_as(WorkflowContext.call_child_workflow)
    def call_child_workflow(
        self,
        workflow: Workflow | str,
        *,
        input: Any = None,
        instance_id: str | None = None,
        retry_policy: RetryPolicy | None = None,
        app_id: str | None = None,
        propagation: PropagationScope | None = None,
        return_type: Any = None,
        timeout: float | timedelta | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Task[Any]:
        if isinstance(workflow, str):
            name = workflow
        else:
            name = name_of(workflow)
            if return_type is None:
                return_type = result_type(workflow)
        call: Callable[..., Task[Any]] = self.__obj.call_sub_orchestrator
        if timeout is not None:
            call = partial(call, timeout=timeout)
        if metadata is not None:
            call = partial(call, metadata=metadata)
        task = call(
            name,
            input=input,
            instance_id=instance_id,
            retry_policy=engines_policy(retry_policy),
            app_id=app_id,
            propagation=propagation,
        )
        if return_type is not None and self.__payloads is not None:
            task._read = self.__payloads.reader(return_type)  # type: ignore[attr-defined]  # the engine's own task
        return task

    @typed_as(WorkflowContext.schedule_new_workflow)
    def schedule_new_workflow(
        self,
        workflow: Workflow | str,
        *,
        input: Any = None,
        instance_id: str | None = None,
        start_at: datetime | timedelta | None = None,
        app_id: str | None = None,
        app_namespace: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        return self.__obj.schedule_new_workflow(
            name_of(workflow),
            input=input,
            instance_id=instance_id,
            start_at=start_at,
            app_id=app_id,
            app_namespace=app_namespace,
            **({} if metadata is None else {'metadata': metadata}),
        )

    def send_event(self, instance_id: str, name: str, data: Any = None) -> None:
        self.__obj.send_event(instance_id, name, data)

    @typed_as(WorkflowContext.wait_for_external_event)
    def wait_for_external_event(
        self, name: str, *, timeout: datetime | timedelta | None = None, data_type: Any = None
    ) -> Task[Any]:
        # Given on only where it was given: contexts that tests of apps make need not know it.
        options = {} if data_type is None else {'data_type': data_type}
        return self.__obj.wait_for_external_event(name, timeout=timeout, **options)

    def continue_as_new(
        self, new_input: Any, *, save_events: bool = False, metadata: Mapping[str, str] | None = None
    ) -> None:
        options: Any = {} if metadata is None else {'metadata': metadata}
        self.__obj.continue_as_new(new_input, save_events=save_events, **options)

    def is_patched(self, patch_name: str) -> bool:
        return self.__obj.is_patched(patch_name)

    def get_propagated_history(self) -> PropagatedHistory | None:
        return self.__obj.get_propagated_history()
