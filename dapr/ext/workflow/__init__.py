"""Dapr workflows for Python.

What an app imports. The engine under it is `_durabletask`.
"""

from __future__ import annotations

from dapr.ext.workflow._durabletask.failures import (
    FailureDetails,
    NonRetryableError,
    TaskCancelledError,
    TaskFailedError,
)
from dapr.ext.workflow._durabletask.forgotten_yield import ForgottenYieldError, ForgottenYieldWarning
from dapr.ext.workflow._durabletask.metadata import ActivityExecutionInfo, WorkflowExecutionInfo
from dapr.ext.workflow._durabletask.propagation import (
    ActivityResult,
    ChildWorkflowResult,
    PropagatedHistory,
    PropagationNotFoundError,
    PropagationScope,
    WorkflowResult,
)
from dapr.ext.workflow._durabletask.status import WorkerStatus
from dapr.ext.workflow._durabletask.task import Task, WhenAllTask, WhenAnyTask, when_all, when_any
from dapr.ext.workflow._durabletask.transport.errors import (
    PayloadTooLargeError,
    SidecarUnavailableError,
    WorkerNotConnectedError,
    WorkflowAlreadyExistsError,
    WorkflowCallError,
    WorkflowNotFoundError,
    WorkflowStalledError,
    WorkflowTimeoutError,
)
from dapr.ext.workflow._version import __version__
from dapr.ext.workflow.aio.async_workflow_context import AsyncWorkflowContext
from dapr.ext.workflow.converter import DataConversionError, DataConverter, JsonDataConverter
from dapr.ext.workflow.dapr_workflow_client import DaprWorkflowClient
from dapr.ext.workflow.dapr_workflow_context import DaprWorkflowContext
from dapr.ext.workflow.interceptors import (
    BaseClientInterceptor,
    BaseRuntimeInterceptor,
    BaseWorkflowOutboundInterceptor,
    CallActivityRequest,
    CallChildWorkflowRequest,
    ClientInterceptor,
    ContinueAsNewRequest,
    ExecuteActivityRequest,
    ExecuteWorkflowRequest,
    RuntimeInterceptor,
    ScheduleWorkflowRequest,
    SendEventRequest,
    WorkflowOutboundInterceptor,
)
from dapr.ext.workflow.mcp import DaprMCPClient, MCPToolDef
from dapr.ext.workflow.naming import alternate_name
from dapr.ext.workflow.retry_policy import RetryPolicy
from dapr.ext.workflow.workflow_activity_context import WorkflowActivityContext
from dapr.ext.workflow.workflow_context import WorkflowContext
from dapr.ext.workflow.workflow_management import (
    UNSET,
    WorkflowHistoryEvent,
    WorkflowHistoryEventType,
    WorkflowInstanceIdPage,
)
from dapr.ext.workflow.workflow_runtime import WorkflowRuntime
from dapr.ext.workflow.workflow_state import WorkflowState, WorkflowStatus

__all__ = [
    'UNSET',
    'ActivityExecutionInfo',
    'ActivityResult',
    'AsyncWorkflowContext',
    'BaseClientInterceptor',
    'BaseRuntimeInterceptor',
    'BaseWorkflowOutboundInterceptor',
    'CallActivityRequest',
    'CallChildWorkflowRequest',
    'ChildWorkflowResult',
    'ClientInterceptor',
    'ContinueAsNewRequest',
    'DaprMCPClient',
    'DaprWorkflowClient',
    'DaprWorkflowContext',
    'DataConversionError',
    'DataConverter',
    'ExecuteActivityRequest',
    'ExecuteWorkflowRequest',
    'FailureDetails',
    'ForgottenYieldError',
    'ForgottenYieldWarning',
    'JsonDataConverter',
    'MCPToolDef',
    'NonRetryableError',
    'PayloadTooLargeError',
    'PropagatedHistory',
    'PropagationNotFoundError',
    'PropagationScope',
    'RetryPolicy',
    'RuntimeInterceptor',
    'ScheduleWorkflowRequest',
    'SendEventRequest',
    'SidecarUnavailableError',
    'Task',
    'TaskCancelledError',
    'TaskFailedError',
    'WhenAllTask',
    'WhenAnyTask',
    'WorkerNotConnectedError',
    'WorkerStatus',
    'WorkflowActivityContext',
    'WorkflowAlreadyExistsError',
    'WorkflowCallError',
    'WorkflowContext',
    'WorkflowExecutionInfo',
    'WorkflowHistoryEvent',
    'WorkflowHistoryEventType',
    'WorkflowInstanceIdPage',
    'WorkflowNotFoundError',
    'WorkflowOutboundInterceptor',
    'WorkflowResult',
    'WorkflowRuntime',
    'WorkflowStalledError',
    'WorkflowState',
    'WorkflowStatus',
    'WorkflowTimeoutError',
    '__version__',
    'alternate_name',
    'when_all',
    'when_any',
]
