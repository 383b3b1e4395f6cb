"""A worker that is killed in the middle of its work, and another one that goes on where it was.

`python -m examples.demo.killed NAME ADDRESS` is a worker of the demo's, in a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

from dapr.ext.workflow import DaprWorkflowClient, DaprWorkflowContext, WorkflowActivityContext, WorkflowRuntime
from examples.demo.telling import QUIET, say, start

STEPS = 6
KILLED_AFTER = 3


def journey(ctx: DaprWorkflowContext, steps: int) -> Generator[Any, Any, list[str]]:
    log = []
    for number in range(1, steps + 1):
        log.append((yield ctx.call_activity('walk', input=number)))
    return log


def work(name: str, address: str) -> None:
    """Is a worker until its stdin ends; tells of each step on stdout."""
    host, _, port = address.partition(':')

    def walk(ctx: WorkflowActivityContext, number: int) -> str:
        say(f'step {number}')
        return f'step {number} by the {name} worker'

    runtime = WorkflowRuntime(host, port, QUIET)
    runtime.register_workflow(journey)
    runtime.register_activity(walk)
    with runtime:
        sys.stdin.read()


@contextmanager
def worker(name: str, address: str) -> Iterator[subprocess.Popen[str]]:
    """A worker in a process of its own."""
    command = [sys.executable, '-m', 'examples.demo.killed', name, address]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:  # which closes its stdin, and waits for its end
        yield process


def tell(address: str) -> None:
    """Kills a worker after some steps, and has another one go on."""
    say(f'\n3. A worker is killed after step {KILLED_AFTER} of {STEPS}, another one goes on\n')
    host, _, port = address.partition(':')
    with DaprWorkflowClient(host, port, QUIET) as client:
        with worker('first', address) as first:
            instance_id = start(client, journey, input=STEPS)
            assert first.stdout is not None
            for line in first.stdout:
                say(f'  first worker: {line.strip()}')
                if line.strip() == f'step {KILLED_AFTER}':
                    first.kill()
                    say('  first worker: killed (SIGKILL)')
                    break
        with worker('second', address) as second:
            assert second.stdout is not None
            for line in second.stdout:
                say(f'  second worker: {line.strip()}')
                if line.strip() == f'step {STEPS}':
                    break
            state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=60)
            assert state is not None
            say(f'  result: {state.serialized_output}')
            say('  What was committed is not run again; a step whose answer the kill cut off is.')


if __name__ == '__main__':
    work(*sys.argv[1:])
