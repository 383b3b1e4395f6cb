"""Metadata: what goes with the inputs of calls, in an envelope, and is there where the call arrives."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from dapr.ext.workflow import DaprWorkflowContext, WorkflowActivityContext
from dapr.ext.workflow._durabletask.activity import Activities, _ActivityExecutor
from dapr.ext.workflow._durabletask.aio.orchestrator import async_orchestrator
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.metadata import metadata_of, opened, payload_of, sealed
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
from dapr.ext.workflow._durabletask.replay.differences import described
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from dapr.ext.workflow._durabletask.replay.telling import tell_event
from dapr.ext.workflow._durabletask.retry import RetryPolicy
from dapr.ext.workflow._durabletask.task import ActivityContext
from dapr.ext.workflow.adapters import adapt_activity, adapt_workflow
from dapr.ext.workflow.aio import AsyncWorkflowContext
from dapr.ext.workflow.values.payloads import payloads_of
from tests.support.async_engine import Context as AsyncContext
from tests.support.engine import Driver, completion, failure_of, output, task_completed, task_failed, timer_fired
from tests.support.scenarios import Workflow

TENANT = {'tenant': 'acme'}
ENVELOPE = '{"__dapr_meta__":{"v":1,"metadata":{"tenant":"acme"}},"__dapr_payload__":[1, 2]}'


# The envelope


@pytest.mark.parametrize('text', ['[1, 2]', '"a"', '{"a": 1.10000000000000000001}', 'NaN', '0'])
def test_what_is_sealed_is_opened_to_the_letter(text: str) -> None:
    assert opened(sealed(text, TENANT)) == (text, TENANT)
    assert json.loads(sealed(text, TENANT)).keys() == {'__dapr_meta__', '__dapr_payload__'}


def test_no_input_is_null_in_the_envelope_and_none_outside() -> None:
    assert json.loads(sealed(None, TENANT))['__dapr_payload__'] is None
    assert opened(sealed(None, TENANT)) == (None, TENANT)


def test_a_text_that_is_no_json_is_there_to_the_letter_too() -> None:
    assert json.loads(sealed('<a/>', TENANT)) == {
        '__dapr_meta__': {'v': 1, 'metadata': TENANT, 'payload': 'text'},
        '__dapr_payload__': '<a/>',
    }
    assert opened(sealed('<a/>', TENANT)) == ('<a/>', TENANT)


def test_the_envelopes_of_others_are_read() -> None:
    text = json.dumps({'__dapr_meta__': {'v': 1, 'metadata': TENANT}, '__dapr_payload__': {'a': [1]}}, indent=2)

    payload, metadata = opened(text)

    assert (json.loads(payload or ''), metadata) == ({'a': [1]}, TENANT)


@pytest.mark.parametrize(
    'text',
    [
        '',
        '1',
        '{"a": 1}',
        '["__dapr_meta__", "__dapr_payload__"]',
        '{"__dapr_meta__": {"v": 1}}',
        '{"__dapr_meta__": 1, "__dapr_payload__": 2}',
        '{"__dapr_meta__": {}, "__dapr_payload__": 2, "more": 3}',
        '{"__dapr_meta__": {}, "__dapr_payload__": ',
        '{"__dapr_meta__": nothing',
    ],
)
def test_what_is_no_envelope_is_left_alone(text: str) -> None:
    assert opened(text) == (text, None)
    assert (payload_of(text), metadata_of(text)) == (text, {})


# What goes out


def inputs(driver: Driver) -> list[str | None]:
    """The inputs of what the first turn calls, in order."""
    found = []
    for action in driver.start().actions:
        kind = action.WhichOneof('workflowActionType')
        body = getattr(action, str(kind))
        found.append(body.input.value if body.HasField('input') else None)
    return found


def test_metadata_that_is_set_goes_with_all_calls_that_follow() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        ctx.call_activity('before', input=[1, 2])
        ctx.set_metadata(TENANT)
        ctx.call_activity('a', input=[1, 2])
        ctx.call_sub_orchestrator('b', input=[1, 2])
        ctx.schedule_new_workflow('c', input=[1, 2])
        ctx.call_activity('nothing')
        ctx.set_headers(None)
        yield ctx.call_activity('after', input=[1, 2])

    nothing = ENVELOPE.replace('[1, 2]', 'null')
    assert inputs(Driver(workflow)) == ['[1, 2]', ENVELOPE, ENVELOPE, ENVELOPE, nothing, '[1, 2]']


def test_metadata_of_a_call_stands_in_place_of_what_is_set() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        ctx.set_metadata({'other': 'x'})
        ctx.call_activity('a', input=[1, 2], metadata=TENANT)
        ctx.call_sub_orchestrator('b', input=[1, 2], metadata=TENANT)
        yield ctx.call_activity('c', input=[1, 2], metadata={})

    assert inputs(Driver(workflow)) == [ENVELOPE, ENVELOPE, '[1, 2]']


def test_without_metadata_nothing_is_another_byte() -> None:
    def with_none(ctx: Context, _: None) -> Workflow:
        ctx.set_metadata({})
        ctx.call_activity('a', input={'a': 1}, metadata=None)
        ctx.call_sub_orchestrator('b', metadata={})
        yield ctx.call_activity('c', metadata={})

    def without(ctx: Context, _: None) -> Workflow:
        ctx.call_activity('a', input={'a': 1})
        ctx.call_sub_orchestrator('b')
        yield ctx.call_activity('c')

    ours, plain = Driver(with_none).start().actions, Driver(without).start().actions
    assert [a.SerializeToString(deterministic=True) for a in ours] == [
        a.SerializeToString(deterministic=True) for a in plain
    ]


def test_each_attempt_of_a_call_has_the_metadata_of_the_call() -> None:
    policy = RetryPolicy(first_retry_interval=timedelta(seconds=1), max_number_of_attempts=2)

    def workflow(ctx: Context, _: None) -> Workflow:
        call = ctx.call_activity('a', input=[1, 2], retry_policy=policy, metadata=TENANT)
        ctx.set_metadata({'other': 'x'})
        yield call

    driver = Driver(workflow)
    driver.start()
    driver.turn(task_failed(1))
    (again,) = driver.turn(timer_fired(2)).actions
    assert again.scheduleTask.input.value == ENVELOPE


def test_async_workflows_set_metadata_by_the_same_names() -> None:
    async def workflow(ctx: AsyncContext, _: None) -> None:
        ctx.set_headers(TENANT)
        assert ctx.get_metadata() == ctx.get_headers() == TENANT
        ctx.call_activity('a', input=[1, 2])
        ctx.call_child_workflow('b', input=[1, 2])
        ctx.schedule_new_workflow('c', input=[1, 2])
        ctx.set_metadata(None)
        await ctx.call_activity('d', input=[1, 2], metadata=TENANT)

    assert inputs(Driver(async_orchestrator(workflow))) == [ENVELOPE] * 4


@pytest.mark.parametrize(
    ('metadata', 'told'),
    [
        ('tenant', r"metadata must be a dict of str to str, not str: 'tenant'"),
        ([('a', 'b')], r'metadata must be a dict of str to str, not list'),
        ({1: 'a'}, r'each key of metadata must be a str, not int: 1'),
        ({'tries': 3}, r"metadata\['tries'\] must be a str, not int: 3"),
        ({'who': None}, r"metadata\['who'\] must be a str, not NoneType"),
    ],
)
def test_a_wrong_type_is_refused_by_name_and_nothing_is_called(metadata: Any, told: str) -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        for call in (
            lambda: ctx.set_metadata(metadata),
            lambda: ctx.call_activity('a', metadata=metadata),
            lambda: ctx.call_sub_orchestrator('b', metadata=metadata),
            lambda: ctx.schedule_new_workflow('c', metadata=metadata),
            lambda: ctx.continue_as_new(1, metadata=metadata),
        ):
            with pytest.raises(TypeError, match=told):
                call()
        yield ctx.create_timer(timedelta(1))

    results = Driver(workflow).start()
    assert [action.WhichOneof('workflowActionType') for action in results.actions] == ['createTimer']


# What comes in


@dataclass
class Order:
    item: str


SEALED_ORDER = sealed('{"item": "lamp"}', TENANT)


def test_a_workflow_reads_its_input_by_annotation_and_passes_metadata_on() -> None:
    def workflow(ctx: DaprWorkflowContext, order: Order) -> Workflow:
        info = ctx.execution_info
        assert (info.workflow_id, info.workflow_name, info.history_event_sequence) == ('abc', 'workflow', 0)
        assert (info.inbound_metadata, ctx.get_metadata(), ctx.get_headers()) == (TENANT, TENANT, TENANT)
        assert (yield ctx.call_activity('a', input=[1, 2])) == 'done'
        return [order.item, type(order).__name__, ctx.execution_info.history_event_sequence]

    driver = typed_driver(adapt_workflow(workflow), SEALED_ORDER)
    (call,) = driver.start().actions
    assert call.scheduleTask.input.value == ENVELOPE
    assert output(driver.turn(task_completed(1, 'done'))) == ['lamp', 'Order', 1]


def test_an_async_workflow_too() -> None:
    async def workflow(ctx: AsyncWorkflowContext, order: Order) -> list[Any]:
        assert ctx.info.inbound_metadata == ctx.execution_info.inbound_metadata == TENANT
        await ctx.call_activity('a', input=[1, 2])
        return [order.item, type(order).__name__]

    driver = typed_driver(adapt_workflow(workflow), SEALED_ORDER)
    (call,) = driver.start().actions
    assert call.scheduleTask.input.value == ENVELOPE
    assert output(driver.turn(task_completed(1))) == ['lamp', 'Order']


def test_without_an_envelope_there_is_no_metadata() -> None:
    def workflow(ctx: Context, value: Any) -> Any:
        return [value, ctx.execution_info.inbound_metadata, ctx.get_metadata()]

    assert output(Driver(workflow, '{"a": 1}').start()) == [{'a': 1}, {}, {}]


def test_what_execution_info_holds_is_the_workflows_own_copy() -> None:
    def workflow(ctx: Context, _: Any) -> Any:
        ctx.execution_info.inbound_metadata['tenant'] = 'other'
        ctx.get_metadata()['tenant'] = 'other'
        return [ctx.execution_info.inbound_metadata, ctx.get_metadata()]

    assert output(Driver(workflow, ENVELOPE).start()) == [TENANT, TENANT]


def test_an_input_that_cannot_be_read_fails_the_workflow_as_ever() -> None:
    def workflow(ctx: DaprWorkflowContext, order: Order) -> None: ...

    failure = failure_of(typed_driver(adapt_workflow(workflow), sealed('{"item": 5}', TENANT)).start())
    assert "input of 'workflow'" in failure.errorMessage
    assert 'at item' in failure.errorMessage


def test_the_next_run_has_the_metadata_of_this_one() -> None:
    def workflow(ctx: Context, _: Any) -> None:
        ctx.continue_as_new([1, 2])

    def other(ctx: Context, _: Any) -> None:
        ctx.continue_as_new([1, 2], metadata={})

    assert completion(Driver(workflow, ENVELOPE).start()).result.value == ENVELOPE
    assert completion(Driver(other, ENVELOPE).start()).result.value == '[1, 2]'


def typed_driver(workflow: Callable[..., Any], encoded_input: str) -> Driver:
    registry = _Registry(payloads_of(None))
    registry.add_orchestrator(workflow)
    return Driver(workflow, encoded_input, registry=registry)


@pytest.mark.parametrize('method', ['execute', 'execute_async'])
def test_an_activity_reads_its_input_by_annotation_and_has_the_metadata(method: str) -> None:
    def work(ctx: WorkflowActivityContext, order: Order) -> list[Any]:
        info = ctx.execution_info
        assert info.inbound_metadata == ctx.get_metadata() == ctx.get_headers()
        return [order.item, type(order).__name__, info.inbound_metadata, info.activity_name, info.workflow_id]

    executor = _ActivityExecutor(logging.getLogger('tests.worker'), payloads=payloads_of(None))

    def run(text: str | None) -> Any:
        result = getattr(executor, method)(adapt_activity(work), 'abc', 'work', 3, text)
        return json.loads(asyncio.run(result) if asyncio.iscoroutine(result) else result)

    assert run(SEALED_ORDER) == ['lamp', 'Order', TENANT, 'work', 'abc']
    assert run('{"item": "lamp"}') == ['lamp', 'Order', {}, 'work', 'abc']


# Traces of activities


class Answers:
    def complete_activity(self, response: pb.ActivityResponse) -> bool:
        assert not response.HasField('failureDetails'), response
        return True


@pytest.mark.parametrize('kind', ['sync', 'async'])
def test_an_activity_knows_the_sidecars_span_of_it(kind: str) -> None:
    seen: list[Any] = []

    def work(ctx: ActivityContext, _: None) -> None:
        info = ctx.execution_info
        seen.append((ctx.trace_parent, ctx.trace_state))
        assert (info.trace_parent, info.trace_state) == seen[-1]

    async def async_work(ctx: ActivityContext, _: None) -> None:
        work(ctx, None)

    registry = _Registry()
    registry.add_named_activity('work', work if kind == 'sync' else async_work)
    activities = Activities(registry, Answers(), logging.getLogger('tests.worker'))
    request = pb.ActivityRequest(name='work')
    traced = pb.ActivityRequest(name='work')
    traced.parentTraceContext.traceParent = f'00-{"a" * 32}-{"b" * 16}-01'
    bare = pb.ActivityRequest.FromString(traced.SerializeToString())
    traced.parentTraceContext.traceState.value = 'a=b'
    for each in (request, traced, bare):
        item = pb.WorkItem(activityRequest=each)
        if kind == 'sync':
            activities.serve(item)
        else:
            asyncio.run(serve(activities, item))

    parent = f'00-{"a" * 32}-{"b" * 16}-01'
    assert seen == [(None, None), (parent, 'a=b'), (parent, None)]


async def serve(activities: Activities, item: pb.WorkItem) -> None:
    activities.answer(await activities.serve_async(item))


# What people are shown


def test_messages_show_the_input_and_its_metadata_apart() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        ctx.call_activity('a', input=[1, 2], metadata=TENANT)
        yield ctx.call_sub_orchestrator('b', input=[1, 2], metadata=TENANT)

    activity, child = Driver(workflow).start().actions
    assert described(activity) == ("call_activity('a', input=[1, 2], metadata={'tenant': 'acme'})", '[1, 2]')
    assert described(child)[0].startswith("call_child_workflow('b', input=[1, 2], metadata={'tenant': 'acme'}, ")
    event = pb.HistoryEvent(eventId=1, taskScheduled=pb.TaskScheduledEvent(name='a'))
    event.taskScheduled.input.value = ENVELOPE
    assert tell_event(event) == 'activity \'a\' with input [1, 2] and metadata {"tenant": "acme"}'
