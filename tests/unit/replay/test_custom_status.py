"""The custom status: a str goes out as it is, anything else as JSON with a warning."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import pytest

from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
from tests.support.engine import Driver, failure_of, resumed, suspended, task_completed, terminated
from tests.support.scenarios import Workflow


@dataclass
class Progress:
    done: int


def _sets(*values: Any) -> Driver:
    def workflow(ctx: Context, _: None) -> Workflow:
        for value in values:
            ctx.set_custom_status(value)
            yield ctx.call_activity('a')

    return Driver(workflow)


@pytest.mark.parametrize('text', ['half way', '"encoded"', '{"done": 1}', '', 'ünï'])
def test_a_str_goes_out_as_it_is_without_a_warning(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert _sets(text).start().encoded_custom_status == text


@pytest.mark.parametrize(
    ('value', 'encoded'),
    [
        (5, '5'),
        (0, '0'),
        (False, 'false'),
        ([], '[]'),
        ({'done': 1}, '{"done": 1}'),
        (Progress(1), '{"done": 1, "__durabletask_autoobject__": true}'),
    ],
)
def test_anything_else_goes_out_as_json_with_a_warning_that_points_at_the_code(value: Any, encoded: str) -> None:
    with pytest.warns(DeprecationWarning, match=r'(?i)encode') as caught:
        assert _sets(value).start().encoded_custom_status == encoded
    assert {warning.filename for warning in caught} == {__file__}


def test_it_stays_until_another_one_is_set() -> None:
    driver = _sets('first', 'second')
    assert driver.start().encoded_custom_status == 'first'
    assert driver.turn().encoded_custom_status == 'first'
    assert driver.turn(suspended()).encoded_custom_status == 'first'
    assert driver.turn(task_completed(1)).encoded_custom_status == 'first'
    assert driver.turn(resumed()).encoded_custom_status == 'second'
    assert driver.turn(task_completed(2)).encoded_custom_status == 'second'


def test_none_takes_it_back() -> None:
    driver = _sets('first', None)
    driver.start()
    assert driver.turn(task_completed(1)).encoded_custom_status is None


def test_the_last_one_of_a_turn_goes_out_even_when_it_ends_the_run() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield ctx.call_activity('a')
        ctx.set_custom_status('almost')
        ctx.set_custom_status('done')
        raise RuntimeError('on purpose')

    driver = Driver(workflow)
    assert driver.start().encoded_custom_status is None
    assert driver.turn(task_completed(1)).encoded_custom_status == 'done'


def test_a_terminated_workflow_keeps_its_own() -> None:
    driver = _sets('first')
    driver.start()
    assert driver.turn(terminated()).encoded_custom_status == 'first'


@pytest.mark.filterwarnings('ignore::DeprecationWarning')
def test_one_that_cannot_be_encoded_is_the_callers_error() -> None:
    results = _sets(object()).start()
    assert failure_of(results).errorType == 'TypeError'
    assert results.encoded_custom_status is None
