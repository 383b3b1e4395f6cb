"""External events: early, late, in any case, with any payload."""

from __future__ import annotations

from datetime import timedelta

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.client import TaskHubGrpcClient
from tests.support.e2e import NewId, NewWorker, Workflow, completed, outline, run, serve, steps


def test_an_event_wakes_its_waiter(client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId) -> None:
    def approval(ctx: task.OrchestrationContext, _: None) -> Workflow:
        unlimited = yield ctx.wait_for_external_event('first')
        limited = yield ctx.wait_for_external_event('second', timeout=timedelta(hours=1))
        return [unlimited, limited]

    serve(new_worker, [approval])
    instance_id = client.schedule_new_orchestration(approval, instance_id=new_id())

    client.raise_orchestration_event(instance_id, 'first', data={'by': 'Ada'})
    client.raise_orchestration_event(instance_id, 'second', data='yes')

    assert completed(client, instance_id) == [{'by': 'Ada'}, 'yes']
    history = steps(client, instance_id)
    assert history[:3] == ['executionStarted', 'timerCreated 1', 'eventRaised first']  # a wait without a limit, too
    # The second wait has its timer unless both events came in one turn.
    assert [line for line in history[3:] if line != 'timerCreated 2'] == ['eventRaised second', 'executionCompleted 3']


def test_an_event_that_does_not_come_is_a_timeout_and_goes_to_the_next_waiter_when_it_does(
    client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    def impatient(ctx: task.OrchestrationContext, _: None) -> Workflow:
        missed = []
        for timeout in (timedelta(milliseconds=300), ctx.current_utc_datetime, timedelta(0)):
            try:
                yield ctx.wait_for_external_event('Approval', timeout=timeout)
            except TimeoutError as error:
                missed.append('Approval' in str(error))
        yield ctx.call_activity(ask_for_it, input=ctx.instance_id)
        return [missed, (yield ctx.wait_for_external_event('Approval'))]

    def ask_for_it(ctx: task.ActivityContext, instance_id: str) -> None:
        client.raise_orchestration_event(instance_id, 'Approval', data='late')

    serve(new_worker, [impatient], [ask_for_it])
    instance_id = new_id()

    assert run(client, impatient, instance_id) == [[True, True, True], 'late']

    # A timeout of zero makes no timer: the activity has the third id.
    assert [line for line in outline(client, instance_id) if line.startswith(('timer', 'taskScheduled'))][:5] == [
        'timerCreated 1',
        'timerFired 1',
        'timerCreated 2',
        'timerFired 2',
        'taskScheduled 3',
    ]


def test_events_are_kept_until_awaited_in_any_case_of_their_name_and_with_any_payload(
    client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    payloads = [0, '', False, [], {}, 0.0, None, 'Grüße']
    names = ['Value', 'VALUE', 'value']

    def collecting(ctx: task.OrchestrationContext, count: int) -> Workflow:
        yield ctx.wait_for_external_event('go')
        values = []
        for _ in range(count):
            values.append((yield ctx.wait_for_external_event('vaLue', timeout=timedelta(minutes=1))))
        return values

    serve(new_worker, [collecting])
    instance_id = client.schedule_new_orchestration(collecting, input=len(payloads), instance_id=new_id())

    for number, payload in enumerate(payloads):
        client.raise_orchestration_event(instance_id, names[number % 3], data=payload)
    client.raise_orchestration_event(instance_id, 'GO')

    values = completed(client, instance_id)
    assert values == payloads
    assert [type(value) for value in values] == [type(payload) for payload in payloads]
    # Buffered, they are there at once: none of the waits has made a timer.
    assert [line for line in steps(client, instance_id) if line.startswith('timer')] == ['timerCreated 1']
    # The history keeps the names as they were written.
    assert [line for line in steps(client, instance_id) if line.startswith('event')][-1] == 'eventRaised GO'


def test_waiters_of_one_name_are_served_in_order(
    client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    def two_waiters(ctx: task.OrchestrationContext, _: None) -> Workflow:
        first, second = (ctx.wait_for_external_event('ticket') for _ in range(2))
        yield task.when_all([second, first])
        return [first.get_result(), second.get_result()]

    serve(new_worker, [two_waiters])
    instance_id = client.schedule_new_orchestration(two_waiters, instance_id=new_id())

    for number in (1, 2):
        client.raise_orchestration_event(instance_id, 'ticket', data=number)

    assert completed(client, instance_id) == [1, 2]
