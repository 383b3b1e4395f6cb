"""What crosses the wire is JSON; Python's own types go out, and come back as the code says."""

from __future__ import annotations

import functools
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pydantic
import pytest

from dapr.ext.workflow._durabletask.deterministic import deterministic_uuid_v5
from dapr.ext.workflow._durabletask.internal.json_codec import AUTO_SERIALIZED
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
from dapr.ext.workflow._durabletask.retry import RetryPolicy
from dapr.ext.workflow._durabletask.task import when_all
from tests.support.engine import (
    Driver,
    Event,
    child_completed,
    completion,
    event_raised,
    failure_of,
    kinds,
    output,
    task_completed,
)
from tests.support.scenarios import Workflow


@dataclass
class Order:
    item: str
    count: int


class Item(pydantic.BaseModel):
    name: str
    price: float = 1.5


class HomeMade:
    """Like a pydantic model, and none."""

    def __init__(self, name: str) -> None:
        self.name = name

    def model_dump(self) -> dict[str, Any]:
        return {'name': self.name}

    @classmethod
    def model_validate(cls, value: dict[str, Any]) -> HomeMade:
        return cls(**value)


Point = namedtuple('Point', ['x', 'y'])

MARKED = f', "{AUTO_SERIALIZED}": true}}'


@pytest.mark.parametrize(
    ('value', 'encoded'),
    [
        (0, '0'),
        (False, 'false'),
        ('', '""'),
        ([], '[]'),
        ({}, '{}'),
        ('ünï', '"\\u00fcn\\u00ef"'),
        ({'a': [1, None]}, '{"a": [1, null]}'),
        (Order('tea', 2), '{"item": "tea", "count": 2' + MARKED),
        (SimpleNamespace(a=1), '{"a": 1' + MARKED),
        (Point(1, 2), '{"x": 1, "y": 2' + MARKED),
        (Item(name='tea'), '{"name": "tea", "price": 1.5}'),
        (HomeMade('tea'), '{"name": "tea"}'),
        (None, None),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_goes_out(value: Any, encoded: str | None) -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield when_all([ctx.call_activity('a', input=value), ctx.call_sub_orchestrator('c', input=value)])
        return value

    driver = Driver(workflow)
    activity, child = driver.start().actions
    completed = completion(driver.turn(task_completed(1), child_completed(2)))
    wrappers = [
        (activity.scheduleTask.HasField('input'), activity.scheduleTask.input.value),
        (child.createChildWorkflow.HasField('input'), child.createChildWorkflow.input.value),
        (completed.HasField('result'), completed.result.value),
    ]
    assert wrappers == [(encoded is not None, encoded or '')] * 3


@pytest.mark.parametrize(
    ('encoded', 'expected'),
    [
        ('0', 0),
        ('""', ''),
        ('false', False),
        ('[]', []),
        ('null', None),
        ('', None),
        (None, None),
        (' {"a": [1]} ', {'a': [1]}),
        ('{"item": "tea"' + MARKED, SimpleNamespace(item='tea')),
    ],
)
def test_what_comes_in(encoded: str | None, expected: Any) -> None:
    got: list[Any] = []

    def workflow(ctx: Context, value: Any) -> Workflow:
        got.append(value)
        tasks = [ctx.call_activity('a'), ctx.call_sub_orchestrator('c'), ctx.wait_for_external_event('e')]
        got.extend((yield when_all(tasks)))

    driver = Driver(workflow, encoded)
    driver.start()
    results = [task_completed(1), child_completed(2), event_raised('e', encoded)]
    if encoded is not None:
        results[0].taskCompleted.result.value = encoded
        results[1].childWorkflowInstanceCompleted.result.value = encoded
    driver.turn(*results)
    assert len(got) == 9  # an input and three results of the kept instance; an input, then all four of whole replays
    assert all(type(value) is type(expected) and value == expected for value in got)


@pytest.mark.parametrize(
    ('annotation', 'encoded', 'expected'),
    [
        (Item, '{"name": "tea"}', Item(name='tea')),
        (Item, '{"name": "tea"' + MARKED, Item(name='tea')),
        (Item | None, '{"name": "tea", "price": 2}', Item(name='tea', price=2)),
        (Item | None, 'null', None),
        (list[Item], '[{"name": "a"}, {"name": "b"}]', [{'name': 'a'}, {'name': 'b'}]),
        (dict[str, Item], '{"x": {"name": "a"}}', {'x': {'name': 'a'}}),
        (Order, '{"item": "tea", "count": 2' + MARKED, SimpleNamespace(item='tea', count=2)),
        (dict, '{"name": "tea"}', {'name': 'tea'}),
        (Any, '{"name": "tea"}', {'name': 'tea'}),
    ],
    ids=str,
)
def test_an_input_becomes_the_model_that_the_annotation_says(annotation: Any, encoded: str, expected: Any) -> None:
    got = []

    def workflow(ctx: Context, value: Any) -> Workflow:
        got.append(value)
        yield ctx.call_activity('a')

    workflow.__annotations__['value'] = annotation
    Driver(workflow, encoded).start()
    assert got == [expected, expected]
    assert type(got[0]) is type(expected)


def test_a_home_made_model_comes_in_by_its_annotation() -> None:
    def workflow(ctx: Context, value: HomeMade) -> list[str]:
        return [type(value).__name__, value.name]

    assert output(Driver(workflow, '{"name": "tea"}').start()) == ['HomeMade', 'tea']


def test_an_input_that_the_model_refuses_fails_the_workflow() -> None:
    def workflow(ctx: Context, value: Item) -> None: ...

    assert failure_of(Driver(workflow, '{"price": 1}').start()).errorType == 'ValidationError'


NO_JSON = ['{bad', 'tea', '"open', '1 2', '[' * 100_000]


@pytest.mark.parametrize('encoded', NO_JSON, ids=lambda text: text[:5])
def test_an_input_that_is_no_json_fails_the_workflow_by_name(encoded: str) -> None:
    def workflow(ctx: Context, value: Any) -> None: ...

    details = failure_of(Driver(workflow, encoded).start())
    assert details.errorType in ('JSONDecodeError', 'RecursionError')
    if details.errorType != 'RecursionError':
        assert "input of 'workflow' is not JSON" in details.errorMessage


@pytest.mark.parametrize('encoded', NO_JSON, ids=lambda text: text[:5])
@pytest.mark.parametrize('kind', ['activity', 'child', 'event'])
def test_a_result_that_is_no_json_raises_where_it_is_waited_for_and_says_which(kind: str, encoded: str) -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        calls = {
            'activity': lambda: ctx.call_activity('mine'),
            'child': lambda: ctx.call_sub_orchestrator('mine'),
            'event': lambda: ctx.wait_for_external_event('mine'),
        }
        try:
            yield calls[kind]()
        except (ValueError, RecursionError) as error:
            told.append(error)
            raise

    told: list[Exception] = []
    results: dict[str, Event] = {
        'activity': task_completed(1, ''),
        'child': child_completed(1, ''),
        'event': event_raised('mine', encoded),
    }
    results['activity'].taskCompleted.result.value = encoded
    results['child'].childWorkflowInstanceCompleted.result.value = encoded
    driver = Driver(workflow)
    driver.start()
    ended = driver.turn(results[kind])
    assert kinds(ended) == [(2, 'completeWorkflow')]
    assert told
    details = failure_of(ended)
    if details.errorType != 'RecursionError':
        assert details.errorType == 'JSONDecodeError'  # as policies of retries may name it
        assert 'is not JSON' in details.errorMessage
        assert "'mine'" in details.errorMessage


@pytest.mark.parametrize(
    'value', [object(), {1, 2}, {'a': object()}, 1j, b'x', lambda: None], ids=lambda value: type(value).__name__
)
def test_a_result_that_cannot_be_encoded_fails_the_workflow(value: Any) -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.call_activity('a')
        return value

    driver = Driver(workflow)
    driver.start()
    ended = driver.turn(task_completed(1))
    assert kinds(ended) == [(2, 'completeWorkflow')]
    details = failure_of(ended)
    assert details.errorType == 'TypeError'
    inner = value['a'] if isinstance(value, dict) else value
    assert type(inner).__name__ in details.errorMessage
    assert 'not JSON serializable' in details.errorMessage


class _Refusing:
    def model_dump(self) -> None:
        raise KeyError('refuses')

    model_validate = model_dump


def _circular() -> list[Any]:
    circular: list[Any] = []
    circular.append(circular)
    return circular


def _deep() -> list[Any]:
    deep: list[Any] = []
    for _level in range(100_000):
        deep = [deep]
    return deep


@pytest.mark.parametrize('make', [_circular, _deep, _Refusing])
@pytest.mark.parametrize('is_plain', [False, True])
def test_results_that_break_the_encoder_fail_the_workflow(make: Callable[[], Any], is_plain: bool) -> None:
    def generator(ctx: Context, _: None) -> Workflow:
        return make()
        yield

    def plain(ctx: Context, _: None) -> Any:
        return make()

    assert kinds(Driver(plain if is_plain else generator).start()) == [(1, 'completeWorkflow')]
    assert failure_of(Driver(plain if is_plain else generator).start()).errorMessage


def test_a_call_that_is_refused_is_raised_where_it_is_made_and_takes_an_id() -> None:
    """Without it, what comes next would have another id than in histories that dapr 1.19.0 has begun."""
    policy = RetryPolicy(first_retry_interval=timedelta(seconds=1), max_number_of_attempts=2)

    def workflow(ctx: Context, _: None) -> Workflow:
        calls: list[Callable[[], Any]] = [
            lambda: ctx.call_activity('x', input=object()),
            lambda: ctx.call_activity('x', input=object(), retry_policy=policy),
            lambda: ctx.call_activity(functools.partial(print)),
            lambda: ctx.call_sub_orchestrator('x', input=object()),
            lambda: ctx.create_timer(5),  # type: ignore[arg-type]
            lambda: ctx.create_timer(timedelta.max),
            lambda: ctx.wait_for_external_event('go', timeout=5),  # type: ignore[arg-type]
        ]
        refused = []
        for call in calls:
            try:
                call()
            except (OverflowError, TypeError, ValueError) as error:
                refused.append(type(error).__name__)
        assert ctx.new_guid() == deterministic_uuid_v5('abc', ctx.current_utc_datetime, 3)  # one for each activity
        yield ctx.call_activity('a')
        return refused

    driver = Driver(workflow)
    assert kinds(driver.start()) == [(8, 'scheduleTask')]
    errors = ['TypeError', 'TypeError', 'ValueError', 'TypeError', 'TypeError', 'OverflowError', 'TypeError']
    assert output(driver.turn(task_completed(8))) == errors


@pytest.mark.parametrize('given', [{'app_id': 5}, {'propagation': 'all of it'}, {'app_id': 'lone \ud800'}], ids=str)
@pytest.mark.parametrize('is_child', [False, True])
def test_arguments_that_cannot_be_sent_fail_the_workflow(given: dict[str, Any], is_child: bool) -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.call_sub_orchestrator('a', **given) if is_child else ctx.call_activity('a', **given)

    assert failure_of(Driver(workflow).start()).errorMessage


@pytest.mark.parametrize('name', ['lone \ud800', 5])
def test_names_that_cannot_be_sent_fail_the_workflow(name: Any) -> None:
    def workflow(ctx: Context, is_event: bool) -> Workflow:
        yield ctx.wait_for_external_event(name) if is_event else ctx.call_activity(name)

    for is_event in ('false', 'true'):
        assert failure_of(Driver(workflow, is_event).start()).errorMessage
