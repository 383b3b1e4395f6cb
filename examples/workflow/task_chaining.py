"""Steps one after the other, each with what the one before gave; and what is undone when one fails.

A trip is a flight, a hotel and a car. When one of them cannot be had, those that were booked are cancelled.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from dapr.ext.workflow import (
    DaprWorkflowClient,
    DaprWorkflowContext,
    TaskFailedError,
    WorkflowActivityContext,
    WorkflowRuntime,
)
from local_sidecar import use_sidecar

use_sidecar()
runtime = WorkflowRuntime()


@runtime.workflow
def book_trip(ctx: DaprWorkflowContext, parts: list[str]) -> Generator[Any, Any, list[str]]:
    booked: list[str] = []
    try:
        for part in parts:
            booked.append((yield ctx.call_activity(book, input=part)))
    except TaskFailedError as error:
        ctx.set_custom_status(f'undone: {error.details.message}')
        for booking in reversed(booked):
            yield ctx.call_activity(cancel, input=booking)
        return []
    return booked


@runtime.activity
def book(ctx: WorkflowActivityContext, part: str) -> str:
    if part == 'car on the moon':
        raise LookupError(f'no {part} can be had')
    print(f'  booked {part}')
    return part


@runtime.activity
def cancel(ctx: WorkflowActivityContext, booking: str) -> None:
    print(f'  cancelled {booking}')


def main() -> None:
    with runtime, DaprWorkflowClient() as client:
        for parts in (['flight', 'hotel', 'car'], ['flight', 'hotel', 'car on the moon']):
            instance_id = client.schedule_new_workflow(book_trip, input=parts)
            state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=30)
            assert state is not None
            print(f'{state.runtime_status.name}: {state.serialized_output} {state.serialized_custom_status or ""}')


if __name__ == '__main__':
    main()
