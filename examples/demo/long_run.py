"""A long workflow: a thousand activities, one after another. What a step costs does not grow with the history."""

from __future__ import annotations

import resource
import time
from collections.abc import Generator
from typing import Any

from dapr.ext.workflow import DaprWorkflowClient, DaprWorkflowContext, WorkflowActivityContext, WorkflowRuntime
from dapr.ext.workflow._durabletask.client import TaskHubGrpcClient
from examples.demo.telling import QUIET, say, start

STEPS = 1_000
EVERY = 200
# An activity is two events of the history: that it was called, and its result. A third says that a turn began.
_EVENTS_A_STEP = 3


class Meter:
    """Says what the last steps took, every now and then."""

    def __init__(self) -> None:
        self._mark = self._read()

    @staticmethod
    def _read() -> tuple[float, float]:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return time.monotonic(), used.ru_utime + used.ru_stime

    def step(self, ctx: WorkflowActivityContext, number: int) -> int:
        """An activity, which does nothing else."""
        if number == 0:
            self._mark = self._read()
        elif number % EVERY == 0:
            before, self._mark = self._mark, self._read()
            wall, cpu = (now - then for now, then in zip(self._mark, before, strict=True))
            say(
                f'  step {number:5,}: {number * _EVENTS_A_STEP:5,} events of history; each of the last {EVERY} steps '
                f'took {wall / EVERY * 1e3:5.1f} ms, {cpu / EVERY * 1e3:4.1f} ms of it CPU of this process'
            )
        return number


def long_workflow(ctx: DaprWorkflowContext, steps: int) -> Generator[Any, Any, int]:
    total = 0
    for number in range(steps + 1):
        total += yield ctx.call_activity('step', input=number)
    return total


def tell(address: str) -> None:
    """Runs the workflow, and prints what its steps took and what was not done again."""
    say(f'\n2. A workflow of {STEPS:,} steps, none of which is run twice\n')
    host, _, port = address.partition(':')
    runtime = WorkflowRuntime(host, port, QUIET)
    runtime.register_workflow(long_workflow)
    runtime.register_activity(Meter().step, name='step')
    with runtime, DaprWorkflowClient(host, port, QUIET) as client:
        instance_id = start(client, long_workflow, input=STEPS)
        client.wait_for_workflow_completion(instance_id, timeout_in_seconds=600)
        stats, sent = runtime.sticky_execution_stats, sent_whole(address, instance_id)
        turns = STEPS + 2
        say(
            f'  {stats.hits:,} of {turns:,} turns found the running workflow where it stood. Without that, its code '
            f'would have been replayed {turns:,} times, over {_EVENTS_A_STEP * turns * (turns - 1) // 2:,} events.'
        )
        say(
            f'  The whole history with each turn is {sent / 1e6:,.0f} MB on the wire: what daprd up to 1.18 sends. '
            'Sidecars that send deltas, as the emulator does, send each event twice: less than a megabyte here.'
        )


def sent_whole(address: str, instance_id: str) -> int:
    """The bytes of all turns of an instance, when each is sent with the whole history before it."""
    with TaskHubGrpcClient(host_address=address) as client:
        before = sent = 0
        for event in client.get_instance_history(instance_id):
            if event.HasField('workflowStarted'):
                sent += before
            before += event.ByteSize()
    return sent
