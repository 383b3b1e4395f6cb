"""Arguments of a wrong type are refused before the call, by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from dapr.ext.workflow import RetryPolicy
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context

SECOND = timedelta(seconds=1)

WRONG_POLICIES: list[tuple[str, dict[str, Any], type[Exception]]] = [
    ('first_retry_interval', {'first_retry_interval': 5}, TypeError),
    ('max_number_of_attempts', {'max_number_of_attempts': 2.5}, TypeError),
    ('max_number_of_attempts', {'max_number_of_attempts': True}, TypeError),
    ('backoff_coefficient', {'backoff_coefficient': '2'}, TypeError),
    ('backoff_coefficient', {'backoff_coefficient': math.nan}, ValueError),
    ('backoff_coefficient', {'backoff_coefficient': math.inf}, ValueError),
    ('max_retry_interval', {'max_retry_interval': 5}, TypeError),
    ('retry_timeout', {'retry_timeout': 5}, TypeError),
    ('non_retryable_error_types', {'non_retryable_error_types': 'ValueError'}, TypeError),
    ('non_retryable_error_types', {'non_retryable_error_types': ValueError}, TypeError),
    ('non_retryable_error_types', {'non_retryable_error_types': [5]}, TypeError),
    ('non_retryable_error_types', {'non_retryable_error_types': [int]}, TypeError),
]


@pytest.mark.parametrize(('argument', 'values', 'kind'), WRONG_POLICIES)
def test_a_retry_policy_names_what_is_wrong(argument: str, values: dict[str, Any], kind: type[Exception]) -> None:
    with pytest.raises(kind, match=argument):
        RetryPolicy(**{'first_retry_interval': SECOND, 'max_number_of_attempts': 3, **values})


def test_types_and_names_of_errors_are_taken() -> None:
    policy = RetryPolicy(
        first_retry_interval=SECOND, max_number_of_attempts=3, non_retryable_error_types=[ValueError, 'KeyError']
    )
    assert policy.non_retryable_error_types == frozenset(('ValueError', 'KeyError'))


WRONG_CALLS: list[tuple[str, Callable[[Any], Any]]] = [
    ('app_id', lambda ctx: ctx.call_activity('a', app_id=5)),
    ('propagation', lambda ctx: ctx.call_activity('a', propagation='x')),
    ('retry_policy', lambda ctx: ctx.call_activity('a', retry_policy=3)),
    ('retry_policy', lambda ctx: ctx.call_sub_orchestrator('a', retry_policy=3)),
    ('instance_id', lambda ctx: ctx.call_sub_orchestrator('a', instance_id=3)),
    ('fire_at', lambda ctx: ctx.create_timer(5)),
    ('name', lambda ctx: ctx.wait_for_external_event(5)),
    ('timeout', lambda ctx: ctx.wait_for_external_event('go', timeout=5)),
    ('patch_name', lambda ctx: ctx.is_patched(5)),
]


@pytest.mark.parametrize(('argument', 'call'), WRONG_CALLS)
def test_a_call_names_what_is_wrong(argument: str, call: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match=rf'^{argument} must be a'):
        call(Context('i'))


def test_a_moment_outside_of_what_dates_can_be_says_which_argument() -> None:
    latest = datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))
    with pytest.raises(OverflowError, match=r'^fire_at is .* outside of what dates can be'):
        Context('i').create_timer(timedelta.max)
    with pytest.raises(OverflowError, match=r'^fire_at is .* outside of what dates can be'):
        Context('i').create_timer(latest)
