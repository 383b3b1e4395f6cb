"""The history cache: what it keeps, in which order it lets go, and what it counts."""

from __future__ import annotations

import gc
import tracemalloc

import pytest

from dapr.ext.workflow._durabletask.history.cache import _WorkflowHistoryCache
from dapr.ext.workflow._durabletask.internal import protos as pb
from tests.support.engine import task_completed, task_scheduled


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def events(count: int, first: int = 1) -> list[pb.HistoryEvent]:
    return [pb.HistoryEvent(eventId=first + i) for i in range(count)]


def ids(kept: list[pb.HistoryEvent] | None) -> list[int] | None:
    return None if kept is None else [event.eventId for event in kept]


def lease_of(cache: _WorkflowHistoryCache, instance_id: str):  # type: ignore[no-untyped-def]
    lease = cache.checkout(instance_id)
    assert lease is not None
    return lease


def test_what_was_put_comes_back_as_it_was() -> None:
    cache = _WorkflowHistoryCache()
    history = [task_scheduled(1, 'a'), task_completed(1, 'x' * 300), task_scheduled(2, 'b')]
    cache.put('i', history, 'run')
    lease = lease_of(cache, 'i')
    assert lease.events() == history
    assert (lease.count, lease.execution_id) == (3, 'run')
    assert cache.get('i') == history
    assert cache.get('other') is None
    assert cache.checkout('other') is None


def test_what_is_kept_does_not_change_with_the_messages_it_came_from() -> None:
    cache = _WorkflowHistoryCache()
    history = events(2)
    cache.put('i', history)
    history[0].eventId = 99
    kept = cache.get('i')
    assert kept is not None
    kept[1].eventId = 99
    assert ids(cache.get('i')) == [1, 2]


def test_a_delta_is_appended() -> None:
    cache = _WorkflowHistoryCache()
    cache.put('i', events(3), 'run')
    lease = lease_of(cache, 'i')
    assert lease.extend(events(2, first=4))
    lease.release()
    assert ids(cache.get('i')) == [1, 2, 3, 4, 5]
    assert lease_of(cache, 'i').count == 5


def test_a_lease_reads_what_was_there_when_it_was_taken() -> None:
    cache = _WorkflowHistoryCache()
    cache.put('i', events(3), 'run')
    early, late = lease_of(cache, 'i'), lease_of(cache, 'i')
    late.extend(events(2, first=4))
    assert ids(early.events()) == [1, 2, 3]
    assert not early.extend(events(7, first=4)), 'the entry has grown meanwhile'
    assert ids(cache.get('i')) == [1, 2, 3, 4, 5]


def test_a_lease_of_an_entry_that_is_gone_or_replaced_changes_nothing() -> None:
    cache = _WorkflowHistoryCache()
    for change in (lambda: cache.put('i', events(1), 'new'), lambda: cache.delete('i'), cache.reset):
        cache.put('i', events(3), 'old')
        lease = lease_of(cache, 'i')
        change()
        before = cache.get('i')
        assert not lease.extend(events(1))
        lease.release()
        assert cache.get('i') == before
        assert ids(lease.events()) == [1, 2, 3]


@pytest.mark.parametrize('allowed', [True, False])
def test_a_write_asks_whether_it_is_still_wanted(allowed: bool) -> None:
    cache = _WorkflowHistoryCache()
    cache.put('i', events(1))
    lease = lease_of(cache, 'i')
    assert lease.extend(events(1, first=2), if_true=lambda: allowed) is allowed
    assert ids(cache.get('i')) == ([1, 2] if allowed else [1])
    assert cache.put('i', events(5), if_true=lambda: allowed) is allowed
    assert len(cache.get('i') or ()) == (5 if allowed else 1)
    cache.delete('i', if_true=lambda: allowed)
    assert (cache.get('i') is None) is allowed


def test_over_the_cap_the_one_used_longest_ago_goes() -> None:
    cache = _WorkflowHistoryCache(max_instances=3)
    for name in 'abc':
        cache.put(name, events(1))
    cache.get('a')
    lease_of(cache, 'b').release()
    cache.put('d', events(1))
    assert [name for name in 'abcd' if cache.get(name) is None] == ['c']
    assert cache.stats.evictions.count == 1


def test_over_the_byte_budget_the_ones_used_longest_ago_go() -> None:
    one = _WorkflowHistoryCache()
    one.put('a', events(50))
    cache = _WorkflowHistoryCache(max_bytes=3 * one.stats.bytes)
    for name in 'abcd':
        cache.put(name, events(50))
    assert [name for name in 'abcd' if cache.get(name) is None] == ['a']
    cache.put('b', events(5000))
    assert [name for name in 'abcd' if cache.get(name) is None] == ['a', 'c', 'd']
    assert cache.stats.evictions.bytes == 3


def test_an_entry_that_grows_over_the_budget_makes_the_others_go() -> None:
    one = _WorkflowHistoryCache()
    one.put('a', events(50))
    cache = _WorkflowHistoryCache(max_bytes=3 * one.stats.bytes)
    cache.put('a', events(50))
    cache.put('b', events(50))
    lease = lease_of(cache, 'b')
    lease.extend(events(5000))
    lease.release()
    assert cache.get('a') is None
    assert len(cache.get('b') or ()) == 5050


def test_a_lone_entry_over_the_budget_is_kept() -> None:
    cache = _WorkflowHistoryCache(max_bytes=1)
    cache.put('big', events(500))
    assert len(cache.get('big') or ()) == 500


