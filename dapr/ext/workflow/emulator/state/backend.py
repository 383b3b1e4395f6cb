"""The workflows of the emulator: what clients ask of them, what workers answer, and what follows from both."""

from __future__ import annotations

import contextlib
import math
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Final

import grpc
from google.protobuf import wrappers_pb2

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator.errors import Refused
from dapr.ext.workflow.emulator.rules import events
from dapr.ext.workflow.emulator.rules.apply import apply, new_run
from dapr.ext.workflow.emulator.rules.apps import Apps
from dapr.ext.workflow.emulator.rules.outcome import StartWorkflow
from dapr.ext.workflow.emulator.rules.rerun import rerun
from dapr.ext.workflow.emulator.rules.runs import Message, after, next_batch
from dapr.ext.workflow.emulator.rules.stalls import why_stalled
from dapr.ext.workflow.emulator.seam import ActivityWork, Key, Observer, Turn
from dapr.ext.workflow.emulator.state.agenda import Agenda
from dapr.ext.workflow.emulator.state.effects import deliver, finish, is_active, start
from dapr.ext.workflow.emulator.state.instances import Instance, Instances
from dapr.ext.workflow.emulator.state.purge import matching, purge
from dapr.ext.workflow.emulator.state.store import Store
from dapr.ext.workflow.emulator.state.unit import Unit

__all__ = ['Backend']

_MAX_HISTORY_BYTES: Final = 256 * 1024 * 1024
_MAX_RUNS_IN_ITEM: Final = 20
_NO_SUCH_INSTANCE: Final = 'no such instance exists'


