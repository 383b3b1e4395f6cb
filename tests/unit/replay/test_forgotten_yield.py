"""A task in place of its result, and calls that nobody waits for: what is told, and what it is as an error."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from dapr.ext.workflow._durabletask import task
from dapr.ext.workflow._durabletask.forgotten_yield import VARIABLE, ForgottenYieldError, ForgottenYieldWarning, mode
from dapr.ext.workflow._durabletask.history.fence import DispatchFence
from dapr.ext.workflow._durabletask.history.sticky import StickyInstances
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext as Context
from dapr.ext.workflow._durabletask.replay.executor import _OrchestrationExecutor, close
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from dapr.ext.workflow._durabletask.turns import Dispatch, Turns
from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker
from tests.support.engine import (
    Driver,
    committed_batch,
    committed_events,
    execution_started,
    failure_of,
    output,
    task_completed,
    task_failed,
    timer_fired,
    workflow_started,
)
from tests.support.scenarios import Workflow

LOGGER = logging.getLogger('tests.forgotten')
SECOND = timedelta(seconds=1)


def forgotten_in(driver: Driver) -> list[str]:
    assert driver._running is not None
    return [made.describe() for _, made in driver._running.forgotten]


# What tasks look like


def test_a_task_says_which_call_it_is_of() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        policy = task.RetryPolicy(first_retry_interval=SECOND, max_number_of_attempts=2)
        made = [
            ctx.call_activity('pay'),
            ctx.call_activity('pay', retry_policy=policy),
            ctx.call_sub_orchestrator('ship'),
            ctx.create_timer(SECOND),
            ctx.wait_for_external_event('go'),
        ]
        seen = [repr(one) for one in made]
        first = task.when_any(made[:2])
        seen.append(repr(first))
        yield first
        return [*seen, repr(first), repr(made[0])]

    driver = Driver(workflow)
    driver.start()

    assert output(driver.turn(task_failed(1))) == [
        "<Task call_activity('pay'): not complete>",
        "<Task call_activity('pay'): not complete>",
        "<Task call_child_workflow('ship'): not complete>",
        "<Task create_timer('0:00:01'): not complete>",
        "<Task wait_for_external_event('go'): not complete>",
        '<Task when_any of 2 tasks: not complete>',
        '<Task when_any of 2 tasks: complete>',
        "<Task call_activity('pay'): failed with TaskFailedError>",
    ]


USES: list[Callable[[Any], object]] = [
    lambda made: bool(made),
    lambda made: str(made),
    lambda made: f'{made}',
    lambda made: f'{made:>90}',
]


@pytest.mark.parametrize('use', USES)
def test_a_task_in_place_of_its_result_is_told_where_it_is_used(
    use: Callable[[Any], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: task.Task[Any] = task.ActivityTask()
    made._name = 'pay'

    with pytest.warns(ForgottenYieldWarning, match=r"^call_activity\('pay'\) was .*Did you forget 'yield'\?$") as told:
        used = use(made)
    assert told[0].filename == __file__
    assert used is True or "(did you forget 'yield'?)" in str(used)

    monkeypatch.setenv(VARIABLE, 'error')
    with pytest.raises(ForgottenYieldError, match="forget 'yield'"):
        use(made)
    monkeypatch.setenv(VARIABLE, 'ignore')
    use(made)


def test_a_returned_task_fails_the_workflow_and_says_so() -> None:
    def workflow(ctx: Context, _: None) -> Any:
        return ctx.call_activity('pay')

    details = failure_of(Driver(workflow).start())

    assert details.errorType == 'TypeError'
    assert details.errorMessage == (
        "The output of the workflow is a task, not a result: <Task call_activity('pay'): not complete>. "
        "Did you forget 'yield'?"
    )


def test_a_task_that_a_generator_returns_is_told_by_the_error_alone(recwarn: pytest.WarningsRecorder) -> None:
    def workflow(ctx: Context, _: None) -> Any:
        return ctx.call_activity('pay')
        yield

    details = failure_of(Driver(workflow).start())

    assert "is a task, not a result: <Task call_activity('pay')" in details.errorMessage
    assert 'StopIteration' not in details.stackTrace.value
    assert [str(warning.message) for warning in recwarn] == []


@dataclass
class Order:
    lines: list[Any]


def test_an_error_of_json_says_which_value_of_which_call_and_where_in_it() -> None:
    errors: list[str] = []

    def workflow(ctx: Context, _: None) -> Workflow:
        pending = ctx.call_activity('a')
        calls: list[Callable[[], Any]] = [
            lambda: ctx.call_activity('pay', input={'order': Order([1, {'x': object()}])}),
            lambda: ctx.call_sub_orchestrator('ship', input=[1, {2}]),
            lambda: ctx.call_activity('pay', input=pending),
            lambda: ctx.call_activity('pay', input=[pending]),
            lambda: ctx.continue_as_new({'a': object()}),
        ]
        for call in calls:
            with pytest.raises(TypeError) as raised:
                call()
            errors.append(str(raised.value))
        yield pending

    Driver(workflow).start()

    first, second, third, fourth, fifth = errors[:5]
    assert first.startswith(
        "The input of call_activity('pay'), at ['order'].lines[1]['x'], cannot be encoded as JSON: "
    )
    assert second.startswith(
        "The input of call_child_workflow('ship'), at [1], cannot be encoded as JSON: Object of type set"
    )
    assert third.startswith("The input of call_activity('pay') is a task, not a result: <Task call_activity('a')")
    assert fourth.startswith("The input of call_activity('pay'), at [0], is a task: <Task call_activity('a')")
    assert fourth.endswith("Did you forget 'yield'?")
    assert fifth.startswith("The input of continue_as_new, at ['a'], cannot be encoded as JSON: Object of type object")


def test_an_output_that_cannot_be_encoded_says_where() -> None:
    def workflow(ctx: Context, _: None) -> Any:
        return {'rows': [1, object()]}

    message = failure_of(Driver(workflow).start()).errorMessage

    assert message.startswith("The output of the workflow, at ['rows'][1], cannot be encoded as JSON: Object of type")


def nested() -> Iterator[Any]:
    yield None


async def coroutine() -> None: ...


@pytest.mark.parametrize(
    ('make', 'hint'),
    [
        (lambda ctx: [ctx.call_activity('a'), ctx.call_activity('b')], 'yield when_all([...])'),
        (lambda ctx: nested(), "write 'yield from' instead of 'yield'"),
        (lambda ctx: 5, 'It must yield a task'),
        (lambda ctx: [], 'It must yield a task'),
    ],
)
def test_a_wrong_yield_says_what_was_meant(make: Callable[[Context], Any], hint: str) -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        yield make(ctx)

    assert hint in failure_of(Driver(workflow).start()).errorMessage


@pytest.mark.parametrize('wrong', [[None], [1], ['a']])
@pytest.mark.parametrize('composite', [task.when_all, task.when_any])
def test_a_composite_takes_tasks_alone(composite: Callable[[Any], Any], wrong: list[Any]) -> None:
    with pytest.raises(TypeError, match=rf'^{composite.__name__} was given {wrong[0]!r} .*at index 0. It takes tasks'):
        composite(wrong)


def test_a_composite_of_a_lone_task_says_so() -> None:
    with pytest.raises(TypeError, match='when_all takes a list of tasks, not <Task call_activity: not complete> alone'):
        task.when_all(task.ActivityTask())  # type: ignore[arg-type]


# Calls that nobody waited for


def test_what_was_never_waited_for_is_known_at_the_end() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        ctx.call_activity('early')
        ctx.call_activity('failing')
        ctx.call_sub_orchestrator('pending')
        ctx.create_timer(SECOND)
        ctx.wait_for_external_event('go', timeout=SECOND)
        yield ctx.call_activity('waited for')
        task.when_all([ctx.call_activity('x'), ctx.call_activity('y')])
        return 'done'

    driver = Driver(workflow)
    driver.start()
    driver.turn(task_completed(1), task_failed(2))

    assert output(driver.turn(task_completed(6))) == 'done'
    assert forgotten_in(driver) == [
        "call_activity('early')",
        "call_activity('failing')",
        "call_child_workflow('pending')",
        "create_timer('0:00:01')",
        "wait_for_external_event('go')",
        'when_all of 2 tasks',
    ]


def test_what_was_waited_for_in_any_way_is_not_told() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        a, b, c, d = (ctx.call_activity(name) for name in 'abcd')
        yield ctx.call_activity('e')
        yield a  # it has ended by then
        got = [b.get_result()]
        got.append((yield task.when_all([c, d])))
        event, timer = ctx.wait_for_external_event('go'), ctx.create_timer(SECOND)
        yield task.when_any([event, timer])
        policy = task.RetryPolicy(first_retry_interval=SECOND, max_number_of_attempts=2)
        yield task.when_any([ctx.call_activity('f', retry_policy=policy), ctx.create_timer(SECOND)])
        return got

    driver = Driver(workflow)
    driver.start()
    driver.turn(*(task_completed(number, number) for number in (1, 2, 3, 4, 5)))
    driver.turn(timer_fired(7))
    driver.turn(task_failed(8))

    assert output(driver.turn(timer_fired(9))) == [2, [3, 4]]
    assert forgotten_in(driver) == []


def test_of_a_workflow_that_fails_or_goes_on_as_new_nothing_is_told() -> None:
    def failing(ctx: Context, _: None) -> Workflow:
        ctx.call_activity('a')
        yield ctx.call_activity('b')
        raise ValueError('own')

    def renewed(ctx: Context, _: None) -> Workflow:
        ctx.call_activity('a')
        yield ctx.call_activity('b')
        ctx.continue_as_new(1)

    for workflow in (failing, renewed):
        driver = Driver(workflow)
        driver.start()
        driver.turn(task_completed(2))
        assert forgotten_in(driver) == []


def test_as_an_error_it_fails_the_workflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, 'error')

    def workflow(ctx: Context, _: None) -> Workflow:
        ctx.call_activity('a')
        yield ctx.call_activity('b')

    driver = Driver(workflow)
    driver.start()
    details = failure_of(driver.turn(task_completed(2)))

    assert details.errorType == 'ForgottenYieldError'
    assert 'never' not in details.errorMessage
    assert "without having waited for call_activity('a')" in details.errorMessage


def test_results_that_were_taken_are_not_held() -> None:
    def workflow(ctx: Context, _: None) -> Workflow:
        for _number in range(100):
            first, second = ctx.call_activity('first'), ctx.call_activity('second')
            yield second
            yield first

    driver = Driver(workflow)
    driver.start()
    for number in range(1, 41, 2):
        driver.turn(task_completed(number))
        driver.turn(task_completed(number + 1))

    assert driver._running is not None
    assert len(driver._running.context._unseen or ()) <= 1


def test_a_setting_that_makes_no_sense_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert mode() == 'warn'
    monkeypatch.setenv(VARIABLE, 'raise')
    worker = TaskHubGrpcWorker(host_address='localhost:1')

    with pytest.raises(ValueError, match=f"{VARIABLE} is 'raise': it must be 'warn'"):
        worker.start()


# In a worker


def forgetful(ctx: Context, _: None) -> Workflow:
    ctx.call_activity('forgotten')  # the line
    yield ctx.call_activity('waited for')


LINE = forgetful.__code__.co_firstlineno + 1


class Answers:
    def __init__(self) -> None:
        self.responses: list[pb.WorkflowResponse] = []

    def complete_turn(self, response: pb.WorkflowResponse) -> bool:
        self.responses.append(response)
        return True


@pytest.mark.parametrize('is_kept', [True, False])
def test_a_worker_tells_it_once_with_the_line_of_the_call(is_kept: bool, caplog: pytest.LogCaptureFixture) -> None:
    registry, fence, answers = _Registry(), DispatchFence(), Answers()
    registry.add_orchestrator(forgetful)
    sticky = StickyInstances(lambda instance: close(instance, LOGGER)) if is_kept else None
    turns = Turns(_OrchestrationExecutor(registry, LOGGER), answers, LOGGER, sticky=sticky)
    for instance_id in 'abc':
        committed: list[pb.HistoryEvent] = []
        for events in ([execution_started('forgetful')], [task_completed(1)], [task_completed(2)]):
            batch = [workflow_started(), *events]
            request = pb.WorkflowRequest(instanceId=instance_id, newEvents=batch, pastEvents=committed)
            turns.serve(Dispatch(pb.WorkItem(workflowRequest=request), fence.enter(instance_id)))
            committed += committed_batch(batch, None, ())
            committed += [event for action in answers.responses[-1].actions for event in committed_events(action)]

    (told,) = [record.getMessage() for record in caplog.records if 'never waited' in record.getMessage()]
    assert told == (
        f"a: the workflow 'forgetful' has ended and never waited for call_activity('forgotten'), called at "
        f"{__file__}:{LINE}. Did you forget 'yield'?"
    )
