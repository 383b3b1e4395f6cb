"""Random workflows under random sidecars: a whole replay and a kept instance answer alike, and every run ends.

`Driver` compares the two engines at each turn. A small model of a sidecar knows what is pending, resolves it in any
order, raises events, suspends, resumes and terminates; at the end it lets everything through, and the run must end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
from dapr.ext.workflow._durabletask.replay.instance import ExecutionResults
from tests.support.engine import Driver, Event
from tests.support.random_workflows import RUNS, Move, Program, World, moves, perform, programs
from tests.support.scenarios import Workflow


@dataclass
class Sidecar:
    """Drives one instance over all its runs, and holds the answers against what it knows."""

    program: Program
    run: int = 0
    highest_id: int = 0
    is_suspended: bool = False
    is_ended: bool = False
    world: World = field(default_factory=World)

    def __post_init__(self) -> None:
        self._begin('1', [])

    def _begin(self, encoded_input: str, carried_over: list[Event]) -> None:
        def workflow(ctx: Context, run: int) -> Workflow:
            return (yield from perform(ctx, self.program, run))

        self.run += 1
        assert self.run <= RUNS
        self.highest_id = 0
        self.is_suspended = False
        self.world = self.world.next_run(carried_over)
        self.driver = Driver(workflow, encoded_input)
        self._check(self.driver.start(*carried_over), is_terminated=False)

    def forget(self) -> None:
        """The worker throws its running instance away."""
        running, self.driver._running, self.driver._stands_at = self.driver._running, None, 0
        if running is not None:
            assert running.close() is None

    def turn(self, moves: list[Move]) -> None:
        for kind, _number in moves:
            if kind in ('suspend', 'resume'):
                self.is_suspended = kind == 'suspend'
        events = [event for kind, number in moves for event in self.world.events(kind, number)]
        is_terminated = any(event.HasField('executionTerminated') for event in events)
        self._check(self.driver.turn(*events), is_terminated)

    def let_through(self) -> None:
        """Everything that the run could wait for comes at once."""
        ids = list(range(len(self.world.pending)))
        self.turn([('resume', 0), *(('succeed', 0) for _ in ids), *(('raise', number) for number in (0, 2))])

    def _check(self, results: ExecutionResults, is_terminated: bool) -> None:
        completed = None
        for action in results.actions:
            assert action.id > self.highest_id
            self.highest_id = action.id
            if action.HasField('completeWorkflow'):
                completed = action.completeWorkflow
        self.world.take_note(results.actions)
        if completed is None:
            assert not is_terminated
            assert not (self.is_suspended and results.actions)
            return
        assert len(results.actions) == 1
        if completed.workflowStatus == pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW:
            assert not is_terminated
            self._check_carried_over(list(completed.carryoverEvents))
            self._begin(completed.result.value, list(completed.carryoverEvents))
            return
        self.is_ended = True
        if completed.workflowStatus == pb.ORCHESTRATION_STATUS_FAILED:
            error = completed.failureDetails
            assert error.errorType in ('OnPurposeError', 'TaskFailedError', 'TimeoutError'), error
            if error.errorType == 'OnPurposeError':
                self._check_delivered(error.errorMessage)
        elif completed.workflowStatus == pb.ORCHESTRATION_STATUS_TERMINATED:
            assert is_terminated
        else:
            assert completed.workflowStatus == pb.ORCHESTRATION_STATUS_COMPLETED
            self._check_delivered(completed.result.value)

    def _check_delivered(self, log: str) -> None:
        delivered = re.findall(r'"event \d+"', log)
        assert len(delivered) == len(set(delivered))
        assert set(delivered) <= {payload for _name, payload in self.world.raised}

    def _check_carried_over(self, events: list[Event]) -> None:
        if self.program.ending != 'continue with events':
            assert not events
        remaining = iter(self.world.raised)
        for event in events:
            assert (event.eventRaised.name, event.eventRaised.input.value) in remaining  # in the order of arrival


turns = st.tuples(st.booleans(), st.lists(moves, min_size=1, max_size=4))


@settings(max_examples=200, derandomize=True)
@given(programs, st.lists(turns, min_size=2, max_size=12), st.sampled_from([None, None, None, 1, 5]))
def test_random_workflows_under_random_sidecars(
    program: Program, schedule: list[tuple[bool, list[Move]]], terminate_at: int | None
) -> None:
    sidecar = Sidecar(program)
    for number, (is_forgotten, turn_moves) in enumerate(schedule):
        if sidecar.is_ended:
            return
        if is_forgotten:
            sidecar.forget()
        sidecar.turn([*turn_moves, ('terminate', 0)] if number == terminate_at else turn_moves)
    for _turn in range(100):
        if sidecar.is_ended:
            return
        sidecar.let_through()
    raise AssertionError('the run does not end')
