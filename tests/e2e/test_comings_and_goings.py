"""Workers that come and go while a client schedules workflows: none is lost, none runs twice."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from dapr.ext.workflow._durabletask.client import TaskHubGrpcClient
from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker
from tests.support.e2e import DEADLINE, NewId, NewWorker, completed, serve, steps
from tests.support.scenarios import chain, echo
from tools.go_sidecar import Sidecar

WORKFLOWS = 200
# After so many starts the worker is another one.
SHIFT = 20

CHAIN_OF_TWO = [
    *('executionStarted', 'taskScheduled 1', 'taskCompleted 1', 'taskScheduled 2', 'taskCompleted 2'),
    'executionCompleted 3',
]


class Counter:
    """Counts, and tells who waits for a number."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()

    def add_one(self) -> None:
        with self._changed:
            self._count += 1
            self._changed.notify_all()

    def wait_for(self, number: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._count >= number, DEADLINE), f'{self._count} of {number}'


def test_workers_come_and_go_while_200_workflows_are_scheduled(
    sidecar: Sidecar, client: TaskHubGrpcClient, new_worker: NewWorker, new_id: NewId
) -> None:
    if not sidecar.build.answers_as_daprd:
        pytest.skip('the Go sidecar lets instances lie whose first turn a worker has left, for minutes')
    ids = [new_id() for _ in range(WORKFLOWS)]
    scheduled = Counter()

    def schedule(instance_id: str) -> None:
        client.schedule_new_orchestration(chain, input=2, instance_id=instance_id)
        scheduled.add_one()

    def another(former: TaskHubGrpcWorker) -> TaskHubGrpcWorker:
        # daprd 1.18 can hang for good when the last worker of an app goes while calls are under way: there, the next
        # one is connected before the former goes, as in a rolling deployment.
        if not sidecar.build.is_daprd:
            former.stop()
        worker = serve(new_worker, [chain], [echo])
        if sidecar.build.is_daprd:
            assert worker.wait_until_ready(DEADLINE)
            former.stop()
        return worker

    worker = serve(new_worker, [chain], [echo])
    with ThreadPoolExecutor(8) as pool:
        starts = [pool.submit(schedule, instance_id) for instance_id in ids]
        for number in range(SHIFT, WORKFLOWS, SHIFT):
            scheduled.wait_for(number)
            worker = another(worker)
    for start in starts:
        start.result()

    for instance_id in ids:
        assert completed(client, instance_id) == [0, 1]
        assert steps(client, instance_id) == CHAIN_OF_TWO
