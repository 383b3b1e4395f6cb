"""The HTTP listener: `DaprClient` and others wait at `/v1.0/healthz/outbound` until the sidecar is there."""

from __future__ import annotations

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

__all__ = ['HealthListener']

_HEALTHY: Final = ('/v1.0/healthz', '/v1.0/healthz/outbound', '/healthz')
_POLL_SECONDS: Final = 0.1
_JOIN_SECONDS: Final = 5.0


class HealthListener:
    """Answers on a thread of its own, from `start` to `stop`; it may be started again.

    Args:
        host: The address to listen on.
        port: The port; 0: a free one, which stays the same from one start to the next.

    Attributes:
        port: The port; 0 before the first start, if a free one was asked for.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self.port = port
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listens.

        Raises:
            OSError: The port cannot be listened on.
        """
        server_type = _Server6 if ':' in self._host else _Server
        try:
            server = server_type((self._host, self.port), _Handler)
        except OSError as error:
            message = f"the emulator can not listen on {self._host}:{self.port} (Dapr's HTTP): {error.strerror}"
            raise OSError(error.errno, message) from error
        self.port = server.server_port
        self._server = server
        self._thread = threading.Thread(
            target=server.serve_forever, args=(_POLL_SECONDS,), name='dapr-workflow-emulator-http', daemon=True
        )
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


class _Server(ThreadingHTTPServer):
    daemon_threads = True


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.partition('?')[0] in _HEALTHY:
            self.send_response(204)
            self.end_headers()
        else:
            self._refuse()

    def _refuse(self) -> None:
        body = json.dumps(
            {
                'errorCode': 'ERR_UNIMPLEMENTED',
                'message': f'the emulator answers {", ".join(_HEALTHY)} by HTTP; metadata and state are there by gRPC',
            }
        ).encode()
        self.send_response(501)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT = do_DELETE = _refuse

    def log_message(self, format: str, *args: object) -> None:
        """Those who wait ask every second: their lines would hide all others."""
