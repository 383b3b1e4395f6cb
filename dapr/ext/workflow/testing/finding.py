"""Finds the workflows of an app by the names of its modules, for tools that are started from a shell.

A specification is `package.module`, which stands for all that the module has, or `package.module:name`, for what is
there: a `WorkflowRuntime`, a workflow, or several in a list, tuple, set or dict (by name).

Of a module these are taken: what is registered with its runtimes, with all versions; functions that are registered with
a runtime elsewhere; and functions whose first parameter is annotated with a workflow's context.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any, Final

from dapr.ext.workflow._durabletask.aio.context import BaseAsyncWorkflowContext
from dapr.ext.workflow.naming import name_of
from dapr.ext.workflow.testing.replayer import Replayer
from dapr.ext.workflow.workflow_context import WorkflowContext
from dapr.ext.workflow.workflow_runtime import WorkflowRuntime

__all__ = ['NoWorkflows', 'add_workflows', 'replayer_of']

_CONTEXTS: Final = (WorkflowContext, BaseAsyncWorkflowContext)


class NoWorkflows(ValueError):
    """A specification cannot be imported, or stands for no workflow."""


def replayer_of(specifications: Iterable[str], *, compare_payloads: bool = False) -> Replayer:
    """A replayer of the workflows that specifications stand for.

    Args:
        specifications: The specifications; each may hold several, separated by commas or spaces.
        compare_payloads: As of `Replayer`.

    Raises:
        NoWorkflows: One cannot be imported, stands for no workflow, or for another one of a name that there is.
    """
    replayer = Replayer(compare_payloads=compare_payloads)
    for specification in specifications:
        for each in specification.replace(',', ' ').split():
            add_workflows(replayer, _value_of(each), each)
    return replayer


def add_workflows(replayer: Replayer, value: Any, specification: str) -> None:
    """Adds the workflows that a value stands for to a replayer.

    Args:
        replayer: The replayer.
        value: A module, a runtime, a workflow, or several.
        specification: What the value was found by, for messages.

    Raises:
        NoWorkflows: It stands for none, or for another one of a name that there is.
    """
    found = [*_in(value)]
    if not found:
        raise NoWorkflows(
            f"'{specification}' has no workflows: no WorkflowRuntime, and no function whose first parameter is "
            'annotated with DaprWorkflowContext or AsyncWorkflowContext.'
        )
    for _, each in found:
        if isinstance(each, WorkflowRuntime):
            replayer.register_all_of(each)
    for name, each in found:
        if isinstance(each, WorkflowRuntime) or _has(replayer, name, each):
            continue
        try:
            replayer.register_workflow(each, name=name)
        except (TypeError, ValueError) as error:
            raise NoWorkflows(f"'{specification}': {error}") from error


def _value_of(specification: str) -> Any:
    module_name, _, attributes = specification.partition(':')
    try:
        value: Any = importlib.import_module(module_name)
    except Exception as error:
        raise NoWorkflows(
            f"'{specification}' cannot be imported: {type(error).__name__}: {error}. It must be a module as in an "
            'import, such as app.workflows, perhaps with a name in it, such as app.workflows:runtime.'
        ) from error
    for attribute in filter(None, attributes.split('.')):
        try:
            value = getattr(value, attribute)
        except AttributeError as error:
            raise NoWorkflows(f"'{specification}' cannot be imported: {error}.") from error
    return value


def _in(value: Any) -> Iterator[tuple[str | None, Any]]:
    """The runtimes and workflows that a value stands for; a workflow with the name that it is given there, if any."""
    if isinstance(value, ModuleType):
        seen: set[int] = set()
        for each in vars(value).values():
            if id(each) not in seen and (isinstance(each, WorkflowRuntime) or _is_workflow(each)):
                seen.add(id(each))
                yield None, each
    elif isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield None, each
    elif isinstance(value, WorkflowRuntime) or callable(value):
        yield None, value


def _is_workflow(value: Any) -> bool:
    if not inspect.isroutine(value):
        return False
    if getattr(value, '_workflow_registered', False):
        return True
    try:
        parameters: Iterable[inspect.Parameter] = _signature(value).parameters.values()
    except (TypeError, ValueError):
        return False
    first = next(iter(parameters), None)
    annotation: Any = None if first is None else first.annotation
    if isinstance(annotation, str):  # of a name that is not there at run time
        return annotation.rpartition('.')[2].endswith('WorkflowContext')
    # In Python 3.10 list[str] passes for an instance of type.
    return issubclass(type(annotation), type) and issubclass(annotation, _CONTEXTS)


def _signature(fn: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(fn, eval_str=True)
    except Exception:  # an annotation that cannot be evaluated
        return inspect.signature(fn)


def _has(replayer: Replayer, name: str | None, fn: Callable[..., Any]) -> bool:
    """Whether this very workflow is there already, under its name: modules import each other's."""
    registry = replayer._registry
    try:
        name = name or name_of(fn)
    except (TypeError, ValueError):
        return False
    known = [registry.orchestrators.get(name), *registry.versioned_orchestrators.get(name, {}).values()]
    return any(each is not None and inspect.unwrap(each) is inspect.unwrap(fn) for each in known)