def test_what_is_checked_out_is_neither_evicted_nor_expired() -> None:
    clock = Clock()
    cache = _WorkflowHistoryCache(ttl=60, max_instances=1, clock=clock)
    cache.put('used', events(3))
    lease = lease_of(cache, 'used')
    cache.put('other', events(1))
    clock.now += 1000
    cache.sweep_expired()
    assert cache.get('other') is None
    assert ids(lease.events()) == [1, 2, 3]
    assert lease.extend(events(1, first=4))
    lease.release()
    assert ids(cache.get('used')) == [1, 2, 3, 4]


def test_an_entry_pinned_twice_is_free_after_the_second_release() -> None:
    cache = _WorkflowHistoryCache(max_instances=1)
    cache.put('a', events(1))
    first, second = lease_of(cache, 'a'), lease_of(cache, 'a')
    first.release()
    first.release()  # once more does not count
    cache.put('b', events(1))
    assert cache.get('a') is not None
    second.release()
    cache.put('c', events(1))
    assert cache.get('a') is None


def test_expiry_slides_with_each_use() -> None:
    clock = Clock()
    cache = _WorkflowHistoryCache(ttl=60, clock=clock)
    for name in ('idle', 'read', 'checked out', 'extended'):
        cache.put(name, events(1))
    clock.now += 50
    cache.get('read')
    lease_of(cache, 'checked out').release()
    lease = lease_of(cache, 'extended')
    lease.extend(events(1))
    lease.release()
    assert cache.next_expiry() == pytest.approx(10)
    clock.now += 10
    cache.sweep_expired()
    assert [name for name in ('idle', 'read', 'checked out', 'extended') if cache.get(name) is None] == ['idle']
    assert cache.stats.evictions.ttl == 1
    clock.now += 61
    cache.sweep_expired()
    assert cache.stats.entries == 0
    assert cache.next_expiry() is None


def test_counters_tell_why_a_history_is_not_there() -> None:
    clock = Clock()
    cache = _WorkflowHistoryCache(ttl=60, max_instances=2, clock=clock)
    for name in 'abc':
        cache.put(name, events(1))
    clock.now += 61
    cache.sweep_expired()
    for name in ('a', 'b', 'c', 'never seen'):
        cache.count_miss(name)
    cache.count_miss('x', 'length')
    cache.put('d', events(1))
    cache.reset()
    cache.count_miss('d')
    cache.put('d', events(1))
    cache.delete('d')
    cache.delete('d')
    cache.count_hit()
    cache.count_fetch(failed=False)
    cache.count_fetch(failed=True)
    stats = cache.stats
    assert (stats.misses.cold, stats.misses.evicted, stats.misses.expired, stats.misses.length) == (1, 2, 2, 1)
    assert (stats.evictions.ttl, stats.evictions.count, stats.evictions.completed, stats.evictions.reset) == (
        2,
        1,
        1,
        1,
    )
    assert (stats.hits, stats.fetches, stats.fetch_failures) == (1, 2, 1)
    assert (stats.misses.total, stats.evictions.total) == (6, 5)
    assert (stats.entries, stats.bytes) == (0, 0)


def test_stats_are_frozen() -> None:
    with pytest.raises(AttributeError):
        _WorkflowHistoryCache().stats.hits = 1  # type: ignore[misc]


def test_non_positive_settings_stand_for_the_defaults() -> None:
    cache = _WorkflowHistoryCache(ttl=0, max_instances=-1, max_bytes=-5)
    clockless = _WorkflowHistoryCache()
    assert (cache._kept.ttl, cache._kept.max_instances, cache._kept.max_bytes) == (3600.0, 100_000, 0)
    assert (clockless._kept.ttl, clockless._kept.max_instances, clockless._kept.max_bytes) == (3600.0, 100_000, 0)


def test_what_is_remembered_of_gone_instances_is_bounded() -> None:
    cache = _WorkflowHistoryCache(max_instances=1)
    for number in range(6000):
        cache.put(str(number), events(1))
    assert len(cache._kept._departed) <= 4096


@pytest.mark.parametrize(('turns', 'entries'), [(1, 3000), (10, 1500), (100, 400)])
def test_the_byte_account_is_within_a_quarter_of_what_the_process_grows_by(turns: int, entries: int) -> None:
    history = [event for n in range(1, turns + 1) for event in (task_scheduled(n, 'act'), task_completed(n, 'r' * 60))]
    cache = _WorkflowHistoryCache()
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(entries):
            name = f'instance-{number:08}'
            cache.put(name, history[:2], f'{number:036}')
            lease = lease_of(cache, name)
            for start in range(2, len(history), 2):  # grown turn by turn, as in life
                lease.extend(history[start : start + 2])
                lease.release()
                lease = lease_of(cache, name)
            lease.release()
        del lease
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert 0.75 < cache.stats.bytes / grown < 1.25


def test_the_byte_account_follows_every_change() -> None:
    cache = _WorkflowHistoryCache()
    cache.put('a', events(30), 'run')
    alone = cache.stats.bytes
    cache.put('b', events(300), 'run')
    cache.put('b', events(3), 'run')
    lease = lease_of(cache, 'b')
    lease.extend(events(50), b'a batch')
    lease.release()
    cache.delete('b')
    assert cache.stats.bytes == alone
    assert cache._total_bytes == sum(event.ByteSize() for event in events(30))
    cache.reset()
    assert (cache.stats.bytes, cache._total_bytes) == (0, 0)
