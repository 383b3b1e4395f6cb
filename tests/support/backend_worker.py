"""A worker for the emulator's backend in tests: the real engine, called directly."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from typing import Any

from dapr.ext.workflow._durabletask.activity import _ActivityExecutor
from dapr.ext.workflow._durabletask.internal import helpers
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.propagation import PropagatedHistory
from dapr.ext.workflow._durabletask.replay.executor import _OrchestrationExecutor
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from dapr.ext.workflow.emulator.seam import ActivityWork, Turn
from tests.support.backend import BackendDriver

_LOGGER = logging.getLogger('tests.backend_worker')


class BackendWorker:
    """Runs what a driver's backend has to do.

    Args:
        workflows: The workflows that it knows.
        activities: The activities that it knows.
    """

    def __init__(self, workflows: Iterable[Callable[..., Any]], activities: Iterable[Callable[..., Any]]) -> None:
        self._registry = _Registry()
        for workflow in workflows:
            self._registry.add_orchestrator(workflow)
        for activity in activities:
            self._registry.add_activity(activity)
        self._turns = _OrchestrationExecutor(self._registry, _LOGGER)
        self._activities = _ActivityExecutor(_LOGGER)

    def run_to_end(self, driver: BackendDriver, after_each: Callable[[], None] = lambda: None) -> None:
        """Runs turns, activities and timers until there is nothing left; calls a function after each of them."""
        while self.step(driver):
            after_each()

    def step(self, driver: BackendDriver) -> bool:
        """Runs one turn, activity or timer; returns whether there was one."""
        if driver.ready:
            self._turn(driver, driver.backend.begin_turn(driver.ready.pop(0)))
        elif driver.activities:
            self._activity(driver, driver.activities.pop(0))
        elif driver.backend.next_timer_at() is not None:
            driver.wait_for_timer()
        else:
            return False
        return True

    def _turn(self, driver: BackendDriver, turn: Turn | None) -> None:
        while turn is not None:
            propagated = None if turn.propagated is None else PropagatedHistory.from_proto(turn.propagated)
            results = self._turns.execute(
                turn.key.instance_id, turn.past[: turn.past_count], turn.new_events, propagated
            )
            response = pb.WorkflowResponse(
                instanceId=turn.key.instance_id,
                actions=results.actions,
                customStatus=helpers.get_string_value(results.encoded_custom_status),
            )
            turn = driver.backend.commit_turn(turn, response)

    def _activity(self, driver: BackendDriver, work: ActivityWork) -> None:
        request = work.request
        propagated = None
        if request.HasField('propagatedHistory'):
            propagated = PropagatedHistory.from_proto(request.propagatedHistory)
        result = self._activities.execute(
            self._registry.get_activity(request.name),
            request.workflowInstance.instanceId,
            request.name,
            request.taskId,
            request.input.value if request.HasField('input') else None,
            request.taskExecutionId,
            propagated,
        )
        driver.complete(work, result)


def output(driver: BackendDriver, instance_id: str) -> Any:
    """The output of an instance that has completed."""
    state = driver.state(instance_id)
    assert state.workflowStatus == pb.ORCHESTRATION_STATUS_COMPLETED, state
    return json.loads(state.output.value)
