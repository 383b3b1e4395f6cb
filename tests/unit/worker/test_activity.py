"""Activities: how they are called, and what is answered."""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from dapr.ext.workflow._durabletask.activity import Activities, _ActivityExecutor
from dapr.ext.workflow._durabletask.internal import helpers
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.propagation import PropagatedHistory
from dapr.ext.workflow._durabletask.replay.errors import ActivityNotRegisteredError
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from dapr.ext.workflow._durabletask.task import ActivityContext

LOGGER = logging.getLogger('tests.worker')

Run = Callable[..., 'str | None']


@pytest.fixture(params=['execute', 'execute_async'])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs an activity by either method of the executor; both take sync ones."""
    executor = _ActivityExecutor(LOGGER)
    if request.param == 'execute':
        return executor.execute
    return lambda *arguments, **named: asyncio.run(executor.execute_async(*arguments, **named))


@dataclass
class Point:
    x: int


class Model:
    """As pydantic's are, in what counts."""

    def __init__(self, value: int) -> None:
        self.value = value

    def model_dump(self) -> dict[str, int]:
        return {'value': self.value}

    @classmethod
    def model_validate(cls, data: Any) -> Model:
        if not isinstance(data, dict):
            raise ValueError(f'{data!r} is no Model')
        return cls(data['value'])


# The executor


def test_an_activity_is_given_its_context_and_input(run: Run) -> None:
    def work(ctx: ActivityContext, numbers: list[int]) -> list[Any]:
        return [ctx.orchestration_id, ctx.task_id, ctx.task_execution_id, ctx.get_propagated_history(), sum(numbers)]

    assert run(work, 'abc', 'work', 3, '[1, 2]') == '["abc", 3, "", null, 3]'
    assert run(work, 'abc', 'work', 3, '[1, 2]', 'execution') == '["abc", 3, "execution", null, 3]'


def test_propagated_history_is_in_the_context(run: Run) -> None:
    history = PropagatedHistory.from_proto(pb.PropagatedHistory(scope=pb.HISTORY_PROPAGATION_SCOPE_LINEAGE))
    seen: list[PropagatedHistory | None] = []
    run(lambda ctx, _: seen.append(ctx.get_propagated_history()), 'abc', 'work', 3, None, '', history)
    assert seen == [history]


@pytest.mark.parametrize('encoded', [None, ''])
def test_no_input_is_none(run: Run, encoded: str | None) -> None:
    assert run(lambda ctx, value: value is None, 'abc', 'work', 3, encoded) == 'true'


@pytest.mark.parametrize('encoded', ['0', '""', 'false', '[]', '{}', '"text"', '{"a": [1, null]}'])
def test_every_payload_comes_back_as_it_went_in(run: Run, encoded: str) -> None:
    assert run(lambda ctx, value: value, 'abc', 'work', 3, encoded) == encoded


def test_a_result_of_none_is_no_result(run: Run) -> None:
    assert run(lambda ctx, value: None, 'abc', 'work', 3, '1') is None


def test_an_input_becomes_the_model_of_its_annotation(run: Run) -> None:
    def double(ctx: ActivityContext, model: Model) -> Model:
        return Model(model.value * 2)

    assert run(double, 'abc', 'double', 3, '{"value": 4}') == '{"value": 8}'
    with pytest.raises(ValueError, match='7 is no Model'):
        run(double, 'abc', 'double', 3, '7')


def test_an_input_that_is_not_json_is_an_error_that_says_so(run: Run) -> None:
    def work(ctx: ActivityContext, value: Any) -> None:
        raise AssertionError('called without its input')

    with pytest.raises(ValueError, match="input of 'work' is not JSON"):
        run(work, 'abc', 'work', 3, '{bad')


@pytest.mark.parametrize('result', [object(), {1, 2}, b'bytes'], ids=['object', 'set', 'bytes'])
def test_a_result_that_cannot_be_encoded_is_an_error_that_says_so(run: Run, result: object) -> None:
    with pytest.raises(TypeError, match=rf"activity 'work' cannot be encoded as JSON: .*{type(result).__name__}"):
        run(lambda ctx, _: result, 'abc', 'work', 3, None)


