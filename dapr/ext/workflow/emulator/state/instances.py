"""The instances in memory: those that run, with their histories, loaded when they are needed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from google.protobuf import wrappers_pb2

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator.rules import events
from dapr.ext.workflow.emulator.rules.apps import Apps
from dapr.ext.workflow.emulator.rules.outcome import Run
from dapr.ext.workflow.emulator.rules.runs import Message, RunState
from dapr.ext.workflow.emulator.seam import Key, Turn
from dapr.ext.workflow.emulator.state.store import InstanceRow, Store

__all__ = ['Instance', 'Instances']

# What a message in memory takes beside the bytes that it has on the wire, roughly.
_EVENT_BYTES: Final = 400
# How many busy instances are passed over before the search for an idle one is left to the next time.
_LOOKS: Final = 16


class Instance:
    """A workflow instance. Changed only by what has been committed.

    Attributes:
        pk: Its number in the store.
        key: Its name.
        status: A number of `OrchestrationStatus`.
        created_at: When its run was created, as all moments in microseconds since the epoch.
        started_at: When its run's first turn was, or None.
        updated_at: When it last changed.
        custom_status: As its code set it.
        start: Its executionStarted.
        propagated: The history that its parent handed on.
        end: Its executionCompleted, once it has ended.
        history: What is committed; not kept of one that has ended.
        size: What the history takes in memory, in bytes, roughly.
        state: What the history comes to.
        inbox: What it is yet to be given.
        taken: What the turn that is out was given.
        turn: The turn that is out.
        activities: The rows of the activities that it waits for.
    """

    __slots__ = (
        'activities',
        'created_at',
        'custom_status',
        'end',
        'history',
        'inbox',
        'key',
        'pk',
        'propagated',
        'size',
        'start',
        'started_at',
        'state',
        'status',
        'taken',
        'turn',
        'updated_at',
    )

    def __init__(
        self, pk: int, key: Key, start: pb.HistoryEvent, propagated: pb.PropagatedHistory | None, now: int
    ) -> None:
        self.pk = pk
        self.key = key
        self.status: int = pb.ORCHESTRATION_STATUS_PENDING
        self.begin(start, propagated, now)

    def begin(self, start: pb.HistoryEvent, propagated: pb.PropagatedHistory | None, now: int) -> None:
        """A run begins: nothing of the one before is left."""
        self.created_at = events.micros(start.timestamp)
        self.started_at: int | None = None
        self.updated_at = now
        self.custom_status: str | None = None
        self.start = start
        self.propagated = propagated
        self.end: pb.HistoryEvent | None = None
        self.history: list[pb.HistoryEvent] = []
        self.size = 0
        self.state = RunState()
        self.inbox: list[Message] = []
        self.taken: Sequence[Message] = ()
        self.turn: Turn | None = None
        self.activities: set[int] = set()

    @property
    def execution_id(self) -> str:
        """Its run."""
        return self.start.executionStarted.workflowInstance.executionId.value

    @property
    def has_ended(self) -> bool:
        """Whether it completed, failed or was terminated."""
        return self.status in events.TERMINAL

    @property
    def has_started(self) -> bool:
        """Whether its first turn is over."""
        return self.status != pb.ORCHESTRATION_STATUS_PENDING

    @property
    def is_stalled(self) -> bool:
        """Whether it waits for a worker that has its version, and its patches."""
        return self.status == pb.ORCHESTRATION_STATUS_STALLED

    @property
    def is_to_come(self) -> bool:
        """Whether it is scheduled for later."""
        return not self.has_started and self.turn is None and not self._is_given('executionStarted')

    @property
    def is_ready(self) -> bool:
        """Whether it has something to do, and no turn of it is out."""
        if self.turn is not None or self.has_ended:
            return False
        if self.is_stalled:  # it waits for a worker, but it can be ended
            return self._is_given('executionTerminated')
        if not self.state.is_started:
            return self._is_given('executionStarted')
        return bool(self.inbox)

    @property
    def is_idle(self) -> bool:
        """Whether nothing but its history is to be kept in memory."""
        return self.turn is None and not self.inbox

    def awaits(self, kind: str) -> bool:
        """Whether an event of that kind has come, and no turn that took it was committed yet."""
        return _holds((*self.taken, *self.inbox), kind)

    def run(self, apps: Apps) -> Run:
        """Its run, for the rules."""
        return Run(self.key, self.start.executionStarted, self.history, self.state, self.propagated, apps)

    def add_history(self, added: Sequence[pb.HistoryEvent], size: int) -> None:
        """Takes in what was committed.

        Args:
            added: The events.
            size: How many bytes they have on the wire.
        """
        self.history.extend(added)
        self.state.add(added)
        self.size += size + _EVENT_BYTES * len(added)

    def row(self) -> InstanceRow:
        """Its row in the store."""
        return InstanceRow(
            self.pk,
            *self.key,
            self.status,
            self.created_at,
            self.started_at,
            self.updated_at,
            self.custom_status,
            self.start.SerializeToString(),
            None if self.propagated is None else self.propagated.SerializeToString(),
            None if self.end is None else self.end.SerializeToString(),
        )

    def describe(self, *, payloads: bool) -> pb.WorkflowState:
        """Its state, for clients.

        Args:
            payloads: Whether with input, output, custom status and failure.
        """
        started = self.start.executionStarted
        state = pb.WorkflowState(
            instanceId=self.key.instance_id,
            workflowStatus=self.status,  # type: ignore[arg-type]  # as it was read, or one of the enum
            createdTimestamp=events.timestamp(0),
            lastUpdatedTimestamp=events.timestamp(0),
        )
        if started.HasField('scheduledStartTimestamp'):
            state.scheduledStartTimestamp.CopyFrom(started.scheduledStartTimestamp)
        if not self.has_started:
            return state  # as daprd: the rest is known with the first turn
        state.name = started.name
        state.executionId.value = self.execution_id
        state.createdTimestamp.CopyFrom(events.timestamp(self.created_at))
        state.lastUpdatedTimestamp.CopyFrom(events.timestamp(self.updated_at))
        state.tags.update(started.tags)
        if started.HasField('version'):
            state.version.CopyFrom(started.version)
        if self.started_at is not None:
            state.startedAt.CopyFrom(events.timestamp(self.started_at))
        if started.HasField('parentInstance'):
            state.parentInstanceId.value = started.parentInstance.workflowInstance.instanceId
            state.parentAppId.value = started.parentInstance.appID
        if self.end is not None:
            state.completedTimestamp.CopyFrom(self.end.timestamp)
        if payloads:
            self._describe_payloads(state)
        return state

    def _is_given(self, kind: str) -> bool:
        return _holds(self.inbox, kind)

    def _describe_payloads(self, state: pb.WorkflowState) -> None:
        if self.start.executionStarted.HasField('input'):
            state.input.CopyFrom(self.start.executionStarted.input)
        if self.custom_status is not None:
            state.customStatus.CopyFrom(wrappers_pb2.StringValue(value=self.custom_status))
        if self.end is not None:
            completed = self.end.executionCompleted
            if completed.HasField('result'):
                state.output.CopyFrom(completed.result)
            if completed.HasField('failureDetails'):
                state.failureDetails.CopyFrom(completed.failureDetails)


def _holds(messages: Sequence[Message], kind: str) -> bool:
    return any(message.event.WhichOneof('eventType') == kind for message in messages)


class Instances:
    """Finds instances, and keeps those that run in memory.

    What is idle and has not been asked for the longest goes first when the histories take too much; it is loaded again
    when it is needed.

    Args:
        store: Where they come from.
        max_bytes: What the histories in memory may take, roughly.
    """

    def __init__(self, store: Store, max_bytes: int) -> None:
        self._store = store
        self._max_bytes = max_bytes
        self._running: OrderedDict[Key, Instance] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        """How many are in memory."""
        return len(self._running)

    def find(self, key: Key) -> Instance | None:
        """The instance of that name, or None. One that has ended comes without its history.

        Raises:
            StoreError: It could not be read.
        """
        instance = self._running.get(key)
        if instance is not None:
            self._running.move_to_end(key)
            return instance
        row = self._store.instance(*key)
        if row is None:
            return None
        instance = self._read(row)
        if not instance.has_ended:
            self._load(instance)
            self.keep(instance)
        return instance

    def history(self, instance: Instance) -> list[pb.HistoryEvent]:
        """The committed history of an instance, whether it has ended or not.

        Raises:
            StoreError: It could not be read.
        """
        if not instance.has_ended:
            return instance.history.copy()
        return [pb.HistoryEvent.FromString(event) for event in self._store.history(instance.pk)]

    def keep(self, instance: Instance) -> None:
        """Keeps a running instance in memory."""
        self._running[instance.key] = instance
        self._bytes += instance.size

    def forget(self, instance: Instance) -> None:
        """Keeps an instance no longer: it has ended or is gone. One that is not kept is let be."""
        if self._running.get(instance.key) is instance:
            del self._running[instance.key]
            self._bytes -= instance.size

    def resized(self, instance: Instance, before: int) -> None:
        """Takes note that an instance's size is another."""
        if self._running.get(instance.key) is instance:
            self._bytes += instance.size - before

    def trim(self) -> None:
        """Forgets idle instances as long as the histories take too much."""
        looks = _LOOKS
        while self._bytes > self._max_bytes and looks and self._running:
            key, instance = next(iter(self._running.items()))
            if instance.is_idle:
                self.forget(instance)
            else:
                self._running.move_to_end(key)
                looks -= 1

    def _read(self, row: InstanceRow) -> Instance:
        instance = Instance(
            row.pk,
            Key(row.app_id, row.instance_id),
            pb.HistoryEvent.FromString(row.start),
            None if row.propagated is None else pb.PropagatedHistory.FromString(row.propagated),
            row.updated_at,
        )
        instance.status = row.status
        instance.created_at = row.created_at
        instance.started_at = row.started_at
        instance.custom_status = row.custom_status
        instance.end = None if row.end is None else pb.HistoryEvent.FromString(row.end)
        return instance

    def _load(self, instance: Instance) -> None:
        history = self._store.history(instance.pk)
        instance.add_history([pb.HistoryEvent.FromString(event) for event in history], sum(map(len, history)))
        instance.inbox = [
            Message(id, pb.HistoryEvent.FromString(event)) for id, event in self._store.inbox(instance.pk)
        ]
        instance.activities = set(self._store.activity_ids(instance.pk))
