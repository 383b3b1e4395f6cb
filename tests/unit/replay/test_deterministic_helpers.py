"""Identifiers, randomness and time that are the same in every replay, on every host."""

from __future__ import annotations

import logging
import random
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from dapr.ext.workflow._durabletask import deterministic
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
from dapr.ext.workflow._durabletask.replay.executor import _OrchestrationExecutor
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from tests.support.engine import (
    Driver,
    event_raised,
    execution_started,
    output,
    task_completed,
    timer_fired,
    workflow_started,
)
from tests.support.scenarios import Workflow

NAMESPACE = uuid.UUID('9e952958-5e33-4daf-827f-2fa12937b875')
HOUR = timedelta(hours=1)


def _uuid5(moment: str, counter: int) -> str:
    return str(uuid.uuid5(NAMESPACE, f'abc_{moment}_{counter}'))


def test_identifiers_are_derived_from_instance_time_and_counter() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        first = [str(ctx.new_guid()), str(ctx.uuid4()), str(ctx.new_guid())]
        yield ctx.call_activity('a')  # takes one for itself
        return [*first, str(ctx.new_guid())]

    driver = Driver(workflow)
    (action,) = driver.start().actions
    assert action.scheduleTask.taskExecutionId == _uuid5('2024-02-03T04:05:07.700000', 3)
    assert output(driver.turn(task_completed(1))) == [
        _uuid5('2024-02-03T04:05:07.700000', 0),
        _uuid5('2024-02-03T04:05:07.700000', 1),
        _uuid5('2024-02-03T04:05:07.700000', 2),
        _uuid5('2024-02-03T04:05:08.700000', 4),
    ]


@pytest.mark.parametrize(
    ('nanos', 'text'),
    [(0, '2024-02-03T04:05:06'), (1_000, '2024-02-03T04:05:06.000001'), (123_456_789, '2024-02-03T04:05:06.123456')],
)
def test_the_time_of_an_identifier_is_in_whole_microseconds(nanos: int, text: str) -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        return [str(ctx.new_guid()), ctx.now().isoformat()]
        yield

    driver = Driver(workflow)
    started = workflow_started(datetime(2024, 2, 3, 4, 5, 6))
    started.timestamp.nanos = nanos
    assert output(driver.batch(started, driver._started)) == [_uuid5(text, 0), text]


def test_each_activity_call_takes_one_identifier_and_nothing_else_does() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        ctx.call_sub_orchestrator('c')
        ctx.create_timer(HOUR)
        ctx.wait_for_external_event('e')
        ctx.call_activity('a')
        yield ctx.call_activity('b')

    started = Driver(workflow).start()
    execution_ids = [a.scheduleTask.taskExecutionId for a in started.actions if a.HasField('scheduleTask')]
    assert execution_ids == [_uuid5('2024-02-03T04:05:07.700000', counter) for counter in (0, 1)]


def _draws(ctx: Context) -> list[Any]:
    return [
        ctx.random().random(),
        ctx.random().random(),
        ctx.random_int(1, 1_000_000),
        ctx.random_string(8),
        ctx.random_choice('abcdefghijklmnop'),
        ctx.random().getrandbits(64),
    ]


def _two_draws(ctx: Context, _: None) -> Workflow:
    first = _draws(ctx)
    yield ctx.call_activity('a')
    return [first, _draws(ctx)]


def _drawn(driver: Driver) -> list[list[Any]]:
    driver.start()
    first, second = output(driver.turn(task_completed(1)))
    return [first, second]


def test_random_is_one_stream_for_each_execution() -> None:
    # Both engines of the driver agree, one of which draws the second time in a later turn than the first.
    first, second = _drawn(Driver(_two_draws))
    assert first[0] != first[1]
    assert all(a != b for a, b in zip(first[:4], second[:4], strict=True))
    assert _drawn(Driver(_two_draws)) == [first, second]


def test_random_is_the_same_object_all_along() -> None:
    context = Context('abc')
    context.current_utc_datetime = datetime(2024, 1, 1)
    stream = context.random()
    context.current_utc_datetime = datetime(2024, 1, 2)
    assert context.random() is stream


def _first_draw(instance_id: str, at: datetime) -> Any:
    def workflow(ctx: Context, _: None) -> Workflow:
        return ctx.random().random()
        yield

    registry = _Registry()
    registry.add_orchestrator(workflow)
    executor = _OrchestrationExecutor(registry, logging.getLogger('tests'))
    return output(executor.execute(instance_id, [], [workflow_started(at), execution_started('workflow')]))


