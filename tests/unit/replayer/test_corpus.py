"""The corpus: what workers of each release and of dapr 1.19.0 have recorded, on each sidecar, can be replayed.

A history that fails here is an instance that a user's upgrade would break.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from dapr.ext.workflow.testing import Replayer, WorkflowHistory
from tests.support import corpus
from tests.support.corpus import newer, workflows
from tests.support.corpus.scenarios import SCENARIOS, lacks


def compares_payloads(path: Path) -> bool:
    """Inputs and results are compared, too, but where the recording has replaced one."""
    return path.stem != 'rerun-other'


@pytest.mark.parametrize('path', corpus.FILES, ids=corpus.name_of)
def test_what_was_recorded_can_be_replayed(path: Path) -> None:
    replayer = Replayer([*workflows.WORKFLOWS, *newer.WORKFLOWS], compare_payloads=compares_payloads(path))
    workflows.register_ageing(replayer, 'new')
    replayer.replay_workflow(WorkflowHistory.from_file(path))


TWINS = {workflow.__name__: workflow for workflow in newer.TWINS}


@pytest.mark.parametrize(
    'path',
    [path for path in corpus.FILES if WorkflowHistory.from_file(path).workflow_name in TWINS],
    ids=corpus.name_of,
)
def test_the_same_workflow_in_async_def_can_replay_it_too(path: Path) -> None:
    Replayer(TWINS, compare_payloads=compares_payloads(path)).replay_workflow(WorkflowHistory.from_file(path))


def test_there_is_a_history_of_each_scenario_from_each_worker_that_can_play_it() -> None:
    folders = {path.parent for path in corpus.FILES}
    workers = {folder.name for folder in folders}
    assert 'dapr-1.19.0' in workers
    assert any(worker.startswith('ours-') for worker in workers)
    for folder in folders:
        told = {path.stem for path in folder.glob('*.json')}
        due = {
            name for name, scenario in SCENARIOS.items() if not scenario.needs & lacks(folder.parent.name, folder.name)
        }
        assert due - told == set(), folder
