"""The modes that the whole suite can be run in: DAPR_TEST_MODE names one, and empty stands for the first.

A mode changes what workers do by default. A test that sets an option itself keeps it; one that is about a way of
working, and so sets all of them, is marked `own_mode` and left alone.
"""

from __future__ import annotations

import inspect
import os
from typing import Any

import pytest

VARIABLE = 'DAPR_TEST_MODE'

# What differs from the defaults; 'evict' and 'verify' are the first mode otherwise.
_OPTIONS: dict[str, dict[str, bool]] = {
    'delta-sticky': {},
    'delta-replay': {'disable_sticky_execution': True},
    'full-sticky': {'disable_stateful_history': True},
    'full-replay': {'disable_stateful_history': True, 'disable_sticky_execution': True},
    'evict': {},
    'verify': {},
}


def current() -> str:
    """The mode of this run.

    Raises:
        pytest.UsageError: There is no such mode.
    """
    mode = os.environ.get(VARIABLE) or 'delta-sticky'
    if mode not in _OPTIONS:
        raise pytest.UsageError(f'{VARIABLE} is {mode!r}; the modes are {", ".join(_OPTIONS)}')
    return mode


def enter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has workers work in the mode of this run, until the monkeypatch is undone."""
    mode = current()
    if mode == 'delta-sticky':
        return
    from dapr.ext.workflow import WorkflowRuntime
    from dapr.ext.workflow._durabletask import worker
    from dapr.ext.workflow._durabletask.history.sticky import StickyInstances

    for made in (worker.TaskHubGrpcWorker, WorkflowRuntime):
        _change_defaults(monkeypatch, vars(made)['__init__'], _OPTIONS[mode])
    if mode == 'verify':
        monkeypatch.setenv('DAPR_WF_VERIFY_REPLAY', '1')
    if mode == 'evict':

        class Evicting(StickyInstances):
            """Throws everything away before each turn."""

            def resume(self, *turn: Any) -> Any:
                self.reset()
                return super().resume(*turn)

        monkeypatch.setattr(worker, 'StickyInstances', Evicting)


def _change_defaults(monkeypatch: pytest.MonkeyPatch, function: Any, changed: dict[str, bool]) -> None:
    parameters = inspect.signature(function).parameters.values()
    defaults = {p.name: changed.get(p.name, p.default) for p in parameters if p.default is not p.empty}
    keyword_only = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
    positional = tuple(value for name, value in defaults.items() if name not in keyword_only)
    monkeypatch.setattr(function, '__defaults__', positional or None)
    monkeypatch.setattr(function, '__kwdefaults__', {name: defaults[name] for name in keyword_only & set(defaults)})
