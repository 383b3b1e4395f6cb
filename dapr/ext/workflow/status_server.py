"""A worker's status over HTTP: for probes, for the dashboard's page of workers, and for `dapr-workflow stack`.

With nothing but the standard library, on a thread of its own:

    with WorkflowRuntime() as runtime, StatusServer(runtime, port=9400):
        ...

| path | answer |
| --- | --- |
| `/healthz/ready` | 200 while work is coming, else 503: a readiness probe |
| `/healthz/live` | 200 while the worker's threads live, else 503: a liveness probe |
| `/status` | what `WorkflowRuntime.status()` says, as JSON |
| `/standing?id=ID` | where a workflow stands that is kept between its turns, as JSON |

It answers GET alone and changes nothing. Payloads are in none of it; names, instance ids and lines of code are.
"""

from __future__ import annotations

import dataclasses
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from dapr.ext.workflow.workflow_runtime import WorkflowRuntime

__all__ = ['StatusServer']

_JOIN_SECONDS: Final = 5.0


class StatusServer:
    """Serves the status of a runtime on a thread. Use it as a context manager, or `start` and `stop` it.

    Args:
        runtime: The runtime. It may be started before or after.
        host: The address to listen on. Default: the loopback; a pod whose probes come from outside needs '0.0.0.0'.
        port: The port. 0 (default): a free one.
    """

    def __init__(self, runtime: WorkflowRuntime, *, host: str = '127.0.0.1', port: int = 0) -> None:
        self._runtime = runtime
        self._host = host
        self._port = port
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> str:
        """Where it listens, as host:port, once it has started."""
        return f'{self._host}:{self._port}'

    def start(self) -> None:
        """Listens.

        Raises:
            OSError: The port cannot be listened on.
            RuntimeError: It has been started.
        """
        if self._server is not None:
            raise RuntimeError('The status server has been started.')
        runtime = self._runtime

        class Handler(_Handler):
            answer = staticmethod(lambda path, query: _answer(runtime, path, query))

        self._server = server = ThreadingHTTPServer((self._host, self._port), Handler)
        server.daemon_threads = True
        self._port = server.server_port
        self._thread = threading.Thread(target=server.serve_forever, name='dapr-workflow-status', daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends it. Does nothing when it does not listen."""
        server, thread = self._server, self._thread
        if server is None or thread is None:
            return
        self._server = self._thread = None
        server.shutdown()
        server.server_close()
        thread.join(_JOIN_SECONDS)

    def __enter__(self) -> StatusServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Handler(BaseHTTPRequestHandler):
    answer: Any

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        code, data = self.answer(parts.path, parse_qs(parts.query))
        body = json.dumps(data).encode()
        self.send_response(code)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Probes come every few seconds: their lines would hide all others."""


def _answer(runtime: WorkflowRuntime, path: str, query: dict[str, list[str]]) -> tuple[int, Any]:
    if path == '/standing':
        instance_id = query.get('id', [''])[0]
        tasks = [dataclasses.asdict(task) for task in runtime.standing(instance_id)]
        return (200 if tasks else 404), {'instance_id': instance_id, 'tasks': tasks}
    status = runtime.status()
    if path == '/status':
        return 200, dataclasses.asdict(status)
    is_well = {'/healthz/ready': status.is_connected, '/healthz/live': status.is_alive}.get(path)
    if is_well is None:
        return 404, {'paths': ['/healthz/ready', '/healthz/live', '/status', '/standing?id=ID']}
    return (200 if is_well else 503), {'cut_off_for': status.cut_off_for, 'last_error': status.last_error}
