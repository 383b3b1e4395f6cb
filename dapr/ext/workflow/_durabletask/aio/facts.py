"""What an async workflow can ask about itself, and takes from its context so that each replay gives the same."""

from __future__ import annotations

import logging
import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from dapr.ext.workflow._durabletask.call_logging import CallLogger
from dapr.ext.workflow._durabletask.metadata import WorkflowExecutionInfo
from dapr.ext.workflow._durabletask.propagation import PropagatedHistory
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext

T = TypeVar('T')


@dataclass(frozen=True)
class WorkflowInfo:
    """What a workflow is and where it stands, as it was when it was asked for.

    Attributes:
        instance_id: The id of the instance.
        workflow_name: The name that the workflow is registered by.
        parent_instance_id: The id of the workflow that started it as its child, or None.
        current_utc_datetime: The logical time (naive, UTC).
        is_replaying: Whether the code that asked has run before.
        is_suspended: Whether the workflow is suspended: never, while its code runs.
        history_event_sequence: The id of what it has asked for last; 0 when it has asked for nothing.
        version_name: The version of the workflow, or None when it has no versions.
        inbound_metadata: The metadata that it was started with; empty: none.
    """

    instance_id: str
    workflow_name: str
    parent_instance_id: str | None
    current_utc_datetime: datetime
    is_replaying: bool
    is_suspended: bool
    history_event_sequence: int
    version_name: str | None
    inbound_metadata: dict[str, str] = field(default_factory=dict)


class Facts:
    """The part of an async workflow's context that tells of the run; it is all the engine's context's to know."""

    __slots__ = ()

    _context: _RuntimeOrchestrationContext

    @property
    def instance_id(self) -> str:
        """The id of the workflow instance."""
        return self._context.instance_id

    @property
    def workflow_name(self) -> str:
        """The name that the workflow is registered by."""
        return self._context.workflow_name

    @property
    def execution_id(self) -> str:
        """The id of this run: another one after `continue_as_new`; '' when the sidecar did not say."""
        return self._context.execution_id

    @property
    def logger(self) -> CallLogger:
        """A logger for the workflow's code: silent in replay, so that each line is logged once.

        Its records go to `dapr.workflow.workflow`, with `workflow_name`, `instance_id` and `execution_id`.
        """
        return self._context.logger

    def create_replay_safe_logger(self, logger: logging.Logger | logging.LoggerAdapter[Any]) -> CallLogger:
        """A logger of the app's, made silent in replay; its records have the same fields as those of `logger`."""
        return self._context.create_replay_safe_logger(logger)

    @property
    def trace_parent(self) -> str | None:
        """The span that the workflow was started from, as a W3C `traceparent`; None where nothing is traced."""
        return self._context.trace_parent

    @property
    def trace_state(self) -> str | None:
        """The W3C `tracestate` that goes with it, or None."""
        return self._context.trace_state

    @property
    def workflow_span_id(self) -> str | None:
        """The id of the sidecar's span of this run, as 16 hexadecimal digits, or None. Where OpenTelemetry is set up,
        that span is the current one in the workflow's code, to be read: what is set on it goes nowhere."""
        return self._context.workflow_span_id

    @property
    def orchestration_span_id(self) -> str | None:
        """The same as `workflow_span_id`."""
        return self.workflow_span_id

    @property
    def execution_info(self) -> WorkflowExecutionInfo:
        """What the workflow is and what it was started with, `inbound_metadata` among it, as it is now."""
        return self._context.execution_info

    def set_metadata(self, metadata: Mapping[str, str] | None) -> None:
        """Sets what goes with the inputs of the calls that follow, as headers go with a request: activities, child
        workflows, workflows that are started and the next run find it in their `execution_info`.

        What the workflow itself was started with is set to begin with. Workers of other libraries are given the
        input within an envelope where there is metadata: see the guide.

        Args:
            metadata: In place of what was set; None or {}: nothing goes along. Data converters do not see it, so it
                travels in the clear.

        Raises:
            TypeError: It is no mapping of str to str.
        """
        self._context.set_metadata(metadata)

    def get_metadata(self) -> dict[str, str]:
        """A copy of what goes with calls; empty: nothing."""
        return self._context.get_metadata()

    def set_headers(self, metadata: Mapping[str, str] | None) -> None:
        """The same as `set_metadata`."""
        self.set_metadata(metadata)

    def get_headers(self) -> dict[str, str]:
        """The same as `get_metadata`."""
        return self.get_metadata()

    @property
    def parent_instance_id(self) -> str | None:
        """The id of the workflow that started this one as its child, or None."""
        return self._context._parent_instance_id

    @property
    def app_id(self) -> str:
        """The Dapr app that runs the workflow, or '' when the sidecar did not say."""
        return self._context.app_id

    @property
    def current_utc_datetime(self) -> datetime:
        """The logical time (naive, UTC); it only moves when the workflow is given new events."""
        return self._context.current_utc_datetime

    @property
    def is_replaying(self) -> bool:
        """Whether the code that is running now has run before."""
        return self._context.is_replaying

    @property
    def is_suspended(self) -> bool:
        """Whether the workflow is suspended. Its code does not run then, so it sees False."""
        return False

    @property
    def history_event_sequence(self) -> int:
        """The id of what the workflow has asked for last, which its event in the history has; 0 before that."""
        return self._context._sequence_number

    @property
    def info(self) -> WorkflowInfo:
        """All of this as it is now."""
        return WorkflowInfo(
            self.instance_id,
            self.workflow_name,
            self.parent_instance_id,
            self.current_utc_datetime,
            self.is_replaying,
            self.is_suspended,
            self.history_event_sequence,
            self._context._version_name,
            dict(self._context._inbound_metadata or ()),
        )

    def get_propagated_history(self) -> PropagatedHistory | None:
        """The history that the caller of this workflow has sent along, or None."""
        return self._context.get_propagated_history()

    # The same in every replay

    def now(self) -> datetime:
        """The logical time (naive, UTC)."""
        return self._context.now()

    def random(self) -> random.Random:
        """The run's stream of pseudo-random numbers: the same object, further along, at each call."""
        return self._context.random()

    def random_int(self, min_value: int = 0, max_value: int = 2**31 - 1) -> int:
        """A pseudo-random integer in [min_value, max_value]."""
        return self._context.random_int(min_value, max_value)

    def random_string(self, length: int, *, alphabet: str | None = None) -> str:
        """A pseudo-random string; by default of ASCII letters and digits."""
        return self._context.random_string(length, alphabet=alphabet)

    def random_choice(self, sequence: Sequence[T]) -> T:
        """A pseudo-random element of a sequence."""
        return self._context.random_choice(sequence)

    def uuid4(self) -> uuid.UUID:
        """A new UUID, different at each call, the same in each replay."""
        return self._context.uuid4()

    def new_guid(self) -> uuid.UUID:
        """The same as `uuid4`."""
        return self._context.uuid4()
