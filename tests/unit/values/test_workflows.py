"""Typed values through whole workflows: inputs, results, children, events and outputs, on the emulator."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import json
import threading
from collections.abc import Generator, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from pydantic import BaseModel

from dapr.ext.workflow import (
    DaprWorkflowClient,
    DaprWorkflowContext,
    DataConversionError,
    DataConverter,
    JsonDataConverter,
    Task,
    WorkflowActivityContext,
    WorkflowRuntime,
)
from dapr.ext.workflow.aio import AsyncWorkflowContext
from dapr.ext.workflow.aio import DaprWorkflowClient as AsyncDaprWorkflowClient
from dapr.ext.workflow.emulator import Emulator

LIMIT = 20


@dataclasses.dataclass
class Item:
    name: str
    price: Decimal

    def with_tax(self) -> Decimal:
        return self.price * 2


class Basket(BaseModel):
    owner: UUID
    count: int = 0


class Note(NamedTuple):
    day: date
    tags: set[str]


@dataclasses.dataclass
class Receipt:
    total: Decimal
    basket: Basket
    note: Note
    due: datetime


OWNER = UUID(int=7)
NOTE = Note(date(2020, 1, 2), {'a'})
RECEIPT = Receipt(Decimal('5.0'), Basket(owner=OWNER, count=2), NOTE, datetime(2020, 1, 2))


def price(ctx: WorkflowActivityContext, name: str) -> Item:
    return Item(name, Decimal('1.25'))


async def total(ctx: WorkflowActivityContext, items: list[Item]) -> Decimal:
    assert all(isinstance(item, Item) for item in items)
    return sum((item.with_tax() for item in items), Decimal())


def count(ctx: WorkflowActivityContext, baskets: dict[str, Basket]) -> dict[str, Basket]:
    return {key: Basket(owner=basket.owner, count=2) for key, basket in baskets.items()}


def child(ctx: DaprWorkflowContext, basket: Basket) -> Generator[Task[Any], Any, Basket]:
    baskets = yield ctx.call_activity(count, input={'x': basket})
    return baskets['x']  # type: ignore[no-any-return]


def shop(ctx: DaprWorkflowContext, names: tuple[str, ...]) -> Generator[Task[Any], Any, Receipt]:
    assert isinstance(names, tuple)
    items = []
    for name in names:
        items.append((yield ctx.call_activity(price, input=name)))
    sum_of_all = yield ctx.call_activity('total', input=items, return_type=Decimal)
    basket = yield ctx.call_child_workflow(child, input=Basket(owner=OWNER))
    assert basket == (yield ctx.call_child_workflow('child', input=Basket(owner=OWNER), return_type=Basket))
    note = yield ctx.wait_for_external_event('note', data_type=Note)
    assert isinstance(note, Note)
    late = yield ctx.wait_for_external_event('note', timeout=timedelta(hours=1), data_type=Note)
    assert late == note
    return Receipt(sum_of_all, basket, note, datetime(2020, 1, 2))


async def shop_async(ctx: AsyncWorkflowContext, names: tuple[str, ...]) -> Receipt:
    assert isinstance(names, tuple)
    items = [await ctx.call_activity(price, input=name) for name in names]
    sum_of_all = await ctx.call_activity('total', input=items, return_type=Decimal)
    basket = await ctx.call_child_workflow(child, input=Basket(owner=OWNER))
    assert basket == await ctx.call_child_workflow('child', input=Basket(owner=OWNER), return_type=Basket)
    note = await ctx.wait_for_external_event('note', data_type=Note)
    assert isinstance(note, Note)
    assert note == await ctx.wait_for_external_event('note', timeout=3600, data_type=Note)
    return Receipt(sum_of_all, basket, note, datetime(2020, 1, 2))


def takes_what_comes(ctx: DaprWorkflowContext) -> Generator[Task[Any], Any, list[str]]:
    told = []
    try:
        yield ctx.wait_for_external_event('broken')
    except json.JSONDecodeError as error:
        told.append(str(error))
    try:
        yield ctx.wait_for_external_event('wrong', data_type=Note)
    except DataConversionError as error:
        told.append(str(error))
    try:
        yield ctx.call_activity('price', input='x', return_type=list[Item])
    except DataConversionError as error:
        told.append(str(error))
    try:
        yield ctx.call_activity(price, input=object())  # type: ignore[arg-type]
    except TypeError as error:
        told.append(str(error))
    return told


def sync_for_async(fn: Any) -> Any:
    @functools.wraps(fn)
    def wrapper(*args: Any) -> Any:
        return fn(*args)

    return wrapper


@sync_for_async
async def on_the_loop(ctx: WorkflowActivityContext, item: Item) -> list[str]:
    await asyncio.sleep(0)
    return [threading.current_thread().name, type(item).__name__]


def async_for_sync(fn: Any) -> Any:
    @functools.wraps(fn)
    async def wrapper(ctx: Any, item: Any) -> Any:
        await asyncio.sleep(0)
        return [threading.current_thread().name, *fn(ctx, item)]

    return wrapper


@async_for_sync
def wrapped_by_async(ctx: WorkflowActivityContext, item: Item) -> list[str]:
    return [type(item).__name__]


def until(ctx: DaprWorkflowContext, note: Note) -> Note | None:
    if note.day >= date(2020, 1, 3):
        return note
    ctx.set_custom_status(note.day.isoformat())
    ctx.continue_as_new(note._replace(day=note.day + timedelta(days=1)))
    return None


def call_one(ctx: DaprWorkflowContext, name: str) -> Generator[Task[Any], Any, Any]:
    return (yield ctx.call_activity(name, input=Item('tea', Decimal(1))))


@pytest.fixture(scope='module')
def emulator() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


def new_runtime(emulator: Emulator, **options: Any) -> WorkflowRuntime:
    host, port = emulator.address.split(':')
    return WorkflowRuntime(host, port, **options)


@pytest.fixture(scope='module')
def runtime(emulator: Emulator) -> Iterator[WorkflowRuntime]:
    runtime = new_runtime(emulator)
    for workflow in (child, shop, shop_async, takes_what_comes, call_one, until):
        runtime.register_workflow(workflow)
    for activity in (price, total, count, on_the_loop, wrapped_by_async):
        runtime.register_activity(activity)
    with runtime:
        yield runtime


@pytest.fixture
def client(emulator: Emulator, runtime: WorkflowRuntime) -> Iterator[DaprWorkflowClient]:
    host, port = emulator.address.split(':')
    with DaprWorkflowClient(host, port) as client:
        yield client


@pytest.mark.parametrize('workflow', [shop, shop_async])
def test_everything_comes_as_what_annotations_and_types_say(client: DaprWorkflowClient, workflow: Any) -> None:
    instance_id = client.schedule_new_workflow(workflow, input=('tea', 'milk'))
    client.raise_workflow_event(instance_id, 'note', data=NOTE)
    client.raise_workflow_event(instance_id, 'note', data=NOTE)
    state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=LIMIT)
    assert state is not None
    assert state.failure_details is None, state.failure_details
    assert state.output(Receipt) == RECEIPT
    assert state.input(tuple[str, ...]) == ('tea', 'milk')
    assert state.output().total == '5.00'  # without a type, as ever
    with pytest.raises(DataConversionError, match=f"output of the workflow '{instance_id}'.*expected int"):
        state.output(int)


def test_the_asyncio_client_has_the_same(emulator: Emulator, runtime: WorkflowRuntime) -> None:
    async def main() -> None:
        host, port = emulator.address.split(':')
        async with AsyncDaprWorkflowClient(host, port) as client:
            instance_id = await client.schedule_new_workflow(shop, input=('tea', 'milk'))
            await client.raise_workflow_event(instance_id, 'note', data=NOTE)
            await client.raise_workflow_event(instance_id, 'note', data=NOTE)
            state = await client.wait_for_workflow_completion(instance_id, timeout_in_seconds=LIMIT)
            assert state is not None
            assert state.output(Receipt) == RECEIPT

    asyncio.run(main())


def test_what_cannot_be_read_raises_where_it_is_waited_for(client: DaprWorkflowClient) -> None:
    instance_id = client.schedule_new_workflow(takes_what_comes)
    raw = client._DaprWorkflowClient__obj  # type: ignore[attr-defined]
    raw._payloads = AsTheyAre()  # as others send them, by HTTP
    client.raise_workflow_event(instance_id, 'nobody waits for this', data='{no json')
    client.raise_workflow_event(instance_id, 'broken', data='{no json')
    client.raise_workflow_event(instance_id, 'wrong', data='{"day": "2020-01-02", "tags": [1]}')
    state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=LIMIT)
    assert state is not None
    assert state.failure_details is None, state.failure_details
    broken, wrong, result, unencodable = state.output(list[str])
    assert "payload of the external event 'broken' is not JSON" in broken
    assert wrong == (
        "The payload of the external event 'wrong' is not of the type that the code gives for it: at tags[0]: "
        'expected str, got int 1'
    )
    assert "result of call_activity('price'), action" in result
    assert 'expected a list' in result
    assert "The input of call_activity('price') cannot be encoded as JSON: Object of type object is not" in unencodable


class AsTheyAre:
    def encode(self, value: Any) -> Any:
        return value


def test_a_next_run_is_given_its_input_as_its_type(client: DaprWorkflowClient) -> None:
    instance_id = client.schedule_new_workflow(until, input=Note(date(2020, 1, 1), {'a'}))
    state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=LIMIT)
    assert state is not None
    assert state.failure_details is None, state.failure_details
    assert state.output(Note) == Note(date(2020, 1, 3), {'a'})


def test_an_input_that_does_not_fit_fails_what_takes_it(client: DaprWorkflowClient) -> None:
    for workflow, given, problem in (
        ('until', {'day': 'tomorrow'}, "The input of 'until' is not of the type that the code gives for it: at day: "),
        ('child', {'owner': 5}, '1 validation error for Basket'),  # the model's own words
    ):
        instance_id = client.schedule_new_workflow(workflow, input=given)
        state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=LIMIT)
        assert state is not None
        assert state.failure_details is not None
        assert problem in state.failure_details.message


class TestWrappers:
    @pytest.mark.parametrize('name', ['on_the_loop', 'wrapped_by_async'])
    def test_what_is_to_be_awaited_runs_on_the_event_loop(self, client: DaprWorkflowClient, name: str) -> None:
        instance_id = client.schedule_new_workflow(call_one, input=name)
        state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=LIMIT)
        assert state is not None
        assert state.failure_details is None, state.failure_details
        assert state.output() == ['dapr-workflow-async-activities', 'Item']


class Reversing(DataConverter):
    """A form of its own: JSON backwards."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self._json = JsonDataConverter()

    def serialize(self, value: Any) -> str | None:
        text = self._json.serialize(value)
        return None if text is None else text[::-1]

    def deserialize(self, text: str | None, target_type: Any = None) -> Any:
        self.asked.append(target_type)
        return self._json.deserialize(None if text is None else text[::-1], target_type)


