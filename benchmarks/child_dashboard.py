"""A dashboard for a sidecar: says where it is and, when asked, how long it took until it knew so many instances."""

from __future__ import annotations

import json
import sys
import time

from dapr.ext.workflow.dashboard import DashboardServer
from dapr.ext.workflow.inspection.sidecar import Sidecar


def main(host: str, port: str) -> None:
    begun = time.perf_counter()
    with Sidecar(host, int(port)) as sidecar, DashboardServer(sidecar, port=0) as server:
        print(json.dumps({'url': server.url}), flush=True)
        for line in sys.stdin:
            count, version = json.loads(line), -1
            catalogue = server._catalogue
            while len((snapshot := catalogue.wait_for_change(version, 1.0)).states) < count or not snapshot.is_complete:
                version = snapshot.version
            print(json.dumps({'seconds': time.perf_counter() - begun}), flush=True)


if __name__ == '__main__':
    main(*sys.argv[1:])
