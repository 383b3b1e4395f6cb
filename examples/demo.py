"""The main job on real input: a shop's orders, processed by a workflow on the emulator. Run it with `make demo`.

Each order is checked, its items are reserved all at once, a large one waits for a person, the payment is tried until
the bank answers, and the parcel leaves after a pause. At the end the committed history tells what happened, turn by
turn: a turn is what the sidecar sent to the worker at once, and what the worker answered.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Generator, Iterator, Sequence
from datetime import timedelta
from typing import Any

from dapr.ext.workflow._durabletask import client, task, worker
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator import Emulator

ORDERS = (
    {'id': 'A-100', 'customer': 'Ada', 'items': {'notebook': 3, 'pencil': 12}, 'total': 41.5},
    {'id': 'B-200', 'customer': 'Grace', 'items': {'mainframe': 1, 'tape': 40, 'manual': 2}, 'total': 98_000.0},
)
NEEDS_APPROVAL_FROM = 1000.0

_printing = threading.Lock()
_bank_calls: dict[str, int] = {}


def say(text: str) -> None:
    with _printing:
        print(text, flush=True)


def check_order(ctx: task.ActivityContext, order: dict[str, Any]) -> str:
    if not order['items']:
        raise ValueError(f'order {order["id"]} has no items')
    return f'{sum(order["items"].values())} pieces'


def reserve_item(ctx: task.ActivityContext, item: list[Any]) -> str:
    name, count = item
    say(f'    [activity] reserved {count} x {name}')
    return f'{count} x {name}'


async def charge(ctx: task.ActivityContext, order: dict[str, Any]) -> str:
    """The bank does not answer the first time. All attempts have the execution id in common: the bank's key."""
    calls = _bank_calls[ctx.task_execution_id] = _bank_calls.get(ctx.task_execution_id, 0) + 1
    if calls == 1:
        say('    [activity] the bank does not answer')
        raise ConnectionError('the bank does not answer')
    say(f'    [activity] charged {order["total"]:.2f} at attempt {calls}')
    return f'receipt for {order["total"]:.2f}'


def ship(ctx: task.ActivityContext, order: dict[str, Any]) -> str:
    return f'parcel for {order["customer"]} is on its way'


def process_order(ctx: task.OrchestrationContext, order: dict[str, Any]) -> Generator[task.Task[Any], Any, Any]:
    checked: str = yield ctx.call_activity(check_order, input=order)
    reserved: list[str] = yield task.when_all(
        [ctx.call_activity(reserve_item, input=[name, count]) for name, count in order['items'].items()]
    )
    if order['total'] >= NEEDS_APPROVAL_FROM:
        ctx.set_custom_status('waiting for an approval')
        try:
            approval = yield ctx.wait_for_external_event('Approval', timeout=timedelta(seconds=20))
        except TimeoutError:
            return {'order': order['id'], 'outcome': 'no one approved it in time'}
        ctx.set_custom_status(f'approved by {approval["by"]}')
    policy = task.RetryPolicy(first_retry_interval=timedelta(milliseconds=500), max_number_of_attempts=3)
    receipt: str = yield ctx.call_activity(charge, input=order, retry_policy=policy)
    yield ctx.create_timer(timedelta(seconds=1))  # the van leaves later
    parcel: str = yield ctx.call_activity(ship, input=order)
    return {'order': order['id'], 'checked': checked, 'reserved': reserved, 'paid': receipt, 'shipped': parcel}


def turns(history: Sequence[pb.HistoryEvent]) -> Iterator[tuple[list[str], list[str]]]:
    """What each turn was given, and what it answered. A turn begins with a workflowStarted event."""
    given: list[str] = []
    answered: list[str] = []
    for event in history:
        kind = event.WhichOneof('eventType')
        if kind == 'workflowStarted':
            if given:
                yield given, answered
            given, answered = [], []
        elif event.eventId > 0:
            answered.append(describe(event))
        else:
            given.append(describe(event))
    yield given, answered


def describe(event: pb.HistoryEvent) -> str:
    kind = event.WhichOneof('eventType')
    assert kind is not None
    body = getattr(event, kind)
    if kind == 'executionCompleted':
        return f'#{event.eventId} the workflow ends: {pb.OrchestrationStatus.Name(body.workflowStatus)[21:]}'
    if kind in ('taskCompleted', 'taskFailed'):
        what = body.result.value if kind == 'taskCompleted' else body.failureDetails.errorMessage
        return f'{kind} #{body.taskScheduledId} {what}'
    if kind == 'timerFired':
        return f'{kind} #{body.timerId}'
    name = getattr(body, 'name', '')
    if kind == 'timerCreated':
        name = name or body.WhichOneof('origin') or ''
    number = f'#{event.eventId} ' if event.eventId > 0 else ''
    return f'{number}{kind} {name}'.strip()


def main() -> None:
    with Emulator() as sidecar:
        say(f'emulator at {sidecar.address}')
        with (
            worker.TaskHubGrpcWorker(host_address=sidecar.address) as w,
            client.TaskHubGrpcClient(host_address=sidecar.address) as c,
        ):
            w.add_orchestrator(process_order)
            for activity in (check_order, reserve_item, charge, ship):
                w.add_activity(activity)
            w.start()
            for order in ORDERS:
                name = f'order-{order["id"]}'
                say(f'\norder {order["id"]} of {order["customer"]}, {order["total"]:.2f}: workflow {name}')
                instance_id = c.schedule_new_orchestration(process_order, input=order, instance_id=name)
                if float(str(order['total'])) >= NEEDS_APPROVAL_FROM:
                    say('    [client] approving it')
                    c.raise_orchestration_event(instance_id, 'Approval', data={'by': 'the boss'})
                state = c.wait_for_orchestration_completion(instance_id, timeout=60)
                assert state is not None
                state.raise_if_failed()
                for number, (given, answered) in enumerate(turns(c.get_instance_history(instance_id)), 1):
                    say(f'  turn {number}: {"; ".join(given)}')
                    for action in answered:
                        say(f'      -> {action}')
                if state.serialized_custom_status:
                    say(f'  status: {state.serialized_custom_status}')
                say(f'  result: {json.dumps(json.loads(state.serialized_output or "null"), indent=2)}')


if __name__ == '__main__':
    main()
