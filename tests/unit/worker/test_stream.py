"""The stream of work items: opening, keepalive, reconnecting, stopping."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import grpc.experimental
import pytest

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.transport import stream as stream_module
from dapr.ext.workflow._durabletask.transport.backoff import Backoff
from dapr.ext.workflow._durabletask.transport.connection import Connections, NotConnectedError
from dapr.ext.workflow._durabletask.transport.stream import WorkItemStream
from tests.support.fake_sidecar import DEADLINE_SECONDS, FakeSidecar
from tests.support.interceptors import GeneratorInterceptor, open_plain, open_single_threaded, open_with_generators

LOGGER = logging.getLogger('tests.worker')
PING = pb.WorkItem(healthPing=pb.HealthPing())


class Clock:
    """A clock that stands still until it is moved on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Pauses:
    """Delays between attempts: noted, and as long as the test wants them to be."""

    def __init__(self, pass_at_once: int) -> None:
        self.delays: list[float] = []
        self.all_passed = threading.Event()
        self._pass_at_once = pass_at_once
        self._go_on = threading.Semaphore(0)

    def __call__(self, seconds: float) -> None:
        self.delays.append(seconds)
        if len(self.delays) > self._pass_at_once:
            self.all_passed.set()
            assert self._go_on.acquire(timeout=DEADLINE_SECONDS)

    def go_on(self) -> None:
        self._go_on.release()


class Reader:
    """A stream, its connections and what it has read."""

    def __init__(self, connect: Callable[[], grpc.Channel], keepalive_interval: float = 0, **settings: Any) -> None:
        self.items: list[pb.WorkItem] = []
        self.arrived = threading.Condition()
        self.connections = Connections(LOGGER)
        self.stream = WorkItemStream(
            connect,
            self.connections,
            pb.GetWorkItemsRequest(capabilities=[pb.WORKER_CAPABILITY_HEALTH_PING]),
            self._take,
            LOGGER,
            keepalive_interval=keepalive_interval,
            **settings,
        )

    def start(self) -> WorkItemStream:
        self.stream.start()
        return self.stream

    def wait_for_items(self, count: int) -> list[pb.WorkItem]:
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.items) >= count, DEADLINE_SECONDS)
        return self.items

    def stop(self) -> None:
        self.stream.stop()
        assert self.connections.close(DEADLINE_SECONDS)
        for thread in self.stream.threads:
            thread.join(DEADLINE_SECONDS)
            assert not thread.is_alive()

    def _take(self, item: pb.WorkItem) -> None:
        with self.arrived:
            self.items.append(item)
            self.arrived.notify_all()
        if item.completionToken == 'raise':
            raise ValueError('no such item')


NewReader = Callable[..., Reader]


@pytest.fixture
def new_reader() -> Iterator[NewReader]:
    """Makes readers; they are stopped in the end."""
    readers: list[Reader] = []

    def make(connect: Callable[[], grpc.Channel], **settings: Any) -> Reader:
        readers.append(Reader(connect, **settings))
        return readers[-1]

    yield make
    for reader in readers:
        reader.stop()


@pytest.fixture(params=[open_plain, open_single_threaded, open_with_generators], ids=lambda connect: connect.__name__)
def connect(request: pytest.FixtureRequest, sidecar: FakeSidecar) -> Callable[[], grpc.Channel]:
    """Makes channels to the sidecar, of each kind that there is."""
    return lambda: request.param(sidecar.address)


@pytest.fixture
def connect_plain(sidecar: FakeSidecar) -> Callable[[], grpc.Channel]:
    return lambda: open_single_threaded(sidecar.address)


def _never() -> grpc.Channel:
    raise ValueError('DAPR_GRPC_KEEPALIVE_TIME_MS is no number')


