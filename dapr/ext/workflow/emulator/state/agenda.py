"""What there is to do, and what of it the observer has been told."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator.errors import StoreError
from dapr.ext.workflow.emulator.seam import ActivityWork, Key, Observer, Turn
from dapr.ext.workflow.emulator.state.store import Store
from dapr.ext.workflow.emulator.state.unit import Unit

__all__ = ['Agenda']


class Agenda:
    """Tells the observer what there is to do: each ready instance once until its turn begins, each activity once.

    Args:
        store: Where everything is found again after a start.
        observer: Whom to tell.
    """

    def __init__(self, store: Store, observer: Observer) -> None:
        self._store = store
        self._observer = observer
        self._ready: set[Key] = set()  # told to be, and not begun
        self._stalled: set[Key] = set()
        self._activities: set[int] = set()  # without a result
        self._due_at: int | None = None
        self._turns = 0
        self._turns_at_connect: dict[str, int] = {}  # by app: how many turns were, when its last worker connected

    @property
    def due_at(self) -> int | None:
        """When the next timer is due, at the earliest; None: there is none."""
        return self._due_at

    def recover(self) -> None:
        """Tells all that there is in the store.

        Raises:
            StoreError: It could not be read.
        """
        self._due_at = self._store.next_due()
        self._stalled.update(Key(*name) for name in self._store.of_status(pb.ORCHESTRATION_STATUS_STALLED))
        for row in self._store.activities():
            try:
                request = pb.ActivityRequest.FromString(row.request)
            except DecodeError as error:
                raise StoreError(f'The database is damaged: activity {row.id} cannot be read: {error}') from error
            owner = Key(row.owner_app_id, request.workflowInstance.instanceId)
            self._tell_activity(ActivityWork(row.id, row.app_id, owner, request))
        for name in self._store.with_inbox():
            key = Key(*name)
            if key not in self._stalled:  # a worker that connects wakes those
                self.tell_ready(key)
        if self._due_at is not None:
            self._observer.timers_changed()

    def turn_begins(self, key: Key) -> int:
        """A turn of an instance begins; gives it its number."""
        self._ready.discard(key)
        self._turns += 1
        return self._turns

    def nothing_to_do(self, key: Key) -> None:
        """An instance that was told to be ready has nothing to do any more."""
        self._ready.discard(key)

    def is_undone(self, row_id: int) -> bool:
        """Whether an activity has no result yet."""
        return row_id in self._activities

    def done(self, row_id: int) -> None:
        """An activity has its result."""
        self._activities.discard(row_id)

    def worker_connected(self, app_id: str) -> None:
        """The stalled instances of an app have something to do: try whether the worker has their code."""
        self._turns_at_connect[app_id] = self._turns
        for key in [key for key in self._stalled if key.app_id == app_id]:
            self._wake(key)

    def has_stalled(self, turn: Turn) -> None:
        """A turn has stalled its instance. It has another try if a worker has connected since it began."""
        if turn.number <= self._turns_at_connect.get(turn.key.app_id, 0):
            self._wake(turn.key)

    def timers_fired(self) -> None:
        """What was due is done."""
        self._due_at = self._store.next_due()

    def tell_ready(self, key: Key) -> None:
        """Tells that an instance has something to do."""
        if key not in self._ready:
            self._ready.add(key)
            self._observer.turn_ready(key)

    def tell(self, unit: Unit) -> None:
        """Tells what came of a unit that was committed."""
        for row_id in unit.dropped:
            self._activities.discard(row_id)
            self._observer.activity_dropped(row_id)
        for key in unit.void:
            self._observer.turn_dropped(key)
        for instance, had_started in unit.advanced:
            (self._stalled.add if instance.is_stalled else self._stalled.discard)(instance.key)
            if instance.has_started and not had_started:
                self._observer.started(instance.key)
            if instance.has_ended:
                self._observer.ended(instance.key)
            else:
                self._observer.advanced(instance.key)
        for work in unit.scheduled:
            self._tell_activity(work)
        for instance in unit.touched.values():
            if instance.is_ready:
                self.tell_ready(instance.key)
        if unit.due_at is not None and (self._due_at is None or unit.due_at < self._due_at):
            self._due_at = unit.due_at
            self._observer.timers_changed()

    def _tell_activity(self, work: ActivityWork) -> None:
        self._activities.add(work.row_id)
        self._observer.activity_ready(work)

    def _wake(self, key: Key) -> None:
        self._stalled.discard(key)
        self.tell_ready(key)
