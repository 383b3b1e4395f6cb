"""How a workflow stands, as a client is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar, overload

from dapr.ext.workflow._durabletask.clients import state as client_state
from dapr.ext.workflow._durabletask.clients.state import OrchestrationStatus
from dapr.ext.workflow._durabletask.failures import FailureDetails
from dapr.ext.workflow._durabletask.internal.payloads import raise_unreadable
from dapr.ext.workflow.converter import DataConverter, JsonDataConverter
from dapr.ext.workflow.lookup import MISSING, missing_attribute

__all__ = ['WorkflowState', 'WorkflowStatus']

T = TypeVar('T')

_DEFAULT_CONVERTER = JsonDataConverter()


class WorkflowStatus(Enum):
    """How a workflow stands."""

    UNKNOWN = 0
    """A status of the wire that has no name here."""
    RUNNING = 1
    COMPLETED = 2
    FAILED = 3
    TERMINATED = 4
    PENDING = 5
    """Scheduled, and not started yet."""
    SUSPENDED = 6
    STALLED = 7
    """It needs a version that no worker has."""


_STATUSES = {
    OrchestrationStatus.RUNNING: WorkflowStatus.RUNNING,
    OrchestrationStatus.COMPLETED: WorkflowStatus.COMPLETED,
    OrchestrationStatus.FAILED: WorkflowStatus.FAILED,
    OrchestrationStatus.TERMINATED: WorkflowStatus.TERMINATED,
    OrchestrationStatus.PENDING: WorkflowStatus.PENDING,
    OrchestrationStatus.SUSPENDED: WorkflowStatus.SUSPENDED,
    OrchestrationStatus.STALLED: WorkflowStatus.STALLED,
}


class WorkflowState:
    """The state of a workflow.

    All that the engine's state has can be read here, too: `instance_id`, `name`, `created_at`, `last_updated_at`
    (naive, UTC), `serialized_input`, `serialized_output`, `serialized_custom_status` (JSON, or None),
    `metadata` (what the workflow was started with beside its input), `failure_details` (or None), and
    `raise_if_failed()`.

    Args:
        state: The state as the engine's client gives it.
        data_converter: What reads its payloads. None (default): `JsonDataConverter`.
    """

    instance_id: str
    name: str
    created_at: datetime
    last_updated_at: datetime
    serialized_input: str | None
    serialized_output: str | None
    serialized_custom_status: str | None
    metadata: dict[str, str]
    failure_details: FailureDetails | None
    raise_if_failed: Callable[[], None]

    def __init__(self, state: client_state.WorkflowState, data_converter: DataConverter | None = None) -> None:
        self.__obj = state
        self.__converter = data_converter

    if not TYPE_CHECKING:  # to checkers, a name that is not declared is a mistake

        def __getattr__(self, name):
            # Called for what this class lacks. Names with underscores are no state; copying and pickling ask for some.
            if not name.startswith('_'):
                value = getattr(self.__obj, name, MISSING)
                if value is not MISSING:
                    return value
            raise missing_attribute(self, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *WorkflowState.__annotations__} - {'__getattr__'})

    def __str__(self) -> str:
        return json.dumps(self.to_json(), indent=4, sort_keys=True, default=str)

    @property
    def runtime_status(self) -> WorkflowStatus:
        """How the workflow stands."""
        return _STATUSES.get(self.__obj.runtime_status, WorkflowStatus.UNKNOWN)

    @overload
    def input(self, type: type[T]) -> T: ...
    @overload
    def input(self, type: Any = None) -> Any: ...
    def input(self, type: Any = None) -> Any:
        """The input that the workflow was started with, as a value.

        Args:
            type: The type that it is read as, as annotations have types. None (default): as JSON gives it.

        Returns:
            It; None when there is none, or none was fetched.

        Raises:
            ValueError: It is not JSON, or not of that type (`DataConversionError`): the message says where in it, what
                was expected and what came.
        """
        return self.__read('input', self.__obj.serialized_input, type)

    @overload
    def output(self, type: type[T]) -> T: ...
    @overload
    def output(self, type: Any = None) -> Any: ...
    def output(self, type: Any = None) -> Any:
        """What the workflow came to, as a value. Arguments, result and errors as for `input`."""
        return self.__read('output', self.__obj.serialized_output, type)

    @overload
    def custom_status(self, type: type[T]) -> T: ...
    @overload
    def custom_status(self, type: Any = None) -> Any: ...
    def custom_status(self, type: Any = None) -> Any:
        """The status that the workflow has set, as a value, where it has encoded one as JSON. Arguments, result and
        errors as for `input`; what is not JSON stands in `serialized_custom_status`."""
        return self.__read('custom status', self.__obj.serialized_custom_status, type)

    def __read(self, what: str, text: str | None, target_type: Any) -> Any:
        try:
            return (self.__converter or _DEFAULT_CONVERTER).deserialize(text, target_type)
        except ValueError as error:
            raise_unreadable(f"{what} of the workflow '{self.__obj.instance_id}'", error)

    def to_json(self) -> dict[str, Any]:
        """The state as a dict. Its times are datetimes, its status is the status's name, `failure_details` is only
        there when the workflow failed, and `metadata` when there is some."""
        state = self.__obj
        result: dict[str, Any] = {
            'instance_id': state.instance_id,
            'name': state.name,
            'runtime_status': self.runtime_status.name,
            'created_at': state.created_at,
            'last_updated_at': state.last_updated_at,
            'serialized_input': state.serialized_input,
            'serialized_output': state.serialized_output,
            'serialized_custom_status': state.serialized_custom_status,
        }
        metadata = getattr(state, 'metadata', None)  # states that tests of apps make may lack it
        if metadata:
            result['metadata'] = metadata
        failure = state.failure_details
        if failure is not None:
            result['failure_details'] = {
                'message': failure.message,
                'error_type': failure.error_type,
                'stack_trace': failure.stack_trace,
            }
        return result
