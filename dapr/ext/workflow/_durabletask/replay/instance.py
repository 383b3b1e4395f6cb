"""One running workflow: the unit that is replayed, kept between turns, and thrown away.

Its life:
1. Made for one execution of one instance id; nothing has run.
2. `replay(events)`: the committed history, in order, in one or several pieces. The code runs and `is_replaying` is
   True. What it asks for is met by the history's own events.
3. `run(events)`: the new events of a turn; `is_replaying` is False. Returns what the code has asked for and the history
   has not confirmed: the turn's actions.
4. Then either it stands where it is (the next turn begins by replaying what was committed of this one, which only
   confirms it), or `close()`: the generator is closed, and whatever its `finally` blocks call has no effect, since
   actions are taken before.

Used by one thread at a time. What an event does is in `handlers`; what the code has done is in `context`.
"""

from __future__ import annotations

import contextvars
import inspect
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any

from dapr.ext.workflow._durabletask import forgotten_yield
from dapr.ext.workflow._durabletask.call_logging import current_call
from dapr.ext.workflow._durabletask.internal import helpers
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.metadata import opened
from dapr.ext.workflow._durabletask.propagation import PropagatedHistory
from dapr.ext.workflow._durabletask.replay import handlers
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext
from dapr.ext.workflow._durabletask.replay.errors import (
    OrchestratorNotRegisteredError,
    VersionNotRegisteredException,
    near_names,
)
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from dapr.ext.workflow._durabletask.task import SEEN, CompletableTask, Task


@dataclass(slots=True)
class ExecutionResults:
    """What a turn came to.

    Attributes:
        actions: What the sidecar is asked to do, in program order.
        encoded_custom_status: The custom status as it stands, or None.
        version_name: The version of the workflow that is running, or None when it has no versions.
        patches: Every patch that the code has met with True, in order, once for each time.
    """

    actions: list[pb.WorkflowAction]
    encoded_custom_status: str | None
    version_name: str | None = None
    patches: list[str] | None = None


