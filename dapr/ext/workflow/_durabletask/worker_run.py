"""A worker from one start to its stop: what it is made of, and the order in which that ends."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial

import grpc
from google.protobuf.unknown_fields import UnknownFieldSet

from dapr.ext.workflow._durabletask import forgotten_yield
from dapr.ext.workflow._durabletask.activity import Activities
from dapr.ext.workflow._durabletask.dispatch import JOIN_SECONDS, ConcurrencyOptions, Dispatcher, join_all
from dapr.ext.workflow._durabletask.history.cache import _WorkflowHistoryCache
from dapr.ext.workflow._durabletask.history.fence import DispatchFence
from dapr.ext.workflow._durabletask.history.janitor import Janitor
from dapr.ext.workflow._durabletask.history.resolver import HistoryResolver
from dapr.ext.workflow._durabletask.history.sticky import StickyInstances
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.listener import Listeners
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext
from dapr.ext.workflow._durabletask.replay.executor import _OrchestrationExecutor
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from dapr.ext.workflow._durabletask.replay.verification import ReplayVerification, VerifiedContext, every_nth_turn
from dapr.ext.workflow._durabletask.running import RunningWork, describe
from dapr.ext.workflow._durabletask.transport.abilities import SidecarAbilities
from dapr.ext.workflow._durabletask.transport.completions import Completions
from dapr.ext.workflow._durabletask.transport.connection import Connections
from dapr.ext.workflow._durabletask.transport.history import HistoryFetch
from dapr.ext.workflow._durabletask.transport.settling import Settling
from dapr.ext.workflow._durabletask.transport.sizes import SizeWatch
from dapr.ext.workflow._durabletask.transport.stream import WorkItemStream
from dapr.ext.workflow._durabletask.turns import Dispatch, Turns
from dapr.ext.workflow._durabletask.watchdog import Watchdog

__all__ = ['WorkerRun']

# How long `stop` keeps the stream open for what is running: an answer that is sent after the stream is closed comes too
# late, the sidecar has dispatched its work item again. Longer, and what it sends meanwhile would be held up.
_FINISH_SECONDS = 2.0
# How long before the end of a stop async activities are cancelled, at most.
_CANCEL_SECONDS = 5.0
# How often it is told what keeps a stop waiting.
_TELL_SECONDS = 5.0
# The number that no stream has: the first one is 1.
_NO_STREAM = 0


class WorkerRun:
    """A worker from one start to its stop: made anew each time, so that nothing of the last one is left in it.

    Args:
        registry: What can be run.
        connect: Makes a channel.
        options: How much runs at once.
        logger: The worker's.
        cache: Where histories are kept between turns; None: nowhere, and sidecars send them whole.
        sticky: Where running workflows are kept between turns, in place of histories; None: nowhere.
        address: The sidecar's, as host:port, for what is told of it.
        keepalive_interval: As in `TaskHubGrpcWorker`.
        blocked_warning_after: As in `TaskHubGrpcWorker`.
        listeners: Are told what it does; None: no one is.
    """

    def __init__(
        self,
        registry: _Registry,
        connect: Callable[[], grpc.Channel],
        options: ConcurrencyOptions,
        logger: logging.Logger,
        cache: _WorkflowHistoryCache | None,
        sticky: StickyInstances | None,
        *,
        address: str,
        keepalive_interval: float,
        blocked_warning_after: float,
        listeners: Listeners | None = None,
    ) -> None:
        self._logger = logger
        self.running = RunningWork()
        self._shutting_down = threading.Event()
        self._connections = Connections(logger)
        self._listeners = listeners
        sizes = SizeWatch(logger)
        self._settling = Settling()
        completions = Completions(
            self._connections,
            logger,
            on_failure=None if listeners is None else listeners.answer_failed,
            sizes=sizes,
            settling=self._settling,
        )
        self._fence = DispatchFence()
        self._sticky = sticky
        self._resolver = None if cache is None else HistoryResolver(cache, HistoryFetch(self._connections))
        self._janitor = Janitor(*(store for store in (cache, sticky) if store is not None))
        if sticky is not None:
            sticky.on_discard = self._janitor.wake
        every = every_nth_turn()
        forgotten_yield.mode()  # raises where it makes no sense
        self._turns = Turns(
            _OrchestrationExecutor(registry, logger, VerifiedContext if every else _RuntimeOrchestrationContext),
            completions,
            logger,
            self._resolver,
            sticky,
            ReplayVerification(every) if every else None,
            self._give_up_stream,
            self.running,
            listeners,
            SidecarAbilities(self._connections),
        )
        self.dispatcher = Dispatcher(options, logger)
        self._activities = Activities(
            registry, completions, logger, self.running, self._shutting_down, self.dispatcher.async_activity, listeners
        )
        self._watchdog: Watchdog | None = None
        if blocked_warning_after > 0:
            self._watchdog = Watchdog(self.running, self.dispatcher.async_loop, logger, blocked_warning_after)
        self.stream = WorkItemStream(
            connect,
            self._connections,
            pb.GetWorkItemsRequest(capabilities=_capabilities(keeps_histories=cache is not None)),
            self._take,
            logger,
            keepalive_interval=keepalive_interval,
            on_open=self._stream_is_open,
            on_lost=None if listeners is None else listeners.reconnecting,
            on_received=None if listeners is None else listeners.on_received,
            sizes=sizes,
            address=address,
        )
        self._unknown_kinds: set[str] = set()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._tell_at = 0.0
        self.is_stopping = False

    def start(self) -> None:
        """Starts connecting. Raises what making the channel raises; nothing runs then."""
        self.stream.start()
        self._janitor.start()
        if self._watchdog is not None:
            self._watchdog.start()

    def is_alive(self) -> bool:
        """Whether the threads live that it cannot do without."""
        return all(thread.is_alive() for thread in [*self.stream.threads, *self._janitor.threads])

    def stop(self, timeout: float) -> None:
        """Ends everything; a second caller waits for the first, unless the first may be waiting for it."""
        with self._lock:
            is_first, self.is_stopping = not self.is_stopping, True
        if is_first:
            try:
                self._stop(timeout)
            finally:
                self._stopped.set()
        elif threading.current_thread() not in self._threads():
            self._stopped.wait()

    def _stop(self, timeout: float) -> None:
        started = time.monotonic()
        deadline = started + timeout
        self._shutting_down.set()
        self._connections.drain()
        self.dispatcher.close()
        is_finished = self._join(min(deadline, started + _FINISH_SECONDS), deadline)
        self._settling.wait(deadline)
        self.stream.stop()
        if not is_finished:
            # Cancelled before the end, not at it: they have `finally` blocks, and may still answer.
            is_finished = self._join(deadline - min(_CANCEL_SECONDS, timeout / 5), deadline)
        if not is_finished:
            self.dispatcher.cancel_async()
            is_finished = self._join(deadline, deadline)
        if not is_finished:
            self.dispatcher.abandon()
        self._connections.close(max(JOIN_SECONDS, deadline - time.monotonic()))
        # Nothing that is kept is of use to the next start, nor what a turn that is still busy may write by then.
        self._stream_is_open(_NO_STREAM)
        self._janitor.stop()
        if self._watchdog is not None:
            self._watchdog.stop()
        join_all(self._threads(), time.monotonic() + JOIN_SECONDS)
        busy = [t.name for t in self._threads() if t.is_alive() and t is not threading.current_thread()]
        if busy:
            self._logger.warning(
                'The worker has stopped, but these of its threads are still busy after %.1f s: %s. What they run does '
                'not return; its result will be dropped, and the sidecar dispatches it again.',
                time.monotonic() - started,
                ', '.join(busy),
            )
        else:
            self._logger.info('The worker has stopped.')

    def _join(self, until: float, deadline: float) -> bool:
        """Waits for all that runs, and tells what it waits for: at once, and every few seconds."""
        while True:
            now = time.monotonic()
            if not self.running.is_empty and now >= self._tell_at:
                self._tell_at = now + _TELL_SECONDS
                self._logger.info(
                    'Stopping: waiting up to %.0f s for %s.', max(0.0, deadline - now), describe(self.running)
                )
            told_next = self._tell_at if self._tell_at > now else now + _TELL_SECONDS
            if self.dispatcher.join(min(until, told_next)):
                return True
            if time.monotonic() >= until:
                return False

    def _take(self, item: pb.WorkItem) -> None:
        """Passes a work item on to where it runs."""
        kind = item.WhichOneof('request')
        if kind == 'workflowRequest':
            self._settling.turn_came(item.workflowRequest)
            # Here, on the reader's thread, the order of the dispatches is the stream's.
            ticket = self._fence.enter(item.workflowRequest.instanceId)
            try:
                self.dispatcher.turn(self._turns.serve, Dispatch(item, ticket))
            except BaseException:  # no thread can be started: the item is not served, so nothing else gives it back
                ticket.leave()
                raise
        elif kind == 'activityRequest':
            activities, received = self._activities, 0.0 if self._listeners is None else time.perf_counter()
            if activities.is_async(item):
                serve_async = partial(activities.serve_async, received=received) if received else activities.serve_async
                self.dispatcher.async_activity(serve_async, activities.answer, item)
            else:
                self.dispatcher.activity(
                    partial(activities.serve, received=received) if received else activities.serve, item
                )
        elif kind is None:
            self._tell_unknown(item)
        # What is left is healthPing, which has done its work by arriving.

    def _stream_is_open(self, number: int) -> None:
        self._fence.new_stream(number)
        if self._resolver is not None:
            self._resolver.new_stream()
        if self._sticky is not None:
            self._sticky.reset()
        if self._listeners is not None and number != _NO_STREAM:
            self._listeners.connected(number)

    def _give_up_stream(self, reason: str, number: int) -> None:
        self.stream.reset(reason, number)

    def _tell_unknown(self, item: pb.WorkItem) -> None:
        fields = UnknownFieldSet(item)
        numbers = sorted({fields[index].field_number for index in range(len(fields))})
        kind = ', '.join(f'field {number}' for number in numbers) or 'empty'
        if kind not in self._unknown_kinds:
            self._unknown_kinds.add(kind)
            self._logger.warning(
                'Work items of a kind that this worker does not know (%s) are ignored. Is the sidecar newer?', kind
            )

    def _threads(self) -> list[threading.Thread]:
        watchdog = [] if self._watchdog is None else self._watchdog.threads
        return [*self.stream.threads, *self.dispatcher.threads(), *self._janitor.threads, *watchdog]


def _capabilities(*, keeps_histories: bool) -> list[pb.WorkerCapability.ValueType]:
    capabilities = [pb.WORKER_CAPABILITY_HEALTH_PING]
    if keeps_histories:
        capabilities.append(pb.WORKER_CAPABILITY_STATEFUL_HISTORY)
    return capabilities
