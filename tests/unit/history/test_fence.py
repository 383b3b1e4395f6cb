"""The fence: only the newest dispatch of an instance, on the current stream, may write."""

from __future__ import annotations

from dapr.ext.workflow._durabletask.history.fence import DispatchFence


def test_a_newer_dispatch_of_the_same_instance_supersedes() -> None:
    fence = DispatchFence()
    first, other = fence.enter('i'), fence.enter('other')
    assert first.is_newest()
    second = fence.enter('i')
    assert not first.is_newest()
    assert second.is_newest()
    assert other.is_newest()


def test_a_superseded_dispatch_stays_so_when_the_newer_one_is_over() -> None:
    fence = DispatchFence()
    first, second = fence.enter('i'), fence.enter('i')
    second.leave()
    assert not first.is_newest()


def test_a_dispatch_of_an_earlier_stream_is_not_the_newest() -> None:
    fence = DispatchFence()
    fence.new_stream(1)
    old = fence.enter('i')
    assert old.stream == 1
    fence.new_stream(2)
    assert not old.is_newest()
    assert fence.enter('i').is_newest()


def test_nothing_is_kept_of_what_is_not_in_flight() -> None:
    fence = DispatchFence()
    for number in range(1000):
        tickets = [fence.enter(f'i{number}') for _ in range(3)]
        assert len(fence) == 1
        for ticket in tickets:
            ticket.leave()
    assert len(fence) == 0


def test_a_dispatch_that_comes_in_after_all_others_are_over_is_the_newest() -> None:
    fence = DispatchFence()
    fence.enter('i').leave()
    assert fence.enter('i').is_newest()
