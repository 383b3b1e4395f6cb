"""Probes for Kubernetes without a web framework: ready while work is coming, alive while the worker's threads are.

Here the program asks its own probes. In a pod the kubelet does, on a port that is given there.
"""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from dapr.ext.workflow import WorkflowRuntime
from local_sidecar import use_sidecar

use_sidecar()
runtime = WorkflowRuntime()


class Probes(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status = runtime.status()
        is_well = {'/healthz/ready': status.is_connected, '/healthz/live': status.is_alive}.get(self.path)
        code = 404 if is_well is None else 200 if is_well else 503
        body = json.dumps({'cut_off_for': status.cut_off_for, 'last_error': status.last_error}).encode()
        self.send_response(code)
        self.send_header('Content-Type', 'application/json')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Probes come every few seconds: their lines would hide all others."""


def ask(port: int, path: str) -> int:
    try:
        with urllib.request.urlopen(f'http://127.0.0.1:{port}{path}', timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def main() -> None:
    server = ThreadingHTTPServer(('127.0.0.1', 0), Probes)
    threading.Thread(target=server.serve_forever, name='probes', daemon=True).start()
    port = server.server_port
    print(f'before the start: ready {ask(port, "/healthz/ready")}, live {ask(port, "/healthz/live")}')
    with runtime:
        print(f'while it runs: ready {ask(port, "/healthz/ready")}, live {ask(port, "/healthz/live")}')
    print(f'after the shutdown: ready {ask(port, "/healthz/ready")}, live {ask(port, "/healthz/live")}')
    server.shutdown()
    server.server_close()


if __name__ == '__main__':
    main()
