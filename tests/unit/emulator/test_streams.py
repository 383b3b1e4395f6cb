"""Worker streams: warm marks, rendezvous, and what is sent and not."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator.serving.streams import UNSENT_LIMIT, WarmMarks, WorkerStream, owner_of


def stream(stream_id: str = 's', *capabilities: int) -> WorkerStream:
    return WorkerStream('', capabilities, lambda: None, stream_id)


def test_the_first_two_turns_are_sent_whole_and_then_come_deltas() -> None:
    marks = WarmMarks()
    assert [marks.advance('wf', count) for count in (0, 2, 5, 9)] == [0, 0, 2, 5]


def test_a_turn_that_is_sent_again_is_an_empty_delta() -> None:
    marks = WarmMarks()
    marks.advance('wf', 5)
    assert [marks.advance('wf', 5) for _ in range(2)] == [5, 5]


def test_a_shorter_history_is_sent_whole_and_the_mark_goes_back_to_it() -> None:
    marks = WarmMarks()
    assert [marks.advance('wf', count) for count in (8, 0, 3, 6)] == [0, 0, 0, 3]


def test_a_mark_outlives_the_run_so_a_longer_history_of_another_run_is_sent_as_a_delta() -> None:
    marks = WarmMarks()
    marks.advance('wf', 4)
    assert marks.advance('wf', 7) == 4  # whose events it is, the mark does not know


def test_marks_are_limited_in_number_and_what_lost_its_own_is_sent_whole() -> None:
    marks = WarmMarks(limit=2)
    for instance_id in ('a', 'b', 'c'):
        marks.advance(instance_id, 3)
    assert len(marks) == 2
    assert sorted(marks.advance(instance_id, 3) for instance_id in ('a', 'c')) == [3, 3]


def test_an_instance_belongs_to_the_stream_with_the_highest_fnv1a_hash() -> None:
    def fnv1a(data: bytes) -> int:
        value = 14695981039346656037
        for byte in data:
            value = ((value ^ byte) * 1099511628211) % 2**64
        return value

    assert fnv1a(b'foobar') == 0x85944171F73967E8  # of the published test vectors
    streams = [stream(name) for name in ('one', 'two', 'three')]
    for number in range(50):
        owner = owner_of(f'wf-{number}', streams)
        scores = {s.stream_id: fnv1a(f'wf-{number}\0{s.stream_id}'.encode()) for s in streams}
        assert scores[owner.stream_id] == max(scores.values())


def test_when_a_stream_goes_only_its_own_instances_move() -> None:
    streams = [stream(f'stream-{number}') for number in range(4)]
    before = {f'wf-{n}': owner_of(f'wf-{n}', streams) for n in range(1_000)}
    assert min(Counter(owner.stream_id for owner in before.values()).values()) > 150, 'all have their share'

    gone = streams.pop()

    moved = {instance_id for instance_id, owner in before.items() if owner_of(instance_id, streams) is not owner}
    assert moved == {instance_id for instance_id, owner in before.items() if owner is gone}


def test_a_stream_keeps_marks_only_for_a_worker_that_keeps_histories() -> None:
    assert stream('s').marks is None
    assert stream('s', pb.WORKER_CAPABILITY_STATEFUL_HISTORY).marks is not None


def test_items_are_sent_in_order_and_the_one_that_waits_is_woken() -> None:
    async def scenario() -> list[str]:
        s = stream()
        first = asyncio.create_task(s.next())
        await asyncio.sleep(0)
        for token in 'abc':
            s.put(pb.WorkItem(completionToken=token))
        items = [await first, await s.next(), await s.next()]
        return [item.completionToken for item in items if item is not None]

    assert asyncio.run(scenario()) == ['a', 'b', 'c']


def test_an_ended_stream_sends_nothing_more() -> None:
    async def scenario() -> list[pb.WorkItem | None]:
        s = stream()
        waiting = asyncio.create_task(s.next())
        await asyncio.sleep(0)
        s.end()
        unsent = stream()
        unsent.put(pb.WorkItem())
        unsent.end()
        return [await waiting, await s.next(), await unsent.next()]

    assert asyncio.run(scenario()) == [None, None, None]


def test_a_full_stream_has_no_room_and_says_when_it_has() -> None:
    async def scenario() -> list[int]:
        rooms: list[int] = []
        s = WorkerStream('', (), lambda: rooms.append(len(s._unsent)), 's')
        for _ in range(UNSENT_LIMIT):
            assert s.has_room_for_turn
            assert s.has_room_for_activity
            s.put(pb.WorkItem())
        assert not s.has_room_for_turn
        assert not s.has_room_for_activity
        for _ in range(UNSENT_LIMIT):
            await s.next()
        return rooms

    assert asyncio.run(scenario()) == [UNSENT_LIMIT - 1]


@pytest.mark.parametrize('what', ['turns', 'activities'])
def test_a_worker_that_never_answers_does_not_take_everything(what: str) -> None:
    s = stream()
    setattr(s, what, 1_000_000)
    assert (s.has_room_for_turn, s.has_room_for_activity) == (what != 'turns', what != 'activities')
