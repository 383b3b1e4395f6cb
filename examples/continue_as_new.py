"""A monitor: a workflow that runs for as long as there is something to watch, with a history that stays short.

Each round checks a job, sleeps, and continues as new: the next round is a new run of the same instance. Notes that
people send while it sleeps are not lost: they go over into the next run.
"""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from typing import Any

from dapr.ext.workflow._durabletask import client, task, worker


def check_job(ctx: task.ActivityContext, round_number: int) -> str:
    return 'done' if round_number >= 4 else 'busy'


def monitor(ctx: task.OrchestrationContext, round_number: int) -> Generator[task.Task[Any], Any, str | None]:
    status: str = yield ctx.call_activity(check_job, input=round_number)
    ctx.set_custom_status(f'round {round_number}: {status}')
    if status == 'done':
        note = yield ctx.wait_for_external_event('note', timeout=timedelta(seconds=10))
        return f'done after {round_number} rounds; the note was: {note}'
    yield ctx.create_timer(timedelta(milliseconds=300))
    ctx.continue_as_new(round_number + 1, save_events=True)
    return None


def main() -> None:
    with worker.TaskHubGrpcWorker() as w, client.TaskHubGrpcClient() as c:
        w.add_orchestrator(monitor)
        w.add_activity(check_job)
        w.start()
        instance_id = c.schedule_new_orchestration(monitor, input=1)
        c.raise_orchestration_event(instance_id, 'note', data='keep an eye on it')
        state = c.wait_for_orchestration_completion(instance_id, timeout=30)
        assert state is not None
        state.raise_if_failed()
        print(f'{instance_id} completed: {state.serialized_output}')
        print(f'history of the last run: {len(c.get_instance_history(instance_id))} events')


if __name__ == '__main__':
    main()
