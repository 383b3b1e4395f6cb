"""Dispatching turns and activities to worker streams, on a clock that the test moves."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Sequence
from typing import Any

import pytest

from dapr.ext.workflow._durabletask.internal import helpers
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator.errors import StoreError
from dapr.ext.workflow.emulator.seam import Key
from dapr.ext.workflow.emulator.serving import streams
from dapr.ext.workflow.emulator.serving.dispatch import Dispatcher
from dapr.ext.workflow.emulator.serving.streams import WorkerStream, owner_of
from tests.support.work_source import ManualLoop, WorkSource, activity, event

LOGGER = logging.getLogger('test')
LEASE = 100.0
PINGS = 30.0


class Bench:
    """A dispatcher between a small backend and streams that the test reads."""

    def __init__(self) -> None:
        self.loop = ManualLoop()
        self.source = WorkSource()
        names = map(str, itertools.count())
        self.dispatcher = Dispatcher(
            self.source, self.loop, LOGGER, lease_seconds=LEASE, ping_seconds=PINGS, new_name=lambda: next(names)
        )
        self.source.on_ready = self.dispatcher.turns.ready

    def connect(self, *capabilities: int, app_id: str = '') -> WorkerStream:
        return self.dispatcher.connect(app_id, capabilities)

    def take(self, stream: WorkerStream) -> list[pb.WorkItem]:
        """What a stream sends by now."""
        self.loop.run()
        items = []
        while stream._unsent:
            # It waits for nothing: so no event loop is needed, which would be slow to make each time.
            with pytest.raises(StopIteration) as stopped:
                stream.next().send(None)
            items.append(stopped.value.value)
            self.loop.run()
        return items

    def take_one(self, stream: WorkerStream) -> pb.WorkItem:
        [item] = self.take(stream)
        return item

    def complete(self, item: pb.WorkItem, *actions: pb.WorkflowAction, token: str | None = None) -> None:
        self.dispatcher.turns.complete(
            '',
            pb.WorkflowResponse(
                instanceId=item.workflowRequest.instanceId,
                completionToken=item.completionToken if token is None else token,
                actions=actions,
            ),
        )

    def complete_activity(self, item: pb.WorkItem, result: str = '1', token: str | None = None) -> None:
        request = item.activityRequest
        response = pb.ActivityResponse(
            instanceId=request.workflowInstance.instanceId,
            taskId=request.taskId,
            completionToken=item.completionToken if token is None else token,
        )
        response.result.value = result
        self.dispatcher.activities.complete('', response)


@pytest.fixture
def bench() -> Bench:
    return Bench()


STATEFUL = pb.WORKER_CAPABILITY_STATEFUL_HISTORY


def ids(events: Sequence[pb.HistoryEvent]) -> list[int]:
    return [e.eventId for e in events]


def instances(items: Sequence[pb.WorkItem]) -> list[str]:
    return [item.workflowRequest.instanceId for item in items]


# Turns


def test_a_turn_goes_out_with_all_that_came_until_a_worker_was_there(bench: Bench) -> None:
    bench.source.post('wf')
    bench.loop.run(10)
    bench.source.post('wf')
    item = bench.take_one(bench.connect())
    assert item.workflowRequest.instanceId == 'wf'
    assert item.workflowRequest.executionId.value == 'run'
    assert ids(item.workflowRequest.newEvents) == [1, 2]
    assert item.completionToken


def test_the_next_turn_goes_out_when_the_one_before_is_answered(bench: Bench) -> None:
    stream = bench.connect()
    bench.source.post('wf')
    first = bench.take_one(stream)
    bench.source.post('wf')
    assert bench.take(stream) == []
    bench.complete(first)
    second = bench.take_one(stream)
    assert second.completionToken != first.completionToken
    assert ids(second.workflowRequest.pastEvents) == ids(first.workflowRequest.newEvents)


@pytest.mark.parametrize(
    ('capabilities', 'pasts', 'held'),
    [([STATEFUL], [[], [1], [2], [3]], [None, None, 1, 2]), ([], [[], [1], [1, 2], [1, 2, 3]], [None] * 4)],
    ids=['stateful', 'stateless'],
)
def test_a_worker_that_keeps_histories_gets_deltas_from_the_third_turn_on(
    capabilities: list[int], pasts: list[list[int]], held: list[int | None], bench: Bench
) -> None:
    stream = bench.connect(*capabilities)
    requests = []
    for _ in pasts:
        bench.source.post('wf')
        item = bench.take_one(stream)
        bench.complete(item)
        requests.append(item.workflowRequest)
    assert [ids(request.pastEvents) for request in requests] == pasts
    assert [r.cachedHistory.eventCount if r.HasField('cachedHistory') else None for r in requests] == held


def test_a_turn_that_is_not_answered_in_time_goes_out_again_and_its_late_answer_is_dropped(bench: Bench) -> None:
    stream = bench.connect(STATEFUL)
    bench.source.post('wf')
    bench.complete(bench.take_one(stream))
    bench.source.post('wf')
    first = bench.take_one(stream)
    bench.loop.run(LEASE - 1)
    assert bench.take(stream) == []

    bench.loop.run(1)

    second = bench.take_one(stream)
    assert second.workflowRequest.cachedHistory.eventCount == 1
    assert ids(second.workflowRequest.pastEvents) == []
    assert ids(second.workflowRequest.newEvents) == ids(first.workflowRequest.newEvents)
    bench.complete(first)
    assert len(bench.source.committed[Key('', 'wf')]) == 1
    bench.complete(second)
    assert len(bench.source.committed[Key('', 'wf')]) == 2


def test_each_turn_has_a_lease_of_its_own(bench: Bench) -> None:
    stream = bench.connect()
    again: list[list[str]] = []
    for number in range(3):
        bench.source.post(f'wf-{number}')
        bench.take(stream)
        bench.loop.run(10)
    for _ in range(3):
        bench.loop.run(LEASE - 30 if not again else 10)
        again.append(instances(bench.take(stream)))
    assert again == [['wf-0'], ['wf-1'], ['wf-2']]


def test_an_answer_counts_once(bench: Bench) -> None:
    stream = bench.connect()
    bench.source.post('wf')
    item = bench.take_one(stream)
    bench.complete(item)
    bench.complete(item)
    assert len(bench.source.committed[Key('', 'wf')]) == 1


@pytest.mark.parametrize('token', ['no such token', '0-2'])
def test_an_answer_with_a_token_that_is_none_is_dropped(token: str, bench: Bench) -> None:
    stream = bench.connect()
    bench.source.post('wf')
    bench.complete(bench.take_one(stream), token=token)
    assert bench.source.committed[Key('', 'wf')] == []


def test_an_answer_with_the_token_of_another_instance_is_dropped(bench: Bench) -> None:
    stream = bench.connect()
    bench.source.post('one')
    bench.source.post('two')
    one, two = bench.take(stream)
    bench.complete(one, token=two.completionToken)
    assert bench.source.committed == {Key('', 'one'): [], Key('', 'two'): []}


def test_an_answer_without_a_token_is_that_of_the_current_turn(bench: Bench) -> None:
    stream = bench.connect()
    bench.source.post('wf')
    bench.complete(bench.take_one(stream), token='')
    assert len(bench.source.committed[Key('', 'wf')]) == 1


def test_the_tokens_and_streams_of_two_emulators_differ(bench: Bench) -> None:
    tokens, stream_ids = set(), set()
    for _ in range(2):
        bench.dispatcher = Dispatcher(bench.source, bench.loop, LOGGER)
        stream = bench.connect()
        bench.dispatcher.activities.ready(activity(1))
        tokens.add(bench.take_one(stream).completionToken)
        stream_ids.add(stream.stream_id)
    assert (len(tokens), len(stream_ids)) == (2, 2)


def test_what_a_lost_stream_has_not_answered_goes_to_another_one_at_once_and_in_order(bench: Bench) -> None:
    first = bench.connect()
    for number in range(10):
        bench.source.post(f'wf-{number}')
    before = bench.take(first)
    bench.complete(before[3])

    bench.dispatcher.disconnect(first)
    second = bench.connect()

    after = bench.take(second)
    assert instances(after) == [f'wf-{number}' for number in range(10) if number != 3]
    assert {item.completionToken for item in before}.isdisjoint(item.completionToken for item in after)
    bench.complete(before[0])
    assert bench.source.committed[Key('', 'wf-0')] == []
    assert bench.loop.now == 0


def test_a_stream_that_is_lost_is_sent_nothing_more(bench: Bench) -> None:
    stream = bench.connect()
    bench.dispatcher.disconnect(stream)
    bench.dispatcher.disconnect(stream)
    bench.source.post('wf')
    assert bench.take(stream) == []


def test_a_run_that_continues_as_new_goes_on_at_once_with_a_new_token(bench: Bench) -> None:
    stream = bench.connect(STATEFUL)
    key = bench.source.post('wf')
    bench.complete(bench.take_one(stream))
    bench.source.post('wf')
    last = bench.take_one(stream)
    bench.source.committed[key] = []
    bench.source.next_runs[key] = bench.source.turn(key)
    bench.source.next_runs[key].new_events = [event(77)]

    bench.complete(last)

    first = bench.take_one(stream)
    assert first.completionToken != last.completionToken
    assert (ids(first.workflowRequest.pastEvents), ids(first.workflowRequest.newEvents)) == ([], [77])
    assert not first.workflowRequest.HasField('cachedHistory')


def test_the_turn_of_a_next_run_waits_for_a_worker_and_is_taken_once(bench: Bench) -> None:
    stream = bench.connect()
    key = bench.source.post('wf')
    last = bench.take_one(stream)
    bench.source.next_runs[key] = bench.source.turn(key)
    bench.source.next_runs[key].new_events = [event(77)]
    bench.complete(last)
    bench.dispatcher.disconnect(stream)
    item = bench.take_one(bench.connect())
    assert ids(item.workflowRequest.newEvents) == [77]


def test_a_dropped_turn_is_neither_sent_nor_waited_for(bench: Bench) -> None:
    key = bench.source.post('queued')
    bench.loop.run()
    bench.dispatcher.turns.dropped(key)
    bench.source.inbox.clear()
    stream = bench.connect()
    assert bench.take(stream) == []

    key = bench.source.post('sent')
    item = bench.take_one(stream)
    bench.dispatcher.turns.dropped(key)
    bench.complete(item)
    bench.loop.run(2 * LEASE)
    assert bench.source.committed[key] == []
    assert bench.take(stream) == []
    assert (len(bench.dispatcher.turns), stream.turns) == (0, 0)


# Which stream


def test_the_turns_of_an_instance_go_to_the_stream_that_it_belongs_to(bench: Bench) -> None:
    capable = [bench.connect(STATEFUL) for _ in range(3)]
    incapable = bench.connect()
    for number in range(60):
        bench.source.post(f'wf-{number}')
    sent = {stream: bench.take(stream) for stream in [*capable, incapable]}
    assert sent[incapable] == []
    for stream in capable:
        assert sent[stream], 'each has its share'
        assert all(owner_of(name, capable) is stream for name in instances(sent[stream]))


def test_a_turn_whose_stream_is_full_waits_for_it_two_milliseconds_and_then_takes_another(bench: Bench) -> None:
    both = [bench.connect(STATEFUL) for _ in range(2)]
    owner = owner_of('wf', both)
    other = next(stream for stream in both if stream is not owner)
    owner.turns = streams.TURNS_LIMIT
    bench.source.post('wf')
    bench.loop.run(0.0019)
    assert bench.take(other) == []
    bench.loop.run(0.0002)
    assert instances(bench.take(other)) == ['wf']


def test_a_turn_whose_stream_has_room_in_time_goes_there(bench: Bench) -> None:
    both = [bench.connect(STATEFUL) for _ in range(2)]
    owner = owner_of('wf', both)
    owner.turns = streams.TURNS_LIMIT
    bench.source.post('wf')
    bench.loop.run(0.001)
    owner.turns = 0
    bench.dispatcher.wake()
    assert instances(bench.take(owner)) == ['wf']


def test_no_more_is_taken_from_the_backend_than_streams_have_room_for(bench: Bench) -> None:
    stream = bench.connect()
    for number in range(100):
        bench.source.post(f'wf-{number}')
    bench.loop.run()
    assert len(bench.source.out) == streams.UNSENT_LIMIT
    assert instances(bench.take(stream)) == [f'wf-{number}' for number in range(100)]


def test_a_worker_without_the_version_passes_the_turn_on_to_one_that_was_not_asked(bench: Bench) -> None:
    both = [bench.connect(STATEFUL) for _ in range(2)]
    lacking = pb.WorkflowAction(workflowVersionNotAvailable=pb.WorkflowVersionNotAvailableAction())
    key = bench.source.post('wf')
    asked = []
    for _ in both:
        [(stream, item)] = [(stream, item) for stream in both for item in bench.take(stream)]
        asked.append(stream)
        assert bench.source.committed[key] == []
        bench.complete(item, lacking)
    assert {id(stream) for stream in asked} == {id(stream) for stream in both}
    assert len(bench.source.committed[key]) == 1, 'none of them has it: the instance is stalled'

    third = bench.connect(STATEFUL)
    bench.source.post('wf')
    item = bench.take_one(third)
    bench.complete(item, helpers.new_complete_workflow_action(1, pb.ORCHESTRATION_STATUS_COMPLETED, '1'))
    bench.dispatcher.turns.ended(key)
    assert not bench.dispatcher.turns._without_code


# Failures


def test_an_answer_that_cannot_be_stored_is_refused_and_its_turn_goes_out_again_later_each_time(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    stream = bench.connect()
    key = bench.source.post('wf')
    delays = []
    for _ in range(9):
        item = bench.take_one(stream)
        bench.source.failures = 1
        with pytest.raises(StoreError, match='disk is full'):
            bench.complete(item)
        failed_at = bench.loop.now
        while not stream._unsent:
            bench.loop.run(0.5)
        delays.append(bench.loop.now - failed_at)
    assert delays == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert [record.levelname for record in caplog.records] == ['ERROR'] * 9

    bench.complete(bench.take_one(stream))
    assert len(bench.source.committed[key]) == 1
    assert not bench.dispatcher.turns._backoffs._failures


def test_an_answer_that_is_sent_again_after_a_failure_is_taken(bench: Bench) -> None:
    stream = bench.connect()
    key = bench.source.post('wf')
    item = bench.take_one(stream)
    bench.source.failures = 1
    with pytest.raises(StoreError):
        bench.complete(item)
    bench.complete(item)
    bench.loop.run(60)
    assert len(bench.source.committed[key]) == 1
    assert bench.take(stream) == []


def test_a_turn_that_cannot_be_taken_is_tried_again_without_a_tight_loop(bench: Bench) -> None:
    stream = bench.connect()
    bench.source.post('wf')
    bench.source.failures = 3
    bench.loop.run(0.4)
    assert bench.source.failures == 2
    bench.loop.run(10)
    assert instances(bench.take(stream)) == ['wf']


# Activities


def test_activities_go_to_the_stream_with_the_fewest(bench: Bench) -> None:
    three = [bench.connect() for _ in range(3)]
    for number in range(30):
        bench.dispatcher.activities.ready(activity(number))
    assert [len(bench.take(stream)) for stream in three] == [10, 10, 10]


def test_a_result_is_handed_over_once(bench: Bench) -> None:
    stream = bench.connect()
    bench.dispatcher.activities.ready(activity(7))
    item = bench.take_one(stream)
    assert item.activityRequest.name == 'echo'
    bench.complete_activity(item, 'first')
    bench.complete_activity(item, 'second')
    assert bench.source.results == [(7, 'first')]
    assert (len(bench.dispatcher.activities), stream.activities) == (0, 0)


def test_a_result_without_a_token_is_that_of_its_task(bench: Bench) -> None:
    stream = bench.connect()
    for number in (7, 8):
        bench.dispatcher.activities.ready(activity(number))
    _, item = bench.take(stream)
    bench.complete_activity(item, 'eight', token='')
    assert bench.source.results == [(8, 'eight')]


def test_a_result_with_the_token_of_another_task_is_dropped(bench: Bench) -> None:
    stream = bench.connect()
    for number in (7, 8):
        bench.dispatcher.activities.ready(activity(number))
    seven, eight = bench.take(stream)
    bench.complete_activity(seven, token=eight.completionToken)
    assert bench.source.results == []


def test_an_activity_may_take_as_long_as_its_worker_is_there(bench: Bench) -> None:
    stream = bench.connect()
    bench.dispatcher.activities.ready(activity(7))
    item = bench.take_one(stream)
    bench.loop.run(100 * LEASE)
    assert bench.take(stream) == []
    bench.complete_activity(item)
    assert bench.source.results == [(7, '1')]


def test_the_activities_of_a_lost_stream_go_to_another_one(bench: Bench) -> None:
    first = bench.connect()
    for number in range(3):
        bench.dispatcher.activities.ready(activity(number))
    before = bench.take(first)
    bench.dispatcher.disconnect(first)
    after = bench.take(bench.connect())
    assert [item.activityRequest.taskId for item in after] == [0, 1, 2]
    bench.complete_activity(before[0], 'late')
    bench.complete_activity(after[0], 'in time')
    assert bench.source.results == [(0, 'in time')]


def test_a_dropped_activity_is_not_sent_and_its_result_is_dropped(bench: Bench) -> None:
    for number in (1, 2):
        bench.dispatcher.activities.ready(activity(number))
    bench.dispatcher.activities.dropped(1)
    stream = bench.connect()
    item = bench.take_one(stream)
    assert item.activityRequest.taskId == 2
    bench.dispatcher.activities.dropped(2)
    bench.complete_activity(item)
    assert bench.source.results == []
    assert stream.activities == 0


def test_a_result_that_cannot_be_stored_is_refused_and_its_activity_goes_out_again(bench: Bench) -> None:
    stream = bench.connect()
    bench.dispatcher.activities.ready(activity(7))
    first = bench.take_one(stream)
    bench.source.failures = 1
    with pytest.raises(StoreError):
        bench.complete_activity(first, 'lost')
    assert bench.take(stream) == []
    bench.loop.run(0.5)
    bench.complete_activity(bench.take_one(stream), 'kept')
    assert bench.source.results == [(7, 'kept')]


# Apps, pings, shutdown


def test_work_goes_to_the_workers_of_its_own_app(bench: Bench) -> None:
    orders, billing = bench.connect(app_id='orders'), bench.connect(app_id='billing')
    bench.source.post('order', app_id='orders')
    bench.dispatcher.activities.ready(activity(1, app_id='billing'))
    assert instances(bench.take(orders)) == ['order']
    assert [item.activityRequest.taskId for item in bench.take(billing)] == [1]
    assert bench.source.connected == ['orders', 'billing']


def test_an_answer_from_a_worker_of_another_app_is_dropped(bench: Bench) -> None:
    key = bench.source.post('wf', app_id='orders')
    bench.complete(bench.take_one(bench.connect(app_id='orders')))  # as from the app ''
    assert bench.source.committed[key] == []


def test_those_who_ask_for_health_pings_get_them_until_they_are_gone(bench: Bench) -> None:
    pinged, quiet = bench.connect(pb.WORKER_CAPABILITY_HEALTH_PING), bench.connect()
    kinds: list[Any] = []
    for seconds in (0, PINGS, PINGS):  # the first one at once: it shows the worker that the stream is open
        bench.loop.run(seconds)
        kinds.append([item.WhichOneof('request') for item in bench.take(pinged)])
    assert kinds == [['healthPing']] * 3
    assert bench.take(quiet) == []
    bench.dispatcher.disconnect(pinged)
    bench.dispatcher.disconnect(quiet)
    bench.loop.run(PINGS)
    assert bench.loop.calls == []


def test_on_a_shutdown_streams_end_and_last_answers_are_taken(bench: Bench) -> None:
    stream = bench.connect()
    key = bench.source.post('wf')
    item = bench.take_one(stream)
    bench.source.post('next')

    bench.dispatcher.close()
    assert asyncio.run(stream.next()) is None
    bench.dispatcher.disconnect(stream)
    bench.complete(item)

    assert len(bench.source.committed[key]) == 1
    assert bench.take(stream) == []
