"""All public errors: they can be pickled and copied, and they say what they said."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf import wrappers_pb2

from dapr.ext import workflow
from dapr.ext.workflow import PayloadTooLargeError, WorkflowCallError, WorkflowStalledError, WorkflowTimeoutError
from dapr.ext.workflow._durabletask.client import OrchestrationFailedError
from dapr.ext.workflow._durabletask.failures import (
    FailureDetails,
    NonDeterminismError,
    NonRetryableError,
    TaskFailedError,
    WorkflowStateError,
)
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.transport.advice import advise

FAILURE = pb.TaskFailureDetails(
    errorType='KeyError', errorMessage='gone', stackTrace=wrappers_pb2.StringValue(value='there')
)
# What is made with more than a message.
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    'TaskFailedError': ('failed', FAILURE),
    'OrchestrationFailedError': ('failed', FailureDetails('gone', 'KeyError', 'there')),
}


def made(kind: type[BaseException]) -> Any:
    return kind(*ARGUMENTS.get(kind.__name__, ('told',)))


PUBLIC = [
    *(value for value in vars(workflow).values() if isinstance(value, type) and issubclass(value, Exception)),
    OrchestrationFailedError,
    NonDeterminismError,
    NonRetryableError,
    WorkflowStateError,
]


@pytest.mark.parametrize('again', [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy])
@pytest.mark.parametrize('kind', PUBLIC, ids=lambda kind: kind.__name__)
def test_a_public_error_is_the_same_after_its_way(kind: type[BaseException], again: Any) -> None:
    error = made(kind)
    other = again(error)
    assert type(other) is type(error)
    assert str(other) == str(error)
    assert other.args == error.args
    if isinstance(error, TaskFailedError):
        assert repr(other.details) == repr(error.details)
        assert other.details.stack_trace == 'there'


@pytest.mark.parametrize('again', [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy])
@pytest.mark.parametrize(
    ('status', 'details'),
    [
        (grpc.StatusCode.UNAVAILABLE, 'failed to connect to all addresses'),
        (grpc.StatusCode.UNKNOWN, 'no such instance exists'),
        (grpc.StatusCode.ALREADY_EXISTS, 'taken'),
        (grpc.StatusCode.UNAUTHENTICATED, 'no'),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 'late'),
        (grpc.StatusCode.UNKNOWN, 'actor type dapr.internal.default.a.workflow not registered'),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 'grpc: received message larger than max (5 vs. 4)'),
        (grpc.StatusCode.UNKNOWN, 'actor is stalled'),
    ],
)
def test_so_is_one_that_grpc_raised(status: grpc.StatusCode, details: str, again: Any) -> None:
    error: Any = advise(grpc.aio.AioRpcError(status, grpc.aio.Metadata(), grpc.aio.Metadata(), details), 'M', 'a:1')
    assert isinstance(error, WorkflowCallError)
    assert isinstance(error, grpc.aio.AioRpcError)
    other = again(error)
    assert isinstance(error, type(other))
    assert (str(other), other.code(), other.details()) == (str(error), status, details)


def test_what_a_stall_is_about_goes_along() -> None:
    error = WorkflowStalledError('stalled')
    error.reason, error.description = 'PATCH_MISMATCH', 'words'
    other = pickle.loads(pickle.dumps(error))
    assert (other.reason, other.description) == ('PATCH_MISMATCH', 'words')


def test_a_timeout_is_one_for_whoever_waits_for_timeouts() -> None:
    with pytest.raises(TimeoutError, match='over'):
        raise WorkflowTimeoutError('over', grpc.StatusCode.DEADLINE_EXCEEDED)


@pytest.mark.parametrize(
    ('details', 'words'),
    [
        (
            'grpc: received message larger than max (5000000 vs. 4194304)',
            'The sidecar at .* refused a message of 5,000,000',
        ),
        ('SERVER: Received message larger than max (9 vs. 4)', 'dapr.io/max-body-size'),
        (
            'CLIENT: Sent message larger than max (9 vs. 4)',
            'This client refused .* it was to send.*max_grpc_message_length',
        ),
        ('CLIENT: Received message larger than max (9 vs. 4)', 'This client refused .* the sidecar sent'),
    ],
)
def test_a_size_names_the_side_that_refused_and_the_setting(details: str, words: str) -> None:
    refused = grpc.aio.AioRpcError(
        grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.aio.Metadata(), grpc.aio.Metadata(), details
    )
    error = advise(refused, 'StartInstance', 'a:1')
    with pytest.raises(PayloadTooLargeError, match=words):
        raise error
