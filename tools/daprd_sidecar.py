"""A production daprd in processes of its own, for tests, benchmarks and the demo.

Workflows of daprd live in actors: a daprd needs the placement service, which says where an actor lives, and the
scheduler, which wakes it. One pair of them, a `ControlPlane`, serves any number of daprd, an app each; that is how
calls from app to app are tried. `make daprd` builds all three; tools/daprd/go.mod alone has the version.

What a reader of tests has to know of it: workflows are served while a worker of the app is connected, and for a moment
after it has come or gone the actors are being moved; calls meet that.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from tools.go_sidecar import DAPRD, Build, Sidecar, binaries, pinned
from tools.processes import Guarded, free_ports

_HOST = '127.0.0.1'


def daprd(environ: Mapping[str, str] | None = None) -> Build:
    """The build of daprd that the e2e tests run against, which need not be there.

    Args:
        environ: where DAPR_SIDECAR_DIR is read, the folder of the binaries (default: `.bin` of the project).
    """
    version = DAPRD + pinned('daprd', 'github.com/dapr/dapr')
    return Build(version, False, binaries(environ) / version / 'daprd')


def sidecar_of(build: Build) -> Sidecar:
    """A sidecar of this build, not started, with all that it needs."""
    return Daprd(build) if build.is_daprd else Sidecar(build)


class ControlPlane:
    """A placement service and a scheduler, on free ports and with files of their own.

    As a context manager it is started on entry, and ended and its files deleted on exit.
    """

    def __init__(self, build: Build) -> None:
        """Prepares them; nothing runs yet.

        Args:
            build: of daprd; the two others stand in the same folder.
        """
        self._binaries = build.binary.parent
        ports = free_ports(7)
        self.placement = f'{_HOST}:{ports[0]}'
        self.scheduler = f'{_HOST}:{ports[1]}'
        self._ports = ports
        self._folder = tempfile.TemporaryDirectory(prefix='dapr-control-', ignore_cleanup_errors=True)
        self._processes: list[Guarded] = []

    @property
    def running(self) -> bool:
        """Whether both run."""
        return bool(self._processes) and all(process.running for process in self._processes)

    @property
    def log(self) -> Path:
        """The file that the output of both goes to."""
        return Path(self._folder.name, 'control.log')

    def start(self) -> None:
        """Starts both. They need not be waited for: a daprd connects as soon as they answer."""
        with self.log.open('ab') as log:
            for command in (self._placement_command(), self._scheduler_command()):
                self._processes.append(Guarded(command, log))

    def close(self) -> None:
        """Ends both and deletes their files."""
        for process in self._processes:
            process.end(by_force=True)
        self._processes.clear()
        self._folder.cleanup()

    def __enter__(self) -> ControlPlane:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _placement_command(self) -> list[str]:
        return [
            str(self._binaries / 'placement'),
            *('--listen-address', _HOST, '--port', str(self._ports[0])),
            *('--healthz-listen-address', _HOST, '--healthz-port', str(self._ports[2])),
            *('--id', 'placement-0', '--initial-cluster', f'placement-0={_HOST}:{self._ports[3]}'),
            '--enable-metrics=false',
        ]

    def _scheduler_command(self) -> list[str]:
        return [
            str(self._binaries / 'scheduler'),
            *('--listen-address', _HOST, '--port', str(self._ports[1])),
            *('--override-broadcast-host-port', self.scheduler),
            *('--healthz-listen-address', _HOST, '--healthz-port', str(self._ports[4])),
            *('--id', 'scheduler-0', '--etcd-initial-cluster', f'scheduler-0=http://{_HOST}:{self._ports[5]}'),
            *('--etcd-client-listen-address', _HOST, '--etcd-client-port', str(self._ports[6])),
            *('--etcd-data-dir', str(Path(self._folder.name, 'etcd'))),
            '--etcd-initial-election-tick-advance',
            '--enable-metrics=false',
        ]


class Daprd(Sidecar):
    """A running daprd with a SQLite state store of its own.

    It answers Hello long before it serves workflows: for that a worker has to be connected, and the actors be placed.

    Attributes:
        app_id: the app it stands beside.
        control_plane: what it shares with the daprd of other apps.
    """

    def __init__(
        self,
        build: Build,
        *,
        app_id: str = 'app',
        control_plane: ControlPlane | None = None,
        options: Sequence[str] = (),
    ) -> None:
        """Prepares a daprd; nothing runs yet.

        Args:
            build: the build to run; its binary has to be there.
            app_id: the app it stands beside.
            control_plane: a running one that it shares (default: one of its own, which starts and ends with it).
            options: more of daprd's own, such as '--max-body-size=16Mi'.

        Raises:
            FileNotFoundError: if the binary is not there.
        """
        super().__init__(build)
        self.app_id = app_id
        self._options = tuple(options)
        self._http_port, self._internal_port = free_ports(2)
        self._owns_plane = control_plane is None
        self.control_plane = ControlPlane(build) if control_plane is None else control_plane
        self._write_component()

    @property
    def http_address(self) -> str:
        """Where it serves Dapr's HTTP API, as host:port."""
        return f'{_HOST}:{self._http_port}'

    def start(self) -> None:
        """Starts it, after the control plane that is its own; see `Sidecar.start`."""
        if self._owns_plane and not self.control_plane.running:
            self.control_plane.start()
        super().start()

    def close(self) -> None:
        """Ends it, and the control plane that is its own, and deletes their files."""
        super().close()
        if self._owns_plane:
            self.control_plane.close()

    @property
    def _resources(self) -> Path:
        return Path(self._folder.name, 'resources')

    def _write_component(self) -> None:
        metadata = {
            'connectionString': str(self.database),
            'actorStateStore': 'true',
            # With the default of two seconds, 100 workflows in flight meet "database is locked".
            'busyTimeout': '30s',
        }
        component = {
            'apiVersion': 'dapr.io/v1alpha1',
            'kind': 'Component',
            'metadata': {'name': 'state'},
            'spec': {
                'type': 'state.sqlite',
                'version': 'v1',
                'metadata': [{'name': name, 'value': value} for name, value in metadata.items()],
            },
        }
        self._resources.mkdir()
        # JSON is YAML as well.
        Path(self._resources, 'state.yaml').write_text(json.dumps(component))

    def _command(self) -> list[str]:
        return [
            str(self.build.binary),
            *('--app-id', self.app_id),
            *('--dapr-listen-addresses', _HOST, '--dapr-grpc-port', str(self._port)),
            *('--dapr-http-port', str(self._http_port)),
            *('--dapr-internal-grpc-listen-address', _HOST, '--dapr-internal-grpc-port', str(self._internal_port)),
            *(
                '--placement-host-address',
                self.control_plane.placement,
                '--scheduler-host-address',
                self.control_plane.scheduler,
            ),
            *('--resources-path', str(self._resources)),
            '--enable-metrics=false',
            *self._options,
        ]
