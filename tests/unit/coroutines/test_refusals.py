"""What has no place in a workflow fails it at once, by name, and says what to do."""

from __future__ import annotations

import asyncio
import concurrent.futures
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.async_engine import Context, after, called, started
from tests.support.engine import failure_of, output, task_completed


async def _to_thread() -> None:
    await asyncio.to_thread(print)


async def _executor() -> None:
    await asyncio.get_running_loop().run_in_executor(None, print)


async def _subprocess() -> None:
    await asyncio.create_subprocess_exec('true')


async def _connection() -> None:
    await asyncio.open_connection('localhost', 1)


async def _server() -> None:
    await asyncio.start_server(print, 'localhost', 1)


async def _addresses() -> None:
    await asyncio.get_running_loop().getaddrinfo('localhost', 1)


async def _socket() -> None:
    with socket.socket() as sock:
        await asyncio.get_running_loop().sock_recv(sock, 1)


async def _signal() -> None:
    asyncio.get_running_loop().add_signal_handler(2, print)


async def _threadsafe() -> None:
    asyncio.get_running_loop().call_soon_threadsafe(print)


async def _stop() -> None:
    asyncio.get_running_loop().stop()


async def _factory() -> None:
    asyncio.get_running_loop().set_task_factory(None)


REFUSED: list[tuple[Callable[[], Any], str]] = [
    (_to_thread, 'asyncio.to_thread'),
    (_executor, 'run_in_executor'),
    (_subprocess, 'subprocess_exec'),
    (_connection, 'create_connection'),
    (_server, 'create_server'),
    (_addresses, 'getaddrinfo'),
    (_socket, 'sock_recv'),
    (_signal, 'add_signal_handler'),
    (_threadsafe, 'call_soon_threadsafe'),
    (_stop, 'loop.stop'),
    (_factory, 'set_task_factory'),
]


@pytest.mark.parametrize(('call', 'name'), REFUSED)
def test_it_fails_the_workflow_by_name(call: Callable[[], Any], name: str) -> None:
    async def workflow(ctx: Context, _: None) -> None:
        await call()

    failed = failure_of(started(workflow))
    assert failed.errorType == 'AsyncWorkflowError'
    assert name in failed.errorMessage
    assert 'Do it in an activity' in failed.errorMessage
    assert 'await call()' in failed.stackTrace.value


def test_it_fails_the_workflow_even_if_the_code_catches_it() -> None:
    async def workflow(ctx: Context, _: None) -> str:
        try:
            await asyncio.to_thread(print)
        except Exception:
            await ctx.call_activity('never')
        return 'went on'

    assert 'asyncio.to_thread' in failure_of(started(workflow)).errorMessage


def test_a_future_of_another_loop_fails_the_workflow() -> None:
    others = asyncio.new_event_loop()
    try:

        async def workflow(ctx: Context, _: None) -> None:
            await others.create_future()

        failed = failure_of(started(workflow))
    finally:
        others.close()
    assert failed.errorType == 'AsyncWorkflowError'
    assert 'another event loop' in failed.errorMessage
    assert 'do it in an activity' in failed.errorMessage


def test_waiting_for_a_thread_fails_the_workflow() -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        release = threading.Event()

        async def workflow(ctx: Context, _: None) -> None:
            await asyncio.wrap_future(pool.submit(release.wait))

        failed = failure_of(started(workflow))
        release.set()
    assert 'can never happen' in failed.errorMessage


def test_waiting_for_what_nothing_can_bring_fails_the_workflow_when_it_begins() -> None:
    async def workflow(ctx: Context, _: None) -> None:
        await ctx.call_activity('a')
        await asyncio.Event().wait()

    assert 'can never happen' in failure_of(after(workflow, (task_completed(1),))).errorMessage


def test_waiting_while_something_is_outstanding_goes_on() -> None:
    async def workflow(ctx: Context, _: None) -> Any:
        event = asyncio.Event()
        call = ctx.call_activity('a')
        call.add_done_callback(lambda _: event.set())
        await event.wait()
        return await call

    assert output(after(workflow, (task_completed(1, 'A'),))) == 'A'


def test_an_async_generator_is_no_workflow() -> None:
    async def workflow(ctx: Context, _: None) -> Any:
        yield 1

    results = started(workflow)
    assert called(results) == ['completeWorkflow']
    assert failure_of(results).errorType == 'TypeError'
