"""Waits: what they wait out, what ends them, and how often they ask."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from dapr.ext.workflow._durabletask.aio.client import AsyncTaskHubGrpcClient
from dapr.ext.workflow._durabletask.client import OrchestrationStatus
from dapr.ext.workflow._durabletask.clients import requests as client_requests
from dapr.ext.workflow._durabletask.clients.waits import Waiting
from dapr.ext.workflow._durabletask.internal import protos as pb
from tests.support.scripted_sidecar import ScriptedSidecar, Twin, serve

DONE = pb.GetInstanceResponse(
    exists=True, workflowState=pb.WorkflowState(instanceId='i', workflowStatus=pb.ORCHESTRATION_STATUS_COMPLETED)
)
WAITS = [
    ('wait_for_orchestration_start', 'WaitForInstanceStart', False),
    ('wait_for_orchestration_completion', 'WaitForInstanceCompletion', True),
]
MISSING = (grpc.StatusCode.UNKNOWN, 'no such instance exists')


@pytest.mark.parametrize(('call', 'method', 'fetches'), WAITS)
class TestBothWaits:
    def test_the_state_comes_back(
        self, client: Any, sidecar: ScriptedSidecar, call: str, method: str, fetches: bool
    ) -> None:
        sidecar.script(method, DONE)
        assert getattr(client, call)('i').runtime_status is OrchestrationStatus.COMPLETED
        assert sidecar.last.request == pb.GetInstanceRequest(instanceId='i', getInputsAndOutputs=fetches)
        assert sidecar.last.time_remaining > 1e6  # no deadline: that is without a limit

        getattr(client, call)('i', fetch_payloads=not fetches, timeout=50, app_id='a')
        assert sidecar.last.request == pb.GetInstanceRequest(
            instanceId='i', getInputsAndOutputs=not fetches, router=pb.TaskRouter(targetAppID='a')
        )
        assert 40 < sidecar.last.time_remaining <= 51

        getattr(client, call)('i', timeout=None)
        assert sidecar.last.time_remaining > 1e6

    def test_a_missing_instance_is_none(
        self, client: Any, sidecar: ScriptedSidecar, call: str, method: str, fetches: bool
    ) -> None:
        assert getattr(client, call)('i', timeout=5) is None

    @pytest.mark.parametrize(
        'error',
        [
            (grpc.StatusCode.UNAVAILABLE, 'not yet'),
            (grpc.StatusCode.FAILED_PRECONDITION, 'no actor runtime'),
            (grpc.StatusCode.CANCELLED, 'shutting down'),
            (grpc.StatusCode.DEADLINE_EXCEEDED, 'of a proxy'),
            MISSING,
        ],
        ids=lambda error: str(error[0].name),
    )
    @pytest.mark.parametrize('timeout', [0, 30])
    def test_what_passes_is_waited_out(
        self,
        client: Any,
        sidecar: ScriptedSidecar,
        call: str,
        method: str,
        fetches: bool,
        error: tuple[grpc.StatusCode, str],
        timeout: int,
    ) -> None:
        sidecar.script(method, error, error, DONE)
        assert getattr(client, call)('i', timeout=timeout).runtime_status is OrchestrationStatus.COMPLETED
        assert len(sidecar.received) == 3

    @pytest.mark.parametrize('code', [grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNIMPLEMENTED])
    def test_what_does_not_pass_is_raised(
        self, client: Any, sidecar: ScriptedSidecar, call: str, method: str, fetches: bool, code: grpc.StatusCode
    ) -> None:
        sidecar.script(method, (code, 'broken'), DONE)
        with pytest.raises(grpc.RpcError, match='broken'):
            getattr(client, call)('i', timeout=30)
        assert len(sidecar.received) == 1

    def test_the_end_of_the_time_is_a_timeout_error(
        self, client: Any, sidecar: ScriptedSidecar, call: str, method: str, fetches: bool
    ) -> None:
        released = threading.Event()
        sidecar.script(method, lambda request, context: (released.wait(20), DONE)[1])
        verb = call.rpartition('_')[2].replace('completion', 'complete')
        with pytest.raises(
            TimeoutError, match=f"Timed-out waiting for the orchestration to {verb}: 'i' did not within 0.2 s"
        ):
            getattr(client, call)('i', timeout=0.2)
        released.set()

    def test_an_instance_that_never_comes_is_a_timeout_error_and_not_asked_for_in_a_tight_loop(
        self, client: Any, sidecar: ScriptedSidecar, call: str, method: str, fetches: bool
    ) -> None:
        sidecar.script(method, MISSING)
        with pytest.raises(TimeoutError):
            getattr(client, call)('i', timeout=0.5)
        assert 2 <= len(sidecar.received) <= 5  # at 0, 0.05, 0.15, 0.35

    def test_no_time_at_all_is_a_timeout_error_at_once(
        self, client: Any, sidecar: ScriptedSidecar, call: str, method: str, fetches: bool
    ) -> None:
        with pytest.raises(TimeoutError):
            getattr(client, call)('i', timeout=-1)
        assert sidecar.received == []


def test_a_sidecar_that_goes_and_comes_back_is_waited_for(twin: Twin) -> None:
    scripted = ScriptedSidecar()
    first = serve(scripted)
    port = int(scripted.address.rpartition(':')[2])
    released = threading.Event()
    scripted.script('WaitForInstanceCompletion', lambda request, context: (released.wait(30), DONE)[1], DONE)
    client = twin.new(host_address=scripted.address)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.wait_for_orchestration_completion, 'i', timeout=60)
        assert scripted.arrived.wait(10)
        first.stop(None).wait(10)
        second = serve(scripted, port)
        try:
            assert waiting.result(60).runtime_status is OrchestrationStatus.COMPLETED
        finally:
            released.set()
            second.stop(None).wait(10)
    assert len(scripted.received) >= 2


class RpcFailure(grpc.RpcError):
    def __init__(self, status: grpc.StatusCode, details: str = '') -> None:
        super().__init__(details)
        self._status = status
        self._details = details

    def code(self) -> grpc.StatusCode:
        return self._status

    def details(self) -> str:
        return self._details


class FakeClock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def a_wait(clock: FakeClock, timeout: float | None = None) -> Waiting:
    operation = client_requests.wait_for_completion('i', True, timeout, None)
    return Waiting(operation, logging.getLogger('durabletask-client'), clock)


def ask_in_vain(wait: Waiting, clock: FakeClock, error: grpc.RpcError) -> None:
    for _ in range(1000):
        wait.remaining()
        clock.now += wait.delay_after(error)


class TestWaiting:
    def test_delays_grow_to_a_second(self) -> None:
        wait = a_wait(FakeClock())
        delays = [wait.delay_after(RpcFailure(grpc.StatusCode.UNAVAILABLE)) for _ in range(7)]
        assert delays == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]

    def test_a_delay_does_not_outlast_the_time(self) -> None:
        clock = FakeClock()
        wait = a_wait(clock, timeout=0.07)
        assert wait.delay_after(RpcFailure(*MISSING)) == 0.05
        clock.now += 0.05
        assert wait.delay_after(RpcFailure(*MISSING)) == pytest.approx(0.02)
        clock.now += 0.021
        with pytest.raises(TimeoutError):
            wait.remaining()

    @pytest.mark.parametrize(
        ('error', 'words'),
        [
            (RpcFailure(grpc.StatusCode.UNAVAILABLE, 'not ready'), 'The calls failed: UNAVAILABLE: not ready'),
            (RpcFailure(*MISSING), 'The calls failed: UNKNOWN: no such instance exists'),
        ],
    )
    @pytest.mark.parametrize('ends_in_a_call', [True, False])
    def test_a_timeout_says_what_was_in_the_way(self, error: RpcFailure, words: str, ends_in_a_call: bool) -> None:
        clock = FakeClock()
        wait = a_wait(clock, timeout=1)
        wait.delay_after(error)
        clock.now += 0.9
        if ends_in_a_call:
            wait.remaining()
        clock.now += 0.2
        late = RpcFailure(grpc.StatusCode.DEADLINE_EXCEEDED)
        with pytest.raises(TimeoutError) as caught:
            wait.delay_after(late) if ends_in_a_call else wait.remaining()
        assert (
            str(caught.value) == f"Timed-out waiting for the orchestration to complete: 'i' did not within 1 s. {words}"
        )
        assert caught.value.__cause__ is error

    def test_a_timeout_does_not_speak_of_what_has_passed(self) -> None:
        clock = FakeClock()
        wait = a_wait(clock, timeout=30)
        wait.delay_after(RpcFailure(grpc.StatusCode.UNAVAILABLE, 'starting'))
        wait.remaining()
        clock.now += 40
        with pytest.raises(TimeoutError) as caught:
            wait.delay_after(RpcFailure(grpc.StatusCode.DEADLINE_EXCEEDED))
        assert (str(caught.value)[-12:], caught.value.__cause__) == ('within 30 s.', None)

    def test_delays_begin_anew_after_a_call_that_lasted(self) -> None:
        clock = FakeClock()
        wait = a_wait(clock)
        for _ in range(5):
            wait.delay_after(RpcFailure(grpc.StatusCode.DEADLINE_EXCEEDED))
        wait.remaining()
        clock.now += 60
        assert wait.delay_after(RpcFailure(grpc.StatusCode.DEADLINE_EXCEEDED)) == 0.05

    def test_without_a_limit_a_sidecar_out_of_reach_is_given_up_after_half_a_minute(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        clock = FakeClock()
        wait = a_wait(clock)
        with caplog.at_level(logging.WARNING, logger='durabletask-client'), pytest.raises(RpcFailure):
            ask_in_vain(wait, clock, RpcFailure(grpc.StatusCode.UNAVAILABLE, 'refused'))
        assert 1030 <= clock.now <= 1032
        assert [record.getMessage() for record in caplog.records] == [
            "Waiting for workflow 'i' to complete: the sidecar cannot be asked (UNAVAILABLE: refused); trying again."
        ]

    def test_with_a_limit_it_is_not(self) -> None:
        clock = FakeClock()
        wait = a_wait(clock, timeout=100)
        with pytest.raises(TimeoutError):
            ask_in_vain(wait, clock, RpcFailure(grpc.StatusCode.UNAVAILABLE))
        assert clock.now == pytest.approx(1100)

    @pytest.mark.parametrize(
        'sign_of_life',
        [RpcFailure(*MISSING), RpcFailure(grpc.StatusCode.DEADLINE_EXCEEDED)],
        ids=['missing', 'deadline'],
    )
    def test_a_sign_of_life_starts_the_half_minute_anew(self, sign_of_life: RpcFailure) -> None:
        clock = FakeClock()
        wait = a_wait(clock)
        wait.delay_after(RpcFailure(grpc.StatusCode.UNAVAILABLE))
        clock.now += 29
        wait.remaining()
        wait.delay_after(sign_of_life)
        clock.now += 29
        wait.remaining()
        wait.delay_after(RpcFailure(grpc.StatusCode.UNAVAILABLE))

    def test_so_does_a_call_that_was_answered_late(self) -> None:
        clock = FakeClock()
        wait = a_wait(clock)
        for _ in range(10):
            wait.remaining()
            clock.now += 600
            wait.delay_after(RpcFailure(grpc.StatusCode.UNAVAILABLE))

    @pytest.mark.parametrize('timeout', [None, 300.0])
    def test_what_is_cancelled_again_and_again_is_meant_to_be(self, timeout: float | None) -> None:
        clock = FakeClock()
        with pytest.raises(RpcFailure):
            ask_in_vain(a_wait(clock, timeout), clock, RpcFailure(grpc.StatusCode.CANCELLED))
        assert clock.now == pytest.approx(1000.35)

    def test_calls_that_lasted_may_be_cancelled_any_number_of_times(self) -> None:
        clock = FakeClock()
        wait = a_wait(clock)
        for _ in range(10):
            wait.remaining()
            clock.now += 600
            wait.delay_after(RpcFailure(grpc.StatusCode.CANCELLED))

    def test_cancelled_at_the_end_of_the_time_is_a_timeout(self) -> None:
        clock = FakeClock()
        wait = a_wait(clock, timeout=0.4)
        for _ in range(3):
            wait.remaining()
            clock.now += wait.delay_after(RpcFailure(grpc.StatusCode.CANCELLED))
        wait.remaining()
        clock.now += 0.06
        with pytest.raises(TimeoutError):
            wait.delay_after(RpcFailure(grpc.StatusCode.CANCELLED))

    def test_the_first_call_has_the_whole_time(self) -> None:
        clock = FakeClock()
        wait = a_wait(clock, timeout=5)
        clock.now += 1e-6
        assert wait.remaining() == 5
        clock.now += 1
        assert wait.remaining() == pytest.approx(3.999999)

    def test_an_error_without_a_status_is_raised(self) -> None:
        with pytest.raises(grpc.RpcError):
            a_wait(FakeClock()).delay_after(grpc.RpcError('what'))


def test_asyncio_waits_leave_the_loop_free(sidecar: ScriptedSidecar) -> None:
    sidecar.script('WaitForInstanceStart', MISSING, MISSING, DONE)

    async def run() -> int:
        ticks = 0
        async with AsyncTaskHubGrpcClient(host_address=sidecar.address) as client:
            waiting = asyncio.ensure_future(client.wait_for_orchestration_start('i', timeout=10))
            while not waiting.done():
                ticks += 1
                await asyncio.sleep(0.01)
            assert await waiting is not None
        return ticks

    began = time.monotonic()
    assert asyncio.run(run()) >= 3
    assert time.monotonic() - began < 10
