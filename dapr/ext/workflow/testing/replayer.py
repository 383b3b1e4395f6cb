"""The replayer: finds out, before it is deployed, whether changed code can go on with running workflows.

It runs workflows from recorded histories, as a worker does that has lost them: without a sidecar, without activities,
on no thread but the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, overload

from dapr.ext.workflow._durabletask.aio.orchestrator import SandboxMode
from dapr.ext.workflow._durabletask.failures import NonDeterminismError
from dapr.ext.workflow._durabletask.propagation import PropagatedHistory
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from dapr.ext.workflow._durabletask.replay.retracing import Divergence, retrace
from dapr.ext.workflow.adapters import adapt_async_workflow, adapt_workflow
from dapr.ext.workflow.converter import DataConverter
from dapr.ext.workflow.intercepted import Interceptions
from dapr.ext.workflow.interceptors import RuntimeInterceptor, WorkflowOutboundInterceptor
from dapr.ext.workflow.naming import name_of
from dapr.ext.workflow.testing.histories import WorkflowHistory
from dapr.ext.workflow.values.payloads import payloads_of
from dapr.ext.workflow.workflow_runtime import WorkflowRuntime

__all__ = ['ReplayFailure', 'Replayer', 'WorkflowReplayError', 'WorkflowReplayResult', 'WorkflowReplayResults']

Workflow: TypeAlias = Callable[..., Any]
Workflows: TypeAlias = Iterable[Workflow | WorkflowRuntime] | Mapping[str, Workflow]


@dataclass(frozen=True)
class ReplayFailure:
    """Why a history cannot be replayed: where the code leaves it, what stands there, and what the code does.

    Its text says it all to a reader.

    Attributes:
        instance_id: The id of the workflow instance.
        workflow_name: The workflow's name.
        event_index: The place in the history, from 0, of the event at which the code leaves it. For a call that the
            history does not have: of the event that made the code do it.
        event_id: The id of that event; -1 where the sidecar gives none.
        event_type: Its kind, such as 'taskScheduled'.
        event_count: How many events the history has.
        action_id: The id of the call that it is about; None where it is about none. The calls of a run are counted from
            1, in the order in which the code makes them.
        recorded: What the history has: the call, its name, its input.
        replayed: What the code did.
        source: The line of code, as file:line; None where it is not known. It is the line of the call; where there was
            none, the one that the code stands at.
        error: What the code raised, when that is what went wrong.
    """

    instance_id: str
    workflow_name: str
    event_index: int
    event_id: int
    event_type: str
    event_count: int
    action_id: int | None
    recorded: str
    replayed: str
    source: str | None
    error: BaseException | None = None

    def __str__(self) -> str:
        call = '' if self.action_id is None else f', call {self.action_id}'
        lines = [
            f"The code of the workflow '{self.workflow_name}' cannot replay instance '{self.instance_id}': it leaves "
            f'the history at event {self.event_index + 1} of {self.event_count} ({self.event_type}{call}).',
            f'  history: {self.recorded}',
            f'  code:    {self.replayed}',
        ]
        if self.source is not None:
            lines.append(f'  line:    {self.source}')
        if self.error is None:
            lines.append(
                'A workflow must do the same in every replay. Guard a change with is_patched or a new version while '
                'instances of the former code run; what is random, or changes outside, belongs in an activity.'
            )
        return '\n'.join(lines)


class WorkflowReplayError(NonDeterminismError):
    """A history cannot be replayed by the code that there is.

    Attributes:
        failures: Why, one for each such history.

    Args:
        failures: Why.
    """

    def __init__(self, failures: Sequence[ReplayFailure]) -> None:
        super().__init__('\n\n'.join(map(str, failures)))
        self.failures = tuple(failures)

    def __reduce__(self) -> tuple[type[WorkflowReplayError], tuple[tuple[ReplayFailure, ...]]]:
        return type(self), (self.failures,)


@dataclass(frozen=True)
class WorkflowReplayResult:
    """What came of replaying a history.

    Attributes:
        history: The history.
        replay_failure: Why it cannot be replayed; None when it can.
    """

    history: WorkflowHistory
    replay_failure: ReplayFailure | None

    @property
    def is_successful(self) -> bool:
        """Whether the code can replay the history."""
        return self.replay_failure is None


class WorkflowReplayResults(Sequence[WorkflowReplayResult]):
    """What came of replaying several histories, in their order.

    Args:
        results: The results.
    """

    def __init__(self, results: Iterable[WorkflowReplayResult]) -> None:
        self._results = tuple(results)

    @overload
    def __getitem__(self, index: int) -> WorkflowReplayResult: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[WorkflowReplayResult, ...]: ...
    def __getitem__(self, index: int | slice) -> WorkflowReplayResult | tuple[WorkflowReplayResult, ...]:
        return self._results[index]

    def __len__(self) -> int:
        return len(self._results)

    @property
    def replay_failures(self) -> Mapping[str, ReplayFailure]:
        """Why those that failed cannot be replayed, by the id of the instance."""
        return {
            result.history.instance_id: result.replay_failure
            for result in self._results
            if result.replay_failure is not None
        }


class Replayer:
    """Replays recorded histories with the workflows that there are now.

        replayer = Replayer(workflows=[order])
        replayer.replay_workflow(WorkflowHistory.from_file('histories/order-17.json'))

    It is stricter than a worker: what a worker finds when the next calls do not fit, or never, is told at the event at
    which the code leaves the history. That is another call, or the same of another name, a call that was added, removed
    or moved, a timer or a wait for another event, an end that comes too early, too late or in another way, and patches
    that are not asked for any more. How long a timer is, and inputs and results, may change.

    Of a workflow that still runs there is only a part of the history: what the code does beyond it is not looked at.

    Args:
        workflows: The workflows, by functions, or by names and functions; of a `WorkflowRuntime` among them all that is
            registered with it. Versions of a workflow: see `register_versioned_workflow`.
        data_converter: As of `WorkflowRuntime`. None (default): `JsonDataConverter`; and for what comes from a runtime,
            that runtime's.
        runtime_interceptors: As of `WorkflowRuntime`; for what is given as functions. Default: nothing.
        outbound_interceptors: Likewise.
        compare_payloads: Whether the inputs of calls, and results, must be the same as in the history. Default: False.

    Raises:
        ValueError: Two workflows have one name, or one has none.
        TypeError: One is no function.
    """

    def __init__(
        self,
        workflows: Workflows = (),
        *,
        data_converter: DataConverter | None = None,
        runtime_interceptors: Sequence[RuntimeInterceptor[Any, Any]] | None = None,
        outbound_interceptors: Sequence[WorkflowOutboundInterceptor[Any, Any]] | None = None,
        compare_payloads: bool = False,
    ) -> None:
        self._registry = _Registry(payloads_of(data_converter))
        self._has_converter = data_converter is not None
        self._interceptions = Interceptions(runtime_interceptors, outbound_interceptors)
        self._compare_payloads = compare_payloads
        if isinstance(workflows, Mapping):
            for name, workflow in workflows.items():
                self.register_workflow(workflow, name=name)
            return
        for each in workflows:
            if isinstance(each, WorkflowRuntime):
                self.register_all_of(each)
            else:
                self.register_workflow(each)

    def register_workflow(self, fn: Workflow, *, name: str | None = None) -> None:
        """Adds a workflow; see `WorkflowRuntime.register_workflow`."""
        self._registry.add_named_orchestrator(_name(fn, name), adapt_workflow(fn, self._interceptions))

    def register_async_workflow(
        self, fn: Workflow, *, name: str | None = None, sandbox_mode: SandboxMode = 'off'
    ) -> None:
        """Adds an async workflow; see `WorkflowRuntime.register_async_workflow`."""
        adapted = adapt_async_workflow(fn, sandbox_mode, self._interceptions)
        self._registry.add_named_orchestrator(_name(fn, name), adapted)

    def register_versioned_workflow(
        self, fn: Workflow, *, name: str, version_name: str | None = None, is_latest: bool
    ) -> None:
        """Adds one version of a workflow; see `WorkflowRuntime.register_versioned_workflow`."""
        self._registry.add_named_orchestrator(
            _name(fn, name), adapt_workflow(fn, self._interceptions), version_name or name_of(fn), is_latest
        )

    def register_all_of(self, runtime: WorkflowRuntime) -> None:
        """Adds all workflows, and all versions of them, that are registered with a runtime."""
        self._registry.copy_from(runtime._registry)
        if not self._has_converter:
            self._registry.payloads = runtime._registry.payloads

    @property
    def workflow_names(self) -> frozenset[str]:
        """The names of the workflows that there are."""
        return frozenset(self._registry.workflow_names())

    def replay_workflow(self, history: WorkflowHistory, raise_on_replay_failure: bool = True) -> WorkflowReplayResult:
        """Replays a history.

        Args:
            history: The history.
            raise_on_replay_failure: Whether a failure is raised (default), or given in the result.

        Raises:
            WorkflowReplayError: The code cannot replay the history; the message says where it leaves it.
            ValueError: What the caller has sent along to the workflow cannot be read.
        """
        result = self._replayed(history)
        if raise_on_replay_failure and result.replay_failure is not None:
            raise WorkflowReplayError([result.replay_failure]) from result.replay_failure.error
        return result

    def replay_workflows(
        self, histories: Iterable[WorkflowHistory], raise_on_replay_failure: bool = False
    ) -> WorkflowReplayResults:
        """Replays several histories, all of them, whether some fail or not.

        Args:
            histories: The histories.
            raise_on_replay_failure: Whether failures are raised, once all are replayed. Default: False, they are given
                in the results.

        Raises:
            WorkflowReplayError: As for `replay_workflow`.
        """
        results = WorkflowReplayResults(map(self._replayed, histories))
        if raise_on_replay_failure and results.replay_failures:
            raise WorkflowReplayError([result.replay_failure for result in results if result.replay_failure])
        return results

    def _replayed(self, history: WorkflowHistory) -> WorkflowReplayResult:
        retraced = retrace(
            self._registry,
            history.instance_id,
            history.events,
            PropagatedHistory.from_proto(history.propagated_history),
            compare_payloads=self._compare_payloads,
        )
        divergence = retraced.divergence
        return WorkflowReplayResult(history, None if divergence is None else _failure(history, divergence))


def _failure(history: WorkflowHistory, divergence: Divergence) -> ReplayFailure:
    event = history.events[divergence.index]
    return ReplayFailure(
        instance_id=history.instance_id,
        workflow_name=history.workflow_name,
        event_index=divergence.index,
        event_id=event.eventId,
        event_type=event.WhichOneof('eventType') or 'unknown',
        event_count=len(history),
        action_id=divergence.action_id,
        recorded=divergence.recorded,
        replayed=divergence.replayed,
        source=divergence.site,
        error=divergence.error,
    )


def _name(fn: Workflow, name: str | None) -> str:
    if isinstance(fn, type) or not callable(fn):
        raise TypeError(f'A workflow is a function, not {fn!r}.')
    return name or name_of(fn)
