"""What may be kept, and what goes first: the order that the history cache and sticky execution share."""

from __future__ import annotations

from typing import Any

import pytest

from dapr.ext.workflow._durabletask.history.bounds import BoundedEntries, Entry


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def filled(names: str, *, size: int = 10, **limits: Any) -> tuple[BoundedEntries[Entry], dict[str, Entry]]:
    kept: BoundedEntries[Entry] = BoundedEntries(**limits)
    entries = {name: Entry() for name in names}
    for name, entry in entries.items():
        kept.add(name, entry, size)
    return kept, entries


def there(kept: BoundedEntries[Entry], names: str) -> str:
    return ''.join(name for name in names if kept.find(name) is not None)


def test_over_the_cap_the_one_used_longest_ago_goes() -> None:
    kept, entries = filled('abc', max_instances=3)
    kept.touch('a', entries['a'])
    assert kept.add('d', Entry(), 10) == [entries['b']]
    assert (there(kept, 'abcd'), kept.bytes, kept.evictions['count']) == ('acd', 30, 1)
    assert kept.why_gone('b') == 'evicted'


def test_over_the_byte_budget_as_many_go_as_it_takes() -> None:
    kept, entries = filled('abc', max_bytes=30)
    assert kept.resize('c', entries['c'], 20) == [entries['a']]
    assert kept.add('d', Entry(), 500) == [entries['b'], entries['c']]
    assert (there(kept, 'abcd'), kept.bytes, kept.evictions['bytes']) == ('d', 500, 3)


def test_what_takes_the_place_of_another_gives_it_back() -> None:
    kept, entries = filled('a')
    assert kept.add('a', Entry(), 7) == [entries['a']]
    assert (len(kept), kept.bytes, kept.evictions.total()) == (1, 7, 0)


def test_what_is_pinned_neither_goes_nor_expires() -> None:
    clock = Clock()
    kept, entries = filled('ab', max_instances=2, ttl=60, clock=clock)
    assert kept.pin('a') is entries['a']
    assert kept.add('c', Entry(), 10) == [entries['b']]
    clock.now += 61
    assert len(kept.expire()) == 1
    assert there(kept, 'abc') == 'a'
    assert kept.next_expiry() is None
    assert kept.unpin('a', entries['a']) == []
    assert kept.next_expiry() == 60


def test_a_pin_of_what_is_gone_is_given_back_without_effect() -> None:
    kept, entries = filled('a')
    kept.pin('a')
    kept.remove('a', 'busy')
    assert kept.unpin('a', entries['a']) == []
    assert (len(kept), kept.why_gone('a')) == (0, 'busy')
    assert kept.pin('a') is None


def test_expiry_takes_those_that_are_due_and_no_more() -> None:
    clock = Clock()
    kept, entries = filled('ab', ttl=60, clock=clock)
    clock.now += 40
    kept.touch('a', entries['a'])
    clock.now += 20
    assert kept.expire() == [entries['b']]
    assert (kept.why_gone('b'), kept.evictions['ttl']) == ('expired', 1)
    assert kept.next_expiry() == 40


def test_all_goes_at_once() -> None:
    kept, entries = filled('ab')
    kept.pin('a')
    assert kept.clear() == list(entries.values())
    assert (len(kept), kept.bytes, kept.evictions['reset'], kept.next_expiry()) == (0, 0, 2, None)
    assert [kept.why_gone(name) for name in 'abc'] == ['evicted', 'evicted', 'cold']
    assert kept.expire() == []


def test_why_an_entry_is_gone_is_forgotten_when_it_is_back() -> None:
    kept, _ = filled('a')
    kept.remove('a', 'busy')
    kept.add('a', Entry(), 1)
    assert kept.remove('a') is not None
    assert kept.why_gone('a') == 'cold'
    assert kept.remove('a') is None


@pytest.mark.parametrize('value', [0, -1])
def test_limits_that_are_not_positive_stand_for_the_defaults(value: int) -> None:
    kept: BoundedEntries[Entry] = BoundedEntries(ttl=value, max_instances=value, max_bytes=value)
    assert (kept.ttl, kept.max_instances, kept.max_bytes) == (3600.0, 100_000, 0)
