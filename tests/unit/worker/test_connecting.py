"""The worker as a whole: its connection, and what becomes of results while there is none."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from dapr.ext.workflow._durabletask.internal import shared
from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker
from tests.support.fake_sidecar import DEADLINE_SECONDS, FakeSidecar
from tests.support.interceptors import GeneratorInterceptor
from tests.support.work_items import Gate, activity_item, join, turn_item

NewWorker = Callable[..., TaskHubGrpcWorker]


def test_each_connection_is_made_by_the_function_that_packages_replace(
    sidecar: FakeSidecar, new_worker: NewWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[Any, ...]] = []
    original = shared.get_grpc_channel

    def replacement(address: Any, secure: Any, interceptors: Any, *, options: Any) -> grpc.Channel:
        made.append((address, secure, interceptors, options))
        return original(address, secure, interceptors, options=options)  # some give it, too, beside all the others

    interceptor = GeneratorInterceptor()
    worker = new_worker(interceptors=[interceptor], channel_options=[('grpc.primary_user_agent', 'mine')])
    monkeypatch.setattr(shared, 'get_grpc_channel', replacement)
    worker.start()
    sidecar.drop_streams()
    sidecar.wait_for_calls('GetWorkItems', 2)
    for address, secure, interceptors, options in made:
        assert (address, secure, interceptors) == (sidecar.address, False, [interceptor])
        assert ('grpc.primary_user_agent', 'mine') in options
        keys = [key for key, _ in options]
        assert len(set(keys)) == len(keys)
    assert len(made) == 2


def test_the_callers_channel_options_beat_the_workers(new_worker: NewWorker) -> None:
    worker = new_worker(channel_options=[('grpc.use_local_subchannel_pool', 0)])
    assert [option for option in worker._channel_options if option[0] == 'grpc.use_local_subchannel_pool'] == [
        ('grpc.use_local_subchannel_pool', 0)
    ]


def test_metadata_and_api_token_go_out_with_every_call(
    sidecar: FakeSidecar, new_worker: NewWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('DAPR_API_TOKEN', 'secret')
    worker = new_worker(metadata=[('app', 'orders')])
    worker.start()
    sidecar.push(turn_item(), activity_item('echo'))
    sidecar.wait_for_answers(2)
    assert set(sidecar.metadata) == {'Hello', 'GetWorkItems', 'CompleteWorkflowTask', 'CompleteActivityTask'}
    for metadata in sidecar.metadata.values():
        assert (metadata['app'], metadata['dapr-api-token']) == ('orders', 'secret')


@pytest.mark.parametrize('interceptors', [[], [GeneratorInterceptor()]], ids=['plain', 'generators'])
def test_a_result_goes_out_on_the_connection_that_is_there_when_it_is_ready(
    sidecar: FakeSidecar, new_worker: NewWorker, interceptors: list[Any]
) -> None:
    gate = Gate()

    def slow_flow(ctx: Any, _: Any) -> str:
        gate.pass_through()
        return 'done'

    worker = new_worker(interceptors=interceptors)
    worker.add_orchestrator(slow_flow)
    worker.start()
    sidecar.push(turn_item('slow_flow', 'of the first stream'))
    gate.wait_until_reached()
    sidecar.stop()  # vanishes in the middle of the turn
    sidecar.start()
    sidecar.wait_for_stream(2)
    gate.open()
    assert sidecar.answer().completionToken == 'of the first stream'
    first, second = sidecar.stream_peers
    assert first != second
    assert sidecar.answers[0].peer == second


def test_a_result_that_is_ready_while_cut_off_waits_for_the_connection(
    sidecar: FakeSidecar, new_worker: NewWorker, failed_attempt: threading.Event
) -> None:
    gate = Gate()

    def slow(ctx: Any, _: Any) -> str:
        gate.pass_through()
        return 'done'

    worker = new_worker()
    worker.add_activity(slow)
    worker.start()
    sidecar.push(activity_item('slow'))
    gate.wait_until_reached()
    sidecar.refuse_streams = grpc.StatusCode.UNAVAILABLE
    sidecar.stop()
    assert failed_attempt.wait(DEADLINE_SECONDS)
    gate.open()
    sidecar.start()
    sidecar.wait_for_calls('GetWorkItems', 2)
    assert not worker.is_worker_ready()
    sidecar.refuse_streams = None
    assert sidecar.answer().result.value == '"done"'


def test_why_there_are_no_work_items_is_told_once(
    sidecar: FakeSidecar, new_worker: NewWorker, caplog: pytest.LogCaptureFixture
) -> None:
    worker = new_worker()
    sidecar.refuse_streams = grpc.StatusCode.UNAVAILABLE
    with caplog.at_level(logging.WARNING, 'durabletask-worker'):
        starting = threading.Thread(target=worker.start)
        starting.start()
        sidecar.wait_for_calls('GetWorkItems', 4)
        sidecar.refuse_streams = None
        join(starting)
    told = [message for message in caplog.messages if message.startswith('No work items')]
    reasons = [message.split(': ', 1)[1].split('.')[0] for message in told]
    assert reasons[0].startswith('UNAVAILABLE')
    assert set(reasons[1:]) == {'as before'}


def test_the_end_of_an_outage_is_told_as_its_beginning_is(
    sidecar: FakeSidecar, new_worker: NewWorker, caplog: pytest.LogCaptureFixture
) -> None:
    told = threading.Event()

    class Told(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage().startswith('Connected again to the sidecar, after'):
                told.set()

    handler = Told(logging.WARNING)
    logging.getLogger('dapr.workflow').addHandler(handler)
    try:
        new_worker().start()
        sidecar.drop_streams()
        assert told.wait(DEADLINE_SECONDS)
    finally:
        logging.getLogger('dapr.workflow').removeHandler(handler)
    assert [message.split(':')[0] for message in caplog.messages if 'Connected' not in message] == [
        'No work items from the sidecar'
    ]


def test_a_worker_is_not_ready_while_it_is_cut_off(sidecar: FakeSidecar, new_worker: NewWorker) -> None:
    worker = new_worker()
    assert not worker.is_worker_ready()
    assert not worker.wait_until_ready(0)
    worker.start()
    assert worker.is_worker_ready()
    sidecar.refuse_streams = grpc.StatusCode.UNAVAILABLE
    sidecar.drop_streams()
    sidecar.wait_for_calls('GetWorkItems', 3)
    assert not worker.wait_until_ready(0.01)
    sidecar.refuse_streams = None
    assert worker.wait_until_ready(DEADLINE_SECONDS)
    assert worker.is_worker_ready()
    worker.stop()
    assert not worker.is_worker_ready()
