"""What a client tells of an orchestration: its state, its status, its failure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, cast

from google.protobuf import wrappers_pb2

from dapr.ext.workflow._durabletask.failures import FailureDetails, remade
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.metadata import metadata_of, payload_of


class OrchestrationStatus(Enum):
    """How an orchestration stands. The values are those of the wire."""

    RUNNING = pb.ORCHESTRATION_STATUS_RUNNING
    COMPLETED = pb.ORCHESTRATION_STATUS_COMPLETED
    CONTINUED_AS_NEW = pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW
    FAILED = pb.ORCHESTRATION_STATUS_FAILED
    CANCELED = pb.ORCHESTRATION_STATUS_CANCELED
    TERMINATED = pb.ORCHESTRATION_STATUS_TERMINATED
    PENDING = pb.ORCHESTRATION_STATUS_PENDING
    SUSPENDED = pb.ORCHESTRATION_STATUS_SUSPENDED
    STALLED = pb.ORCHESTRATION_STATUS_STALLED

    def __str__(self) -> str:
        return self.name

    @classmethod
    def _missing_(cls, value: object) -> OrchestrationStatus | None:
        # A newer sidecar may know more: such a status is one like the others, with a name that says so.
        if not isinstance(value, int):
            return None
        member = object.__new__(cls)
        member._name_ = f'UNKNOWN_{value}'
        member._value_ = cast('Any', value)
        # Kept, so that there is one of each.
        return cast('OrchestrationStatus', cls._value2member_map_.setdefault(value, member))


class OrchestrationIdReuseAction(Enum):
    """What is to happen when an instance id is taken. See `WorkflowIdReusePolicy`."""

    ERROR = 0
    IGNORE = 1
    TERMINATE = 2


@dataclass
class WorkflowIdReusePolicy:
    """What is to happen when an instance id is taken. Kept for callers that pass one: the wire has no place for it.

    Sidecars refuse the id of an instance that is running, and replace one that has ended.

    Attributes:
        action: What is to happen.
        operation_status: With instances in which states.
    """

    action: OrchestrationIdReuseAction
    operation_status: list[OrchestrationStatus]


class OrchestrationFailedError(Exception):
    """Raised by `WorkflowState.raise_if_failed`.

    Args:
        message: The message of this error.
        failure_details: What is known of the failure.
    """

    def __init__(self, message: str, failure_details: FailureDetails) -> None:
        super().__init__(message)
        self._failure_details = failure_details

    def __reduce__(self) -> tuple[Any, ...]:
        return remade, (type(self), self.args, self.__dict__)

    @property
    def failure_details(self) -> FailureDetails:
        """What is known of the failure."""
        return self._failure_details


@dataclass
class WorkflowState:
    """An orchestration as its sidecar describes it.

    Attributes:
        instance_id: Its instance id.
        name: Its name; '' until one that is scheduled for later has started.
        runtime_status: How it stands.
        created_at: When it was created (naive, UTC); the epoch until then.
        last_updated_at: When it last changed (naive, UTC); the epoch when it has not.
        serialized_input: Its input as JSON; None when there is none or none was fetched.
        serialized_output: Its output as JSON; None when there is none or none was fetched.
        serialized_custom_status: Its custom status as the orchestrator set it; None when there is none.
        failure_details: Why it failed; None when it has not, or the sidecar does not say.
        metadata: What it was started with beside its input; empty when there is none, or no input was fetched.
    """

    instance_id: str
    name: str
    runtime_status: OrchestrationStatus
    created_at: datetime
    last_updated_at: datetime
    serialized_input: str | None
    serialized_output: str | None
    serialized_custom_status: str | None
    failure_details: FailureDetails | None
    metadata: dict[str, str] = field(default_factory=dict)

    def raise_if_failed(self) -> None:
        """Raises the failure of an orchestration that failed; does nothing otherwise.

        Raises:
            OrchestrationFailedError: It has failed.
        """
        details = self.failure_details
        if details is None and self.runtime_status is OrchestrationStatus.FAILED:
            details = FailureDetails('the sidecar sent no details', '', None)
        if details is not None:
            told = (
                f'{details.full_message} ({details.error_type})'
                if details.message and details.error_type
                else details.message or f'{details.error_type} without a message'
            )
            raise OrchestrationFailedError(f"Orchestration '{self.instance_id}' failed: {told}", details)


def new_orchestration_state(instance_id: str, res: pb.GetInstanceResponse) -> WorkflowState | None:
    """Reads the state of an instance.

    Args:
        instance_id: The id that was asked for.
        res: The answer.

    Returns:
        The state, or None when there is no such instance.
    """
    if not res.exists:
        return None
    state = res.workflowState
    failure = state.failureDetails
    details = None
    if failure.errorMessage or failure.errorType:
        details = FailureDetails.from_proto(failure)
    encoded_input = _value(state.input)
    return WorkflowState(
        instance_id=instance_id,
        name=state.name,
        runtime_status=OrchestrationStatus(state.workflowStatus),
        created_at=state.createdTimestamp.ToDatetime(),
        last_updated_at=state.lastUpdatedTimestamp.ToDatetime(),
        serialized_input=payload_of(encoded_input),
        serialized_output=_value(state.output),
        serialized_custom_status=_value(state.customStatus),
        failure_details=details,
        metadata=metadata_of(encoded_input),
    )


def _value(wrapper: wrappers_pb2.StringValue) -> str | None:
    return wrapper.value or None
