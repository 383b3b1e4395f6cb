"""What the e2e tests share: serving workflows, waiting for them, and reading what was committed."""

from __future__ import annotations

import asyncio
import functools
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import grpc

from dapr.ext.workflow._durabletask.aio.client import AsyncTaskHubGrpcClient
from dapr.ext.workflow._durabletask.client import OrchestrationStatus, TaskHubGrpcClient, WorkflowState
from dapr.ext.workflow._durabletask.internal import protos as pb
from tests.support.scenarios import Workflow

if TYPE_CHECKING:
    from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker

# No test waits that long but one that fails; below the limit of pytest-timeout, so that it says what it has waited for.
DEADLINE = 60.0

NewId: TypeAlias = Callable[[], str]
NewWorker: TypeAlias = 'Callable[..., TaskHubGrpcWorker]'

__all__ = [
    'DEADLINE',
    'NewId',
    'NewWorker',
    'TurnWatch',
    'Workflow',
    'completed',
    'ended',
    'failure',
    'outline',
    'run',
    'serve',
    'steps',
    'wait',
    'wait_for_stall',
    'with_client',
]


def serve(
    new_worker: NewWorker,
    workflows: Iterable[Callable[..., Any]],
    activities: Iterable[Callable[..., Any]] = (),
    **options: Any,
) -> TaskHubGrpcWorker:
    """Starts a worker that runs these, made by `new_worker` from the options."""
    worker = new_worker(**options)
    for workflow in workflows:
        worker.add_orchestrator(workflow)
    for activity in activities:
        worker.add_activity(activity)
    worker.start()
    return worker


def ended(client: TaskHubGrpcClient, instance_id: str) -> WorkflowState:
    """The state of an instance after its end, whatever that is."""
    state = client.wait_for_orchestration_completion(instance_id, timeout=DEADLINE)
    assert state is not None
    return state


def completed(client: TaskHubGrpcClient, instance_id: str) -> Any:
    """The output of an instance after its end, which has to be a good one."""
    state = ended(client, instance_id)
    assert state.runtime_status is OrchestrationStatus.COMPLETED, state
    return None if state.serialized_output is None else json.loads(state.serialized_output)


def run(client: TaskHubGrpcClient, workflow: Callable[..., Any] | str, instance_id: str, input: Any = None) -> Any:
    """The output of a workflow that is run from start to end."""
    client.schedule_new_orchestration(workflow, input=input, instance_id=instance_id)
    return completed(client, instance_id)


def failure(client: TaskHubGrpcClient, instance_id: str) -> tuple[str, str]:
    """The type and the message of the error that an instance has failed with; waits for the failure."""
    state = ended(client, instance_id)
    assert state.runtime_status is OrchestrationStatus.FAILED, state
    assert state.failure_details is not None
    return state.failure_details.error_type, state.failure_details.message


def wait(event: threading.Event) -> None:
    """Waits for an event that activities set."""
    assert event.wait(DEADLINE), f'the event was not set within {DEADLINE:g} s'


def wait_for_stall(client: TaskHubGrpcClient, instance_id: str) -> pb.ExecutionStalledEvent:
    """The event that says why an instance is stalled; waits for it, since no call of the sidecar's does."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        stalls = [
            event.executionStalled
            for event in client.get_instance_history(instance_id)
            if event.HasField('executionStalled')
        ]
        if stalls:
            return stalls[-1]
        time.sleep(0.05)
    raise AssertionError(f'{instance_id} was not stalled within {DEADLINE:g} s')


def outline(client: TaskHubGrpcClient, instance_id: str) -> list[str]:
    """The history of an instance as text: each event's kind, then the id of its action, or the name of a raised event.

    What resolves an action has the id of that action; the kinds that have no action have no id.
    """
    return [_line(event) for event in client.get_instance_history(instance_id)]


def steps(client: TaskHubGrpcClient, instance_id: str) -> list[str]:
    """The outline of a history without the beginnings of turns.

    How many turns there were is a matter of timing, as soon as two things go on at once.
    """
    return [line for line in outline(client, instance_id) if line != 'workflowStarted']


def _line(event: pb.HistoryEvent) -> str:
    kind = event.WhichOneof('eventType')
    assert kind is not None, event
    body = getattr(event, kind)
    if kind == 'eventRaised':
        return f'{kind} {body.name}'
    action_id = getattr(body, 'taskScheduledId', getattr(body, 'timerId', event.eventId))
    return kind if action_id < 0 else f'{kind} {action_id}'


class TurnWatch(grpc.UnaryUnaryClientInterceptor):
    """An interceptor for workers that keeps the answers to turns, so that tests can wait for the sidecar's next step.

    A turn is dispatched when the one before it is committed: the answer to turn n + 1 shows that turn n is.
    """

    def __init__(self) -> None:
        self._answers: dict[str, list[pb.WorkflowResponse]] = {}
        self._changed = threading.Condition()

    def intercept_unary_unary(self, continuation: Callable[..., Any], client_call_details: Any, request: Any) -> Any:
        call = continuation(client_call_details, request)
        if isinstance(request, pb.WorkflowResponse):
            call.result()  # raises what the call has failed with
            with self._changed:
                self._answers.setdefault(request.instanceId, []).append(request)
                self._changed.notify_all()
        return call

    def wait_for_turns(self, instance_id: str, count: int) -> list[pb.WorkflowResponse]:
        """All answers to turns of an instance, as soon as there are that many."""
        with self._changed:
            answered = self._changed.wait_for(lambda: len(self._answers.get(instance_id, ())) >= count, DEADLINE)
            answers = list(self._answers.get(instance_id, ()))
        assert answered, f'{len(answers)} of {count} turns of {instance_id} were answered within {DEADLINE:g} s'
        return answers


class SyncClientForAsyncCode:
    """The blocking client behind the methods of the async one, so that one scenario can be run with either."""

    def __init__(self, client: TaskHubGrpcClient) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return functools.partial(asyncio.to_thread, getattr(self._client, name))


async def with_client(kind: str, address: str, scenario: Callable[[AsyncTaskHubGrpcClient], Awaitable[None]]) -> None:
    """Runs a scenario with a client of its own, the 'sync' or the 'async' one."""
    if kind == 'async':
        async with AsyncTaskHubGrpcClient(host_address=address) as client:
            await scenario(client)
    else:
        with TaskHubGrpcClient(host_address=address) as blocking:
            await scenario(cast('AsyncTaskHubGrpcClient', SyncClientForAsyncCode(blocking)))
