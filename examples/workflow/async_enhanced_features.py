"""What the context of a workflow in `async def` has beside calls.

Races, limits of time, conditions, clean-up, chance that is the same in each replay, and headers that travel.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from dapr.ext.workflow import DaprWorkflowClient, WorkflowActivityContext, WorkflowRuntime
from dapr.ext.workflow.aio import AsyncWorkflowContext, WorkflowTimeoutError
from local_sidecar import use_sidecar

use_sidecar()
runtime = WorkflowRuntime()


@runtime.workflow
async def trip(ctx: AsyncWorkflowContext, cities: list[str]) -> list[str]:
    ctx.set_custom_status('asking')
    diary = [f'headers: {ctx.execution_info.inbound_metadata}']  # they go on with the calls, too

    # All at once; a failure is a result here, and not the end.
    forecasts = await ctx.gather(*(ctx.call_activity(forecast, input=city) for city in cities), return_exceptions=True)
    diary += [f'{city}: {told}' for city, told in zip(cities, forecasts, strict=True)]

    # The first answer wins; the index says whose it is.
    runners: list[Awaitable[str | None]] = [ctx.sleep(60), ctx.call_activity(forecast, input='Rome')]
    index, answer = await ctx.when_any_with_result(runners)
    diary.append(f'number {index} was first: {answer}')

    # A limit for whatever can be awaited.
    try:
        await ctx.with_timeout(ctx.wait_for_external_event('an answer'), 0.2)
    except WorkflowTimeoutError:
        diary.append('nobody answered')

    # A condition that tasks of the workflow bring about.
    packed: list[str] = []

    async def pack(thing: str) -> None:
        await asyncio.sleep(0.1)
        packed.append(thing)

    tasks = [asyncio.create_task(pack(thing)) for thing in ('a hat', 'a map')]
    await ctx.wait_condition(lambda: len(packed) == len(tasks), timeout=10)
    diary.append(f'packed: {" and ".join(packed)}')

    # What is to be done at the end, whatever comes before.
    async with ctx:
        ctx.add_cleanup(lambda: ctx.call_activity(lock_up, input='the door'))
        diary.append('left')

    # The same in each replay, and in each of its runs another.
    ticket = f'{ctx.random_int(1, 6)}-{ctx.random_string(4)}-{ctx.uuid4()}'
    diary.append(f'a ticket of {len(ticket)} characters')
    info = ctx.info
    diary.append(f'{info.workflow_name} has asked for {info.history_event_sequence} things')
    return diary


@runtime.activity
def forecast(ctx: WorkflowActivityContext, city: str) -> str:
    if city == 'Atlantis':
        raise LookupError('no such city')
    return f'sun, says {ctx.get_metadata()["agency"]}'


@runtime.activity
def lock_up(ctx: WorkflowActivityContext, what: str) -> None:
    print(f'  {what} is locked')


def main() -> None:
    with runtime, DaprWorkflowClient() as client:
        instance_id = client.schedule_new_workflow(trip, input=['Oslo', 'Atlantis'], metadata={'agency': 'acme'})
        state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=30)
        assert state is not None
        for line in state.output(list[str]):
            print(line)


if __name__ == '__main__':
    main()
