"""Holds a workflow's code against a whole history, and finds the place where it leaves it. Pure.

A worker finds out that a workflow's code was changed when an event meets an action that is another one. That is late
or never: a call that was added, a wait for another event, or an end that comes too early shows when the ids of what
follows are off, or the instance hangs. For a test the history has more to say, since a sidecar commits it turn by turn:
what stands after the events that a turn began with is all that the code asked for in it. So here, beside all that the
worker checks:

- a timer must be for the same: the same event, an attempt of the same kind, or the code's own;
- what the code asks for in a turn must be in that turn, unless the workflow is suspended or the turn stalled;
- the run must end in the turn in which the history says so, and in the same way;
- the patches that the history has must be met, as a sidecar checks it.

An instance that runs again from one of its events begins with a copy, in which calls stand where they ended: what its
turns have is looked at from that event on.

The last turn of a history that goes on may be cut anywhere: what the code asks for beyond it is what a worker would
send in its next turn, and is no fault. Waits without a limit may lack their timer, as in histories of older sidecars,
until the first that has one.
"""

from __future__ import annotations

import contextlib
import json
import sysconfig
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.internal.payloads import PLAIN, Payloads
from dapr.ext.workflow._durabletask.internal.timer import is_optional_timer_event
from dapr.ext.workflow._durabletask.propagation import PropagatedHistory
from dapr.ext.workflow._durabletask.replay import handlers
from dapr.ext.workflow._durabletask.replay.actions import Action, Awaited, CreateTimer, Message
from dapr.ext.workflow._durabletask.replay.errors import OrchestratorNotRegisteredError
from dapr.ext.workflow._durabletask.replay.instance import WorkflowInstance
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from dapr.ext.workflow._durabletask.replay.sites import SiteRecordingContext, is_own_file
from dapr.ext.workflow._durabletask.replay.standing import standing
from dapr.ext.workflow._durabletask.replay.telling import payload_of, tell_action, tell_end, tell_event
from dapr.ext.workflow._durabletask.task import TimerTask

_CONFIRMATIONS: Final = frozenset(
    {
        'taskScheduled',
        'timerCreated',
        'childWorkflowInstanceCreated',
        'detachedWorkflowInstanceCreated',
        'eventSent',
    }
)
# Those that a run can begin at again.
_RERUN_AT: Final = ('taskScheduled', 'timerCreated', 'childWorkflowInstanceCreated')
_LIBRARIES: Final = tuple(
    path for name in ('stdlib', 'platstdlib', 'purelib', 'platlib') if (path := sysconfig.get_paths().get(name))
)


@dataclass(frozen=True)
class Divergence:
    """Where a workflow's code leaves a history.

    Attributes:
        index: The place of the event in the history, from 0.
        action_id: The id of the call that it is about; None where it is about none.
        recorded: What the history has there.
        replayed: What the code did instead.
        site: The line of code that did it, as file:line; None where it is not known.
        error: What the code raised, where it failed in place of doing what the history has.
    """

    index: int
    action_id: int | None
    recorded: str
    replayed: str
    site: str | None
    error: BaseException | None = None


@dataclass(frozen=True)
class Retraced:
    """What came of holding a workflow's code against a history.

    Attributes:
        divergence: Where the code leaves it; None when it does not.
        version_name: The version of the workflow that was run, or None when it has no versions.
    """

    divergence: Divergence | None
    version_name: str | None


def retrace(
    registry: _Registry,
    instance_id: str,
    events: Sequence[pb.HistoryEvent],
    propagated_history: PropagatedHistory | None = None,
    *,
    compare_payloads: bool = False,
) -> Retraced:
    """Replays a history, turn by turn as it was committed, and holds what the code does against it.

    Args:
        registry: The workflows.
        instance_id: The id of the instance.
        events: Its history, or as much of it as there is.
        propagated_history: The history that its caller has sent along, or None.
        compare_payloads: Whether inputs and results must be the same, too. A worker does not ask for that.
    """
    run = _Run(registry, instance_id, events, compare_payloads)
    run.set_propagated_history(propagated_history)
    try:
        for turn in _turns(events):
            run.take_turn(turn)
            if run.divergence is not None:
                break
        return Retraced(run.divergence, run.version_name)
    finally:
        with contextlib.suppress(Exception):
            run.close()


def _turns(events: Sequence[pb.HistoryEvent]) -> list[range]:
    """The turns of a history, by the places of their events."""
    starts = [place for place, event in enumerate(events) if event.HasField('workflowStarted')]
    bounds = [0, *(place for place in starts if place), len(events)]
    return [range(first, last) for first, last in pairwise(bounds)]


