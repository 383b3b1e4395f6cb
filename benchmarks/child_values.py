"""Values to payloads and back, in one process: reads `{"case": str, "seconds": float}` per line on stdin, answers with
`{"us": {contestant: float}}`, microseconds for one payload, the contestants taking turns and the best run of each.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pydantic

from dapr.ext.workflow import JsonDataConverter
from dapr.ext.workflow._durabletask.internal.json_codec import from_json, to_json

_RUN_S = 0.02


class Line(pydantic.BaseModel):
    sku: str
    price: Decimal
    count: int


class Order(pydantic.BaseModel):
    id: UUID
    placed: datetime
    lines: list[Line]
    notes: dict[str, str]


@dataclasses.dataclass
class LineData:
    sku: str
    price: Decimal
    count: int


@dataclasses.dataclass
class OrderData:
    id: UUID
    placed: datetime
    lines: list[LineData]
    notes: dict[str, str]


_LINES = [{'sku': f'sku-{number}', 'price': '12.50', 'count': number} for number in range(20)]
_PLAIN = {'id': str(UUID(int=7)), 'placed': '2026-01-02T03:04:05+00:00', 'lines': _LINES, 'notes': {'a': 'b', 'c': 'd'}}
_TEXT = json.dumps(_PLAIN)
_MANY = json.dumps([_PLAIN] * 20)


def _cases() -> dict[str, dict[str, Callable[[], Any]]]:
    converter = JsonDataConverter()
    model = Order.model_validate_json(_TEXT)
    data = OrderData(
        UUID(int=7),
        datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
        [LineData(f'sku-{number}', Decimal('12.50'), number) for number in range(20)],
        {'a': 'b', 'c': 'd'},
    )
    one, many = pydantic.TypeAdapter(Order), pydantic.TypeAdapter(list[Order])
    as_data = pydantic.TypeAdapter(OrderData)
    readers = {kind: converter.reader(kind) for kind in (Order, OrderData)}
    read_many = converter.reader(list[Order])
    return {
        'plain, read': {
            'json': lambda: json.loads(_TEXT),
            'engine': lambda: from_json(_TEXT),
            'converter': lambda: converter.deserialize(_TEXT),
        },
        'plain, written': {
            'json': lambda: json.dumps(_PLAIN),
            'engine': lambda: to_json(_PLAIN),
            'converter': lambda: converter.serialize(_PLAIN),
        },
        'a str, written': {
            'json': lambda: json.dumps('text'),
            'engine': lambda: to_json('text'),
            'converter': lambda: converter.serialize('text'),
        },
        'a model, read': {
            'pydantic': lambda: one.validate_json(_TEXT),
            'converter': lambda: readers[Order](_TEXT),
        },
        '20 models, read': {
            'pydantic': lambda: many.validate_json(_MANY),
            'converter': lambda: read_many(_MANY),
        },
        'a model, written': {
            'pydantic': lambda: json.dumps(model.model_dump(mode='json')),
            'converter': lambda: converter.serialize(model),
        },
        'a dataclass, read': {
            'pydantic': lambda: as_data.validate_json(_TEXT),
            'converter': lambda: readers[OrderData](_TEXT),
        },
        'a dataclass, written': {
            'pydantic': lambda: json.dumps(as_data.dump_python(data, mode='json')),
            'converter': lambda: converter.serialize(data),
        },
    }


def _timed(call: Callable[[], Any], seconds: float) -> float:
    count, began = 0, time.process_time()
    while (taken := time.process_time() - began) < seconds:
        for _ in range(10):
            call()
        count += 10
    return taken / count * 1e6


def main() -> None:
    cases = _cases()
    for line in sys.stdin:
        request = json.loads(line)
        if request == 'cases':
            print(json.dumps({'cases': list(cases)}), flush=True)
            continue
        contestants = cases[request['case']]
        best: dict[str, float] = {}
        for _ in range(max(1, round(request['seconds'] / _RUN_S / len(contestants)))):
            for name, call in contestants.items():
                taken = _timed(call, _RUN_S)
                best[name] = min(taken, best.get(name, taken))
        print(json.dumps({'us': best}), flush=True)


if __name__ == '__main__':
    main()
