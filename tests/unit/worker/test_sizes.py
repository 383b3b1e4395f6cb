"""A history that nears what the sidecar can send in one message is told, once for each instance."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.transport.sizes import DEFAULT_LIMIT, SizeWatch
from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker
from tests.support.fake_sidecar import FakeSidecar
from tests.support.work_items import flow, turn_item

NewWorker = Callable[..., TaskHubGrpcWorker]

LOGGER = logging.getLogger('tests.sizes')


def large(instance_id: str) -> pb.WorkItem:
    return pb.WorkItem(workflowRequest=pb.WorkflowRequest(instanceId=instance_id))


def test_an_instance_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    watch = SizeWatch(LOGGER)
    assert watch.half == DEFAULT_LIMIT // 2
    for instance_id in ('a', 'a', 'b'):
        watch.is_large(large(instance_id), 3_000_000)
    watch.is_large(pb.WorkItem(activityRequest=pb.ActivityRequest(name='x')), 3_000_000)
    assert [record.getMessage().partition(':')[0] for record in caplog.records] == ['a', 'b']
    assert 'takes 3.0 MB, of the 4.2 MB that the sidecar sends in one message' in caplog.text
    assert '--max-body-size' in caplog.text


@pytest.mark.parametrize(
    ('details', 'half'),
    [
        ('grpc: received message larger than max (9000000 vs. 8000000)', 4_000_000),
        ('SERVER: Received message larger than max (5242896 vs. 4194304)', 2_097_152),
        ('too many requests', DEFAULT_LIMIT // 2),
    ],
)
def test_the_limit_is_the_one_that_the_sidecar_has_shown(details: str, half: int) -> None:
    watch = SizeWatch(LOGGER)
    watch.refused(details)
    assert watch.half == half


def test_a_worker_tells_it(sidecar: FakeSidecar, new_worker: NewWorker, caplog: pytest.LogCaptureFixture) -> None:
    worker = new_worker()
    worker.add_orchestrator(flow)
    worker.start()
    sidecar.push(turn_item(encoded_input='"' + 'x' * 2_200_000 + '"'))
    sidecar.wait_for_answers(1)
    assert 'the history of the workflow takes 2.2 MB' in caplog.text
