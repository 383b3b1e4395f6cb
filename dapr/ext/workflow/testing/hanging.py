"""Why a test hangs: what each instance of a sidecar waits for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime

import grpc

from dapr.ext.workflow._durabletask.client import OrchestrationStatus, TaskHubGrpcClient, WorkflowState
from dapr.ext.workflow.inspection.sidecar import ENDED, Sidecar
from dapr.ext.workflow.inspection.story import read

__all__ = ['what_hangs']

_MOST = 20
_CALL_SECONDS = 5.0


def what_hangs(apps: Iterable[tuple[str, str]], running: Iterable[str], now: datetime | None) -> str:
    """Tells what the instances of a test wait for.

    Args:
        apps: The apps: their names and the addresses of their sidecars.
        running: The apps that have a runtime of the test's.
        now: What the clock of the test shows, or None where that is the machine's.
    """
    lines = [] if now is None else [f'The clock of the environment shows {now:%Y-%m-%d %H:%M:%S}Z.']
    workers = set(running)
    for name, address in apps:
        host, _, port = address.rpartition(':')
        of_app = f" of app '{name}'" if name else ''
        if name not in workers:
            lines.append(f'No runtime{of_app} of this environment is running.')
        try:
            with Sidecar(host, port, timeout=_CALL_SECONDS) as sidecar:
                found = [
                    f"'{state.instance_id}'{of_app} ({state.name or 'not started'}, {state.runtime_status}) "
                    f'waits for {_awaited(sidecar.client, state)}.'
                    for state in _unended(sidecar)
                ]
        except grpc.RpcError as error:
            lines.append(f'The sidecar{of_app} does not say what its workflows wait for: {error}')
            continue
        lines.extend(found[:_MOST])
        if len(found) > _MOST:
            lines.append(f'And {len(found) - _MOST} more.')
        if not found:
            lines.append(f'No workflow{of_app} is under way.')
    return '\n'.join(lines)


def _unended(sidecar: Sidecar) -> Iterator[WorkflowState]:
    return (state for state in sidecar.instances() if state.runtime_status not in ENDED)


def _awaited(client: TaskHubGrpcClient, state: WorkflowState) -> str:
    if state.runtime_status is OrchestrationStatus.PENDING:
        return 'its first turn: its scheduled start, or a worker that has it registered'
    with suppress(grpc.RpcError):
        story = read(client.get_instance_history(state.instance_id))
        if state.runtime_status is OrchestrationStatus.SUSPENDED:
            return 'its resume'
        if story.stall is not None:
            return f'a worker that can go on with it ({story.stall})'
        steps = [step.describe() for step in story.waits_for]
        if steps:
            return '; '.join(steps)
    return 'the answer to a turn'
