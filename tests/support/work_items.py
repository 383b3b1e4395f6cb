"""What the worker's tests serve and wait for."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any

from dapr.ext.workflow._durabletask.internal import helpers
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker
from tests.support.engine import execution_started, workflow_started
from tests.support.fake_sidecar import DEADLINE_SECONDS

NewWorker = Callable[..., TaskHubGrpcWorker]


class Gate:
    """Where user code waits until the test lets it go on."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def wait_until_reached(self) -> None:
        assert self.reached.wait(DEADLINE_SECONDS)

    def open(self) -> None:
        self.opened.set()

    def pass_through(self) -> None:
        self.reached.set()
        assert self.opened.wait(DEADLINE_SECONDS)

    async def pass_through_async(self) -> None:
        self.reached.set()
        while not self.opened.is_set():
            await asyncio.sleep(0.001)


def turn_item(name: str = 'flow', token: str = 'token', encoded_input: str | None = None) -> pb.WorkItem:
    events = [workflow_started(), execution_started(name, encoded_input)]
    return pb.WorkItem(completionToken=token, workflowRequest=pb.WorkflowRequest(instanceId='abc', newEvents=events))


def activity_item(name: str, encoded_input: str | None = None, task_id: int = 3, token: str = 'token') -> pb.WorkItem:
    request = pb.ActivityRequest(
        name=name,
        taskId=task_id,
        workflowInstance=pb.WorkflowInstance(instanceId='abc'),
        input=helpers.get_string_value(encoded_input),
    )
    return pb.WorkItem(completionToken=token, activityRequest=request)


def echo(ctx: Any, value: Any) -> Any:
    return value


async def echo_async(ctx: Any, value: Any) -> Any:
    await asyncio.sleep(0)
    return value


def flow(ctx: Any, value: Any) -> Any:
    result = yield ctx.call_activity(echo, input=value)
    return result


def worker_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith('dapr-workflow')]


def in_thread(run: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=run)
    thread.start()
    return thread


def join(thread: threading.Thread) -> None:
    thread.join(DEADLINE_SECONDS)
    assert not thread.is_alive()


def start_until_stopped(worker: TaskHubGrpcWorker, starting: threading.Event) -> None:
    starting.set()
    with contextlib.suppress(RuntimeError):  # it is open already, or it is not
        worker.start()
