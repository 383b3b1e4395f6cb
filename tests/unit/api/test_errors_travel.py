"""Errors that reach an app can be pickled and copied, as process pools, test runners and error trackers do."""

from __future__ import annotations

import copy
import importlib
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dapr.ext.workflow._durabletask.failures import FailureDetails
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.transport.errors import WorkflowCallError

# Where what an app can catch is defined; those of calls are in test_errors.py. The rooms beside the engine have errors
# of their own that reach nobody.
MODULES = (
    'dapr.ext.workflow',
    'dapr.ext.workflow.mcp',
    'dapr.ext.workflow.testing.errors',
    'dapr.ext.workflow._durabletask.failures',
    'dapr.ext.workflow._durabletask.async_failures',
    'dapr.ext.workflow._durabletask.clients.state',
    'dapr.ext.workflow._durabletask.propagation',
    'dapr.ext.workflow._durabletask.replay.errors',
    'dapr.ext.workflow._durabletask.transport.connection',
)
DETAILS = FailureDetails(
    'm', 'KeyError', 'trace', inner_failure=FailureDetails('n', 'OSError', None), task_name='t', attempt=2
)
# For those whose arguments are no message alone.
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    'TaskFailedError': ('failed', DETAILS),
    'OrchestrationFailedError': ('failed', DETAILS),
    'SandboxViolationError': ('os.urandom', 'ask the context'),
    'WorkflowTerminatedError': ('i', {'a': 1}),
    'DataConversionError': ('expected int', ('items', 2), 'result'),
}


def _errors() -> Iterator[BaseException]:
    found = {}
    for module in MODULES:
        for name, value in vars(importlib.import_module(module)).items():
            if (
                isinstance(value, type)
                and issubclass(value, BaseException)
                and 'dapr' in str(value.__module__)
                and not issubclass(value, WorkflowCallError)
            ):
                found[name] = value
    for name, kind in sorted(found.items()):
        yield kind(*ARGUMENTS.get(name, ('a message',)))


WAYS: list[Callable[[Any], Any]] = [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))]


@pytest.mark.parametrize('way', WAYS, ids=['copy', 'deepcopy', 'pickle'])
@pytest.mark.parametrize('error', list(_errors()), ids=lambda error: type(error).__name__)
def test_an_error_arrives_as_what_it_is(error: BaseException, way: Callable[[Any], Any]) -> None:
    other = way(error)

    assert type(other) is type(error)
    assert (str(other), other.args) == (str(error), error.args)
    ours, theirs = dict(vars(error)), dict(vars(other))
    for key in ('_details', '_failure_details'):
        mine, its = ours.pop(key, None), theirs.pop(key, None)
        if mine is not None:
            assert vars(its) == {**vars(mine), '_inner_failure': its._inner_failure}
            assert vars(its._inner_failure) == vars(mine._inner_failure)
    assert theirs == ours


def test_failures_of_the_wire_travel_too() -> None:
    from dapr.ext.workflow import TaskFailedError

    error = TaskFailedError('failed', pb.TaskFailureDetails(errorType='KeyError', errorMessage='m'))

    assert pickle.loads(pickle.dumps(error)).details.error_type == 'KeyError'
