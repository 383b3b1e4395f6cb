"""What a turn replays: the one place that decides it, and why.

- **Full send**: the item holds the whole committed history.
- **Splice**: the item holds a delta (`cachedHistory.eventCount` = n says what it follows), and the worker has the first
  n events of this very run: they are put before it. The length alone proves nothing, since a later run of the same id
  can have as many events: the run must be the same (`executionId`); where the sidecar does not say which run it is
  (durabletask-go 0.13.0), the delta must begin with the very events that this worker was given at that length.
- **Fetch**: in all other cases, `GetInstanceHistory`. What comes must be of the same run and long enough, and hold the
  delta where it says it is; what is past it is cut off. Else `_HistoryResolutionError`: the instance is healthy, so the
  turn is not answered, and the stream is given up for the sidecar to dispatch again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dapr.ext.workflow._durabletask.history.cache import (
    Lease,
    _WorkflowHistoryCache,
    parse_batch,
    serialize_batch,
)
from dapr.ext.workflow._durabletask.history.fence import Ticket
from dapr.ext.workflow._durabletask.internal import protos as pb


class _HistoryResolutionError(Exception):
    """The committed history of an instance could not be had; the instance itself is healthy."""


class ResolvedHistory:
    """The committed history of a turn, and what is to be remembered of it. End it with `remember` or `forget`, or both.

    Args:
        events: All committed events before the turn's new ones.
        keep: Keeps them for the next turn; its argument says whether the turn ends the run. None: nothing is kept.
        lease: What they were made from, and is to be given back.
    """

    def __init__(
        self,
        events: Sequence[pb.HistoryEvent],
        keep: Callable[[bool], None] | None = None,
        lease: Lease | None = None,
    ) -> None:
        self.events = events
        self._keep = keep
        self._lease = lease

    def remember(self, *, ended: bool) -> None:
        """Keeps the history for the next turn, unless a newer dispatch of the instance has come in.

        Call it before the turn is answered: the next one may come in before the answer's call returns.

        Args:
            ended: Whether the turn ends the run; then nothing is kept.
        """
        if self._keep is not None:
            self._keep(ended)
        self.forget()

    def forget(self) -> None:
        """Keeps what was kept before the turn, as it was."""
        if self._lease is not None:
            self._lease.release()


class HistoryResolver:
    """Resolves the histories of one worker's turns, and keeps them. May be called from any thread.

    Args:
        cache: Where histories are kept.
        fetch: Asks the sidecar for the committed history of an instance; raises when there is none to be had.
    """

    def __init__(self, cache: _WorkflowHistoryCache, fetch: Callable[[str], Sequence[pb.HistoryEvent]]) -> None:
        self._cache = cache
        self._fetch = fetch
        # As far as was seen on this stream; None: not yet. One delta settles it: such a sidecar may still send all of a
        # history now and then, when it has lost count. Nothing is kept for one that sent all of a history that this
        # worker has, before any delta.
        self._sidecar_sends_deltas: bool | None = None

    def new_stream(self) -> None:
        """Forgets what belongs to the stream before: the sidecar does not count on it any more."""
        self._cache.reset()
        self._sidecar_sends_deltas = None

    def resolve(self, request: pb.WorkflowRequest, ticket: Ticket) -> ResolvedHistory:
        """The committed history before the new events of a work item.

        Raises:
            _HistoryResolutionError: It could not be had.
        """
        lease = self._cache.checkout(request.instanceId)
        try:
            if request.cachedHistory.eventCount == 0:
                return self._of_full_send(request, ticket, lease)
            self._sidecar_sends_deltas = True
            return self._of_delta(request, ticket, lease)
        except BaseException:
            if lease is not None:
                lease.release()  # what stays pinned would never expire
            raise

    def _of_full_send(self, request: pb.WorkflowRequest, ticket: Ticket, lease: Lease | None) -> ResolvedHistory:
        if lease is not None and not _is_start_of(lease, request):
            lease.release()
            lease = None
        return self._resolved(request, ticket, request.pastEvents, lease)

    def _of_delta(self, request: pb.WorkflowRequest, ticket: Ticket, lease: Lease | None) -> ResolvedHistory:
        if lease is None:
            self._cache.count_miss(request.instanceId)
            return self._resolved(request, ticket, self._fetched(request), None)
        reason = self._why_not(lease, request, ticket)
        if reason is None:
            self._cache.count_hit()
            return self._resolved(request, ticket, [*lease.events(), *request.pastEvents], lease)
        lease.release()
        self._cache.count_miss(request.instanceId, reason)
        return self._resolved(request, ticket, self._fetched(request), None)

    def _resolved(
        self, request: pb.WorkflowRequest, ticket: Ticket, events: Sequence[pb.HistoryEvent], lease: Lease | None
    ) -> ResolvedHistory:
        return ResolvedHistory(events, lambda ended: self._remember(request, ticket, events, lease, ended), lease)

    def _why_not(self, lease: Lease, request: pb.WorkflowRequest, ticket: Ticket) -> str | None:
        """Why what is kept is not what the delta follows, as a field of `HistoryCacheMisses`; None when it is."""
        if not ticket.is_newest():
            return 'fenced'
        if lease.execution_id != request.executionId.value:
            return 'execution'
        if lease.count != request.cachedHistory.eventCount:
            return 'length'
        if not lease.execution_id and not begins_with_batch(request.pastEvents, lease.last_batch):
            return 'execution'
        return None

    def _fetched(self, request: pb.WorkflowRequest) -> Sequence[pb.HistoryEvent]:
        try:
            events = self._fetch(request.instanceId)
            usable = self._usable(request, events)
        except Exception as error:
            self._cache.count_fetch(failed=True)
            if isinstance(error, _HistoryResolutionError):
                raise
            raise _HistoryResolutionError(
                f"The history of instance '{request.instanceId}' could not be fetched: {error}"
            ) from error
        self._cache.count_fetch(failed=False)
        return usable

    def _usable(self, request: pb.WorkflowRequest, events: Sequence[pb.HistoryEvent]) -> Sequence[pb.HistoryEvent]:
        start, delta = request.cachedHistory.eventCount, request.pastEvents
        length = start + len(delta)
        if start < 0 or len(events) < length:
            raise _HistoryResolutionError(
                f"The history of instance '{request.instanceId}' has {len(events)} events where the work item needs "
                f'{length}: it is of another run, or the item is out of date'
            )
        expected, found = request.executionId.value, execution_id_of(events)
        if expected and found and expected != found:
            raise _HistoryResolutionError(
                f"The history of instance '{request.instanceId}' is of run '{found}', the work item of run "
                f"'{expected}', which is over"
            )
        if any(event != other for event, other in zip(delta, events[start:length], strict=True)):
            raise _HistoryResolutionError(
                f"The history of instance '{request.instanceId}' does not hold the events of the work item at number "
                f'{start}: it is of another run'
            )
        return events[:length]

    def _remember(
        self,
        request: pb.WorkflowRequest,
        ticket: Ticket,
        events: Sequence[pb.HistoryEvent],
        lease: Lease | None,
        ended: bool,
    ) -> None:
        instance_id, execution_id = request.instanceId, request.executionId.value
        if ended:
            self._cache.delete(instance_id, if_true=ticket.is_newest)
            return
        if not events:
            return  # the sidecar counts on nothing that is empty
        if self._sidecar_sends_deltas is None and lease is not None and ticket.is_newest():
            # It had sent these events before, on this stream, and a sidecar that sends deltas would have sent one.
            self._sidecar_sends_deltas = False
            self._cache.reset()
        if self._sidecar_sends_deltas is False:
            return
        last_batch = b'' if execution_id else serialize_batch(request.newEvents)
        if lease is None or not lease.extend(events[lease.count :], last_batch, if_true=ticket.is_newest):
            self._cache.put(instance_id, events, execution_id, last_batch, if_true=ticket.is_newest)


def _is_start_of(lease: Lease, request: pb.WorkflowRequest) -> bool:
    """Whether a history that was sent whole begins with what is kept."""
    if lease.execution_id != request.executionId.value or lease.count > len(request.pastEvents):
        return False
    return bool(lease.execution_id) or begins_with_batch(request.pastEvents[lease.count :], lease.last_batch)


def execution_id_of(events: Sequence[pb.HistoryEvent]) -> str:
    """The run that a committed history is of, by its executionStarted event; '' when it does not say."""
    for event in events:
        if event.HasField('executionStarted'):
            return event.executionStarted.workflowInstance.executionId.value
    return ''


def begins_with_batch(delta: Sequence[pb.HistoryEvent], batch: bytes) -> bool:
    """Whether a delta begins with these new events of an earlier turn.

    The one thing that may differ is the version that the sidecar has put on a workflowStarted event.
    """
    expected = parse_batch(batch)
    if not expected or len(delta) < len(expected):
        return False
    return all(
        without_version(event) == without_version(other)
        for event, other in zip(delta[: len(expected)], expected, strict=True)
    )


def without_version(event: pb.HistoryEvent) -> pb.HistoryEvent:
    """An event as it was before the sidecar put a version on it."""
    if not event.workflowStarted.HasField('version'):
        return event
    copy = pb.HistoryEvent()
    copy.CopyFrom(event)
    copy.workflowStarted.ClearField('version')
    return copy
