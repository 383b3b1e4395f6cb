"""The dashboard as a part of a process: a port, a thread, and what they need."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final

import uvicorn

from dapr.ext.workflow.dashboard.app import App
from dapr.ext.workflow.dashboard.guard import Guard, is_loopback
from dapr.ext.workflow.inspection.catalogue import Catalogue
from dapr.ext.workflow.inspection.sidecar import Sidecar

DEFAULT_PORT: Final = 8080
_JOIN_SECONDS: Final = 10.0


class DashboardServer:
    """Serves the dashboard of a sidecar on a thread. Use it as a context manager, or `start` and `stop` it.

    Args:
        sidecar: Whose workflows it shows. It stays the caller's, who closes it after the stop.
        host: The address to listen on. Default: the loopback.
        port: The port; 0: a free one. Default: 8080.
        token: What a browser, or a script, has to bring. None (default): nothing, on the loopback alone.
        read_only: Whether it can change nothing. Default: False.
        payloads: Makes a payload readable, for example decrypts it; None: payloads are not shown. Default: as it is.
        workers: Where workers serve their status (`status_server`), each as host:port. Default: none.
        allowed_hosts: Names beside `host` that it is called by, for example behind a proxy. Default: none.
        interval: The least time between two looks at the sidecar, in seconds. Default: 1.

    Raises:
        ValueError: It would be reached from other machines without a token.
    """

    def __init__(
        self,
        sidecar: Sidecar,
        *,
        host: str = '127.0.0.1',
        port: int = DEFAULT_PORT,
        token: str | None = None,
        read_only: bool = False,
        payloads: Callable[[str], str] | None = str,
        workers: Sequence[str] = (),
        allowed_hosts: Sequence[str] = (),
        interval: float = 1.0,
    ) -> None:
        if not token and not is_loopback(host):
            raise ValueError(
                f'{host} can be reached from other machines, and no token protects the dashboard: give it one, or '
                'listen on 127.0.0.1.'
            )
        self._host = host
        self._port = port
        self._sidecar = sidecar
        self._catalogue = Catalogue(sidecar, interval)
        guard = Guard([host, *allowed_hosts], token or None, read_only=read_only)
        self._app = App(sidecar, self._catalogue, guard, payloads, workers)
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where it is, once it has started."""
        host = f'[{self._host}]' if ':' in self._host else self._host
        return f'http://{host}:{self._port}/'

    def start(self) -> None:
        """Listens, and begins to look at the sidecar.

        Raises:
            OSError: The port cannot be listened on.
            RuntimeError: It has been started.
        """
        if self._thread is not None:
            raise RuntimeError('The dashboard has been started.')
        # Bound here, so that a port that is taken is told to whoever starts it, and 0 becomes a number.
        family = socket.AF_INET6 if ':' in self._host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self._host, self._port))
            listener.listen()
        except OSError as error:
            listener.close()
            raise OSError(
                error.errno, f'the dashboard cannot listen on {self._host}:{self._port}: {error.strerror}'
            ) from error
        self._port = listener.getsockname()[1]
        config = uvicorn.Config(
            self._app.asgi(), log_config=None, access_log=False, lifespan='off', timeout_graceful_shutdown=1
        )
        self._server = server = uvicorn.Server(config)
        self._catalogue.start()
        self._thread = threading.Thread(
            target=lambda: server.run(sockets=[listener]), name='dapr-workflow-dashboard', daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Ends it. Does nothing when it was not started."""
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = True
        self._catalogue.close()
        self._thread.join(_JOIN_SECONDS)

    def __enter__(self) -> DashboardServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
