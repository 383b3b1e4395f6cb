"""The stream of work items: opening it, keeping it alive, and opening it again when it ends."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol, cast

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError
from grpc.experimental import ChannelOptions

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.tracing import untraced
from dapr.ext.workflow._durabletask.transport.advice import advise
from dapr.ext.workflow._durabletask.transport.backoff import Backoff
from dapr.ext.workflow._durabletask.transport.connection import Connection, Connections, NotConnectedError
from dapr.ext.workflow._durabletask.transport.errors import code_of, describe
from dapr.ext.workflow._durabletask.transport.sizes import SizeWatch

STREAM_CHANNEL_OPTIONS: tuple[tuple[str, int], ...] = (
    # The reader takes work items off the wire itself, instead of from a thread of grpc's that does.
    (ChannelOptions.SingleThreadedUnaryStream, 1),
    # Else a new channel takes over the TCP connection of the one that was given up, dead as it may be.
    ('grpc.use_local_subchannel_pool', 1),
)
HELLO_TIMEOUT_SECONDS = 5.0
# A sidecar sends its headers with the first work item, so an idle stream gives no sign that it was accepted; one that
# is refused fails within a round trip.
OPEN_AFTER_SECONDS = 0.1
# A stream that lasted this long shows that the sidecar serves streams: what follows is a new trouble.
STABLE_AFTER_SECONDS = 10.0


class _Cancellable(Protocol):
    def cancel(self) -> object: ...


class _Loss(NamedTuple):
    """Why a stream is over: in full, for the log, and as one of few words, see `WorkerListener.reconnecting`."""

    why: str
    code: str


class _WorkItemCall:
    """One GetWorkItems call.

    With OpenTelemetry's instrumentation (and other interceptors) the call is a plain generator: it can't be cancelled,
    and starts on the first `next` only. Closing its channel ends it; but a channel must not be closed while a call is
    on its way to it. The one sure sign that the call is there is that its request is serialized, which grpc does last.
    So until then the connection is held.
    """

    def __init__(
        self,
        connections: Connections,
        connection: Connection,
        request: pb.GetWorkItemsRequest,
        logger: logging.Logger,
        on_received: Callable[[int], None] | None = None,
        sizes: SizeWatch | None = None,
    ) -> None:
        self.connection = connection
        self.given_up_for: _Loss | None = None
        self._on_received = on_received
        self._sizes = sizes
        self._connections = connections
        self._request = request
        self._logger = logger
        self._start = connections.hold(connection)
        self._call: Any = None

    def items(self) -> Iterator[pb.WorkItem]:
        """The work items as they come; ends or raises as the call does."""
        open_call = self.connection.channel.unary_stream(
            '/TaskHubSidecarService/GetWorkItems',
            request_serializer=self._serialize,
            response_deserializer=self._deserialize,
        )
        self._call = open_call(self._request)
        return iter(cast('Iterable[pb.WorkItem]', self._call))

    def cancel(self) -> None:
        """Ends the call, from any thread and at any time, if it can be cancelled; else retire its connection."""
        cancel = getattr(self._call, 'cancel', None)
        if cancel is not None:
            cancel()

    def over(self) -> None:
        """Says that no one iterates any more."""
        self._start.release()

    def _serialize(self, request: pb.GetWorkItemsRequest) -> bytes:
        self._start.release()
        return request.SerializeToString()

    def _deserialize(self, data: bytes) -> pb.WorkItem:
        if self._on_received is not None:
            self._on_received(len(data))
        try:
            item = pb.WorkItem.FromString(data)
            if self._sizes is not None and len(data) > self._sizes.half:
                self._sizes.is_large(item, len(data))
            return item
        except DecodeError as error:
            # Raised on, it would end the stream, and the sidecar would send the same item on the next one.
            self._logger.error('A work item of %d bytes is not a WorkItem message and is ignored: %s', len(data), error)
            return pb.WorkItem()


class WorkItemStream:
    """The work items of a sidecar, over as many connections as it takes, one after the other.

    Each connection: a channel, one Hello with a deadline, GetWorkItems. When it ends, for whatever reason, it is
    retired, and after a delay the next one is made. Two threads: the reader, which gives each item to `on_item`, and
    one that says Hello when no item has come for a while, since load balancers drop what is silent. That one also tells
    of a stream that is open: while it is idle, the reader waits and sees nothing.

    Args:
        connect: Makes a channel.
        connections: Takes charge of the channels.
        request: What each GetWorkItems call asks for.
        on_item: Takes one work item, at once. It is called on the reader's thread.
        logger: Where the ups and downs are told.
        keepalive_interval: Seconds of silence after which Hello is said; zero or less: never.
        address: The sidecar's address, for the log. Default: not told.
        on_open: Called on the reader's thread when a stream is open, before its first item, with the stream's number:
            1 for the first one, and so on. What the sidecar and the worker agreed on over the one before is over.
        on_lost: Called on the reader's thread when a stream was lost or could not be opened and the next one follows,
            with the reason as one word, see `WorkerListener.reconnecting`. Default: no one is told.
        on_received: Called with the size of each work item, in bytes. Default: no one is told.
        sizes: Is told of work items that are larger than half of what the sidecar sends. Default: no one is told.
        backoff: Gives the delays between attempts. Default: doubling from 0.5 s to 15 s, with jitter.
        clock: A monotonic clock, in seconds.
        pause: Waits until the given seconds have passed or the stream is stopped. Default: waits for the stop.
    """

    def __init__(
        self,
        connect: Callable[[], grpc.Channel],
        connections: Connections,
        request: pb.GetWorkItemsRequest,
        on_item: Callable[[pb.WorkItem], None],
        logger: logging.Logger,
        *,
        keepalive_interval: float,
        address: str | None = None,
        on_open: Callable[[int], None] | None = None,
        on_lost: Callable[[str], None] | None = None,
        on_received: Callable[[int], None] | None = None,
        sizes: SizeWatch | None = None,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] | None = None,
    ) -> None:
        self._connect = connect
        self._connections = connections
        self._request = request
        self._on_item = on_item
        self._address = address
        self._on_open = on_open
        self._on_lost = on_lost
        self._on_received = on_received
        self._sizes = sizes
        self._logger = logger
        self._keepalive_interval = keepalive_interval
        self._backoff = backoff or Backoff()
        self._clock = clock
        self._pause = pause or self._wait_for_stop
        self._changed = threading.Condition()
        self._stopping = False
        self._call: _WorkItemCall | None = None
        self._number = 0
        self._opened_at = 0.0
        self._heard_at = 0.0
        self._confirmed = False
        self._last_error: str | None = None
        self._started_at = clock()
        self._cut_off_at: float | None = None  # when the stream was lost, until the next one is told of
        self._untold: _WorkItemCall | None = None
        self._hellos: set[_Cancellable] = set()
        self.threads: list[threading.Thread] = []

    # -- for its owner -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Makes the first channel and starts the threads.

        Raises:
            Exception: What making the channel raised: a setting that can't be read, most likely. Nothing runs then.
        """
        channel = self._connect()
        self._start_thread('dapr-workflow-stream', lambda: self._read(channel))
        if self._keepalive_interval > 0:
            self._start_thread('dapr-workflow-keepalive', self._keep_alive)

    @property
    def last_error(self) -> str | None:
        """Why the latest stream ended, or could not be opened; None: none has."""
        return self._last_error

    def open_for(self) -> float | None:
        """For how long the stream has been open, in seconds; None: it is not."""
        with self._changed:
            return self._clock() - self._opened_at if self._until_open() == 0 else None

    def cut_off_for(self) -> float | None:
        """For how long there has been no stream, in seconds; None: there is one."""
        with self._changed:
            if self._until_open() == 0:
                return None
            lost_at = self._started_at if self._cut_off_at is None else self._cut_off_at
            return self._clock() - lost_at

    def is_open(self) -> bool:
        """Whether the sidecar is sending work items, as far as can be known."""
        with self._changed:
            return self._until_open() == 0

    def wait_until_open(self, timeout: float | None = None) -> bool:
        """Waits until the stream is open.

        Args:
            timeout: How long at most, in seconds; None (default): without limit.

        Returns:
            False when the time is over, or the stream was stopped.
        """
        deadline = None if timeout is None else self._clock() + timeout
        with self._changed:
            while not self._stopping:
                wait = self._until_open()
                if wait == 0:
                    return True
                if deadline is not None:
                    left = deadline - self._clock()
                    if left <= 0:
                        return False
                    wait = left if wait is None else min(wait, left)
                self._changed.wait(wait)
        return False

    def reset(self, reason: str, number: int | None = None) -> None:
        """Gives up the stream that is open, so that the sidecar dispatches what is not answered once more. The next
        one is made after a delay.

        Args:
            reason: Why, for the log.
            number: The stream that is meant, by its number: nothing happens when it is over already, so it is given up
                once, however many ask for it. Default: the one that is open.
        """
        with self._changed:
            call = self._call if number in (None, self._number) else None
        if call is not None:
            self._reset(call, _Loss(reason, 'history'))

    def stop(self) -> None:
        """Ends whatever the threads are waiting for, and the stream unless it cannot be cancelled: that one ends with
        its connection. So close the connections after it, and then join `threads`."""
        with self._changed:
            self._stopping = True
            call = self._call
            hellos = list(self._hellos)
            self._changed.notify_all()
        for hello in hellos:
            hello.cancel()
        if call is not None:
            call.cancel()

    # -- the reader ----------------------------------------------------------------------------------------------------

    def _read(self, first_channel: grpc.Channel) -> None:
        channel: grpc.Channel | None = first_channel
        told = ''
        while True:
            try:
                with untraced():
                    why, code = self._serve(self._connections.add(self._connect() if channel is None else channel))
            except grpc.RpcError as error:
                why, code = describe(advise(error, 'GetWorkItems', self._address)), code_of(error)
            except Exception as error:
                why, code = describe(error), 'error'
            channel = None
            if self._is_stopping():
                return
            if self._on_lost is not None:
                self._on_lost(code)
            # A reason with all its advice, once: not with every attempt to find a sidecar that is not there.
            self._last_error = why
            if self._cut_off_at is None:
                self._cut_off_at = self._clock()
            reason = 'as before' if why == told and not self._backoff.is_first else why
            told = why
            delay = self._backoff.next_delay()
            self._logger.warning('No work items from the sidecar: %s. Connecting again in %.1f s.', reason, delay)
            self._pause(delay)
            if self._is_stopping():
                return

    def _serve(self, connection: Connection) -> _Loss:
        """Reads work items from one connection until it is over; returns why it is."""
        try:
            self._hello(connection)
            call = _WorkItemCall(
                self._connections, connection, self._request, self._logger, self._on_received, self._sizes
            )
            try:
                items = call.items()
                if not self._opened(call):
                    return _Loss('the worker is stopping', 'ended')
                for item in items:
                    self._heard()
                    try:
                        self._on_item(item)
                    except Exception:
                        self._logger.exception('A work item could not be taken; the sidecar will dispatch it again.')
            except Exception:
                if call.given_up_for is None:
                    raise
            finally:
                call.over()
                self._forget(call)
        finally:
            # On a stop the connection outlives its stream: results that are just ready still go out on it.
            if not self._is_stopping():
                self._connections.retire(connection)
        return call.given_up_for or _Loss('the sidecar has ended the stream', 'ended')

    def _opened(self, call: _WorkItemCall) -> bool:
        with self._changed:
            stopping = self._stopping
            if not stopping:
                self._call = call
                self._number += 1
                number = self._number
                self._opened_at = self._heard_at = self._clock()
                self._confirmed = False
                self._untold = call if self._keepalive_interval > 0 else None
                self._changed.notify_all()
        if stopping:
            call.cancel()
            return False
        if self._on_open is not None:
            self._on_open(number)
        self._connections.publish(call.connection)
        if self._keepalive_interval <= 0:  # there is no one else to tell it
            self._tell_open()
        return True

    def _tell_open(self) -> None:
        """Tells of a stream that is open. The end of an outage as loudly as its beginning: who was told of the one
        shall not miss the other."""
        cut_off_at, self._cut_off_at = self._cut_off_at, None
        if cut_off_at is None:
            self._logger.info('Connected to the sidecar; waiting for work items.')
        else:
            self._logger.warning(
                'Connected again to the sidecar, after %.1f s without; waiting for work items.',
                self._clock() - cut_off_at,
            )

    def _heard(self) -> None:
        self._heard_at = self._clock()
        if not self._confirmed:
            with self._changed:
                self._confirmed = True
                self._changed.notify_all()

    def _forget(self, call: _WorkItemCall) -> bool:
        """Says that a call is over; False when that is known already."""
        with self._changed:
            if self._call is not call:
                return False
            self._call = None
            if self._clock() - self._opened_at >= STABLE_AFTER_SECONDS:
                self._backoff.reset()
            self._changed.notify_all()
            return True

    # -- Hello ---------------------------------------------------------------------------------------------------------

    def _hello(self, connection: Connection) -> None:
        """Says Hello with a deadline; `stop` cancels it. Raises what the call raises."""
        with untraced(), self._connections.hold(connection):
            call = connection.stub.Hello.future(Empty(), timeout=HELLO_TIMEOUT_SECONDS)
            with self._changed:
                self._hellos.add(call)
                stopping = self._stopping
            if stopping:
                call.cancel()
            try:
                call.result()
            finally:
                with self._changed:
                    self._hellos.discard(call)

    def _keep_alive(self) -> None:
        while True:
            call = self._wait_for_silence()
            if call is None:
                return
            with self._changed:
                is_news, self._untold = self._untold is call, None
            if is_news:
                self._tell_open()
                continue
            try:
                self._hello(call.connection)
                self._heard_at = self._clock()
            except NotConnectedError:
                continue
            except Exception as error:
                self._reset(call, _Loss(f'it does not answer Hello ({describe(error)})', 'silent'))

    def _wait_for_silence(self) -> _WorkItemCall | None:
        """Waits until a stream is open that is not told of, or one has been silent for the interval; None when the
        stream is stopped."""
        with self._changed:
            while not self._stopping:
                wait = None
                if self._call is not None and self._untold is self._call:
                    wait = self._until_open()
                    if not wait:
                        return self._call
                elif self._call is not None:
                    wait = self._heard_at + self._keepalive_interval - self._clock()
                    if wait <= 0:
                        return self._call
                self._changed.wait(wait)
        return None

    def _reset(self, call: _WorkItemCall, reason: _Loss) -> None:
        if self._is_stopping() or not self._forget(call):
            return
        call.given_up_for = reason
        call.cancel()
        # Results that are ready from now on wait for the next connection.
        self._connections.retire(call.connection)

    # -- waiting -------------------------------------------------------------------------------------------------------

    def _until_open(self) -> float | None:
        """Seconds until the stream counts as open, 0 when it does, None when there is none. The lock is held."""
        if self._call is None or self._stopping:
            return None
        if self._confirmed:
            return 0
        return max(0.0, self._opened_at + OPEN_AFTER_SECONDS - self._clock())

    def _is_stopping(self) -> bool:
        with self._changed:
            return self._stopping

    def _wait_for_stop(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping, seconds)

    def _start_thread(self, name: str, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=run, name=name, daemon=True)
        self.threads.append(thread)
        thread.start()
