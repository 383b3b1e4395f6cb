"""Python objects as inputs, results, events and outputs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from types import SimpleNamespace
from typing import Any, NamedTuple

import pydantic

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.client import TaskHubGrpcClient
from dapr.ext.workflow._durabletask.internal.json_codec import from_json
from tests.support.e2e import NewId, NewWorker, Workflow, completed, ended, serve


@dataclass
class Item:
    name: str
    price: float


@dataclass
class Order:
    items: list[Item]
    note: str | None = None


class Size(NamedTuple):
    width: int
    height: int


class Address(pydantic.BaseModel):
    street: str
    since: date


def test_objects_without_a_model_come_back_as_namespaces_wherever_they_travel(
    client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    kinds: list[str] = []

    def measure(ctx: task.ActivityContext, box: Any) -> Size:
        kinds.append(type(box).__name__)
        return Size(box.width, box.height * 2)

    def shipping(ctx: task.OrchestrationContext, order: Any) -> Workflow:
        kinds.append(type(order).__name__)
        size = yield ctx.call_activity(measure, input=SimpleNamespace(width=1, height=2))
        label = yield ctx.call_sub_orchestrator(labelling, input=size)
        carrier = yield ctx.wait_for_external_event('carrier')
        return Order(items=[Item(order.items[0]['name'], size.height)], note=f'{label.text} by {carrier.name}')

    def labelling(ctx: task.OrchestrationContext, size: Any) -> SimpleNamespace:
        return SimpleNamespace(text=f'{size.width} x {size.height}')

    serve(new_worker, [shipping, labelling], [measure])
    instance_id = client.schedule_new_orchestration(
        shipping, input=Order(items=[Item('pen', 1.5)]), instance_id=new_id()
    )
    client.raise_orchestration_event(instance_id, 'carrier', data=Item('Ada', 0))

    output = ended(client, instance_id).serialized_output
    assert output is not None
    assert from_json(output) == SimpleNamespace(items=[{'name': 'pen', 'price': 4}], note='1 x 4 by Ada')
    assert set(kinds) == {'SimpleNamespace'}


def test_models_come_back_as_models_where_an_annotation_says_so(
    client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    def move(ctx: task.ActivityContext, addresses: list[Any]) -> Address:
        return Address(street=addresses[0]['street'] + ' 2', since=date(2026, 1, 1))

    async def check(ctx: task.ActivityContext, address: Address | None) -> bool:
        return isinstance(address, Address)

    def moving(ctx: task.OrchestrationContext, address: Address) -> Workflow:
        moved = yield ctx.call_activity(move, input=[address])
        checked = yield ctx.call_activity(check, input=moved)
        return [address.since.year, moved, checked, Address.model_validate(moved)]

    serve(new_worker, [moving], [move, check])
    address = Address(street='Long Road', since=date(2020, 2, 2))
    instance_id = client.schedule_new_orchestration(moving, input=address, instance_id=new_id())

    moved = {'street': 'Long Road 2', 'since': '2026-01-01'}
    assert completed(client, instance_id) == [2020, moved, True, moved]
