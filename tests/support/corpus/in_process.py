"""A stage for scenarios with workers in this process, which note what crosses their wires."""

from __future__ import annotations

from typing import Any

from dapr.ext.workflow import DaprWorkflowClient, WorkflowRuntime
from tests.support import corpus, recording
from tests.support.corpus import newer, workflows

WIRE = corpus.FOLDER.parent / 'wire'
"""Where what daprd sends to workers is kept, of the scenarios in `WIRED`: <sidecar>/<name>.jsonl."""

WIRED = (
    'delivery-of-new',
    'delivery-of-old',
    'delivery-taken-back',
    'handing-on',
    'of-two-apps',
    'report-of-new',
    'report-of-old',
    'report-without-its-version',
    'rerun',
    'rerun-amid-others',
)
"""Versions, patches, stalls, history that is handed on, calls from app to app, and instances that run again."""

IN_ORDER: dict[str, Any] = {'maximum_thread_pool_workers': 1}
"""Options of workers whose activities end in the order in which they came."""


class InProcess:
    """A worker, and one of another app.

    Attributes:
        client: A client of the app's sidecar.
        recorder: Notes what the worker gets and answers.
        recorder_of_other: What that of the other app does.

    Args:
        address: Of the app's sidecar, as host:port.
        other: Of that of the app `billing`.
        **options: More arguments of the runtimes.
    """

    def __init__(self, address: str, other: str, **options: Any) -> None:
        host, _, port = address.rpartition(':')
        self.client = DaprWorkflowClient(host=host, port=port)
        self.recorder, self.recorder_of_other = recording.Recorder(), recording.Recorder()
        self._address, self._options = address, options
        self._other = _started(other, 'new', self.recorder_of_other, options)
        self._age = 'new'
        self._worker = _started(address, self._age, self.recorder, options)

    def deploy(self, age: str) -> None:
        """Ends the worker and starts one of another age."""
        if age != self._age:
            self._worker.shutdown()
            self._age, self._worker = age, _started(self._address, age, self.recorder, self._options)

    def close(self) -> None:
        """Ends the workers and the client."""
        self._worker.shutdown()
        self._other.shutdown()
        self.client.close()


def _started(address: str, age: str, recorder: recording.Recorder, options: dict[str, Any]) -> WorkflowRuntime:
    host, _, port = address.rpartition(':')
    runtime = WorkflowRuntime(host=host, port=port, interceptors=[recorder], **options)
    workflows.register(runtime, age)
    newer.register(runtime)
    runtime.start()
    return runtime
