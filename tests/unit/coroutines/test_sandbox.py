"""Sandbox modes: what asks the machine is answered by the workflow, inside of it alone; strict refuses the rest.

In a process of its own where the dispatchers must not be there yet.
"""

from __future__ import annotations

import asyncio
import datetime
import os
import pickle
import random
import secrets
import socket
import subprocess
import sys
import threading
import time
import uuid
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from dapr.ext.workflow._durabletask.aio.orchestrator import SandboxMode, async_orchestrator
from dapr.ext.workflow._durabletask.async_failures import NonDeterminismWarning
from tests.support.async_engine import Context
from tests.support.engine import START, Driver, failure_of, output, task_completed


def sandboxed(workflow: Callable[..., Any], mode: SandboxMode) -> Driver:
    return Driver(async_orchestrator(workflow, sandbox_mode=mode))


async def asks(ctx: Context, _: None) -> list[Any]:
    asked = [random.random(), random.randint(1, 100), str(uuid.uuid4()), time.time(), time.time_ns()]
    asked += [datetime.datetime.now().isoformat(), datetime.datetime.now(datetime.timezone.utc).isoformat()]
    asked += [datetime.datetime.utcnow().isoformat(), random.sample(range(9), 3)]
    await ctx.call_activity('a')
    return [*asked, random.random(), time.time()]


@pytest.mark.filterwarnings('ignore::dapr.ext.workflow._durabletask.async_failures.NonDeterminismWarning')
@pytest.mark.parametrize('mode', ['best_effort', 'strict'])
def test_answers_are_the_same_in_each_replay_and_those_of_the_logical_time(mode: SandboxMode) -> None:
    driver = sandboxed(asks, mode)  # which replays each turn, beside the workflow that it keeps
    driver.start()
    answers = output(driver.turn(task_completed(1)))
    logical = (START + datetime.timedelta(seconds=1)).replace(tzinfo=None)
    epoch = logical.replace(tzinfo=datetime.timezone.utc).timestamp()
    assert answers[3:5] == [epoch, round(epoch * 10**6) * 1000]
    assert answers[5:8] == [logical.isoformat(), logical.isoformat() + '+00:00', logical.isoformat()]
    assert answers[-1] == epoch + 1
    assert answers[0] != answers[-2]


def test_each_kind_of_call_is_told_once_and_not_where_detection_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    async def asks_often(ctx: Context, _: None) -> None:
        for _number in range(3):
            random.random()
            time.time()

    with pytest.warns(NonDeterminismWarning) as told:
        sandboxed(asks_often, 'best_effort').start()
    first, second, *others = {str(warning.message).split(' called ')[1].split(',')[0] for warning in told}
    assert ({first, second}, others) == ({'random.random', 'time.time'}, [])
    monkeypatch.setenv('DAPR_WF_DISABLE_DETECTION', '1')
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert output(sandboxed(asks_often, 'best_effort').start()) is None


async def _nothing() -> None: ...


def _creates_a_task() -> None:
    asyncio.create_task(_nothing())


@pytest.mark.parametrize(
    ('call', 'name'),
    [
        (lambda: open(__file__), 'open'),  # noqa: SIM115
        (lambda: os.urandom(4), 'os.urandom'),
        (lambda: secrets.token_hex(), 'secrets.token_hex'),
        (lambda: socket.socket(), 'socket.socket'),
        (_creates_a_task, 'asyncio.create_task'),
    ],
)
def test_strict_refuses_what_it_cannot_answer_even_where_that_is_caught(call: Callable[[], Any], name: str) -> None:
    async def workflow(ctx: Context, _: None) -> str:
        try:
            result = call()
            if hasattr(result, 'close'):
                result.close()
        except Exception:
            await ctx.call_activity('never')
        return 'done'

    details = failure_of(sandboxed(workflow, 'strict').start())
    assert details.errorType == 'SandboxViolationError'
    assert details.errorMessage.startswith(f'{name} is refused in a workflow')
    assert output(sandboxed(workflow, 'best_effort').start()) == 'done'


def test_other_threads_and_other_workflows_see_none_of_it() -> None:
    seen: list[Any] = []

    async def other(ctx: Context, _: None) -> float:
        return time.time()

    async def workflow(ctx: Context, _: None) -> None:
        thread = threading.Thread(
            target=lambda: seen.extend([time.time(), datetime.datetime.now().year, os.urandom(1)])
        )
        thread.start()
        thread.join()

    before = time.time()
    sandboxed(workflow, 'strict').start()
    outside = output(Driver(async_orchestrator(_unsandboxed(other))).start())
    assert before <= seen[0] <= time.time()
    assert seen[1] >= 2026
    assert before <= outside <= time.time()


def _unsandboxed(fn: Callable[..., Any]) -> Callable[..., Any]:
    # The two runs of a driver would tell two times: the clock is asked once.
    kept: list[Any] = []

    async def once(ctx: Context, inp: None) -> Any:
        if not kept:
            kept.append(await fn(ctx, inp))
        return kept[0]

    return once


def test_what_was_replaced_stays_what_it_was_for_everybody_else() -> None:
    sandboxed(asks, 'strict')
    moment = datetime.datetime.now()
    assert type(moment) is datetime.datetime
    assert pickle.loads(pickle.dumps(datetime.datetime)) is datetime.datetime

    class Own(datetime.datetime): ...

    assert type(Own.now(datetime.timezone.utc)) is Own
    assert uuid.uuid4() != uuid.uuid4()
    random.seed(7)
    first = random.random()
    random.seed(7)
    assert random.random() == first


def test_without_a_mode_nothing_is_replaced() -> None:
    script = """
import random, time
before = random.random, time.time
import dapr.ext.workflow.aio
from dapr.ext.workflow._durabletask.aio.orchestrator import async_orchestrator
async def workflow(ctx, _): ...
async_orchestrator(workflow)
assert (random.random, time.time) == before
"""
    subprocess.run([sys.executable, '-c', script], check=True, timeout=60)
