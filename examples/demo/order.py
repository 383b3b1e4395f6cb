"""An order: it is checked, its items are reserved all at once, a large one waits for a person, the payment is tried
until the bank answers, and the parcel leaves after a pause. Then its history tells what happened, turn by turn: a turn
is what the sidecar sent to the worker at once, and what the workflow asked for.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from dapr.ext.workflow import (
    DaprWorkflowClient,
    DaprWorkflowContext,
    RetryPolicy,
    WorkflowActivityContext,
    WorkflowHistoryEvent,
    WorkflowHistoryEventType,
    WorkflowRuntime,
    when_all,
)
from examples.demo.telling import QUIET, say, start

_Kind = WorkflowHistoryEventType

ORDER = {'id': 'B-200', 'customer': 'Grace', 'items': {'mainframe': 1, 'tape': 40, 'manual': 2}, 'total': 98_000.0}
NEEDS_APPROVAL_FROM = 1000.0

# What the activities have done, by the number of their call: to be told beside the turns.
_done: defaultdict[int, list[str]] = defaultdict(list)
_bank_calls: defaultdict[str, int] = defaultdict(int)


def check_order(ctx: WorkflowActivityContext, order: dict[str, Any]) -> str:
    if not order['items']:
        raise ValueError(f'order {order["id"]} has no items')
    pieces = sum(order['items'].values())
    _done[ctx.task_id].append(f'counted {pieces} pieces')
    return f'{pieces} pieces'


def reserve_item(ctx: WorkflowActivityContext, item: list[Any]) -> str:
    name, count = item
    _done[ctx.task_id].append(f'reserved {count} x {name}')
    return f'{count} x {name}'


async def charge(ctx: WorkflowActivityContext, order: dict[str, Any]) -> str:
    """The bank does not answer the first time. All attempts have the execution id in common: the bank's key."""
    _bank_calls[ctx.task_execution_id] += 1
    if _bank_calls[ctx.task_execution_id] == 1:
        _done[ctx.task_id].append('the bank does not answer')
        raise ConnectionError('the bank does not answer')
    _done[ctx.task_id].append(f'charged {order["total"]:.2f} at attempt {ctx.attempt}')
    return f'receipt for {order["total"]:.2f}'


def ship(ctx: WorkflowActivityContext, order: dict[str, Any]) -> str:
    _done[ctx.task_id].append('called the van')
    return f'parcel for {order["customer"]} is on its way'


def process_order(ctx: DaprWorkflowContext, order: dict[str, Any]) -> Generator[Any, Any, dict[str, Any]]:
    checked = yield ctx.call_activity(check_order, input=order)
    reserved = yield when_all(
        [ctx.call_activity(reserve_item, input=[name, count]) for name, count in order['items'].items()]
    )
    if order['total'] >= NEEDS_APPROVAL_FROM:
        ctx.set_custom_status('waiting for an approval')
        try:
            approval = yield ctx.wait_for_external_event('Approval', timeout=timedelta(seconds=60))
        except TimeoutError:
            return {'order': order['id'], 'outcome': 'no one approved it in time'}
        ctx.set_custom_status(f'approved by {approval["by"]}')
    policy = RetryPolicy(first_retry_interval=timedelta(milliseconds=500), max_number_of_attempts=3)
    receipt = yield ctx.call_activity(charge, input=order, retry_policy=policy)
    yield ctx.create_timer(timedelta(seconds=1))  # the van leaves later
    parcel = yield ctx.call_activity(ship, input=order)
    return {'order': order['id'], 'checked': checked, 'reserved': reserved, 'paid': receipt, 'shipped': parcel}


def tell(address: str) -> None:
    """Runs the order and prints its turns."""
    say('\n1. An order, turn by turn\n')
    host, _, port = address.partition(':')
    runtime = WorkflowRuntime(host, port, QUIET)
    runtime.register_workflow(process_order)
    for activity in (check_order, reserve_item, charge, ship):
        runtime.register_activity(activity)
    with runtime, DaprWorkflowClient(host, port, QUIET) as client:
        instance_id = start(client, process_order, input=ORDER, instance_id='order-B-200')
        client.raise_workflow_event(instance_id, 'Approval', data={'by': 'the boss'})
        state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=60)
        assert state is not None
        for number, turn in enumerate(turns(client.get_workflow_history(instance_id)), 1):
            say(f'  turn {number}: {"; ".join(turn.given)}')
            for call, asked in turn.asked:
                say(f'      -> {asked}')
                for done in _done[call]:
                    say(f'           {done}')
        say(f'  status: {state.serialized_custom_status}')
        say(f'  result: {json.dumps(json.loads(state.serialized_output or "null"))}')


@dataclass
class Turn:
    """A turn.

    Attributes:
        given: What the sidecar sent.
        asked: What the workflow asked for, each with the number of the call.
    """

    given: list[str] = field(default_factory=list)
    asked: list[tuple[int, str]] = field(default_factory=list)


def turns(history: Sequence[WorkflowHistoryEvent]) -> Iterator[Turn]:
    """The turns of a history. Each begins with an event that says so."""
    turn = Turn()
    for event in history:
        if event.event_type is _Kind.WORKFLOW_STARTED:
            if turn.given:
                yield turn
            turn = Turn()
        elif event.event_id > 0:
            turn.asked.append((event.event_id, f'#{event.event_id} {describe(event)}'))
        else:
            turn.given.append(describe(event))
    yield turn


def describe(event: WorkflowHistoryEvent) -> str:
    """An event in a few words."""
    words = [event.event_type.value]
    if event.task_scheduled_id is not None:
        words.append(f'#{event.task_scheduled_id}')
    if event.name:
        words.append(event.name)
    if event.failure_details is not None:
        words.append(f'({event.failure_details.message})')
    return ' '.join(words)
