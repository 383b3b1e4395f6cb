"""Code that blocks is told once, with the stack of its thread."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker
from tests.support.fake_sidecar import DEADLINE_SECONDS, FakeSidecar
from tests.support.work_items import Gate, activity_item, echo_async, turn_item

NewWorker = Callable[..., TaskHubGrpcWorker]


class Told(logging.Handler):
    """Keeps the warnings, and says when there is one."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []
        self.came = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
        self.came.set()


@pytest.fixture
def told() -> Iterator[Told]:
    """What the worker warns of."""
    handler = Told()
    logging.getLogger('dapr.workflow').addHandler(handler)
    yield handler
    logging.getLogger('dapr.workflow').removeHandler(handler)


def watchdog_of(worker: TaskHubGrpcWorker) -> Any:
    assert worker._run is not None
    return worker._run._watchdog


def test_a_turn_that_blocks_is_told_once_with_its_stack(
    sidecar: FakeSidecar, new_worker: NewWorker, told: Told
) -> None:
    gate = Gate()

    def blocking(ctx: Any, _: Any) -> None:
        gate.pass_through()

    worker = new_worker(blocked_warning_after=0.05)
    worker.add_orchestrator(blocking)
    worker.start()
    sidecar.push(turn_item('blocking'))
    gate.wait_until_reached()
    assert told.came.wait(DEADLINE_SECONDS)
    for _ in range(3):
        watchdog_of(worker).check()
    (turn,) = worker.status().turns
    gate.open()
    sidecar.wait_for_answers(1)
    (message,) = told.messages
    assert message.startswith("abc: a turn of the workflow 'blocking' has been running for ")
    first_line = message.split('\n')[1]
    assert first_line.endswith('in blocking'), message
    assert 'pass_through' in message
    assert (turn.workflow_name, turn.instance_id, turn.seconds >= 0.05) == ('blocking', 'abc', True)
    assert worker.status().turns == ()


def test_an_async_activity_that_blocks_the_event_loop_is_told_once_with_its_stack(
    sidecar: FakeSidecar, new_worker: NewWorker, told: Told
) -> None:
    gate = Gate()

    async def blocking_async(ctx: Any, _: Any) -> None:
        gate.pass_through()

    worker = new_worker(blocked_warning_after=0.05)
    worker.add_activity(blocking_async)
    worker.start()
    sidecar.push(activity_item('blocking_async'))
    gate.wait_until_reached()
    assert told.came.wait(DEADLINE_SECONDS)
    for _ in range(3):
        watchdog_of(worker).check()
    (activity,) = worker.status().activities
    gate.open()
    sidecar.wait_for_answers(1)
    (message,) = told.messages
    assert message.startswith('The event loop of async activities has been blocked for ')
    assert 'running: blocking_async' in message
    assert 'in blocking_async' in message
    assert (activity.activity_name, activity.is_async) == ('blocking_async', True)


def test_what_waits_without_blocking_is_not_told(sidecar: FakeSidecar, new_worker: NewWorker, told: Told) -> None:
    gate = Gate()

    async def waiting(ctx: Any, _: Any) -> None:
        await gate.pass_through_async()

    def slow(ctx: Any, _: Any) -> None:  # a sync activity may take as long as it likes
        gate.pass_through()

    worker = new_worker(blocked_warning_after=0.4)  # longer than a busy machine lets a thread wait
    for activity in (waiting, slow, echo_async):
        worker.add_activity(activity)
    worker.start()
    sidecar.push(activity_item('waiting'), activity_item('slow'))
    gate.wait_until_reached()
    end = time.monotonic() + 0.8
    while time.monotonic() < end:
        sidecar.push(activity_item('echo_async'))
        count = len(sidecar.answers)
        sidecar.wait_for_answers(count + 1)
    gate.open()
    assert told.messages == []


def test_it_can_be_off(new_worker: NewWorker) -> None:
    worker = new_worker(blocked_warning_after=0)
    worker.start()
    assert watchdog_of(worker) is None
