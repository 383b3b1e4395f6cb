"""The runtimes of an environment, by app, and what is registered with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from dapr.ext.workflow.naming import name_of
from dapr.ext.workflow.workflow_runtime import WorkflowRuntime

__all__ = ['Function', 'Functions', 'Runtimes', 'ensure_started', 'register']

Function: TypeAlias = Callable[..., Any]
Functions: TypeAlias = Iterable[Function] | Mapping[str, Function]


class Runtimes:
    """Those that an environment has made, until it shuts them down."""

    def __init__(self) -> None:
        self._by_app: dict[str, list[WorkflowRuntime]] = {}

    def add(self, app_id: str, runtime: WorkflowRuntime) -> None:
        """Adds one to an app."""
        self._by_app.setdefault(app_id, []).append(runtime)

    def latest(self, app_id: str) -> WorkflowRuntime | None:
        """The one that was made last for an app."""
        runtimes = self._by_app.get(app_id)
        return runtimes[-1] if runtimes else None

    def running_apps(self) -> list[str]:
        """The apps that have one which runs."""
        return [app for app, runtimes in self._by_app.items() if any(_is_running(runtime) for runtime in runtimes)]

    def shutdown(self) -> None:
        """Shuts all of them down."""
        for runtimes in self._by_app.values():
            for runtime in runtimes:
                runtime.shutdown()
        self._by_app.clear()


def ensure_started(runtime: WorkflowRuntime) -> None:
    """Starts one that does not run."""
    if not _is_running(runtime):
        runtime.start()


def register(runtime: WorkflowRuntime, workflows: Functions, activities: Functions) -> None:
    """Registers what is not registered yet.

    Raises:
        ValueError: Something cannot be registered.
    """
    registry = runtime._registry
    for name, fn in _named(workflows):
        wanted = name or name_of(fn)
        if _is_new(fn, registry.orchestrators.get(wanted)) and wanted not in registry.versioned_orchestrators:
            runtime.register_workflow(fn, name=name)
    for name, fn in _named(activities):
        if _is_new(fn, registry.activities.get(name or name_of(fn))):
            runtime.register_activity(fn, name=name)


def _is_running(runtime: WorkflowRuntime) -> bool:
    return runtime.status().is_connected


def _is_new(fn: Function, registered: Any) -> bool:
    return registered is None or getattr(registered, '__wrapped__', None) is not fn


def _named(functions: Functions) -> Iterator[tuple[str | None, Function]]:
    if isinstance(functions, Mapping):
        yield from functions.items()
    else:
        for fn in functions:
            yield None, fn