def test_streams_differ_by_instance_and_by_time() -> None:
    at = datetime(2024, 1, 1)
    assert len({_first_draw('abc', at), _first_draw('abd', at), _first_draw('abc', at + HOUR)}) == 3
    assert _first_draw('abc', at) == _first_draw('abc', at)


def test_the_global_random_is_left_alone() -> None:
    random.seed(1)
    expected = random.random()
    random.seed(1)
    _first_draw('abc', datetime(2024, 1, 1))
    assert random.random() == expected


@pytest.fixture
def set_time_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    def switch(name: str) -> None:
        monkeypatch.setenv('TZ', name)
        time.tzset()

    with monkeypatch.context():
        yield switch
    monkeypatch.undo()
    time.tzset()


def test_nothing_depends_on_the_hosts_time_zone(set_time_zone: Callable[[str], None]) -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        seen = [*_draws(ctx), str(ctx.new_guid()), ctx.now().isoformat(), ctx.now_with_sequence().isoformat()]
        yield ctx.create_timer(HOUR)
        yield ctx.create_timer(datetime(2024, 6, 1, tzinfo=timezone.utc))
        yield ctx.wait_for_external_event('e', timeout=datetime(2024, 6, 1))
        return seen

    def run() -> list[Any]:
        driver = Driver(workflow)
        results = [
            driver.start(),
            *(driver.turn(timer_fired(number)) for number in (1, 2)),
            driver.turn(event_raised('e')),
        ]
        return [action.SerializeToString() for result in results for action in result.actions]

    runs = []
    for name in ('UTC', 'America/Los_Angeles', 'Asia/Kathmandu'):
        set_time_zone(name)
        assert name == 'UTC' or time.localtime(0).tm_gmtoff != 0  # the zone did change
        runs.append((run(), deterministic.derive_seed('abc', datetime(2024, 7, 1))))
    assert runs[0] == runs[1] == runs[2]


def test_a_seed_takes_a_time_without_a_zone_for_utc() -> None:
    naive = datetime(2024, 7, 1, 12)
    seed = deterministic.derive_seed('abc', naive)
    assert seed == deterministic.derive_seed('abc', naive.replace(tzinfo=timezone.utc))
    assert seed == deterministic.DeterminismSeed('abc', 1719835200).to_int()
    assert seed == deterministic.derive_seed('abc', datetime(2024, 7, 1, 7, tzinfo=timezone(-5 * HOUR)))
    assert 0 <= seed < 2**64


def test_now_is_the_logical_time_and_moves_with_the_batches_only() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        times = [ctx.now(), ctx.current_utc_datetime]
        yield ctx.call_activity('a')
        return [str(moment) for moment in [*times, ctx.now(), ctx.now()]]

    driver = Driver(workflow)
    driver.start()
    first = str(driver.now)
    ended = driver.turn(task_completed(1), after=HOUR)
    assert output(ended) == [first, first, str(driver.now), str(driver.now)]


def test_stamps_with_a_sequence_are_unique_and_ordered() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        stamps = [ctx.now_with_sequence(), ctx.current_utc_datetime_with_sequence(), ctx.now_with_sequence()]
        yield ctx.call_activity('a')
        stamps += [ctx.now_with_sequence(), ctx.now_with_sequence()]
        return [str(stamp) for stamp in stamps]

    driver = Driver(workflow)
    driver.start()
    first = driver.now
    ended = driver.turn(task_completed(1))
    # Counted through the whole execution, so that they stay unique however close the turns are.
    assert output(ended) == [
        str(at + number * timedelta(microseconds=1)) for number, at in enumerate([*[first] * 3, *[driver.now] * 2])
    ]


def test_drawing_out_of_range_is_an_error() -> None:
    context = Context('abc')
    with pytest.raises(ValueError, match='min_value must be <= max_value'):
        context.random_int(2, 1)
    with pytest.raises(ValueError, match='length must be non-negative'):
        context.random_string(-1)
    with pytest.raises(ValueError, match='alphabet must not be empty'):
        context.random_string(1, alphabet='')
    with pytest.raises(IndexError, match='Cannot choose from empty sequence'):
        context.random_choice([])


def test_draws_stay_within_their_bounds() -> None:
    context = Context('abc')
    assert {context.random_int(3, 4) for _time in range(50)} == {3, 4}
    assert context.random_int(5, 5) == 5
    assert context.random_string(0) == ''
    assert set(context.random_string(50, alphabet='xy')) == {'x', 'y'}
    assert context.random_string(50).isalnum()


def test_a_version_4_identifier_comes_out_of_the_given_stream() -> None:
    at = datetime(2024, 1, 1)
    first, second = (deterministic.deterministic_uuid4(deterministic.deterministic_random('abc', at)) for _ in range(2))
    assert first == second
    assert first.version == 4
