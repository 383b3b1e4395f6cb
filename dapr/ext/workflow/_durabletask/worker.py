"""The worker: what is registered with it, and its life from start to stop."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import grpc

from dapr.ext.workflow._durabletask.activity import _ActivityExecutor
from dapr.ext.workflow._durabletask.aio.orchestrator import SandboxMode, as_orchestrator, async_orchestrator
from dapr.ext.workflow._durabletask.contexts import get_name
from dapr.ext.workflow._durabletask.dispatch import ConcurrencyOptions
from dapr.ext.workflow._durabletask.history.bounds import DEFAULT_MAX_INSTANCES, DEFAULT_TTL_SECONDS
from dapr.ext.workflow._durabletask.history.cache import _WorkflowHistoryCache
from dapr.ext.workflow._durabletask.history.resolver import _HistoryResolutionError
from dapr.ext.workflow._durabletask.history.stats import HistoryCacheStats, StickyStats
from dapr.ext.workflow._durabletask.history.sticky import StickyInstances
from dapr.ext.workflow._durabletask.internal import shared
from dapr.ext.workflow._durabletask.internal.arguments import seconds
from dapr.ext.workflow._durabletask.internal.grpc_interceptor import DefaultClientInterceptorImpl
from dapr.ext.workflow._durabletask.internal.homes import claim
from dapr.ext.workflow._durabletask.internal.payloads import PLAIN, Payloads
from dapr.ext.workflow._durabletask.listener import Listeners, WorkerListener
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext
from dapr.ext.workflow._durabletask.replay.errors import (
    ActivityNotRegisteredError,
    OrchestratorNotRegisteredError,
    VersionNotRegisteredException,
)
from dapr.ext.workflow._durabletask.replay.executor import _OrchestrationExecutor, close
from dapr.ext.workflow._durabletask.replay.instance import ExecutionResults
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from dapr.ext.workflow._durabletask.replay.standing import StandingTask, standing
from dapr.ext.workflow._durabletask.running import RunningWork
from dapr.ext.workflow._durabletask.status import RunningActivity, RunningTurn, WorkerStatus
from dapr.ext.workflow._durabletask.transport import settings
from dapr.ext.workflow._durabletask.transport.gevent_hint import tell_of_gevent
from dapr.ext.workflow._durabletask.transport.stream import STREAM_CHANNEL_OPTIONS
from dapr.ext.workflow._durabletask.watchdog import DEFAULT_LIMIT_SECONDS
from dapr.ext.workflow._durabletask.worker_run import WorkerRun

__all__ = [
    'ActivityNotRegisteredError',
    'ConcurrencyOptions',
    'ExecutionResults',
    'OrchestratorNotRegisteredError',
    'TaskHubGrpcWorker',
    'VersionNotRegisteredException',
    '_ActivityExecutor',
    '_HistoryResolutionError',
    '_OrchestrationExecutor',
    '_Registry',
    '_RuntimeOrchestrationContext',
    '_WorkflowHistoryCache',
]

claim(
    __name__,
    ActivityNotRegisteredError,
    ConcurrencyOptions,
    ExecutionResults,
    OrchestratorNotRegisteredError,
    VersionNotRegisteredException,
)


class TaskHubGrpcWorker:
    """Runs workflows and activities for one sidecar.

    Register what it runs, then `start` it; or use it as a context manager and start it inside: it is stopped on exit.
    A stopped worker can be started again. All methods may be called from any thread, `stop` from activities too.

    Args:
        host_address: The sidecar's gRPC endpoint as host:port. Default: from the environment, see
            `internal.shared.get_default_host_address`.
        metadata: Key and value pairs that go with every call, beside `DAPR_API_TOKEN`, which they beat. Default: none.
        log_handler: Takes the worker's log records. Default: stderr.
        log_formatter: Formats them.
        secure_channel: Whether to connect by TLS. Default: no.
        interceptors: Sync client interceptors for every call, the stream of work items included.
        concurrency_options: How much runs at once. Default: `ConcurrencyOptions()`.
        channel_options: gRPC channel options, as pairs; they beat those from the environment, key by key.
        stop_timeout: How long `stop` waits for activities and turns that run and for their answers, in seconds.
            Default: 30.
        keepalive_interval: Seconds without a work item after which Hello is said, so that load balancers do not drop
            the connection. Default: 30; zero or less: never.
        disable_stateful_history: Whether to have the sidecar send whole histories always. By default (False) the worker
            keeps the committed history of each instance between turns, and sidecars that can (daprd 1.19 and newer,
            durabletask-go 0.13 and newer) send only what is new (`WORKER_CAPABILITY_STATEFUL_HISTORY`).
        history_cache_ttl: How long an instance without turns is kept, in seconds: its running workflow, or, without
            sticky execution, its history. Default, and for zero or less: 3,600.
        history_cache_max_instances: How many instances are kept. Default, and for zero or less: 100,000.
        history_cache_max_bytes: How much memory they take, in bytes. Default, and for zero or less: no limit.
        disable_sticky_execution: Whether to replay a workflow's history with each of its turns. By default (False) the
            running workflow is kept between its turns, with every sidecar, and is given what is new.
        blocked_warning_after: After how many seconds a turn that does not end, or an async activity that blocks the
            event loop, is told in the log, with its stack. Default: 2; zero or less: never.
        payloads: How values become payloads. Default: as plain JSON.
        listeners: Who is told what the worker does, in this order. Default: no one.

    Raises:
        ValueError: The address, or a variable of the environment, cannot be read; the message says which.
    """

    def __init__(
        self,
        *,
        host_address: str | None = None,
        metadata: Sequence[tuple[str, str]] | None = None,
        log_handler: logging.Handler | None = None,
        log_formatter: logging.Formatter | None = None,
        secure_channel: bool = False,
        interceptors: Sequence[shared.ClientInterceptor] | None = None,
        concurrency_options: ConcurrencyOptions | None = None,
        channel_options: Sequence[tuple[str, Any]] | None = None,
        stop_timeout: float = 30.0,
        keepalive_interval: float = 30.0,
        disable_stateful_history: bool = False,
        history_cache_ttl: float = DEFAULT_TTL_SECONDS,
        history_cache_max_instances: int = DEFAULT_MAX_INSTANCES,
        history_cache_max_bytes: int = 0,
        disable_sticky_execution: bool = False,
        blocked_warning_after: float = DEFAULT_LIMIT_SECONDS,
        payloads: Payloads = PLAIN,
        listeners: Sequence[WorkerListener] | None = None,
    ) -> None:
        self._registry = _Registry(payloads)
        self._logger = shared.get_logger('worker', log_handler, log_formatter)
        # Read now: what is wrong with it shall show where the worker is made, not at its start.
        self._host_address = host_address or shared.get_default_host_address()
        settings.parse_endpoint(self._host_address)
        self._secure_channel = secure_channel
        self._interceptors = list(interceptors or ())
        outgoing = settings.outgoing_metadata(metadata)
        if outgoing:
            self._interceptors.append(DefaultClientInterceptorImpl(outgoing))
        self._concurrency_options = concurrency_options or ConcurrencyOptions()
        self._channel_options = list(channel_options or ())
        given = {key for key, _ in self._channel_options}
        self._channel_options.extend(option for option in STREAM_CHANNEL_OPTIONS if option[0] not in given)
        self._stop_timeout = max(0.0, stop_timeout)
        self._listeners = Listeners(listeners, self._logger) if listeners else None
        self._blocked_warning_after = blocked_warning_after
        self._keepalive_interval = keepalive_interval
        self._disable_stateful_history = disable_stateful_history
        self._history_cache = _WorkflowHistoryCache(
            ttl=history_cache_ttl, max_instances=history_cache_max_instances, max_bytes=history_cache_max_bytes
        )
        self._disable_sticky_execution = disable_sticky_execution
        self._sticky = StickyInstances(
            lambda instance: close(instance, self._logger),
            ttl=history_cache_ttl,
            max_instances=history_cache_max_instances,
            max_bytes=history_cache_max_bytes,
        )
        self._lock = threading.Lock()
        self._run: WorkerRun | None = None

    @property
    def concurrency_options(self) -> ConcurrencyOptions:
        """How much runs at once."""
        return self._concurrency_options

    @property
    def history_cache_stats(self) -> HistoryCacheStats:
        """What the history cache has done since the worker was made, and what it holds now. All of it stays zero with
        `disable_stateful_history`. With sticky execution histories are not kept, but fetched when a workflow that is
        not there has to be replayed."""
        return self._history_cache.stats

    @property
    def sticky_execution_stats(self) -> StickyStats:
        """What sticky execution has done since the worker was made, and what it holds now. All of it stays zero with
        `disable_sticky_execution`."""
        return self._sticky.stats

    def add_orchestrator(self, fn: Callable[..., Any]) -> str:
        """Registers a workflow, a generator or an async function, under its function's name, which it returns.

        Raises:
            RuntimeError: The worker is running.
            ValueError: The name is taken, or there is none.
        """
        self._check_not_running('Orchestrators')
        return self._registry.add_orchestrator(fn if fn is None else as_orchestrator(fn))

    def add_async_orchestrator(
        self, fn: Callable[..., Any], *, name: str | None = None, sandbox_mode: SandboxMode = 'off'
    ) -> str:
        """Registers an async workflow, also one that does not look like an async function, and returns its name.

        Args:
            fn: The workflow. It takes an `AsyncWorkflowContext` and an input.
            name: The name that it goes by. None (default): the function's.
            sandbox_mode: How it is kept from what no replay can do again: 'off' (default), 'best_effort' or 'strict'.

        Raises:
            RuntimeError: The worker is running.
            ValueError: The name is taken, or there is none.
            WorkflowValidationError: There is no such mode.
        """
        self._check_not_running('Orchestrators')
        if fn is None:
            raise ValueError('An orchestrator function argument is required.')
        registered = name or get_name(fn)
        self._registry.add_named_orchestrator(registered, async_orchestrator(fn, sandbox_mode=sandbox_mode))
        return registered

    def add_activity(self, fn: Callable[..., Any]) -> str:
        """Registers an activity, sync or async, under its function's name, which it returns. Errors as above."""
        self._check_not_running('Activities')
        return self._registry.add_activity(fn)

    def start(self, timeout: float | None = None) -> None:
        """Connects to the sidecar and returns when its work items are coming.

        While the sidecar can't be reached this waits and tries again, with delays of up to 15 s; each failed attempt is
        logged. `stop`, from another thread, ends the wait.

        Args:
            timeout: How long to wait at most, in seconds. None (default): without limit.

        Raises:
            TimeoutError: The time is over; the worker is stopped, and the message says why it could not connect.
            RuntimeError: The worker is running already, or was stopped before the stream was open.
            ValueError: A setting of the channel can't be read.
        """
        seconds('timeout', timeout)
        with self._lock:
            if self._run is not None:
                raise RuntimeError('The worker is already running. Stop it before it is started again.')
            run = WorkerRun(
                self._registry,
                self._connect,
                self._concurrency_options,
                self._logger,
                None if self._disable_stateful_history else self._history_cache,
                None if self._disable_sticky_execution else self._sticky,
                address=self._host_address,
                keepalive_interval=self._keepalive_interval,
                blocked_warning_after=self._blocked_warning_after,
                listeners=self._listeners,
            )
            # Before it starts: that it is connected may be told at any moment after.
            self._logger.info("Starting a worker for the sidecar at '%s'.", self._host_address)
            if self._listeners is not None:
                self._listeners.worker_started(self)
            try:
                run.start()
            except BaseException:
                if self._listeners is not None:
                    self._listeners.worker_stopped(self)
                raise
            self._run = run
        try:
            is_open = run.stream.wait_until_open(timeout)
        except BaseException:  # Ctrl-C while it waits
            self.stop()
            raise
        if not is_open and not run.is_stopping:
            self.stop()
            reason = run.stream.last_error or 'it has not answered yet'
            raise TimeoutError(
                f"The sidecar at '{self._host_address}' sent no work items within {timeout:g} s: {reason}."
            )
        if not is_open:
            raise RuntimeError(
                'Worker was stopped before the work item stream was established: the sidecar at '
                f"'{self._host_address}' sent it no work items."
            )

    def stop(self, timeout: float | None = None) -> None:
        """Stops taking work, waits for what is running and its answers, and ends every thread of the worker.

        Takes at most the given time, and a moment. Activities see at once that the worker is stopping; async ones that
        run on are cancelled shortly before the end, and threads whose code does not return are named in the log and
        left behind. What keeps it waiting is told at once, and every few seconds. Does nothing on a worker that is not
        running; while another thread stops it, waits with it.

        Args:
            timeout: In seconds. None (default): `stop_timeout`.
        """
        with self._lock:  # a start that has begun is ended, however far it is
            run = self._run
        if run is not None:
            run.stop(self._stop_timeout if timeout is None else max(0.0, timeout))
            with self._lock:
                is_first = self._run is run
                if is_first:
                    self._run = None
            if is_first and self._listeners is not None:
                self._listeners.worker_stopped(self)

    def is_worker_ready(self) -> bool:
        """Whether work items are coming: False before the start, after the stop, and while cut off from the sidecar."""
        run = self._run
        return run is not None and not run.is_stopping and run.stream.is_open()

    def status(self) -> WorkerStatus:
        """What the worker is doing now. It may be asked at any time, on any thread."""
        run = self._run
        now = time.monotonic()
        running = RunningWork() if run is None else run.running
        is_running = run is not None and not run.is_stopping
        return WorkerStatus(
            is_running=is_running,
            is_connected=self.is_worker_ready(),
            is_alive=run is None or run.is_stopping or run.is_alive(),
            address=self._host_address,
            connected_for=run.stream.open_for() if run is not None and is_running else None,
            cut_off_for=run.stream.cut_off_for() if run is not None and is_running else None,
            last_error=None if run is None else run.stream.last_error,
            turns=tuple(RunningTurn(turn.name, turn.instance_id, now - turn.started) for turn in running.turns()),
            activities=tuple(
                RunningActivity(work.name, work.instance_id, work.task_id, now - work.started, work.is_async)
                for work in running.activities()
            ),
            waiting_turns=0 if run is None else run.dispatcher.waiting_turns(),
            waiting_activities=0 if run is None else run.dispatcher.waiting_activities(),
            sticky=self._sticky.stats,
            history_cache=self._history_cache.stats,
            slots=run.dispatcher.slots() if run is not None and is_running else (),
        )

    def standing(self, instance_id: str) -> tuple[StandingTask, ...]:
        """Where a workflow stands that is kept between its turns: file, line and function.

        Args:
            instance_id: The instance id.

        Returns:
            One entry for a generator; one for each task of a workflow in `async def`. Empty when the worker does not
            keep it: it has ended, runs at this moment, belongs to another worker, or sticky execution is off.
        """
        instance = self._sticky.peek(instance_id)
        return () if instance is None else standing(instance)

    def wait_until_ready(self, timeout: float | None = None) -> bool:
        """Waits until `is_worker_ready()`.

        Args:
            timeout: How long at most, in seconds; None (default): without limit.

        Returns:
            False when the time is over, or the worker is not running.
        """
        run = self._run
        return run is not None and run.stream.wait_until_open(timeout)

    def __enter__(self) -> TaskHubGrpcWorker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _check_not_running(self, what: str) -> None:
        if self._run is not None:
            raise RuntimeError(f'{what} cannot be added while the worker is running. Add them before `start`.')

    def _connect(self) -> grpc.Channel:
        tell_of_gevent(self._logger)
        # Looked up on its module each time: packages replace it to make channels of their own.
        return shared.get_grpc_channel(
            self._host_address, self._secure_channel, self._interceptors, options=self._channel_options
        )
