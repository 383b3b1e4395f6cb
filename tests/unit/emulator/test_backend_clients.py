"""What clients ask of the backend, on instances in every state."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import grpc
import pytest
from google.protobuf import timestamp_pb2, wrappers_pb2

from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow.emulator.errors import Refused
from tests.support.backend import (
    START,
    BackendDriver,
    complete,
    kinds,
    schedule,
    start_child,
    timer,
    version_not_available,
)


def at(seconds: float) -> timestamp_pb2.Timestamp:
    stamp = timestamp_pb2.Timestamp()
    stamp.FromMicroseconds(round(seconds * 1e6))
    return stamp


def refusal(call: Callable[[], object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(Refused) as refused:
        call()
    return refused.value.code, refused.value.message


def test_an_instance_from_its_creation_to_its_end() -> None:
    driver = BackendDriver()
    key = driver.create(
        'x',
        'order',
        '"in"',
        version=wrappers_pb2.StringValue(value='1.2'),
        tags={'a': 'b'},
        executionId=wrappers_pb2.StringValue(value='run'),
    )
    assert (driver.ready, driver.told) == ([key], [])
    assert (driver.backend.is_started(key), driver.backend.is_ended(key)) == (False, False)

    driver.now += 1
    driver.turn('x', schedule(1), customStatus=wrappers_pb2.StringValue(value='busy'))
    assert driver.told == [('started', 'x')]
    state = driver.state('x')
    assert (state.instanceId, state.name, state.workflowStatus) == ('x', 'order', pb.ORCHESTRATION_STATUS_RUNNING)
    assert (state.executionId.value, state.version.value, dict(state.tags)) == ('run', '1.2', {'a': 'b'})
    assert (state.createdTimestamp, state.startedAt) == (at(START), at(START + 1))
    assert state.lastUpdatedTimestamp == at(START + 1)
    assert (state.input.value, state.customStatus.value) == ('"in"', 'busy')
    assert not state.HasField('output')
    assert not state.HasField('completedTimestamp')

    driver.now += 1
    driver.run_activity()
    driver.turn('x', complete(2, '"out"'))
    assert driver.told[1:] == [('ended', 'x')]
    assert (driver.backend.is_started(key), driver.backend.is_ended(key)) == (True, True)
    state = driver.state('x')
    assert (state.workflowStatus, state.output.value) == (pb.ORCHESTRATION_STATUS_COMPLETED, '"out"')
    assert (state.createdTimestamp, state.startedAt) == (at(START), at(START + 1))
    assert state.completedTimestamp == state.lastUpdatedTimestamp == at(START + 2)
    assert not state.HasField('customStatus')  # the last answer had none

    state = driver.backend.get_instance(key, payloads=False).workflowState
    assert (state.HasField('input'), state.HasField('output')) == (False, False)


def test_a_failure_is_part_of_the_state() -> None:
    driver = BackendDriver()
    driver.create()
    details = pb.TaskFailureDetails(errorType='ValueError', errorMessage='no')
    driver.turn('x', complete(1, None, pb.ORCHESTRATION_STATUS_FAILED, failure_details=details))
    assert driver.status('x') == 'FAILED'
    assert driver.state('x').failureDetails == details


def test_an_instance_that_is_not_there() -> None:
    driver = BackendDriver()
    missing, backend = driver.key('missing'), driver.backend
    assert backend.get_instance(missing, payloads=True) == pb.GetInstanceResponse()
    assert (backend.is_started(missing), backend.is_ended(missing)) == (False, False)
    unknown = grpc.StatusCode.UNKNOWN
    assert refusal(lambda: driver.raise_event('missing', 'go')) == (unknown, 'no such instance exists')
    assert refusal(lambda: backend.suspend(missing)) == (unknown, 'no such instance exists')
    assert refusal(lambda: backend.resume(missing)) == (unknown, 'no such instance exists')
    assert refusal(lambda: backend.terminate(missing, None, False)) == (
        unknown,
        'failed to submit termination request: no such instance exists',
    )
    assert refusal(lambda: driver.history('missing')) == (
        grpc.StatusCode.NOT_FOUND,
        "workflow instance 'missing' not found",
    )


def test_an_instance_that_has_ended_does_not_mind_what_is_sent_to_it() -> None:
    driver = BackendDriver()
    key = driver.create()
    driver.turn('x', complete(1))
    before = (driver.state('x'), driver.history('x'))
    driver.now += 1

    driver.raise_event('x', 'go')
    driver.backend.suspend(key)
    driver.backend.resume(key)
    driver.backend.terminate(key, '"no"', True)

    assert (driver.state('x'), driver.history('x')) == before
    assert driver.ready == []


def test_an_id_that_is_taken() -> None:
    driver = BackendDriver()
    driver.create()
    taken = grpc.StatusCode.ALREADY_EXISTS
    for is_unique in (False, True):
        code, words = refusal(partial(driver.create, enforceUniqueInstanceId=is_unique))
        assert (code, words.endswith("an active workflow with ID 'x' already exists")) == (taken, True)

    driver.turn('x', complete(1))
    code, words = refusal(lambda: driver.create(enforceUniqueInstanceId=True))
    assert (code, words.endswith('the create enforces instance ID uniqueness')) == (taken, True)
    assert driver.outline('x')[-1] == 'executionCompleted'

    first = driver.state('x').executionId.value
    driver.create(name='again')
    assert (driver.status('x'), driver.history('x')) == ('PENDING', [])
    driver.turn('x')
    assert (driver.state('x').name, driver.status('x')) == ('again', 'RUNNING')
    assert driver.state('x').executionId.value != first
    assert list(driver.backend.list_instance_ids('').instanceIds) == ['x']


def test_an_instance_needs_an_id_and_a_name() -> None:
    driver = BackendDriver()
    assert refusal(lambda: driver.create(''))[0] is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal(lambda: driver.create('x', ''))[0] is grpc.StatusCode.INVALID_ARGUMENT


def test_a_scheduled_instance_is_pending_and_says_nothing_of_itself_until_it_starts() -> None:
    driver = BackendDriver()
    driver.create('x', 'order', '"in"', scheduledStartTimestamp=at(START + 5))
    assert (driver.ready, driver.told) == ([], [('timers_changed', START + 5)])
    assert driver.state('x') == pb.WorkflowState(
        instanceId='x',
        workflowStatus=pb.ORCHESTRATION_STATUS_PENDING,
        createdTimestamp=at(0),
        lastUpdatedTimestamp=at(0),
        scheduledStartTimestamp=at(START + 5),
    )
    assert driver.history('x') == []
    driver.backend.fire_timers()  # too early
    driver.raise_event('x', 'early')
    assert driver.ready == []

    driver.wait_for_timer()

    assert driver.now == START + 5
    turn = driver.turn('x')
    assert kinds(turn.new_events) == ['workflowStarted', 'executionStarted', 'eventRaised']
    assert (driver.status('x'), driver.state('x').name) == ('RUNNING', 'order')
    assert driver.backend.next_timer_at() is None


def test_a_start_in_the_past_is_one_now() -> None:
    driver = BackendDriver()
    driver.create(scheduledStartTimestamp=at(START - 5))
    assert driver.ready == [driver.key('x')]


def test_a_scheduled_instance_that_is_terminated_ends_before_it_starts() -> None:
    driver = BackendDriver()
    key = driver.create(scheduledStartTimestamp=at(START + 5))
    driver.backend.terminate(key, '"no"', False)

    assert (driver.status('x'), driver.state('x').output.value) == ('TERMINATED', '"no"')
    assert driver.told[1:] == [('started', 'x'), ('ended', 'x')]
    assert driver.outline('x') == ['workflowStarted', 'executionStarted', 'executionTerminated', 'executionCompleted']
    driver.now += 10
    driver.backend.fire_timers()
    assert (driver.ready, driver.backend.next_timer_at()) == ([], None)


def test_suspending_and_resuming() -> None:
    driver = BackendDriver()
    key = driver.create()
    driver.turn('x')
    driver.backend.suspend(key, 'wait')
    turn = driver.turn('x')
    assert turn.new_events[1].executionSuspended.input.value == 'wait'
    assert driver.status('x') == 'SUSPENDED'
    driver.raise_event('x', 'go')
    driver.turn('x')
    assert driver.status('x') == 'SUSPENDED'
    driver.backend.resume(key)
    turn = driver.turn('x')
    assert not turn.new_events[1].executionResumed.HasField('input')
    assert driver.status('x') == 'RUNNING'


def test_an_output_may_be_falsy() -> None:
    driver = BackendDriver()
    for instance_id, output in (('a', ''), ('b', None), ('c', '0')):
        driver.create(instance_id)
        driver.turn(instance_id)
        driver.backend.terminate(driver.key(instance_id), output, False)
        driver.turn(instance_id)  # the worker does not honour it
        state = driver.state(instance_id)
        assert driver.status(instance_id) == 'TERMINATED'
        assert (state.output.value if state.HasField('output') else None) == output


def test_pages_of_ids_in_the_order_of_creation() -> None:
    driver = BackendDriver()
    ids = [f'i{number}' for number in range(7)]
    for instance_id in ids:
        driver.create(instance_id)
    backend = driver.backend

    everything = backend.list_instance_ids('')
    assert (list(everything.instanceIds), everything.HasField('continuationToken')) == (ids, False)
    pages, token = [], None
    while True:
        page = backend.list_instance_ids('', token, 3)
        pages.append(list(page.instanceIds))
        if not page.HasField('continuationToken'):
            break
        token = page.continuationToken
    assert pages == [ids[:3], ids[3:6], ids[6:]]
    assert not backend.list_instance_ids('', None, 7).HasField('continuationToken')
    for token in ('x', '-1', '9' * 30, '1.5', '²'):
        code, _ = refusal(partial(backend.list_instance_ids, '', token))
        assert code is grpc.StatusCode.INVALID_ARGUMENT


def test_a_stalled_instance_waits_for_another_worker() -> None:
    driver = BackendDriver()
    driver.create()
    driver.turn('x', schedule(1), version=pb.WorkflowVersion(name='v1'))
    driver.run_activity()
    turn = driver.turn('x', version_not_available())

    assert (driver.status('x'), driver.ready) == ('STALLED', [])
    assert driver.outline('x')[-2:] == ['taskScheduled', 'executionStalled']
    driver.raise_event('x', 'go')
    assert driver.ready == []

    driver.backend.workers_changed('')
    again = driver.turn('x', version_not_available())
    assert kinds(again.new_events) == [*kinds(turn.new_events), 'eventRaised']
    assert kinds(again.past)[-1] == 'executionStalled'
    assert driver.outline('x').count('executionStalled') == 1

    driver.backend.workers_changed('')
    driver.turn('x', complete(2))
    assert driver.status('x') == 'COMPLETED'
    driver.backend.workers_changed('')
    assert driver.ready == []


def test_an_instance_that_stalls_for_its_patches_goes_on_with_the_worker_that_has_them() -> None:
    driver = BackendDriver()
    driver.create()
    driver.turn('x', schedule(1), version=pb.WorkflowVersion(patches=['p']))
    driver.run_activity()
    turn = driver.begin('x')
    other, same = pb.WorkflowResponse(), pb.WorkflowResponse(version=pb.WorkflowVersion(patches=['p', 'q']))
    assert driver.backend.is_stalled_by(turn, other)
    assert not driver.backend.is_stalled_by(turn, same)
    driver.answer(turn, complete(2))
    assert not driver.backend.is_stalled_by(turn, other)  # it is not out any more
    assert (driver.status('x'), driver.ready) == ('STALLED', [])

    driver.backend.workers_changed('')
    driver.turn('x', complete(2), version=same.version)
    assert driver.status('x') == 'COMPLETED'
    assert driver.outline('x')[-4:] == ['executionStalled', 'workflowStarted', 'taskCompleted', 'executionCompleted']


def test_a_worker_that_connects_while_an_instance_stalls_gives_it_another_try() -> None:
    driver = BackendDriver()
    driver.create()
    turn = driver.begin('x')
    driver.backend.workers_changed('')
    driver.answer(turn, version_not_available())
    assert driver.ready == [driver.key('x')]
    driver.turn('x', version_not_available())  # nobody has connected since
    assert driver.ready == []


def test_a_stalled_instance_can_be_terminated_and_abandoned() -> None:
    driver = BackendDriver()
    key = driver.create()
    driver.turn('x', version_not_available())
    driver.backend.workers_changed('')
    driver.backend.abandon_turn(driver.begin('x'))
    assert driver.ready == [key]
    driver.turn('x', version_not_available())

    driver.backend.terminate(key, None, False)
    driver.turn('x', version_not_available())
    assert driver.status('x') == 'TERMINATED'


def test_a_stalled_instance_is_stalled_after_a_restart(tmp_path: Path) -> None:
    driver = BackendDriver(tmp_path / 'emulator.db')
    driver.create()
    driver.turn('x', version_not_available())
    driver.reopen()
    assert (driver.ready, driver.status('x')) == ([], 'STALLED')
    driver.backend.workers_changed('other')
    assert driver.ready == []
    driver.backend.workers_changed('')
    assert kinds(driver.turn('x').new_events) == ['workflowStarted', 'executionStarted']


def test_a_custom_status_outlives_a_stall() -> None:
    driver = BackendDriver()
    driver.create()
    driver.turn('x', timer(1, START + 1), customStatus=wrappers_pb2.StringValue(value='busy'))
    driver.wait_for_timer()
    driver.turn('x', version_not_available())
    assert driver.state('x').customStatus.value == 'busy'


def test_children_say_who_their_parent_is() -> None:
    driver = BackendDriver()
    driver.create()
    driver.turn('x', start_child(1))
    driver.turn('x:0001')
    state = driver.state('x:0001')
    assert (state.parentInstanceId.value, state.parentAppId.value) == ('x', 'app')
