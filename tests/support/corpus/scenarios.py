"""What is done with the workflows of the corpus, on any sidecar and with any worker: one function a scenario.

Each keeps histories under names: under its own the whole one, once the workflow has ended, and others of workflows that
still run. Instances have the ids of the scenarios, so that two recordings can be laid side by side.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from dapr.ext.workflow import DaprWorkflowClient, WorkflowCallError
from dapr.ext.workflow.testing import WorkflowHistory

DEADLINE: Final = 60.0


class Stage(Protocol):
    """Where a scenario is played: a sidecar, and a worker of some age."""

    @property
    def client(self) -> DaprWorkflowClient:
        """A client of the sidecar."""

    def deploy(self, age: str) -> None:
        """Ends the worker and starts one of another age."""


class Play:
    """One scenario that is being played.

    Attributes:
        id: The id of its instance, which is its name.
        kept: The histories, by name.

    Args:
        stage: Where.
        name: Of the scenario.
    """

    def __init__(self, stage: Stage, name: str) -> None:
        self.id = name
        self.kept: dict[str, WorkflowHistory] = {}
        self._stage = stage

    @property
    def client(self) -> DaprWorkflowClient:
        """A client of the sidecar."""
        return self._stage.client

    def deploy(self, age: str) -> None:
        """Goes on with a worker of another age."""
        self._stage.deploy(age)

    def start(self, workflow: str, input: Any = None) -> None:
        """Starts the scenario's instance."""
        self.client.schedule_new_workflow(workflow, input=input, instance_id=self.id)

    def send(self, event: str, data: Any = None, *, to: str = '') -> None:
        """Raises an event on the instance, or on the one whose id goes on so."""
        self.client.raise_workflow_event(self.id + to, event, data=data)

    def until(self, kind: str, count: int = 1, *, of: str = '') -> None:
        """Waits until the history has so many events of a kind; no call of a sidecar's waits for that."""
        end = time.monotonic() + DEADLINE
        while True:
            history = self._history(self.id + of)
            if history is not None and sum(event.HasField(kind) for event in history.events) >= count:  # type: ignore[arg-type]
                return
            if time.monotonic() > end:
                raise TimeoutError(f'{self.id + of}: {count} times {kind} was not seen, but {history}')
            time.sleep(0.05)

    def keep(self, name: str = '', *, of: str = '') -> None:
        """Keeps the history as it is now, under the scenario's name with something behind it."""
        self.kept[self.id + name] = WorkflowHistory.fetch(self.client, self.id + of)

    def end(self, of: str = '') -> None:
        """Waits for the end, whatever that is, and keeps the history."""
        self.client.wait_for_workflow_completion(self.id + of, timeout_in_seconds=int(DEADLINE))
        self.keep(of, of=of)

    def _history(self, instance_id: str) -> WorkflowHistory | None:
        try:
            return WorkflowHistory.fetch(self.client, instance_id)
        except (ValueError, WorkflowCallError):  # there is none yet
            return None


@dataclass(frozen=True)
class Scenario:
    """A scenario.

    Attributes:
        name: What it is called.
        play: Plays it.
        needs: What it takes: 'newer' for what dapr 1.19.0 has not; and of a sidecar: 'apps' for several apps, 'stalls'
            for stalling what a worker cannot go on with, 'reruns' for running instances again, 'detaches' for starting
            detached workflows.
        is_ordered: Whether its history is the same in every run; else it is a matter of timing.
    """

    name: str
    play: Callable[[Play], None]
    needs: frozenset[str] = frozenset()
    is_ordered: bool = True


SCENARIOS: Final[dict[str, Scenario]] = {}


def lacks(sidecar: str, worker: str) -> frozenset[str]:
    """The needs of scenarios that a sidecar and a worker do not meet, by the names of their folders."""
    missing = {'newer'} if worker.startswith('dapr-') else set()
    if sidecar.startswith('durabletask-go'):
        missing |= {'apps', 'reruns', 'stalls'}
    elif sidecar == 'daprd-1.18.1':
        missing |= {'detaches'}
    return frozenset(missing)


def scenario(*needs: str, is_ordered: bool = True) -> Callable[[Callable[[Play], None]], Callable[[Play], None]]:
    def added(play: Callable[[Play], None]) -> Callable[[Play], None]:
        name = play.__name__.replace('_', '-')
        SCENARIOS[name] = Scenario(name, play, frozenset(needs), is_ordered)
        return play

    return added


def simple(name: str, workflow: str, input: Any = None, *needs: str, is_ordered: bool = True) -> None:
    """A scenario in which a workflow is started, and runs to its end."""

    def play(at: Play) -> None:
        at.start(workflow, input)
        at.end()

    SCENARIOS[name] = Scenario(name, play, frozenset(needs), is_ordered)


simple('chain', 'chain', 12)
simple('chain-of-none', 'chain', 0)
simple('fan', 'fan', 8, is_ordered=False)
simple('waves', 'waves', 3, is_ordered=False)
simple('payloads', 'payloads', {'größe': [1, 2.5, None, True], '': '𝄞'})
simple('moments', 'moments')
simple('race', 'race')
simple('approval-timed-out', 'approval', 0.2)
simple('parent', 'parent', 2)
simple('failing', 'failing')
simple('parent-of-failing', 'parent_of_failing')
simple('retried', 'retried', 2)
simple('retries-used-up', 'retried', 9)
simple('retried-child', 'retried_child')
simple('saga', 'saga')
simple('eternal', 'eternal', 2)
simple('poll', 'poll', 3)
simple('handing-on', 'handing_on')
simple('of-two-apps', 'of_two_apps', 42, 'apps')
simple('chances', 'chances', None, 'newer')
simple('chances-of-generators', 'chances_of_generators', None, 'newer')
simple('detaching', 'detaching', None, 'newer', 'detaches')
simple('first-of', 'first_of', None, 'newer')
simple('limited', 'limited', None, 'newer')
simple('producers', 'producers', 4, 'newer')
simple('sending-metadata', 'sending_metadata', None, 'newer')
simple('timed', 'timed', None, 'newer')


