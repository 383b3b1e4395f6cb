"""What a running orchestrator can ask about its run: what it is, when, and which patches it has met."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from dapr.ext.workflow._durabletask.contexts import OrchestrationContext
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.internal.arguments import wrong_type
from dapr.ext.workflow._durabletask.metadata import WorkflowExecutionInfo, checked
from dapr.ext.workflow._durabletask.propagation import PropagatedHistory
from dapr.ext.workflow._durabletask.replay.actions import logical_time

__all__ = ['RunFacts']


class RunFacts(OrchestrationContext):
    """The part of a run's context that the events of its history set, and its code reads.

    Args:
        instance_id: The id of the workflow instance.
    """

    # The id of what the code has asked for last.
    _sequence_number: int

    # Of the class: most workflows have none. What it was started with, and what goes with its calls.
    _inbound_metadata: dict[str, str] | None = None
    _metadata: dict[str, str] | None = None

    def __init__(self, instance_id: str) -> None:
        self._instance_id = instance_id
        self._is_replaying = True
        # The event that set the logical time, and that time, once it was asked for: most times of a history never are.
        self._clock = pb.HistoryEvent()
        self._now: datetime | None = None
        self._app_id: str | None = None
        self._parent_instance_id: str | None = None
        self._propagated_history: PropagatedHistory | None = None
        self._workflow_name = ''
        self._execution_id = ''
        self._trace_parent = self._trace_state = self._workflow_span_id = ''
        self._version_name: str | None = None
        self._recorded_patches: set[str] = set()
        self._patch_answers: dict[str, bool] = {}
        self._patches_met: list[str] = []

    @property
    def instance_id(self) -> str:
        return self._instance_id

    @property
    def app_id(self) -> str:
        """The Dapr app that runs the workflow, or '' when the sidecar did not say."""
        return self._app_id or ''

    @property
    def current_utc_datetime(self) -> datetime:
        now = self._now
        if now is None:
            now = self._now = logical_time(self._clock)
        return now

    @current_utc_datetime.setter
    def current_utc_datetime(self, value: datetime) -> None:
        self._clock = pb.HistoryEvent()
        self._clock.timestamp.FromDatetime(value)
        self._now = value

    @property
    def is_replaying(self) -> bool:
        return self._is_replaying

    @property
    def workflow_name(self) -> str:
        """The name that the workflow was started by; '' before its start."""
        return self._workflow_name

    @property
    def parent_instance_id(self) -> str | None:
        return self._parent_instance_id

    @property
    def execution_id(self) -> str:
        """The id of this run: another one after `continue_as_new`; '' when the sidecar did not say."""
        return self._execution_id

    @property
    def trace_parent(self) -> str | None:
        return self._trace_parent or None

    @property
    def trace_state(self) -> str | None:
        return self._trace_state or None

    @property
    def workflow_span_id(self) -> str | None:
        return self._workflow_span_id or None

    @property
    def run_trace_parent(self) -> str:
        """The sidecar's span of this run, as a traceparent header; its caller's where the sidecar does not tell its
        own, '' where nothing is traced."""
        parts = self._trace_parent.split('-')
        if len(parts) != 4 or len(self._workflow_span_id) != 16:
            return self._trace_parent
        return f'{parts[0]}-{parts[1]}-{self._workflow_span_id}-{parts[3]}'

    def log_fields(self) -> dict[str, object]:
        return {
            'workflow_name': self._workflow_name,
            'instance_id': self._instance_id,
            'execution_id': self._execution_id,
        }

    @property
    def execution_info(self) -> WorkflowExecutionInfo:
        return WorkflowExecutionInfo(
            self._instance_id,
            self._workflow_name,
            self._is_replaying,
            self._sequence_number,
            dict(self._inbound_metadata or ()),
            self._parent_instance_id,
            self.trace_parent,
            self.trace_state,
            self.workflow_span_id,
        )

    def set_metadata(self, metadata: Mapping[str, str] | None) -> None:
        self._metadata = None if metadata is None else checked(metadata) or None

    def get_metadata(self) -> dict[str, str]:
        return dict(self._metadata or ())

    def take_inbound(self, metadata: dict[str, str]) -> None:
        """Takes note of what the run was started with: it goes on with what the run calls, unless the code sets
        other."""
        self._inbound_metadata = metadata
        self._metadata = metadata or None

    def get_propagated_history(self) -> PropagatedHistory | None:
        return self._propagated_history

    def is_patched(self, patch_name: str) -> bool:
        if not isinstance(patch_name, str):
            raise wrong_type('patch_name', patch_name, 'a str')
        answer = self._patch_answers.get(patch_name)
        if answer is None:
            answer = patch_name in self._recorded_patches or not self._is_replaying
            self._patch_answers[patch_name] = answer
        if answer:
            # Once for each call: sidecars hold the list against the one in the history, which says it that often.
            self._patches_met.append(patch_name)
        return answer

    def let_go_of_clock(self) -> None:
        """Keeps the logical time without the event that set it, which keeps the whole request that it came in."""
        clock = pb.HistoryEvent()
        clock.timestamp.CopyFrom(self._clock.timestamp)
        self._clock = clock
