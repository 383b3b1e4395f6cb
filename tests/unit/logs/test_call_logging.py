"""What workflows and activities log: once, and with the call that it is of."""

from __future__ import annotations

import contextvars
import decimal
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from dapr.ext.workflow import DaprWorkflowContext, WorkflowActivityContext
from dapr.ext.workflow._durabletask.activity import Activities
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.replay.executor import _OrchestrationExecutor
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from dapr.ext.workflow.adapters import adapt_activity, adapt_workflow
from dapr.ext.workflow.logger import ReplaySafeFilter
from tests.support.engine import execution_started, task_completed, task_scheduled, workflow_started
from tests.support.work_items import activity_item

LOGGER = logging.getLogger('tests.logs')


class Recorder(logging.Handler):
    """Keeps what reaches it."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def messages(self) -> list[str]:
        return [record.getMessage() for record in self.records]


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    """Takes all that is logged on our loggers and on the app's `shop`, from INFO on."""
    recorder = Recorder()
    loggers = [logging.getLogger('dapr.workflow'), logging.getLogger('shop')]
    for logger in loggers:
        logger.addHandler(recorder)
        logger.setLevel(logging.INFO)
    yield recorder
    for logger in loggers:
        logger.removeHandler(recorder)
        logger.setLevel(logging.NOTSET)
        logger.filters.clear()


def replay_then_run(workflow: Any) -> None:
    """Runs a workflow of one activity with its first turn in the history, and closes it."""
    registry = _Registry()
    registry.add_named_orchestrator('order', adapt_workflow(workflow))
    started = execution_started('order')
    started.executionStarted.workflowInstance.executionId.value = 'run-1'
    history = [workflow_started(), started, task_scheduled(1, 'charge')]
    _OrchestrationExecutor(registry, LOGGER).execute('order-7', history, [workflow_started(), task_completed(1, 5)])


def test_the_logger_of_a_workflow_is_silent_in_replay_and_says_so(recorder: Recorder) -> None:
    enabled: list[bool] = []

    def order(ctx: DaprWorkflowContext, _: Any) -> Any:
        enabled.append(ctx.logger.isEnabledFor(logging.INFO))
        ctx.logger.info('begun')
        paid = yield ctx.call_activity('charge')
        enabled.append(ctx.logger.isEnabledFor(logging.INFO))
        ctx.logger.info('paid %d', paid, extra={'sum': paid})

    replay_then_run(order)
    assert recorder.messages == ['paid 5']
    assert enabled == [False, True]
    fields = vars(recorder.records[0])
    assert (fields['workflow_name'], fields['instance_id'], fields['execution_id']) == ('order', 'order-7', 'run-1')
    assert (fields['sum'], fields['name'], fields['funcName']) == (5, 'dapr.workflow.workflow', 'order')


def test_a_logger_of_the_app_is_made_replay_safe(recorder: Recorder) -> None:
    def order(ctx: DaprWorkflowContext, _: Any) -> Any:
        log = ctx.create_replay_safe_logger(logging.getLogger('shop'))
        adapted = ctx.create_replay_safe_logger(logging.LoggerAdapter(logging.getLogger('shop'), {'x': 1}))
        log.info('begun')
        adapted.info('begun')
        yield ctx.call_activity('charge')
        log.info('paid')

    replay_then_run(order)
    assert recorder.messages == ['paid']
    assert vars(recorder.records[0])['instance_id'] == 'order-7'


def test_the_filter_makes_any_logger_replay_safe_and_lets_all_else_pass(recorder: Recorder) -> None:
    shop = logging.getLogger('shop')
    shop.addFilter(ReplaySafeFilter())

    def helper(text: str) -> None:
        shop.info(text)

    def order(ctx: DaprWorkflowContext, _: Any) -> Any:
        helper('begun')
        yield ctx.call_activity('charge')
        helper('paid')

    replay_then_run(order)
    helper('elsewhere')
    assert recorder.messages == ['paid', 'elsewhere']
    assert vars(recorder.records[0])['workflow_name'] == 'order'
    assert 'workflow_name' not in vars(recorder.records[1])


def test_blocks_that_run_when_a_workflow_is_closed_log_nothing(recorder: Recorder) -> None:
    def order(ctx: DaprWorkflowContext, _: Any) -> Any:
        try:
            yield ctx.call_activity('charge')
            yield ctx.call_activity('ship')
        finally:
            ctx.logger.info('closing')

    replay_then_run(order)
    assert recorder.messages == []


class Answers:
    def complete_activity(self, response: pb.ActivityResponse) -> bool:
        return True


def activities_of(fn: Any) -> Activities:
    registry = _Registry()
    registry.add_named_activity('charge', adapt_activity(fn))
    return Activities(registry, Answers(), LOGGER)


def item_of(task_id: int, execution_id: str = 'call') -> pb.WorkItem:
    item = activity_item('charge', task_id=task_id)
    item.activityRequest.taskExecutionId = execution_id
    return item


def test_activities_log_with_their_name_task_and_attempt(recorder: Recorder) -> None:
    shop = logging.getLogger('shop')
    shop.addFilter(ReplaySafeFilter())

    def charge(ctx: WorkflowActivityContext) -> None:
        ctx.logger.info('attempt %d', ctx.attempt)
        shop.info('through another logger')
        raise ValueError('declined')

    activities = activities_of(charge)
    # A retry has another task id and the same execution id; a second dispatch of a task is no attempt of its own.
    for task_id, execution_id in [(3, 'call'), (3, 'call'), (5, 'call'), (9, 'other')]:
        activities.serve(item_of(task_id, execution_id))
    assert recorder.messages[::2] == ['attempt 1', 'attempt 1', 'attempt 2', 'attempt 1']
    for record in recorder.records[4:6]:
        fields = vars(record)
        told = [fields[name] for name in ('activity_name', 'instance_id', 'task_id', 'attempt')]
        assert told == ['charge', 'abc', 5, 2]


def test_a_failed_activity_is_told_once_with_its_traceback_and_a_good_one_at_debug(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def charge(ctx: WorkflowActivityContext) -> None:
        if ctx.task_id == 3:
            raise ValueError('declined')

    activities = activities_of(charge)
    with caplog.at_level(logging.DEBUG, LOGGER.name):
        activities.serve(item_of(3))
        activities.serve(item_of(4))
    failed, completed = caplog.records
    assert failed.levelname == 'WARNING'
    assert caplog.text.count("raise ValueError('declined')") == 1
    assert (completed.levelname, 'completed in' in completed.getMessage()) == ('DEBUG', True)


VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar('variable', default='unset')


def test_what_an_activity_sets_in_its_context_is_gone_with_it() -> None:
    seen: list[Any] = []

    def charge(ctx: WorkflowActivityContext) -> None:
        seen.append((VARIABLE.get(), decimal.getcontext().prec))
        VARIABLE.set('activity')
        decimal.getcontext().prec = 5

    token = VARIABLE.set('engine')
    try:
        activities = activities_of(charge)
        activities.serve(item_of(3))
        activities.serve(item_of(4))
    finally:
        VARIABLE.reset(token)
    assert seen == [('unset', 28), ('unset', 28)]
