"""RetryPolicy, WorkflowState, history events and logger options."""

from __future__ import annotations

import copy
import io
import json
import logging
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from dapr.ext.workflow import (
    UNSET,
    FailureDetails,
    RetryPolicy,
    WorkflowHistoryEventType,
    WorkflowState,
    WorkflowStatus,
)
from dapr.ext.workflow._durabletask.clients import state as client_state
from dapr.ext.workflow._durabletask.clients.state import OrchestrationStatus
from dapr.ext.workflow._durabletask.internal import helpers
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.logger import Logger, LoggerOptions
from dapr.ext.workflow.workflow_management import read_event, read_page

WHEN = datetime(2026, 1, 2, 3, 4, 5)


def state(status: OrchestrationStatus, failure: FailureDetails | None = None) -> WorkflowState:
    return WorkflowState(client_state.WorkflowState('i', 'n', status, WHEN, WHEN, '1', '2', None, failure))


@pytest.mark.parametrize('status', list(OrchestrationStatus))
def test_each_status_of_the_wire_has_its_name_or_is_unknown(status: OrchestrationStatus) -> None:
    expected = WorkflowStatus.__members__.get(status.name, WorkflowStatus.UNKNOWN)

    assert state(status).runtime_status is expected


def test_a_state_as_json_and_as_text() -> None:
    failed = state(OrchestrationStatus.FAILED, FailureDetails('m', 'T', 's'))

    assert failed.to_json() == {
        'instance_id': 'i',
        'name': 'n',
        'runtime_status': 'FAILED',
        'created_at': WHEN,
        'last_updated_at': WHEN,
        'serialized_input': '1',
        'serialized_output': '2',
        'serialized_custom_status': None,
        'failure_details': {'message': 'm', 'error_type': 'T', 'stack_trace': 's'},
    }
    assert json.loads(str(failed))['created_at'] == '2026-01-02 03:04:05'
    assert 'failure_details' not in state(OrchestrationStatus.COMPLETED).to_json()


def test_a_state_has_what_the_engines_has_and_can_be_copied() -> None:
    copied = copy.deepcopy(state(OrchestrationStatus.RUNNING))

    assert (copied.instance_id, copied.created_at, copied.serialized_output) == ('i', WHEN, '2')
    with pytest.raises(AttributeError, match='nosuch'):
        _ = copied.nosuch  # type: ignore[attr-defined]


def test_a_policy_holds_the_engines() -> None:
    policy = RetryPolicy(
        first_retry_interval=timedelta(seconds=1), max_number_of_attempts=3, max_retry_interval=timedelta(seconds=9)
    )

    assert policy.obj.max_retry_interval == policy.max_retry_interval == timedelta(seconds=9)
    assert (policy.first_retry_interval, policy.max_number_of_attempts) == (timedelta(seconds=1), 3)
    assert (policy.backoff_coefficient, policy.retry_timeout, policy.non_retryable_error_types) == (1.0, None, None)
    with pytest.raises(ValueError, match='max_number_of_attempts must be >= 1'):
        RetryPolicy(first_retry_interval=timedelta(0), max_number_of_attempts=0)


def test_events_are_read_with_name_and_failure() -> None:
    failed = read_event(helpers.new_task_failed_event(7, ValueError('bad')))
    scheduled = read_event(helpers.new_task_scheduled_event(3, 'act'))

    assert (failed.event_type, failed.task_scheduled_id) == (WorkflowHistoryEventType.TASK_FAILED, 7)
    assert failed.failure_details is not None
    assert (failed.failure_details.message, failed.failure_details.error_type) == ('bad', 'ValueError')
    assert (scheduled.event_id, scheduled.name, scheduled.is_rerunnable) == (3, 'act', True)
    assert not failed.is_rerunnable


def test_event_times_are_naive_utc_and_unknown_kinds_are_told_as_such() -> None:
    event = pb.HistoryEvent(eventId=-1)
    event.timestamp.FromDatetime(WHEN.replace(tzinfo=timezone.utc))

    assert read_event(event).timestamp == WHEN
    assert read_event(event).event_type is WorkflowHistoryEventType.UNKNOWN


def test_every_kind_of_event_has_its_type() -> None:
    kinds = {field.name for field in pb.HistoryEvent.DESCRIPTOR.oneofs_by_name['eventType'].fields}

    assert kinds == {kind.value for kind in WorkflowHistoryEventType} - {'unknown'}


def test_an_empty_token_is_none() -> None:
    page = read_page(pb.ListInstanceIDsResponse(instanceIds=['a'], continuationToken=''))

    assert (page.instance_ids, page.continuation_token) == (['a'], None)


def test_unset_says_so_and_survives_copying() -> None:
    assert repr(UNSET) == '<unset>'
    assert copy.deepcopy(UNSET) is UNSET


@pytest.fixture
def name(request: pytest.FixtureRequest) -> Any:
    yield request.node.name
    logging.getLogger(request.node.name).handlers.clear()


def test_a_logger_goes_to_the_given_handler_from_the_given_level_on(name: str) -> None:
    stream = io.StringIO()
    options = LoggerOptions('DEBUG', logging.StreamHandler(stream), logging.Formatter('%(levelname)s %(message)s'))
    logger = Logger(name, options)
    logger.debug('d %s', 1)
    try:
        raise ValueError('x')
    except ValueError:
        logger.exception('e')

    assert stream.getvalue().startswith('DEBUG d 1\nERROR e\nTraceback')
    assert logger.get_options() is options


def test_the_default_is_stderr_from_info_on_and_no_logger_is_given_a_handler(name: str) -> None:
    options = LoggerOptions()
    for _ in range(3):
        Logger(name)

    assert options.log_level == logging.INFO
    assert isinstance(options.log_handler, logging.StreamHandler)
    assert logging.getLogger(name).handlers == []
    assert logging.getLogger(name).level == logging.NOTSET
