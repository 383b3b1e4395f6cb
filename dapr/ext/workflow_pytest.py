"""The pytest plugin of `dapr.ext.workflow.testing`: fixtures, and recorded histories as tests.

pytest loads it in every run of every project that has the package installed. So it stands beside the package, whose
import brings gRPC along, and imports nothing of it before a fixture or an option is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from dapr.ext.workflow.testing import Replayer, WorkflowEnvironment

_HISTORIES = 'workflow_histories'
_MODULES = 'workflow_modules'


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup('dapr-workflow', 'Dapr workflows')
    group.addoption(
        '--workflow-histories',
        metavar='FOLDER',
        action='append',
        default=[],
        help='replay the recorded histories (*.json) in this folder, each as a test; may be given several times',
    )
    group.addoption(
        '--workflow-modules',
        metavar='MODULE[:NAME]',
        action='append',
        default=[],
        help='where the workflows are that recorded histories are replayed with: a module, or a WorkflowRuntime, a '
        'workflow or a list in it; may be given several times',
    )
    group.addoption(
        '--workflow-always-replay',
        action='store_true',
        help='let each WorkflowEnvironment replay the whole history with each turn, so that workflows that do not do '
        'the same again are found',
    )
    parser.addini(_HISTORIES, 'folders whose *.json are recorded histories of workflows', type='paths', default=[])
    parser.addini(_MODULES, 'as --workflow-modules', type='args', default=[])


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption('workflow_always_replay'):
        from dapr.ext.workflow.testing import defaults

        defaults.always_replay = True
    for folder in config.getoption(_HISTORIES):
        path = Path(config.invocation_params.dir, folder)
        if not path.exists():
            raise pytest.UsageError(f'--workflow-histories: there is no folder {path}')
        # Collected with what else was asked for, wherever it is. A worker of pytest-xdist has it from its controller.
        if str(path) not in config.args:
            config.args.append(str(path))


def pytest_unconfigure(config: pytest.Config) -> None:
    if config.getoption('workflow_always_replay'):
        from dapr.ext.workflow.testing import defaults

        defaults.always_replay = False


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.suffix != '.json' or not _is_history(file_path, parent.config):
        return None
    from dapr.ext.workflow.testing.history_tests import HistoryFile

    return HistoryFile.from_parent(parent, path=file_path, modules=_modules(parent.config))


@pytest.fixture
def workflow_env() -> Iterator[WorkflowEnvironment]:
    """A `WorkflowEnvironment` of the test's own that skips time."""
    from dapr.ext.workflow.testing import WorkflowEnvironment

    with WorkflowEnvironment.start_time_skipping() as env:
        yield env


@pytest.fixture
def workflow_replayer(pytestconfig: pytest.Config) -> Replayer:
    """A `Replayer` of the workflows that `--workflow-modules`, or `workflow_modules` in the ini file, names; without
    any it has none yet: register them with it."""
    from dapr.ext.workflow.testing.history_tests import new_replayer

    return new_replayer(pytestconfig, _modules(pytestconfig))


def _is_history(path: Path, config: pytest.Config) -> bool:
    folders = [*config.getini(_HISTORIES), *config.getoption(_HISTORIES)]
    return any(path.is_relative_to(Path(config.invocation_params.dir, folder).resolve()) for folder in folders)


def _modules(config: pytest.Config) -> list[str]:
    return [*config.getoption(_MODULES), *config.getini(_MODULES)]
