"""Waiting for instances to start and to end."""

from __future__ import annotations

import asyncio
import threading

import pytest

from dapr.ext.workflow.emulator.seam import Key
from dapr.ext.workflow.emulator.serving.waits import ShuttingDown, Waits

KEY = Key('', 'wf')


class Instances:
    """Those that have started, and those that have ended."""

    def __init__(self) -> None:
        self.started: set[Key] = set()
        self.ended: set[Key] = set()

    def is_started(self, key: Key) -> bool:
        return key in self.started

    def is_ended(self, key: Key) -> bool:
        return key in self.ended


async def settle() -> None:
    """Lets all tasks go on as far as they can."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_what_has_happened_is_not_waited_for() -> None:
    async def scenario() -> None:
        instances, waits = Instances(), Waits()
        instances.started.add(KEY)
        instances.ended.add(KEY)
        await waits.until_started(KEY, instances.is_started)
        await waits.until_ended(KEY, instances.is_ended)

    asyncio.run(scenario())


def test_a_start_wakes_those_who_wait_for_the_start_and_an_end_all() -> None:
    async def scenario() -> None:
        instances, waits = Instances(), Waits()
        start = asyncio.create_task(waits.until_started(KEY, instances.is_started))
        end = asyncio.create_task(waits.until_ended(KEY, instances.is_ended))
        other = asyncio.create_task(waits.until_ended(Key('', 'other'), instances.is_ended))
        await settle()
        assert len(waits) == 3

        instances.started.add(KEY)
        waits.started(KEY)
        await settle()
        assert (start.done(), end.done()) == (True, False)

        instances.ended.add(KEY)
        waits.ended(KEY)
        await settle()
        assert (end.done(), other.done(), len(waits)) == (True, False, 1)
        other.cancel()

    asyncio.run(scenario())


def test_an_instance_that_is_gone_when_the_wait_wakes_is_waited_for_again() -> None:
    async def scenario() -> None:
        instances, waits = Instances(), Waits()
        end = asyncio.create_task(waits.until_ended(KEY, instances.is_ended))
        await settle()
        waits.ended(KEY)  # and purged before the wait is asked
        await settle()
        assert not end.done()
        instances.ended.add(KEY)
        waits.ended(KEY)
        await asyncio.wait_for(end, 5)

    asyncio.run(scenario())


def test_a_wait_that_is_given_up_leaves_nothing_behind() -> None:
    async def scenario() -> None:
        instances, waits = Instances(), Waits()
        tasks = [asyncio.create_task(waits.until_ended(KEY, instances.is_ended)) for _ in range(3)]
        await settle()
        tasks[0].cancel()
        await settle()
        assert len(waits) == 2
        tasks[1].cancel()
        tasks[2].cancel()
        await settle()
        assert len(waits) == 0
        assert not waits._ends

    asyncio.run(scenario())


def test_a_shutdown_ends_the_waits_that_are_and_those_that_come() -> None:
    async def scenario() -> None:
        instances, waits = Instances(), Waits()
        task = asyncio.create_task(waits.until_started(KEY, instances.is_started))
        await settle()
        waits.close()
        with pytest.raises(ShuttingDown):
            await asyncio.wait_for(task, 5)
        with pytest.raises(ShuttingDown):
            await waits.until_ended(KEY, instances.is_ended)

    asyncio.run(scenario())


def test_ten_thousand_waits_take_no_thread_and_all_wake() -> None:
    async def scenario() -> None:
        instances, waits = Instances(), Waits()
        keys = [Key('', f'wf-{number}') for number in range(10_000)]
        threads = set(threading.enumerate())
        tasks = [asyncio.create_task(waits.until_ended(key, instances.is_ended)) for key in keys]
        await settle()
        assert len(waits) == 10_000
        # Not the number: a thread of an earlier test may end meanwhile.
        assert set(threading.enumerate()) <= threads
        for key in keys:
            instances.ended.add(key)
            waits.ended(key)
        await asyncio.wait_for(asyncio.gather(*tasks), 20)
        assert len(waits) == 0

    asyncio.run(scenario())
