"""A changed workflow is found at the event at which it leaves the history, and told in a reader's words.

The history is that of `replay_steps.STEPS`, as an emulator kept it; each change is those steps with another one.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dapr.ext.workflow._durabletask.failures import NonDeterminismError
from dapr.ext.workflow.testing import Replayer, ReplayFailure, WorkflowHistory, WorkflowReplayError
from tests.support.replay_steps import (
    KINDS,
    NAME,
    STEPS,
    Again,
    All,
    Call,
    Child,
    Fail,
    Patch,
    Return,
    Sleep,
    Steps,
    Wait,
)

HISTORY = WorkflowHistory.from_file(Path(__file__).parent / 'order-17.json')
PRICE, APPROVAL, FAN, PAUSE, CHARGE, SHIP, THANKS, FEEDBACK, END = range(9)


class Change(NamedTuple):
    """A change, and what is found.

    Attributes:
        steps: The changed workflow.
        event: The kind and id of the event at which it leaves the history; an id of 0: of that kind, the last.
        recorded: What is told of the history.
        replayed: What is told of the code.
    """

    steps: Steps
    event: tuple[str, int]
    recorded: str
    replayed: str


def put(place: int, *steps: Any) -> Steps:
    """The workflow with these steps in place of one."""
    return (*STEPS[:place], *steps, *STEPS[place + 1 :])


def before(place: int, *steps: Any) -> Steps:
    """The workflow with these steps before one."""
    return (*STEPS[:place], *steps, *STEPS[place:])


CHANGES = {
    'another activity': Change(
        put(PRICE, Call('cost', 'a lamp')),
        ('taskScheduled', 1),
        'activity \'price\' with input "a lamp"',
        'activity \'cost\' with input "a lamp"',
    ),
    'a call that is removed': Change(
        put(PRICE),
        ('taskScheduled', 1),
        'activity \'price\' with input "a lamp"',
        "a wait for the external event 'approval' until 2026-11-27 09:00:00 UTC",
    ),
    'a call that is added at the beginning': Change(
        before(PRICE, Call('check')),
        ('taskScheduled', 1),
        'activity \'price\' with input "a lamp"',
        "activity 'check'",
    ),
    'a call that is added in the middle': Change(
        before(PAUSE, Call('weigh', 3)),
        ('timerCreated', 5),
        'a timer until 2026-11-26 12:00:00 UTC',
        "activity 'weigh' with input 3",
    ),
    'a call that is added at the end': Change(
        before(END, Call('archive')),
        ('executionCompleted', 12),
        'the workflow completed with "done"',
        "activity 'archive'",
    ),
    'calls of a fan-out in another order': Change(
        put(FAN, All((Call('label', 'a lamp'), Call('pack', 'a lamp')))),
        ('taskScheduled', 3),
        'activity \'pack\' with input "a lamp"',
        'activity \'label\' with input "a lamp"',
    ),
    'steps in another order': Change(
        (*STEPS[:PAUSE], STEPS[CHARGE], STEPS[PAUSE], *STEPS[SHIP:]),
        ('timerCreated', 5),
        'a timer until 2026-11-26 12:00:00 UTC',
        "activity 'charge' with input 99",
    ),
    'a fan-out of fewer': Change(
        put(FAN, All((Call('pack', 'a lamp'),))),
        ('taskScheduled', 4),
        'activity \'label\' with input "a lamp"',
        'nothing: it waits for activity \'pack\' with input "a lamp"',
    ),
    'a fan-out of more': Change(
        put(FAN, All((Call('pack', 'a lamp'), Call('label', 'a lamp'), Call('weigh')))),
        ('eventRaised', -1),
        'no such call in this turn',
        "activity 'weigh'",
    ),
    'one after the other in place of at once': Change(
        put(FAN, Call('pack', 'a lamp'), Call('label', 'a lamp')),
        ('taskScheduled', 4),
        'activity \'label\' with input "a lamp"',
        'nothing: it waits for activity \'pack\' with input "a lamp"',
    ),
    'at once in place of one after the other': Change(
        (*STEPS[:FAN], All((Call('pack', 'a lamp'), Call('label', 'a lamp'), Sleep(1))), *STEPS[CHARGE:]),
        ('eventRaised', -1),
        'no such call in this turn',
        'a timer until 2026-11-26 12:00:00 UTC',
    ),
    'a timer in place of an activity': Change(
        put(PRICE, Sleep(2)),
        ('taskScheduled', 1),
        'activity \'price\' with input "a lamp"',
        'a timer until 2026-11-26 11:00:00 UTC',
    ),
    'an activity in place of a timer': Change(
        put(PAUSE, Call('pause')), ('timerCreated', 5), 'a timer until 2026-11-26 12:00:00 UTC', "activity 'pause'"
    ),
    'a child workflow in place of an activity': Change(
        put(PRICE, Child('price', 'a lamp')),
        ('taskScheduled', 1),
        'activity \'price\' with input "a lamp"',
        'child workflow \'price\' with input "a lamp"',
    ),
    'an activity in place of a child workflow': Change(
        put(SHIP, Call('ship', 'a lamp')),
        ('childWorkflowInstanceCreated', 9),
        'child workflow \'ship\' with input "a lamp"',
        'activity \'ship\' with input "a lamp"',
    ),
    'another child workflow': Change(
        put(SHIP, Child('send', 'a lamp')),
        ('childWorkflowInstanceCreated', 9),
        'child workflow \'ship\' with input "a lamp"',
        'child workflow \'send\' with input "a lamp"',
    ),
    'a wait for another event': Change(
        put(APPROVAL, Wait('decision', 24)),
        ('timerCreated', 2),
        "a wait for the external event 'approval' until 2026-11-27 09:00:00 UTC",
        "a wait for the external event 'decision' until 2026-11-27 09:00:00 UTC",
    ),
    'a timer in place of a wait': Change(
        put(APPROVAL, Sleep(24)),
        ('timerCreated', 2),
        "a wait for the external event 'approval' until 2026-11-27 09:00:00 UTC",
        'a timer until 2026-11-27 09:00:00 UTC',
    ),
    'an activity in place of a wait': Change(
        put(APPROVAL, Call('approve')),
        ('timerCreated', 2),
        "a wait for the external event 'approval' until 2026-11-27 09:00:00 UTC",
        "activity 'approve'",
    ),
    'a wait in place of an activity': Change(
        put(PRICE, Wait('price')),
        ('taskScheduled', 1),
        'activity \'price\' with input "a lamp"',
        "a wait for the external event 'price'",
    ),
    'a wait that has no limit any more': Change(
        put(APPROVAL, Wait('approval')),
        ('timerCreated', 2),
        "a wait for the external event 'approval' until 2026-11-27 09:00:00 UTC",
        "a wait for the external event 'approval'",
    ),
    'a wait without a limit that is removed': Change(
        put(FEEDBACK),
        ('timerCreated', 11),
        "a wait for the external event 'feedback'",
        'the workflow completed with "done"',
    ),
    'a wait without a limit for another event': Change(
        put(FEEDBACK, Wait('stars')),
        ('timerCreated', 11),
        "a wait for the external event 'feedback'",
        "a wait for the external event 'stars'",
    ),
    'a retry policy that is removed': Change(
        put(CHARGE, Call('charge', 99)),
        ('timerCreated', 7),
        "the wait before another attempt of activity 'charge' until 2026-11-26 12:01:00 UTC",
        'the workflow failed with TaskFailedError: order-17: Activity task #6 failed: down',
    ),
    'retries of its own in place of a policy': Change(
        put(CHARGE, Call('charge', 99, is_tolerant=True), Sleep(1 / 60), Call('charge', 99)),
        ('timerCreated', 7),
        "the wait before another attempt of activity 'charge' until 2026-11-26 12:01:00 UTC",
        'a timer until 2026-11-26 12:01:00 UTC',
    ),
    'an end that comes too early': Change(
        before(CHARGE, Return()),
        ('taskScheduled', 6),
        "activity 'charge' with input 99",
        'the workflow completed with "done"',
    ),
    'an error': Change(
        before(CHARGE, Fail('no card')),
        ('taskScheduled', 6),
        "activity 'charge' with input 99",
        "the workflow failed with KeyError: 'no card'",
    ),
    'an error at the end': Change(
        put(END, Fail('no archive')),
        ('executionCompleted', 12),
        'the workflow completed with "done"',
        "the workflow failed with KeyError: 'no archive'",
    ),
    'going on as new in place of an end': Change(
        put(END, Again()),
        ('executionCompleted', 12),
        'the workflow completed with "done"',
        'the workflow continued as new with "a lamp"',
    ),
    'a patch that is not asked for any more': Change(
        put(THANKS, Call('thank')),
        ('workflowStarted', 0),
        "the patches 'thanks', in the order in which the code asked is_patched for them",
        'is_patched was True for none',
    ),
    'what a patch stands before, removed': Change(
        put(THANKS, Patch('thanks')),
        ('taskScheduled', 10),
        "activity 'thank'",
        "a wait for the external event 'feedback'",
    ),
}


def replayed(workflow: Callable[..., Any]) -> ReplayFailure | None:
    return Replayer({NAME: workflow}).replay_workflow(HISTORY, raise_on_replay_failure=False).replay_failure


def place_of(kind: str, event_id: int) -> int:
    """The place of an event in the history; of the turns, that of the patch."""
    places = [place for place, event in enumerate(HISTORY.events) if event.WhichOneof('eventType') == kind]
    if event_id == 0:
        return next(place for place in places if HISTORY.events[place].workflowStarted.version.patches)
    return next(place for place in places if HISTORY.events[place].eventId == event_id)


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('name', CHANGES)
def test_a_change_is_found_where_it_leaves_the_history(name: str, kind: str) -> None:
    change = CHANGES[name]
    failure = replayed(KINDS[kind](change.steps))

    assert failure is not None
    assert (failure.event_index, failure.event_type) == (place_of(*change.event), change.event[0])
    assert failure.recorded == change.recorded
    assert failure.replayed.startswith(change.replayed)
    assert failure.source is not None
    assert 'replay_steps.py:' in failure.source


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize(
    'steps',
    [
        STEPS,
        put(PRICE, Call('price', 'a chair')),
        put(PRICE, Call('price', 'a lamp', is_retried=True)),
        put(APPROVAL, Wait('Approval', 48)),
        put(PAUSE, Sleep(2)),
        put(SHIP, Child('ship')),
        before(SHIP, Patch('insurance', Call('insure'))),
    ],
    ids=['none', 'input', 'policy', 'limit', 'duration', 'input of a child', 'behind a patch'],
)
def test_changes_that_running_instances_bear(steps: Steps, kind: str) -> None:
    assert replayed(KINDS[kind](steps)) is None


@pytest.mark.parametrize('kind', KINDS)
def test_each_part_of_the_history_replays(kind: str) -> None:
    """Of an instance that is running, or that was cut anywhere: in a turn, too."""
    replayer = Replayer({NAME: KINDS[kind](STEPS)})
    for length in range(2, len(HISTORY)):
        replayer.replay_workflow(WorkflowHistory(HISTORY.events[:length]))


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('name', CHANGES)
def test_a_change_is_found_at_the_same_event_in_a_history_that_goes_on(name: str, kind: str) -> None:
    """Each part of the history has the change where the whole has it, or not yet."""
    replayer = Replayer({NAME: KINDS[kind](CHANGES[name].steps)})
    place = place_of(*CHANGES[name].event)
    found = [
        failure.event_index
        for length in range(2, len(HISTORY))
        if (failure := replayer.replay_workflow(WorkflowHistory(HISTORY.events[:length]), False).replay_failure)
    ]
    assert set(found) <= {place}


def test_payloads_are_compared_on_demand() -> None:
    replayer = Replayer({NAME: KINDS['generator'](put(SHIP, Child('ship', 'a chair')))}, compare_payloads=True)
    failure = replayer.replay_workflow(HISTORY, False).replay_failure

    assert failure is not None
    assert failure.recorded == 'child workflow \'ship\' with input "a lamp"'
    assert failure.replayed == 'child workflow \'ship\' with input "a chair"'
    Replayer({NAME: KINDS['generator'](STEPS)}, compare_payloads=True).replay_workflow(HISTORY)


def test_the_text_of_a_failure() -> None:
    with pytest.raises(WorkflowReplayError) as raised:
        Replayer({NAME: KINDS['generator'](CHANGES['another activity'].steps)}).replay_workflow(HISTORY)
    assert isinstance(raised.value, NonDeterminismError)
    (failure,) = raised.value.failures
    assert str(raised.value) == (
        "The code of the workflow 'order' cannot replay instance 'order-17': it leaves the history at event 3 of 36 "
        '(taskScheduled, call 1).\n'
        '  history: activity \'price\' with input "a lamp"\n'
        '  code:    activity \'cost\' with input "a lamp"\n'
        f'  line:    {failure.source}\n'
        'A workflow must do the same in every replay. Guard a change with is_patched or a new version while instances '
        'of the former code run; what is random, or changes outside, belongs in an activity.'
    )


SOURCE = """
from datetime import timedelta
from dapr.ext.workflow import DaprWorkflowContext

