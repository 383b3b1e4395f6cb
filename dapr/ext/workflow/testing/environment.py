"""The environment: workflows run as in production, on a sidecar and by a clock that are the test's."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from os import PathLike
from types import TracebackType
from typing import Any, TypeVar

from dapr.ext.workflow.aio.dapr_workflow_client import DaprWorkflowClient as AsyncDaprWorkflowClient
from dapr.ext.workflow.converter import DataConverter
from dapr.ext.workflow.dapr_workflow_client import DaprWorkflowClient
from dapr.ext.workflow.emulator.serving.losses import Losses
from dapr.ext.workflow.naming import name_of
from dapr.ext.workflow.testing import defaults
from dapr.ext.workflow.testing.clients import AsyncEnvironmentClient, EnvironmentClient
from dapr.ext.workflow.testing.errors import WorkflowTerminatedError
from dapr.ext.workflow.testing.hanging import what_hangs
from dapr.ext.workflow.testing.limits import DEFAULT_LIMIT, TimeLimit
from dapr.ext.workflow.testing.mocks import UNSET, Mock, Mocks
from dapr.ext.workflow.testing.places import EmulatedPlace, LocalPlace, Place, SidecarPlace
from dapr.ext.workflow.testing.runtimes import Function, Functions, Runtimes, ensure_started, register
from dapr.ext.workflow.testing.standins import EnvironmentStandIns
from dapr.ext.workflow.values.annotations import result_type
from dapr.ext.workflow.workflow_runtime import WorkflowRuntime
from dapr.ext.workflow.workflow_state import WorkflowState, WorkflowStatus

__all__ = ['WorkflowEnvironment']

Self = TypeVar('Self', bound='WorkflowEnvironment')


class WorkflowEnvironment:
    """Runs workflows for tests. Make one by `start_time_skipping`, `start_local` or `from_client`, and use it in `with`
    or `async with`:

        with WorkflowEnvironment.start_time_skipping() as env:
            assert env.run(order, input='a lamp', activities=[price]) == 'a lamp for 99'

    Several environments can be used at once. What blocks has a twin for asyncio: `run` and `arun`, `sleep` and
    `asleep`, `client` and `aio_client`.

    Args:
        place: Where workflows run.
        time_limit: How long a wait may take, in seconds of real time, before it is taken for one that hangs; None: as
            long as it likes.
        always_replay: Whether runtimes replay the whole history with each turn, in place of keeping the workflow. None
            (default): where pytest runs with --workflow-always-replay.
        data_converter: What the runtimes and the clients turn values into payloads with. Default: JSON.
    """

    def __init__(
        self,
        place: Place,
        *,
        time_limit: float | None = DEFAULT_LIMIT,
        always_replay: bool | None = None,
        data_converter: DataConverter | None = None,
    ) -> None:
        self._place = place
        self._data_converter = data_converter
        self._limit = TimeLimit(time_limit, self._what_hangs)
        self._always_replay = defaults.always_replay if always_replay is None else always_replay
        self._mocks = Mocks()
        self._mocked_functions: dict[tuple[str, str], Function] = {}
        self._lock = threading.Lock()
        self._runtimes = Runtimes()
        self._client: EnvironmentClient | None = None
        self._aio_client: AsyncEnvironmentClient | None = None
        self._is_open = False

    @classmethod
    def start_time_skipping(
        cls: type[Self],
        *,
        start_at: datetime | None = None,
        apps: Sequence[str] = (),
        db: str | PathLike[str] | None = None,
        time_limit: float | None = DEFAULT_LIMIT,
        always_replay: bool | None = None,
        data_converter: DataConverter | None = None,
    ) -> Self:
        """An environment whose time is skipped; the rule is in the package's documentation.

        Args:
            start_at: What the clock shows first (without a time zone: UTC). None (default): now, in whole seconds.
            apps: The apps that take part, each with a sidecar of its own. Default: one app, which takes the calls to
                others, too.
            db: A file that keeps the workflows. None (default): they are forgotten.
            time_limit: How long a wait may take, in seconds of real time; it then raises `WorkflowHangsError`. Default:
                30. None: as long as it likes.
            always_replay: Whether each turn replays the whole history, so that code that does not do the same again is
                found. None (default): the workflow is kept as in production, unless pytest runs with
                --workflow-always-replay.
            data_converter: What the runtimes and the clients of the environment turn values into payloads with, as in
                `WorkflowRuntime`. None (default): `JsonDataConverter`.
        """
        return cls(
            EmulatedPlace(start_at, db, apps),
            time_limit=time_limit,
            always_replay=always_replay,
            data_converter=data_converter,
        )

    @classmethod
    def start_local(
        cls: type[Self],
        db: str | PathLike[str] | None = None,
        *,
        apps: Sequence[str] = (),
        time_limit: float | None = DEFAULT_LIMIT,
        always_replay: bool | None = None,
        data_converter: DataConverter | None = None,
    ) -> Self:
        """An environment with an emulator of its own, in real time. Arguments as for `start_time_skipping`."""
        return cls(
            LocalPlace(db, apps),
            time_limit=time_limit,
            always_replay=always_replay,
            data_converter=data_converter,
        )

    @classmethod
    def from_client(
        cls: type[Self],
        client: DaprWorkflowClient,
        *,
        time_limit: float | None = DEFAULT_LIMIT,
        always_replay: bool | None = None,
        data_converter: DataConverter | None = None,
    ) -> Self:
        """An environment on a sidecar that is running, in real time: the one of a client, which stays open.

        What is on the sidecar stays there. Failures that the sidecar has to take part in cannot be ordered.

        Raises:
            ValueError: The client does not know its sidecar's address.
        """
        if client.address is None:
            raise ValueError('the client was given a channel, and does not know the address of its sidecar')
        return cls(
            SidecarPlace(client.address),
            time_limit=time_limit,
            always_replay=always_replay,
            data_converter=data_converter,
        )

    # -- life ----------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Starts the sidecar, if it is the environment's own. `with` does it.

        Raises:
            RuntimeError: It is started already.
        """
        if self._is_open:
            raise RuntimeError('the environment is started already')
        self._place.start()
        self._is_open = True

    def close(self) -> None:
        """Ends the runtimes, the clients and the sidecar; `with` does it. A second call does nothing.

        A client that was used by asyncio is closed by `aclose`.
        """
        if not self._is_open:
            return
        self._is_open = False
        client, self._client = self._client, None
        if client is not None:
            client.close()  # whoever waits by it, in an activity, is let go
        self._place.end_sleeps()
        self._runtimes.shutdown()
        self._place.stop()

    async def aclose(self) -> None:
        """The same for asyncio."""
        client, self._aio_client = self._aio_client, None
        if client is not None:
            await client.aclose()
        await asyncio.get_running_loop().run_in_executor(None, self.close)

    def __enter__(self: Self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self: Self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    # -- what runs, and who asks for it --------------------------------------------------------------------------------

    @property
    def client(self) -> DaprWorkflowClient:
        """A client; with several apps, that of the first one. Its waits end when the test hangs."""
        with self._lock:
            if self._client is None:
                host, port = self._host_and_port(self._place.app_names[0])
                self._client = EnvironmentClient(
                    host, port, self._limit.waiting, self._limit.seconds, self._data_converter
                )
            return self._client

    @property
    def aio_client(self) -> AsyncDaprWorkflowClient:
        """The same for asyncio."""
        with self._lock:
            if self._aio_client is None:
                host, port = self._host_and_port(self._place.app_names[0])
                self._aio_client = AsyncEnvironmentClient(
                    host, port, self._limit.waiting, self._limit.seconds, self._data_converter
                )
            return self._aio_client

    def address_of(self, app: str | None = None) -> str:
        """Where the sidecar is, as host:port, for clients and runtimes of other making.

        Args:
            app: The app whose sidecar it is. None (default): the first one.

        Raises:
            ValueError: There is no such app.
        """
        return self._place.address_of(self._app(app))

    def runtime(
        self,
        *,
        workflows: Functions = (),
        activities: Functions = (),
        like: WorkflowRuntime | None = None,
        app: str | None = None,
        always_replay: bool | None = None,
        **options: Any,
    ) -> WorkflowRuntime:
        """A runtime, to be started; the environment shuts it down at its end, at the latest.

        Args:
            workflows: What it runs, by functions, or by names and functions.
            activities: The same for activities.
            like: An app's own runtime: what is registered with that is registered here, too.
            app: The app that it belongs to. None (default): the first one.
            always_replay: As for the environment. None (default): as there.
            options: What else `WorkflowRuntime` takes.

        Raises:
            ValueError: There is no such app, or something cannot be registered.
        """
        app_id = self._app(app)
        host, port = self._host_and_port(app_id)
        if self._always_replay if always_replay is None else always_replay:
            options['disable_sticky_execution'] = True
        options.setdefault('data_converter', self._data_converter)
        runtime = WorkflowRuntime(host, port, **options)
        registry = runtime._registry
        if like is not None:
            registry.copy_from(like._registry)
        EnvironmentStandIns(app_id, self._mocks, self._mocked_functions, self._sleep_unlimited).attach(registry)
        register(runtime, workflows, activities)
        self._runtimes.add(app_id, runtime)
        return runtime

    def run(
        self,
        workflow: Function | str,
        *,
        input: Any = None,
        activities: Functions = (),
        workflows: Functions = (),
        instance_id: str | None = None,
    ) -> Any:
        """Runs a workflow to its end: the test in one line.

        It runs on the runtime that `runtime` has made last, if there is one, else on one that is made for it; what that
        lacks of the functions is registered, and it is started if it is not.

        Args:
            workflow: The workflow, or its name.
            input: Its input.
            activities: The activities that it calls, by functions, or by names and functions; those that are mocked
                need not be here.
            workflows: The child workflows, likewise.
            instance_id: Its instance id. None (default): a new one.

        Returns:
            Its output, as what the workflow's annotation says.

        Raises:
            OrchestrationFailedError: It has failed.
            WorkflowTerminatedError: It was terminated.
            WorkflowHangsError: It has not ended within the limit of real time; the message says what it waits for.
        """
        self._prepare(workflow, workflows, activities)
        started = self.client.schedule_new_workflow(workflow, input=input, instance_id=instance_id)
        return _outcome(self.client.wait_for_workflow_completion(started), workflow)

    async def arun(
        self,
        workflow: Function | str,
        *,
        input: Any = None,
        activities: Functions = (),
        workflows: Functions = (),
        instance_id: str | None = None,
    ) -> Any:
        """The same for asyncio."""
        self._prepare(workflow, workflows, activities)
        started = await self.aio_client.schedule_new_workflow(workflow, input=input, instance_id=instance_id)
        return _outcome(await self.aio_client.wait_for_workflow_completion(started), workflow)

    # -- time ----------------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """What the clock shows (naive, UTC, as all times of this API)."""
        return self._place.now()

    def sleep(self, duration: timedelta | float) -> None:
        """Sleeps by the clock, in a test or an activity. What is due until then has happened when it returns.

        Args:
            duration: How long; a number is seconds.

        Raises:
            WorkflowHangsError: There was something else to do for longer than the limit of real time.
        """
        with self._limit.sleeping():
            self._place.sleep(_seconds(duration), self._limit.seconds)

    async def asleep(self, duration: timedelta | float) -> None:
        """The same for asyncio."""
        with self._limit.sleeping():
            await self._place.asleep(_seconds(duration), self._limit.seconds)

    @contextlib.contextmanager
    def auto_time_skipping_disabled(self) -> Iterator[None]:
        """A context in which no time is skipped: it goes by as real time does. After it, time is skipped again."""
        self._place.pause()
        try:
            yield
        finally:
            self._place.resume()

    # -- stand-ins -----------------------------------------------------------------------------------------------------

    def mock_activity(
        self,
        activity: Function | str,
        *,
        returns: Any = UNSET,
        raises: BaseException | type[BaseException] | None = None,
        side_effect: Function | Iterable[Any] | None = None,
        times: int | None = None,
        takes: timedelta | None = None,
        app: str | None = None,
    ) -> Mock[Any, Any]:
        """Has something stand in for an activity, registered or not, from its next call on.

        Of several for one activity, those for a number of calls (`times`) answer first, in order; then the latest of
        the others; then the activity itself.

        Args:
            activity: The activity, or its name. Given the function, or where one is registered, the input is read by
                its annotation.
            returns: What it returns. Default: None.
            raises: What it raises.
            side_effect: What is called in its place, with the input, or with context and input, or with nothing, as it
                takes them; sync or async. Or values, one for each call; an exception among them is raised.
            times: How many calls it answers. None (default): all.
            takes: How long a call takes, by the environment's clock. Default: no time.
            app: The app whose activity it is. None (default): any.

        Returns:
            It, with its calls.

        Raises:
            ValueError: More than one answer is given, `times` is not 1 or more, or there is no such app.
        """
        mock: Mock[Any, Any] = Mock(
            'activity',
            name_of(activity),
            returns=returns,
            raises=raises,
            side_effect=side_effect,
            times=times,
            takes=takes,
        )
        return self._add_mock('activity', mock, activity, app)

    def mock_workflow(
        self,
        workflow: Function | str,
        *,
        returns: Any = UNSET,
        raises: BaseException | type[BaseException] | None = None,
        side_effect: Function | Iterable[Any] | None = None,
        times: int | None = None,
        takes: timedelta | None = None,
        app: str | None = None,
    ) -> Mock[Any, Any]:
        """Has something stand in for a child workflow.

        Arguments as for `mock_activity`; a side effect is called once for each instance, and must not wait.
        """
        mock: Mock[Any, Any] = Mock(
            'workflow',
            name_of(workflow),
            returns=returns,
            raises=raises,
            side_effect=side_effect,
            times=times,
            takes=takes,
        )
        return self._add_mock('workflow', mock, workflow, app)

    # -- failures on order ---------------------------------------------------------------------------------------------

    def lose_turn(self, workflow: Function | str, turn: int = 1) -> None:
        """Has a worker lost in mid-run: a turn of a workflow runs, and its answer never arrives.

        The sidecar dispatches the turn again, as when the process has died; the workflow is thrown away and replayed
        from its history. Once for each run of the workflow, from now on.

        Args:
            workflow: The workflow, or its name.
            turn: Which turn of the run, from 1 on: the first one is the start.

        Raises:
            ValueError: There is no such turn, or the sidecar is not the environment's own.
        """
        self._losses().lose_turn(name_of(workflow), _count('turn', turn))

    def lose_result(self, activity: Function | str, times: int = 1) -> None:
        """Has the next results of an activity lost: it runs, its answer never arrives, and it runs again.

        Args:
            activity: The activity, or its name.
            times: How many results.

        Raises:
            ValueError: It is not 1 or more, or the sidecar is not the environment's own.
        """
        self._losses().lose_results(name_of(activity), _count('times', times))

    # -- inside --------------------------------------------------------------------------------------------------------

    def _add_mock(self, kind: str, mock: Mock[Any, Any], target: Function | str, app: str | None) -> Mock[Any, Any]:
        app_id = None if app is None else self._app(app)
        if not isinstance(target, str):
            self._mocked_functions[kind, mock.name] = target
        self._mocks.add(mock, kind, app_id)
        if app_id is not None and self._runtimes.latest(app_id) is None:
            ensure_started(self.runtime(app=app_id))  # someone has to answer for that app
        return mock

    def _losses(self) -> Losses:
        losses = self._place.losses
        if losses is None:
            raise ValueError(
                'Answers can be lost on a sidecar of the environment itself alone, not on one from outside.'
            )
        return losses

    def _prepare(self, workflow: Function | str, workflows: Functions, activities: Functions) -> None:
        runtime = self._runtimes.latest(self._place.app_names[0]) or self.runtime()
        own = () if isinstance(workflow, str) else (workflow,)
        register(runtime, own, ())
        register(runtime, workflows, activities)
        ensure_started(runtime)

    def _app(self, app: str | None) -> str:
        names = self._place.app_names
        if app is None:
            return names[0]
        if app not in names:
            known = ', '.join(repr(name) for name in names if name) or 'one without a name: give apps=[...]'
            raise ValueError(f"there is no app '{app}' in this environment; there is {known}")
        return app

    def _host_and_port(self, app: str) -> tuple[str, int]:
        if not self._is_open:
            raise RuntimeError('the environment is not started: use it in `with`')
        host, _, port = self._place.address_of(app).rpartition(':')
        return host, int(port)

    async def _sleep_unlimited(self, seconds: float) -> None:
        await self._place.asleep(seconds, None)

    def _what_hangs(self) -> str:
        apps = [(name, self._place.address_of(name)) for name in self._place.app_names]
        return what_hangs(apps, self._runtimes.running_apps(), self._place.now() if self._place.skips_time else None)


def _count(argument: str, value: int) -> int:
    if not isinstance(value, int) or value < 1:
        raise ValueError(f'{argument} is {value!r}, it must be 1 or more.')
    return value


def _seconds(duration: timedelta | float) -> float:
    return duration.total_seconds() if isinstance(duration, timedelta) else duration


def _outcome(state: WorkflowState | None, workflow: Function | str) -> Any:
    if state is None:
        raise RuntimeError('the workflow is gone: it was purged')
    state.raise_if_failed()
    if state.runtime_status is WorkflowStatus.TERMINATED:
        raise WorkflowTerminatedError(state.instance_id, state.output())
    return state.output(None if isinstance(workflow, str) else result_type(workflow))