def test_work_items_arrive_in_order_after_one_hello(
    sidecar: FakeSidecar, connect: Callable[[], grpc.Channel], new_reader: NewReader
) -> None:
    reader = new_reader(connect)
    sidecar.push(*(pb.WorkItem(completionToken=str(n)) for n in range(5)))
    reader.start()
    assert [item.completionToken for item in reader.wait_for_items(5)] == ['0', '1', '2', '3', '4']
    assert sidecar.calls == {'Hello': 1, 'GetWorkItems': 1}
    assert sidecar.capabilities == [pb.WORKER_CAPABILITY_HEALTH_PING]


def test_an_idle_stream_counts_as_open_after_a_moment(
    connect: Callable[[], grpc.Channel], new_reader: NewReader
) -> None:
    reader = new_reader(connect)
    assert not reader.stream.is_open()
    assert reader.start().wait_until_open(DEADLINE_SECONDS)
    assert reader.stream.is_open()


def test_a_work_item_proves_the_stream_open_at_once(
    sidecar: FakeSidecar, connect_plain: Callable[[], grpc.Channel], new_reader: NewReader
) -> None:
    clock = Clock()
    reader = new_reader(connect_plain, clock=clock)
    reader.start()
    sidecar.wait_for(lambda: sidecar.open_streams)
    assert not reader.stream.is_open()
    sidecar.push(PING)
    assert reader.stream.wait_until_open(None)
    assert reader.stream.is_open()


def test_the_wait_for_an_open_stream_has_a_deadline(new_reader: NewReader) -> None:
    reader = new_reader(lambda: open_single_threaded('127.0.0.1:1'))
    assert not reader.start().wait_until_open(0.01)


@pytest.mark.parametrize('answers_hello', [True, False])
def test_stopping_ends_every_wait(
    sidecar: FakeSidecar, connect: Callable[[], grpc.Channel], new_reader: NewReader, answers_hello: bool
) -> None:
    sidecar.hold_hello = not answers_hello
    reader = new_reader(connect, keepalive_interval=30)
    reader.start()
    sidecar.wait_for(lambda: sidecar.open_streams if answers_hello else sidecar.calls['Hello'])
    reader.stop()
    assert not reader.stream.wait_until_open(None)
    sidecar.wait_for(lambda: not sidecar.open_streams)


def test_stopping_ends_the_delay_between_attempts(new_reader: NewReader) -> None:
    first_delay = threading.Event()

    def longest(low: float, high: float) -> float:
        first_delay.set()
        return high

    reader = new_reader(lambda: open_single_threaded('127.0.0.1:1'), backoff=Backoff(first=3600, uniform=longest))
    reader.start()
    assert first_delay.wait(DEADLINE_SECONDS)
    reader.stop()


def test_stopping_races_with_every_step_of_connecting(
    sidecar: FakeSidecar, connect: Callable[[], grpc.Channel]
) -> None:
    # Each round stops the stream a little later into its first connection; a call that is started on a closed channel
    # would take the process down.
    for _ in range(50):
        reader = Reader(connect)
        reader.start()
        reader.stop()


def test_a_channel_is_not_closed_while_a_call_is_on_its_way_to_it(sidecar: FakeSidecar, new_reader: NewReader) -> None:
    reached, go_on = threading.Event(), threading.Event()

    class Slow(GeneratorInterceptor):
        def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
            reached.set()
            assert go_on.wait(DEADLINE_SECONDS)
            yield from continuation(client_call_details, request)

    reader = new_reader(lambda: grpc.intercept_channel(open_single_threaded(sidecar.address), Slow()))
    reader.start()
    assert reached.wait(DEADLINE_SECONDS)
    reader.stream.stop()
    is_closed = reader.connections.close(0.05)
    go_on.set()
    assert not is_closed
    assert reader.connections.close(DEADLINE_SECONDS)


def test_a_channel_that_cannot_be_made_is_raised_and_starts_nothing(new_reader: NewReader) -> None:
    reader = new_reader(_never)
    with pytest.raises(ValueError, match='DAPR_GRPC_KEEPALIVE_TIME_MS'):
        reader.start()
    assert reader.stream.threads == []


