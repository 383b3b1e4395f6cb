"""The emulator: listeners, and the thread that they and all state live on."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import errno
import ipaddress
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

import grpc.aio

from dapr.ext.workflow.emulator.clock import StandingClock
from dapr.ext.workflow.emulator.serving.auth import TokenGuard
from dapr.ext.workflow.emulator.serving.core import Core
from dapr.ext.workflow.emulator.serving.dispatch import DEFAULT_LEASE_SECONDS, DEFAULT_PING_SECONDS
from dapr.ext.workflow.emulator.serving.losses import Losses
from dapr.ext.workflow.emulator.serving.service import MAX_MESSAGE_BYTES, Service
from dapr.ext.workflow.emulator.serving.skipping import TimeSkipping
from dapr.ext.workflow.emulator.state.store import Store

if TYPE_CHECKING:
    from dapr.ext.workflow.emulator.dapr_api import DaprApi

__all__ = ['Emulator']

_LOGGER: Final = logging.getLogger('dapr.ext.workflow.emulator')
# What calls in flight have to end in, once the emulator stops: a worker's last answers, most likely.
_GRACE_SECONDS: Final = 0.5
_OPTIONS: Final = [
    # Else two emulators share a port, and each gets some of the calls.
    ('grpc.so_reuseport', 0),
    ('grpc.max_send_message_length', -1),
    # A worker whose machine is gone never closes its stream.
    ('grpc.keepalive_time_ms', 30_000),
    ('grpc.keepalive_timeout_ms', 10_000),
    ('grpc.keepalive_permit_without_calls', 1),
    ('grpc.http2.max_pings_without_data', 0),
    # Workers may ping as often as they like.
    ('grpc.http2.max_ping_strikes', 0),
]


class Emulator:
    """A Dapr workflow sidecar in this process, for development, tests and demos.

        with Emulator() as emulator:
            client = DaprWorkflowClient(host=..., port=emulator.port)

    It runs on a thread of its own, from `start` to `stop`, and can be started again. Workers and clients reach it by
    gRPC like any sidecar, in this process or from others. With a file the state outlives it, whatever ends it.

    gRPC before 1.80 logs a harmless BlockingIOError now and then in a process where two event loops use grpc.aio, which
    an asyncio client beside this makes it.

    Args:
        host: The address to listen on. Default: the loopback.
        port: The port; 0 (default): a free one, which stays the same from one start to the next. With `apps`: that of
            the first app, and 0 for the others.
        db: The SQLite file, made if it is missing. None (default): in memory, and forgotten at the stop.
        api_token: What each call has to carry as metadata `dapr-api-token`. None (default): calls carry none.
        apps: The apps that it plays, each with a listener of its own: their names, or their names and ports. None
            (default): one app that takes everything, whatever routers say.
        allow_insecure: Whether a host that is reached from other machines may go without a token. Default: False.
        lease_seconds: How long a turn's answer is waited for before the turn is dispatched again. Default: 120.
        ping_seconds: The time between two health pings to workers that ask for them. Default: 30.
        clock: The time that timers and events go by, in seconds since the epoch. Default: the system's. When a
            `StandingClock` is moved, what is due then fires at once; of any other one that is set, `clock_moved` has to
            be told.
        time_skipping: Moves its own clock, in place of `clock`, to the next timer when there is nothing else to do: see
            `dapr.ext.workflow.testing`, which is made for that. None (default): time goes by.
        losses: Answers of workers that are to be lost, for tests. None (default): none.
        max_message_bytes: The largest message that it takes, in bytes. Default: 4 MiB, as sidecars.
        dapr_http_port: Where it answers Dapr's health checks by HTTP; 0 takes a free port. With it, metadata and state
            stores of Dapr's API are there, too, by gRPC: enough for `DaprClient`, and for agents. None (default):
            workflows alone.
        state_stores: The names of the state stores. Default: 'statestore'.

    Raises:
        ValueError: The host is reached from other machines, and there is neither a token nor `allow_insecure`; an app's
            name is empty, or a store's; or the limit of messages is not above 0.
    """

    def __init__(
        self,
        host: str = '127.0.0.1',
        port: int = 0,
        db: str | os.PathLike[str] | None = None,
        api_token: str | None = None,
        *,
        apps: Sequence[str] | Mapping[str, int] = (),
        allow_insecure: bool = False,
        lease_seconds: float = DEFAULT_LEASE_SECONDS,
        ping_seconds: float = DEFAULT_PING_SECONDS,
        clock: Callable[[], float] = time.time,
        time_skipping: TimeSkipping | None = None,
        losses: Losses | None = None,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        dapr_http_port: int | None = None,
        state_stores: Sequence[str] = ('statestore',),
    ) -> None:
        if not api_token and not allow_insecure and not _is_loopback(host):
            raise ValueError(
                f'{host} can be reached from other machines, and no API token protects it: set one, listen on '
                '127.0.0.1, or say that it may be insecure (--allow-insecure, in code allow_insecure=True)'
            )
        if '' in apps:
            raise ValueError('an app needs a name that is not empty')
        if max_message_bytes < 1:
            raise ValueError(f'max_message_bytes is {max_message_bytes}: it must be above 0')
        self._host = host
        self._db = None if db is None else Path(db)
        self._api_token = api_token or None
        self._app_names = tuple(apps)
        self._ports: dict[str, int] = dict.fromkeys(apps or ('',), 0)
        self._ports[next(iter(self._ports))] = port
        if isinstance(apps, Mapping):
            self._ports.update(apps)
        self._max_message_bytes = max_message_bytes
        self._settings: dict[str, Any] = {
            'lease_seconds': lease_seconds,
            'ping_seconds': ping_seconds,
            'clock': clock if time_skipping is None else time_skipping.clock,
            'time_skipping': time_skipping,
            'losses': losses,
        }
        self._dapr_api: DaprApi | None = None
        if dapr_http_port is not None:
            # Optional: without it nothing of it is loaded.
            from dapr.ext.workflow.emulator.dapr_api import DaprApi

            self._dapr_api = DaprApi(host, dapr_http_port, state_stores, db is not None, _LOGGER)
        self._run: _Run | None = None

    @property
    def address(self) -> str:
        """Where it listens, as host:port; with `apps`: for the first one."""
        return self.address_of(next(iter(self._ports)))

    @property
    def port(self) -> int:
        """The port of `address`."""
        return int(self.address.rpartition(':')[2])

    @property
    def dapr_http_port(self) -> int:
        """The port of Dapr's health checks.

        Raises:
            RuntimeError: It has none; or it is 0, and the emulator was not started yet.
        """
        if self._dapr_api is None:
            raise RuntimeError('the emulator was made without dapr_http_port')
        if not self._dapr_api.http.port:
            raise RuntimeError('the emulator has no port before its first start')
        return self._dapr_api.http.port

    @property
    def running(self) -> bool:
        """Whether it is started."""
        return self._run is not None

    def address_of(self, app: str) -> str:
        """Where the listener of an app is, as host:port.

        Raises:
            KeyError: It plays no such app.
            RuntimeError: The port is 0 and it was not started yet.
        """
        port = self._ports[app]
        if not port:
            raise RuntimeError('the emulator has no port before its first start')
        return _joined(self._host, port)

    def start(self) -> None:
        """Opens the database and listens.

        Raises:
            RuntimeError: It is running.
            StoreError: The database cannot be used; the message says why.
            OSError: A port cannot be listened on.
        """
        if self._run is not None:
            raise RuntimeError('the emulator is running')
        run = _Run(
            self._host,
            self._ports,
            self._db,
            self._api_token,
            self._app_names,
            self._settings,
            self._max_message_bytes,
            self._dapr_api,
        )
        run.start()
        if self._dapr_api is not None:
            # Last: whoever finds it healthy can call it.
            try:
                self._dapr_api.http.start()
            except BaseException:
                run.stop()
                raise
        self._run = run
        # Else the interpreter's end finds the thread in the midst of gRPC's calls.
        atexit.register(self.stop)

    def stop(self) -> None:
        """Ends all streams and waits, and closes the database. Does nothing when it is not running."""
        run, self._run = self._run, None
        if run is not None:
            atexit.unregister(self.stop)
            if self._dapr_api is not None:
                self._dapr_api.http.stop()
            run.stop()

    def clock_moved(self) -> None:
        """Fires what is due: the clock that was given as `clock` was set. Any thread may call it."""
        run = self._run
        if run is not None:
            run.clock_moved()

    def __enter__(self) -> Emulator:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Run:
    """The emulator from one start to the stop: a thread with an event loop.

    `ports` is the emulator's: those that are 0 are filled in.
    """

    def __init__(
        self,
        host: str,
        ports: dict[str, int],
        db: Path | None,
        api_token: str | None,
        app_names: Sequence[str],
        settings: Mapping[str, Any],
        max_message_bytes: int,
        dapr_api: DaprApi | None,
    ) -> None:
        self._dapr_api = dapr_api
        self._host = host
        self._ports = ports
        self._db = db
        self._api_token = api_token
        self._app_names = app_names
        self._settings = settings
        self._max_message_bytes = max_message_bytes
        self._core: Core | None = None
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._main, name='dapr-workflow-emulator', daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure

    def stop(self) -> None:
        assert self._loop is not None
        assert self._stopping is not None
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def clock_moved(self) -> None:
        if self._loop is not None and self._core is not None:
            with contextlib.suppress(RuntimeError):  # the loop has just ended
                self._loop.call_soon_threadsafe(self._core.clock_moved)

    def _main(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._started.is_set():
                raise
            self._failure = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(_handle_exception)
        self._stopping = asyncio.Event()
        store = Store(self._db)
        try:
            core = self._core = Core(store, self._loop, _LOGGER, apps=self._app_names, **self._settings)
            clock = self._settings['clock']
            unsubscribe = clock.subscribe(self.clock_moved) if isinstance(clock, StandingClock) else lambda: None
            servers: list[grpc.aio.Server] = []
            try:
                for app in self._ports:
                    servers.append(self._listen(core, store, app))
                for server in servers:
                    await server.start()
                self._started.set()
                await self._stopping.wait()
            finally:
                unsubscribe()
                core.shut_down()
                # One grace for all: what is in flight on one may wait for what comes by another.
                await asyncio.gather(*(server.stop(_GRACE_SECONDS) for server in servers))
                core.close()
        except BaseException:
            store.close()
            raise

    def _listen(self, core: Core, store: Store, app: str) -> grpc.aio.Server:
        guards = [] if self._api_token is None else [TokenGuard(self._api_token)]
        # The service has the limit, and the words of sidecars; this one is there for what is far beyond.
        limit = ('grpc.max_receive_message_length', min(16 * self._max_message_bytes, 2**31 - 1))
        server = grpc.aio.server(options=[*_OPTIONS, limit], interceptors=guards)
        service = Service(core, app, _LOGGER, max_message_bytes=self._max_message_bytes)
        server.add_generic_rpc_handlers((service.handler(),))
        if self._dapr_api is not None:
            clock, most = self._settings['clock'], self._max_message_bytes
            server.add_generic_rpc_handlers((self._dapr_api.service(store, clock, app, most),))
        host, port = self._host, self._ports[app]
        # gRPC is content with one of the addresses that a name like localhost has: calls to the other one would go to
        # whoever has it.
        for error in _failures(host, port) if port else ():
            if error.errno == errno.EADDRINUSE:
                raise _cannot_listen(host, port, error)
        try:
            listening = server.add_insecure_port(_joined(host, port))
        except RuntimeError:
            listening = 0
        if not listening:
            raise _cannot_listen(host, port, next(_failures(host, port), None))
        self._ports[app] = listening
        return server


def _handle_exception(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # Before gRPC 1.80 the loops of a process that use grpc.aio all wake for each event, and all but one find nothing.
    if isinstance(context.get('exception'), BlockingIOError) and 'PollerCompletionQueue' in str(context.get('handle')):
        return
    loop.default_exception_handler(context)


def _failures(host: str, port: int) -> Iterator[OSError]:
    """What keeps each of a host's addresses from being listened on, which gRPC does not tell."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        yield error
        return
    for family, kind, protocol, _, address in found:
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
                probe.listen()
        except OSError as error:
            yield error


def _cannot_listen(host: str, port: int, cause: OSError | None) -> OSError:
    message = f'the emulator can not listen on {_joined(host, port)}'
    return OSError(message) if cause is None else OSError(cause.errno, f'{message}: {cause.strerror}')


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == 'localhost'


def _joined(host: str, port: int) -> str:
    return f'[{host}]:{port}' if ':' in host else f'{host}:{port}'