class Backend:
    """The instances of all apps, and the rules by which they go on.

    Not for use by several threads. Every method that changes something is one transaction: what it has told the
    observer and what it returns is committed. A method that raises has changed nothing.

    Args:
        store: Where everything is kept.
        observer: Whom to tell what there is to do.
        clock: The seconds since the epoch (default: the machine's).
        apps: The apps that the emulator plays; none of them: one, '', whatever routers say.
        max_history_bytes: What the histories of running instances may take in memory, roughly; those of instances that
            have nothing to do are read again when they are needed. Default: 256 MiB.

    All methods raise StoreError when the database fails.
    """

    def __init__(
        self,
        store: Store,
        observer: Observer,
        *,
        clock: Callable[[], float] = time.time,
        apps: Sequence[str] = (),
        max_history_bytes: int = _MAX_HISTORY_BYTES,
    ) -> None:
        self._store = store
        self._clock = clock
        self._apps = Apps(apps)
        self._instances = Instances(store, max_history_bytes)
        self._agenda = Agenda(store, observer)

    def recover(self) -> None:
        """Tells the observer of all that there is to do; once, after the start."""
        self._agenda.recover()

    def close(self) -> None:
        """Closes the store. A second call does nothing."""
        self._store.close()

    def app_of(self, app_id: str, router: pb.TaskRouter) -> str:
        """The app that a client's request is for.

        Args:
            app_id: The app whose sidecar was called.
            router: The request's.

        Raises:
            Refused: NOT_FOUND: there is no such app.
        """
        target = self._apps.target(router, app_id)
        if target not in self._apps:
            raise Refused(
                grpc.StatusCode.NOT_FOUND, f"there is no app '{target}': this emulator plays {self._apps.known}"
            )
        return target

    # What clients ask

    def create(self, app_id: str, request: pb.CreateInstanceRequest) -> Key:
        """Creates an instance, in the place of one that has ended, unless that is ruled out.

        Args:
            app_id: The app whose sidecar was called.
            request: The request.

        Raises:
            Refused: INVALID_ARGUMENT: the request has no instance id or no name. ALREADY_EXISTS: the id is taken.
                NOT_FOUND: there is no such app.
        """
        if not request.instanceId:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, 'failed to create workflow instance: it has no instance ID')
        if not request.name:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, 'failed to create workflow instance: it has no name')
        key = Key(self.app_of(app_id, request.router), request.instanceId)
        unit = self._unit()
        existing = unit.find(key)
        if existing is not None:
            _refuse_taken(existing, is_unique=request.enforceUniqueInstanceId)
        body = pb.ExecutionStartedEvent(
            name=request.name,
            version=request.version if request.version.value else None,
            input=request.input if request.HasField('input') else None,
            workflowInstance=new_run(request.instanceId, request.executionId.value),
            scheduledStartTimestamp=(
                request.scheduledStartTimestamp if request.HasField('scheduledStartTimestamp') else None
            ),
            parentTraceContext=request.parentTraceContext if request.HasField('parentTraceContext') else None,
            tags=request.tags,
        )
        router = self._apps.router(app_id, request.router)
        start(unit, StartWorkflow(key, events.execution_started(unit.now, body, router)))
        self._commit(unit)
        return key

    def get_instance(self, key: Key, *, payloads: bool) -> pb.GetInstanceResponse:
        """The state of an instance, which need not exist.

        Args:
            key: The instance.
            payloads: Whether with input, output, custom status and failure.
        """
        instance = self._instances.find(key)
        if instance is None:
            return pb.GetInstanceResponse()
        return pb.GetInstanceResponse(exists=True, workflowState=instance.describe(payloads=payloads))

    def is_started(self, key: Key) -> bool:
        """Whether the instance exists and its first turn is over, or it has ended without one."""
        instance = self._instances.find(key)
        return instance is not None and instance.has_started

    def is_ended(self, key: Key) -> bool:
        """Whether the instance exists and has completed, failed or been terminated."""
        instance = self._instances.find(key)
        return instance is not None and instance.has_ended

    def is_heeded(self, key: Key, kind: str) -> bool:
        """Whether an instance has taken note of what clients sent of one kind, or no turn of it will soon.

        Args:
            key: The instance.
            kind: The kind of event, as `executionSuspended`.
        """
        instance = self._instances.find(key)
        if instance is None or instance.has_ended or not instance.awaits(kind):
            return True
        return not instance.is_ready and instance.turn is None

    def get_history(self, key: Key) -> Sequence[pb.HistoryEvent]:
        """The committed history of an instance.

        Raises:
            Refused: NOT_FOUND: there is no such instance.
        """
        instance = self._instances.find(key)
        if instance is None:
            raise Refused(grpc.StatusCode.NOT_FOUND, f"workflow instance '{key.instance_id}' not found")
        return self._instances.history(instance)

    def list_instance_ids(
        self, app_id: str, token: str | None = None, page_size: int | None = None
    ) -> pb.ListInstanceIDsResponse:
        """A page of the ids of an app's instances, in the order of their creation.

        Args:
            app_id: The app.
            token: What the page before has given; None or '' for the first one.
            page_size: The most ids that a page has; None or 0: all of them.

        Raises:
            Refused: INVALID_ARGUMENT: the token is none of ours.
        """
        if token and not (token.isascii() and token.isdigit() and len(token) < 19):
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"'{token}' is not a continuation token of this sidecar")
        rows = self._store.page(app_id, int(token or 0), page_size + 1 if page_size else -1)
        response = pb.ListInstanceIDsResponse()
        if page_size and len(rows) > page_size:
            del rows[page_size:]
            response.continuationToken = str(rows[-1][0])
        response.instanceIds.extend(instance_id for _, instance_id in rows)
        return response

    def raise_event(self, key: Key, request: pb.RaiseEventRequest) -> None:
        """Sends an external event. An instance that has ended does not mind.

        Raises:
            Refused: UNKNOWN: there is no such instance. So do the next three.
        """
        payload = request.input if request.HasField('input') else None
        self._send(key, lambda now: events.event_raised(now, request.name, payload))

    def suspend(self, key: Key, reason: str | None = None) -> None:
        """Suspends an instance."""
        self._send(key, lambda now: events.execution_suspended(now, reason))

    def resume(self, key: Key, reason: str | None = None) -> None:
        """Resumes an instance."""
        self._send(key, lambda now: events.execution_resumed(now, reason))

    def terminate(self, key: Key, output: str | None, recursive: bool) -> None:
        """Ends an instance with its next turn, or now if it is scheduled for later.

        Args:
            key: The instance.
            output: Its output as JSON, or None.
            recursive: Whether its children end, too.
        """
        payload = None if output is None else wrappers_pb2.StringValue(value=output)
        self._send(
            key,
            lambda now: events.execution_terminated(now, payload, recursive),
            refusal=f'failed to submit termination request: {_NO_SUCH_INSTANCE}',
        )

    def purge(self, key: Key, *, recursive: bool = False, force: bool = False) -> int:
        """Removes an instance that has ended.

        Args:
            key: The instance.
            recursive: Whether its children go, too.
            force: Whether it goes though it has not ended.

        Returns:
            How many instances went.

        Raises:
            Refused: UNKNOWN: there is no such instance, or one that would go has not ended.
        """
        unit = self._unit()
        count = purge(unit, self._instances, self._apps, key, recursive=recursive, force=force)
        self._commit(unit)
        return count

    def purge_by_filter(
        self, app_id: str, filter: pb.PurgeInstanceFilter, *, recursive: bool = False, force: bool = False
    ) -> int:
        """Removes the instances of an app that meet a filter; those that `purge` would refuse to remove stay.

        Args:
            app_id: The app.
            filter: When they were created, both ends included, and their statuses; what is not given does not count.
            recursive: Whether their children go, too, filter or not.
            force: Whether those go that have not ended.

        Returns:
            How many instances went.
        """
        unit = self._unit()
        count = 0
        for key in matching(self._store, app_id, filter):
            if unit.find(key) is not None:  # it has not gone along with another one
                with contextlib.suppress(Refused):
                    count += purge(unit, self._instances, self._apps, key, recursive=recursive, force=force)
        self._commit(unit)
        return count

    def rerun(self, app_id: str, request: pb.RerunWorkflowFromEventRequest) -> Key:
        """Starts a new instance that goes on from an event of one that has ended.

        Args:
            app_id: The app of both.
            request: Which event; the new instance's id, made up when it gives none.

        Raises:
            Refused: NOT_FOUND: there is no such instance or event, or one that cannot be rerun. INVALID_ARGUMENT: the
                instance has not ended. ALREADY_EXISTS: the new id is taken.
        """
        unit = self._unit()
        source = unit.find(Key(app_id, request.sourceInstanceID))
        if source is None:
            raise Refused(grpc.StatusCode.NOT_FOUND, f"'{request.sourceInstanceID}': {_NO_SUCH_INSTANCE}")
        if not source.has_ended:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"'{request.sourceInstanceID}' is not in a terminal state")
        key = Key(app_id, request.newInstanceID or str(uuid.uuid4()))
        history = self._instances.history(source)
        started, outcome = rerun(request, key, history, source.propagated, self._apps, unit.now)
        if unit.find(key) is not None:
            raise Refused(
                grpc.StatusCode.ALREADY_EXISTS,
                f"failed to rerun workflow: a workflow with ID '{key.instance_id}' already exists",
            )
        instance = unit.create(key, started, source.propagated)
        instance.created_at = unit.now
        finish(unit, self._apps, instance, outcome, None)
        self._commit(unit)
        return key

    # Turns

    def begin_turn(self, key: Key) -> Turn | None:
        """Begins a turn of an instance that was told to be ready.

        Returns:
            The turn, which is to be committed or abandoned; None when there is nothing to do any more.
        """
        instance = self._instances.find(key)
        if instance is None or instance.has_ended or instance.turn is not None:
            self._agenda.nothing_to_do(key)
            return None
        unit = self._unit()
        # Not before its run: that may begin a little after a clock that stands still, see `rules.runs.after`.
        batch = next_batch(instance.state, instance.inbox, max(unit.now, instance.created_at))
        if not batch.events:
            if batch.taken:
                unit.take(instance, batch.taken, batch.left)
                self._commit(unit)
            self._agenda.nothing_to_do(key)
            return None
        return self._new_turn(instance, batch.events, batch.taken, batch.left)

    def is_stalled_by(self, turn: Turn, response: pb.WorkflowResponse) -> bool:
        """Tells whether a turn's answer would stall its instance, so that another worker may be asked first."""
        instance = self._instances.find(turn.key)
        if instance is None or instance.turn is not turn:
            return False
        return why_stalled(instance.state, turn.new_events, response) is not None

    def commit_turn(self, turn: Turn, response: pb.WorkflowResponse) -> Turn | None:
        """Commits the answer to a turn. A turn that is void changes nothing.

        Returns:
            The turn of the run that the instance continues as, to be sent at once, in the same work item; None when the
            item is done.

        Raises:
            Refused: INVALID_ARGUMENT: an action of the answer cannot be understood. The turn is still out.
        """
        instance = self._instances.find(turn.key)
        if instance is None or instance.turn is not turn:
            return None
        unit = self._unit()
        outcome = apply(instance.run(self._apps), turn.new_events, response, unit.now)
        custom_status = response.customStatus.value if response.HasField('customStatus') else None
        if outcome.next_run is None:
            finish(unit, self._apps, instance, outcome, instance.custom_status if outcome.is_stalled else custom_status)
            self._commit(unit)
            if outcome.is_stalled:
                self._agenda.has_stalled(turn)
            return None
        begins_at = events.timestamp(after(instance.created_at, unit.now))
        for event in outcome.next_run.batch[:2]:
            event.timestamp.CopyFrom(begins_at)
        begin = unit.continue_as_new(instance, outcome.next_run, custom_status)
        self._commit(unit)
        if turn.runs_before == _MAX_RUNS_IN_ITEM:
            self._agenda.tell_ready(turn.key)
            return None
        left = instance.inbox[len(begin) :]
        return self._new_turn(instance, outcome.next_run.batch, begin, left, turn.runs_before + 1)

    def abandon_turn(self, turn: Turn) -> None:
        """Takes a turn back that was not answered: its batch waits for another one. A void turn changes nothing."""
        instance = self._instances.find(turn.key)
        if instance is not None and instance.turn is turn:
            instance.turn = None
            instance.inbox = [*instance.taken, *instance.inbox]
            instance.taken = ()
            self._agenda.tell_ready(turn.key)

    def workers_changed(self, app_id: str) -> None:
        """Gives the stalled instances of an app another turn: a worker has connected that may have their code."""
        self._agenda.worker_connected(app_id)

    # Activities and timers

    def complete_activity(self, work: ActivityWork, response: pb.ActivityResponse) -> None:
        """Takes the result of an activity. One that nobody waits for, or that came before, is dropped."""
        if not self._agenda.is_undone(work.row_id):
            return
        unit = self._unit()
        instance = unit.find(work.owner)
        if instance is not None and work.row_id in instance.activities:
            unit.finish(work.row_id, instance)
            scheduled = instance.state.open.get(('task', work.request.taskId))
            result = events.activity_result(
                unit.now,
                work.request,
                response.result if response.HasField('result') else None,
                response.failureDetails if response.HasField('failureDetails') else None,
                None if scheduled is None else scheduled.router,
            )
            unit.deliver(instance, result)
        else:
            unit.finish(work.row_id, None)
        self._commit(unit)
        self._agenda.done(work.row_id)

    def next_timer_at(self) -> float | None:
        """When `fire_timers` has something to do, in seconds since the epoch; None: not before a timer is set."""
        due_at = self._agenda.due_at
        if due_at is None:
            return None
        seconds = due_at / events.MICROS
        while round(seconds * events.MICROS) < due_at:  # far from now, floats are coarser than microseconds
            seconds = math.nextafter(seconds, math.inf)
        return seconds

    def fire_timers(self) -> None:
        """Delivers what is due: timers, and the starts of instances that were scheduled for later."""
        unit = self._unit()
        due = self._store.due(unit.now)
        if due:
            unit.fire([id for id, _, _, _ in due])
            for _, app_id, instance_id, message in due:
                event = pb.HistoryEvent.FromString(message)
                if event.HasField('timerFired'):
                    event.timestamp.CopyFrom(events.timestamp(unit.now))
                instance = unit.find(Key(app_id, instance_id))
                if instance is not None:
                    unit.deliver(instance, event)
            self._commit(unit)
        self._agenda.timers_fired()

    # What they have in common

    def _unit(self) -> Unit:
        return Unit(self._store, self._instances, round(self._clock() * events.MICROS))

    def _commit(self, unit: Unit) -> None:
        """Commits a unit, and tells what came of it."""
        unit.commit()
        self._agenda.tell(unit)
        self._instances.trim()

    def _new_turn(
        self,
        instance: Instance,
        batch: Sequence[pb.HistoryEvent],
        taken: Sequence[Message],
        left: list[Message],
        runs_before: int = 0,
    ) -> Turn:
        number = self._agenda.turn_begins(instance.key)
        instance.turn = Turn(
            instance.key,
            instance.execution_id,
            instance.history,
            len(instance.history),
            batch,
            instance.propagated,
            None,
            number,
            runs_before,
        )
        instance.taken = taken
        instance.inbox = left
        return instance.turn

    def _send(self, key: Key, make: Callable[[int], pb.HistoryEvent], refusal: str = _NO_SUCH_INSTANCE) -> None:
        """Sends an event that a client asks for."""
        unit = self._unit()
        instance = unit.find(key)
        if instance is None:
            raise Refused(grpc.StatusCode.UNKNOWN, refusal)
        if not instance.has_ended:
            deliver(unit, self._apps, instance, make(unit.now))
            self._commit(unit)


def _refuse_taken(existing: Instance, *, is_unique: bool) -> None:
    instance_id = existing.key.instance_id
    if not existing.has_ended:
        reason = is_active(instance_id)
    elif is_unique:
        reason = f"a workflow with ID '{instance_id}' already exists, and the create enforces instance ID uniqueness"
    else:
        return
    raise Refused(grpc.StatusCode.ALREADY_EXISTS, f'failed to create workflow instance: {reason}')