class WorkflowInstance:
    """One execution of one workflow instance.

    Args:
        registry: The orchestrators that can be run.
        instance_id: The id of the workflow instance.
        context_type: What the code is given; a replay for a message may want to know more of its calls.
    """

    __slots__ = (
        '_awaited',
        '_early',
        '_generator',
        '_handlers',
        '_held_back',
        '_is_settling_early',
        '_is_started',
        '_is_version_missing',
        '_registry',
        '_variables',
        'context',
        'forgotten',
    )

    def __init__(
        self,
        registry: _Registry,
        instance_id: str,
        context_type: type[_RuntimeOrchestrationContext] = _RuntimeOrchestrationContext,
    ) -> None:
        self.context = context_type(instance_id, registry.payloads)
        self._registry = registry
        self._handlers = handlers.RUNNING
        self._generator: Generator[Task[Any], Any, Any] | None = None
        self._awaited: Task[Any] | None = None
        # What the code had asked for and never waited for when it ended: the first call's action, and the task.
        self.forgotten: list[tuple[int, Task[Any]]] = []
        self._is_started = False
        self._is_version_missing = False
        self._is_settling_early = False
        self._held_back: list[pb.HistoryEvent] = []
        self._early: dict[int, pb.HistoryEvent] = {}
        # The code's own context variables: it goes from thread to thread, and others run on these.
        self._variables = contextvars.copy_context()
        self._variables.run(current_call.set, self.context._for_loggers())  # for filters of loggers

    @property
    def is_ended(self) -> bool:
        """Whether the run has its completion (or cannot go on in this worker): no later turn can use this object."""
        return self.context._completion is not None or self._is_version_missing

    @property
    def last_action_id(self) -> int:
        """The id of what the code has asked for last; 0 when it has asked for nothing."""
        return self.context._sequence_number

    @property
    def version_name(self) -> str | None:
        """The version of the workflow that is running, or None when it has no versions."""
        return self.context._version_name

    @property
    def patches_met(self) -> list[str]:
        """Every patch that the code has met with True, in order, once for each time."""
        return list(self.context._patches_met)

    def replay(self, events: Iterable[pb.HistoryEvent]) -> None:
        """Takes the run through committed history."""
        self.context._is_replaying = True
        self._apply(events)

    def run(self, events: Iterable[pb.HistoryEvent]) -> ExecutionResults:
        """Takes the run through the new events of a turn, and says what the turn came to."""
        context = self.context
        context._is_replaying = False
        self._apply(events)
        is_suspended = self._handlers is handlers.SUSPENDED
        if not (self._is_started or self.is_ended or is_suspended):
            # Most likely it is scheduled for later, and an event has come before: to fail it would be for good.
            self.note(
                'There is no executionStarted in its history yet, so there is no workflow to run; events are kept for '
                'it. If it was started, the sidecar does not send all of its history: purge it and start it again.'
            )
        if context._completion is None and self._is_version_missing:
            actions = [helpers.new_workflow_version_not_available_action(1)]
        elif context._completion is None and is_suspended:
            actions = []
        else:
            try:
                actions = context.take_actions()
            except ValueError as error:
                self._end_failed(error)
                actions = context.take_actions()
        context.let_go_of_clock()
        return ExecutionResults(actions, context._encoded_custom_status, self.version_name, self.patches_met)

    def set_propagated_history(self, history: PropagatedHistory | None) -> None:
        """Makes the history that the caller has sent along known to the workflow's code."""
        self.context._propagated_history = history

    def take_notices(self) -> list[str]:
        """What was odd but harmless since the last call, for the log."""
        context = self.context
        notices, context._notices = context._notices, []
        return notices

    def close(self) -> BaseException | None:
        """Ends the generator. Its `finally` and `except GeneratorExit` blocks run; what they ask for goes nowhere.

        Returns:
            What the generator raised on closing, or None. A generator that yields on closing raises RuntimeError.
        """
        generator, self._generator = self._generator, None
        self._awaited = None
        if generator is None:
            return None
        self.context._is_replaying = True  # so that what the code guards with `not is_replaying` stays undone
        first_error: BaseException | None = None
        for _ in range(_CLOSE_ATTEMPTS):
            try:
                self._variables.run(generator.close)
                break
            except BaseException as error:
                first_error = first_error or error
        return first_error

    @property
    def generator(self) -> Generator[Task[Any], Any, Any] | None:
        """Its program, for whoever looks where it stands; None before it has begun and after its end."""
        return self._generator

    def holdings(self) -> tuple[object, ...]:
        """The objects of its own that keep it going between turns: what its memory is measured by."""
        return self._generator, self._awaited, self.context, self._held_back, self._early

    # What the handlers use

    def start(self, name: str, encoded_input: str | None) -> None:
        """Calls the orchestrator and runs it up to its first unfinished task. A second start has no effect."""
        if self._is_started:
            return
        self._is_started = True
        context = self.context
        context._workflow_name = name
        try:
            orchestrator, context._version_name = self._registry.get_orchestrator(name, context._version_name)
        except VersionNotRegisteredException:
            self._is_version_missing = True
            self._handlers = handlers.ENDED
            return
        if orchestrator is None:
            raise OrchestratorNotRegisteredError(
                f"A '{name}' orchestrator was not registered. Register the workflow with this worker before the worker "
                'starts, and check that the app that schedules it means this app.'
                + near_names(name, self._registry.workflow_names())
            )
        try:
            if encoded_input:
                encoded_input, metadata = opened(encoded_input)
                if metadata is not None:
                    context.take_inbound(metadata)
            decoded = self._registry.payloads.decode_input(orchestrator, encoded_input) if encoded_input else None
            result = orchestrator(context, decoded)
        except BaseException as error:
            self._end_failed(error)
            return
        if isinstance(result, Generator):
            self._generator = result
            self._awaited = _STARTING_POINT
            self.advance()
        elif inspect.iscoroutine(result) or inspect.isasyncgen(result):
            if inspect.iscoroutine(result):
                result.close()
            kind = 'a coroutine' if inspect.iscoroutine(result) else 'an async generator'
            raise TypeError(
                f"The orchestrator '{name}' returned {kind}, but it does not look like an async function, and was "
                "called with a generator's context: define it with 'async def' and without 'yield', use "
                'functools.wraps in what wraps it, or register it with add_async_orchestrator.'
            )
        else:
            self._end_with(result)

    def advance(self) -> None:
        """Runs the code for as long as what it waits for has ended."""
        generator, awaited = self._generator, self._awaited
        if generator is None or awaited is None or self._is_settling_early:
            return
        try:
            if self._early:
                self._settle_early()
            while awaited._is_complete:
                error = awaited._exception
                awaited = generator.send(awaited._result) if error is None else generator.throw(error)
                while not isinstance(awaited, Task) and self.context._completion is None:
                    awaited = generator.throw(_not_a_task(awaited))
                if self.context._completion is not None:  # it continues as new: what it yielded will never end
                    self.end()
                    return
                self._awaited = awaited
                if awaited._is_complete and awaited._parent is None:
                    awaited._parent = SEEN
                if self._early:
                    self._settle_early()
        except StopIteration as stop:
            result = stop.value
        except BaseException as failure:
            self._end_failed(failure)
            return
        else:
            return
        self._end_with(result)  # not above: what it raises has nothing to do with the StopIteration

    def end(self) -> None:
        """Takes note that the run has its completion: events do no more than `handlers.ENDED` says."""
        self._handlers = handlers.ENDED

    def suspend(self) -> None:
        """Holds back all events until the resume, and with them what the code has asked for and is not sent yet."""
        self._handlers = handlers.SUSPENDED
        for action in self.context._actions.values():
            action.let_go_of_clock(self.context.instance_id)

    def resume(self) -> None:
        """Takes the run through the events that were held back, in order."""
        self._handlers = handlers.RUNNING
        held_back, self._held_back = self._held_back, []
        self._apply_each(held_back)

    def hold_back(self, event: pb.HistoryEvent) -> None:
        """Keeps an event for the resume."""
        self._held_back.append(_copy(event))

    def keep_early(self, action_id: int, event: pb.HistoryEvent) -> None:
        """Keeps a resolution whose action the code has not asked for yet; one that was resolved before is dropped.

        A turn that was committed by a worker whose answer was lost can have results for what this run will ask for.
        """
        if action_id <= self.context._sequence_number or action_id in self._early:
            return
        self._early[action_id] = _copy(event)
        self.note(f'Ignoring unexpected {event.WhichOneof("eventType")} event with ID = {action_id}.')

    # Inside

    def _apply(self, events: Iterable[pb.HistoryEvent]) -> None:
        try:
            self._variables.run(self._apply_each, events)
        except Exception as error:
            self.context.drop_pending()
            self._end_failed(error)
        finally:
            leave = self.context._leave
            if leave is not None:
                leave()

    def _apply_each(self, events: Iterable[pb.HistoryEvent]) -> None:
        for event in events:
            # Looked up anew for each: an event can bring the run into another state.
            self._handlers[event.WhichOneof('eventType')](self, event)

    def _settle_early(self) -> None:
        early = self._early
        self._is_settling_early = True
        try:
            # One that is settled can bring about the next: a failure starts the wait before a retry.
            while settled := [action_id for action_id in early if action_id in self.context._unresolved]:
                for action_id in settled:
                    self._apply_each((early.pop(action_id),))
        finally:
            self._is_settling_early = False

    def _end_with(self, result: Any) -> None:
        context = self.context
        if context._completion is None:  # else it continues as new
            self.forgotten = [(number, task) for number, task in context.forgotten() if task is not result]
            if self.forgotten and forgotten_yield.mode() == 'error':
                context.set_failed(
                    forgotten_yield.ForgottenYieldError(
                        'The workflow ended without having waited for '
                        f"{', '.join(task.describe() for _, task in self.forgotten)}. Did you forget 'yield'?"
                    )
                )
        context.set_complete(result, pb.ORCHESTRATION_STATUS_COMPLETED)
        self.end()

    def _end_failed(self, error: BaseException) -> None:
        self.context.set_failed(error)
        self.end()

    def note(self, text: str) -> None:
        """Takes note of something odd but harmless, for the log; in replay, it was noted when it was new."""
        self.context.note(text)


