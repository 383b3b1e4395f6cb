"""A worker that runs the workflows of the corpus until its input ends: `worker.py HOST PORT AGE`.

It runs in the environment whose `dapr.ext.workflow` is to be recorded: by its path with that of dapr 1.19.0, which has
no `newer`, and as a module of the tests with ours.
"""

from __future__ import annotations

import importlib
import sys

from dapr.ext.workflow import WorkflowRuntime


def main(host: str, port: str, age: str) -> None:
    # By path, the folder of this file is where modules are found, and the tests are not.
    package = f'{__package__}.' if __package__ else ''
    runtime = WorkflowRuntime(host=host, port=port)
    importlib.import_module(f'{package}workflows').register(runtime, age)
    if package:
        importlib.import_module(f'{package}newer').register(runtime)
    runtime.start()
    sys.stdout.write('ready\n')
    sys.stdout.flush()
    sys.stdin.read()
    runtime.shutdown()


if __name__ == '__main__':
    main(*sys.argv[1:])