class _Context(SiteRecordingContext):
    """A context that keeps the error that the run ended with."""

    def __init__(self, instance_id: str, payloads: Payloads = PLAIN) -> None:
        super().__init__(instance_id, payloads)
        self.error: BaseException | None = None

    def set_failed(self, error: BaseException) -> None:
        if self._completion is None:
            self.error = error
        super().set_failed(error)


class _Run(WorkflowInstance):
    """A workflow that is held against its history as it runs."""

    __slots__ = (
        '_checked_to',
        '_compare_payloads',
        '_confirmed',
        '_copied_to',
        '_events',
        '_held_places',
        '_made_at',
        '_patches',
        '_place',
        '_released',
        '_stood_at',
        'divergence',
    )

    context: _Context

    def __init__(
        self, registry: _Registry, instance_id: str, events: Sequence[pb.HistoryEvent], compare_payloads: bool
    ) -> None:
        super().__init__(registry, instance_id, _Context)
        self.divergence: Divergence | None = None
        self._events = events
        self._compare_payloads = compare_payloads
        self._place = 0
        # The places of the events that are held back, and of those that are let go one by one.
        self._held_places: list[int] = []
        self._released: deque[int] = deque()
        # By action: the place of the event at which the code asked for it.
        self._made_at: dict[int, int] = {}
        self._confirmed: set[int] = set()
        self._patches: list[str] = []
        self._checked_to = 0
        self._copied_to = next((place for place, event in enumerate(events) if _is_run_again(event)), -1)
        self._stood_at: str | None = None

    # A turn

    def take_turn(self, turn: range) -> None:
        """Takes the run through one turn, and looks at what is left of it at its end."""
        self._stood_at = self._standing() or self._stood_at
        had_ended = self.context._completion is not None
        for place in turn:
            self._place = place
            self.replay((self._events[place],))
            if self.divergence is not None:
                return
        is_last = turn.stop == len(self._events)
        events = self._events[turn.start : turn.stop]
        if self._handlers is handlers.SUSPENDED or any(event.HasField('executionStalled') for event in events):
            return
        if self._is_version_missing:
            return
        if not is_last or any(event.HasField('executionCompleted') for event in events):
            self._check_patches(turn)
        if self.divergence is None and not had_ended and turn.start > self._copied_to:
            self._check_rest(turn, is_last)

    def _check_patches(self, turn: range) -> None:
        """Daprd writes on a turn the patches that were new in it; sidecars of the Go library, all that there are."""
        met = self.context._patches_met
        told = [name for place in self._unchecked(turn) for name in self._events[place].workflowStarted.version.patches]
        for known in ([*self._patches, *told], told or self._patches):
            if met[: len(known)] == known:
                self._patches = known
                return
        self._diverge(
            turn.start,
            None,
            f'the patches {_listed([*self._patches, *told])}, in the order in which the code asked is_patched for them',
            f'is_patched was True for {_listed(met)}',
            self._standing() or self._stood_at,
        )

    def _unchecked(self, turn: range) -> range:
        """The turn, and those before it in which the workflow was suspended."""
        unchecked = range(self._checked_to, turn.stop)
        self._checked_to = turn.stop
        return unchecked

    def _check_rest(self, turn: range, is_last: bool) -> None:
        """What the code asked for, or came to, that is not in the turn."""
        context = self.context
        if context._completion is not None:
            ended = any(self._events[place].HasField('executionCompleted') for place in turn)
            # Messages of the code's take one more turn before it goes on as new.
            if not (ended or is_last or context.last_timer_id in self._confirmed):
                self._diverge(turn.stop, None, self._what_follows(turn.stop), self._told_end(), self._end_site())
            return
        if is_last:
            return
        for action_id, action in context._actions.items():
            if action.optional and not self._knows_optional_timers(turn.stop):
                continue
            place = self._made_at.get(action_id, turn.stop - 1)
            self._diverge(
                place,
                action_id,
                'no such call in this turn',
                tell_action(action, context.instance_id),
                self._site_of(action_id, action),
            )
            return

    def _what_follows(self, place: int) -> str:
        for event in self._events[place:]:
            if not event.HasField('workflowStarted'):
                return f'{tell_event(event, self._events)}: the workflow goes on'
        return 'another turn: the workflow goes on'

    def _knows_optional_timers(self, stop: int) -> bool:
        return any(is_optional_timer_event(event) for event in self._events[:stop])

    # An event

    def hold_back(self, event: pb.HistoryEvent) -> None:
        super().hold_back(event)
        self._held_places.append(self._place)

    def resume(self) -> None:
        place, self._released, self._held_places = self._place, deque(self._held_places), []
        super().resume()
        self._place = place

    def _apply_each(self, events: Iterable[pb.HistoryEvent]) -> None:
        for event in events:
            if self.divergence is not None:
                return
            if self._released and not self._is_settling_early:
                self._place = self._released.popleft()
            self._apply_one(event)

    def _apply_one(self, event: pb.HistoryEvent) -> None:
        context, kind = self.context, event.WhichOneof('eventType')
        place, last_id, held = self._place, self.last_action_id, len(self._held_back)
        before = self._pending_at(event.eventId) if kind in _CONFIRMATIONS else {}
        had_ended = context._completion is not None
        told_end = self._told_end() if had_ended else ''
        try:
            super()._apply_each((event,))
        except Exception as error:
            if self.divergence is None:
                self._refused(event, before, told_end, error)
            raise
        for action_id in range(last_id + 1, self.last_action_id + 1):
            self._made_at[action_id] = place
        if len(self._held_back) > held or self.divergence is not None:
            return
        if kind in _CONFIRMATIONS:
            self._check_confirmed(event, before, had_ended)
        elif kind == 'executionCompleted':
            self._check_end(event)
        elif kind == 'executionStarted' and self._is_version_missing:
            self._version_is_missing(event)

    def _pending_at(self, action_id: int) -> dict[int, Action]:
        """The action of that id, and behind optional timers, which may be dropped, those that would take its place."""
        pending: dict[int, Action] = {}
        while (action := self.context._actions.get(action_id)) is not None:
            pending[action_id] = action
            if not action.optional:
                break
            action_id += 1
        return pending

    def _refused(self, event: pb.HistoryEvent, before: dict[int, Action], told_end: str, error: Exception) -> None:
        """The engine itself says that the event does not belong to what the code did."""
        if isinstance(error, OrchestratorNotRegisteredError):
            self._diverge(
                self._place, None, f"the workflow '{event.executionStarted.name}'", f'has none: {error}', None
            )
            return
        if event.WhichOneof('eventType') not in _CONFIRMATIONS:
            self._diverge(self._place, None, tell_event(event, self._events), str(error), self._standing(), error)
            return
        if told_end:
            self._diverge_at(event, told_end, self._end_site())
        else:
            action_id = event.eventId
            self._diverge_at_action(event, self.context._actions.get(action_id) or before.get(action_id))

    def _check_confirmed(self, event: pb.HistoryEvent, before: dict[int, Action], had_ended: bool) -> None:
        action_id = event.eventId
        left = self.context._actions.values()
        confirmed = [action for action in before.values() if action not in left]
        if not confirmed:
            # Histories may have an action twice: dapr 1.19.0 sends it again while the workflow is suspended.
            if action_id in self._confirmed:
                return
            if event.eventSent.instanceId == self.context.instance_id:
                return  # perhaps one that was sent to this instance: sidecars of Go give it the sender's event
            if action_id == self.context.last_timer_id:
                self._confirmed.add(action_id)
                return
            if had_ended:
                self._diverge_at(event, self._told_end(), self._end_site())
            else:
                self._diverge_at_action(event, before.get(action_id))
            return
        self._confirmed.add(action_id)
        action = confirmed[-1]
        if isinstance(action, CreateTimer):
            if _is_for_something_else(action, event.timerCreated):
                self._diverge_at_action(event, action)
        elif event.HasField('detachedWorkflowInstanceCreated'):
            pass  # histories have its instance alone
        elif self._compare_payloads and not _same_payload(payload_of(action), payload_of(event)):
            self._diverge_at_action(event, action)

    def _check_end(self, event: pb.HistoryEvent) -> None:
        ended, completion = event.executionCompleted, self.context._completion
        if ended.workflowStatus == pb.ORCHESTRATION_STATUS_TERMINATED:
            return  # by a client, whatever the code did
        if completion is None:
            for action_id, action in self.context._actions.items():
                if not action.optional:
                    self._diverge_at_action(event, action, action_id)
                    return
            self._diverge_at(event, self._told_nothing(), self._standing() or self._stood_at)
            return
        for action_id, action in self.context._actions.items():
            if isinstance(action, Message):  # they are sent even when the run ends in the same turn
                self._diverge_at_action(event, action, action_id)
                return
        is_same = completion.status == ended.workflowStatus
        if is_same and completion.failure is not None:
            is_same = _type_name(completion.failure.errorType) == _type_name(ended.failureDetails.errorType)
        elif is_same and self._compare_payloads:
            is_same = _same_payload(completion.encoded_result, ended.result.value or None)
        if not is_same:
            self._diverge_at(event, self._told_end(), self._end_site())

    def _version_is_missing(self, event: pb.HistoryEvent) -> None:
        name = event.executionStarted.name
        versions = sorted(self._registry.versioned_orchestrators.get(name, {}))
        self._diverge(
            self._place,
            None,
            f"the workflow '{name}' in the version '{self.context._version_name}'",
            f'has other versions of it: {_listed(versions)}',
            None,
        )

    # Telling

    def _diverge_at_action(self, event: pb.HistoryEvent, action: Action | None, action_id: int | None = None) -> None:
        if action is None:
            self._diverge_at(event, self._told_nothing(), self._standing() or self._stood_at)
            return
        told, site = tell_action(action, self.context.instance_id), self._site_of(action_id or event.eventId, action)
        self._diverge(
            self._place, action_id or event.eventId, tell_event(event, self._events, in_full=True), told, site
        )

    def _diverge_at(self, event: pb.HistoryEvent, replayed: str, site: str | None) -> None:
        action_id = event.eventId if event.WhichOneof('eventType') in _CONFIRMATIONS else None
        recorded = tell_event(event, self._events, in_full=True)
        self._diverge(self._place, action_id, recorded, replayed, site, self.context.error)

    def _diverge(
        self,
        place: int,
        action_id: int | None,
        recorded: str,
        replayed: str,
        site: str | None,
        error: BaseException | None = None,
    ) -> None:
        self.divergence = Divergence(place, action_id, recorded, replayed, site, error)

    def _told_nothing(self) -> str:
        waiting = [tell_action(action, self.context.instance_id) for action in self.context._unresolved.values()]
        if waiting:
            return f'nothing: it waits for {_few(waiting)}'
        awaited = self._awaited
        return 'nothing' if awaited is None or awaited._is_complete else f'nothing: it waits for {awaited.describe()}'

    def _told_end(self) -> str:
        completion = self.context._completion
        if completion is None:
            return ''
        return tell_end(completion.status, completion.encoded_result, completion.failure, self.context.error)

    def _end_site(self) -> str | None:
        error = self.context.error
        if error is not None and (raised := _raised_at(error)):
            return raised
        return self._stood_at or next(reversed(self.context.sites.values()), None)

    def _site_of(self, action_id: int, action: Action) -> str | None:
        """The line of a call; of one that the engine makes for a retry, that of the call which is retried."""
        task: Any = action.task if isinstance(action, Awaited) else None
        if isinstance(task, TimerTask) and task._retryable_parent is not None:
            task = task._retryable_parent
        return self.context.sites_of_tasks.get(task) or self.context.sites.get(action_id)

    def _standing(self) -> str | None:
        """The line of the workflow's code that waits."""
        with contextlib.suppress(Exception):  # it is for a message alone
            for task in standing(self):
                found = _of_the_app([line.rpartition(' in ')[0] for line in task.lines])
                if found:
                    return found
        return None