def _starting_point() -> Task[Any]:
    task: CompletableTask[None] = CompletableTask()
    task.complete(None)
    return task


# A `finally` block that yields survives the first attempt, and ends at the next; the garbage collector would try again,
# and complain on stderr.
_CLOSE_ATTEMPTS = 10

# What a generator that has not begun waits for: something that has ended.
_STARTING_POINT = _starting_point()


def _not_a_task(yielded: object) -> TypeError:
    if isinstance(yielded, (list, tuple, set)) and yielded and all(isinstance(part, Task) for part in yielded):
        hint = 'To wait for all of them, yield when_all([...]); for the first of them, when_any([...]).'
    elif isinstance(yielded, Generator):
        hint = "To run a generator of yours as a part of the workflow, write 'yield from' instead of 'yield'."
    elif inspect.isawaitable(yielded):
        hint = "A generator cannot await: make it an activity, or write the workflow in 'async def'."
    else:
        hint = 'It must yield a task: what call_activity, create_timer, when_all and the like return.'
    return TypeError(
        f'The orchestrator generator yielded a non-Task object: a workflow yielded {yielded!r} '
        f'({type(yielded).__name__}). {hint}'
    )


def _copy(event: pb.HistoryEvent) -> pb.HistoryEvent:
    # A message that is kept keeps the whole request it came in; its copy does not.
    copy = pb.HistoryEvent()
    copy.CopyFrom(event)
    return copy
