"""One call's changes: gathered first, then written together, then taken into memory, then told."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator.rules import events
from dapr.ext.workflow.emulator.rules.outcome import NextRun, Outcome, StartActivity, StartTimer
from dapr.ext.workflow.emulator.rules.runs import RESOLVING, Message
from dapr.ext.workflow.emulator.seam import ActivityWork, Key
from dapr.ext.workflow.emulator.state.instances import Instance, Instances
from dapr.ext.workflow.emulator.state.store import ActivityRow, Store, TimerRow

__all__ = ['Unit']


class Unit:
    """The changes of one call.

    1. The call gathers them, in the order in which they are to be made. What was gathered can be seen by `find` alone.
    2. `commit` writes them in one transaction. If that fails, nothing has happened.
    3. It then changes the instances in memory.

    Attributes:
        now: The moment of the call, in microseconds since the epoch.
        advanced: The instances whose turn is over, and whether one was before.
        touched: The instances that may have something to do now.
        scheduled: The activities that are to run now.
        dropped: The rows of the activities that need not run any more.
        void: The instances whose turn counts for nothing any more.
        due_at: The earliest time of a new timer, or None.

    Args:
        store: Where they are written.
        instances: What is in memory.
        now: The moment of the call.
    """

    def __init__(self, store: Store, instances: Instances, now: int) -> None:
        self.now = now
        self.advanced: list[tuple[Instance, bool]] = []
        self.touched: dict[Key, Instance] = {}
        self.scheduled: list[ActivityWork] = []
        self.dropped: list[int] = []
        self.void: list[Key] = []
        self.due_at: int | None = None
        self._store = store
        self._instances = instances
        self._seen: dict[Key, Instance | None] = {}
        self._over: set[Instance] = set()
        self._writes: list[Callable[[], None]] = []
        self._settling: list[Callable[[], None]] = []

    def find(self, key: Key) -> Instance | None:
        """The instance of that name as this unit leaves it, or None.

        Raises:
            StoreError: It could not be read.
        """
        if key not in self._seen:
            self._seen[key] = self._instances.find(key)
        return self._seen[key]

    def runs(self, instance: Instance) -> bool:
        """Whether an instance has not ended, and does not end here."""
        return not instance.has_ended and instance not in self._over

    def create(self, key: Key, start: pb.HistoryEvent, propagated: pb.PropagatedHistory | None = None) -> Instance:
        """A new instance, in the place of one that has ended, if there is one. It has nothing to do yet."""
        replaced = self.find(key)
        if replaced is not None:
            self.remove(replaced)
        instance = Instance(self._store.new_pk(), key, start, propagated, self.now)
        self._seen[key] = instance
        self._writes.append(lambda: self._store.add_instance(instance.row()))
        self._settling.append(lambda: self._instances.keep(instance))
        return instance

    def remove(self, instance: Instance) -> None:
        """An instance goes, with everything that is its own."""
        if self.runs(instance):
            self.dropped.extend(instance.activities)
            if instance.turn is not None:
                self.void.append(instance.key)
        self._over.add(instance)
        self._seen[instance.key] = None
        self.touched.pop(instance.key, None)
        self._writes.append(lambda: self._store.remove(instance.pk))

        def settle() -> None:
            self._instances.forget(instance)
            instance.turn = None

        self._settling.append(settle)

    def deliver(self, instance: Instance, event: pb.HistoryEvent) -> None:
        """An event goes to an instance's inbox; one that is over needs none."""
        if not self.runs(instance):
            return
        message = Message(self._store.new_id(), event)
        self._writes.append(lambda: self._store.add_inbox([(message.id, instance.pk, event.SerializeToString())]))
        self._settling.append(lambda: instance.inbox.append(message))
        self.touched[instance.key] = instance

    def deliver_later(self, instance: Instance, timer: StartTimer) -> None:
        """An event goes to an instance's inbox when its time has come."""
        if not self.runs(instance):
            return
        row = TimerRow(self._store.new_id(), instance.pk, timer.due_at, timer.event.SerializeToString())
        self._writes.append(lambda: self._store.add_timers([row]))
        self.due_at = timer.due_at if self.due_at is None else min(self.due_at, timer.due_at)

    def fire(self, timer_ids: Sequence[int]) -> None:
        """These timers are timers no longer."""
        self._writes.append(lambda: self._store.remove_timers(timer_ids))

    def schedule(self, instance: Instance, activity: StartActivity) -> None:
        """An activity is to run; nobody waits for it when its instance is over."""
        work = ActivityWork(self._store.new_id(), activity.app_id, instance.key, activity.request)
        waits = self.runs(instance)
        row = ActivityRow(
            work.row_id,
            instance.pk if waits else None,
            work.app_id,
            instance.key.app_id,
            activity.request.SerializeToString(),
        )
        self._writes.append(lambda: self._store.add_activities([row]))
        if waits:
            self._settling.append(lambda: instance.activities.add(work.row_id))
        self.scheduled.append(work)

    def finish(self, row_id: int, instance: Instance | None) -> None:
        """An activity has run.

        Args:
            row_id: Its row.
            instance: Who waits for it, if anyone does.
        """
        self._writes.append(lambda: self._store.remove_activity(row_id))
        if instance is not None:
            self._settling.append(lambda: instance.activities.discard(row_id))

    def take(self, instance: Instance, taken: Sequence[Message], left: list[Message]) -> None:
        """Messages of an inbox are done with, though no turn comes of them."""
        self._writes.append(lambda: self._store.remove_inbox([message.id for message in taken]))

        def settle() -> None:
            instance.inbox = left

        self._settling.append(settle)

    def commit_turn(self, instance: Instance, outcome: Outcome, custom_status: str | None) -> None:
        """An instance's turn is over, and it does not continue as new.

        Args:
            instance: The instance.
            outcome: What came of it.
            custom_status: The custom status from here on.
        """
        store, history, completed, status = self._store, outcome.events, outcome.completed, outcome.status
        rows = [event.SerializeToString() for event in history]
        started_at = instance.started_at
        if started_at is None and not outcome.is_stalled:
            started_at = self.now
        # A stalled turn has committed nothing of its batch: that waits for the next one.
        taken = () if outcome.is_stalled else instance.taken

        def write() -> None:
            store.add_history(instance.pk, len(instance.history), rows)
            store.update_instance(instance.pk, status, started_at, self.now, custom_status)
            if completed is None:
                store.remove_inbox([message.id for message in taken])
            else:
                store.add_end(instance.pk, completed.SerializeToString())
                store.clear_inbox(instance.pk)
                store.orphan_activities(instance.pk)

        def settle() -> None:
            before = instance.size
            instance.add_history(history, sum(map(len, rows)))
            self._instances.resized(instance, before)
            instance.status = status
            instance.started_at = started_at
            instance.updated_at = self.now
            instance.custom_status = custom_status
            instance.turn = None
            if outcome.is_stalled:
                instance.inbox = [*instance.taken, *instance.inbox]
            instance.taken = ()
            if completed is not None:
                instance.end = completed
                instance.inbox.clear()
                instance.activities.clear()
                self._instances.forget(instance)

        self._writes.append(write)
        self._settling.append(settle)
        self.advanced.append((instance, instance.has_started))
        if completed is not None:
            self._over.add(instance)
        else:
            self.touched[instance.key] = instance

    def continue_as_new(self, instance: Instance, next_run: NextRun, custom_status: str | None) -> list[Message]:
        """An instance's run is over, and a new one takes its place.

        What came to the inbox in the meantime follows what is carried over; the results of what the old run has
        scheduled are nothing to the new one.

        Args:
            instance: The instance.
            next_run: What it goes on with.
            custom_status: The custom status from here on.

        Returns:
            The messages that the new run begins with; they come first in its inbox.
        """
        store = self._store
        started = next_run.started
        begin = [Message(store.new_id(), event) for event in next_run.batch[1:]]
        left = [
            Message(store.new_id(), message.event)
            for message in instance.inbox
            if message.event.WhichOneof('eventType') not in RESOLVING
        ]
        gone = [message.id for message in (*instance.taken, *instance.inbox)]
        status = pb.ORCHESTRATION_STATUS_RUNNING
        propagated = None if next_run.propagated is None else next_run.propagated.SerializeToString()

        def write() -> None:
            store.restart(instance.pk, events.micros(started.timestamp), started.SerializeToString(), propagated)
            store.update_instance(instance.pk, status, self.now, self.now, custom_status)
            store.orphan_activities(instance.pk)
            store.remove_inbox(gone)
            store.add_inbox([(id, instance.pk, event.SerializeToString()) for id, event in (*begin, *left)])

        def settle() -> None:
            before = instance.size
            instance.begin(started, next_run.propagated, self.now)
            self._instances.resized(instance, before)
            instance.status = status
            instance.started_at = self.now
            instance.custom_status = custom_status
            instance.inbox = [*begin, *left]

        self._writes.append(write)
        self._settling.append(settle)
        self.advanced.append((instance, instance.has_started))
        return begin

    def commit(self) -> None:
        """Writes what was gathered, and takes it into memory.

        Raises:
            StoreError: It could not be written: nothing has changed.
        """
        with self._store.transaction():
            for write in self._writes:
                write()
        for settle in self._settling:
            settle()
