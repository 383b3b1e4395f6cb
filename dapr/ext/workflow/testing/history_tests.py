"""Recorded histories as tests of pytest: one for each file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from dapr.ext.workflow.testing.finding import replayer_of
from dapr.ext.workflow.testing.histories import WorkflowHistory
from dapr.ext.workflow.testing.replayer import Replayer, WorkflowReplayError

__all__ = ['HistoryFile', 'new_replayer']

_REPLAYER = pytest.StashKey[Replayer]()


class HistoryFile(pytest.File):
    """A file with a history.

    Args:
        modules: Where the workflows are, see `finding`.
    """

    def __init__(self, *, modules: Sequence[str], **options: Any) -> None:
        super().__init__(**options)
        self.modules = tuple(modules)

    def collect(self) -> Iterator[pytest.Item]:
        yield HistoryItem.from_parent(self, name='replay')


class HistoryItem(pytest.Item):
    """The test that today's code can replay the history of its file."""

    def runtest(self) -> None:
        history = WorkflowHistory.from_file(self.path)
        _replayer(self).replay_workflow(history)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """What the replay says; the lines of the replayer itself tell nobody anything."""
        if isinstance(excinfo.value, WorkflowReplayError | ValueError | OSError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[os.PathLike[str], int | None, str]:
        return self.path, None, f'replay of {self.path.name}'


def new_replayer(config: pytest.Config, modules: Sequence[str]) -> Replayer:
    """A replayer of an app's workflows. The app is found from pytest's rootdir, as by `python -m pytest`.

    Args:
        config: pytest's configuration.
        modules: Where the workflows are, see `finding`.

    Raises:
        NoWorkflows: See `replayer_of`.
    """
    root = str(config.rootpath)
    if root not in sys.path:
        sys.path.insert(0, root)
    return replayer_of(modules)


def _replayer(item: HistoryItem) -> Replayer:
    """The replayer of the session's histories, made with the first: to import the app takes what it takes."""
    stash, file = item.session.stash, item.parent
    if _REPLAYER not in stash:
        assert isinstance(file, HistoryFile)
        if not file.modules:
            raise ValueError(
                'It is not known where the workflows are that recorded histories are replayed with: name their '
                'modules by --workflow-modules, or by workflow_modules in the ini file.'
            )
        stash[_REPLAYER] = new_replayer(item.config, file.modules)
    return stash[_REPLAYER]