def _is_run_again(event: pb.HistoryEvent) -> bool:
    kind = event.WhichOneof('eventType')
    return kind in _RERUN_AT and getattr(event, kind).HasField('rerunParentInstanceInfo')


def _is_for_something_else(action: CreateTimer, timer: pb.TimerCreatedEvent) -> bool:
    recorded = timer.WhichOneof('origin')
    if recorded is None or action.origin is None:  # a sidecar that does not say
        return False
    origin: Any = action.origin
    kind = origin.DESCRIPTOR.name.removeprefix('TimerOrigin')
    if kind.casefold() != recorded.casefold():
        return True
    return recorded == 'externalEvent' and origin.name.casefold() != timer.externalEvent.name.casefold()


def _same_payload(one: str | None, other: str | None) -> bool:
    if (one or None) == (other or None):
        return True
    if not one or not other:
        return False
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return False


def _type_name(error_type: str) -> str:
    """The name of an error's class, without its module: workers differ in whether they tell that."""
    return error_type.rpartition('.')[2]


def _raised_at(error: BaseException) -> str | None:
    """The line of the app's code that an error came from."""
    lines = []
    trace = error.__traceback__
    while trace is not None:
        lines.append(f'{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}')
        trace = trace.tb_next
    return _of_the_app(lines)


def _of_the_app(lines: Sequence[str]) -> str | None:
    """The innermost of these lines that is the app's; one of a library where there is none."""
    foreign = [line for line in lines if not is_own_file(line)]
    own = [line for line in foreign if not line.startswith(_LIBRARIES)]
    return next(reversed(own or foreign), None)


def _listed(names: Sequence[str]) -> str:
    return ', '.join(f"'{name}'" for name in names) if names else 'none'


def _few(texts: Sequence[str], most: int = 3) -> str:
    shown = ', '.join(texts[:most])
    return f'{shown} and {len(texts) - most} more' if len(texts) > most else shown
