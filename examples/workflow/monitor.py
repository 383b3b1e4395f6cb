"""A workflow that runs for as long as there is something to watch, with a history that stays short.

Each round looks at a job, sleeps, and continues as new: the next round is a new run of the same instance. A word that
comes while it sleeps goes over into the next run.
"""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from typing import Any

from dapr.ext.workflow import DaprWorkflowClient, DaprWorkflowContext, WorkflowActivityContext, WorkflowRuntime
from local_sidecar import use_sidecar

use_sidecar()
runtime = WorkflowRuntime()


@runtime.workflow
def watch(ctx: DaprWorkflowContext, round_number: int) -> Generator[Any, Any, str | None]:
    status: str = yield ctx.call_activity(look_at_job, input=round_number)
    ctx.set_custom_status(f'round {round_number}: {status}')
    if status == 'done':
        word = yield ctx.wait_for_external_event('word')
        return f'done in round {round_number}; the word was {word!r}'
    yield ctx.create_timer(timedelta(milliseconds=200))
    ctx.continue_as_new(round_number + 1, save_events=True)
    return None


@runtime.activity
def look_at_job(ctx: WorkflowActivityContext, round_number: int) -> str:
    return 'done' if round_number == 3 else 'busy'


def main() -> None:
    with runtime, DaprWorkflowClient() as client:
        instance_id = client.schedule_new_workflow(watch, input=1)
        client.raise_workflow_event(instance_id, 'word', data='hurry')
        state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=30)
        assert state is not None
        print(state.serialized_output)
        print(f'the last run has {len(client.get_workflow_history(instance_id))} events')


if __name__ == '__main__':
    main()