def test_a_converter_of_the_apps_own_does_it_all() -> None:
    converter = Reversing()

    def work(ctx: WorkflowActivityContext, item: Item) -> Item:
        return Item(item.name, item.with_tax())

    def flow(ctx: DaprWorkflowContext, item: Item) -> Generator[Task[Any], Any, Decimal]:
        done = yield ctx.call_activity(work, input=item)
        more = yield ctx.wait_for_external_event('more', data_type=Decimal)
        plain = yield ctx.wait_for_external_event('plain')
        return done.price + more + plain  # type: ignore[no-any-return]

    with (
        Emulator() as own,
        DaprWorkflowClient('127.0.0.1', own.address.split(':')[1], data_converter=converter) as client,
    ):
        runtime = new_runtime(own, data_converter=converter)
        runtime.register_activity(work)
        runtime.register_workflow(flow)
        with runtime:
            instance_id = client.schedule_new_workflow(flow, input=Item('tea', Decimal(2)))
            client.raise_workflow_event(instance_id, 'more', data=Decimal(1))
            client.raise_workflow_event(instance_id, 'plain', data=1)
            state = client.wait_for_workflow_completion(instance_id, timeout_in_seconds=LIMIT)
    assert state is not None
    assert state.failure_details is None, state.failure_details
    assert state.serialized_output == '"6"'[::-1]
    assert state.output(Decimal) == 6
    assert {None, Item, Decimal} == set(converter.asked)


def test_what_is_no_converter_is_refused() -> None:
    with pytest.raises(TypeError, match='data_converter is 5: it must be a DataConverter'):
        WorkflowRuntime('localhost', 1, data_converter=5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match='data_converter is 5: it must be a DataConverter'):
        DaprWorkflowClient('localhost', 1, data_converter=5)  # type: ignore[arg-type]