def test_a_refused_stream_is_tried_again_with_growing_delays(
    sidecar: FakeSidecar, connect: Callable[[], grpc.Channel], new_reader: NewReader
) -> None:
    sidecar.refuse_streams = grpc.StatusCode.UNAVAILABLE
    pauses = Pauses(pass_at_once=8)
    clock = Clock()  # stands still: no stream ever counts as open or as stable
    reader = new_reader(connect, backoff=Backoff(uniform=lambda low, high: high), pause=pauses, clock=clock)
    reader.start()
    assert pauses.all_passed.wait(DEADLINE_SECONDS)
    assert pauses.delays == [0.5, 1, 2, 4, 8, 15, 15, 15, 15]
    assert sidecar.calls == {'Hello': 9, 'GetWorkItems': 9}
    assert not reader.stream.is_open()
    assert [thread.name for thread in reader.stream.threads] == ['dapr-workflow-stream']
    sidecar.refuse_streams = None
    pauses.go_on()
    sidecar.push(PING)
    reader.wait_for_items(1)


def test_only_a_stream_that_has_stayed_up_begins_with_short_delays_again(
    sidecar: FakeSidecar,
    connect_plain: Callable[[], grpc.Channel],
    new_reader: NewReader,
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, pauses = Clock(), Pauses(pass_at_once=100)
    backoff = Backoff(uniform=lambda low, high: high)
    reader = new_reader(connect_plain, backoff=backoff, pause=pauses, clock=clock)
    reader.start()
    for count, lasted in enumerate([0.0, 9.9, 0.0, 10.0, 0.0, 3600.0], start=1):
        sidecar.push(PING)
        reader.wait_for_items(count)
        clock.now += lasted
        sidecar.drop_streams()
        sidecar.wait_for_stream(count + 1)
    assert pauses.delays == [0.5, 1, 2, 0.5, 1, 0.5]
    told = [record.getMessage() for record in caplog.records if 'No work items' in record.getMessage()]
    # Why it ended is told anew as well.
    assert ['as before' in message for message in told] == [False, True, True, False, True, False]


def test_a_sidecar_that_vanishes_and_comes_back_is_served_again(
    sidecar: FakeSidecar, connect: Callable[[], grpc.Channel], new_reader: NewReader
) -> None:
    pauses = Pauses(pass_at_once=0)
    reader = new_reader(connect, pause=pauses)
    reader.start().wait_until_open()
    sidecar.stop()
    assert pauses.all_passed.wait(DEADLINE_SECONDS)
    assert not reader.stream.is_open()
    sidecar.start()
    pauses.go_on()
    sidecar.push(PING)
    reader.wait_for_items(1)
    assert reader.stream.is_open()


def test_reconnects_start_no_threads(
    sidecar: FakeSidecar, connect_plain: Callable[[], grpc.Channel], new_reader: NewReader
) -> None:
    reader = new_reader(connect_plain, pause=lambda _: None, keepalive_interval=30)
    reader.start()
    counts = set()
    for count in range(1, 11):
        sidecar.wait_for_stream(count)
        counts.add(sum(thread.name.startswith('dapr-workflow') for thread in threading.enumerate()))
        sidecar.drop_streams()
    assert counts == {2}


def test_a_channel_that_cannot_be_made_later_is_tried_again(sidecar: FakeSidecar, new_reader: NewReader) -> None:
    attempts: list[int] = []

    def connect() -> grpc.Channel:
        attempts.append(1)
        if len(attempts) == 2:
            raise ValueError('not now')
        return open_single_threaded(sidecar.address)

    reader = new_reader(connect, pause=lambda _: None)
    reader.start()
    sidecar.wait_for(lambda: sidecar.open_streams)
    sidecar.drop_streams()
    sidecar.wait_for_calls('GetWorkItems', 2)
    assert len(attempts) == 3


@pytest.mark.parametrize('bad', [b'\xff\xff\xff', b'\x0a\x7f'], ids=['tag', 'length'])
def test_an_item_that_is_no_message_leaves_the_stream_open(
    sidecar: FakeSidecar,
    connect_plain: Callable[[], grpc.Channel],
    new_reader: NewReader,
    caplog: pytest.LogCaptureFixture,
    bad: bytes,
) -> None:
    reader = new_reader(connect_plain)
    reader.start()
    sidecar.push(bad, pb.WorkItem(completionToken='next'))
    items = reader.wait_for_items(2)
    assert [item.completionToken for item in items] == ['', 'next']
    assert 'is not a WorkItem message' in caplog.text


def test_an_item_that_cannot_be_taken_leaves_the_stream_open(
    sidecar: FakeSidecar,
    connect_plain: Callable[[], grpc.Channel],
    new_reader: NewReader,
    caplog: pytest.LogCaptureFixture,
) -> None:
    reader = new_reader(connect_plain)
    reader.start()
    sidecar.push(pb.WorkItem(completionToken='raise'), PING)
    reader.wait_for_items(2)
    assert 'no such item' in caplog.text


# Keepalive


def test_hello_is_said_when_nothing_has_come_for_a_while(
    sidecar: FakeSidecar, connect: Callable[[], grpc.Channel], new_reader: NewReader
) -> None:
    reader = new_reader(connect, keepalive_interval=0.01)
    reader.start()
    sidecar.wait_for_calls('Hello', 4)
    assert sidecar.calls['GetWorkItems'] == 1


@pytest.mark.parametrize('interval', [0, -1])
def test_keepalive_can_be_off(connect_plain: Callable[[], grpc.Channel], new_reader: NewReader, interval: int) -> None:
    reader = new_reader(connect_plain, keepalive_interval=interval)
    reader.start()
    assert [thread.name for thread in reader.stream.threads] == ['dapr-workflow-stream']


def test_a_keepalive_without_an_answer_gives_the_connection_up(
    sidecar: FakeSidecar,
    connect: Callable[[], grpc.Channel],
    new_reader: NewReader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses = Pauses(pass_at_once=0)
    reader = new_reader(connect, keepalive_interval=0.01, pause=pauses)
    reader.start()
    sidecar.wait_for(lambda: sidecar.open_streams)
    with monkeypatch.context() as patch:  # not for the Hello of a new connection, which a busy machine may delay
        patch.setattr(stream_module, 'HELLO_TIMEOUT_SECONDS', 0.05)
        sidecar.hold_hello = True
        assert pauses.all_passed.wait(DEADLINE_SECONDS)
    sidecar.wait_for(lambda: not sidecar.open_streams)
    assert not reader.stream.is_open()
    with pytest.raises(NotConnectedError):
        reader.connections.acquire(0)
    sidecar.hold_hello = False
    pauses.go_on()
    sidecar.wait_for(lambda: sidecar.open_streams)


def test_a_reset_makes_a_new_connection_after_a_delay(
    sidecar: FakeSidecar, connect: Callable[[], grpc.Channel], new_reader: NewReader
) -> None:
    pauses = Pauses(pass_at_once=0)
    reader = new_reader(connect, pause=pauses)
    reader.start()
    sidecar.wait_for(lambda: sidecar.open_streams)
    assert reader.stream.wait_until_open(DEADLINE_SECONDS)
    reader.stream.reset('the test wants it')
    assert not reader.stream.is_open()
    assert pauses.all_passed.wait(DEADLINE_SECONDS)
    sidecar.wait_for(lambda: not sidecar.open_streams)
    reader.stream.reset('there is none to give up')
    pauses.go_on()
    sidecar.push(PING)
    reader.wait_for_items(1)
    assert len(set(sidecar.stream_peers)) == 2