def test_a_result_that_contains_itself_is_an_error_that_says_so(run: Run) -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(TypeError, match="activity 'work' cannot be encoded as JSON"):
        run(lambda ctx, _: endless, 'abc', 'work', 3, None)


def test_an_activity_that_is_not_registered_is_an_error_that_names_it(run: Run) -> None:
    with pytest.raises(ActivityNotRegisteredError, match="'work'"):
        run(None, 'abc', 'work', 3, None)


def test_what_an_activity_raises_is_raised(run: Run) -> None:
    def work(ctx: ActivityContext, _: Any) -> None:
        raise KeyError('missing')

    with pytest.raises(KeyError, match='missing'):
        run(work, 'abc', 'work', 3, None)


def test_a_coroutine_of_what_looks_sync_is_an_error_that_says_what_to_do(recwarn: pytest.WarningsRecorder) -> None:
    async def work(ctx: ActivityContext, value: int) -> None: ...

    with pytest.raises(RuntimeError, match=r"Activity 'work' returned a coroutine.*async def"):
        _ActivityExecutor(LOGGER).execute(lambda *arguments: work(*arguments), 'abc', 'work', 3, '5')
    gc.collect()
    assert list(recwarn) == []


def test_an_async_activity_is_awaited() -> None:
    async def work(ctx: ActivityContext, value: int) -> Point:
        await asyncio.sleep(0)
        return Point(value)

    result = asyncio.run(_ActivityExecutor(LOGGER).execute_async(work, 'abc', 'work', 3, '5'))
    assert result is not None
    assert '"x": 5' in result


# From a work item to its answer


class Answers:
    def __init__(self) -> None:
        self.responses: list[pb.ActivityResponse] = []

    def complete_activity(self, response: pb.ActivityResponse) -> bool:
        self.responses.append(response)
        return True


def _item(name: str = 'work', encoded_input: str | None = '1', **request: Any) -> pb.WorkItem:
    return pb.WorkItem(
        completionToken='token',
        activityRequest=pb.ActivityRequest(
            name=name,
            workflowInstance=pb.WorkflowInstance(instanceId='abc'),
            taskId=3,
            taskExecutionId='execution',
            input=helpers.get_string_value(encoded_input),
            **request,
        ),
    )


def _serve(item: pb.WorkItem, fn: Callable[..., Any] | None = None, *, on_loop: bool = False) -> pb.ActivityResponse:
    registry, answers = _Registry(), Answers()
    if fn is not None:
        registry.add_named_activity('work', fn)
    activities = Activities(registry, answers, LOGGER)
    if on_loop:
        activities.answer(asyncio.run(activities.serve_async(item)))
    else:
        activities.serve(item)
    (response,) = answers.responses
    return response


both = pytest.mark.parametrize('on_loop', [False, True], ids=['sync', 'async'])


@both
def test_the_answer_carries_ids_token_and_result(on_loop: bool) -> None:
    expected = pb.ActivityResponse(instanceId='abc', taskId=3, completionToken='token')
    expected.result.value = '"execution"'
    assert _serve(_item(), lambda ctx, _: ctx.task_execution_id, on_loop=on_loop) == expected


@both
@pytest.mark.parametrize(('value', 'encoded'), [(0, '0'), ('', '""'), (False, 'false'), ([], '[]')])
def test_falsy_results_are_answered_as_they_are(on_loop: bool, value: object, encoded: str) -> None:
    response = _serve(_item(), lambda ctx, _: value, on_loop=on_loop)
    assert response.HasField('result')
    assert response.result.value == encoded


@both
def test_no_result_and_no_input_stay_unset(on_loop: bool) -> None:
    seen: list[Any] = []
    response = _serve(_item(encoded_input=None), lambda ctx, value: seen.append(value), on_loop=on_loop)
    assert seen == [None]
    assert not response.HasField('result')
    assert not response.HasField('failureDetails')


@both
def test_propagated_history_is_passed_on(on_loop: bool) -> None:
    item = _item(propagatedHistory=pb.PropagatedHistory(scope=pb.HISTORY_PROPAGATION_SCOPE_LINEAGE))
    response = _serve(item, lambda ctx, _: type(ctx.get_propagated_history()).__name__, on_loop=on_loop)
    assert response.result.value == '"PropagatedHistory"'


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError('no')


