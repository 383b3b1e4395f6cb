"""When time moves in an environment that skips it, and when it stands still."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Generator, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from dapr.ext.workflow import (
    DaprWorkflowClient,
    DaprWorkflowContext,
    RetryPolicy,
    WorkflowActivityContext,
    WorkflowStatus,
    when_all,
    when_any,
)
from dapr.ext.workflow.aio import DaprWorkflowClient as AsyncDaprWorkflowClient
from dapr.ext.workflow.testing import WorkflowEnvironment, WorkflowHangsError

START = datetime(2030, 1, 1)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)

Run = Generator[Any, Any, Any]


@pytest.fixture
def env() -> Iterator[WorkflowEnvironment]:
    with WorkflowEnvironment.start_time_skipping(start_at=START, time_limit=20) as env:
        yield env


def waits_for_timer(ctx: DaprWorkflowContext, days: float) -> Run:
    yield ctx.create_timer(timedelta(days=days))
    return days


def waits_for_event(ctx: DaprWorkflowContext, days: float) -> Run:
    try:
        return (yield ctx.wait_for_external_event('go', timeout=timedelta(days=days)))
    except TimeoutError:
        return 'too late'


def test_a_month_of_timers_takes_no_time_and_not_a_microsecond_more_than_it_is_long(env: WorkflowEnvironment) -> None:
    def month(ctx: DaprWorkflowContext, inp: None) -> Run:
        for _ in range(30):
            yield ctx.create_timer(DAY)
        return ctx.current_utc_datetime.isoformat()

    assert env.run(month) == '2030-01-31T00:00:00'
    assert env.now() == START + 30 * DAY


def test_retries_and_their_delays_go_by_the_clock(env: WorkflowEnvironment) -> None:
    tried: list[datetime] = []

    def flaky(ctx: WorkflowActivityContext) -> str:
        tried.append(env.now())
        if len(tried) < 4:
            raise OSError('down')
        return 'up'

    def workflow(ctx: DaprWorkflowContext, inp: None) -> Run:
        policy = RetryPolicy(first_retry_interval=HOUR, max_number_of_attempts=5, backoff_coefficient=2)
        return (yield ctx.call_activity(flaky, retry_policy=policy))

    assert env.run(workflow, activities=[flaky]) == 'up'
    assert [moment - START for moment in tried] == [0 * HOUR, HOUR, 3 * HOUR, 7 * HOUR]


def test_an_event_that_does_not_come_is_waited_for_until_its_time_is_over(env: WorkflowEnvironment) -> None:
    assert env.run(waits_for_event, input=365) == 'too late'
    assert env.now() == START + 365 * DAY


def test_between_two_calls_of_a_test_time_stands_still(env: WorkflowEnvironment) -> None:
    with env.runtime(workflows=[waits_for_event]):
        for _ in range(20):
            instance_id = env.client.schedule_new_workflow(waits_for_event, input=0.00001)
            assert env.now() == START
            env.client.raise_workflow_event(instance_id, 'go', data='in time')
            state = env.client.wait_for_workflow_completion(instance_id)
            assert state is not None
            assert state.serialized_output == '"in time"'


def test_a_scheduled_start_comes_when_somebody_waits_for_it(env: WorkflowEnvironment) -> None:
    with env.runtime(workflows=[waits_for_timer]):
        instance_id = env.client.schedule_new_workflow(waits_for_timer, input=1, start_at=START + 10 * DAY)
        state = env.client.get_workflow_state(instance_id)
        assert state is not None
        assert state.runtime_status is WorkflowStatus.PENDING
        env.client.wait_for_workflow_start(instance_id)
        assert env.now() == START + 10 * DAY
        state = env.client.wait_for_workflow_completion(instance_id)
        assert state is not None
        assert (state.created_at, env.now()) == (START, START + 11 * DAY)


def test_what_is_due_until_the_end_of_a_sleep_has_happened_then(env: WorkflowEnvironment) -> None:
    fired: list[float] = []

    def note(ctx: WorkflowActivityContext, day: float) -> None:
        fired.append(day)

    def workflow(ctx: DaprWorkflowContext, days: float) -> Run:
        yield ctx.create_timer(timedelta(days=days))
        yield ctx.call_activity(note, input=days)

    with env.runtime(workflows=[workflow], activities=[note]):
        for days in (3, 1, 2, 4):
            env.client.schedule_new_workflow(workflow, input=days)
        env.sleep(DAY)
        assert (fired, env.now()) == ([1], START + DAY)
        env.sleep(timedelta(days=2.5))
        assert (fired, env.now()) == ([1, 2, 3], START + 3.5 * DAY)
        env.sleep(0)
        assert fired == [1, 2, 3]


def _by_its_client(env: WorkflowEnvironment, other: str) -> Callable[..., Any]:
    def activity(ctx: WorkflowActivityContext) -> str | None:
        state = env.client.wait_for_workflow_completion(other)
        assert state is not None
        return state.serialized_output

    return activity


def _by_a_client_of_its_own(env: WorkflowEnvironment, other: str) -> Callable[..., Any]:
    def activity(ctx: WorkflowActivityContext) -> str | None:
        host, _, port = env.address_of().rpartition(':')
        with DaprWorkflowClient(host, port) as client:
            state = client.wait_for_workflow_completion(other)
        assert state is not None
        return state.serialized_output

    return activity


def _by_an_asyncio_client_of_its_own(env: WorkflowEnvironment, other: str) -> Callable[..., Any]:
    async def activity(ctx: WorkflowActivityContext) -> str | None:
        host, _, port = env.address_of().rpartition(':')
        async with AsyncDaprWorkflowClient(host, port) as client:
            state = await client.wait_for_workflow_completion(other)
        assert state is not None
        return state.serialized_output

    return activity


def _by_sleeping(env: WorkflowEnvironment, other: str) -> Callable[..., Any]:
    def activity(ctx: WorkflowActivityContext) -> str:
        env.sleep(DAY)
        return '1'

    return activity


def _by_sleeping_on_the_loop(env: WorkflowEnvironment, other: str) -> Callable[..., Any]:
    async def activity(ctx: WorkflowActivityContext) -> str:
        await env.asleep(DAY)
        return '1'

    return activity


@pytest.mark.parametrize(
    'make',
    [
        _by_its_client,
        _by_a_client_of_its_own,
        _by_an_asyncio_client_of_its_own,
        _by_sleeping,
        _by_sleeping_on_the_loop,
    ],
)
def test_an_activity_that_waits_does_not_keep_time_from_moving(
    env: WorkflowEnvironment, make: Callable[[WorkflowEnvironment, str], Callable[..., Any]]
) -> None:
    activity = make(env, 'other')

    def workflow(ctx: DaprWorkflowContext, inp: None) -> Run:
        return (yield ctx.call_activity('waits'))

    with env.runtime(workflows=[workflow, waits_for_timer], activities={'waits': activity}):
        env.client.schedule_new_workflow(waits_for_timer, input=1, instance_id='other')
        assert env.run(workflow) == '1'
    assert env.now() == START + DAY


def test_time_moves_for_an_activity_that_waits_while_no_test_does(env: WorkflowEnvironment) -> None:
    awake = threading.Event()

    def sleeper(ctx: WorkflowActivityContext) -> None:
        env.sleep(DAY)
        awake.set()

    def workflow(ctx: DaprWorkflowContext, inp: None) -> Run:
        yield ctx.call_activity(sleeper)

    with env.runtime(workflows=[workflow], activities=[sleeper]):
        env.client.schedule_new_workflow(workflow)
        assert awake.wait(10)


def test_time_stands_still_while_an_activity_works_and_moves_when_it_is_over(env: WorkflowEnvironment) -> None:
    works, goes_on = threading.Event(), threading.Event()

    def worker(ctx: WorkflowActivityContext) -> str:
        works.set()
        assert goes_on.wait(10)
        return 'done'

    def workflow(ctx: DaprWorkflowContext, inp: None) -> Run:
        task, limit = ctx.call_activity(worker), ctx.create_timer(HOUR)
        yield when_all([task, limit])
        return task.get_result()

    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(env.run(workflow, activities=[worker])))
    thread.start()
    assert works.wait(10)
    # Who waits is the other thread; and this one sleeps, too: neither moves the clock.
    with pytest.raises(TimeoutError):
        env._place.sleep(1, 0.1)
    assert env.now() == START
    goes_on.set()
    thread.join(10)
    assert (results, env.now()) == (['done'], START + HOUR)


def test_those_who_sleep_awake_in_the_order_of_their_times_and_one_after_the_other(env: WorkflowEnvironment) -> None:
    def nap(ctx: WorkflowActivityContext, hours: int) -> int:
        env.sleep(timedelta(hours=hours))
        return hours

    def workflow(ctx: DaprWorkflowContext, hours: list[int]) -> Run:
        done: list[int] = []
        tasks = {ctx.call_activity(nap, input=hour): hour for hour in hours}
        for _ in hours:
            first = yield when_any(list(tasks))
            done.append(tasks.pop(first))
        return done

    assert env.run(workflow, input=[3, 1, 4, 2], activities=[nap]) == [1, 2, 3, 4]
    assert env.now() == START + 4 * HOUR


def test_without_time_skipping_time_goes_by_and_after_it_skipping_comes_back(env: WorkflowEnvironment) -> None:
    with env.runtime(workflows=[waits_for_timer]):
        instance_id = env.client.schedule_new_workflow(waits_for_timer, input=1)
        with env.auto_time_skipping_disabled():
            with pytest.raises(TimeoutError):
                env.client.wait_for_workflow_completion(instance_id, timeout_in_seconds=0.05)
            assert START + timedelta(seconds=0.04) < env.now() < START + HOUR
            quick = env.client.schedule_new_workflow(waits_for_timer, input=0.02 / 86_400)
            assert env.client.wait_for_workflow_completion(quick) is not None
            env.sleep(0.01)
        assert env.client.wait_for_workflow_completion(instance_id) is not None
        assert env.now() == START + DAY


def test_runs_of_one_id_at_one_moment_make_guids_of_their_own(env: WorkflowEnvironment) -> None:
    guids: list[str] = []

    def workflow(ctx: DaprWorkflowContext, left: int) -> Any:
        guids.append(str(ctx.new_guid()))
        if left:
            ctx.continue_as_new(left - 1)

    with env.runtime(workflows=[workflow]):
        for _ in range(2):
            instance_id = env.client.schedule_new_workflow(workflow, input=2, instance_id='one')
            env.client.wait_for_workflow_completion(instance_id)
    assert len(set(guids)) == len(guids) == 6
    assert env.now() == START


def test_a_test_that_hangs_is_told_what_each_instance_waits_for() -> None:
    def approval(ctx: DaprWorkflowContext, inp: None) -> Run:
        yield ctx.wait_for_external_event('approval')

    with WorkflowEnvironment.start_time_skipping(start_at=START, time_limit=0.1) as env:
        with pytest.raises(WorkflowHangsError) as raised:
            env.run(approval, instance_id='order-7')
        text = str(raised.value)
        assert "still waits for the end of 'order-7'" in text
        assert "'order-7' (approval, RUNNING) waits for event 'approval'." in text
        assert 'The clock of the environment shows 2030-01-01 00:00:00Z.' in text
        with pytest.raises(TimeoutError, match=r'did not within 0\.01 s'):  # the caller's own limit is no hang
            env.client.wait_for_workflow_completion('order-7', timeout_in_seconds=0.01)


def test_a_limit_of_a_wrong_type_is_refused_by_name(env: WorkflowEnvironment) -> None:
    with pytest.raises(TypeError, match='timeout_in_seconds'):
        env.client.wait_for_workflow_completion('any', timeout_in_seconds=timedelta(seconds=1))  # type: ignore[arg-type]


def test_a_start_that_no_worker_takes_is_a_hang_that_says_so() -> None:
    with (
        WorkflowEnvironment.start_time_skipping(time_limit=0.1) as env,
        pytest.raises(WorkflowHangsError, match='No runtime of this environment is running'),
    ):
        env.client.schedule_new_workflow('nobody')


def test_everything_has_a_twin_for_asyncio() -> None:
    async def main() -> None:
        async with WorkflowEnvironment.start_time_skipping(start_at=START) as env:
            assert await env.arun(waits_for_timer, input=2) == 2
            assert env.now() == START + 2 * DAY
            await env.asleep(HOUR)
            results = await asyncio.gather(*(env.arun(waits_for_timer, input=days) for days in (5, 3, 4)))
            assert results == [5, 3, 4]
            assert env.now() == START + 7 * DAY + HOUR

    asyncio.run(main())


def test_several_environments_have_times_of_their_own() -> None:
    with WorkflowEnvironment.start_time_skipping(start_at=START) as one:
        with WorkflowEnvironment.start_time_skipping(start_at=START) as other:
            assert one.run(waits_for_timer, input=2) == 2
            assert other.now() == START
            assert other.run(waits_for_timer, input=3) == 3
        assert one.now() == START + 2 * DAY


def test_an_environment_in_real_time_waits_as_long_as_it_takes() -> None:
    with WorkflowEnvironment.start_local() as env:
        assert env.run(waits_for_timer, input=0.01 / 86_400) == 0.01 / 86_400
        with WorkflowEnvironment.from_client(env.client) as other:
            assert other.run(waits_for_timer, input=0) == 0
        assert env.client.get_workflow_state('none') is None  # the client of the other one is open


def test_environments_leave_no_thread_and_no_file() -> None:
    def files() -> int:
        return len(os.listdir('/proc/self/fd')) if os.path.exists('/proc/self/fd') else 0

    def ours() -> list[str]:
        return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith('dapr-workflow'))

    def one() -> None:
        with WorkflowEnvironment.start_time_skipping() as env:
            env.run(waits_for_timer, input=1)

    one()
    before, threads = files(), ours()
    for _ in range(20):
        one()
    assert ours() == threads
    assert files() < before + 20  # gRPC has some of its own, which come and go