def order(ctx: DaprWorkflowContext, item: str):
    yield ctx.call_activity('price', input=item)
    yield ctx.wait_for_external_event('approval', timeout=timedelta(days=1))
    yield from parts(ctx, item)

def parts(ctx, item):
    yield ctx.call_activity(
        'wrap', input=item)

async def async_order(ctx, item: str):
    await ctx.call_activity('price', input=item)
    await ctx.wait_for_external_event('approval', timeout=timedelta(days=1))
    await async_parts(ctx, item)

async def async_parts(ctx, item):
    await ctx.call_activity(
        'wrap', input=item)

def forgetful(ctx, item):
    yield ctx.call_activity('price', input=item)
    yield ctx.wait_for_external_event('approval', timeout=timedelta(days=1))
    yield ctx.call_activity('pack', input=item)

def broken(ctx, item):
    yield ctx.call_activity('price', input=item)
    return {}['no such key']
"""


@pytest.mark.parametrize(('name', 'line'), [('order', 11), ('async_order', 20), ('forgetful', 26), ('broken', 30)])
def test_the_line_of_the_code(name: str, line: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'lines_of_orders.py').write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    failure = replayed(getattr(importlib.reload(importlib.import_module('lines_of_orders')), name))

    assert failure is not None
    assert failure.source == f'{tmp_path / "lines_of_orders.py"}:{line}'
    assert (failure.error is not None) is (name == 'broken')


def test_several_histories_are_all_replayed() -> None:
    other = WorkflowHistory(HISTORY.events[:10], instance_id='order-18')
    replayer = Replayer({NAME: KINDS['generator'](CHANGES['a call that is added at the end'].steps)})

    results = replayer.replay_workflows([other, HISTORY, other])

    assert [result.is_successful for result in results] == [True, False, True]
    assert list(results.replay_failures) == ['order-17']
    with pytest.raises(WorkflowReplayError, match="instance 'order-17'"):
        replayer.replay_workflows([other, HISTORY, other], raise_on_replay_failure=True)