@scenario()
def approval(at: Play) -> None:
    at.start('approval', 3600)
    at.until('timerCreated')
    at.keep('-waiting')
    at.send('approval', {'by': 'me'})
    at.end()


@scenario()
def events(at: Play) -> None:
    at.start('two_events')
    at.until('executionStarted')
    at.send('GO', 1)
    at.until('eventRaised')
    at.keep('-between')
    at.send('go', 2)
    at.end()


@scenario()
def other_of_two_events(at: Play) -> None:
    at.start('either')
    at.until('timerCreated')
    at.send('cancelled', 1)
    at.until('eventRaised')
    at.keep('-between')
    at.send('paid', 2)
    at.end()


@scenario()
def parent_of_named(at: Play) -> None:
    at.start('parent_of_named')
    at.until('executionStarted', of='-child')
    at.keep('-waiting')
    at.send('go', 1, to='-child')
    at.until('eventRaised', of='-child')
    at.send('go', 2, to='-child')
    at.end()
    at.keep('-child', of='-child')


@scenario()
def counter(at: Play) -> None:
    at.start('counter', 2)
    at.until('executionStarted')
    at.client.pause_workflow(at.id)  # so that both events come together, and one is carried over
    at.send('tick', 1)
    at.send('tick', 2)
    at.client.resume_workflow(at.id)
    at.end()


@scenario()
def suspended(at: Play) -> None:
    at.start('two_events')
    at.until('executionStarted')
    at.client.pause_workflow(at.id)
    at.until('executionSuspended')
    at.send('go', 1)
    at.send('go', 2)
    at.until('eventRaised', 2)
    at.keep('-yet')
    at.client.resume_workflow(at.id)
    at.end()


@scenario()
def terminated(at: Play) -> None:
    at.start('waits_long')
    at.until('executionStarted', of='-child')
    at.keep('-before')
    at.client.terminate_workflow(at.id, output='enough')
    at.end()
    at.end('-child')


@scenario()
def waiting_long(at: Play) -> None:
    at.start('waits_long')
    at.until('executionStarted', of='-child')
    at.send('go')
    at.end()


@scenario()
def delivery_of_old(at: Play) -> None:
    """Code that is changed, with patches, while an instance runs."""
    at.deploy('old')
    at.start('delivery')
    at.until('workflowStarted')
    at.keep('-before')
    at.deploy('new')
    at.send('go')
    at.end()


@scenario()
def delivery_of_new(at: Play) -> None:
    at.start('delivery')
    at.until('workflowStarted')
    at.keep('-before')
    at.send('go')
    at.end()


@scenario('stalls')
def delivery_taken_back(at: Play) -> None:
    """A deployment that is taken back leaves instances that have begun with a patch; they wait for it."""
    at.start('delivery')
    at.until('workflowStarted')
    at.deploy('old')
    at.send('go')
    at.until('executionStalled')
    at.keep('-stalled')
    at.deploy('new')
    at.end()


@scenario()
def report_of_old(at: Play) -> None:
    """An instance that began with the first version, and ends with it where there is a second."""
    at.deploy('old')
    at.start('report')
    at.until('workflowStarted')
    at.deploy('new')
    at.send('go')
    at.end()


@scenario()
def report_of_new(at: Play) -> None:
    at.start('report')
    at.until('taskCompleted')
    at.send('go')
    at.end()


@scenario('stalls')
def report_without_its_version(at: Play) -> None:
    at.deploy('old')
    at.start('report')
    at.until('workflowStarted')
    at.deploy('newest')
    at.send('go')
    at.until('executionStalled')
    at.keep('-stalled')
    at.deploy('new')
    at.end()


@scenario('reruns')
def rerun(at: Play) -> None:
    """A workflow that is run again from the call that failed, and from the first with another input."""
    at.start('saga')
    at.end()
    at.client.rerun_workflow_from_event(at.id, 3, new_instance_id=at.id + '-again')
    at.end('-again')
    at.client.rerun_workflow_from_event(at.id, 1, new_instance_id=at.id + '-other', input='train')
    at.end('-other')


@scenario('reruns')
def rerun_after_timers(at: Play) -> None:
    at.start('moments')
    at.end()
    at.client.rerun_workflow_from_event(at.id, 4, new_instance_id=at.id + '-again')
    at.end('-again')


@scenario('reruns', is_ordered=False)
def rerun_amid_others(at: Play) -> None:
    """From one of several calls that were under way together."""
    at.start('waves', 2)
    at.end()
    at.client.rerun_workflow_from_event(at.id, 2, new_instance_id=at.id + '-again')
    at.end('-again')


@scenario('newer')
def taken_back(at: Play) -> None:
    at.start('taken_back')
    at.until('timerFired')
    at.send('go', 'to the later one')
    at.end()


def play(stage: Stage, name: str) -> dict[str, WorkflowHistory]:
    """Plays a scenario, with a worker of the age 'new' to begin with.

    Args:
        stage: Where.
        name: Of the scenario.

    Returns:
        The histories that it has kept, by name.

    Raises:
        TimeoutError: What was to come did not come.
    """
    stage.deploy('new')  # which does nothing when it is the one that runs
    at = Play(stage, name)
    SCENARIOS[name].play(at)
    return at.kept
