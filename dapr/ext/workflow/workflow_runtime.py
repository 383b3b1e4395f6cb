"""The runtime: what an app registers its workflows and activities with, and what runs them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, TypeVar, overload

from dapr.ext.workflow._durabletask import worker as engine
from dapr.ext.workflow._durabletask.aio.orchestrator import SandboxMode
from dapr.ext.workflow._durabletask.history.stats import HistoryCacheStats, StickyStats
from dapr.ext.workflow._durabletask.internal.arguments import check, check_flag, check_id, count, seconds, wrong_type
from dapr.ext.workflow._durabletask.internal.shared import ClientInterceptor
from dapr.ext.workflow._durabletask.listener import WorkerListener
from dapr.ext.workflow._durabletask.replay.standing import StandingTask
from dapr.ext.workflow._durabletask.status import WorkerStatus
from dapr.ext.workflow.adapters import adapt_activity, adapt_async_workflow, adapt_workflow
from dapr.ext.workflow.client_support import engine_arguments
from dapr.ext.workflow.converter import DataConverter
from dapr.ext.workflow.intercepted import Interceptions
from dapr.ext.workflow.interceptors import RuntimeInterceptor, WorkflowOutboundInterceptor
from dapr.ext.workflow.logger import Logger, LoggerOptions
from dapr.ext.workflow.naming import (
    alternate_name,
    given_name,
    identity_of,
    mark_registered,
    name_of,
    register_name,
)
from dapr.ext.workflow.util import sdk_settings
from dapr.ext.workflow.values.annotations import signature_of
from dapr.ext.workflow.values.payloads import payloads_of

__all__ = ['WorkflowRuntime', 'alternate_name']

F = TypeVar('F', bound=Callable[..., Any])

_READY_SECONDS = 30.0
_SHUTDOWN_SECONDS = 25.0
_LOOK_SECONDS = 0.1


class WorkflowRuntime:
    """Runs the workflows and activities of an app.

    Register them, by decorators or by the `register_` methods, and `start` it; more may be registered while it runs.
    Or use it as a context manager, which starts and stops it.

    Args:
        host: The sidecar's host. None (default): see `util.getAddress`, for the port, too.
        port: The sidecar's gRPC port.
        logger_options: Where log records go, and which. Default: stderr, from INFO on.
        interceptors: Sync gRPC client interceptors for every call. Default: none.
        maximum_concurrent_activity_work_items: Activities at once. Default: 100 for each CPU.
        maximum_concurrent_orchestration_work_items: Workflow turns at once. Default: 100 for each CPU.
        maximum_thread_pool_workers: Threads for sync activities; one whose activity waits for a workflow by the
            client's `wait_for_...` does not count. Default: the number of CPUs plus 4.
        worker_ready_timeout: How long `start` waits for the worker to be ready once it is connected, in seconds.
            Default: 30.
        max_grpc_message_length: The limit of gRPC messages in both directions, in bytes. Default: the engine's own.
        disable_stateful_history: Whether to have the sidecar send whole histories always. Default: False.
        history_cache_ttl: How long an instance without turns is kept, in seconds: its running workflow, or, without
            sticky execution, its history. Default: 3,600.
        history_cache_max_instances: How many instances are kept. Default: 100,000.
        history_cache_max_bytes: How much memory they take, in bytes. Default: no limit.
        disable_sticky_execution: Whether to replay a workflow's history with each of its turns. By default (False) the
            running workflow is kept between its turns, and is given what is new.
        blocked_warning_after: After how many seconds a turn that does not end, or an async activity that blocks the
            event loop, is told in the log, with its stack. None (default): 2; zero or less: never.
        data_converter: How inputs, results and events become payloads, and come back. None (default): as JSON, by what
            annotations say (`JsonDataConverter`).
        listeners: Who is told what the worker does, such as `observability.WorkflowMetrics`. Default: no one.
        runtime_interceptors: What is around the runs of workflows and around activities, see `interceptors`; the first
            one is the outermost. Default: nothing.
        outbound_interceptors: What is around the calls that workflows make. Default: nothing.

    For the other numbers, None, zero or less stand for the default.

    Raises:
        ValueError: A setting cannot be read; the message names it.
        TypeError: An argument is of a wrong type; the message names it, as those of all calls do.
    """

    def __init__(
        self,
        host: str | None = None,
        port: str | int | None = None,
        logger_options: LoggerOptions | None = None,
        interceptors: Sequence[ClientInterceptor] | None = None,
        maximum_concurrent_activity_work_items: int | None = None,
        maximum_concurrent_orchestration_work_items: int | None = None,
        maximum_thread_pool_workers: int | None = None,
        worker_ready_timeout: float | None = None,
        max_grpc_message_length: int | None = None,
        disable_stateful_history: bool = False,
        history_cache_ttl: float | None = None,
        history_cache_max_instances: int | None = None,
        history_cache_max_bytes: int | None = None,
        disable_sticky_execution: bool = False,
        blocked_warning_after: float | None = None,
        *,
        data_converter: DataConverter | None = None,
        listeners: Sequence[WorkerListener] | None = None,
        runtime_interceptors: Sequence[RuntimeInterceptor[Any, Any]] | None = None,
        outbound_interceptors: Sequence[WorkflowOutboundInterceptor[Any, Any]] | None = None,
    ) -> None:
        self._logger = Logger('WorkflowRuntime', logger_options)
        seconds('worker_ready_timeout', worker_ready_timeout)
        seconds('history_cache_ttl', history_cache_ttl)
        seconds('blocked_warning_after', blocked_warning_after)
        history_cache_max_instances = count('history_cache_max_instances', history_cache_max_instances)
        history_cache_max_bytes = count('history_cache_max_bytes', history_cache_max_bytes)
        check_flag('disable_stateful_history', disable_stateful_history)
        check_flag('disable_sticky_execution', disable_sticky_execution)
        self._worker_ready_timeout = _READY_SECONDS if worker_ready_timeout is None else worker_ready_timeout
        self._registered: dict[tuple[str, tuple[int, int]], str] = {}
        self._interceptions = Interceptions(runtime_interceptors, outbound_interceptors)
        self._started = threading.Event()
        arguments = engine_arguments(host, port, logger_options, max_grpc_message_length)
        arguments['stop_timeout'] = _SHUTDOWN_SECONDS
        if blocked_warning_after is not None:
            arguments['blocked_warning_after'] = blocked_warning_after
        if listeners:
            arguments['listeners'] = listeners
        # Looked up on its module each time: tests of other packages put one of their own there.
        self.__worker = engine.TaskHubGrpcWorker(
            **arguments,
            interceptors=interceptors,
            concurrency_options=engine.ConcurrencyOptions(
                maximum_concurrent_activity_work_items,
                maximum_concurrent_orchestration_work_items,
                maximum_thread_pool_workers,
            ),
            disable_stateful_history=disable_stateful_history,
            history_cache_ttl=history_cache_ttl or 0,
            history_cache_max_instances=history_cache_max_instances or 0,
            history_cache_max_bytes=history_cache_max_bytes or 0,
            disable_sticky_execution=disable_sticky_execution,
            payloads=payloads_of(data_converter),
        )

    def __enter__(self) -> WorkflowRuntime:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()

    def register_workflow(self, fn: Callable[..., Any], *, name: str | None = None) -> None:
        """Registers a workflow.

        Args:
            fn: The workflow: a generator that yields tasks, a plain function, or an async one. It takes a
                `DaprWorkflowContext` (an async one: an `aio.AsyncWorkflowContext`) and, or not, an input.
            name: The name that it goes by. None (default): its alternate name, else the function's own.

        Raises:
            ValueError: It or its name is registered already, it has another alternate name, or no name.
            TypeError: It is a class, or cannot be called.
        """
        registered = self._new_name('Workflow', fn, name)
        self._registry.add_named_orchestrator(registered, adapt_workflow(fn, self._interceptions))
        self._note('Workflow', fn, registered)

    def register_async_workflow(
        self, fn: Callable[..., Any], *, name: str | None = None, sandbox_mode: SandboxMode = 'off'
    ) -> None:
        """Registers an async workflow, as `register_workflow` does, also one that does not look like an async function.

        Args:
            fn: The workflow. It takes an `aio.AsyncWorkflowContext` and, or not, an input.
            name: The name that it goes by. None (default): its alternate name, else the function's own.
            sandbox_mode: How it is kept from what no replay can do again. 'off' (default): not at all. 'best_effort':
                `random`, `uuid.uuid4` and the clocks give it deterministic answers. 'strict': and files, sockets, other
                randomness and `asyncio.create_task` are refused.

        Raises:
            ValueError: It or its name is registered already, it has another alternate name, or no name.
            TypeError: It is a class, or cannot be called.
            WorkflowValidationError: There is no such mode.
        """
        registered = self._new_name('Workflow', fn, name)
        self._registry.add_named_orchestrator(registered, adapt_async_workflow(fn, sandbox_mode, self._interceptions))
        self._note('Workflow', fn, registered)

    def register_versioned_workflow(
        self, fn: Callable[..., Any], *, name: str, version_name: str | None = None, is_latest: bool
    ) -> None:
        """Registers one version of a workflow. Instances stay with the version that they were started in.

        Args:
            fn: The workflow, as for `register_workflow`.
            name: The name that all versions go by.
            version_name: The version's name. None (default): the function's.
            is_latest: Whether new instances run this version; the last one registered so is the latest.

        Raises:
            ValueError: It or the version is registered already, it has another alternate name, or no name.
            TypeError: It is a class, or cannot be called.
        """
        if not name:
            raise ValueError('A non-empty orchestrator name is required.')
        check('version_name', version_name, str)
        check_flag('is_latest', is_latest)
        version = version_name or getattr(fn, '__name__', None)
        if not version:
            raise ValueError(f'{fn!r} has no name that its version could go by: give version_name=...')
        registered = self._new_name('Workflow', fn, name)
        self._registry.add_named_orchestrator(
            registered, adapt_workflow(fn, self._interceptions), version_name=version, is_latest=is_latest
        )
        self._note('Workflow', fn, registered)

    def register_activity(self, fn: Callable[..., Any], *, name: str | None = None) -> None:
        """Registers an activity, sync or async.

        Args:
            fn: The activity. It takes a `WorkflowActivityContext` and, or not, an input.
            name: The name that it goes by. None (default): its alternate name, else the function's own.

        Raises:
            ValueError: It or its name is registered already, it has another alternate name, or no name.
            TypeError: It is a class, or cannot be called.
        """
        registered = self._new_name('Activity', fn, name)
        self._registry.add_named_activity(registered, adapt_activity(fn, self._interceptions))
        self._note('Activity', fn, registered)

    @overload
    def workflow(self, __fn: F, *, name: str | None = None) -> F: ...
    @overload
    def workflow(self, __fn: None = None, *, name: str | None = None) -> Callable[[F], F]: ...
    def workflow(self, __fn: Any = None, *, name: str | None = None) -> Any:
        """Decorates a workflow to register it: `@runtime.workflow`, or `@runtime.workflow(name=...)`.

        The function stays what it is. Arguments and errors as for `register_workflow`.
        """
        return _decorate(__fn, lambda fn: self.register_workflow(fn, name=name))

    @overload
    def async_workflow(self, __fn: F, *, name: str | None = None, sandbox_mode: SandboxMode = 'off') -> F: ...
    @overload
    def async_workflow(
        self, __fn: None = None, *, name: str | None = None, sandbox_mode: SandboxMode = 'off'
    ) -> Callable[[F], F]: ...
    def async_workflow(self, __fn: Any = None, *, name: str | None = None, sandbox_mode: SandboxMode = 'off') -> Any:
        """Decorates an async workflow to register it, as `register_async_workflow` does. `workflow` takes them, too."""
        return _decorate(__fn, lambda fn: self.register_async_workflow(fn, name=name, sandbox_mode=sandbox_mode))

    @overload
    def versioned_workflow(self, __fn: F, *, name: str, version_name: str | None = None, is_latest: bool) -> F: ...
    @overload
    def versioned_workflow(
        self, __fn: None = None, *, name: str, version_name: str | None = None, is_latest: bool
    ) -> Callable[[F], F]: ...
    def versioned_workflow(
        self, __fn: Any = None, *, name: str, version_name: str | None = None, is_latest: bool
    ) -> Any:
        """Decorates a version of a workflow to register it, as `register_versioned_workflow` does."""
        return _decorate(
            __fn,
            lambda fn: self.register_versioned_workflow(fn, name=name, version_name=version_name, is_latest=is_latest),
        )

    @overload
    def activity(self, __fn: F, *, name: str | None = None) -> F: ...
    @overload
    def activity(self, __fn: None = None, *, name: str | None = None) -> Callable[[F], F]: ...
    def activity(self, __fn: Any = None, *, name: str | None = None) -> Any:
        """Decorates an activity to register it: `@runtime.activity`, or `@runtime.activity(name=...)`.

        The function stays what it is. Arguments and errors as for `register_activity`.
        """
        # Through the method, which instrumentation replaces.
        return _decorate(__fn, lambda fn: self.register_activity(fn, name=name))

    async def __aenter__(self) -> WorkflowRuntime:
        await self.astart()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.ashutdown()

    def start(self, timeout: float | None = None) -> None:
        """Connects to the sidecar and returns when work is coming.

        While the sidecar can't be reached this waits and tries again; `shutdown`, from another thread, ends the wait.
        Nothing is connected before: workflows and activities can be registered where no sidecar is.

        Args:
            timeout: How long to wait for the sidecar at most, in seconds. None (default): without limit.

        Raises:
            TimeoutError: The time is over; the runtime is shut down, and the message says why it could not connect.
            RuntimeError: It is running already, was shut down before work was coming, or lost its connection at once
                and was not ready again within `worker_ready_timeout`; then it is shut down.
        """
        seconds('timeout', timeout)
        try:
            self.__worker.start(*(() if timeout is None else (timeout,)))
        except Exception:
            self._logger.exception('The worker did not start.')
            raise
        self._started.set()
        # Workers of others that stand in for the engine's may not tell whether they are ready: they have started.
        if hasattr(self.__worker, 'is_worker_ready') and not self.wait_for_worker_ready(self._worker_ready_timeout):
            self.shutdown()
            raise RuntimeError(
                'WorkflowRuntime worker and its stream are not ready: they were not within '
                f'{self._worker_ready_timeout:g} seconds, since the connection to the sidecar was lost again.'
            )
        self._logger.debug('The worker is ready: its stream takes work.')

    def wait_for_worker_ready(self, timeout: float = 30.0) -> bool:
        """Waits until work is coming.

        Args:
            timeout: How long at most, in seconds. Default: 30.

        Returns:
            False when the time is over, or where a worker that stands in for ours cannot tell. Another thread may
            start the runtime meanwhile.
        """
        if timeout is None:
            raise wrong_type('timeout', timeout, 'a number of seconds')
        deadline = time.monotonic() + seconds('timeout', timeout)
        if not hasattr(self.__worker, 'is_worker_ready'):
            return False
        while not self.__worker.is_worker_ready():
            left = min(_LOOK_SECONDS, deadline - time.monotonic())
            if left <= 0:
                self._logger.warning('The worker was not ready for work within %s seconds.', timeout)
                return False
            if self._started.wait(left):
                self.__worker.wait_until_ready(left)
        return True

    def shutdown(self, timeout: float | None = None) -> None:
        """Stops taking work and waits for what is running. It can be started again.

        Activities see at once that it is shutting down (`ctx.is_shutting_down`); async ones that run on are cancelled
        5 s before the end. What keeps it waiting is told in the log.

        Args:
            timeout: How long to wait at most, in seconds. None (default): 25, so that a pod ends within the 30 s that
                Kubernetes gives it.
        """
        seconds('timeout', timeout)
        self._started.clear()
        self.__worker.stop(*(() if timeout is None else (timeout,)))

    async def astart(self, timeout: float | None = None) -> None:
        """`start` for asyncio: it does not block the event loop. Cancelled, it shuts the runtime down.

        Args:
            timeout: As for `start`.

        Raises:
            TimeoutError: As for `start`, as all others.
        """
        try:
            await asyncio.to_thread(self.start, timeout)
        except asyncio.CancelledError:
            await asyncio.shield(asyncio.to_thread(self.shutdown, 0))  # the thread would wait on
            raise

    async def ashutdown(self, timeout: float | None = None) -> None:
        """`shutdown` for asyncio: it does not block the event loop.

        Args:
            timeout: As for `shutdown`.
        """
        await asyncio.to_thread(self.shutdown, timeout)

    def status(self) -> WorkerStatus:
        """What the runtime is doing now: a snapshot, for probes and for people. It may be asked on any thread."""
        return self.__worker.status()

    def standing(self, instance_id: str) -> tuple[StandingTask, ...]:
        """Where a workflow stands that is kept between its turns: file, line and function.

        Args:
            instance_id: The instance id.

        Returns:
            One entry for a generator; one for each task of a workflow in `async def`. Empty when the runtime does not
            keep it: it has ended, runs at this moment, belongs to another worker, or sticky execution is off.
        """
        check_id(instance_id)
        return self.__worker.standing(instance_id)

    @property
    def sticky_execution_stats(self) -> StickyStats:
        """What sticky execution has done since the runtime was made, and what it holds now."""
        return self.__worker.sticky_execution_stats

    @property
    def history_cache_stats(self) -> HistoryCacheStats:
        """The same of the history cache, which is in use under `disable_sticky_execution` alone."""
        return self.__worker.history_cache_stats

    @property
    def _registry(self) -> Any:
        # The worker's own methods refuse while it runs; the registry is made for readers on other threads.
        return self.__worker._registry

    def _new_name(self, kind: str, fn: Callable[..., Any], name: str | None) -> str:
        if fn is None:
            raise ValueError(f'A {kind.lower()} function argument is required.')
        own = getattr(fn, '__name__', repr(fn))
        if isinstance(fn, type) or not callable(fn):
            what = f'the class {own}' if isinstance(fn, type) else repr(fn)
            raise TypeError(
                f'{what} cannot be registered as {"an activity" if kind == "Activity" else "a workflow"}: give a '
                'function, a method, or an object with __call__.'
            )
        check('name', name, str)
        present = given_name(fn)
        registered = self._registered.get((kind, identity_of(fn)))
        if registered is not None:
            raise ValueError(f'{kind} {own} already registered as {registered}')
        if name and present is not None and present != name:
            raise ValueError(f'{kind} {own} already has an alternate name {present}')
        return name or name_of(fn)

    def _note(self, kind: str, fn: Callable[..., Any], name: str) -> None:
        register_name(fn, name)
        mark_registered(fn, kind)
        self._registered[(kind, identity_of(fn))] = name
        for unresolved in signature_of(fn).unresolved:
            self._logger.warning(
                "%s '%s': an annotation cannot be resolved, %s: its values are left as JSON gives them. Import what it "
                'names at run time (not under TYPE_CHECKING), in the module of the function.',
                kind,
                name,
                unresolved,
            )


def _decorate(fn: F | None, register: Callable[[F], None]) -> F | Callable[[F], F]:
    def decorate(fn: F) -> F:
        register(fn)
        return fn

    return decorate if fn is None else decorate(fn)


def __getattr__(name: str) -> Any:
    # Apps reach for the settings of Dapr's SDK through this module, as dapr 1.19.0 has them here.
    if name == 'settings' and (settings := sdk_settings()) is not None:
        return settings
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
