"""What a stop waits for after the last results."""

from __future__ import annotations

import pytest

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.transport.settling import SETTLE_SECONDS, Settling


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settling(clock: Clock) -> Settling:
    return Settling(clock)


def waits(settling: Settling, clock: Clock) -> bool:
    """Whether a stop would wait now. One that does not returns at once, by a clock that stands still."""
    return any(clock.now - sent_at < SETTLE_SECONDS for _, sent_at in settling._results.values())


def send(settling: Settling, instance_id: str = 'i') -> None:
    with settling.sending(instance_id):
        pass


def turn(results: int = 1, instance_id: str = 'i') -> pb.WorkflowRequest:
    events = [pb.HistoryEvent(taskCompleted=pb.TaskCompletedEvent(taskScheduledId=n)) for n in range(results)]
    return pb.WorkflowRequest(instanceId=instance_id, newEvents=[pb.HistoryEvent(), *events])


def test_nothing_is_waited_for_where_nothing_was_sent(settling: Settling, clock: Clock) -> None:
    settling.turn_came(turn())
    settling.wait(clock.now + 1000)


def test_a_result_is_waited_for_until_its_turn_comes(settling: Settling, clock: Clock) -> None:
    send(settling)
    assert waits(settling, clock)
    settling.turn_came(turn(instance_id='another'))
    assert waits(settling, clock)
    settling.turn_came(turn())
    settling.wait(clock.now + 1000)


def test_a_turn_may_be_here_before_the_acknowledgement(settling: Settling, clock: Clock) -> None:
    with settling.sending('i'):
        settling.turn_came(turn())
    settling.wait(clock.now + 1000)


def test_of_several_results_each_is_waited_for(settling: Settling, clock: Clock) -> None:
    for _ in range(3):
        send(settling)
    settling.turn_came(turn(results=0))
    settling.turn_came(turn(results=2))
    assert waits(settling, clock)
    settling.turn_came(turn(results=1))
    settling.wait(clock.now + 1000)


def test_it_is_waited_for_a_moment_alone_and_not_beyond_the_deadline(settling: Settling, clock: Clock) -> None:
    send(settling)
    settling.wait(clock.now)
    clock.now += SETTLE_SECONDS
    settling.wait(clock.now + 1000)


def test_a_result_that_could_not_be_sent_is_none(settling: Settling, clock: Clock) -> None:
    with pytest.raises(ConnectionError), settling.sending('i'):
        raise ConnectionError
    settling.wait(clock.now + 1000)


def test_what_goes_to_other_workers_does_not_add_up(settling: Settling, clock: Clock) -> None:
    for number in range(1000):
        send(settling, str(number))
        clock.now += 0.01
    assert len(settling._results) <= 256