@both
@pytest.mark.parametrize(
    'error',
    [ValueError('boom'), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), Unprintable()],
    ids=lambda error: type(error).__name__,
)
def test_whatever_an_activity_raises_is_answered_as_a_failure(on_loop: bool, error: BaseException) -> None:
    def work(ctx: ActivityContext, _: Any) -> None:
        raise error

    response = _serve(_item(), work, on_loop=on_loop)
    assert response.failureDetails.errorType == type(error).__name__
    assert 'in work' in response.failureDetails.stackTrace.value
    assert not response.HasField('result')
    assert (response.instanceId, response.taskId, response.completionToken) == ('abc', 3, 'token')


@both
def test_unregistered_names_and_bad_inputs_are_failures_that_say_so(on_loop: bool) -> None:
    missing = _serve(_item(), on_loop=on_loop).failureDetails
    assert missing.errorType == 'ActivityNotRegisteredError'
    assert "'work'" in missing.errorMessage
    bad = _serve(_item(encoded_input='{bad'), lambda ctx, _: None, on_loop=on_loop).failureDetails
    assert 'is not JSON' in bad.errorMessage


@both
def test_an_empty_request_is_a_failure(on_loop: bool) -> None:
    response = _serve(pb.WorkItem(activityRequest=pb.ActivityRequest()), on_loop=on_loop)
    assert response.failureDetails.errorType == 'ActivityNotRegisteredError'


def test_a_failure_is_told_without_its_input(caplog: pytest.LogCaptureFixture) -> None:
    def work(ctx: ActivityContext, _: Any) -> None:
        raise ValueError('boom')

    _serve(_item(encoded_input='"secret"'), work)
    assert caplog.messages == ["abc: the activity 'work' (task 3) failed with ValueError: boom"]
    assert 'secret' not in caplog.text


# Which ones are async


async def _coroutine(ctx: ActivityContext, value: Any) -> None: ...


def _sync(ctx: ActivityContext, value: Any) -> None: ...


class _AsyncCallable:
    async def __call__(self, ctx: ActivityContext, value: Any) -> None: ...


@functools.wraps(_coroutine)
def _decorated(*arguments: Any) -> Any:
    return _coroutine(*arguments)


@pytest.mark.parametrize(
    ('fn', 'is_async'),
    [
        (_coroutine, True),
        (functools.partial(_coroutine), True),
        (_AsyncCallable(), True),
        (_decorated, False),
        (_sync, False),
        (functools.partial(_sync), False),
    ],
)
def test_async_activities_are_told_from_sync_ones(fn: Callable[..., Any], is_async: bool) -> None:
    registry = _Registry()
    registry.add_named_activity('work', fn)
    activities = Activities(registry, Answers(), LOGGER)
    assert activities.is_async(_item()) is is_async
    assert not activities.is_async(_item('other'))


# Traces

TRACE = '0af7651916cd43dd8448eb211c80319c'
SPAN = 'b7ad6b7169203331'


@both
def test_an_activity_runs_in_the_trace_of_its_work_item(on_loop: bool) -> None:
    trace = pytest.importorskip('opentelemetry.trace')

    def work(ctx: ActivityContext, _: Any) -> list[str]:
        current = trace.get_current_span().get_span_context()
        return [f'{current.trace_id:032x}', f'{current.span_id:016x}', current.trace_state.to_header()]

    parent = pb.TraceContext(traceParent=f'00-{TRACE}-{SPAN}-01', traceState=helpers.get_string_value('vendor=value'))
    response = _serve(_item(parentTraceContext=parent), work, on_loop=on_loop)
    assert response.result.value == f'["{TRACE}", "{SPAN}", "vendor=value"]'
    assert not trace.get_current_span().get_span_context().is_valid


@both
@pytest.mark.parametrize('trace_parent', ['', 'no trace', '00-zz-zz-01'])
def test_a_trace_that_cannot_be_read_is_no_hindrance(on_loop: bool, trace_parent: str) -> None:
    item = _item(parentTraceContext=pb.TraceContext(traceParent=trace_parent))
    assert _serve(item, lambda ctx, value: value, on_loop=on_loop).result.value == '1'
